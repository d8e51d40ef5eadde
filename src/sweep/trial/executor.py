"""Runs trials in a worker process and watches them: progress, abort, timeout, crash."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sweep.gpus import Gpu
from sweep.paths import AttemptPaths
from sweep.trial.abort import Abort, AbortMonitor
from sweep.trial.gpu_lock import GpuLock, under_test
from sweep.trial.gpu_meter import GpuMeter, GpuMeters
from sweep.trial.interrupts import InterruptGate
from sweep.trial.machine_load import LoadMeter
from sweep.trial.measurement import Measurement, Progress
from sweep.trial.messages import RunRequest, Warmup, warmup_from
from sweep.trial.result import OUT_OF_MEMORY, Failure
from sweep.trial.spec import TrialSpec, percentile_index
from sweep.trial.telemetry import summarised
from sweep.trial.worker_process import WorkerProcess
from sweep.vocabulary import TestMode

_POLL_S = 0.05
_PROGRESS_S = 0.25
_PROGRESS_COST = 100
"""Time between two reports, at least, in times that a report takes: reporting costs one percent of a core at most."""

_LAST_WORDS_CHARACTERS = 2000

_NO_MEMORY = ("MemoryError", "Cannot allocate memory", "bad_alloc", "failed to map segment from shared object")
"""How the last words of a worker end that could not even say that memory had run out."""


@dataclass(frozen=True)
class Timeouts:
    """When a worker counts as hung.

    Attributes:
        load_s: Longest time from the request to the first finished query (engine, samples, the engine's own set-up),
            and while LoadGen does its own work: before its first query (its samples, its list of queries), between
            two sets of samples, and after its last query (its logs).
        query_s: Longest time without a finished query after those, in warm-up and test alike.
    """

    load_s: float
    query_s: float


class Executor:
    """Owns at most one worker; starts it when needed, replaces it when it was lost.

    Its worker sees one GPU, or the machine as it is. What it tests on is kept from other sweeps between tests, too: an
    engine of theirs, idle as it may be, would take memory that a test was to find free.

    Args:
        timeouts: When to give a worker up.
        gpus: Makes the meters of the GPU that its tests run on; None reads none.
    """

    def __init__(self, timeouts: Timeouts, gpus: GpuMeters | None = None) -> None:
        self._timeouts = timeouts
        self._gpus = gpus
        self._worker: WorkerProcess | None = None
        self._meter: LoadMeter | None = None
        self._lock: GpuLock | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def gpu(self) -> Gpu | None:
        """What its tests run on; None for the CPU."""
        return None if self._lock is None else self._lock.gpu

    @property
    def holds_lock(self) -> bool:
        """Whether what its tests run on is kept from other sweeps."""
        return self._lock is not None

    def hold(self, lock: GpuLock) -> None:
        """Have the tests that follow run on what a lock is of, which was taken; it is the executor's from here on."""
        if self._lock is not None or lock.gpu != self.gpu:
            self.release()
        self._lock = lock

    def release(self) -> None:
        """End the worker, and let others have what it ran on; tests that follow run on the CPU."""
        self.drop_worker()
        if self._gpus is not None:
            self._gpus.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def another(self) -> Executor:
        """Return one more like it, to be used and closed in a thread of its own: a worker ends with its thread."""
        return Executor(self._timeouts, None if self._gpus is None else self._gpus.another())

    def measure(
        self,
        request: RunRequest,
        on_progress: Callable[[Progress], None] | None = None,
        gate: InterruptGate | None = None,
    ) -> Measurement:
        """Run one trial to its end, its abort or its failure. Never raises for what happens inside the worker.

        Args:
            request: What to run; its directory exists.
            on_progress: Called about four times a second from this thread.
            gate: Opened when the trial begins, closed as soon as it is over.
        """
        gate = gate or InterruptGate()
        if self._worker is not None and not self._worker.alive:
            self.drop_worker()  # it was killed while it had nothing to do: no fault of this trial
        warm = self._worker is not None
        try:
            worker = self._worker = self._worker or WorkerProcess(self.gpu)
        except OSError as error:
            failure = Failure("error", f"no worker process can be started: {error}", "")
            return Measurement(failure=failure, gpu=self.gpu)
        self._meter = LoadMeter((os.getpid(), worker.pid), self._meter)
        uuid = None if self.gpu is None else self.gpu.uuid
        meter, why_none = (None, "") if self._gpus is None else self._gpus.meter(request.spec, uuid)
        watch = _Watch(worker, request, self._timeouts, self._meter, on_progress, gate, meter)
        watch.seen.worker_was_warm, watch.seen.no_telemetry, watch.seen.gpu = warm, why_none, self.gpu
        before = self._under_test()
        try:
            gate.open()
            worker.send(request)
            watch.until_end()
            watch.seen.gpus_under_test = max(before, self._under_test())
        finally:
            # Whatever went wrong, Ctrl-C included: a worker in the middle of a test serves nobody any more.
            if not watch.worker_is_usable:
                self.drop_worker()
        return watch.seen

    def _under_test(self) -> int:
        return 0 if self.gpu is None else under_test()

    def drop_worker(self) -> None:
        """End the worker; the next test starts a new one."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()


class _Watch:
    """Follows one trial in one worker."""

    def __init__(
        self,
        worker: WorkerProcess,
        request: RunRequest,
        timeouts: Timeouts,
        meter: LoadMeter,
        on_progress: Callable[[Progress], None] | None,
        gate: InterruptGate,
        gpu: GpuMeter | None = None,
    ) -> None:
        self._worker = worker
        self._spec = request.spec
        self._log = AttemptPaths(Path(request.directory)).worker_log
        self._timeouts = timeouts
        self._on_progress = on_progress
        self._gate = gate
        self.seen = Measurement()
        self.worker_is_usable = False
        self._phase = "engine"
        self._monitor: AbortMonitor | None = None
        self._meter = meter
        self._gpu = gpu or GpuMeter()
        self._test_begin = 0.0
        self._last_query_at: float | None = None
        self._last_count = 0
        self._last_progress = 0.0
        self._progress_every_s = _PROGRESS_S
        self._parts: list[npt.NDArray[np.int64]] = []

    def until_end(self) -> None:
        """Return when the trial is over, one way or another."""
        begin = time.perf_counter()
        while True:
            for message in self._worker.events(_POLL_S):
                if self._take(message):
                    return
            if self._worker.ended:
                self._collect()
                self._fail("crash", self._worker.how_it_ended())
                return
            if self._phase == "test" and (abort := self._collect()) is not None:
                self._gate.close()
                self._end_test(time.perf_counter() - self._test_begin)
                # Queries that finished after the decision took no part in it.
                self.seen.latencies_ns = self.seen.latencies_ns[: abort.query_count]
                self.seen.device_ns = self.seen.device_ns[: abort.query_count]
                self.seen.query_count = abort.query_count
                self.seen.abort = abort
                return
            self._meter.sample()
            self._gpu.sample()
            if (overdue := self._overdue(begin)) is not None:
                self._fail("timeout", overdue)
                return
            self._gate.check()

    def _overdue(self, begin: float) -> str | None:
        """Return what has taken too long, if anything has."""
        now = time.perf_counter()
        load_s, query_s = self._timeouts.load_s, self._timeouts.query_s
        if self._last_query_at is None:
            return f"no query finished within {load_s:g} s (timeout.load_s)" if now - begin > load_s else None
        if self._phase == "test" and not self._worker.query_log.started:
            self._last_query_at = now
            late = now - self._test_begin > load_s
            return f"LoadGen sent no query within {load_s:g} s (timeout.load_s)" if late else None
        if self._phase == "test" and self._worker.query_log.between_queries:
            late = now - self._last_query_at > load_s
            return f"LoadGen did not go on within {load_s:g} s of the last query (timeout.load_s)" if late else None
        late = now - self._last_query_at > query_s
        return f"no query finished for {query_s:g} s (timeout.query_s)" if late else None

    def _take(self, message: dict[str, Any]) -> bool:
        """Take one event in; return whether it is the last."""
        match message["event"]:
            case "phase":
                self._phase = message["phase"]
                if self._phase == "warm-up":
                    self._meter.begin()
                    self._gpu.warm_up()
            case "warming":
                self._last_query_at = time.perf_counter()
            case "warm":
                self.seen.warmup = warmup_from(message)
                self.seen.engine_ns = message["engine_ns"]
                self.seen.engine = message["engine"]
                self.seen.expected_latency_ns = message["expected_latency_ns"]
                self._begin_test(self.seen.warmup)
            case "done":
                self._gate.close()
                self._collect()  # nothing is left to abort: LoadGen's own figures judge a test that ran to its end
                self._end_test(message["test_ns"] / 1e9)
                self.seen.query_count = message["query_count"]
                self.worker_is_usable = True
                return True
            case "fault":
                self._collect()
                self._fail(message["kind"], " ".join(message["message"].split()))
                self.worker_is_usable = not message["fatal"]
                return True
        self._report(force=True)
        return False

    def _begin_test(self, warmup: Warmup) -> None:
        spec = self._spec
        self._phase = "test"
        self._test_begin = self._last_query_at = time.perf_counter()
        self._gpu.begin_test()
        target = spec.rules.target_latency_ns
        if target is None or spec.mode is TestMode.ACCURACY:
            return
        count_is_fixed = spec.run.max_query_count == spec.run.min_query_count
        self._monitor = AbortMonitor(
            rule=spec.abort,
            target_latency_ns=target,
            percentile=spec.rules.percentile,
            min_query_count=spec.run.min_query_count,
            allowed=spec.over_latency_allowed(spec.run.min_query_count),
            min_duration_ns=0 if count_is_fixed else spec.run.min_duration_ms * 1_000_000,
            steady=warmup.steady,
        )

    def _collect(self) -> Abort | None:
        """Take the new latencies in; return the reason to abort, if there is one."""
        count = self._worker.query_log.query_count  # goes on where latencies are no longer kept
        if count != self._last_count:
            self._last_query_at, self._last_count = time.perf_counter(), count
        fresh = self._worker.query_log.fresh()
        abort = None
        if fresh.size:
            self._parts.append(fresh)
            if self._monitor is not None:
                abort = self._monitor.observe(fresh.tolist())
        self._report(force=False)
        return abort

    def _end_test(self, test_s: float) -> None:
        gpu = self._gpu.finish()
        self.seen.test_ns = int(test_s * 1e9)
        self.seen.latencies_ns = self._worker.query_log.latencies_ns()
        self.seen.device_ns = self._worker.query_log.device_ns()
        self.seen.query_count = self._worker.query_log.query_count
        self.seen.machine_load = self._meter.finish()
        if gpu is not None:
            self.seen.telemetry_series = gpu.series
            self.seen.telemetry = summarised(gpu, self.seen.query_count * self._spec.samples_per_query)

    def _fail(self, kind: str, message: str) -> None:
        self._gate.close()
        if self._phase == "test":
            self._end_test(time.perf_counter() - self._test_begin)
        words = (_end_of(self._log).strip() or self._worker.startup_words().strip())[-_LAST_WORDS_CHARACTERS:]
        if kind == "crash" and words.rstrip().endswith(_NO_MEMORY):
            kind, message, words = OUT_OF_MEMORY, f"the worker could take no more memory: {words.splitlines()[-1]}", ""
        phase = "" if self._phase == "test" else f" (in phase {self._phase})"
        self.seen.failure = Failure(kind, message + phase, words)

    def _report(self, *, force: bool) -> None:
        now = time.perf_counter()
        if self._on_progress is None or (not force and now - self._last_progress < self._progress_every_s):
            return
        self._last_progress = now
        testing = self._phase == "test"
        latencies = np.concatenate(self._parts) if self._parts else np.zeros(0, np.int64)
        self._parts = [latencies]
        count = latencies.size
        percentile = None
        if count:
            index = percentile_index(count, self._spec.rules.percentile)
            percentile = int(np.partition(latencies, index)[index])
        elapsed = now - self._test_begin if testing else 0.0
        left = max(self._planned() - count, 0)
        by_count = left * float(latencies.mean()) / 1e9 if count else None
        by_duration = max(self._spec.run.min_duration_ms / 1e3 - elapsed, 0.0)
        self._on_progress(
            Progress(
                phase=self._phase,
                query_count=count,
                planned_query_count=self._planned(),
                over_latency_count=None if self._monitor is None else self._monitor.over_latency_count,
                percentile_ns=percentile,
                remaining_s=None if by_count is None else max(by_count, by_duration),
            )
        )
        # The test needs the machine more than the reader needs news.
        self._progress_every_s = max(_PROGRESS_S, _PROGRESS_COST * (time.perf_counter() - now))

    def _planned(self) -> int:
        return planned_query_count(self._spec)


def _end_of(log: Path) -> str:
    """Return the end of a log, which may be of any size; nothing when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4 * _LAST_WORDS_CHARACTERS))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def planned_query_count(spec: TrialSpec) -> int:
    """Return how many queries the whole test has, at least."""
    if spec.mode is TestMode.ACCURACY:
        return -(-spec.dataset.count // spec.samples_per_query)
    return spec.run.min_query_count
