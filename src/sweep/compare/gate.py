"""Whether results have fallen behind a baseline by more than noise and a tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sweep.compare.baseline import Baseline, Place, host_of, machine_of, place_of
from sweep.compare.change import CONFIDENCE, Change, Finding
from sweep.compare.estimate import Metric
from sweep.compare.keys import DATA
from sweep.compare.noise import Noise, noise_of
from sweep.compare.pairing import Pair, order_of, pair
from sweep.compare.points import Point
from sweep.results.environments import describe, differences, hardware

TOLERANCE_PERCENT = 3.0
TOLERANCE_POINTS = 0.2
"""Of 500 samples one may be rounded to another answer by another version of a library."""
_ROUNDING = 1e-9
_BLIND_PERCENT = 10.0
"""A fall of so much that nobody could have seen is worth a word."""


class Outcome(StrEnum):
    """What became of one point."""

    PASSED = "passed"
    FAILED = "failed"
    MISSING = "missing"
    """The baseline has it, and it was not measured: a failure."""
    NEW = "new"
    """The baseline has it not: nothing to hold it against."""
    NOT_COMPARED = "not compared"
    """INVALID on both sides, and stopped early: nothing is known of how far."""


ORDER = (Outcome.FAILED, Outcome.MISSING, Outcome.NEW, Outcome.NOT_COMPARED, Outcome.PASSED)
"""From what matters most."""


@dataclass(frozen=True)
class Tolerances:
    """How far a figure may fall, even where there is evidence for it.

    Attributes:
        percent: Of max streams; and of the bound, for the margin that a latency leaves to it. Where there is no bound,
            of the latency.
        accuracy_points: Of accuracy, in points of a percent.
    """

    percent: float = TOLERANCE_PERCENT
    accuracy_points: float = TOLERANCE_POINTS


@dataclass(frozen=True)
class Item:
    """One point of the gate.

    Attributes:
        point: As it was measured or, where it is missing, as the baseline has it.
        outcome: What became of it.
        why: In one line.
        pair: Both sides; None where there is one alone.
    """

    point: Point
    outcome: Outcome
    why: str
    pair: Pair | None = None

    @property
    def is_failure(self) -> bool:
        """Whether it keeps the gate shut."""
        return self.outcome in (Outcome.FAILED, Outcome.MISSING)


@dataclass(frozen=True)
class GateReport:
    """What a gate has found.

    Attributes:
        items: Every point.
        noise: How far repeats differ.
        confidence: That identical results open the gate.
        sees_sessions: Whether any point was measured in several sessions, so that how far these differ is known.
        notes: What is to be known besides: another software, points too noisy to guard.
    """

    items: tuple[Item, ...]
    noise: Noise
    confidence: float
    sees_sessions: bool
    notes: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether nothing has fallen and nothing is missing."""
        compared = any(item.outcome in (Outcome.PASSED, Outcome.NOT_COMPARED) for item in self.items)
        return compared and not any(item.is_failure for item in self.items)


def run_gate(
    baseline: Baseline,
    points: Sequence[Point],
    tolerances: Tolerances = Tolerances(),
    noise: float | None = None,
    confidence: float = CONFIDENCE,
) -> GateReport:
    """Hold results against a baseline.

    A point fails when there is evidence that it is worse, all points taken together, and it is worse by more than the
    tolerance; when it could not be measured; and when it is missing. Results of one machine are held against those of
    the same one, whatever has been installed on it since.

    Args:
        baseline: Whose points must all be there.
        points: What was measured.
        tolerances: How far a figure may fall.
        noise: Relative standard deviation of latency between sessions, where the user knows it.
        confidence: That identical results open the gate.
    """
    current, outdated = _newest(points)
    notes = [f"{outdated} older figures of other software versions are left out"] if outdated else []
    known = baseline.machines()
    both: list[tuple[Point, Point]] = []
    alone: list[Item] = []
    for machine, own in current.items():
        before = baseline.of(machine)
        if not before and known:
            notes.append(_stranger(own, known))
        notes += _changed_software(before, own)
        for place, point in own.items():
            if place in before and not _is_older(point, before[place]):
                both.append((before[place], point))
            elif place not in before and point.is_asked:
                alone.append(_new(point))
        alone += [_missing(point, own.get(place)) for place, point in before.items() if _is_gone(point, own.get(place))]
    at_work = {host_of(point.environment) for point in points}
    for machine in (machine for machine in known if machine not in current):
        if not at_work or host_of(known[machine]) in at_work or not any(map(baseline.of, current)):
            alone += [_missing(point) for point in baseline.of(machine).values() if point.is_asked]
        else:
            notes.append(f"the baseline also has points of a machine that was not at work: {describe(known[machine])}")
    same = sum(before.measured_at == after.measured_at for before, after in both)
    if same:
        notes.append(f"{same} of {len(both)} points are the very measurements of the baseline: not measured since")
    noise_of_both = noise_of([point.estimate for one in both for point in one], noise)
    pairs = pair([(after.key, before, after) for before, after in both], noise_of_both, confidence)
    return GateReport(
        items=tuple(sorted((*(_judged(one, tolerances) for one in pairs), *alone), key=_order)),
        noise=noise_of_both,
        confidence=confidence,
        sees_sessions=any(point.sessions > 1 for one in both for point in one),
        notes=(*notes, *_blind(pairs, tolerances)),
    )


def _order(item: Item) -> tuple[Any, ...]:
    """Return what items are sorted by: failures first, then as a comparison is."""
    return ORDER.index(item.outcome), *order_of(item.point.metric, item.point.key)


