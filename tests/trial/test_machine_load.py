"""Whether a test is said to be taken on a busy machine: a neighbour can quadruple a latency."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from sweep.trial.machine_load import LoadMeter, Window, machine_load

IDLE, BURST = Window(1.0, 0.02, 0.0), Window(1.0, 0.8, 0.0)


@pytest.mark.parametrize(
    ("windows", "busy"),
    [
        ([IDLE] * 10, False),
        ([BURST] * 10, True),
        ([IDLE] * 45 + [BURST] + [IDLE] * 9, True),  # 0.03 cores in the mean, and fifteen late queries in a row
        ([IDLE] * 300 + [BURST], False),  # a second of five minutes is less than half of the slowest hundredth
        ([Window(1.0, 0.26, 0.0)] * 10, False),  # within the rounding of the counters
        ([Window(1.0, 0.29, 0.0)] * 10, True),
        ([Window(1.0, 0.0, 0.09)] * 10, False),  # two cores: a twentieth of both
        ([Window(1.0, 0.0, 0.14)] * 10, True),
        ([Window(0.5, 0.0, 0.02)], False),
        ([Window(0.2, 0.2, 0.0)], True),  # a whole core, over a short test: the kernel's clock tells
        ([Window(0.2, 0.06, 0.0)], None),  # more than a quarter of a core, by less than a few ticks
        ([Window(0.05, 0.0, 0.0)], None),  # shorter than the clock tells
        ([IDLE] * 10 + [Window(0.05, 0.01, 0.0)], False),  # the rest of a window ends any test
        ([IDLE] * 10 + [Window(0.05, 0.1, 0.0)], False),
        ([Window(1.0, None, 0.0)] * 10, None),
        ([IDLE] * 60 + [Window(0.3, None, 0.0)], False),  # the worker has ended
        ([BURST] * 60 + [Window(0.3, None, 0.0)], True),
        ([Window(1.0, None, 0.5)] * 10, True),
        ([Window(1.0, -0.02, 0.0)], False),
        ([Window(0.0, 0.0, 0.0)], None),
        ([], None),
    ],
)
def test_busy_idle_or_too_short_to_tell(windows, busy):
    assert machine_load(windows, 2, 0.5).busy is busy


def test_the_share_of_others_is_told():
    load = machine_load([Window(1.0, 0.0, 0.0), Window(1.0, 3.0, 0.0)], 4, 1.234)
    assert (load.other_cpu_cores, load.peak_cpu_cores, load.busy_fraction) == (1.5, 3.0, 0.5)
    assert load.load_average_before == 1.23
    assert str(load) == "other processes used up to 3.0 of 4 cores in 50 % of the time"
    assert "hypervisor took 25 %" in str(machine_load([Window(2.0, 0.0, 2.0)], 4, 0.0))
    assert str(machine_load([IDLE], 2, 0.0)) == "idle but for this test"
    assert str(machine_load([BURST] * 60, 2, 0.0)).endswith("used up to 0.8 of 2 cores in 100 % of the time")
    assert str(machine_load([IDLE] * 150 + [BURST], 2, 0.0)).endswith("in 0.66 % of the time")


def test_the_rest_of_a_window_is_no_peak():
    assert machine_load([IDLE, Window(0.01, 0.01, 0.0)], 2, 0.0).peak_cpu_cores == 0.02


def test_a_neighbour_is_seen_and_own_work_is_not():
    spin = "import time\nend = time.perf_counter() + 30\nwhile time.perf_counter() < end: pass"
    neighbour = subprocess.Popen([sys.executable, "-c", spin])
    try:
        alone, both = LoadMeter((os.getpid(),)), LoadMeter((os.getpid(), neighbour.pid))
        for _ in range(15):
            time.sleep(0.1)
            alone.sample()
        seen, excepted = alone.finish(), both.finish()
    finally:
        neighbour.kill()
        neighbour.wait()
    assert seen.busy is True
    assert excepted.other_cpu_cores < seen.other_cpu_cores - 0.2


@pytest.mark.parametrize("ends", [False, True])
def test_a_worker_that_tests_on_another_gpu_is_no_neighbour(monkeypatch, ends):
    """Nor when it ends meanwhile, as one does whose test was stopped: its time is in its parent's books then."""
    from sweep.trial import worker_process

    spin = "import time\nend = time.perf_counter() + 30\nwhile time.perf_counter() < end: pass"
    sibling = subprocess.Popen([sys.executable, "-c", spin])
    known = {sibling.pid}
    monkeypatch.setattr(worker_process, "_alive", known)
    try:
        aware, unaware = LoadMeter((os.getpid(),)), LoadMeter((os.getpid(),))
        monkeypatch.setattr(unaware, "_own_s", lambda: sum(psutil.Process().cpu_times()[:2]))
        unaware.window_begin = unaware._read()
        for step in range(25):
            time.sleep(0.1)
            if ends and step == 15:
                sibling.kill()
                sibling.wait()
                known.clear()
            aware.sample()
            unaware.sample()
        with_it, without_it = aware.finish(), unaware.finish()
    finally:
        sibling.kill()
        sibling.wait()
    assert with_it.other_cpu_cores < without_it.other_cpu_cores - 0.2


def test_a_sibling_that_ended_just_now_leaves_one_window_unknown(monkeypatch):
    from sweep.trial import worker_process

    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    known = {ended.pid}
    monkeypatch.setattr(worker_process, "_alive", known)
    meter = LoadMeter(())
    assert meter._window(meter._read()).others_s is None
    known.clear()
    assert meter._window(meter._read()).others_s is None  # it began when that was not known
    meter.window_begin = meter._read()
    assert meter._window(meter._read()).others_s is not None


def test_a_burst_in_a_long_test_is_seen(monkeypatch):
    """The mean over the test would hide it."""
    from sweep.trial import machine_load as module

    clock = iter([(t + 0.0, 1.0 * (t > 30), 0.0, 0.0) for t in range(60)])
    monkeypatch.setattr(LoadMeter, "_read", lambda _: next(clock))
    monkeypatch.setattr(module.time, "perf_counter", lambda: float("inf"))
    meter = LoadMeter(())
    for _ in range(50):
        meter.sample()
    load = meter.finish()
    assert (load.busy, load.peak_cpu_cores) == (True, 1.0)
    assert load.other_cpu_cores == pytest.approx(1 / 51, abs=1e-3)


def test_the_window_of_the_test_before_goes_on(monkeypatch):
    """Two tests of a hundredth of a second tell, together, what neither can."""
    now = [0.0]
    monkeypatch.setattr(LoadMeter, "_read", lambda _: (now[0], now[0] / 50, 0.0, 0.0))
    first = LoadMeter(())
    now[0] = 0.05
    assert first.finish().busy is None
    now[0] = 0.3
    second = LoadMeter((), first)
    second.begin()
    now[0] = 0.35
    assert second.finish().busy is False
    now[0] = 60.0
    assert LoadMeter((), second).finish().busy is None


def test_what_went_before_a_test_is_none_of_its_load(monkeypatch):
    now = [0.0, 0.0]
    monkeypatch.setattr(LoadMeter, "_read", lambda _: (*now, 0.0, 0.0))
    meter = LoadMeter(())
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    now[:] = [1.0, 2.0]
    meter.sample()
    meter.begin()
    now[:] = [2.0, 2.0]
    assert meter.finish().busy is False


def test_a_process_that_has_ended_leaves_the_load_unknown():
    ended = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    meter = LoadMeter((ended.pid,))
    ended.kill()
    ended.wait()
    load = meter.finish()
    assert load.other_cpu_cores is None
    assert load.busy is not False
