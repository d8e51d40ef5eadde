"""Files in the cache folder whose digest is known without reading them again.

Beside `FILE` lies `FILE.json` with the SHA-256 of FILE and the size, times and inode it had then. While all those
still hold, so does the digest; else the file is read again. Any number of processes may work in one cache:
files appear under their name whole or not at all, and a stamp that describes another process's copy only costs a read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sweep import paths
from sweep.errors import ConfigError, Problem
from sweep.models.base import FileMarks, FileState, file_marks


@dataclass(frozen=True)
class Made:
    """What a cached file is to hold, and what is to be known of it; see `Stamp`."""

    data: bytes
    level: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stamp:
    """What a file was when its digest was taken.

    Attributes:
        size: In bytes.
        mtime_ns: Modification time.
        sha256: Hex digest of the contents.
        md5: Hex digest, where published digests are MD5; else empty.
        source: Where the file was downloaded from; empty when it was not.
        ctime_ns: Time of the last change; 0 in a stamp from before this was kept, which fits no file.
        inode: Number of the file in its file system.
        device: Number of that file system.
        level: Highest level of graph optimisation at which ONNX Runtime loads it; empty where nobody has asked.
        notes: What a reader of its results must know of how it was made.
    """

    size: int
    mtime_ns: int
    sha256: str
    md5: str = ""
    source: str = ""
    ctime_ns: int = 0
    inode: int = 0
    device: int = 0
    level: str = ""
    notes: Sequence[str] = ()

    @property
    def marks(self) -> FileMarks:
        """What `file_marks` said of the file."""
        return {
            "size": self.size,
            "mtime_ns": self.mtime_ns,
            "ctime_ns": self.ctime_ns,
            "inode": self.inode,
            "device": self.device,
        }

    def fits(self, path: Path) -> bool:
        """Say whether the file is still the one that it was."""
        try:
            status = path.stat()
        except OSError:
            return False
        return file_marks(status) == self.marks


def stamp_path(path: Path) -> Path:
    """Return where the stamp of a cached file lies."""
    return path.with_name(f"{path.name}.json")


def read_stamp(path: Path) -> Stamp | None:
    """Return the stamp of a cached file; None when there is none that can be read."""
    try:
        data = json.loads(stamp_path(path).read_bytes())
        stamp = Stamp(**data)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    kinds_fit = all(type(value) is int for value in stamp.marks.values()) and isinstance(stamp.sha256, str)
    kinds_fit = kinds_fit and isinstance(stamp.level, str) and isinstance(stamp.notes, (list, tuple))
    return replace(stamp, notes=tuple(map(str, stamp.notes))) if kinds_fit else None


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Store the stamp of a cached file."""
    paths.write_json(stamp_path(path), asdict(stamp))


def take_stamp(path: Path, *, md5: bool = False, source: str = "") -> Stamp:
    """Read the whole file and return its stamp.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())  # of what is being read, should the name move on to another file
        sha256, legacy = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        while block := file.read(1 << 20):
            sha256.update(block)
            if md5:
                legacy.update(block)
    return Stamp(
        sha256=sha256.hexdigest(),
        md5=legacy.hexdigest() if md5 else "",
        source=source,
        **file_marks(status),
    )


def prepared(path: Path, build: Callable[[], Made]) -> Stamp:
    """Return the stamp of a cached file, which is built when it is missing or damaged.

    Args:
        path: The file; its name must say everything that `build` depends on.
        build: Makes the contents; the same contents each time.

    Raises:
        ConfigError: The cache cannot be written.
    """
    stamp = read_stamp(path)
    if stamp is not None and stamp.fits(path):
        return stamp
    try:
        if stamp is not None and path.is_file():
            now = take_stamp(path)
            if now.sha256 == stamp.sha256:
                now = replace(now, level=stamp.level, notes=stamp.notes)
                write_stamp(path, now)
                return now
        made = build()
        paths.write_bytes(path, made.data)
        sha256 = hashlib.sha256(made.data).hexdigest()
        stamp = Stamp(sha256=sha256, level=made.level, notes=made.notes, **file_marks(path.stat()))
        stamp = replace(stamp, size=len(made.data))
        write_stamp(path, stamp)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return stamp


def state_of(path: Path) -> tuple[FileState, ...]:
    """Return the state of a cached file whose digest has just been taken.

    Raises:
        ConfigError: It is gone already.
    """
    try:
        return (FileState.of(path, path.stat()),)
    except OSError as error:
        raise unwritable(path.parent, error) from error


def unwritable(folder: Path, error: OSError) -> ConfigError:
    """Return the error to raise when the cache cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason, fix = "the disk is full", "free some space, or set SWEEP_CACHE to a folder on another disk"
    else:
        reason = f"cannot use the cache folder: {error.strerror or error}"
        fix = "set SWEEP_CACHE to a folder that can be written"
    if "SWEEP_CACHE" in os.environ:
        return ConfigError(Problem("SWEEP_CACHE", folder, reason, fix))
    return ConfigError(Problem(str(folder), None, reason, fix))


def describe(value: Any) -> str:
    """Return a short key (16 hex digits) for everything a cached file depends on."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
