"""Runs a grid of trials in order: what is measured already is reused, a failed point never stops the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from sweep.environment import fingerprint, fingerprint_digest
from sweep.store.records import Store, StoredTrial
from sweep.trial.executor import Executor, Progress
from sweep.trial.interrupts import InterruptGate
from sweep.trial.messages import RunRequest, TrialFiles
from sweep.trial.spec import TrialSpec
from sweep.trial.trial import run_trial


@dataclass(frozen=True)
class Outcome:
    """One point of the grid, done.

    Attributes:
        stored: Its record.
        reused: Whether it had been measured before this sweep.
    """

    stored: StoredTrial
    reused: bool


class Observer(Protocol):
    """Sees a sweep as it goes."""

    def started(self, number: int, spec: TrialSpec) -> None:
        """Point `number` (from 0) is about to be measured."""

    def progressed(self, progress: Progress) -> None:
        """The point under measurement moved on; about four times a second."""

    def finished(self, number: int, outcome: Outcome) -> None:
        """Point `number` is done."""


def run_grid(
    points: Sequence[tuple[TrialSpec, TrialFiles]],
    store: Store,
    executor: Executor,
    observer: Observer,
    gate: InterruptGate,
    *,
    resume: bool,
) -> Iterator[Outcome]:
    """Yield the outcome of each point, in order, as soon as it is stored.

    Ctrl-C stops it at a running test or between two points, never between a test's end and the outcome's way to the
    caller, who would not count what is on disk.

    Args:
        points: Specs and where their parts lie.
        store: Where records are looked up and kept.
        executor: Measures.
        observer: Told of everything.
        gate: Open while a test runs; closed otherwise.
        resume: Reuse a COMPLETE record of the same spec in the same environment.
    """
    environment_digest = fingerprint_digest(fingerprint())
    for number, (spec, files) in enumerate(points):
        gate.open()
        gate.close()
        found = store.find(spec, environment_digest) if resume else None
        if found is not None:
            outcome = Outcome(found, reused=True)
            observer.finished(number, outcome)
            yield outcome
            continue
        observer.started(number, spec)
        attempt = store.begin(spec, environment_digest)
        request = RunRequest(spec, files, str(attempt.paths.directory))
        result = run_trial(executor, request, attempt.number, observer.progressed, gate)
        outcome = Outcome(store.finish(attempt, result), reused=False)
        observer.finished(number, outcome)
        yield outcome
