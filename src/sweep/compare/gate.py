"""Whether results have fallen behind a baseline by more than noise and a tolerance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sweep.compare.baseline import Baseline, Place, machine_of, place_of
from sweep.compare.change import CONFIDENCE, Change, Finding
from sweep.compare.estimate import Metric
from sweep.compare.noise import Noise, noise_of
from sweep.compare.pairing import Pair, pair
from sweep.compare.points import Point
from sweep.results.environments import describe, differences

TOLERANCE_PERCENT = 3.0
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


@dataclass(frozen=True)
class Tolerances:
    """How far a figure may fall, even where there is evidence for it.

    Attributes:
        percent: Of max streams; and of the bound, for the margin that a latency leaves to it. Where there is no bound,
            of the latency.
        accuracy_points: Of accuracy, in points of a percent.
    """

    percent: float = TOLERANCE_PERCENT
    accuracy_points: float = 0.0


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
        noise: How far sessions differ.
        notes: What is to be known besides: another software, points too noisy to guard.
    """

    items: tuple[Item, ...]
    noise: Noise
    notes: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether nothing has fallen and nothing is missing."""
        return bool(self.items) and not any(item.is_failure for item in self.items)


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
    items: list[Item] = []
    notes = [f"{outdated} older figures of other software versions are left out"] if outdated else []
    known = baseline.machines()
    both: list[tuple[Point, Point]] = []
    for machine, own in current.items():
        before = baseline.of(machine)
        if not before and known:
            notes.append(_stranger(own, known))
        notes += _changed_software(before, own)
        for place, point in own.items():
            if place in before:
                both.append((before[place], point))
            elif point.is_asked:
                items.append(Item(point, Outcome.NEW, "the baseline has no such point"))
        items += [_missing(point) for place, point in before.items() if place not in own and point.is_asked]
    idle = [machine for machine in known if machine not in current]
    if idle and not any(baseline.of(machine) for machine in current):
        items += [_missing(point) for machine in idle for point in baseline.of(machine).values() if point.is_asked]
    elif idle:
        names = "; ".join(describe(known[machine]) for machine in idle)
        notes.append(f"the baseline also has points of machines that were not at work: {names}")
    noise_of_both = noise_of([point.estimate for one in both for point in one], noise)
    pairs = pair([(after.key, before, after) for before, after in both], noise_of_both, confidence)
    items = [*(_judged(one, tolerances) for one in pairs), *items]
    return GateReport(tuple(items), noise_of_both, (*notes, *_blind(pairs, tolerances)))


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
    if found.metric is Metric.MAX_STREAMS and found.after.high is None and fall > allowed:
        shown = f"only N={found.after.low:g} was shown VALID, and nothing above it INVALID"
        return Item(point, Outcome.FAILED, f"{shown}: too little to say that nothing has fallen", both)
    if found.finding is not Finding.WORSE:
        return Item(point, Outcome.PASSED, str(found.finding), both)
    said = f"worse by {fall:.3g} {unit}"
    if fall > allowed:
        return Item(point, Outcome.FAILED, f"{said}; the tolerance is {allowed:g}", both)
    return Item(point, Outcome.PASSED, f"{said}, within the tolerance of {allowed:g}", both)


def _unknown(both: Pair) -> tuple[Outcome, str]:
    """Return what becomes of a point one of whose sides has no figure."""
    if both.change.after.value is not None:
        return Outcome.PASSED, f"measured, which it was not before: {both.change.before.why}"
    if both.before.is_cut_short and both.after.is_cut_short:
        return Outcome.PASSED, both.change.why
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


def _missing(point: Point) -> Item:
    return Item(point, Outcome.MISSING, "the baseline has it, and it was not measured")


def _stranger(own: Mapping[Place, Point], known: Mapping[str, Mapping[str, object]]) -> str:
    here = describe(next(iter(own.values())).environment)
    there = "; ".join(describe(environment) for environment in known.values())
    return f"the baseline is of another machine ({there}) than this ({here}); --update adds this one to it"


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
        yield f"{points} too noisy to guard: a fall of up to {max(unseen):.0f} % would not have been seen"


def _unseen(found: Change) -> float | None:
    """Return by how much, in percent, a figure may have become worse without evidence; None where unknown."""
    if found.finding is not Finding.NO_EVIDENCE or found.metric is Metric.ACCURACY:
        return None
    worst = found.low if found.metric.more_is_better else found.high
    if worst is None:
        return None
    return -100 * worst if found.metric.more_is_better else 100 * worst
