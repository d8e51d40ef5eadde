"""What ImageNet samples are made from: the label list, and the image files that it names."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import ConfigError, Problem

CLASSES = 1000
PROBLEMS_SHOWN = 10
"""A wrong folder makes every line wrong; ten of them say as much as fifty thousand."""


@dataclass(frozen=True)
class Source:
    """One image of the list.

    Attributes:
        name: Path below the image folder, as the list has it.
        label: Class id, 0 to 999.
        line: Line of the list.
        state: What tells that the file changed: its size in bytes and its modification time in ns.
    """

    name: str
    label: int
    line: int
    state: tuple[int, int] = (0, 0)

    def key(self, recipe: str) -> bytes:
        """Return 32 bytes that change whenever this image, or how it is preprocessed, changes."""
        return hashlib.sha256(f"{recipe}\n{self.name}\n{self.state}".encode()).digest()


def find_sources(images: Path, labels: Path, count: int | None) -> list[Source]:
    """Return the first `count` images of the list (all, if None), each a file that exists.

    Args:
        images: The image folder.
        labels: The list: lines of `NAME LABEL` apart by any whitespace, NAME relative to `images`.
        count: How many to take.

    Raises:
        ConfigError: The list is malformed or too short, or files are missing; by line, ten of them at most.
    """
    if not images.is_dir():
        raise ConfigError(Problem("images", images, "is not a folder", "name the folder of the validation images"))
    sources = _read_list(labels)
    if count is not None and count > len(sources):
        raise ConfigError(Problem("count", count, f"{labels} lists {len(sources)} images", f"at most {len(sources)}"))
    found, missing = [], []
    for source in sources[:count]:
        try:
            status = (images / source.name).stat()
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError("is not a file")
            found.append(Source(source.name, source.label, source.line, (status.st_size, status.st_mtime_ns)))
        except (OSError, ValueError) as error:
            reason = f"is not a file in {images}" if isinstance(error, FileNotFoundError) else str(error)
            missing.append(Problem(f"{labels}:{source.line}", source.name, reason))
    if missing:
        raise ConfigError(_capped(missing, "name the folder that the list's names are relative to"))
    return found


def _read_list(path: Path) -> list[Source]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        fix = "name the list of `NAME LABEL` lines (val_map.txt)"
        raise ConfigError(Problem("labels", path, f"cannot be read: {error.strerror}", fix)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(Problem("labels", path, "is not text", "name the list of `NAME LABEL` lines")) from error
    sources: list[Source] = []
    problems = []
    first_line: dict[str, int] = {}
    # Not splitlines(): editors, and so people, count only line feeds as lines.
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        reason = _wrong(fields)
        if not reason and fields[0] in first_line:
            reason = f"{fields[0]} is on line {first_line[fields[0]]} already"
        if reason:
            problems.append(Problem(f"{path}:{number}", line.strip(), reason))
            continue
        first_line[fields[0]] = number
        sources.append(Source(fields[0], int(fields[1]), number))
    if problems:
        raise ConfigError(_capped(problems, f"each line is an image's name and its class, 0 to {CLASSES - 1}"))
    if not sources:
        raise ConfigError(Problem("labels", path, "lists no image", "each line is an image's name and its class"))
    return sources


def _wrong(fields: list[str]) -> str:
    if len(fields) != 2:
        return f"has {len(fields)} fields instead of 2"
    if not (fields[1].isascii() and fields[1].isdigit()):
        return f"{fields[1]} is not a class"
    # The length first: converting a number of thousands of digits is an error of its own.
    if len(fields[1]) > 9 or int(fields[1]) >= CLASSES:
        return f"class {fields[1]} is out of range"
    return ""


def _capped(problems: list[Problem], fix: str) -> Iterable[Problem]:
    """Return the first problems, the last of them with the number of the others and the fix for all."""
    *others, last = problems[:PROBLEMS_SHOWN]
    hidden = len(problems) - PROBLEMS_SHOWN
    reason = f"{last.reason} (and {hidden} more like these)" if hidden > 0 else last.reason
    return (*others, Problem(last.field, last.value, reason, fix))
