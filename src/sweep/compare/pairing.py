"""Two sides of a comparison: which of their points belong together, what sets the sides apart, what has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sweep.compare.change import CONFIDENCE, Change, change, judge
from sweep.compare.estimate import Estimate, Metric
from sweep.compare.keys import ENVIRONMENT, MODEL_FILE, Key, N
from sweep.compare.noise import Noise, noise_of
from sweep.compare.points import Point
from sweep.results.environments import differences
from sweep.vocabulary import Verdict

Place = tuple[Metric, Key]
_ORDER = {Metric.MAX_STREAMS: 0, Metric.LATENCY: 1, Metric.ACCURACY: 2}


@dataclass(frozen=True)
class Pair:
    """One point on both sides.

    Attributes:
        key: What both have in common.
        before: One side's.
        after: The other's.
        change: From one to the other.
        notes: What to know about it beside the figures.
    """

    key: Key
    before: Point
    after: Point
    change: Change
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two sides, side by side.

    Attributes:
        pairs: Points that both have.
        only_before: Points that nothing on the other side belongs to.
        only_after: Likewise.
        compared: What sets the sides apart: name to both values.
        environments: How the machines and their software differ, where there is one on each side; a line each.
        noise: How far repeats differ.
        confidence: Of the whole comparison.
        sees_sessions: Whether any point was measured in several sessions, so that how far these differ is known.
    """

    pairs: tuple[Pair, ...]
    only_before: tuple[Point, ...]
    only_after: tuple[Point, ...]
    compared: Mapping[str, tuple[str, str]]
    environments: tuple[str, ...]
    noise: Noise
    confidence: float
    sees_sessions: bool


def compare(
    before: Sequence[Point], after: Sequence[Point], noise: float | None = None, confidence: float = CONFIDENCE
) -> Comparison:
    """Compare two sides point by point.

    What has one value on each side, and not the same, is what is compared: the precision, the bound, the machine.
    Points belong together when everything else is the same. Machines that both sides have are compared with
    themselves; results of several are never taken together.

    Args:
        before: One side.
        after: The other.
        noise: Relative standard deviation of latency between sessions, where the user knows it.
        confidence: That identical sides show no evidence of a change at all.
    """
    compared = _set_apart(before, after)
    noise_of_both = noise_of([one.estimate for one in (*before, *after)], noise)
    old = {_place(one, compared): one for one in before}
    new = {_place(one, compared): one for one in after}
    both = sorted(old.keys() & new.keys(), key=lambda place: order_of(*place))
    return Comparison(
        pairs=pair([(key, old[metric, key], new[metric, key]) for metric, key in both], noise_of_both, confidence),
        only_before=_without_partner(old, new),
        only_after=_without_partner(new, old),
        compared=compared,
        environments=_environments(before, after),
        noise=noise_of_both,
        confidence=confidence,
        sees_sessions=any(one.sessions > 1 for one in (*before, *after)),
    )


def _without_partner(own: Mapping[Place, Point], other: Mapping[Place, Point]) -> tuple[Point, ...]:
    alone = [(place, one) for place, one in own.items() if place not in other]
    return tuple(one for _, one in sorted(alone, key=lambda each: order_of(*each[0])))


def pair(points: Sequence[tuple[Key, Point, Point]], noise: Noise, confidence: float = CONFIDENCE) -> tuple[Pair, ...]:
    """Return the changes of points that belong together, with findings that hold for all of them at once.

    Args:
        points: Of each, what both sides have in common, and both sides.
        noise: How far sessions differ.
        confidence: That identical sides show no evidence of a change at all.
    """
    changes = [change(*_estimates(before, after), noise, confidence) for _, before, after in points]
    return tuple(
        Pair(key, before, after, _explained(found, before, after), _notes(before, after))
        for (key, before, after), found in zip(points, judge(changes, confidence), strict=True)
    )


