"""The executor against real workers: whatever happens to one, one trial FAILED and the next one runs."""

import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sweep import paths
from sweep.models.base import FileState
from sweep.trial import executor as executor_module
from sweep.trial.executor import Executor, Timeouts
from sweep.trial.interrupts import InterruptGate
from sweep.trial.machine_load import LoadMeter
from sweep.trial.measurement import Measurement
from sweep.trial.messages import RunRequest
from sweep.trial.result import OUT_OF_MEMORY, Failure
from sweep.trial.trial import run_trial
from sweep.vocabulary import AbortRule

TIMEOUTS = Timeouts(load_s=30, query_s=2)


@pytest.fixture(scope="module")
def executor():
    """One executor for all tests: each also shows that the fault before it did no harm."""
    with Executor(TIMEOUTS) as shared:
        yield shared


def test_a_whole_test_leaves_loadgens_logs_and_every_latency(executor, simulated, request_for):
    request = request_for(simulated(queries=60))
    seen = executor.measure(request)
    assert seen.failure is None
    assert seen.abort is None
    assert seen.query_count == len(seen.latencies_ns) == 60
    assert (seen.latencies_ns >= 190_000).all()
    names = {entry.name for entry in os.scandir(request.directory)}
    assert {"mlperf_log_summary.txt", "mlperf_log_detail.txt", "user.conf", "worker.log"} <= names


def test_a_model_file_that_changes_under_a_sweep_fails_the_trial(executor, simulated, request_for, tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"one")
    request = request_for(simulated(base_ms=0.12))
    seen_before = FileState.of(file, file.stat())
    request = replace(request, files=replace(request.files, model_files=(seen_before,)))
    file.write_bytes(b"another")
    seen = executor.measure(request)
    assert seen.failure is not None
    assert f"{file} has changed since the sweep began" in seen.failure.message
    assert seen.query_count == 0


def test_a_worker_that_was_killed_while_idle_is_replaced(executor, simulated, request_for):
    executor.measure(request_for(simulated()))
    os.kill(executor._worker.pid, signal.SIGKILL)
    executor._worker._process.wait()
    seen = executor.measure(request_for(simulated()))
    assert seen.failure is None
    assert not seen.worker_was_warm


def test_a_worker_that_reads_nothing_is_a_hang_of_its_own(simulated, request_for):
    """A request larger than a pipe must not stop the parent, which has a timeout to keep."""
    request = request_for(simulated())
    request = replace(request, files=replace(request.files, cache="x" * 300_000))
    with Executor(Timeouts(load_s=1, query_s=1)) as hasty:
        hasty.measure(request_for(simulated()))
        os.kill(hasty._worker.pid, signal.SIGSTOP)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(hasty.measure(request)), daemon=True)
        thread.start()
        thread.join(timeout=20)
    assert seen, "the parent hangs"
    assert seen[0].failure is not None
    assert seen[0].failure.kind == "timeout"


def test_a_request_larger_than_a_pipe_arrives(executor, simulated, request_for):
    request = request_for(simulated())
    seen = executor.measure(replace(request, files=replace(request.files, cache="x" * 300_000)))
    assert seen.failure is None
    assert seen.query_count == 50


def test_a_worker_that_closes_its_events_and_stays_is_ended(simulated, request_for):
    from sweep.trial import worker_process

    before = worker_process.own_python, worker_process._EXIT_S
    program = "import os, time; os.closerange(3, 65536); time.sleep(60)"
    worker_process.own_python = lambda _module: [sys.executable, "-c", program]
    worker_process._EXIT_S = 0.2
    try:
        with Executor(TIMEOUTS) as other:
            seen = other.measure(request_for(simulated()))
    finally:
        worker_process.own_python, worker_process._EXIT_S = before
    assert seen.failure is not None
    assert "did not exit" in seen.failure.message


