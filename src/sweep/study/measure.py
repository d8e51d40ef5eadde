"""The one path of a test, for grids and searches: looked up, else measured and stored."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from sweep.environment import environment_digest
from sweep.gpus import Gpu
from sweep.store.records import Store, StoredTrial
from sweep.study.rejection import Rejection
from sweep.trial.executor import Executor, planned_query_count
from sweep.trial.gpu_lock import GpuLock
from sweep.trial.interrupts import InterruptGate
from sweep.trial.measurement import Progress
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


def _tell_nobody(words: str) -> None:
    del words


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
        gpus: What a test may run on; none for the CPU. It runs on the first, and a record from any of them, or from one
            like it, is a record of that test.
        exact: Whether only a record from one of these very GPUs is, since the test is to compare them.
        say: Told what the user should know meanwhile, in one line.
    """

    store: Store
    executor: Executor
    gate: InterruptGate
    resume: bool
    rejection: Rejection | None = None
    gpus: tuple[Gpu, ...] = ()
    exact: bool = False
    say: Callable[[str], None] = _tell_nobody

    def on(self, gpus: tuple[Gpu, ...], *, exact: bool = False) -> Bench:
        """Return the same bench for tests on other GPUs."""
        return replace(self, gpus=gpus, exact=exact)

    @property
    def gpu(self) -> Gpu | None:
        """What tests run on; None for the CPU."""
        return self.gpus[0] if self.gpus else None

    def pause(self) -> None:
        """Let a signal through that came while none could be."""
        self.gate.open()
        self.gate.close()

    def newest(self, spec: TrialSpec) -> Outcome | None:
        """Return the newest COMPLETE record of a test that is not rejected; None when it is to be measured."""
        if not self.resume:
            return None
        each = (self.store.find(spec, digest, self._counts) for digest in self._environments())
        found = next((one for one in each if one is not None), None)
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
        for stored in (one for digest in self._environments() for one in self.store.attempts(spec, digest)):
            failure = stored.result.failure
            counts = stored.result.state is TrialState.COMPLETE or (failure is not None and failure.is_out_of_memory)
            allowed = only is None or str(stored.directory) in only
            if counts and allowed and self._counts(stored.result) and stored.directory not in used:
                return Outcome(stored, reused=True)
        return None

    def measure(self, spec: TrialSpec, files: TrialFiles, on_progress: Callable[[Progress], None]) -> Outcome:
        """Measure a test and store it, whatever became of it; again, as an attempt of its own, where it is rejected.

        On a GPU it waits until no other sweep tests on that.

        Returns:
            The last attempt: one that stands.

        Raises:
            ConfigError: The output folder cannot be written, or no GPU be reserved.
        """
        self.reserve()
        retries = 0 if self.rejection is None else self.rejection.retries
        for retry in range(retries):
            outcome = self._measure_once(spec, files, on_progress, is_last=False)
            if self.rejection is None or not self.rejection.refuses(outcome.stored.result):
                return outcome
            on_progress(Progress("cooling the GPU down", 0, planned_query_count(spec), None, None, None))
            self.gate.open()
            self.rejection.wait(outcome.stored.result, retry + 1, self.gate.sleep)
            self.gate.close()
        return self._measure_once(spec, files, on_progress, is_last=True)

    def _measure_once(
        self, spec: TrialSpec, files: TrialFiles, on_progress: Callable[[Progress], None], *, is_last: bool
    ) -> Outcome:
        attempt = self.store.begin(spec, environment_digest(self.gpu))
        request = RunRequest(spec, files, str(attempt.paths.directory))
        result = run_trial(self.executor, request, attempt.number, on_progress, self.gate)
        if is_last and self.rejection is not None and self.rejection.refuses(result):
            result = self.rejection.standing(result)
        return Outcome(self.store.finish(attempt, result), reused=False)

    def reserve(self, is_wanted: Callable[[], bool] = lambda: True) -> bool:
        """Have the GPU for the tests that follow, once no other sweep tests on it; return whether it is to be had.

        Args:
            is_wanted: Asked now and then while it waits, which ends when this is False.

        Raises:
            ConfigError: No GPU can be reserved.
            KeyboardInterrupt: It was interrupted.
        """
        if self.gpu == self.executor.gpu:
            return True
        self.executor.release()
        if self.gpu is not None:
            lock = GpuLock(self.gpu)
            if not lock.wait(self.gate, self.say, is_wanted):
                return False
            self.executor.hold(lock)
        return True

    def _environments(self) -> list[str]:
        """Return the digests of all environments whose records count, that of the GPU tests run on first."""
        return list(dict.fromkeys(environment_digest(gpu) for gpu in self.gpus or (None,)))

    def _counts(self, result: TrialResult) -> bool:
        if self.rejection is not None and self.rejection.refuses(result):
            return False
        if not self.exact:
            return True
        own = {gpu.uuid for gpu in self.gpus}
        return all(gpu.get("uuid") in own for gpu in result.environment["gpus"])