def _explained(found: Change, before: Point, after: Point) -> Change:
    if before.is_cut_short and after.is_cut_short:
        return replace(found, why="INVALID on both sides, stopped early")
    return found


def _estimates(before: Point, after: Point) -> tuple[Estimate, Estimate]:
    """Return both estimates; for a latency that was cut short on one side, what its INVALID has shown.

    A test that was stopped early has no percentile, but its INVALID says that the percentile is over the bound, and it
    is no less than the median. How uncertain that is cannot be read from it, so it is taken to be as uncertain as the
    other side.
    """
    if before.is_cut_short and after.estimate.value is not None:
        return _beyond_the_bound(before, after.estimate), after.estimate
    if after.is_cut_short and before.estimate.value is not None:
        return before.estimate, _beyond_the_bound(after, before.estimate)
    return before.estimate, after.estimate


def _beyond_the_bound(point: Point, like: Estimate) -> Estimate:
    least, why = float(point.least_ns or 0), point.estimate.why
    return replace(like, value=least, low=least, high=None, why=why, repeats=1, spread=None, tests=1, queries=0)


def _set_apart(before: Sequence[Point], after: Sequence[Point]) -> dict[str, tuple[str, str]]:
    """Return what has one value on each side, and not the same."""
    old, new = _values(before), _values(after)
    single = {name: (next(iter(old[name])), next(iter(new[name]))) for name in old if _is_one(old, name, new)}
    return {name: (one, other) for name, (one, other) in single.items() if one != other}


def _is_one(old: Mapping[str, set[str]], name: str, new: Mapping[str, set[str]]) -> bool:
    return len(old[name]) == 1 and len(new.get(name, ())) == 1


def _values(points: Iterable[Point]) -> dict[str, set[str]]:
    """Return the values that each part of a key takes; N apart, since latencies are compared at equal N."""
    found: dict[str, set[str]] = {}
    for point in points:
        for name, value in (*point.key, (ENVIRONMENT, point.environment_digest)):
            if name != N:
                found.setdefault(name, set()).add(value)
    return found


def _place(point: Point, compared: Mapping[str, object]) -> Place:
    """Return what two points must share to belong together."""
    key = (*point.key, (ENVIRONMENT, point.environment_digest))
    return point.metric, tuple((name, value) for name, value in key if name not in compared)


def order_of(metric: Metric, key: Key) -> tuple[int, list[tuple[str, str]], int]:
    """Return what points are sorted by: their figure, what they are of, N."""
    return _ORDER[metric], sorted(one for one in key if one[0] != N), int(dict(key).get(N, 0))


def _environments(before: Sequence[Point], after: Sequence[Point]) -> tuple[str, ...]:
    old = {one.environment_digest: one.environment for one in before}
    new = {one.environment_digest: one.environment for one in after}
    if len(old) != 1 or len(new) != 1:
        return ()
    return differences(*old.values(), *new.values())


def _notes(before: Point, after: Point) -> tuple[str, ...]:
    notes = []
    if before.result != after.result and Verdict.VALID in (before.result, after.result):
        notes.append(f"{before.result} -> {after.result}")
    is_one_precision = dict(before.key).get("precision") == dict(after.key).get("precision")
    for (name, old), (_, new) in zip(before.files, after.files, strict=True):
        if old != new and is_one_precision:
            is_one_file = old.partition(" (")[0] == new.partition(" (")[0]
            other = "other kernels for int8" if is_one_file else "another model file"
            notes.append(other if name == MODEL_FILE else "other data")
    for name, point in (("before", before), ("after", after)):
        if point.left_out:
            notes.append(f"{_tests(point.left_out)} {name} stopped early or FAILED, and left out")
        if point.disturbed:
            notes.append(f"{_tests(point.disturbed)} disturbed {name}")
    return tuple(notes)


def _tests(count: int) -> str:
    return "1 test" if count == 1 else f"{count} tests"
