"""Errors a user can mend. Only the command line catches them; a bug keeps its traceback."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass

_FULL = (errno.ENOSPC, errno.EDQUOT)

_CONTROLS = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\r(?!\n)|[\ud800-\udfff]"
)
_LINE_BREAKS = re.compile(r"\s*[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]\s*")
"""What `str.splitlines` splits at."""


def one_line(text: str) -> str:
    """Return text on one line, so that nobody's name for a file passes for a line of sweep's own."""
    return _LINE_BREAKS.sub(" ", text)


def printable(text: str, *, keep_bytes: bool = False) -> str:
    """Return text with what steers a terminal made visible, as its code: whoever wrote it, it is only read.

    Args:
        text: From anywhere: a server, a file, the name of one. Its ends of lines and tabs stay.
        keep_bytes: Whether bytes that are no UTF-8 stay as they are (as surrogates), for names that a program reads.
    """

    def escaped(found: re.Match[str]) -> str:
        code = ord(found[0])
        if 0xDC80 <= code <= 0xDCFF:
            return found[0] if keep_bytes else f"\\x{code - 0xDC00:02x}"
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

    return _CONTROLS.sub(escaped, text)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with what the user asked for.

    Attributes:
        field: The key, option or file the user can change (`batch`, `model.path`, `--labels`).
        value: What it was set to; None when it was not set at all.
        reason: What is wrong with that value, in one clause.
        fix: What to do about it, in one clause; valid choices belong here.
    """

    field: str
    value: object
    reason: str
    fix: str = ""

    def __str__(self) -> str:
        subject = self.field if self.value is None else f"{self.field}={_shown(self.value)}"
        text = f"{subject}: {self.reason}"
        return one_line(f"{text}; {self.fix}" if self.fix else text)


class SweepError(Exception):
    """Base of every error that is the user's to mend: one clear line, exit code 2."""


class ConfigError(SweepError):
    """What was asked for is not possible; holds every problem found, not just the first."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class MissingDependencyError(ConfigError):
    """A backend, dataset or model needs a package or device that this machine lacks."""


class BackendError(SweepError):
    """An engine could not be built, or failed while it ran. Fails one trial, never the sweep."""


class EngineOutOfMemoryError(BackendError):
    """The machine or device has too little memory for a test of this size; a smaller N may fit."""


class LogError(SweepError):
    """A LoadGen log is cut off, damaged, or not a LoadGen log; the message names the file."""


class RecordError(SweepError):
    """A stored record is damaged or was written by a newer sweep; the message names the file."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or what it came of, is that no more memory could be had: for data, code or a thread."""
    while error is not None:
        if isinstance(error, (MemoryError, EngineOutOfMemoryError)) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        if any(sign in str(error) for sign in ("failed to map segment", "can't start new thread", "std::bad_alloc")):
            return True
        error = error.__cause__ or error.__context__
    return False


def unwritable(folder: object, error: OSError, field: str = "outputs") -> ConfigError:
    """Return the error to raise when nothing can be kept in a folder that a key names."""
    fix = "free some space, or choose another folder" if error.errno in _FULL else "choose another folder"
    return ConfigError(
        Problem(field, folder, f"cannot be written: {error.strerror or error}", f"{fix} with {field}=DIR")
    )


def choose(value: str, choices: Iterable[str]) -> str:
    """Return the fix for an unknown name: the nearest choice, if one is near, then all of them."""
    names = sorted(choices)
    by_lower = {name.lower(): name for name in names}
    near = closest(value.lower(), by_lower)
    hint = f"did you mean {by_lower[near[0]]}? " if near else ""
    return f"{hint}choose one of: {', '.join(names)}"


def closest(word: str, names: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the names that a word may be a slip of, nearest first: two letters swapped, or alike as difflib says."""
    known = list(names)
    swaps = {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)}
    alike = difflib.get_close_matches(word, known, most, cutoff)
    return list(dict.fromkeys([*(name for name in known if name in swaps), *alike]))[:most]


def _shown(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
