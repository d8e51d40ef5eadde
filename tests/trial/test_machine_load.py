"""Whether a test is said to be taken on a busy machine: a neighbour can quadruple a latency."""

import os
import subprocess
import sys
import time

import pytest

from sweep.trial.machine_load import LoadMeter, machine_load


@pytest.mark.parametrize(
    ("elapsed_s", "others_s", "steal_s", "busy"),
    [
        (10, 0.0, 0.0, False),
        (10, 2.4, 0.0, False),
        (10, 2.6, 0.0, True),
        (10, 0.0, 0.9, False),
        (10, 0.0, 1.1, True),
        (0.2, 0.2, 0.0, True),  # a whole core, over a short test: the kernel's clock tells
        (0.2, 0.06, 0.0, None),  # more than a quarter of a core, by less than a few ticks
        (0.05, 0.0, 0.0, None),  # shorter than the clock tells
        (10, None, 0.0, None),
        (10, None, 5.0, True),
        (10, -0.02, 0.0, False),
        (0, 0.0, 0.0, None),
    ],
)
def test_busy_idle_or_too_short_to_tell(elapsed_s, others_s, steal_s, busy):
    assert machine_load(elapsed_s, others_s, steal_s, 2, 0.5).busy is busy


def test_the_share_of_others_is_told():
    load = machine_load(2.0, 3.0, 0.0, 4, 1.234)
    assert load.other_cpu_cores == 1.5
    assert load.load_average_before == 1.23
    assert str(load) == "other processes used 1.5 of 4 cores"
    assert "hypervisor took 25 %" in str(machine_load(2.0, 0.0, 2.0, 4, 0.0))


def test_a_neighbour_is_seen_and_own_work_is_not():
    spin = "import time\nend = time.perf_counter() + 30\nwhile time.perf_counter() < end: pass"
    neighbour = subprocess.Popen([sys.executable, "-c", spin])
    try:
        alone, both = LoadMeter((os.getpid(),)), LoadMeter((os.getpid(), neighbour.pid))
        time.sleep(1.5)
        seen, excepted = alone.finish(), both.finish()
    finally:
        neighbour.kill()
        neighbour.wait()
    assert seen.busy is True
    assert excepted.other_cpu_cores < seen.other_cpu_cores - 0.2


def test_a_process_that_has_ended_leaves_the_load_unknown():
    ended = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    meter = LoadMeter((ended.pid,))
    ended.kill()
    ended.wait()
    load = meter.finish()
    assert load.other_cpu_cores is None
    assert load.busy is not False
