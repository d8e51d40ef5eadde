"""The worker process: keeps an engine and its samples warm over the trials that share them.

Started by `sweep.trial.executor`. It reads one `RunRequest` a line, and answers with events. It ends when its parent
does, when it is told to, or by itself after a fault in the middle of a test, from which LoadGen cannot recover.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn, TextIO

from sweep.backends.base import Array, Backend, EngineRequest
from sweep.backends.registry import backend_class
from sweep.datasets import open_dataset
from sweep.datasets.base import Dataset
from sweep.environment import available_memory_bytes
from sweep.errors import EngineOutOfMemoryError, SweepError, is_out_of_memory
from sweep.loadgen.qsl import SampleStore
from sweep.loadgen.runner import prepared_bytes, run_test
from sweep.loadgen.sut import EngineFaultError, SystemUnderTest, check_answers
from sweep.loadgen.user_conf import LoadGenSettings
from sweep.models.base import changed_file
from sweep.paths import AttemptPaths
from sweep.trial.abort import SteadyState
from sweep.trial.engine_reuse import engine_key, serves
from sweep.trial.messages import RunRequest, Warmup, event
from sweep.trial.query_log import QueryLogWriter
from sweep.trial.result import OUT_OF_MEMORY
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import TestMode

WARMUP_MIN_NS = 50_000_000
WARMUP_SLOW_NS = 1_000_000_000
"""From here on two agreeing queries are enough: slow ones are not repeated until a window of them is full."""
WARMUP_MAX_NS = 10_000_000_000

_HEARTBEAT_NS = 200_000_000

_EXPECTED_PART = 0.8
"""Part of the fastest warm-up query's latency that LoadGen is told to expect."""

FAULT_EXIT_CODE = 70


