"""The one path of a test, for grids and searches: looked up, else measured and stored."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from sweep.environment import fingerprint, fingerprint_digest
from sweep.store.records import Store, StoredTrial
from sweep.study.rejection import Rejection
from sweep.trial.executor import Executor, Progress, planned_query_count
from sweep.trial.interrupts import InterruptGate
from sweep.trial.messages import RunRequest, TrialFiles
from sweep.trial.result import TrialResult
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

    Ctrl-C stops it at a running test, between two of them, or while a GPU cools down for another try; never between a
    test's end and the outcome's way to the caller, who would not count what is on disk.

    Attributes:
        store: Where records are looked up and kept.
        executor: Measures.
        gate: Open while a test runs; closed otherwise.
        resume: Whether what was measured before is reused.
        rejection: Measures again what a GPU has disturbed; None leaves it at a mark.
    """

    store: Store
    executor: Executor
    gate: InterruptGate
    resume: bool
    rejection: Rejection | None = None

    @functools.cached_property
    def environment_digest(self) -> str:
        """Of this machine and its software."""
        return fingerprint_digest(fingerprint())

    def pause(self) -> None:
        """Let a signal through that came while none could be."""
        self.gate.open()
        self.gate.close()

    def newest(self, spec: TrialSpec) -> Outcome | None:
        """Return the newest COMPLETE record of a test that is not rejected; None when it is to be measured."""
        found = self.store.find(spec, self.environment_digest, self._stands) if self.resume else None
        return None if found is None else Outcome(found, reused=True)

    def unused(self, spec: TrialSpec, used: Collection[Path], only: Collection[str] | None = None) -> Outcome | None:
        """Return the oldest record of a test that is not among those used already; None when it is to be measured.

        A search may ask for one test several times, and means as many measurements. Of FAILED ones only those count
        that would fail again: out of memory. What is rejected was never told to a search.

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
            if counts and allowed and self._stands(stored.result) and stored.directory not in used:
                return Outcome(stored, reused=True)
        return None

    def measure(self, spec: TrialSpec, files: TrialFiles, on_progress: Callable[[Progress], None]) -> Outcome:
        """Measure a test and store it, whatever became of it; again, as an attempt of its own, where it is rejected.

        Returns:
            The last attempt: one that stands.

        Raises:
            ConfigError: The output folder cannot be written.
        """
        retries = 0 if self.rejection is None else self.rejection.retries
        for retry in range(retries):
            outcome = self._measure_once(spec, files, on_progress, is_last=False)
            if self.rejection is None or not self.rejection.refuses(outcome.stored.result):
                return outcome
            on_progress(Progress("cooling the GPU down", 0, planned_query_count(spec), None, None, None))
            self.gate.open()
            self.rejection.wait(outcome.stored.result, retry + 1)
            self.gate.close()
        return self._measure_once(spec, files, on_progress, is_last=True)

    def _measure_once(
        self, spec: TrialSpec, files: TrialFiles, on_progress: Callable[[Progress], None], *, is_last: bool
    ) -> Outcome:
        attempt = self.store.begin(spec, self.environment_digest)
        request = RunRequest(spec, files, str(attempt.paths.directory))
        result = run_trial(self.executor, request, attempt.number, on_progress, self.gate)
        if is_last and self.rejection is not None and self.rejection.refuses(result):
            result = self.rejection.standing(result)
        return Outcome(self.store.finish(attempt, result), reused=False)

    def _stands(self, result: TrialResult) -> bool:
        return self.rejection is None or not self.rejection.refuses(result)
