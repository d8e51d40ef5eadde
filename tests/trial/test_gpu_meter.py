"""The meter reads as often as it was told to, and only where there is a GPU to read."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests.gpu_doubles import COOL, FakeGpu

from sweep.backends.simulated import SimulatedBackend
from sweep.trial import gpu_meter
from sweep.trial.gpu_meter import GpuMeter, GpuMeters, TelemetryOptions
from sweep.trial.nvml import NoNvmlError
from sweep.trial.telemetry import series_csv, summarised

ON = TelemetryOptions(enabled=True, interval_s=0.1, reject=False, cooldown_s=60, retries=2)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_readings_from_warm_up_to_end(clock, monkeypatch):
    monkeypatch.setattr(gpu_meter, "own_processes", lambda: frozenset({5}))
    gpu = FakeGpu(processes=[(5, "python"), (6, "trainer")], clock=clock)
    meter = GpuMeter(gpu, 0.1, clock)
    meter.sample()
    assert gpu.asked == 0  # an engine is being built
    meter.warm_up()
    for _ in range(4):
        meter.sample()
        clock.now += 0.05
    meter.begin_test()
    for _ in range(40):
        clock.now += 0.05
        meter.sample()
    clock.now += 0.01
    seen = meter.finish()
    times = [one.time_s for one in seen.series]
    assert times[:3] == pytest.approx([-0.2, -0.1, 0.0])
    assert times[-1] == pytest.approx(2.01)
    assert len(times) == pytest.approx(2 + 1 + 20 + 1, abs=1)
    assert seen.counted_j == pytest.approx((26_050.0, 26_552.5), abs=0.1)
    assert seen.other_processes == ("6 trainer",)
    assert (seen.gpu, seen.uuid, seen.power_limit_w) == (gpu.name, gpu.uuid, 700.0)
    meter.sample()
    assert gpu.asked == len(times)


def test_the_series_as_written_has_the_readings_that_were_summed_up(clock):
    """One a tenth of a millisecond before the test begins is written as at 0 s."""
    meter = GpuMeter(FakeGpu(clock=clock), 0.1, clock)
    meter.warm_up()
    meter.sample()
    clock.now += 0.0001
    meter.begin_test()
    clock.now += 0.1
    seen = meter.finish()
    times = [float(line.split(",")[0]) for line in series_csv(seen.series).splitlines()[1:]]
    assert "-0.000" not in series_csv(seen.series)
    assert sum(time >= 0 for time in times) == summarised(seen, 1).readings


def test_processes_are_asked_for_once_a_second(clock):
    asked = []
    gpu = FakeGpu(processes=lambda: asked.append(clock.now) or ())
    meter = GpuMeter(gpu, 0.1, clock)
    meter.begin_test()
    for _ in range(49):
        clock.now += 0.05
        meter.sample()
    meter.finish()
    assert len(asked) == 1 + 2 + 1  # in the beginning, after each second, and in the end


def test_a_gpu_that_answers_slowly_is_asked_less_often(clock):
    gpu = FakeGpu()
    read = gpu.read

    def slow():
        clock.now += 0.05
        return read()

    gpu.read = slow
    meter = GpuMeter(gpu, 0.1, clock)
    meter.warm_up()
    begin = clock.now
    while clock.now < begin + 10:
        meter.sample()
        clock.now += 0.05
    assert gpu.asked <= 11


def test_a_test_that_never_began_has_no_telemetry(clock):
    meter = GpuMeter(FakeGpu(), 0.1, clock)
    meter.warm_up()
    meter.sample()
    assert meter.finish() is None


def test_without_a_gpu_nothing_is_known_and_nothing_fails(clock):
    meter = GpuMeter(None, 0.1, clock)
    meter.warm_up()
    meter.begin_test()
    meter.sample()
    assert meter.finish() is None


def test_only_backends_on_a_gpu_have_one_read(simulated, monkeypatch):
    gpu = FakeGpu([replace(COOL)])
    opened = []
    meters = GpuMeters(ON, opener=lambda uuid: opened.append(uuid) or gpu)
    assert meters.meter(simulated(), "GPU-1") == (None, "")
    assert opened == []
    monkeypatch.setattr(SimulatedBackend, "uses_gpu", True)
    for _ in range(3):
        meter, why = meters.meter(simulated(), "GPU-1")
        assert meter is not None
        assert why == ""
    assert opened == ["GPU-1"]
    meters.close()
    meters.close()
    assert gpu.closed == 1


def test_telemetry_that_is_off_opens_nothing(simulated, monkeypatch):
    monkeypatch.setattr(SimulatedBackend, "uses_gpu", True)
    assert GpuMeters(replace(ON, enabled=False), opener=pytest.fail).meter(simulated(), None) == (None, "")


def test_where_nvml_is_missing_it_is_asked_once_and_says_why(simulated, monkeypatch):
    monkeypatch.setattr(SimulatedBackend, "uses_gpu", True)
    asked = []

    def missing(uuid):
        asked.append(uuid)
        raise NoNvmlError("pynvml is missing: pip install nvidia-ml-py")

    meters = GpuMeters(ON, opener=missing)
    for _ in range(2):
        assert meters.meter(simulated(), None) == (None, "pynvml is missing: pip install nvidia-ml-py")
    assert asked == [None]


@pytest.fixture
def machine(monkeypatch):
    """Two GPUs by identity, and which of them were opened, in order."""
    monkeypatch.setattr(SimulatedBackend, "uses_gpu", True)
    gpus = {uuid: FakeGpu(uuid=uuid) for uuid in ("GPU-1", "GPU-2")}
    opened = []

    def opener(uuid):
        opened.append(uuid)
        if uuid not in gpus:
            raise NoNvmlError(f"there is no {uuid}")
        return gpus[uuid]

    return SimpleNamespace(gpus=gpus, opened=opened, opener=opener)


def _read(meter):
    meter.begin_test()
    return meter.finish().uuid


def test_tests_on_another_gpu_have_that_one_read(simulated, machine):
    meters = GpuMeters(ON, opener=machine.opener)
    for uuid in ("GPU-1", "GPU-2", "GPU-2", "GPU-1"):
        meter, why = meters.meter(simulated(), uuid)
        assert (_read(meter), why) == (uuid, "")
    assert machine.opened == ["GPU-1", "GPU-2", "GPU-1"]
    meters.close()
    assert [gpu.closed for gpu in machine.gpus.values()] == [2, 1]


def test_a_gpu_that_nvml_does_not_know_is_none_to_the_others(simulated, machine):
    meters = GpuMeters(ON, opener=machine.opener)
    for _ in range(2):
        assert meters.meter(simulated(), "GPU-3") == (None, "there is no GPU-3")
        meter, _ = meters.meter(simulated(), "GPU-1")
        assert _read(meter) == "GPU-1"
    assert machine.opened.count("GPU-3") == 1


def test_another_thread_has_meters_of_its_own(simulated, machine):
    first = GpuMeters(ON, opener=machine.opener)
    meter, _ = first.meter(simulated(), "GPU-1")
    second = first.another()
    other, _ = second.meter(simulated(), "GPU-2")
    second.close()
    assert [gpu.closed for gpu in machine.gpus.values()] == [0, 1]
    assert (_read(meter), _read(other)) == ("GPU-1", "GPU-2")
