"""Others on the machine: who they are is said once, and they are waited for as long as the user wants."""

import os
import subprocess
import sys
import time

import pytest

from sweep.trial import idle
from sweep.trial.idle import Neighbours, wait_for_idle
from sweep.trial.machine_load import MachineLoad


@pytest.fixture
def others():
    """Have another process compute."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def seen(monkeypatch):
    """Have the machine be busy, idle or unknown, second after second, as the list says; its last word stays."""
    loads, slept = [], []

    class Meter:
        def __init__(self, own):
            assert own == (os.getpid(),)  # workers are found by themselves

        def finish(self):
            busy = loads.pop(0) if len(loads) > 1 else loads[0]
            return MachineLoad(1.0 if busy else 0.0, 1.0, 0.0, 1.0, 0.1, 2, busy)

    monkeypatch.setattr(idle, "LoadMeter", Meter)
    times = iter(range(100))
    monkeypatch.setattr(idle, "_spent_s", lambda: {7: (float(next(times)), "make")})
    return lambda *words: (loads.extend(words), slept)[1]


def test_who_keeps_the_machine_busy_is_named_and_said_once(others):
    said, neighbours = [], Neighbours()
    neighbours.look(said.append)
    neighbours.look(said.append)
    (line,) = said
    assert "the machine is busy: others use" in line
    assert f"process {others.pid}" in line
    assert f"process {os.getpid()}" not in line
    assert "busy.wait_s" in line


@pytest.mark.parametrize("load", [False, None])
def test_an_idle_machine_is_not_worth_a_word_nor_a_wait(seen, load):
    seen(load)
    said = []
    Neighbours().look(said.append, lambda seconds: None)
    begin = time.monotonic()
    wait_for_idle(60, said.append, lambda seconds: None)
    assert time.monotonic() - begin < 5
    assert said == []


def test_it_waits_until_the_machine_is_idle(seen):
    slept = seen(True, True, False)
    said = []
    wait_for_idle(60, said.append, slept.append)
    assert len(slept) == 3
    assert said == [
        "waiting for an idle machine, 60 s at most: others use 1.0 of 2 cores (make 1.0, process 7)",
    ]


def test_it_waits_no_longer_than_it_was_told(seen):
    seen(True)
    said = []
    wait_for_idle(0.05, said.append, lambda seconds: time.sleep(0.02))
    assert said[-1] == "the machine is still busy after 0.05 s (busy.wait_s)"
    said.clear()
    wait_for_idle(0, said.append, lambda seconds: pytest.fail("waited"))
    assert said == []
