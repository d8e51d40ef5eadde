"""Points on several GPUs at once, in real workers: none holds another, none is lost, each sees its own GPU alone."""

import os
import shutil
import threading
import time
from dataclasses import replace

import pytest
from tests.gpus import card
from tests.study.pools import gpu_of, no_thread_is_left

from sweep.errors import ConfigError, Problem
from sweep.store.records import Store
from sweep.trial import gpu_lock
from sweep.trial.gpu_lock import GpuLock
from sweep.vocabulary import TrialState


def engine(outcome):
    return outcome.stored.result.engine


def test_two_points_run_at_once_each_with_its_own_gpu(pools, two):
    points = [pools.point(two, batch=n, base_ms=10, queries=100) for n in (4, 2)]
    outcomes = pools.run(points)
    assert {gpu_of(one) for one in outcomes.values()} == {gpu.uuid for gpu in two}
    for one in outcomes.values():
        assert one.stored.result.state is TrialState.COMPLETE
        assert engine(one)["CUDA_VISIBLE_DEVICES"] == gpu_of(one)
        assert engine(one)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        (note,) = [note for note in one.stored.result.notes if "under test" in note]
        assert note.startswith("2 GPUs of this machine under test at once")
    first, second = (engine(one)["asked"] for one in outcomes.values())
    assert abs(first - second) < 1.0  # a test takes a second: both were running then
    assert pools.watcher.threads == {threading.main_thread()}
    assert os.environ.get("CUDA_VISIBLE_DEVICES") is None


def test_a_slow_point_does_not_hold_the_others(pools, two):
    points = [pools.point(two, batch=9, base_ms=30, queries=100)]
    points += [pools.point(two, batch=n, queries=20) for n in (4, 3, 2)]
    outcomes = pools.run(points)
    assert sorted(outcomes) == [0, 1, 2, 3]
    assert pools.watcher.done[-1] == 0
    slow = gpu_of(outcomes[0])
    assert [gpu_of(outcomes[number]) == slow for number in (1, 2, 3)] == [False] * 3


def test_one_gpu_runs_in_turn_and_keeps_its_engine(pools, two):
    outcomes = pools.run([pools.point(two[1:], batch=n) for n in (2, 4, 3)])
    assert list(outcomes) == [1, 2, 0]
    assert {gpu_of(one) for one in outcomes.values()} == {two[1].uuid}
    assert [engine(one)["made"] for one in outcomes.values()] == [1, 1, 1]
    assert not [note for one in outcomes.values() for note in one.stored.result.notes if "under test" in note]


def test_an_order_that_alternates_would_have_made_more_engines(pools, two):
    points = [pools.point(two[:1], batch=n, base_ms=ms) for n in (2, 3) for ms in (0.1, 0.2)]
    outcomes = pools.run(points)
    assert max(engine(one)["made"] for one in outcomes.values()) == 2
    digests = {number: one.stored.result.spec_digest for number, one in outcomes.items()}
    assert digests == {number: point.spec.digest for number, point in enumerate(points)}


def test_a_lane_stays_with_its_engine(pools, two):
    points = [pools.point(two, batch=n, base_ms=ms, queries=300) for n in (4, 3, 2) for ms in (1.0, 1.1)]
    outcomes = pools.run(points)
    assert max(engine(one)["made"] for one in outcomes.values()) == 1
    assert len({(gpu_of(one), one.stored.result.spec.backend.options["base_ms"]) for one in outcomes.values()}) == 2


def test_points_pinned_to_gpus_run_there_and_are_not_taken_for_each_other(pools, two):
    points = [pools.point((gpu,), batch=2, exact=True) for gpu in two]
    outcomes = pools.run(points)
    assert [gpu_of(outcomes[number]) for number in (0, 1)] == [gpu.uuid for gpu in two]
    assert not any(one.reused for one in outcomes.values())
    again = pools.run(points)
    assert [(gpu_of(again[number]), again[number].reused) for number in (0, 1)] == [(gpu.uuid, True) for gpu in two]


def test_a_record_of_one_gpu_is_one_of_its_like(pools, gpu_machine):
    gpus = gpu_machine(card(0), card(1), card(2, name="NVIDIA A100"))
    point = pools.point(gpus[:1], batch=2)
    first = pools.run([point])[0]
    assert pools.run([replace(point, gpus=gpus[1:2])])[0].reused
    assert pools.run([replace(point, gpus=(gpus[2], gpus[1]))])[0].stored == first.stored
    other = pools.run([replace(point, gpus=gpus[2:])])[0]
    assert not other.reused
    assert gpu_of(other) == gpus[2].uuid
    assert other.stored.result.environment_digest != first.stored.result.environment_digest


