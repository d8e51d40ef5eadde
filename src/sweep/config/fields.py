"""Single values of the configuration: converted to their type, or one problem each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

from sweep.errors import Problem, choose

_Enum = TypeVar("_Enum", bound=StrEnum)


_SEVERAL = r"\d+(?:\s*(?:\.\.+|[-:;\s])\s*\d+)+"


class Fields:
    """Reads values out of a composed configuration and collects what is wrong with them.

    Args:
        values: The composed configuration.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self.problems: list[Problem] = []

    def get(self, key: str) -> Any:
        """Return the value at a dotted key, None when it is absent."""
        node: Any = self._values
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        return node

    def only(self, parent: str, known: Iterable[str]) -> None:
        """Refuse keys that nothing reads: a misspelt one would otherwise leave a default in force unseen."""
        names = tuple(known)
        node = self.get(parent) if parent else self._values
        for name, value in node.items() if isinstance(node, dict) else ():
            if name not in names:
                key = f"{parent}.{name}" if parent else str(name)
                self.problems.append(Problem(key, value, "unknown key", choose(str(name), names)))

    def whole(self, key: str, low: int, high: int, default: int = 0) -> int:
        """Return a whole number from `low` to `high`; null is `default`."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # 1e3
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            reason = f"must be a whole number from {low} to {high}"
            fix = f"for example {key}={default}" if low <= default <= high else "or leave it out"
            if isinstance(value, list) or (isinstance(value, str) and re.fullmatch(_SEVERAL, value)):
                fix = f"several values are a list or a range: -m {key}=8,16 or -m '{key}=range(8,17)'"
            self.problems.append(Problem(key, _typed(value), reason, fix))
            return default
        return value

    def number(self, key: str, above: float, high: float) -> float | None:
        """Return a number with `above` < number <= `high`; null is None."""
        span = f"more than {_figure(above)}, at most {_figure(high)}"
        value = self.get(key)
        if value is None:
            return None
        # No isnan: a whole number may be too large for it.
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value != value:  # noqa: PLR0124
            unit = isinstance(value, str) and re.fullmatch(r"[\d.]+\s*[a-z%]+", value, re.IGNORECASE)
            self.problems.append(
                Problem(key, _typed(value), "must be a number", f"leave out the unit; {span}" if unit else span)
            )
            return None
        if not above < value <= high:
            self.problems.append(Problem(key, value, "is out of range", span))
            return None
        if float(f"{value:g}") != value:
            self.problems.append(Problem(key, value, "has more than six digits", f"for example {value:g}"))
            return None
        return float(value)

    def duration_s(self, key: str, high: float) -> float:
        """Return a number of seconds above 0; unlike `number`, it must be set."""
        if self.get(key) is None:
            span = f"more than 0, at most {_figure(high)}"
            self.problems.append(Problem(key, "null", "must be a number of seconds", span))
        return self.number(key, 0, high) or 1.0

    def truth(self, key: str) -> bool:
        """Return true or false."""
        value = self.get(key)
        if not isinstance(value, bool):
            self.problems.append(Problem(key, value, "must be true or false"))
        return value is True

    def text(self, key: str) -> str:
        """Return a non-empty string."""
        value = self.get(key)
        if not isinstance(value, str) or not value.strip():
            self.problems.append(Problem(key, value if value is not None else "null", "must be a name or path"))
            return ""
        return value

    def member(self, key: str, kind: type[_Enum], names: dict[str, _Enum] | None = None) -> _Enum:
        """Return a member of an enumeration by the word users type for it."""
        words = names or {str(member): member for member in kind}
        value = self.get(key)
        if not isinstance(value, str) or value not in words:
            self.problems.append(
                Problem(key, value if value is not None else "null", f"unknown {key}", choose(str(value), words))
            )
            return next(iter(kind))
        return words[value]

    def texts(self, key: str, allowed: Iterable[str]) -> tuple[str, ...]:
        """Return a list of words, each of them allowed."""
        value = self.get(key)
        known = tuple(allowed)
        words = value if isinstance(value, list) else [value]
        for word in words:
            if word not in known:
                self.problems.append(Problem(key, word, "unknown", choose(str(word), known)))
        return tuple(word for word in words if word in known)


def _typed(value: object) -> object:
    """Return a text in quotes: `8` and `'8'` are not the same."""
    return repr(value) if isinstance(value, str) and value[:1].isdigit() else value


def _figure(value: float) -> str:
    """Return a number for people: no exponent where a whole number reads well."""
    return str(int(value)) if float(value).is_integer() else f"{value:g}"
