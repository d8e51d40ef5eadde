"""A pool in which one GPU gets hot: each lane reads its own, waits for it alone, and measures again what it spoilt."""

import threading
import time
from dataclasses import replace

import pytest
from tests.gpu_doubles import COOL, HOT, FakeGpu
from tests.study.pools import gpu_of, no_thread_is_left

from sweep.environment import environment_digest
from sweep.study import rejection
from sweep.study.rejection import KEPT, Rejection
from sweep.trial import cooldown
from sweep.trial.gpu_meter import GpuMeters, TelemetryOptions

OPTIONS = TelemetryOptions(enabled=True, interval_s=0.05, reject=True, cooldown_s=60, retries=2)
COOLING = "cooling the GPU down"


class Rig:
    """A pool of the machine's GPUs, each with a double that NVML finds by its identity, and cool if not `heated`."""

    def __init__(self, pools, gpus):
        self._pools = pools
        self.gpus = gpus
        self.nvml = {gpu.uuid: FakeGpu(uuid=gpu.uuid) for gpu in gpus}
        self.cooled = []
        self.still_hot = 2
        """How many more readings a GPU is hot for, once its test is over."""

    def heat(self, gpu):
        self.nvml[gpu.uuid].readings = [HOT]

    def points(self, **options):
        return [self._pools.point(self.gpus, batch=n, base_ms=10, queries=100, **options) for n in (4, 2)]

    def run(self, points, options=OPTIONS, **more):
        meters = GpuMeters(options, self.nvml.__getitem__)
        return self._pools.run(points, meters=meters, rejection=lambda say: Rejection.wanted(options, say), **more)

    def to_cool(self, uuid):
        """Open a GPU for the cool-down."""
        self.cooled.append(uuid)
        gpu = self.nvml[uuid]
        gpu.readings = [HOT] * self.still_hot + [COOL]
        return gpu

    def attempts(self, point):
        return [one.result for one in self._pools.store.attempts(point.spec, environment_digest(self.gpus[0]))]


@pytest.fixture
def rig(pools, two, monkeypatch):
    rig = Rig(pools, two)
    monkeypatch.setattr(rejection, "open_gpu", rig.to_cool)
    monkeypatch.setattr(cooldown, "SETTLED_S", 0.0)
    monkeypatch.setattr(cooldown, "LOOK_S", 0.01)
    return rig


def test_the_gpu_that_was_throttled_measures_again_and_the_other_one_does_not(rig, pools):
    hot, cool = rig.gpus
    rig.heat(hot)
    points = rig.points()
    outcomes = rig.run(points)
    assert {gpu_of(one) for one in outcomes.values()} == {hot.uuid, cool.uuid}
    tries = {gpu_of(outcomes[number]): rig.attempts(point) for number, point in enumerate(points)}
    assert [one.telemetry.throttled for one in tries[hot.uuid]] == [True, False]
    assert [one.telemetry.throttled for one in tries[cool.uuid]] == [False]
    for uuid, results in tries.items():
        assert {result.telemetry.uuid for result in results} == {uuid}
        assert {result.environment["gpus"][0]["uuid"] for result in results} == {uuid}
    for outcome in outcomes.values():
        assert not outcome.reused
        assert not outcome.stored.result.telemetry.disturbed
        assert not [note for note in outcome.stored.result.notes if note.startswith(("throttled", KEPT))]
    assert rig.cooled == [hot.uuid]
    assert [rig.nvml[gpu.uuid].closed for gpu in rig.gpus] == [2, 1]  # by the lane, and by the cool-down
    (line,) = pools.watcher.said
    assert line.startswith(f"{hot}: throttled GPU: ")
    assert "measured again (1 of 2)" in line
    assert pools.watcher.threads == {threading.main_thread()}
    again = rig.run(points)
    assert all(one.reused for one in again.values())
    assert {n: one.stored for n, one in again.items()} == {n: one.stored for n, one in outcomes.items()}


def test_where_every_try_is_disturbed_the_last_one_stands_and_is_reused(rig):
    rig.still_hot = 10**6
    hot = rig.gpus[0]
    rig.heat(hot)
    points = rig.points()
    options = replace(OPTIONS, cooldown_s=0.05)
    outcomes = rig.run(points, options)
    (kept,) = [one for one in outcomes.values() if gpu_of(one) == hot.uuid]
    assert kept.stored.result.attempt == 3
    assert kept.stored.result.notes[-1].startswith(KEPT)
    assert rig.cooled == [hot.uuid] * 2
    again = rig.run(points, options)
    assert {n: (one.stored, one.reused) for n, one in again.items()} == {
        n: (one.stored, True) for n, one in outcomes.items()
    }


def test_a_pool_reuses_no_record_that_is_rejected(rig):
    hot = rig.gpus[0]
    rig.heat(hot)
    points = rig.points()
    marked = rig.run(points, replace(OPTIONS, reject=False))
    assert rig.cooled == []
    spoilt = {number: gpu_of(one) == hot.uuid for number, one in marked.items()}
    assert {one.stored.result.telemetry.disturbed for one in marked.values()} == {True, False}
    rig.nvml[hot.uuid].readings = [COOL]
    again = rig.run(points)
    assert {number: not one.reused for number, one in again.items()} == spoilt
    assert not any(one.stored.result.telemetry.disturbed for one in again.values())


@pytest.mark.parametrize("handled_s", [0.0, 0.3])  # at a bad moment the handler ends after the main thread's look
def test_ctrl_c_ends_the_cool_down_of_a_lane_at_once_and_loses_nothing(rig, pools, ctrl_c, monkeypatch, handled_s):
    handle = pools.gate._handle

    def slowly(number, frame):
        time.sleep(handled_s)
        handle(number, frame)

    monkeypatch.setattr(pools.gate, "_handle", slowly)
    monkeypatch.setattr(cooldown, "LOOK_S", 30.0)
    hot, cool = rig.gpus
    rig.heat(hot)
    points = rig.points()
    kept, pressed, timers = {}, [], []

    def press():
        pressed.append(time.monotonic())
        ctrl_c()

    def on_progress(number, progress):
        if progress.phase == COOLING and not timers:
            timers.append(threading.Timer(1.0, press))  # the lane sleeps by then, and the other one is done
            timers[0].start()

    with pytest.raises(KeyboardInterrupt), pools.gate:
        rig.run(points, kept=kept, on_progress=on_progress)
    assert time.monotonic() - pressed[0] < 5
    no_thread_is_left()
    assert [gpu_of(one) for one in kept.values()] == [cool.uuid]
    (left,) = {0, 1} - set(kept)
    assert [one.telemetry.throttled for one in rig.attempts(points[left])] == [True]
    rig.nvml[hot.uuid].readings = [COOL]
    again = rig.run(points)
    assert {number: one.reused for number, one in again.items()} == {left: False, 1 - left: True}
    assert again[left].stored.result.attempt == 2
