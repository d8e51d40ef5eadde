"""The keys of `search=...`: what is searched for, how surely, and with how much effort."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sweep.config.fields import Fields
from sweep.config.hydra_app import Composed
from sweep.config.rules import SAMPLES_PER_QUERY_MAX
from sweep.errors import ConfigError, Problem, choose
from sweep.paths import SweepPaths

_COUNT_MAX = 1_000_000_000
_SECONDS_MAX = 1e9
_SEED_MAX = 2**32 - 1
_CONFIDENCE_ABOVE, _CONFIDENCE_MAX = 0.5, 0.999999
_NAME_MAX = 200
_BUDGET = ("seconds", "queries", "tests")
_KEYS = (
    *("name", "algorithm", "min", "max", "step", "confidence", "trials", "seed", "budget", "min_accuracy"),
    *("reference_accuracy", "storage"),
)
_JOINT_KEYS = ("settings", "space")
_URL = re.compile(r"[a-z][a-z0-9+]*://\S+", re.IGNORECASE)

Space = tuple[tuple[str, tuple[Any, ...]], ...]


class Kind(StrEnum):
    """What is searched for."""

    NONE = "none"
    MAX_STREAMS = "max_streams"
    JOINT = "joint"


class Algorithm(StrEnum):
    """How N is searched for."""

    BOUNDARY = "boundary"
    BISECTION = "bisection"
    GRID = "grid"
    TPE = "tpe"
    GP = "gp"

    @property
    def is_random(self) -> bool:
        """Whether it draws what it asks for, so that the number of its tests must be given."""
        return self in {Algorithm.TPE, Algorithm.GP}


@dataclass(frozen=True)
class Budget:
    """What one search may use; None where there is no limit."""

    seconds: float | None
    queries: int | None
    tests: int | None


@dataclass(frozen=True)
class SearchSettings:
    """The keys of one search, checked by themselves.

    Attributes:
        kind: What is searched for.
        algorithm: How.
        low: Smallest N, before a frozen batch is looked at.
        high: Largest N.
        step: From one N to the next; None when nothing was asked for.
        confidence: Wanted of the answer.
        trials: Tests of a search that draws them.
        seed: Of what is drawn.
        budget: When the search ends whatever it knows.
        min_accuracy: Share of the reference's accuracy; None when accuracy is not asked for.
        reference_accuracy: In percent; None when it is to be measured.
        storage: URL of a database; None for a file under the output folder.
        study: Name that was given; None for one that is made.
        settings: How many settings a joint search tries; 0 in any other.
        space: What a joint search tries; None for the backend's own.
    """

    kind: Kind
    algorithm: Algorithm
    low: int
    high: int
    step: int | None
    confidence: float
    trials: int
    seed: int
    budget: Budget
    min_accuracy: float | None
    reference_accuracy: float | None
    storage: str | None
    study: str | None
    settings: int
    space: Space | None


def asks_for_search(points: Sequence[Composed]) -> bool:
    """Return whether these points are searches, and not tests.

    Raises:
        ConfigError: They are both.
    """
    names = [str(Fields(point.config).get("search.name") or Kind.NONE) for point in points]
    if Kind.NONE in names and len(set(names)) > 1:
        together = ",".join(dict.fromkeys(names))
        fix = "give two commands, one with search=none"
        raise ConfigError(Problem("search", together, "tests and searches cannot share a grid", fix))
    return any(name != Kind.NONE for name in names)


def read_search(fields: Fields) -> SearchSettings:
    """Return the keys of a search; what is wrong with them is among the problems of `fields`.

    Raises:
        ConfigError: There is no such search, so nobody knows which keys it has.
    """
    kind = fields.member("search.name", Kind)
    if kind is Kind.NONE:
        raise ConfigError(fields.problems)
    fields.only("search", (*_KEYS, *_JOINT_KEYS) if kind is Kind.JOINT else _KEYS)
    if not isinstance(fields.get("search.budget"), dict):
        fix = f"write {' or '.join(f'search.budget.{key}=NUMBER' for key in _BUDGET)}"
        value = fields.get("search.budget")
        reason = "is a group of three settings"
        fields.problems.append(Problem("search.budget", "null" if value is None else value, reason, fix))
    fields.only("search.budget", _BUDGET)
    budget = Budget(
        fields.number("search.budget.seconds", 0, _SECONDS_MAX),
        fields.whole("search.budget.queries", 1, _COUNT_MAX) or None,
        fields.whole("search.budget.tests", 1, _COUNT_MAX) or None,
    )
    low, high, step = _range(fields)
    min_accuracy = _min_accuracy(fields)
    reference_accuracy = fields.number("search.reference_accuracy", 0, 100)
    if reference_accuracy is not None and fields.get("search.min_accuracy") is None:
        reason, fix = "nothing reads it without search.min_accuracy", "add search.min_accuracy=0.99, or leave it out"
        fields.problems.append(Problem("search.reference_accuracy", f"{reference_accuracy:g}", reason, fix))
    return SearchSettings(
        kind=kind,
        algorithm=_algorithm(fields),
        low=low,
        high=high,
        step=step,
        confidence=fields.number("search.confidence", _CONFIDENCE_ABOVE, _CONFIDENCE_MAX) or 0.99,
        trials=fields.whole("search.trials", 1, _COUNT_MAX, 30),
        seed=fields.whole("search.seed", 0, _SEED_MAX, 0),
        budget=budget,
        min_accuracy=min_accuracy,
        reference_accuracy=reference_accuracy,
        storage=_storage(fields),
        study=_study(fields),
        settings=fields.whole("search.settings", 1, _COUNT_MAX, 12) if kind is Kind.JOINT else 0,
        space=_space(fields),
    )


def _range(fields: Fields) -> tuple[int, int, int | None]:
    known = len(fields.problems)
    low = fields.whole("search.min", 1, SAMPLES_PER_QUERY_MAX, 1)
    high = fields.whole("search.max", 1, SAMPLES_PER_QUERY_MAX, 8192)
    step = fields.whole("search.step", 1, SAMPLES_PER_QUERY_MAX) or None
    if len(fields.problems) > known:
        return 1, 1, None
    if low > high:
        reason, fix = f"is more than search.max={high}", "exchange the two, or set the other one too"
        fields.problems.append(Problem("search.min", low, reason, fix))
        return 1, 1, None
    if step is not None and low < high < low + step:
        reason, fix = f"leaves nothing but {low} of {low} to {high}", f"give {high - low} at most"
        fields.problems.append(Problem("search.step", step, reason, fix))
        return 1, 1, None
    return low, high, step


def _algorithm(fields: Fields) -> Algorithm:
    value = fields.get("search.algorithm")
    if value not in tuple(Algorithm):
        given = "null" if value is None else value
        fix = choose(str(value), [str(member) for member in Algorithm])
        fields.problems.append(Problem("search.algorithm", given, "unknown algorithm", fix))
        return Algorithm.BOUNDARY
    return Algorithm(value)


def _min_accuracy(fields: Fields) -> float | None:
    value = fields.get("search.min_accuracy")
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 1 < value <= 100:
        fix = f"did you mean {value / 100:g}? give a share of the reference's accuracy, more than 0, at most 1"
        fields.problems.append(Problem("search.min_accuracy", value, "is out of range", fix))
        return None
    return fields.number("search.min_accuracy", 0, 1)


def _storage(fields: Fields) -> str | None:
    value = fields.get("search.storage")
    if value is None:
        return None
    if not isinstance(value, str) or not _URL.fullmatch(value):
        fix = "for example search.storage=sqlite:///studies.db; null keeps a journal file under outputs"
        fields.problems.append(Problem("search.storage", value, "is not the URL of a database", fix))
        return None
    return value


def _study(fields: Fields) -> str | None:
    value = fields.get("study")
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _NAME_MAX:
        fix = f"give one line of text, {_NAME_MAX} characters at most"
        fields.problems.append(Problem("study", repr(value), "is not a name", fix))
        return None
    paths = SweepPaths(Path())
    if paths.certificate(value) == paths.manifest:
        reason = "would give the certificate the name of a file that is there already"
        fields.problems.append(Problem("study", value, reason, "choose another name"))
        return None
    return value


def _space(fields: Fields) -> Space | None:
    given = fields.get("search.space")
    if given is None:
        return None
    example = "for example 'search.space={backend.threads:[1,2]}'"
    if not isinstance(given, dict) or not given:
        reason = "must name keys, each with a list of values"
        fields.problems.append(Problem("search.space", json.dumps(given), reason, example))
        return None
    space = []
    for key, values in given.items():
        if not isinstance(values, list) or not values:
            reason = "has no values" if values == [] else "is not a list of values"
            shown = f"{{{key}: {json.dumps(values)}}}"
            fields.problems.append(Problem("search.space", shown, f"{key} {reason}", example))
            continue
        distinct = {json.dumps(value, sort_keys=True): value for value in values}
        space.append((str(key), tuple(distinct.values())))
    return tuple(space)
