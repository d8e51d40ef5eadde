"""Packs results into one file that moves them to another machine."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import sweep
from sweep.errors import ConfigError, Problem
from sweep.paths import json_text, new_file
from sweep.results.archive_format import INDEX, MAX_FILES, ArchivedFile, Index
from sweep.results.archive_plan import Entry, make_plan
from sweep.results.selection import Selection

_CHUNK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can tell, for every member: two archives of the same results differ by `created_at`."""
_PLAIN_FILE = (stat.S_IFREG | 0o644) << 16
_UNIX = 3
_FULL = (errno.ENOSPC, errno.EDQUOT)

Progress = Callable[[int, int], None]
"""Is told how many bytes are done, of how many."""


@dataclass(frozen=True)
class Packed:
    """What went into an archive.

    Attributes:
        attempts: How many.
        sweeps: How many.
        files: How many, the index not counted.
        data_bytes: Their size.
        archive_bytes: That of the archive.
        notes: What was left out or is missing, and why: a line each.
    """

    attempts: int
    sweeps: int
    files: int
    data_bytes: int
    archive_bytes: int
    notes: tuple[str, ...]


class _ChangedError(Exception):
    """A file changed while it was read."""


def pack(selection: Selection, target: Path, *, force: bool = False, progress: Progress | None = None) -> Packed:
    """Write selected results into an archive, whole or not at all.

    Args:
        selection: What to pack; its damaged records are not.
        target: File to make.
        force: Whether it may be there already.
        progress: Is told how many bytes of how many are packed.

    Raises:
        ConfigError: There is nothing to pack, a file cannot be read or changed meanwhile, or the archive exists or
            cannot be written.
    """
    _check_target(target, force=force)
    plan = make_plan(selection)
    if not plan.attempts:
        raise ConfigError(Problem(str(target), None, "there is no record to pack", "give folders that hold some"))
    if len(plan.entries) > MAX_FILES:
        reason = f"would hold {len(plan.entries)} files, more than {MAX_FILES}"
        raise ConfigError(Problem(str(target), None, reason, "pack fewer records at a time: add filters"))
    try:
        total = sum(_size(entry) for entry in plan.entries)
        with new_file(target) as file:
            lines = _write(file, plan.entries, total, progress)
            archive_bytes = file.seek(0, os.SEEK_END)
            _check_target(target, force=force)  # it may have come meanwhile
    except _ChangedError as error:
        raise ConfigError(
            Problem(str(error), None, "changed while it was packed", "wait for the sweep that writes it")
        ) from error
    except OSError as error:
        place = Path(os.fsdecode(error.filename)) if error.filename else target
        is_source = place in {entry.source for entry in plan.entries}
        fix = "free some space, or choose another place" if error.errno in _FULL else "choose another place"
        reason = f"cannot be {'read' if is_source else 'written'}: {error.strerror or error}"
        subject = place if is_source else target
        raise ConfigError(Problem(str(subject), None, reason, "" if is_source else fix)) from error
    data_bytes = sum(line.size for line in lines)
    return Packed(plan.attempts, plan.sweeps, len(lines), data_bytes, archive_bytes, plan.notes)


def _check_target(target: Path, *, force: bool) -> None:
    if target.suffix != ".zip":
        raise ConfigError(Problem(str(target), None, "is no name of an archive", "give OUT.zip first"))
    if os.path.isdir(target):  # noqa: PTH112  (of a name that is too long for a path, pathlib makes an error)
        raise ConfigError(Problem(str(target), None, "is a folder", "give the name of a file to make"))
    if not target.absolute().parent.is_dir():
        raise ConfigError(Problem(str(target), None, "lies in no folder that exists", "make it first"))
    if os.path.lexists(target) and not force:
        raise ConfigError(Problem(str(target), None, "exists", "give another name, or --force to replace it"))


def _write(file: BinaryIO, entries: tuple[Entry, ...], total: int, progress: Progress | None) -> list[ArchivedFile]:
    """Write all entries, and the index behind them; return its lines."""
    lines: list[ArchivedFile] = []
    done = 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            digest = hashlib.sha256()
            size = _size(entry)
            with archive.open(_member(entry.path, size), "w") as member:
                for piece in _read(entry, size):
                    digest.update(piece)
                    member.write(piece)
                    done += len(piece)
                    if progress is not None:
                        progress(done, total)
            lines.append(ArchivedFile(entry.path, size, digest.hexdigest()))
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        text = json_text(Index(now, sweep.__version__, tuple(lines)).to_json())
        archive.writestr(_member(INDEX, len(text.encode())), text)
    return lines


def _member(path: str, size: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(path, _EPOCH)
    member.file_size = size  # whether it needs long sizes is decided by this
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = _PLAIN_FILE
    member.create_system = _UNIX
    return member


def _size(entry: Entry) -> int:
    return len(entry.source) if isinstance(entry.source, bytes) else entry.source.lstat().st_size


def _read(entry: Entry, size: int) -> Iterator[bytes]:
    """Yield a file that has a size now and must still have it, unchanged, when its last byte is read.

    Raises:
        _ChangedError: It has not, or has become a link.
    """
    if isinstance(entry.source, bytes):
        yield entry.source
        return
    try:
        descriptor = os.open(entry.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOENT):
            raise _ChangedError(entry.source) from error
        raise
    with io.FileIO(descriptor) as file:
        before = os.fstat(descriptor)
        done = 0
        while piece := file.read(_CHUNK):
            done += len(piece)
            if done > size:
                raise _ChangedError(entry.source)
            yield piece
        after = entry.source.lstat()
        same = all(getattr(before, what) == getattr(after, what) for what in ("st_ino", "st_size", "st_mtime_ns"))
        if done != size or not same or not stat.S_ISREG(before.st_mode):
            raise _ChangedError(entry.source)
