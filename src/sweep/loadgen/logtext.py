"""Reads LoadGen's log files as text, however damaged, and says what a file is when it is not the one that was meant."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from sweep.errors import LogError
from sweep.paths import read_bytes

_INTEGER = re.compile(r"[-+]?[0-9]{1,20}")
_REAL = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
# As the C libraries print them: glibc `-nan`, Microsoft `-nan(ind)` and, before 2015, `1.#INF`, `-1.#IND`, `1.#QNAN00`.
_NOT_FINITE = re.compile(r"([-+]?)(?:(inf)|nan(?:\([a-z]+\))?|1\.#(?:(INF)|IND|QNAN|SNAN)0*)")
_SETTING = re.compile(r"([a-z][a-z0-9_]*(?: \([a-z]+\))?)\s*:\s*(.*)")
# LoadGen wrote these as true and false up to v0.7, as 1 and 0 since.
_SWITCHES = frozenset({"print_timestamps", "performance_issue_unique", "performance_issue_same"})
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_SHOWN = 80
_SUMMARY_HEAD = re.compile(r"=+\s+MLPerf Results Summary\s")

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
        data = read_bytes(Path(path))
    except FileNotFoundError:
        raise LogError(f"{path}: no such file") from None
    except OSError as error:
        raise LogError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise LogError(f"{path}: cannot be read ({error})") from None
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
    if _SUMMARY_HEAD.match(head):
        return "a LoadGen summary"
    kinds = {
        ":::MLLOG": "a LoadGen detail log",
        '"pid":': "a LoadGen detail log",
        ":::ENDPTS": "a log of MLPerf Endpoints, which is not LoadGen's",
        "{": "JSON",
        "[": "JSON",
        "<": "HTML or XML",
    }
    return next((kind for start, kind in kinds.items() if head.startswith(start)), "some other text")


def foreign(path: Path | str, wanted: str, text: str) -> LogError:
    """Return the error that refuses a text which does not begin as the wanted kind of file (as `describe` words it)."""
    kind = describe(text)
    if kind != wanted:
        return LogError(f"{path}: not {wanted}; it looks like {kind}")
    if text.count("\r") > text.count("\n"):
        return LogError(f"{path}: {wanted} whose lines end in a carriage return alone; convert its line ends")
    if text.lstrip("\r\n")[:1].isspace():
        return LogError(f"{path}: {wanted} that is indented, so not as LoadGen wrote it; use the original file")
    return LogError(f"{path}: begins like {wanted}, but cannot be read as one; it is damaged")


def shown(value: object) -> str:
    """Return a value of a log as a message can quote it: on one line, and not all of a damaged file."""
    text = str(value)
    cut = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in cut)


def number(text: str) -> int | float | None:
    """Return the number that LoadGen printed (infinite and NaN too), or None if the text is not one."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if match := _NOT_FINITE.fullmatch(text):
        return float(f"{match[1]}inf" if match[2] or match[3] else "nan")
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
