"""Ctrl-C stops a test that runs, and never one whose result is on its way to the disk."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from sweep.trial.interrupts import InterruptGate, LaneGate


@pytest.fixture(autouse=True)
def _python_handles_ctrl_c():
    """Ctrl-C is ignored where the tests run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def steps_done(*steps):
    """Return what was done of the steps: `open`, `close`, `Ctrl-C`, or anything else, which is only noted."""
    done = []
    try:
        with InterruptGate() as gate:
            for step in steps:
                if step == "Ctrl-C":
                    os.kill(os.getpid(), signal.SIGINT)
                elif step in ("open", "close"):
                    getattr(gate, step)()
                else:
                    done.append(step)
    except KeyboardInterrupt:
        done.append("interrupted")
    return done


@pytest.mark.parametrize(
    ("steps", "done"),
    [
        (["measure", "store"], ["measure", "store"]),
        (["Ctrl-C", "store"], ["store", "interrupted"]),
        (["open", "Ctrl-C", "store"], ["interrupted"]),
        (["open", "close", "Ctrl-C", "store"], ["store", "interrupted"]),
        (["Ctrl-C", "begin", "open", "measure"], ["begin", "interrupted"]),
        (["Ctrl-C", "begin", "Ctrl-C", "store"], ["begin", "interrupted"]),
    ],
)
def test_ctrl_c_acts_at_once_while_open_and_waits_while_closed(steps, done):
    assert steps_done(*steps) == done


def failing_with(error):
    with InterruptGate():
        os.kill(os.getpid(), signal.SIGINT)
        raise error


def test_an_error_is_not_replaced():
    with pytest.raises(ValueError, match="the reason"):
        failing_with(ValueError("the reason"))


def test_what_was_there_before_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with InterruptGate():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_where_ctrl_c_is_ignored_it_stays_so():
    """`nohup python -m sweep ... &` must outlive the terminal's Ctrl-C."""
    code = (
        "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from sweep.trial.interrupts import InterruptGate\n"
        "with InterruptGate() as gate:\n    gate.open(); os.kill(os.getpid(), signal.SIGINT)\nprint('went on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "went on"


def test_a_thread_is_stopped_at_its_own_gate():
    """No signal reaches it; what it has measured must reach the disk all the same."""
    stop = threading.Event()
    gate = LaneGate(stop)
    gate.open()
    gate.check()
    gate.close()
    stop.set()
    gate.check()  # closed: its test has ended, and is on its way to the disk
    with pytest.raises(KeyboardInterrupt):
        gate.open()
    with pytest.raises(KeyboardInterrupt):
        gate.check()


def test_whether_one_waits_can_be_asked():
    """A thread that waits for others must not be interrupted in the middle of their news."""
    seen = []
    try:
        with InterruptGate() as gate:
            seen.append(gate.has_arrived)
            os.kill(os.getpid(), signal.SIGINT)
            seen.append(gate.has_arrived)
            gate.check()
    except KeyboardInterrupt:
        seen.append("interrupted")
    assert seen == [False, True, "interrupted"]


@pytest.mark.parametrize("is_lane", [False, True])
def test_what_arrives_ends_a_sleep_at_an_open_gate(is_lane):
    stop = threading.Event()
    gate = LaneGate(stop) if is_lane else InterruptGate()
    timer = threading.Timer(0.1, stop.set if is_lane else lambda: os.kill(os.getpid(), signal.SIGINT))
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt), gate:
        _asleep(gate, timer)
    assert time.monotonic() - begin < 10
    timer.join()


def _asleep(gate, timer):
    gate.open()
    timer.start()
    gate.sleep(30)


def test_a_closed_gate_is_slept_at_to_the_end():
    stop = threading.Event()
    stop.set()
    begin = time.monotonic()
    LaneGate(stop).sleep(0.1)
    assert time.monotonic() - begin >= 0.1
