"""Checks on what users type for `backend.*`: every option is known, of its type, and in its range."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.errors import ConfigError, Problem, choose


@dataclass(frozen=True)
class Option:
    """One option of a backend.

    Attributes:
        default: Its value when it is not set.
        kind: `int`, `float`, `bool` or `str`.
        minimum: Smallest value of a number.
        maximum: Largest value of a number.
        choices: Values a string may have; empty means any.
        optional: Whether null is a value.
    """

    default: Any
    kind: type
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: Sequence[str] = ()
    optional: bool = False


def validate(options: Mapping[str, Any], known: Mapping[str, Option]) -> dict[str, Any]:
    """Return `options` completed by defaults and converted to their types.

    Raises:
        ConfigError: With one problem per wrong option.
    """
    problems = [
        Problem(f"backend.{key}", value, "unknown option of this backend", choose(str(key), known))
        for key, value in options.items()
        if key not in known
    ]
    complete: dict[str, Any] = {}
    for key, option in known.items():
        value = options.get(key, option.default)
        try:
            complete[key] = _convert(value, option)
        except ValueError as error:
            problems.append(Problem(f"backend.{key}", value, str(error), _range(option)))
    if problems:
        raise ConfigError(problems)
    return complete


def _convert(value: Any, option: Option) -> Any:
    if value is None:
        if option.optional:
            return None
        raise ValueError("must be set")
    if option.kind is bool:
        if isinstance(value, bool):
            return value
        raise ValueError("must be true or false")
    if option.kind in (int, float):
        number = type(value) is int or (type(value) is float and math.isfinite(value))
        if not number or (option.kind is int and value != int(value)):
            raise ValueError("must be a whole number" if option.kind is int else "must be a number")
        # Integers have no end, and everything that reads an option takes numbers that floats can hold.
        if not option.minimum <= value <= min(option.maximum, sys.float_info.max):
            raise ValueError("is out of range")
        return option.kind(value)
    if isinstance(value, float) and math.isnan(value):
        value = "nan"  # YAML reads the word as a number
    if not isinstance(value, str) or (option.choices and value not in option.choices):
        raise ValueError("is not a valid choice")
    return value


def _range(option: Option) -> str:
    if option.choices:
        return f"choose one of: {', '.join(option.choices)}"
    if option.kind is bool:
        return ""
    low = "" if option.minimum == -math.inf else f" from {_figure(option.minimum)}"
    high = "" if option.maximum == math.inf else f" to {_figure(option.maximum)}"
    null = " or null" if option.optional else ""
    return f"give a number{low}{high}{null}"


def _figure(limit: float) -> str:
    return str(int(limit)) if limit == int(limit) else f"{limit:g}"
