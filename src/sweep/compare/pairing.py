"""Two sides of a comparison: which of their points belong together, what sets the sides apart, what has changed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sweep.compare.change import CONFIDENCE, Change, change, judge
from sweep.compare.estimate import Estimate, Metric
from sweep.compare.keys import ENVIRONMENT, MODEL_FILE, NO_FILE, Key, N
from sweep.compare.noise import Noise, noise_of
from sweep.compare.points import Point
from sweep.results.environments import differences
from sweep.vocabulary import Verdict

Place = tuple[Metric, Key]
_BothValues = tuple[set[str | None], set[str | None]]
_ANCHORS = frozenset({"model", "precision", "backend", ENVIRONMENT})
"""What points are of before anything else, besides N."""
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

    What has no value in common on both sides is what is compared: the precision, the bound, the machine, and what goes
    with these. Points belong together when everything else is the same. Machines that both sides have are compared with
    themselves; results of several are never taken together.

    Args:
        before: One side.
        after: The other.
        noise: Relative standard deviation of latency between sessions, where the user knows it.
        confidence: That identical sides show no evidence of a change at all.
    """
    noise_of_both = noise_of([one.estimate for one in (*before, *after)], noise)
    found = _partners(before, after)
    matched = {id(point) for _, *both in found for point in both}
    return Comparison(
        pairs=pair(found, noise_of_both, confidence),
        only_before=_without_partner(before, matched),
        only_after=_without_partner(after, matched),
        compared=_compared(before, after, found),
        environments=_environments(before, after),
        noise=noise_of_both,
        confidence=confidence,
        sees_sessions=any(one.sessions > 1 for one in (*before, *after)),
    )


def _without_partner(points: Sequence[Point], matched: Container[int]) -> tuple[Point, ...]:
    alone = [one for one in points if id(one) not in matched]
    return tuple(sorted(alone, key=lambda one: order_of(one.metric, tuple(_whole(one).items()))))


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


def _whole(point: Point) -> dict[str, str]:
    """Return the key of a point with the machine."""
    return {**dict(point.key), ENVIRONMENT: point.environment_digest}


def _values(points: Iterable[Point], names: Iterable[str]) -> dict[str, set[str | None]]:
    """Return the values that each part of a key takes; None where a point has no such part."""
    keys = [_whole(point) for point in points]
    return {name: {key.get(name) for key in keys} for name in names}


def _partners(before: Sequence[Point], after: Sequence[Point]) -> list[tuple[Key, Point, Point]]:
    """Return the points that belong together, each with what both have in common.

    Points of one model, precision, backend, machine and N are a group, as far as both sides have these. What then has
    no value in common with the other side, in every group in which it differs, sets the sides apart, such as the
    calibration that each model in int8 has and none in fp32. Where several points of a side are left for one place,
    nobody knows which is meant, and none of them has a partner.
    """
    names = dict.fromkeys(name for point in (*before, *after) for name in _whole(point))
    old, new = _values(before, names), _values(after, names)
    anchors = [name for name in names if name == N or (name in _ANCHORS and old[name] & new[name])]
    groups: dict[Place, tuple[list[Point], list[Point]]] = {}
    for side, points in enumerate((before, after)):
        for one in points:
            key = _whole(one)
            place = one.metric, tuple((name, key[name]) for name in anchors if name in key)
            groups.setdefault(place, ([], []))[side].append(one)
    both = [group for group in groups.values() if all(group)]
    apart = [_apart(*group, [name for name in names if name not in anchors]) for group in both]
    mixed = {name for name in names if _is_mixed([one[name] for one in apart if name in one])}
    found = []
    for (olds, news), differing in zip(both, apart, strict=True):
        gone = differing.keys() - mixed
        there = _single(news, gone)
        found += [(_left(one, gone), one, there[place]) for place, one in _single(olds, gone).items() if place in there]
    return sorted(found, key=lambda each: order_of(each[1].metric, each[0]))


def _apart(before: Sequence[Point], after: Sequence[Point], names: Sequence[str]) -> dict[str, _BothValues]:
    """Return the values of what has none in common on both sides."""
    old, new = _values(before, names), _values(after, names)
    return {name: (old[name], new[name]) for name in names if not old[name] & new[name]}


def _is_mixed(values: Sequence[_BothValues]) -> bool:
    """Return whether what one group has before, another has after: that is no difference between the sides."""
    return bool({one for old, _ in values for one in old} & {one for _, new in values for one in new})


def _single(points: Sequence[Point], gone: Container[str]) -> dict[frozenset[tuple[str, str]], Point]:
    """Return points by what is left of their keys without what sets the sides apart; none where several share that."""
    places: dict[frozenset[tuple[str, str]], list[Point]] = {}
    for one in points:
        places.setdefault(frozenset(_left(one, gone)), []).append(one)
    return {place: group[0] for place, group in places.items() if len(group) == 1}


def _left(point: Point, gone: Container[str]) -> Key:
    return tuple((name, value) for name, value in _whole(point).items() if name not in gone)


def _compared(
    before: Sequence[Point], after: Sequence[Point], found: Sequence[tuple[Key, Point, Point]]
) -> dict[str, tuple[str, str]]:
    """Return what sets the sides apart: name to the values of both.

    Which file it was is told where model and precision are the same: otherwise it follows from them.
    """
    names = dict.fromkeys(name for point in (*before, *after) for name in _whole(point) if name != N)
    old, new = _values(before, names), _values(after, names)
    values = {name: (old[name], new[name]) for name in names if len(old[name]) == len(new[name]) == 1}
    for key, *both in found:
        one, other = (_whole(point) for point in both)
        parts = [(name, one.get(name), other.get(name)) for name in names if name not in dict(key)]
        if all(one.get(name) == other.get(name) for name in ("model", "precision")):
            files = zip(both[0].files, both[1].files, strict=True)
            parts += [(name, was, now) for (name, was), (_, now) in files if NO_FILE not in (was, now)]
        for name, *each in (part for part in parts if part[1] != part[2]):
            seen = values.setdefault(name, (set(), set()))
            for side, value in zip(seen, each, strict=True):
                side.add(value)
    said = {name: tuple(", ".join(sorted(one or "" for one in side)) for side in both) for name, both in values.items()}
    return {name: (one, other) for name, (one, other) in said.items() if one != other}


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
