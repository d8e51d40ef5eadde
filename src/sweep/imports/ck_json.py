"""Reads what CK has written as JSON, which may be anything: of a wrong type, too deep, no number, half a character."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

_WORD_CHARACTERS = 200
_DIGITS = 18


class RefusedError(Exception):
    """A point, or a part of it, cannot be imported; its message is the reason, in a clause."""


def load_json(data: bytes) -> Any:
    """Return what JSON by the letter says.

    Raises:
        RefusedError: It is none, holds NaN or infinity, says something twice, or is nested too deep.
    """
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_no_number, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise RefusedError("is not text in UTF-8") from error
    except json.JSONDecodeError as error:
        raise RefusedError(f"is not JSON from line {error.lineno}, column {error.colno} on") from error
    except RecursionError as error:
        raise RefusedError("is nested too deep") from error
    except ValueError as error:  # also a number of thousands of digits
        raise RefusedError(f"holds what cannot be read: {plain(error)}") from error


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{plain(twice)!r} is said twice")
    return found


def load_object(data: bytes) -> dict[str, Any]:
    """Return what a JSON object says.

    Raises:
        RefusedError: It is none.
    """
    found = load_json(data)
    if not isinstance(found, dict):
        raise RefusedError("is no JSON object")
    return found


def inside(data: Any, *names: str) -> Any:
    """Return what lies in objects in objects; None where something on the way is missing or of another type."""
    for name in names:
        if not isinstance(data, Mapping):
            return None
        data = data.get(name)
    return data


def mapping(data: Any, *names: str) -> Mapping[str, Any]:
    """Return an object in objects; an empty one where there is none."""
    found = inside(data, *names)
    return found if isinstance(found, Mapping) else {}


def word(data: Any, *names: str) -> str:
    """Return a short text in objects, fit to be printed; empty where there is none. A number is its text."""
    found = inside(data, *names)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return ""
    if isinstance(found, float) and not math.isfinite(found):
        return ""
    return plain(found).strip()


def plain(value: object) -> str:
    """Return a value as one line of a sane length without control characters."""
    text = str(value)
    cut = text if len(text) <= _WORD_CHARACTERS else f"{text[: _WORD_CHARACTERS - 3]}..."
    return "".join(letter if letter.isprintable() else "-" for letter in cut)


def whole(value: Any) -> int | None:
    """Return a whole number from 0, written as one or as text; None for anything else."""
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
    return value if type(value) is int and 0 <= value < 10**_DIGITS else None


def real(value: Any) -> float | None:
    """Return a finite number, written as one or as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def file_text(value: Any, name: str) -> bytes:
    """Return the bytes of a text file that was kept as the list of its lines, or as one text; none of it is changed.

    Args:
        value: What was kept.
        name: What it is, for the message.

    Raises:
        RefusedError: It is neither, or holds half a character.
    """
    lines: Sequence[Any] = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise RefusedError(f"its {name} is no list of lines")
    try:
        return "".join(lines).encode()
    except UnicodeEncodeError as error:
        raise RefusedError(f"its {name} holds half a character, which no file can") from error


def file_json(value: Any, name: str) -> bytes:
    """Return the bytes of a JSON file whose content was kept: indented by two, in the order in which it was kept.

    So CK's own tools wrote LoadGen's log of answers, and so it stands in the submissions of 2020. LoadGen itself puts
    each answer on a line of its own; which blanks it used is not kept.

    Args:
        value: What was kept: its content, or its lines.
        name: What it is, for the message.

    Raises:
        RefusedError: It cannot be written.
    """
    if isinstance(value, str) or (isinstance(value, list) and value and all(isinstance(one, str) for one in value)):
        return file_text(value, name)
    if not isinstance(value, list | dict):
        raise RefusedError(f"its {name} is neither a list nor an object")
    try:
        return json.dumps(value, indent=2, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"its {name} cannot be written: {plain(error)}") from error
