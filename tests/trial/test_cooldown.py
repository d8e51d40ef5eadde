"""A GPU is waited for until it is fit, and no longer."""

import os
import signal
import threading
import time
from dataclasses import replace

import pytest
from tests.gpu_doubles import COOL, HOT, FakeGpu

from sweep.trial import cooldown
from sweep.trial.cooldown import LOOK_S, SETTLED_S, cool_down
from sweep.trial.interrupts import InterruptGate
from sweep.trial.nvml import GpuReading


@pytest.fixture
def wait(monkeypatch):
    """Cool a GPU down by a clock of its own; return what came out, and after how many seconds."""
    monkeypatch.setattr(cooldown, "own_processes", lambda: frozenset({5}))

    def run(readings, limit_s=60.0, processes=()):
        now = [50.0]

        def sleep(seconds):
            now[0] += seconds

        gpu = FakeGpu(readings, processes)
        return cool_down(gpu, limit_s, lambda: now[0], sleep), now[0] - 50.0

    return run


def _at(*degrees, base=COOL):
    return [replace(base, temperature_c=one) for one in degrees]


def test_a_temperature_that_falls_is_waited_for(wait):
    falling = _at(*range(80, 60, -1))
    is_fit, seconds = wait([*falling, *_at(61)])
    assert is_fit
    assert seconds == pytest.approx(19 * LOOK_S + SETTLED_S)


def test_reasons_are_waited_for_though_the_temperature_stands(wait):
    is_fit, seconds = wait([replace(HOT, temperature_c=50)] * 40 + [COOL])
    assert is_fit
    assert seconds == pytest.approx(20.0)


@pytest.mark.parametrize("reason", ["sw_power_cap", "hw_power_brake_slowdown", "sw_thermal_slowdown"])
def test_what_does_not_end_ends_at_the_limit(wait, reason):
    assert wait([replace(COOL, throttle_reasons=(reason,))], limit_s=7.2) == (False, pytest.approx(7.2))


def test_an_idle_gpu_and_a_clock_that_was_set_are_no_reason_to_wait(wait):
    is_fit, seconds = wait([replace(COOL, throttle_reasons=("gpu_idle", "applications_clocks_setting"))])
    assert is_fit
    assert seconds == pytest.approx(SETTLED_S)


def test_others_are_waited_for_where_they_can_be_told(wait):
    listings = [((5, "python"), (77, "trainer"))] * 30 + [((5, "python"),)] * 99
    is_fit, seconds = wait([COOL], processes=lambda: listings.pop(0))
    assert is_fit
    assert seconds == pytest.approx(15.0)
    assert wait([COOL], processes=[(4711, "")])[0]


def test_a_gpu_that_tells_nothing_is_not_waited_for(wait):
    assert wait([GpuReading(None, None, None, None, None, None)], processes=None) == (True, 0.0)


def test_ctrl_c_ends_the_wait_at_once():
    gate = InterruptGate()
    gpu = FakeGpu([HOT])
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    begin = time.perf_counter()
    with gate:
        gate.open()
        with pytest.raises(KeyboardInterrupt):
            cool_down(gpu, 60.0)
    assert time.perf_counter() - begin < 5
