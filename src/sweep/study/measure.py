"""The one path of a test, for grids and searches: looked up, else measured and stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from sweep.environment import environment_digest, environment_digests
from sweep.errors import ConfigError
from sweep.gpus import Gpu
from sweep.store.records import Store, StoredTrial
from sweep.study.rejection import Rejection
from sweep.trial.executor import Executor, planned_query_count
from sweep.trial.gpu_lock import GpuLock
from sweep.trial.idle import BusyLock, BusyOptions, Neighbours, wait_for_idle
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

    Ctrl-C stops it at a running test, between two of them, or while it waits for the machine to be fit; never between a
    test's end and the outcome's way to the caller, who would not count what is on disk.

    Attributes:
        store: Where records are looked up and kept.
        executor: Measures.
        gate: Open while a test runs; closed otherwise.
        resume: Whether what was measured before is reused.
        rejection: Measures again what was disturbed; None leaves it at a mark.
        gpus: What a test may run on; none for the CPU. It runs on the first, and a record from any of them, or from one
            like it, is a record of that test.
        exact: Whether only a record from one of these very GPUs is, since the test is to compare them.
        say: Told what the user should know meanwhile, in one line.
        busy: What is done about other processes on the machine, and other sweeps; None for nothing.
        neighbours: Says, once for a command, who is on the machine with it.
    """

    store: Store
    executor: Executor
    gate: InterruptGate
    resume: bool
    rejection: Rejection | None = None
    gpus: tuple[Gpu, ...] = ()
    exact: bool = False
    say: Callable[[str], None] = _tell_nobody
    busy: BusyOptions | None = None
    neighbours: Neighbours = field(default_factory=Neighbours)

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

    def tested(self, spec: TrialSpec) -> list[int]:
        """Return the N of which there may be records of a test, ascending; none where records are not reused."""
        return self.store.tested(spec) if self.resume else []

    def measure(self, spec: TrialSpec, files: TrialFiles, on_progress: Callable[[Progress], None]) -> Outcome:
        """Measure a test and store it, whatever became of it; again, as an attempt of its own, where it is rejected.

        It waits until no other sweep tests on the same GPU, or on the CPU, and for an idle machine where it is told to.

        Returns:
            The last attempt: one that stands.

        Raises:
            ConfigError: The output folder cannot be written, or no GPU be reserved.
        """
        self.reserve()

        def waiting(words: str) -> None:
            on_progress(Progress(words, 0, planned_query_count(spec), None, None, None))
            self.gate.open()

        if self.busy is not None and self.busy.wait_s:
            waiting("waiting for an idle machine")
            wait_for_idle(self.busy.wait_s, self.say, self.gate.sleep)
            self.gate.close()
        spent: Counter[str] = Counter()  # by the group of keys that asked for another try
        tries = 0
        while True:
            tries += 1
            attempt = self.store.begin(spec, environment_digest(self.gpu))
            request = RunRequest(spec, files, str(attempt.paths.directory))
            result = run_trial(self.executor, request, attempt.number, on_progress, self.gate)
            again = () if self.rejection is None else self.rejection.retry(result, spent)
            if not again and self.rejection is not None and self.rejection.refuses(result):
                result = self.rejection.standing(result, tries)
            outcome = Outcome(self.store.finish(attempt, result), reused=False)
            if self.rejection is None or not again:
                return outcome
            for demand in again:
                spent[demand.group] += 1
                waiting(demand.waiting)
                self.rejection.wait(result, demand, spent[demand.group], self.gate.sleep)
                self.gate.close()

    @property
    def is_reserved(self) -> bool:
        """Whether the tests that follow can begin: what they run on is this sweep's, or may be shared."""
        is_at_hand = self.gpu == self.executor.gpu
        return is_at_hand and (self.gpu is not None or self.busy is None or self.executor.holds_lock)

    def reserve(self, is_wanted: Callable[[], bool] = lambda: True) -> bool:
        """Have the GPU, or the CPU, for the tests that follow, once no other sweep tests on it; return whether.

        On the CPU `busy.lock=ignore` waits for nobody. A machine on which there can be no lock for the CPU is told, and
        no more: others disturb a test there, and are seen, but break none.

        Args:
            is_wanted: Asked now and then while it waits, which ends when this is False.

        Raises:
            ConfigError: No GPU can be reserved.
            KeyboardInterrupt: It was interrupted.
        """
        if self.is_reserved:
            return True
        if self.gpu != self.executor.gpu:
            self.executor.release()
        if self.gpu is None:
            self._reserve_cpu()
        else:
            lock = GpuLock(self.gpu)
            if not lock.wait(self.gate, self.say, is_wanted):
                return False
            self.executor.hold(lock)
        if self.busy is not None and not self.busy.wait_s:
            self.neighbours.look(self.say)  # now, when the sweeps that it waited for are gone
        return True

    def _reserve_cpu(self) -> None:
        if self.busy is None:
            return
        lock, beside = GpuLock(None), ""
        try:
            if self.busy.lock is BusyLock.WAIT:
                lock.wait(self.gate, self.say)
            elif not lock.take():
                beside = f"{lock.holder} tests on the CPU as well: each may disturb the other (busy.lock=ignore)"
        except ConfigError as error:
            beside = f"other sweeps on the CPU are not waited for: {error.problems[0]}"
        if beside:
            self.neighbours.say_once(f"note: {beside}", self.say)
        else:
            self.executor.hold(lock)

    def _environments(self) -> list[str]:
        """Return the digests of all environments whose records count, that of the GPU tests run on first."""
        return list(dict.fromkeys(digest for gpu in self.gpus or (None,) for digest in environment_digests(gpu)))

    def _counts(self, result: TrialResult) -> bool:
        if self.rejection is not None and self.rejection.refuses(result):
            return False
        if not self.exact:
            return True
        own = {gpu.uuid for gpu in self.gpus}
        return all(gpu.get("uuid") in own for gpu in result.environment["gpus"])