def _is_older(point: Point, before: Point) -> bool:
    return point.measured_at < before.measured_at


def _is_gone(before: Point, after: Point | None) -> bool:
    return before.is_asked and (after is None or _is_older(after, before))


def _newest(points: Sequence[Point]) -> tuple[dict[str, dict[Place, Point]], int]:
    """Return the newest figure of every place by machine, and how many older ones there are."""
    found: dict[str, dict[Place, Point]] = {}
    for point in sorted(points, key=lambda one: one.measured_at):
        found.setdefault(machine_of(point), {})[place_of(point)] = point
    return found, len(points) - sum(map(len, found.values()))


def _judged(both: Pair, tolerances: Tolerances) -> Item:
    found, point = both.change, both.after
    if found.finding is Finding.UNKNOWN:
        outcome, why = _unknown(both)
        return Item(point, outcome, why, both)
    fall, unit = _fall(both)
    allowed = tolerances.accuracy_points if found.metric is Metric.ACCURACY else tolerances.percent
    said = f"worse by {fall:.3g} {unit}"
    if found.metric is Metric.ACCURACY and dict(both.before.files)[DATA] == dict(both.after.files)[DATA]:
        # On the same samples there is no sampling error.
        is_worse, said = fall > 0, f"{said}, of the same samples"
    else:
        is_worse = found.finding is Finding.WORSE
    if found.metric is Metric.LATENCY and is_worse and point.is_cut_short:
        return Item(point, Outcome.FAILED, f"{found.after.why}; by how much is not known", both)
    if found.metric is Metric.MAX_STREAMS and fall > allowed and _shows_too_little(both):
        shown = f"only N={found.after.low:g} was shown VALID before the search was ended"
        return Item(point, Outcome.FAILED, f"{shown}: too little to say that nothing has fallen", both)
    if not is_worse:
        return Item(point, Outcome.PASSED, str(found.finding), both)
    if fall > allowed + _ROUNDING:
        return Item(point, Outcome.FAILED, f"{said}; the tolerance is {allowed:g}", both)
    return Item(point, Outcome.PASSED, f"{said}, within the tolerance of {allowed:g}", both)


def _shows_too_little(both: Pair) -> bool:
    """Return whether a search has left open what it was to show, rather than found that noise leaves it open."""
    after = both.change.after
    return after.high is None or (not both.after.is_complete and after.high > after.low)


def _unknown(both: Pair) -> tuple[Outcome, str]:
    """Return what becomes of a point one of whose sides has no figure."""
    if both.change.after.value is not None:
        return Outcome.PASSED, f"measured, which it was not before: {both.change.before.why}"
    if both.before.is_cut_short and both.after.is_cut_short:
        return Outcome.NOT_COMPARED, both.change.why
    return Outcome.FAILED, f"could not be measured: {both.change.after.why}"


def _fall(both: Pair) -> tuple[float, str]:
    """Return by how much a figure has become worse, and in what."""
    found = both.change
    before, after = found.before.value or 0.0, found.after.value or 0.0
    if found.metric is Metric.ACCURACY:
        return before - after, "points"
    if found.metric is Metric.LATENCY and both.after.bound_ns is not None:
        return 100 * (after - before) / both.after.bound_ns, "% of the bound"
    if found.metric is Metric.LATENCY:
        return 100 * (after / before - 1), "%"
    return 100 * (1 - after / before) if before else 0.0, "%"


def _new(point: Point) -> Item:
    if point.estimate.value is None and not point.is_cut_short:
        return Item(point, Outcome.FAILED, f"could not be measured: {point.estimate.why}")
    return Item(point, Outcome.NEW, "the baseline has no such point")


def _missing(point: Point, older: Point | None = None) -> Item:
    since = "" if older is None else f"; it was last at {older.measured_at}, before the baseline"
    return Item(point, Outcome.MISSING, f"the baseline has it, and it was not measured{since}")


def _stranger(own: Mapping[Place, Point], known: Mapping[str, Mapping[str, Any]]) -> str:
    here = next(iter(own.values())).environment
    differing = "; ".join(
        ", ".join(differences(hardware(there), hardware(here))) or describe(there) for there in known.values()
    )
    return f"the baseline is of other hardware than this ({describe(here)}): {differing}; --update adds this one to it"


def _changed_software(before: Mapping[Place, Point], own: Mapping[Place, Point]) -> Iterator[str]:
    lines: dict[str, None] = {}
    for place, point in own.items():
        if place in before:
            lines.update(dict.fromkeys(differences(before[place].environment, point.environment)))
    yield from (f"since the baseline: {line}" for line in lines)


def _blind(pairs: Sequence[Pair], tolerances: Tolerances) -> Iterator[str]:
    """Say which points are so noisy that a large fall would have passed."""
    least = max(2 * tolerances.percent, _BLIND_PERCENT)
    unseen = [lost for one in pairs if (lost := _unseen(one.change)) is not None and lost > least]
    if unseen:
        points = "1 point is" if len(unseen) == 1 else f"{len(unseen)} points are"
        most = "of any size" if max(unseen) == math.inf else f"of up to {max(unseen):.0f} %"
        yield f"{points} too noisy to guard: a fall {most} would not have been seen"


def _unseen(found: Change) -> float | None:
    """Return by how much, in percent, a figure may have become worse without evidence; None where there is some."""
    if found.finding is not Finding.NO_EVIDENCE or found.metric is Metric.ACCURACY:
        return None
    worst = found.low if found.metric.more_is_better else found.high
    if worst is None:
        return math.inf
    return -100 * worst if found.metric.more_is_better else 100 * worst
