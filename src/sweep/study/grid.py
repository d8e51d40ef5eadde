"""Runs a grid of trials in order: what is measured already is reused, a failed point never stops the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from sweep.study.measure import Bench, Outcome
from sweep.trial.executor import Progress
from sweep.trial.messages import TrialFiles
from sweep.trial.spec import TrialSpec


class Observer(Protocol):
    """Sees a sweep as it goes."""

    def started(self, number: int, spec: TrialSpec) -> None:
        """Point `number` (from 0) is about to be measured."""

    def progressed(self, progress: Progress) -> None:
        """The point under measurement moved on; about four times a second."""

    def finished(self, number: int, outcome: Outcome) -> None:
        """Point `number` is done."""


def run_grid(points: Sequence[tuple[TrialSpec, TrialFiles]], bench: Bench, observer: Observer) -> Iterator[Outcome]:
    """Yield the outcome of each point, in order, as soon as it is stored.

    Args:
        points: Specs and where their parts lie.
        bench: Where they are measured.
        observer: Told of everything.
    """
    for number, (spec, files) in enumerate(points):
        bench.pause()
        outcome = bench.newest(spec)
        if outcome is None:
            observer.started(number, spec)
            outcome = bench.measure(spec, files, observer.progressed)
        observer.finished(number, outcome)
        yield outcome
