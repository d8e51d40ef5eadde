"""What a grid is made of, and who sees it as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sweep.gpus import Gpu
from sweep.study.measure import Outcome
from sweep.trial.measurement import Progress
from sweep.trial.messages import TrialFiles
from sweep.trial.spec import TrialSpec


@dataclass(frozen=True)
class GridPoint:
    """One trial of a grid.

    Attributes:
        spec: What to measure.
        files: Where its parts lie.
        gpus: On any of which it may be measured; none for the CPU.
        exact: Whether only a record from one of these very GPUs will do, and not from one that is like it.
    """

    spec: TrialSpec
    files: TrialFiles
    gpus: tuple[Gpu, ...] = ()
    exact: bool = False


class Observer(Protocol):
    """Sees a sweep as it goes, from one thread. Several points may be under measurement at once."""

    def started(self, number: int, spec: TrialSpec) -> None:
        """Point `number` (from 0) is about to be measured."""

    def progressed(self, number: int, progress: Progress) -> None:
        """A point under measurement moved on; about four times a second."""

    def finished(self, number: int, outcome: Outcome) -> None:
        """Point `number` is done."""

    def say(self, line: str) -> None:
        """Something that the user should know meanwhile."""