def test_a_worker_that_cannot_be_started_fails_the_trial(simulated, request_for, monkeypatch):
    from sweep.trial import worker_process

    def refuse(*_, **__):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(worker_process.subprocess, "Popen", refuse)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with Executor(TIMEOUTS) as other:
        seen = other.measure(request_for(simulated()))
    assert seen.failure is not None
    assert "no worker process can be started" in seen.failure.message
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_the_modules_of_the_working_directory_are_not_the_workers(simulated, request_for, tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise RuntimeError('not the one')")
    (tmp_path / "sweep.py").write_text("raise RuntimeError('not the one')")
    monkeypatch.chdir(tmp_path)
    with Executor(TIMEOUTS) as other:
        assert other.measure(request_for(simulated())).failure is None


def test_a_worker_runs_its_parents_own_sweep(simulated, request_for, tmp_path, monkeypatch):
    """Of two checkouts, the other is the one that is installed: its code must not measure under this one's name."""
    package = tmp_path / "sweep"
    shutil.copytree(paths.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    worker = package / "trial" / "worker.py"
    worker.write_text(worker.read_text().replace("check_answers(outputs, count, -1", "raise SweepError('the copy') #"))
    monkeypatch.setattr(paths, "PACKAGE", package)
    with Executor(TIMEOUTS) as other:
        seen = other.measure(request_for(simulated()))
    assert seen.failure is not None
    assert "the copy" in seen.failure.message


def test_a_worker_ended_by_a_signal_without_a_name(simulated, request_for):
    with Executor(TIMEOUTS) as other:
        other.measure(request_for(simulated()))
        worker = other._worker
        os.kill(worker.pid, 40)
        worker._process.wait()
        assert worker.how_it_ended() == "worker was ended by signal 40"


def test_a_worker_that_does_not_die_is_left_behind(simulated, request_for, monkeypatch):
    """One that hangs in a driver is beyond SIGKILL; the sweep goes on without it."""
    from sweep.trial import worker_process

    monkeypatch.setattr(worker_process, "_EXIT_S", 0.2)
    with Executor(TIMEOUTS) as other:
        other.measure(request_for(simulated()))
        process = other._worker._process
        process.send_signal(signal.SIGSTOP)  # or it would end by itself, sooner or later, once its pipes are closed
        with monkeypatch.context() as patch:
            patch.setattr(process, "kill", lambda: None)
            other.drop_worker()
        assert process.poll() is None
        assert other.measure(request_for(simulated())).failure is None
        process.kill()
        process.wait()


def test_queries_beyond_those_kept_are_signs_of_life(simulated, request_for, monkeypatch):
    from sweep.trial import query_log

    reader = query_log.QueryLogReader()
    writer = query_log.QueryLogWriter(reader.descriptor)
    monkeypatch.setattr(query_log, "CAPACITY", 2)
    watch = executor_module._Watch(
        SimpleNamespace(query_log=reader), request_for(simulated()), TIMEOUTS, LoadMeter(()), None, InterruptGate()
    )
    watch._phase = "test"
    writer.start()
    seen = []
    for _ in range(4):
        writer.record(1000)
        watch._last_query_at = 0.0
        watch._collect()
        seen.append(watch._last_query_at > 0)
    assert seen == [True] * 4
    assert len(reader.latencies_ns()) == 2
    reader.close()


def test_the_load_meter_begins_with_the_warm_up_and_knows_the_worker(simulated, request_for, monkeypatch):
    """Loading an engine is no load of the test; the worker's own work is none of others."""
    made, told, begun = [], [], []

    class Meter(LoadMeter):
        def __init__(self, pids, before):
            made.append((pids, before))
            super().__init__(pids, before)

        def begin(self):
            begun.append(told[-1].phase)
            super().begin()

    monkeypatch.setattr(executor_module, "LoadMeter", Meter)
    with Executor(TIMEOUTS) as other:
        other.measure(request_for(simulated()), told.append)
        first = other._meter
        other.measure(request_for(simulated()), told.append)
        pids = os.getpid(), other._worker.pid
    assert made == [(pids, None), (pids, first)]
    assert begun == ["engine", "engine"]  # the last that was told; the next is the warm-up


def test_latencies_of_the_test_before_are_gone(executor, simulated, request_for):
    """Else its queries would count as this test's, and could end it."""
    executor.measure(request_for(simulated(queries=500)))
    executor._worker.send(request_for(simulated(fault="throw", fault_at=0)))
    assert executor._worker.query_log.query_count == 0
    assert not executor._worker.query_log.started
    executor.drop_worker()


def test_the_load_is_measured_from_the_warm_up_on(executor, simulated, request_for):
    """A hopeless test is over in no time; whether the machine was busy must be known all the same."""
    seen = executor.measure(request_for(simulated(queries=1440, target_ms=1.0, base_ms=30.0)))
    assert seen.abort is not None
    assert seen.machine_load is not None
    assert seen.machine_load.busy in (True, False)


def test_an_aborted_test_has_the_queries_of_its_decision(executor, simulated, request_for):
    seen = executor.measure(request_for(simulated(queries=100_000, target_ms=0.01)))
    assert seen.abort is not None
    assert len(seen.latencies_ns) == seen.query_count == seen.abort.query_count


def test_loadgens_own_work_after_the_last_query_is_no_hang(simulated, request_for, monkeypatch):
    """It sorts and writes its logs; between two sets of samples it loads the next."""
    from sweep.trial.query_log import QueryLogReader, QueryLogWriter

    reader = QueryLogReader()
    writer = QueryLogWriter(reader.descriptor)
    timeouts = Timeouts(load_s=100, query_s=5)
    watch = executor_module._Watch(
        SimpleNamespace(query_log=reader), request_for(simulated()), timeouts, LoadMeter(()), None, InterruptGate()
    )
    now = time.perf_counter()
    watch._phase, watch._test_begin, watch._last_query_at = "test", now - 10, now - 10
    writer.start()
    writer.record(1000)
    assert "timeout.query_s" in watch._overdue(now - 10)
    writer.flushed()
    assert watch._overdue(now - 10) is None
    watch._last_query_at = now - 101
    assert "timeout.load_s" in watch._overdue(now - 10)
    watch._last_query_at = now - 10
    writer.record(1000)  # it goes on with the next set
    assert "timeout.query_s" in watch._overdue(now - 10)
    reader.close()


def test_more_queries_than_memory_can_list_fail_before_loadgen_runs(executor, simulated, request_for):
    spec = simulated()
    spec = replace(spec, run=replace(spec.run, min_query_count=10**9))
    seen = executor.measure(request_for(spec))
    assert seen.failure is not None
    assert seen.failure.kind == "out of memory"
    assert "LoadGen's list of queries would take 7" in seen.failure.message  # 734 GB
    assert executor.measure(request_for(simulated())).worker_was_warm


def test_what_loadgen_prepares_is_no_hang(simulated, request_for):
    """A million queries take it about a second, in which none can finish."""
    spec = simulated(base_ms=20.0, target_ms=1e-6)  # the first query would end the test
    with Executor(Timeouts(load_s=30, query_s=0.4)) as hasty:
        seen = hasty.measure(request_for(replace(spec, run=replace(spec.run, min_query_count=10**6))))
    assert seen.failure is None
    assert seen.abort is not None
    with Executor(Timeouts(load_s=0.4, query_s=30)) as hasty:
        seen = hasty.measure(request_for(replace(spec, run=replace(spec.run, min_query_count=5 * 10**6))))
    assert seen.failure is not None
    assert "(timeout.load_s)" in seen.failure.message


def test_expected_latency_is_measured(executor, simulated, request_for):
    seen = executor.measure(request_for(simulated(base_ms=3.0)))
    assert seen.warmup is not None
    assert 0.5 * seen.warmup.min_latency_ns < seen.expected_latency_ns < seen.warmup.min_latency_ns


def test_the_worker_stays_warm(executor, simulated, request_for):
    executor.measure(request_for(simulated()))
    assert executor.measure(request_for(simulated(batch=3))).worker_was_warm


def test_a_hopeless_test_is_stopped_and_keeps_its_evidence(executor, simulated, request_for):
    begin = time.perf_counter()
    seen = executor.measure(request_for(simulated(queries=1440, target_ms=5.0, base_ms=30.0)))
    assert seen.failure is None
    assert seen.abort is not None
    assert seen.abort.rule is AbortRule.CONFIDENT
    assert len(seen.latencies_ns) >= 5
    assert time.perf_counter() - begin < 15  # 1440 queries would take 43 s


def test_abort_never_runs_to_the_end(executor, simulated, request_for):
    seen = executor.measure(request_for(simulated(queries=60, target_ms=0.1, abort=AbortRule.NEVER)))
    assert seen.abort is None
    assert seen.query_count == 60


def test_no_bound_no_abort(executor, simulated, request_for):
    """Under rules without the constraint nothing is hopeless."""
    seen = executor.measure(request_for(simulated(queries=60, target_ms=None, checks=("min_queries", "no_errors"))))
    assert seen.abort is None
    assert seen.query_count == 60


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("throw", "error", "simulated fault"),
        ("nan", "error", "NaN or infinite"),
        ("short", "error", "answered 1 of 2 samples"),
        ("crash", "crash", "SIGSEGV"),
        ("hang", "timeout", "timeout.query_s"),
    ],
)
def test_a_fault_in_the_middle_of_a_test_fails_that_trial_only(executor, simulated, request_for, fault, kind, words):
    # Warm-up takes some tens of queries; the fault comes well after it.
    spec = simulated(queries=5000, fault=fault, fault_at=1000)
    seen = executor.measure(request_for(spec))
    assert seen.failure is not None
    assert seen.failure.kind == kind
    assert words in seen.failure.message
    assert seen.query_count > 0
    after = executor.measure(request_for(simulated()))
    assert after.failure is None


