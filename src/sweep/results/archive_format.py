"""What an archive of results is: a zip of records and sweeps, every file of it named in an index by size and digest."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweep.errors import ConfigError, Problem

INDEX = "sweep-archive.json"
"""The member that names all others; the last one, since digests are known when a file has been read."""

SCHEMA_VERSION = 1
"""Of the index. Newer is refused. 1: the first."""

MAX_FILES = 200_000
"""Of one archive: what keeps the index of a hostile one from filling the memory."""

MAX_BYTES = 20 * 2**30
"""What an archive may hold, unpacked, where nobody says otherwise."""

_TRIALS, _SWEEPS = "trials", "sweeps"
_TRIAL = re.compile(r"[\w-][\w.-]*-[0-9a-f]{12}-[0-9a-f]{6}")
_SWEEP = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,198}[A-Za-z0-9_-])?")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SUFFIXES = {
    _TRIALS: (".conf", ".csv", ".json", ".log", ".npy", ".txt"),
    _SWEEPS: (".csv", ".json", ".parquet", ".png"),
}
_NAME_BYTES = 255
_SWEEP_CHARACTERS = 100


@dataclass(frozen=True)
class ArchivedFile:
    """One line of the index.

    Attributes:
        path: Inside the archive, and below the output folder: `trials/<trial>/<NNN>/<file>`, `sweeps/<name>/<file>`.
        size: Bytes.
        sha256: Hex.
    """

    path: str
    size: int
    sha256: str

    @property
    def folder(self) -> str:
        """The attempt or the sweep that it belongs to."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Its name in that folder."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Index:
    """What an archive says of itself.

    Attributes:
        created_at: UTC, ISO 8601.
        sweep: Version that wrote it.
        files: Every member but the index.
    """

    created_at: str
    sweep: str
    files: tuple[ArchivedFile, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, with the schema version."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Any) -> Index:
        """Rebuild an index from `to_json`.

        Raises:
            ValueError: It is none, or a newer one; the message says which.
        """
        if not isinstance(data, dict) or type(data.get("schema_version")) is not int:
            raise ValueError("is not the index of an archive of sweep")
        if data["schema_version"] > SCHEMA_VERSION:
            raise ValueError(
                f"was written by a newer sweep (schema {data['schema_version']}, this one reads up to "
                f"{SCHEMA_VERSION}); update sweep to read it"
            )
        files = data.get("files")
        known = isinstance(data.get("created_at"), str) and isinstance(data.get("sweep"), str)
        if not known or not isinstance(files, list) or not all(_is_file(one) for one in files):
            raise ValueError("is a damaged index")
        lines = (ArchivedFile(one["path"], one["size"], one["sha256"]) for one in files)
        return cls(data["created_at"], data["sweep"], tuple(lines))


def refused(archive: Path, reason: str, member: str = "", *, fix: str = "nothing was unpacked") -> ConfigError:
    """Return the error for an archive that is not taken.

    Args:
        archive: Its file.
        reason: What is wrong, in one clause.
        member: Of which member, by whatever name that has.
        fix: What to do about it.
    """
    return ConfigError(Problem(str(archive), None, f"{shown(member)}: {reason}" if member else reason, fix))


def shown(name: str) -> str:
    """Return a name as it can be printed: a hostile one may hold what moves a cursor, and be of any length."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)
    return text if len(text) <= 200 else f"{text[:197]}..."


def name_problem(path: str) -> str:
    """Return why a member may not be called so, in one clause; empty for a name that an archive of results may hold.

    Any name that passes lies below the output folder, in the folder of an attempt or of a sweep, and nowhere else.
    """
    return path_problem(path) or _shape_problem(path.split("/"))


def path_problem(path: str) -> str:
    """Return why a name in an archive leads, or may lead, astray, in one clause; empty for one that does not.

    Any name that passes lies below the folder that it is relative to.
    """
    parts = path.split("/")
    plain = (
        ("has no name", not path),
        ("has a control character in its name", any(unicodedata.category(c) in ("Cc", "Cs") for c in path)),
        ("has a backslash in its name", "\\" in path),
        ("is an absolute path", path.startswith("/")),
        ("has a drive letter", re.match(r"[A-Za-z]:", path) is not None),
        ("is a folder, not a file", path.endswith("/")),
        ("leads out of the folder", ".." in parts),
        ("has an empty part in its path", any(part in ("", ".") for part in parts)),
    )
    return next((reason for reason, is_so in plain if is_so), "")


def is_attempt(folder: str) -> bool:
    """Return whether a text names the folder of an attempt: `trials/<trial>/<NNN>`."""
    return folder.startswith(f"{_TRIALS}/") and not name_problem(f"{folder}/spec.json")


def sweep_name(name: str, taken: Iterable[str]) -> str:
    """Return what a sweep is called in an archive: its folder's name, with what may not stand in a name as `-`.

    Args:
        name: Of its folder.
        taken: Names that other sweeps of the archive have.
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".-")[:_SWEEP_CHARACTERS].rstrip(".") or "sweep"
    others = {collision_key(one) for one in taken}
    candidates = (plain if number == 1 else f"{plain}-{number}" for number in range(1, len(others) + 2))
    return next(one for one in candidates if collision_key(one) not in others)


def collision_key(name: str) -> str:
    """Return what two names have in common that some file systems take for one: those that differ by case or form."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _shape_problem(parts: Sequence[str]) -> str:
    top, folders, name = parts[0], parts[1:-1], parts[-1]
    if len(folders) != {_TRIALS: 2, _SWEEPS: 1}.get(top):
        return "is no file of an attempt or a sweep (trials/<trial>/<NNN>/<file> or sweeps/<name>/<file>)"
    if any(len(part.encode()) > _NAME_BYTES for part in parts):
        return "has a name that is too long"
    if top == _TRIALS and not (_TRIAL.fullmatch(folders[0]) and _is_number(folders[1])):
        return "lies in no folder of an attempt (trials/<trial>/<NNN>)"
    if top == _SWEEPS and not _SWEEP.fullmatch(folders[0]):
        return "lies in no folder of a sweep (sweeps/<name>)"
    if not _FILE.fullmatch(name) or not name.endswith(_SUFFIXES[top]):
        return f"is none of the files that lie there ({', '.join(_SUFFIXES[top])})"
    return ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) >= 1 and text == f"{int(text):03d}"


def _is_file(line: Any) -> bool:
    return (
        isinstance(line, dict)
        and isinstance(line.get("path"), str)
        and type(line.get("size")) is int
        and line["size"] >= 0
        and isinstance(line.get("sha256"), str)
        and re.fullmatch(r"[0-9a-f]{64}", line["sha256"]) is not None
    )
