"""Two sweeps on one machine: the second says so, and waits or goes on, as its user chose."""

import re
import signal
import subprocess
import sys
import time

import pytest

from sweep.cli import main
from sweep.results.selection import select
from sweep.trial.gpu_lock import GpuLock
from sweep.trial.idle import Neighbours

QUICK = ["backend=simulated", "run=quick", "min_query_count=10", "target_latency_ms=1000"]
LATER = (
    "import time\nfrom sweep.trial.gpu_lock import GpuLock\nlock = GpuLock(None)\nassert lock.take()\n"
    "print('held', flush=True)\ntime.sleep({})"
)


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    (tmp_path / "locks").mkdir()
    monkeypatch.setenv("SWEEP_LOCKS", str(tmp_path / "locks"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def other():
    """Have another process test on the CPU: for some seconds, or until it is killed."""
    processes = []

    def start(seconds):
        process = subprocess.Popen([sys.executable, "-c", LATER.format(seconds)], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def run(capfd):
    """Run a command line in this process; return its exit code and what it said on standard error."""

    def command(*arguments):
        code = main([*QUICK, *arguments])
        return code, capfd.readouterr().err

    return command


def test_the_second_waits_for_the_first_and_says_for_whom(run, other):
    first = other(2.5)
    begin = time.monotonic()
    code, said = run("batch=4")
    assert code == 0
    assert time.monotonic() - begin > 1
    assert said.count(f"waiting for the CPU: process {first.pid} tests on it") == 1
    assert first.wait(10) == 0
    assert GpuLock(None).take()  # nothing is held once it is over


def test_with_ignore_it_goes_on_beside_the_other_and_says_so_once(run, other):
    first = other(60)
    code, said = run("-m", "batch=2,3,4", "busy.lock=ignore")
    assert code == 0
    assert said.count(f"process {first.pid} tests on the CPU as well") == 1
    assert "waiting" not in said


def test_with_ignore_others_wait_for_it_all_the_same(run, monkeypatch):
    held = []
    monkeypatch.setattr(Neighbours, "look", lambda *_: None)
    from sweep.study import measure

    real = measure.run_trial
    monkeypatch.setattr(measure, "run_trial", lambda *given: held.append(not GpuLock(None).take()) or real(*given))
    assert run("batch=4", "busy.lock=ignore")[0] == 0
    assert held == [True]


def test_a_search_waits_too(run, other):
    first = other(2.5)
    code, said = run("search=max_streams", "search.max=2", "search.confidence=0.6")
    assert code == 0
    assert f"waiting for the CPU: process {first.pid} tests on it" in said


def test_what_was_measured_meanwhile_is_not_measured_again(run, other, monkeypatch, tmp_path):
    """Fails where the second of two like commands measures it all once more."""
    wait = GpuLock.wait

    def measured_by_the_other(lock, *rest):
        monkeypatch.setattr(GpuLock, "wait", wait)
        process = [sys.executable, "-m", "sweep", *QUICK, "-m", "batch=2,3"]
        subprocess.run(process, check=True, capture_output=True)
        return wait(lock, *rest)

    monkeypatch.setattr(GpuLock, "wait", measured_by_the_other)
    code, said = run("-m", "batch=2,3")
    assert code == 0
    assert said.count("(reused)") == 2
    assert len(select([tmp_path / "outputs"]).trials) == 2


def test_what_is_measured_already_is_shown_without_waiting(run, other):
    assert run("batch=4")[0] == 0
    other(60)
    code, said = run("batch=4")
    assert code == 0
    assert "waiting" not in said


def test_ctrl_c_ends_the_wait_at_once(other, start):
    other(60)
    second = start(*QUICK, "batch=4")
    for line in second.stderr:
        if line.startswith("waiting for the CPU"):
            break
    second.send_signal(signal.SIGINT)
    _, said = second.communicate(timeout=20)
    assert second.returncode == 130
    assert "interrupted: none of 1 points was finished" in said
    assert "Traceback" not in said


def test_a_killed_sweep_keeps_nobody_waiting(run, other):
    first = other(60)
    first.kill()
    first.wait()
    code, said = run("batch=4")
    assert code == 0
    assert "waiting" not in said


def test_a_machine_without_a_place_for_locks_measures_and_says_that_it_waits_for_nobody(run, monkeypatch, tmp_path):
    """Fails where a container without the folder cannot measure on its CPU any more."""
    monkeypatch.setenv("SWEEP_LOCKS", str(tmp_path / "none"))
    code, said = run("-m", "batch=2,3")
    assert code == 0
    assert said.count("other sweeps on the CPU are not waited for: SWEEP_LOCKS=") == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("busy.lock=no", "busy.lock=no: unknown busy.lock; choose one of: ignore, wait"),
        ("busy.wait_s=-1", "busy.wait_s=-1: must be a whole number from 0 to 86400"),
        ("busy.reject=1", "busy.reject=1: must be true or false"),
        ("busy.retry=1", "busy.retry: unknown key; did you mean busy.retries?"),
        ("busy=true", "busy=True: is a group of settings; write busy.wait_s=SECONDS"),
    ],
)
def test_bad_values_are_one_line(run, given, words):
    code, said = run("batch=4", given)
    assert code == 2
    assert len(said.splitlines()) == 1
    assert words in said


def test_the_machine_is_looked_at_before_the_first_test_and_waited_for_before_each(run, monkeypatch):
    from sweep.study import measure

    order = []
    real = measure.run_trial
    monkeypatch.setattr(measure, "run_trial", lambda *given: order.append("test") or real(*given))
    monkeypatch.setattr(measure, "wait_for_idle", lambda limit_s, say, sleep: order.append(limit_s))
    monkeypatch.setattr(Neighbours, "look", lambda *_: order.append("look"))
    assert run("-m", "batch=2,3")[0] == 0
    assert order == ["look", "test", "test"]
    order.clear()
    assert run("-m", "batch=2,3", "resume=false", "busy.wait_s=7")[0] == 0
    assert order == [7, "test", 7, "test"]


def test_what_is_done_about_others_makes_no_other_trial(run):
    assert run("batch=4")[0] == 0
    assert "(reused)" in run("batch=4", "busy.wait_s=3", "busy.retries=5", "busy.lock=ignore")[1]


def test_a_busy_machine_is_said_at_the_start():
    """In a process of its own, as its user starts it: the time that it takes to get ready is the time that counts."""
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        command = [sys.executable, "-m", "sweep", *QUICK, "batch=4"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    finally:
        burner.kill()
        burner.wait()
    assert len(re.findall("^note: the machine is busy: others use .*busy.wait_s", said, re.MULTILINE)) == 1
