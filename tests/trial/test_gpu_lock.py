"""Two tests never share a GPU: not of two processes, not of two users, and not after one was killed."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from sweep.errors import ConfigError
from sweep.gpus import Gpu
from sweep.paths import cpu_lock, gpu_lock
from sweep.trial.gpu_lock import GpuLock, under_test
from sweep.trial.interrupts import InterruptGate, LaneGate

GPU = Gpu(1, "GPU-1", "NVIDIA H100", "580", "81559 MiB", "9.0")
HOLDER = (
    "import sys, time\nfrom sweep.gpus import Gpu\nfrom sweep.trial.gpu_lock import GpuLock\n"
    f"lock = GpuLock({GPU!r})\nassert lock.take()\nprint('held', flush=True)\ntime.sleep(60)"
)


@pytest.fixture(autouse=True)
def _own_locks(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEP_LOCKS", str(tmp_path))


@pytest.fixture
def holder():
    """Have another process hold the lock of GPU 1."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_claim_waits_and_says_for_whom(holder):
    lock, said = GpuLock(GPU), []
    assert not lock.take()
    threading.Timer(1.0, holder.kill).start()
    begin = time.monotonic()
    assert lock.wait(InterruptGate(), said.append)
    assert time.monotonic() - begin > 0.9
    assert said == [f"waiting for GPU 1 (NVIDIA H100): process {holder.pid} tests on it (GPU-1)"]
    lock.release()


def test_a_killed_process_gives_it_back(holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lock = GpuLock(GPU)
    assert lock.take()
    assert not GpuLock(GPU).take()  # nor can another thread of this process have it
    lock.release()
    assert GpuLock(GPU).take()


def test_what_is_free_is_taken_without_a_word():
    said = []
    assert GpuLock(GPU).wait(InterruptGate(), said.append)
    assert said == []


def test_ctrl_c_works_while_it_waits(holder):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with InterruptGate() as gate:
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                GpuLock(GPU).wait(gate, lambda _: None)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_a_lane_that_is_told_to_stop_waits_no_longer(holder):
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(KeyboardInterrupt):
        GpuLock(GPU).wait(LaneGate(stop), lambda _: None)


def test_a_lane_that_has_nothing_left_to_do_waits_no_longer(holder):
    assert not GpuLock(GPU).wait(InterruptGate(), lambda _: None, is_wanted=lambda: False)


def test_every_user_can_lock_it(tmp_path):
    """Whatever the umask of the one who was first."""
    before = os.umask(0o077)
    try:
        assert GpuLock(GPU).take()
    finally:
        os.umask(before)
    assert stat.S_IMODE(gpu_lock(GPU.uuid).stat().st_mode) == 0o666


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write anything")
def test_one_that_can_only_be_read_can_be_locked():
    gpu_lock(GPU.uuid).touch(mode=0o444)
    lock = GpuLock(GPU)
    assert lock.take()
    assert not GpuLock(GPU).take()


def test_a_link_is_not_followed(tmp_path):
    """The folder is everybody's: a link to somebody's file must not empty it."""
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    gpu_lock(GPU.uuid).symlink_to(precious)
    with pytest.raises(ConfigError, match=r"^SWEEP_LOCKS=.*GPU-1.lock: the lock of GPU 1 .* cannot be opened"):
        GpuLock(GPU).take()
    assert precious.read_text() == "keep me"


def test_a_folder_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEP_LOCKS", str(tmp_path / "no"))
    with pytest.raises(ConfigError, match=r"No such file or directory; set SWEEP_LOCKS to a folder that every user"):
        GpuLock(GPU).take()
    assert under_test() == 0


def test_gpus_under_test_are_those_whose_lock_is_held(holder):
    assert under_test() == 1
    lock = GpuLock(Gpu(2, "MIG-2/3", "", "", "", ""))
    lock.take()
    assert under_test() == 2
    lock.release()
    holder.kill()
    holder.wait()
    assert under_test() == 0


def test_a_folder_in_which_no_lock_works_is_no_busy_gpu(monkeypatch):
    """Fails where a sweep waits for ever for a GPU that nobody uses."""

    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(ConfigError, match="SWEEP_LOCKS=.*does not work there: No locks available; set SWEEP_LOCKS"):
        GpuLock(GPU).take()


def test_the_cpu_has_one_lock_that_is_no_gpus():
    lock, said = GpuLock(None), []
    assert lock.take()
    assert not GpuLock(None).take()
    assert GpuLock(GPU).take()
    assert under_test() == 1
    threading.Timer(1.0, lock.release).start()
    assert GpuLock(None).wait(InterruptGate(), said.append)
    assert said == [f"waiting for the CPU: process {os.getpid()} tests on it (busy.lock=ignore does not wait)"]
    assert stat.S_IMODE(cpu_lock().stat().st_mode) == 0o666
