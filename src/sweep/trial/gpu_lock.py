"""Two tests share no GPU, nor the CPU: who tests there holds a lock, which the kernel takes off with the process."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sweep.errors import ConfigError, Problem
from sweep.gpus import Gpu
from sweep.paths import cpu_lock, gpu_lock, gpu_locks
from sweep.trial.interrupts import InterruptGate

_POLL_S = 0.2
_PATIENCE_S = 0.6
"""How long nothing is said: somebody who only looks at a lock has it for a moment."""

_TRIES = 20
_EVERYBODY = 0o666
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Anybody can put anything into the folder: no link is followed, and nothing is waited for."""


class GpuLock:
    """A claim on one GPU, or on the CPU, against all other sweeps of the machine.

    Args:
        gpu: Which one; None for the CPU.
    """

    def __init__(self, gpu: Gpu | None) -> None:
        self.gpu = gpu
        self._name = "the CPU" if gpu is None else str(gpu)
        self._path = cpu_lock() if gpu is None else gpu_lock(gpu.uuid)
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take it if it is free; return whether this claim holds it now.

        Raises:
            ConfigError: There can be no lock.
        """
        if self._descriptor is not None:
            return True
        try:
            descriptor = _opened(self._path)
        except OSError as error:
            fix = "set SWEEP_LOCKS to a folder that every user of it can write"
            raise ConfigError(
                Problem("SWEEP_LOCKS", self._path, f"the lock of {self._name} cannot be opened: {error.strerror}", fix)
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError as error:
            os.close(descriptor)
            reason = f"the lock of {self._name} does not work there: {error.strerror}"
            fix = "set SWEEP_LOCKS to a folder on a disk of this machine"
            raise ConfigError(Problem("SWEEP_LOCKS", self._path, reason, fix)) from error
        self._descriptor = descriptor
        with suppress(OSError):  # another user's, which may only be read: it has no name then
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return True

    def wait(
        self, gate: InterruptGate, say: Callable[[str], None], is_wanted: Callable[[], bool] = lambda: True
    ) -> bool:
        """Take it as soon as it is free; return whether this claim holds it now.

        Args:
            gate: Open while it waits.
            say: Told, once, that it waits and for whom.
            is_wanted: Asked now and then; it is given up when this is False.

        Raises:
            ConfigError: There can be no lock.
            KeyboardInterrupt: It was interrupted.
        """
        if self.take():
            return True
        begin, said = time.perf_counter(), ""
        try:
            gate.open()
            while is_wanted():
                if time.perf_counter() - begin > _PATIENCE_S and said != (words := self._words()):
                    say(words)
                    said = words
                gate.sleep(_POLL_S)
                if self.take():
                    return True
        finally:
            gate.close()
        return False

    def release(self) -> None:
        """Give it back."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @property
    def holder(self) -> str:
        """Who holds it, for people."""
        holder = _holder(self._path)
        return f"process {holder}" if holder is not None else "another process"

    def _words(self) -> str:
        more = "busy.lock=ignore does not wait" if self.gpu is None else self.gpu.uuid
        return f"waiting for {self._name}: {self.holder} tests on it ({more})"


def under_test() -> int:
    """Return on how many GPUs of this machine sweeps are testing now."""
    return sum(map(_is_locked, gpu_locks()))


def _opened(path: Path) -> int:
    """Open a lock file, or make one that every user can open.

    Raises:
        OSError: Neither is possible.
    """
    for _ in range(_TRIES):
        for mode in (os.O_RDWR, os.O_RDONLY):  # a lock needs no right to write
            try:
                # Without O_CREAT: Linux refuses that for somebody else's file in a folder like /tmp.
                return _regular(os.open(path, mode | _SAFELY))
            except FileNotFoundError:
                break
            except PermissionError:
                continue
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY, _EVERYBODY)
        except FileExistsError:
            time.sleep(0.01)  # made just now; the right to open it follows
            continue
        os.fchmod(descriptor, _EVERYBODY)  # whatever the umask
        return descriptor
    raise PermissionError(13, "Permission denied", str(path))


def _regular(descriptor: int) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(22, "Not a regular file")
    return descriptor


def _holder(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.strip().isdecimal() else None


def _is_locked(path: Path) -> bool:
    try:
        descriptor = _regular(os.open(path, os.O_RDONLY | _SAFELY))
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
