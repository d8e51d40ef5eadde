"""What a gate holds results against: a file with the figures of a good night, per machine, small enough to commit."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sweep.compare.estimate import Estimate, Metric
from sweep.compare.keys import DATA, MODEL_FILE, Key, N, as_labelled, shared_with_search
from sweep.compare.points import Point
from sweep.errors import RecordError
from sweep.paths import write_json
from sweep.results.environments import hardware
from sweep.results.filters import Filters
from sweep.store.records import read_versioned
from sweep.trial.plain import read_plain

SCHEMA_VERSION = 1
"""History of the file's format. Newer is refused, older is migrated.

1: first.
"""

_ERROR_MAX = 1e3
"""No figure of a file is so uncertain, relative, nor is an N so far from the bound."""

_COLUMNS = {"run": "run_class"}
"""Names in keys to columns of the results, where they differ."""

Place = tuple[Metric, Key]
"""What a point is a figure of."""


@dataclass(frozen=True)
class Baseline:
    """Figures that results are held against.

    Attributes:
        points: Of one or several machines.
        written_at: When the file was last written, UTC, ISO 8601; empty for one that was not written yet.
    """

    points: tuple[Point, ...] = ()
    written_at: str = ""
    _places: Mapping[tuple[str, Place], Point] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the points by machine and place."""
        places = {(machine_of(point), place_of(point)): point for point in self.points}
        object.__setattr__(self, "_places", places)

    def of(self, machine: str) -> dict[Place, Point]:
        """Return the points of one machine (`machine_of`) by what they are figures of."""
        return {place: point for (own, place), point in self._places.items() if own == machine}

    def machines(self) -> dict[str, Mapping[str, Any]]:
        """Return a fingerprint of each machine, by `machine_of`."""
        return {machine_of(point): point.environment for point in self.points}

    def only(self, filters: Filters) -> Baseline:
        """Return those points that filters let pass, as far as they concern what a point is of."""
        return Baseline(tuple(point for point in self.points if _passes(point, filters)), self.written_at)

    def updated(self, points: Sequence[Point]) -> Baseline:
        """Return this baseline with newly measured points in the place of its own; what was not measured stays.

        Of the latencies that a search measured, the one at its answer is kept: the others may not be asked for again.
        """
        searches = [one for one in points if one.metric is Metric.MAX_STREAMS]
        own = {
            place: point
            for place, point in self._places.items()
            # The old answer's latency goes with the old answer.
            if point.is_asked or not any(_is_test_of(point, search) for search in searches)
        }
        for point in sorted(points, key=lambda one: one.measured_at):
            if point.is_asked or any(_is_at_the_answer(point, search) for search in searches):
                own[machine_of(point), place_of(point)] = point
        return Baseline(tuple(own.values()))

    def without(self, points: Iterable[Point]) -> Baseline:
        """Return this baseline without some of its points."""
        gone = {(machine_of(point), place_of(point)) for point in points}
        return Baseline(tuple(point for place, point in self._places.items() if place not in gone))

    def write(self, path: Path) -> None:
        """Write it as a file, whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        ordered = sorted(self.points, key=lambda point: (machine_of(point), str(point.metric), point.key))
        environments = {point.environment_digest: dict(point.environment) for point in ordered}
        data = {
            "schema_version": SCHEMA_VERSION,
            "written_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "environments": environments,
            "points": [_to_json(point) for point in ordered],
        }
        write_json(path, data)


def read_baseline(path: Path) -> Baseline:
    """Read a baseline from its file.

    Raises:
        RecordError: It cannot be read, is damaged, or is from a newer sweep; the message names the file.
    """
    data = read_versioned(path, SCHEMA_VERSION, "a baseline of sweep gate")
    try:
        saved = read_plain(_Saved, {name: data[name] for name in ("written_at", "environments", "points")})
        baseline = Baseline(tuple(_point(one, saved.environments) for one in saved.points), saved.written_at)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise RecordError(f"{path}: damaged baseline: {what}") from error
    if not baseline.points:
        raise RecordError(f"{path}: damaged baseline: it holds no point")
    return baseline


def _passes(point: Point, filters: Filters) -> bool:
    key = {_COLUMNS.get(name, name): value for name, value in point.key}
    for condition in filters.conditions:
        value = key.get(condition.key)
        if value is not None and not condition.holds(_typed(condition.column.dtype, value)):
            return False
    return True


def _typed(dtype: str, text: str) -> str | float | None:
    if text in ("", "none"):
        return None
    return float(text) if dtype in ("Int64", "Float64") else text


def _is_test_of(point: Point, search: Point) -> bool:
    is_shared = point.metric is Metric.LATENCY and machine_of(point) == machine_of(search)
    return is_shared and shared_with_search(point.key, search.key)


def _is_at_the_answer(point: Point, search: Point) -> bool:
    answer = search.estimate.value
    return answer is not None and dict(point.key).get(N) == f"{answer:.0f}" and _is_test_of(point, search)


def host_of(environment: Mapping[str, Any]) -> str:
    """Return what two results share when they are of one computer, whichever of its processors they are of."""
    return json.dumps({name: value for name, value in hardware(environment).items() if name != "gpus"}, sort_keys=True)


def machine_of(point: Point) -> str:
    """Return what two results must share to be of one machine: its hardware, whatever is installed on it."""
    return json.dumps(hardware(point.environment), sort_keys=True)


def place_of(point: Point) -> Place:
    """Return what a point is a figure of; a file does not keep the order of names."""
    return point.metric, tuple(sorted(point.key))


@dataclass(frozen=True)
class _SavedPoint:
    """A point as a file has it."""

    metric: Metric
    key: Mapping[str, str]
    estimate: Estimate
    environment_digest: str
    bound_ns: int | None
    result: str
    commit: str | None
    files: Mapping[str, str]
    disturbed: int
    is_asked: bool
    measured_at: str
    sessions: int
    left_out: int
    is_complete: bool
    least_ns: int | None


@dataclass(frozen=True)
class _Saved:
    written_at: str
    environments: Mapping[str, Mapping[str, Any]]
    points: tuple[_SavedPoint, ...]


def _to_json(point: Point) -> dict[str, Any]:
    plain = {each.name: getattr(point, each.name) for each in fields(_SavedPoint)}
    own = {"metric": str(point.metric), "key": dict(point.key), "files": dict(point.files)}
    return {**plain, **own, "estimate": point.estimate.to_json()}


def _point(saved: _SavedPoint, environments: Mapping[str, Mapping[str, Any]]) -> Point:
    estimate, key = saved.estimate, saved.key
    value, high = estimate.value, estimate.high
    if value is not None and (min(value, estimate.low) < 0 or (high is not None and high < estimate.low)):
        raise ValueError(f"an estimate of {value:g} from {estimate.low:g} to {high}")
    is_accuracy, is_latency = saved.metric is Metric.ACCURACY, saved.metric is Metric.LATENCY
    errors = (estimate.error_below, estimate.error_above, estimate.spread or 0.0)
    broken = {
        "its metric is another than its estimate's": saved.metric is not estimate.metric,
        "counts below 0": min(estimate.repeats - 1, estimate.tests, estimate.queries, estimate.step - 1) < 0,
        "errors that are none": not all(0 <= error <= _ERROR_MAX for error in errors),
        "degrees of freedom that are none": estimate.freedom is not None and not estimate.freedom > 0,
        "a latency or a bound of 0": any(one is not None and one <= 0 for one in (saved.bound_ns, saved.least_ns)),
        "an accuracy of no samples": is_accuracy and value is not None and not (estimate.queries and value <= 100),
        "a bound for what it is at least": not is_latency and saved.least_ns is not None,
        "a latency of 0": is_latency and value == 0,
        "a latency of no N": is_latency and not key.get(N, "").isdecimal(),
        "slacks of no N": any(n <= 0 or abs(slack) > _ERROR_MAX for n, slack in estimate.slacks),
        "files that are none": set(saved.files) != {MODEL_FILE, DATA},
    }
    if wrong := [what for what, holds in broken.items() if holds]:
        raise ValueError(f"a point of {saved.metric} with {', '.join(wrong)}")
    plain = {each.name: getattr(saved, each.name) for each in fields(_SavedPoint)}
    # A file does not keep the order of names, so they have the one that they are compared in.
    own = {"key": as_labelled(saved.key), "files": tuple(sorted(saved.files.items(), reverse=True))}
    return Point(**{**plain, **own}, environment=environments[saved.environment_digest])
