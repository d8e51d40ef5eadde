"""The one path of a test, for grids and searches: looked up, else measured and stored."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from sweep.environment import fingerprint, fingerprint_digest
from sweep.store.records import Store, StoredTrial
from sweep.trial.executor import Executor, Progress
from sweep.trial.interrupts import InterruptGate
from sweep.trial.messages import RunRequest, TrialFiles
from sweep.trial.spec import TrialSpec
from sweep.trial.trial import run_trial
from sweep.vocabulary import TrialState


@dataclass(frozen=True)
class Outcome:
    """One test, done.

    Attributes:
        stored: Its record.
        reused: Whether it had been measured before.
    """

    stored: StoredTrial
    reused: bool


@dataclass(frozen=True)
class Bench:
    """Where tests are measured and kept.

    Ctrl-C stops it at a running test or between two of them, never between a test's end and the outcome's way to the
    caller, who would not count what is on disk.

    Attributes:
        store: Where records are looked up and kept.
        executor: Measures.
        gate: Open while a test runs; closed otherwise.
        resume: Whether what was measured before is reused.
    """

    store: Store
    executor: Executor
    gate: InterruptGate
    resume: bool

    @functools.cached_property
    def environment_digest(self) -> str:
        """Of this machine and its software."""
        return fingerprint_digest(fingerprint())

    def pause(self) -> None:
        """Let a signal through that came while none could be."""
        self.gate.open()
        self.gate.close()

    def newest(self, spec: TrialSpec) -> Outcome | None:
        """Return the newest COMPLETE record of a test; None when it is to be measured."""
        found = self.store.find(spec, self.environment_digest) if self.resume else None
        return None if found is None else Outcome(found, reused=True)

    def unused(self, spec: TrialSpec, used: Collection[Path], only: Collection[str] | None = None) -> Outcome | None:
        """Return the oldest record of a test that is not among those used already; None when it is to be measured.

        A search may ask for one test several times, and means as many measurements. Of FAILED ones only those count
        that would fail again: out of memory.

        Args:
            spec: Of the test.
            used: Folders of the records used already.
            only: Folders of those that may be used; None for all.
        """
        if not self.resume:
            return None
        for stored in self.store.attempts(spec, self.environment_digest):
            failure = stored.result.failure
            counts = stored.result.state is TrialState.COMPLETE or (failure is not None and failure.is_out_of_memory)
            allowed = only is None or str(stored.directory) in only
            if counts and allowed and stored.directory not in used:
                return Outcome(stored, reused=True)
        return None

    def measure(self, spec: TrialSpec, files: TrialFiles, on_progress: Callable[[Progress], None]) -> Outcome:
        """Measure a test and store it, whatever became of it.

        Raises:
            ConfigError: The output folder cannot be written.
        """
        attempt = self.store.begin(spec, self.environment_digest)
        request = RunRequest(spec, files, str(attempt.paths.directory))
        result = run_trial(self.executor, request, attempt.number, on_progress, self.gate)
        return Outcome(self.store.finish(attempt, result), reused=False)
