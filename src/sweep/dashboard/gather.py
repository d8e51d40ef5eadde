"""Points of several places on one page: the same result once, and systems of one name told apart."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import combinations

from sweep.dashboard.benchmarks import compared_as
from sweep.dashboard.points import DashboardPoint
from sweep.dashboard.table import metric_of


def each_once(official: Sequence[DashboardPoint], trees: Sequence[Sequence[DashboardPoint]]) -> list[DashboardPoint]:
    """Return official results and those of trees, each result once.

    What a tree has that is there already is the same result: it adds its accuracy and its link. Of a result that has
    another value or verdict in the tree both are kept, and the tree's notes say so.
    """
    kept = list(official)
    for tree in trees:
        places: dict[Hashable, list[int]] = {}
        for place, point in enumerate(kept):
            places.setdefault(_result_of(point), []).append(place)
        for point in tree:
            known = places.get(_result_of(point), [])
            same = next((place for place in known if _is_same(kept[place], point)), None)
            if same is not None:
                first = kept[same]
                accuracy = point.accuracy_percent if first.accuracy_percent is None else first.accuracy_percent
                kept[same] = replace(first, accuracy_percent=accuracy, link=first.link or point.link)
            elif known:
                kept.append(replace(point, notes=f"{_other(kept[known[0]])}; {point.notes}"))
            else:
                kept.append(point)
    return kept


def _result_of(point: DashboardPoint) -> Hashable:
    """Return what two results share that cannot both be: a round has one of a system, benchmark and scenario."""
    return (point.round, *_system_of(point), compared_as(point.benchmark), point.scenario)


def _is_same(one: DashboardPoint, other: DashboardPoint) -> bool:
    is_one_value = math.isclose(one.value, other.value, rel_tol=1e-6)  # six digits are what LoadGen prints
    return is_one_value and (one.metric, one.verdict) == (other.metric, other.verdict)


def _other(point: DashboardPoint) -> str:
    metric = metric_of(point.metric)
    where = point.link or "the official results"
    return f"{where}: {point.value / metric.divisor:g} {metric.unit} {point.verdict}"


def told_apart(points: Sequence[DashboardPoint]) -> list[DashboardPoint]:
    """Return points that say, in `apart`, what tells their systems from others of the same name.

    That is as little of submitter, division and short name as does it.
    """
    systems: dict[str, set[tuple[str, ...]]] = {}
    for point in points:
        systems.setdefault(_name_of(point), set()).add(_system_of(point))
    chosen = {name: _telling(found) for name, found in systems.items()}
    return [
        replace(point, apart=", ".join(filter(None, (_system_of(point)[at] for at in chosen[_name_of(point)]))))
        for point in points
    ]


def _name_of(point: DashboardPoint) -> str:
    return " ".join(point.system.casefold().split())


def _system_of(point: DashboardPoint) -> tuple[str, ...]:
    return point.submitter, point.division, point.system_id


def _telling(systems: set[tuple[str, ...]]) -> tuple[int, ...]:
    """Return the places of the fewest of their words by which systems are told apart."""
    ways = (way for count in range(4) for way in combinations(range(3), count))
    return next(way for way in ways if len({tuple(one[at] for at in way) for one in systems}) == len(systems))
