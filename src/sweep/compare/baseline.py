"""What a gate holds results against: a file with the figures of a good night, per machine, small enough to commit."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.compare.estimate import Estimate, Metric
from sweep.compare.points import Key, N, Point
from sweep.errors import RecordError
from sweep.paths import write_json
from sweep.results.environments import hardware

SCHEMA_VERSION = 1
"""History of the file's format. Newer is refused, older is migrated.

1: first.
"""

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

    def updated(self, points: Sequence[Point]) -> Baseline:
        """Return this baseline with newly measured points in the place of its own; what was not measured stays.

        Of the latencies that a search measured, those at its answer are kept: the others may not be asked for again.
        """
        own = dict(self._places)
        answers = {(one.key, one.environment_digest): one.estimate.value for one in points if _is_answer(one)}
        for point in sorted(points, key=lambda one: one.measured_at):
            key = tuple(part for part in point.key if part[0] != N)
            answer = answers.get((key, point.environment_digest))
            if point.is_asked or str(answer and f"{answer:.0f}") == dict(point.key).get(N):
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
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: damaged: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("schema_version"), int) or "points" not in data:
        raise RecordError(f"{path}: not a baseline of sweep gate")
    if data["schema_version"] > SCHEMA_VERSION:
        raise RecordError(
            f"{path}: written by a newer sweep (schema {data['schema_version']}); update sweep to read it"
        )
    try:
        environments = data["environments"]
        points = tuple(_from_json(one, environments) for one in data["points"])
        return Baseline(points, str(data["written_at"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"{path}: damaged baseline: {type(error).__name__}: {error}") from error


def _is_answer(point: Point) -> bool:
    return point.metric is Metric.MAX_STREAMS and point.estimate.value is not None


def machine_of(point: Point) -> str:
    """Return what two results must share to be of one machine: its hardware, whatever is installed on it."""
    return json.dumps(hardware(point.environment), sort_keys=True)


def place_of(point: Point) -> Place:
    """Return what a point is a figure of; a file does not keep the order of names."""
    return point.metric, tuple(sorted(point.key))


def _to_json(point: Point) -> dict[str, Any]:
    return {
        "metric": str(point.metric),
        "key": dict(point.key),
        "estimate": point.estimate.to_json(),
        "environment_digest": point.environment_digest,
        "bound_ns": point.bound_ns,
        "result": point.result,
        "commit": point.commit,
        "model_digest": point.model_digest,
        "disturbed": point.disturbed,
        "is_asked": point.is_asked,
        "measured_at": point.measured_at,
        "is_cut_short": point.is_cut_short,
    }


def _from_json(data: Mapping[str, Any], environments: Mapping[str, Mapping[str, Any]]) -> Point:
    texts = {name: str(value) for name, value in data["key"].items()}
    return Point(
        metric=Metric(data["metric"]),
        key=tuple(texts.items()),
        estimate=Estimate.from_json(data["estimate"]),
        environment=dict(environments[data["environment_digest"]]),
        environment_digest=data["environment_digest"],
        bound_ns=data["bound_ns"],
        result=data["result"],
        commit=data["commit"],
        model_digest=data["model_digest"],
        disturbed=int(data["disturbed"]),
        is_asked=bool(data["is_asked"]),
        measured_at=str(data["measured_at"]),
        is_cut_short=bool(data["is_cut_short"]),
    )
