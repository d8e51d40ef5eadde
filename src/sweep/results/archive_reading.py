"""Opens an archive of results, which may be hostile: whatever it says is held against its index."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sweep.errors import unwritable
from sweep.results.archive_format import (
    INDEX,
    MAX_FILES,
    ArchivedFile,
    Index,
    collision_key,
    name_problem,
    refused,
    shown,
)
from sweep.results.zip_reading import Member, ZipError, chunks, read_members

_INDEX_BYTES = 64 * 2**20
_SMALL_BYTES = 64 * 2**20
_MOST_EXPANSION = 250
"""To one, of a whole archive that is larger than `_SMALL_BYTES`, unpacked. Logs of LoadGen come to 20, latencies to 3;
only a file of zeros comes near a thousand."""

Progress = Callable[[int, int], None]
"""Is told how many bytes are done, of how many."""


class Archive:
    """An archive whose members are those of its index, in name and size; made by `open_archive`.

    Attributes:
        path: Its file.
        index: What it says of itself.
        total_bytes: Of all files, unpacked.
    """

    def __init__(self, path: Path, file: BinaryIO, members: Sequence[Member], index: Index) -> None:
        self.path = path
        self.index = index
        self.total_bytes = sum(one.size for one in index.files)
        self._file = file
        self._members = {member.name: member for member in members}

    def extract(self, folder: Path, progress: Progress | None = None) -> None:
        """Write all files below a folder that is there and empty, each by the digest that the index names.

        Raises:
            ConfigError: A member is damaged, is not what the index says, or the folder cannot be written.
        """
        done = 0
        for line in self.index.files:
            try:
                digest = _write(folder / line.path, chunks(self._file, self._members[line.path]))
            except ZipError as error:
                raise refused(self.path, error.reason, line.path) from error
            except OSError as error:
                raise unwritable(folder.parent, error, "--outputs") from error
            if digest != line.sha256:
                raise refused(self.path, "is not what the index says: its digest is another", line.path)
            done += line.size
            if progress is not None:
                progress(done, self.total_bytes)
        os.sync()  # once for all: of thousands of small files, each would take milliseconds


@contextmanager
def open_archive(path: Path, max_bytes: int) -> Iterator[Archive]:
    """Open an archive; nothing is written.

    Args:
        path: Its file.
        max_bytes: What it may hold, unpacked.

    Raises:
        ConfigError: It cannot be read, is no archive of results, is damaged, hostile, too large, or from a newer sweep;
            the message names the member and the reason.
    """
    try:
        if not path.is_file():
            raise refused(path, "is no file" if path.exists() else "does not exist", fix="give an archive made by pack")
        file = path.open("rb")
    except OSError as error:
        raise refused(path, f"cannot be read: {error.strerror or error}") from error
    with file:
        yield _open(path, file, max_bytes)


def _open(path: Path, file: BinaryIO, max_bytes: int) -> Archive:
    try:
        members = read_members(file, MAX_FILES + 1)
        _check_names(path, [member.name for member in members])
        index = _index(path, file, members)
    except ZipError as error:
        raise refused(path, error.reason, error.member) from error
    _check_index(path, index, [member for member in members if member.name != INDEX])
    archive = Archive(path, file, members, index)
    if archive.total_bytes > max_bytes:
        allow = f"--max-bytes {archive.total_bytes} allows it"
        raise refused(path, f"holds {archive.total_bytes} bytes unpacked, more than {max_bytes}", fix=allow)
    if archive.total_bytes > max(_SMALL_BYTES, _MOST_EXPANSION * file.seek(0, 2)):
        raise refused(path, f"unpacks to more than {_MOST_EXPANSION} times its size, which no results do")
    return archive


def _check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse names that lead astray, and any two that name one place on some file system or other."""
    seen: dict[str, str] = {}
    for name in names:
        if name != INDEX and (reason := name_problem(name)):
            raise refused(path, reason, name or "a member")
        if seen.get(collision_key(name)) == name:
            raise refused(path, "is in it twice", name)
        parts = name.split("/")
        for place in ("/".join(parts[: depth + 1]) for depth in range(len(parts))):
            if seen.setdefault(collision_key(place), place) != place:
                raise refused(path, f"differs from {shown(seen[collision_key(place)])} by case or form alone", place)


def _index(path: Path, file: BinaryIO, members: Sequence[Member]) -> Index:
    member = next((one for one in members if one.name == INDEX), None)
    if member is None:
        raise refused(path, f"is no archive of sweep's results: {INDEX} is not in it")
    if member.size > _INDEX_BYTES:
        raise refused(path, f"is larger than {_INDEX_BYTES} bytes", INDEX)
    try:
        data = json.loads(b"".join(chunks(file, member)))
    except (ValueError, RecursionError) as error:
        raise refused(path, "is damaged: not JSON", INDEX) from error
    try:
        return Index.from_json(data)
    except ValueError as error:
        raise refused(path, str(error), INDEX) from error


def _check_index(path: Path, index: Index, members: Sequence[Member]) -> None:
    """Refuse an archive whose members are not those of its index, each once."""
    lines: dict[str, ArchivedFile] = {}
    for line in index.files:
        if line.path in lines:
            raise refused(path, "is in the index twice", line.path)
        lines[line.path] = line
    for member in members:
        if member.name not in lines:
            raise refused(path, "is not in the index", member.name)
        if lines[member.name].size != member.size:
            wanted = lines[member.name].size
            raise refused(path, f"declares {member.size} bytes, and {wanted} in the index", member.name)
    if missing := sorted(lines.keys() - {member.name for member in members}):
        raise refused(path, "is in the index alone", missing[0])


def _write(path: Path, pieces: Iterator[bytes]) -> str:
    """Write a new file, whatever its member's permissions were; return its digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()