class Worker:
    """Serves requests one after the other.

    Args:
        events: Where events go, one line each.
        query_log: Where the latencies of a test go.
    """

    def __init__(self, events: TextIO, query_log: QueryLogWriter) -> None:
        self._events = events
        self._query_log = query_log
        self._engine: Backend | None = None
        self._engine_key: object = None
        self._dataset: Dataset | None = None
        self._dataset_key: object = None
        self._store: SampleStore | None = None

    def serve(self, request: RunRequest) -> None:
        """Measure one trial. An error before the test is an event; the worker stays usable."""
        directory = Path(request.directory)
        with _output_to(AttemptPaths(directory).worker_log):
            try:
                self._measure(request, directory)
            except Exception as error:  # noqa: BLE001  (whatever it is, it fails this trial only)
                if backend_class(request.spec.backend.name).uses_gpu:
                    self._die(error)  # most errors of a device leave its context in this process of no use
                traceback.print_exc()
                self._close_engine()
                self._send_fault(error, fatal=False)

    def _measure(self, request: RunRequest, directory: Path) -> None:
        spec = request.spec
        begin = time.perf_counter_ns()
        self._send("phase", phase="engine")
        engine = self._engine_for(request)
        store = self._store_for(request)
        engine_ns = time.perf_counter_ns() - begin

        self._send("phase", phase="warm-up")
        warmup = self._warm_up(engine, spec)
        self._query_log.reset()
        sut = SystemUnderTest(
            engine.run,
            store,
            spec.samples_per_query,
            answers=spec.mode is TestMode.ACCURACY,
            predicts_class=spec.model.predicts_class,
            log=self._query_log,
            on_fault=self._die,
            device_ns=engine.device_ns,
            counted=engine.counts_answers,
        )
        settings = LoadGenSettings(
            model="".join(c if c.isalnum() else "_" for c in spec.model.name),
            samples_per_query=spec.samples_per_query,
            expected_latency_ns=_expected_latency_ns(warmup, request.expected_latency_max_ns),
            percentile=spec.rules.percentile,
            min_query_count=spec.run.min_query_count,
            max_query_count=spec.run.max_query_count,
            min_duration_ms=spec.run.min_duration_ms,
            max_duration_ms=spec.run.max_duration_ms,
            performance_sample_count=spec.dataset.performance_sample_count,
            seeds=spec.seeds,
        )
        needed, available = prepared_bytes(settings, spec.mode), available_memory_bytes()
        if needed > available:
            raise EngineOutOfMemoryError(
                f"LoadGen's list of queries would take {needed / 1e9:.1f} GB, and {available / 1e9:.1f} GB are "
                "available; lower batch, min_query_count or min_duration_ms"
            )
        self._send(
            "warm",
            engine_ns=engine_ns,
            engine=engine.facts(),
            expected_latency_ns=settings.expected_latency_ns,
            **vars(warmup),
        )
        with no_garbage_collection():
            test_begin = time.perf_counter_ns()
            try:
                run_test(settings, spec.mode, spec.dataset.count, directory, store, sut.issue, sut.flush)
            except BaseException as error:  # noqa: BLE001  (after it the next test would end this process)
                self._die(error)
            test_ns = time.perf_counter_ns() - test_begin
        self._send("done", query_count=sut.query_count, test_ns=test_ns)

    def _engine_for(self, request: RunRequest) -> Backend:
        spec = request.spec
        backend = backend_class(spec.backend.name)
        key = engine_key(spec)
        if self._engine is not None and key == self._engine_key and serves(backend, self._engine.request, spec):
            return self._engine
        self._close_engine()
        engine = backend(
            EngineRequest(
                model_path=None if request.files.model_path is None else Path(request.files.model_path),
                inputs=spec.model.inputs,
                predicts_class=spec.model.predicts_class,
                samples_per_query=spec.samples_per_query,
                engine_batch=spec.engine_batch,
                options=spec.backend.options,
                model_digest=spec.model.digest,
                precision=str(spec.precision),
                cache=Path(request.files.cache),
                is_unchanged=lambda: self._changed_file(request) is None,
            )
        )
        self._engine = engine.__enter__()
        self._engine_key = key
        # Asked after the engine has read them: no change before or during that is missed.
        if (changed := self._changed_file(request)) is not None:
            raise SweepError(f"model file {changed} has changed since the sweep began; run the command again")
        return self._engine

    @staticmethod
    def _changed_file(request: RunRequest) -> str | None:
        return changed_file(request.files.model_files, request.spec.model.digest)

    def _store_for(self, request: RunRequest) -> SampleStore:
        key = (request.files.dataset, request.spec.model.inputs)
        if self._dataset is None or key != self._dataset_key:
            self._take_back()
            self._store = None
            self._dataset = open_dataset(request.files.dataset, request.spec.model.inputs, Path(request.files.cache))
            self._dataset_key = key
        if self._dataset.digest != request.spec.dataset.digest:
            raise SweepError(
                f"dataset {request.spec.dataset.name} changed on disk: it was {request.spec.dataset.digest} "
                f"when the sweep began and is {self._dataset.digest} now"
            )
        if self._store is None:
            self._store = SampleStore(self._dataset, self._hand_over, self._take_back)
        needed = request.spec.samples_per_query
        if len(self._store.indices) < needed:
            count = request.spec.dataset.count
            self._store.load([k % count for k in range(needed)])
        else:
            self._store.load(self._store.indices)  # a new engine has not seen them
        return self._store

    def _hand_over(self, samples: Mapping[str, Array]) -> None:
        if self._engine is not None:
            self._engine.load(samples)

    def _take_back(self) -> None:
        if self._engine is not None:
            self._engine.unload()

    def _close_engine(self) -> None:
        engine, self._engine, self._engine_key = self._engine, None, None
        if engine is not None:
            engine.__exit__(None, None, None)

    def _warm_up(self, engine: Backend, spec: TrialSpec) -> Warmup:
        """Run untimed queries until their latency is steady; the test's expected latency comes from here."""
        count = spec.samples_per_query
        steady = SteadyState()
        latencies: list[int] = []
        begin = told = time.perf_counter_ns()
        elapsed = 0
        while True:
            start = time.perf_counter_ns()
            outputs = engine.run(0, count, _nothing)
            now = time.perf_counter_ns()
            latencies.append(now - start)
            counted = engine.counts_answers
            check_answers(outputs, count, -1, predicts_class=spec.model.predicts_class, counted=counted)
            if len(latencies) > 1:  # the first run allocates; it says nothing about the state after it
                steady.observe(latencies[-1])
            elapsed = now - begin
            if len(latencies) == 1 or now - told > _HEARTBEAT_NS:
                self._send("warming", query_count=len(latencies))
                told = now
            settled = steady.reached and elapsed >= WARMUP_MIN_NS
            if settled or elapsed >= WARMUP_MAX_NS or (elapsed >= WARMUP_SLOW_NS and _agree(latencies)):
                break
        newer = sorted(latencies[len(latencies) // 2 :])
        return Warmup(
            query_count=len(latencies),
            steady=steady.reached or _agree(latencies),
            median_latency_ns=newer[len(newer) // 2],
            min_latency_ns=min(latencies),
            duration_ns=elapsed,
        )

    def _die(self, error: BaseException) -> NoReturn:
        """Report a fault and end the process: an exception must never pass through LoadGen."""
        traceback.print_exception(error)
        self._send_fault(error, fatal=True)
        sys.stderr.flush()
        os._exit(FAULT_EXIT_CODE)

    def _send_fault(self, error: BaseException, *, fatal: bool) -> None:
        memory = is_out_of_memory(error)
        known = isinstance(error, (SweepError, EngineFaultError))
        message = str(error) if known else f"{type(error).__name__}: {error}"
        kind = OUT_OF_MEMORY if memory else "error" if known else "unexpected error"
        self._send("fault", kind=kind, message=message, fatal=fatal)

    def _send(self, name: str, /, **fields: object) -> None:
        self._events.write(event(name, **fields) + "\n")
        self._events.flush()


def _expected_latency_ns(warmup: Warmup, most_ns: int | None) -> int:
    """Return what LoadGen is told to expect: less than was measured, or it prepares too few queries to go on with."""
    expected_ns = int(_EXPECTED_PART * warmup.min_latency_ns)
    return max(1, expected_ns if most_ns is None else min(expected_ns, most_ns))


def _nothing() -> None:
    """Stand in for the preparation of responses."""


def _agree(latencies: list[int]) -> bool:
    """Whether the last query was no faster than the one before, the only sign of steadiness that few queries give."""
    return len(latencies) > 2 and latencies[-1] >= 0.9 * latencies[-2]


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Keep collections out of the latencies: nothing the test allocates is cyclic."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send what this process and its libraries print to the trial's own log, and work in the trial's own folder."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(2)
    with path.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.chdir(before)
        os.dup2(kept, 1)
        os.dup2(kept, 2)
        os.close(kept)


def _end_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends, so that no orphan loads the machine."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def main() -> None:
    """Serve requests from descriptor `--requests` until it is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--query-log", type=int, required=True)
    arguments = parser.parse_args()
    _end_with_parent()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    lines: list[str | None] = []
    arrived = threading.Condition()

    def listen() -> None:
        with os.fdopen(arguments.requests, "r", encoding="utf-8") as requests:
            for line in requests:
                with arrived:
                    lines.append(line)
                    arrived.notify()
        os._exit(0)  # the parent is gone or done: end now, even in the middle of a test

    threading.Thread(target=listen, daemon=True).start()
    with os.fdopen(arguments.events, "w", encoding="utf-8") as events:
        worker = Worker(events, QueryLogWriter(arguments.query_log))
        while True:
            with arrived:
                arrived.wait_for(lambda: bool(lines))
                line = lines.pop(0)
            worker.serve(RunRequest.from_json(str(line)))


if __name__ == "__main__":
    main()
