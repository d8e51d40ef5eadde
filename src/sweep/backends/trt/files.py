"""Files that several processes keep together: one writes at a time, and what was cut off is never read."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sweep import paths
from sweep.backends.trt.messages import say

_DIGEST = hashlib.sha256().digest_size


@contextlib.contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold a lock, which the kernel takes off a process that dies. Its file stays: without it there would be two.

    Args:
        path: The lock's file; it is made when it is missing.
        waiting: Said on stderr where another process holds it.

    Raises:
        OSError: The file cannot be made, or its file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class InUse:
    """A shared lock on a file, until `release` or the end of the process; taking it counts as using the file.

    Args:
        path: The file, which need not be writable. A file system without locks gives none.

    Raises:
        OSError: The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        while self._descriptor is None:
            self._descriptor = os.open(path, os.O_RDONLY)
            with contextlib.suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)
            if not _is_at(path, self._descriptor):  # another process has removed it, and maybe made a new one
                self.release()
        with contextlib.suppress(OSError):  # another user's
            os.utime(self._descriptor, ns=(time.time_ns(), time.time_ns()))

    def release(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    __del__ = release


def remove_unused(path: Path, *beside: Path) -> int:
    """Remove a file, and others that are of no use without it; return how many bytes that freed.

    Nothing is removed, and 0 returned, while a process has the file `InUse`, or where it cannot be removed.
    """
    freed = 0
    with contextlib.suppress(OSError), path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in (path, *beside) if _is_at(path, file.fileno()) else ():
            with contextlib.suppress(FileNotFoundError):
                size = name.stat().st_size
                name.unlink()
                freed += size
    return freed


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether an open file is the one that has a name now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class CheckedFile:
    """A file of bytes that only saves time: it begins with their SHA-256, and counts as empty where that does not fit.

    Args:
        path: The file; beside it lies its lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes:
        """Return what was kept; empty when there is nothing, or it is damaged."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return b""
        kept = data[_DIGEST:]
        if hashlib.sha256(kept).digest() != data[:_DIGEST]:
            say(f"{self.path} is damaged; it is begun anew")
            return b""
        return kept

    def update(self, change: Callable[[bytes], bytes]) -> None:
        """Replace what was kept by what `change` makes of it, while no other process does; a failure is only said."""
        try:
            with locked(self.path.with_name(f"{self.path.name}.lock"), f"waiting for another process with {self.path}"):
                before = self.read()
                after = change(before)
                if after != before:
                    paths.write_bytes(self.path, hashlib.sha256(after).digest() + after)
        except OSError as error:
            say(f"{self.path} cannot be written: {error.strerror or error}")