@pytest.mark.parametrize("fault", ["throw", "nan", "short"])
def test_a_fault_before_the_test_leaves_the_worker_usable(executor, simulated, request_for, fault):
    seen = executor.measure(request_for(simulated(fault=fault, fault_at=0)))
    assert seen.failure is not None
    assert seen.query_count == 0
    assert executor.measure(request_for(simulated())).worker_was_warm


def test_out_of_memory_is_said_with_the_sizes(executor, simulated, request_for):
    seen = executor.measure(request_for(simulated(batch=8, max_batch=4)))
    assert seen.failure is not None
    assert seen.failure.kind == "out of memory"
    assert "engine batch 8, room for 4" in seen.failure.message


@pytest.mark.parametrize(("warm", "tries"), [(True, 2), (False, 1)])
def test_out_of_memory_of_a_worker_that_had_served_others_is_tried_in_a_new_one(request_for, simulated, warm, tries):
    """Fails where what earlier tests left in a worker decides how large a test may be."""
    request, dropped = request_for(simulated()), []
    seen = [
        Measurement(failure=Failure(OUT_OF_MEMORY, "no room", ""), worker_was_warm=warm),
        Measurement(failure=Failure(OUT_OF_MEMORY, "still none", "")),
    ]
    left = list(seen)
    executor = SimpleNamespace(measure=lambda *_: left.pop(0), drop_worker=lambda: dropped.append(True))
    result = run_trial(executor, request, 1)
    assert len(seen) - len(left) == tries
    assert len(dropped) == tries - 1
    assert result.failure.message == ("still none" if warm else "no room")


