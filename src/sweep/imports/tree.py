"""What a user gives to be imported: a folder or a zip of somebody else's, read as names and bytes, never trusted."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sweep.errors import ConfigError, Problem
from sweep.results.archive_format import collision_key, path_problem, shown
from sweep.results.zip_reading import Member, ZipError, chunks, read_members

MAX_FILES = 200_000
"""In one folder or zip."""

MAX_BYTES = 20 * 2**30
"""A zip may hold so much, unpacked."""

MAX_FILE_BYTES = 512 * 2**20
"""Of one file that is read: the answers of 50,000 samples are 5 MB as JSON."""

_SMALL_BYTES = 64 * 2**20
_MOST_EXPANSION = 250
"""To one, of a zip that is larger than `_SMALL_BYTES` unpacked; what CK writes comes to 60."""


class UnreadableError(Exception):
    """One file cannot be read; its message is the reason, in a clause."""


@dataclass(frozen=True)
class Tree:
    """Files of somebody else's.

    Attributes:
        origin: The folder or zip.
        name: What it is called: the folder's name, the zip's without `.zip`.
        paths: Of all plain files in it, with `/` between their parts, sorted.
        links: What in it is a link, or no plain file; none of these is followed or opened.
        read: Returns the bytes of a file of `paths`; raises `UnreadableError`.
    """

    origin: Path
    name: str
    paths: tuple[str, ...]
    links: tuple[str, ...]
    read: Callable[[str], bytes]


@contextmanager
def open_tree(place: Path) -> Iterator[Tree]:
    """Open a folder or a zip. Nothing is unpacked: files are read into memory when they are asked for.

    Of a zip every member is checked first: names, sizes, checksums.

    Raises:
        ConfigError: It does not exist, cannot be read, is no zip, or is a damaged or hostile one.
    """
    try:
        if place.is_dir():
            yield _folder(place)
            return
        if not place.is_file():
            raise _refused(place, "is no file" if place.exists() else "does not exist")
        file = place.open("rb")
    except OSError as error:
        raise _refused(place, f"cannot be read: {error.strerror or error}") from error
    with file:
        yield _zip(place, file)


def _refused(place: Path, reason: str, member: str = "") -> ConfigError:
    text = f"{shown(member)}: {reason}" if member else reason
    return ConfigError(Problem(shown(str(place)), None, text, "give a folder or a zip of CK experiment entries"))


def _folder(root: Path) -> Tree:
    paths: list[str] = []
    links: list[str] = []
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(root / folder) as found:
            for one in found:
                path = f"{folder}/{one.name}" if folder else one.name
                if one.is_symlink():
                    links.append(path)
                elif one.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif one.is_file(follow_symlinks=False):
                    paths.append(path)
                else:
                    links.append(path)
        if len(paths) + len(links) + len(waiting) > MAX_FILES:
            raise _refused(root, f"holds more than {MAX_FILES} files")
    name = root.resolve().name
    return Tree(root, name, tuple(sorted(paths)), tuple(sorted(links)), lambda path: _read_file(root / path))


def _read_file(path: Path) -> bytes:
    """Return what is in a plain file; a link that has taken its place meanwhile is not followed."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableError("is no plain file")
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableError(f"is larger than {MAX_FILE_BYTES} bytes")
    return data


def _zip(place: Path, file: BinaryIO) -> Tree:
    try:
        members = read_members(file, MAX_FILES, foreign=True)
        _check_names(place, members)
        _check_sizes(place, members, file.seek(0, 2))
        for member in members:
            for _ in chunks(file, member):
                pass
    except ZipError as error:
        raise _refused(place, error.reason, error.member) from error
    by_name = {member.name: member for member in members if not member.name.endswith("/")}

    def read(path: str) -> bytes:
        if by_name[path].size > MAX_FILE_BYTES:
            raise UnreadableError(f"is larger than {MAX_FILE_BYTES} bytes")
        try:
            return b"".join(chunks(file, by_name[path]))
        except ZipError as error:  # the file has changed since it was checked
            raise UnreadableError(error.reason) from error

    return Tree(place, place.stem, tuple(sorted(by_name)), (), read)


def _check_names(place: Path, members: Sequence[Member]) -> None:
    """Refuse names that lead astray, and any two that name one place on some file system or other."""
    files: set[str] = set()
    seen: dict[str, str] = {}
    for member in members:
        name = member.name.removesuffix("/")
        if reason := path_problem(name):
            raise _refused(place, reason, member.name or "a member")
        if name in files:
            raise _refused(place, "is in it twice", name)
        files.add(name)
        parts = name.split("/")
        for path in ("/".join(parts[: depth + 1]) for depth in range(len(parts))):
            if seen.setdefault(collision_key(path), path) != path:
                raise _refused(place, f"differs from {shown(seen[collision_key(path)])} by case or form alone", name)
    plain = {member.name for member in members if not member.name.endswith("/")}
    for name in files:
        above = next((part for part in _above(name) if part in plain), None)
        if above is not None:
            raise _refused(place, "is a file and a folder", above)


def _above(name: str) -> Iterator[str]:
    parts = name.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


def _check_sizes(place: Path, members: Sequence[Member], archive_bytes: int) -> None:
    total = sum(member.size for member in members)
    if total > MAX_BYTES:
        raise _refused(place, f"holds {total} bytes unpacked, more than {MAX_BYTES}")
    if total > max(_SMALL_BYTES, _MOST_EXPANSION * archive_bytes):
        raise _refused(place, f"unpacks to more than {_MOST_EXPANSION} times its size, which no results do")
