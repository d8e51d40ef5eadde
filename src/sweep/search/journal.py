"""The journal file in which Optuna keeps studies: locked so that a killed process blocks nobody, checked before use."""

from __future__ import annotations

import fcntl
import io
import json
import os
import time
from pathlib import Path
from typing import Any

from sweep.errors import ConfigError, Problem
from sweep.search.quiet import load_optuna

FIELD = "search.storage"
_KEPT = "move it away; what was measured is kept under outputs/trials and reused"
_ELSEWHERE = "choose another folder with outputs=DIR"
_BEGIN = b'{"op_code"'
"""How each line of a journal begins."""
_STANDSTILL_S = 0.3
"""How long a write that has begun may stand still: what has not grown meanwhile was cut off."""


class JournalLock:
    """Lets one process at a time append to a journal.

    Optuna's own locks are files that outlive a killed process by 30 s. This one is the kernel's, on the journal itself,
    and ends with its process. Whoever takes it removes what a killed one has left, see `_drop_cut_line`.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        """Wait for the lock and take it."""
        self._descriptor = _locked(self._path)  # written by the holder alone, so threads do not mix theirs up
        return True

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)


def _locked(path: Path, *, unknown: bool = False) -> int:
    """Return the descriptor of a journal that this process has locked, until it closes it; checked if it is unknown."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if unknown:
            _check(path, path.read_bytes())
        _drop_cut_line(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _drop_cut_line(descriptor: int) -> None:
    """Remove a journal's last line if it has no end, and gets none from a program whose lock is another.

    A process that was killed in the middle of a write leaves it so, and what the next one writes would be joined to
    it. What is lost is told again: the record of the test, if there is one, is found.
    """
    while (cut := _cut_line(descriptor)) is not None:
        time.sleep(_STANDSTILL_S)
        if _cut_line(descriptor) == cut:
            os.ftruncate(descriptor, cut[0])


def _cut_line(descriptor: int) -> tuple[int, int] | None:
    """Return where a last line without an end begins and where it stops; None where the last line has an end."""
    size = os.fstat(descriptor).st_size
    if not size or os.pread(descriptor, 1, size - 1) == b"\n":
        return None
    return os.pread(descriptor, size, 0).rfind(b"\n") + 1, size


class StudyLock:
    """Held by the process that runs a study, as long as it does; a file beside the journal.

    Args:
        journal: Where the study is kept.
        study: Its name.
    """

    def __init__(self, journal: Path, study: str) -> None:
        self._path = journal.with_name(f".{journal.name}.{study}.lock")
        self._descriptor = -1

    def acquire(self) -> int | None:
        """Take the lock if it is free.

        Returns:
            None when it is ours now, else the number of the process that holds it (0 if that is not known).
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            return int(holder) if holder.isdecimal() else 0
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return None

    def release(self) -> None:
        """Give the lock back, if it was taken."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_journal(path: Path) -> Any:
    """Return Optuna's storage on a journal, which is made when there is none.

    Raises:
        ConfigError: It cannot be read or written, or it is not a journal, or a damaged one. It is left as it is.
    """
    optuna = load_optuna()
    if path.is_dir():
        raise _wrong(path, "is a folder, not a journal of Optuna")
    if path.exists() and not path.is_file():
        raise _wrong(path, "is no regular file, and no journal of Optuna")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):  # proves that it can be written, and changes nothing
            pass
        os.close(_locked(path, unknown=True))
        backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=JournalLock(path))
    except OSError as error:
        raise _wrong(path, f"cannot be written: {error.strerror or error}", _ELSEWHERE) from error
    try:
        return optuna.storages.JournalStorage(backend)
    except Exception as error:  # whatever the replay stumbles over
        reason = f"is damaged, or not of Optuna {optuna.__version__}: {type(error).__name__}: {error}"
        raise _wrong(path, reason) from error


def _check(path: Path, data: bytes) -> None:
    """Refuse what Optuna would not understand, or would half understand."""
    from optuna.storages.journal._storage import JournalOperation

    for number, line in enumerate(io.BytesIO(data), 1):
        if not line.endswith(b"\n") and (number > 1 or _BEGIN.startswith(line[: len(_BEGIN)])):
            return  # cut off
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        operation = entry.get("op_code") if isinstance(entry, dict) else None
        if not isinstance(operation, int):
            if number == 1 and not line.startswith(_BEGIN):
                raise _wrong(path, "is not a journal of Optuna")
            raise _wrong(path, f"is damaged in line {number}")
        if operation not in set(JournalOperation):
            reason = f"is of a newer Optuna: operation {operation} in line {number} is unknown here"
            raise _wrong(path, reason, f"pip install -U optuna, or {_KEPT}")


def _wrong(path: Path, reason: str, fix: str = _KEPT) -> ConfigError:
    return ConfigError(Problem(FIELD, path, reason, fix))