def test_a_late_engine_is_over_latency_not_valid(executor, simulated, request_for):
    """From the fault on every query takes a second: the test is stopped, by evidence."""
    seen = executor.measure(request_for(simulated(queries=600, target_ms=100.0, fault="late", fault_at=200)))
    assert seen.abort is not None
    assert seen.abort.over_latency_count >= 5


def test_a_killed_worker_is_one_failed_trial(executor, simulated, request_for):
    request = request_for(simulated(queries=100_000))
    result = []
    thread = threading.Thread(target=lambda: result.append(executor.measure(request)))
    # The worker must outlive the thread that starts it: start it here.
    executor.measure(request_for(simulated()))
    thread.start()
    time.sleep(1.5)
    os.kill(executor._worker.pid, signal.SIGKILL)
    thread.join(timeout=20)
    assert result[0].failure.kind == "crash"
    assert "SIGKILL" in result[0].failure.message
    assert 0 < len(result[0].latencies_ns) < 100_000
    assert executor.measure(request_for(simulated())).failure is None


def test_a_worker_that_prints_does_not_disturb_the_protocol(executor, simulated, request_for):
    """Libraries print what they like: it lands in the trial's log."""
    request = request_for(simulated(fault="throw", fault_at=0))
    executor.measure(request)
    assert "simulated fault" in (Path(request.directory) / "worker.log").read_text()


def test_a_dataset_that_changed_on_disk_fails_the_trial(executor, simulated, request_for):
    request = request_for(simulated())
    spec = request.spec
    changed = replace(spec, dataset=replace(spec.dataset, digest="sha256:something-else"))
    seen = executor.measure(RunRequest(changed, request.files, request.directory))
    assert seen.failure is not None
    assert "changed on disk" in seen.failure.message


def test_progress_is_told(executor, simulated, request_for):
    told = []
    executor.measure(request_for(simulated(queries=3000)), told.append)
    assert {progress.phase for progress in told} >= {"warm-up", "test"}
    assert any(progress.percentile_ns for progress in told)
    counts = [progress.query_count for progress in told if progress.phase == "test"]
    assert counts == sorted(counts)


def test_latencies_agree_with_loadgens_own(executor, simulated, request_for):
    """Ours end just before the response: never longer than LoadGen's, and by little shorter."""
    from sweep.loadgen.logs import parse_summary

    request = request_for(simulated(queries=300, noise=0.2))
    seen = executor.measure(request)
    summary = parse_summary(Path(request.directory) / "mlperf_log_summary.txt")
    ours = np.sort(seen.latencies_ns)
    assert ours[0] <= summary.query_latency.min_ns
    assert ours[-1] <= summary.query_latency.max_ns
    assert summary.query_latency.max_ns - ours[-1] < 5_000_000
