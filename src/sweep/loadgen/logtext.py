"""Reads LoadGen's log files as text, however damaged, and says what a file is when it is not the one that was meant."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from sweep.errors import LogError

_INTEGER = re.compile(r"[-+]?[0-9]{1,20}")
_REAL = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|inf|nan)")
_SETTING = re.compile(r"([a-z][a-z0-9_]*(?: \([a-z]+\))?)\s*:\s*(.*)")
# LoadGen wrote these as true and false up to v0.7, as 1 and 0 since.
_SWITCHES = frozenset({"print_timestamps", "performance_issue_unique", "performance_issue_same"})
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}

Scalar = bool | int | float | str
"""What a setting of LoadGen can be."""


def read_text(path: Path | str) -> str:
    """Return the text of a log with Unix line ends and without NUL bytes.

    Some systems under test report their name with its terminating NUL, and Windows adds carriage returns; a byte
    that is not UTF-8 becomes U+FFFD, since a name is no reason to lose a result.

    Args:
        path: The log file.

    Raises:
        LogError: The file cannot be read, or has nothing in it.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise LogError(f"{path}: no such file") from None
    except OSError as error:
        raise LogError(f"{path}: cannot be read ({error.strerror})") from None
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    else:
        text = data.replace(b"\0", b"").decode("utf-8-sig", errors="replace")
    if not text.strip():
        raise LogError(f"{path}: empty file; LoadGen writes its logs at the end of a test and may have been stopped")
    return text.replace("\r\n", "\n")


def describe(text: str) -> str:
    """Say in a few words what kind of file a text seems to be, for a message that refuses it."""
    head = text.lstrip()[:200]
    kinds = {
        ":::MLLOG": "a LoadGen detail log",
        '"pid":': "a LoadGen detail log",
        "=====": "a LoadGen summary",
        "{": "JSON",
        "[": "JSON",
        "<": "HTML or XML",
    }
    return next((kind for start, kind in kinds.items() if head.startswith(start)), "some other text")


def number(text: str) -> int | float | None:
    """Return the number that LoadGen printed (inf and nan too), or None if the text is not one."""
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else None


def setting(line: str) -> tuple[str, Scalar] | None:
    """Split a `name : value` line of LoadGen's settings, the value typed; None if the line is not one."""
    match = _SETTING.fullmatch(line.strip())
    if match is None:
        return None
    name, text = match[1], match[2]
    if text in ("true", "false") or (name in _SWITCHES and text in _BOOLEANS):
        return name, _BOOLEANS[text]
    value = number(text)
    return name, text if value is None else value


def percentile_name(text: str) -> str:
    """Return `p50`, `p99.9` for the ways in which LoadGen writes a percentile (`50.00`, `99.90`, `99.0`)."""
    return f"p{float(text):g}"
