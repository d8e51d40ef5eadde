"""Filters of records: `model=resnet result=VALID latency_p99_ms<50`."""

from __future__ import annotations

import datetime as dt
import fnmatch
import math
import operator
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.errors import ConfigError, Problem, choose
from sweep.store.records import StoredTrial
from sweep.store.table import COLUMNS, Column
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import Precision, RunClass, Scenario, TestMode, TrialState, Verdict

ALIASES = {
    "N": "samples_per_query",
    "batch": "samples_per_query",
    "bound_ms": "target_latency_ms",
    "p99_ms": "latency_p99_ms",
    "run": "run_class",
}
"""Words of the command line that runs tests, and short ones, beside the names of columns."""

_WORDS = {"mode": {"accuracy": TestMode.ACCURACY, "performance": TestMode.PERFORMANCE}}
"""Values that the command line has other words for, by column."""

_NS_PER_MS = 1e6
_MISSING, _NULL = "none", "null"
_COLUMNS = {column.name: column for column in COLUMNS}
_KINDS: dict[str, Iterable[str]] = {
    "mode": (*TestMode, *_WORDS["mode"]),
    "precision": Precision,
    "result": Verdict,
    "run_class": RunClass,
    "scenario": Scenario,
    "state": (TrialState.COMPLETE, TrialState.FAILED),
}
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORD = re.compile(r"([A-Za-z_][\w.]*)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_OPTION = "backend."
_STARTED_AT = "started_at"


@dataclass(frozen=True)
class Condition:
    """One filter.

    Attributes:
        text: As it was given.
        column: Whose value is compared.
        compare: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        values: Any of which will do; None stands for a missing value. One alone for an order.
        factor: What a value of the column is divided by first: a million where milliseconds were asked of nanoseconds.
        key: The column, as it was called.
    """

    text: str
    column: Column
    compare: str
    values: tuple[Any, ...]
    factor: float = 1.0
    key: str = ""

    def holds(self, value: Any) -> bool:
        """Return whether a value of the column will do; a missing one is neither less nor more than any."""
        if self.compare in _ORDERS:
            order = _ORDERS[self.compare]
            if value is None or isinstance(value, str):
                return value is not None and order(value, self.values[0])
            return order(value / self.factor, self.values[0])
        found = any(self._equals(value, wanted) for wanted in self.values)
        return found if self.compare == "=" else not found

    def _equals(self, value: Any, wanted: Any) -> bool:
        if value is None or wanted is None:
            # Weights of a backend that runs no model are called so.
            return wanted is None and value in (None, _MISSING)
        if isinstance(wanted, str):
            # A bracket is a bracket: names of models may hold some.
            return fnmatch.fnmatchcase(str(value).casefold(), wanted.casefold().replace("[", "[[]"))
        if isinstance(wanted, bool):
            return value is wanted
        return math.isclose(value / self.factor, wanted, rel_tol=1e-9)


@dataclass(frozen=True)
class Filters:
    """Conditions that must all hold; none lets everything pass."""

    conditions: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.conditions)

    def __str__(self) -> str:
        return " ".join(condition.text for condition in self.conditions)

    def match(self, stored: StoredTrial) -> bool:
        """Return whether a record is wanted."""
        return all(condition.holds(condition.column.get(stored)) for condition in self.conditions)

    def match_search(self, spec: TrialSpec, test: StoredTrial | None) -> bool:
        """Return whether a search is wanted.

        A condition on what was to be measured is held against its spec, one on the machine or on when it was started
        against its first test. One on what a single test gave (`result=VALID`, `batch=8`) chooses among tests, not
        among searches.

        Args:
            spec: Of the search: a full test.
            test: Its first record; None where that is gone.
        """
        for condition in self.conditions:
            column = condition.column
            if column.get_from_spec is not None:
                if not condition.holds(column.get_from_spec(spec)):
                    return False
            elif (column.of_environment or column.name == _STARTED_AT) and not (
                test is not None and condition.holds(column.get(test))
            ):
                return False
        return True


def is_filter(word: str) -> bool:
    """Return whether a word of the command line is a filter rather than a folder: `KEY=...` or `KEY<...`."""
    return _WORD.fullmatch(word) is not None and not os.path.lexists(word)