def test_the_same_point_twice_is_measured_once(pools, two):
    outcomes = pools.run([pools.point(two, batch=2, queries=200), pools.point(two, batch=2, queries=200)])
    assert [outcomes[0].reused, outcomes[1].reused] == [False, True]


def test_points_of_the_cpu_follow_those_of_the_pool(pools, two):
    points = [pools.point((), "simulated", batch=2), pools.point(two, batch=3), pools.point(two, batch=2)]
    outcomes = pools.run(points)
    assert pools.watcher.began[-1] == 0
    assert outcomes[0].stored.result.environment["gpus"] == []  # whichever the machine has
    assert "CUDA_VISIBLE_DEVICES" not in engine(outcomes[0])


def test_a_faulty_point_stops_no_other(pools, two):
    points = [pools.point(two, batch=n, fault="crash" if n == 3 else "none") for n in (4, 3, 2)]
    states = {number: str(one.stored.result.state) for number, one in pools.run(points).items()}
    assert states == {0: "COMPLETE", 1: "FAILED", 2: "COMPLETE"}


def test_a_gpu_that_another_sweep_has_holds_no_point(pools, two, monkeypatch):
    """And nobody waits for it once there is nothing left to do."""
    monkeypatch.setattr(gpu_lock, "_PATIENCE_S", 0.0)
    lock = GpuLock(two[0])
    assert lock.take()
    outcomes = pools.run([pools.point(two, batch=n, base_ms=5, queries=100) for n in (4, 3)])
    lock.release()
    assert {gpu_of(one) for one in outcomes.values()} == {two[1].uuid}
    (line,) = pools.watcher.said
    assert line.startswith(f"waiting for GPU 0 (NVIDIA H100): process {os.getpid()} tests on it")


@pytest.mark.parametrize("count", [1, 2])
def test_what_the_sweep_that_it_waited_for_has_measured_is_reused(pools, two, tmp_path, monkeypatch, count):
    gpus, kept = two[:count], pools.store
    points = [pools.point(gpus, batch=n) for n in (4, 3)]
    pools.store = Store(tmp_path / "other")
    pools.run(points)
    pools.store = kept
    wait, arrived = GpuLock.wait, threading.Lock()

    def wait_for_the_other(self, *arguments):
        with arrived:
            shutil.copytree(tmp_path / "other", tmp_path / "outputs", dirs_exist_ok=True)
        return wait(self, *arguments)

    monkeypatch.setattr(GpuLock, "wait", wait_for_the_other)
    outcomes = pools.run(points)
    assert [outcomes[number].reused for number in (0, 1)] == [True, True]
    assert pools.watcher.began == []
    assert pools.watcher.done in ([0, 1], [1, 0])


def test_ctrl_c_drops_the_tests_that_run_and_keeps_what_is_measured(pools, two, ctrl_c, monkeypatch):
    points = [pools.point(two, batch=4), pools.point(two, batch=3, base_ms=20, queries=2000)]
    points.append(pools.point(two, batch=2, base_ms=20, queries=2000))
    kept = {}

    def on_progress(number, progress):
        if number == 2 and progress.phase == "test":
            ctrl_c()

    with pytest.raises(KeyboardInterrupt), pools.gate:
        pools.run(points, kept=kept, on_progress=on_progress)
    assert list(kept) == [0]
    assert len(pools.store.attempts(points[0].spec, kept[0].stored.result.environment_digest)) == 1
    no_thread_is_left()
    begin = time.monotonic()
    assert pools.run(points[:1])[0].reused
    assert time.monotonic() - begin < 5


def test_what_stops_one_lane_stops_all_and_is_told(pools, two, monkeypatch):
    """A folder that is full will not be less full for the others."""
    real = Store.begin

    def begin(store, spec, digest):
        if spec.samples_per_query == 3:
            raise ConfigError(Problem("outputs", "x", "cannot be written"))
        return real(store, spec, digest)

    monkeypatch.setattr(Store, "begin", begin)
    points = [pools.point(two, batch=n, base_ms=20, queries=2000) for n in (4, 3)]
    begin_s = time.monotonic()
    with pytest.raises(ConfigError, match="cannot be written"):
        pools.run(points)
    assert time.monotonic() - begin_s < 20
    no_thread_is_left()