def split_words(words: Sequence[str]) -> tuple[list[Path], Filters]:
    """Return the folders and the filters among words, in order.

    Raises:
        ConfigError: A filter is wrong; every wrong one is named.
    """
    folders = [Path(word) for word in words if not is_filter(word)]
    return folders, parse_filters([word for word in words if is_filter(word)])


def parse_filters(words: Sequence[str]) -> Filters:
    """Read filters: `KEY=VALUE`, `KEY=V1,V2` (any of them), `KEY!=VALUE`, and `<`, `<=`, `>`, `>=` of numbers.

    KEY is a column of the results table (`COLUMNS`), an alias, a column in nanoseconds with `_ms` for `_ns`, or an
    option of the engine (`backend.threads`). Text is compared without regard to case, and may hold `*` and `?`. `none`
    is a missing value. `started_at` has an order too: `started_at>=2026-11-23`.

    Raises:
        ConfigError: A word is no filter, or its key or value is unknown; every problem is in it.
    """
    conditions: list[Condition] = []
    problems: list[Problem] = []
    for word in words:
        try:
            conditions.append(_condition(word))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Filters(tuple(conditions))


def _condition(word: str) -> Condition:
    parts = _WORD.fullmatch(word)
    if parts is None:
        raise ConfigError(Problem(word, None, "no filter", "filters are KEY=VALUE, KEY!=VALUE, KEY<VALUE, ..."))
    key, compare, text = parts.groups()
    name = ALIASES.get(key, key)
    factor = 1.0
    if name not in _COLUMNS and name.endswith("_ms") and f"{name[:-3]}_ns" in _COLUMNS:
        name, factor = f"{name[:-3]}_ns", _NS_PER_MS
    column = _option(name) if name.startswith(_OPTION) and name != _OPTION else _COLUMNS.get(name)
    if column is None:
        near = choose(key, [*_COLUMNS, *ALIASES]).partition("choose one of")[0]
        fix = f"{near}python -m sweep ls --columns lists them; options of an engine are {_OPTION}NAME"
        raise ConfigError(Problem(key, None, "no column of the results", fix))
    if compare in _ORDERS:
        if name == _STARTED_AT:
            return Condition(word, column, compare, (_moment(key, text),), key=key)
        if column.dtype not in ("Int64", "Float64"):
            raise ConfigError(Problem(word, None, f"{key} has no order", f"use {key}=VALUE or {key}!=VALUE"))
        return Condition(word, column, compare, (_number(key, text),), factor, key)
    values = tuple(_value(key, column, value.strip()) for value in text.split(","))
    return Condition(word, column, compare, values, factor, key)


def _option(name: str) -> Column:
    """Return what reads an option of the engine, as its user writes it: `true`, `null`, `4`."""
    option = name.removeprefix(_OPTION)

    def read(spec: TrialSpec) -> str | None:
        value = spec.backend.options.get(option)
        return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    return Column(name, "string", "option of the engine", lambda stored: read(stored.result.spec), read)


def _moment(key: str, text: str) -> str:
    """Return a date, or a date and a time, as it is compared with those of records: as text."""
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(Problem(key, text, "must be a date, or a date and time", "as in 2026-11-23T18:30")) from None
    return text.strip().replace(" ", "T")


def _value(key: str, column: Column, text: str) -> Any:
    if text.casefold() in (_MISSING, _NULL):
        return None
    if column.dtype == "boolean":
        if text.casefold() not in ("true", "false"):
            raise ConfigError(Problem(key, text, "unknown", "choose one of: true, false, none"))
        return text.casefold() == "true"
    if column.dtype in ("Int64", "Float64"):
        return _number(key, text)
    choices = [str(choice) for choice in _KINDS.get(column.name, ())]
    if not text or (choices and not any(fnmatch.fnmatchcase(one.casefold(), text.casefold()) for one in choices)):
        fix = choose(text, [*choices, _MISSING]) if choices else f"give a value, or {key}={_MISSING}"
        raise ConfigError(Problem(key, text, "unknown" if text else "has no value", fix))
    return str(_WORDS.get(column.name, {}).get(text.casefold(), text))


def _number(key: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(Problem(key, text, "must be a number", f"or {key}={_MISSING}"))
    return number
