"""From two sides to what has changed: by how much, how surely, and in one word."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sweep.compare.estimate import NONE_AS, Estimate, Metric
from sweep.compare.noise import Noise, Source, noise_of
from sweep.compare.student import quantile, two_sided

CONFIDENCE = 0.95
_LONGEST = 1e6
"""Standard errors that are as good as infinitely many."""


class Finding(StrEnum):
    """What a comparison has found."""

    BETTER = "better"
    WORSE = "worse"
    NO_EVIDENCE = "no evidence"
    UNKNOWN = "unknown"
    """There was nothing to compare."""


@dataclass(frozen=True)
class Change:
    """What has changed between two sides.

    Attributes:
        metric: What was compared.
        before: One side.
        after: The other.
        relative: By how much the best figure (`Estimate.best`) has changed: -0.05 for 5 % less; None where there is no
            such ratio.
        low: The least change that fits what was seen at the confidence; None where unknown.
        high: The most; None where unknown, or where nothing bounds it.
        p_value: The chance, at most, of so large a difference where nothing has changed; None where unknown. As
            `judge` leaves it, it is for the whole comparison.
        finding: In one word.
        why: Where the uncertainty comes from, or why nothing is known, in one line.
    """

    metric: Metric
    before: Estimate
    after: Estimate
    relative: float | None
    low: float | None
    high: float | None
    p_value: float | None
    finding: Finding
    why: str


@dataclass(frozen=True)
class _Side:
    """An estimate with its errors, those between sessions among them."""

    estimate: Estimate
    error_below: float
    error_above: float

    def base(self) -> tuple[float, float]:
        high = self.estimate.high
        return self._scaled(self.estimate.low), self._scaled(math.inf if high is None else high)

    def limits(self, t: float) -> tuple[float, float]:
        low, high = self.estimate.limits(t, self.error_below, self.error_above)
        return self._scaled(low), self._scaled(high)

    def _scaled(self, value: float) -> float:
        return value if self.estimate.metric is Metric.ACCURACY else math.log(max(value, NONE_AS))


def change(before: Estimate, after: Estimate, noise: Noise | None = None, confidence: float = CONFIDENCE) -> Change:
    """Compare two sides.

    The limits of the difference come from those of the sides: its distance to each is the root of the sum of the
    squared distances of the sides to theirs (Zou and Donner, Statistics in Medicine 27, 2008). For accuracy, whose
    limits are score intervals, that is Newcombe's method for two independent samples (Statistics in Medicine 17, 1998).
    The p-value is that at which the limits reach 0.

    Args:
        before: One side.
        after: The other, of the same metric.
        noise: How far sessions differ; None to take it from the repeats of these two sides.
        confidence: Of `low` and `high`, and 1 less the p-value from which on there is evidence.

    Raises:
        ValueError: The metrics differ.
    """
    if before.metric is not after.metric:
        raise ValueError(f"{before.metric} cannot be compared with {after.metric}")
    unknown = [f"{name}: {one.why}" for name, one in (("before", before), ("after", after)) if one.value is None]
    if unknown or before.value is None or after.value is None:
        why = "nothing to compare; " + "; ".join(unknown)
        return Change(before.metric, before, after, None, None, None, None, Finding.UNKNOWN, why)
    noise = noise_of((before, after)) if noise is None else noise
    sides = _side(before, noise), _side(after, noise)
    freedom = _freedom(sides, noise)
    p_value = two_sided(_farthest(*sides), freedom)
    low, high = _difference(*sides, quantile(confidence, freedom))
    finding = Finding.NO_EVIDENCE
    if p_value <= 1 - confidence:
        is_more = _difference(*sides, 0.0)[0] > 0
        finding = Finding.BETTER if is_more == before.metric.more_is_better else Finding.WORSE
    return Change(
        metric=before.metric,
        before=before,
        after=after,
        relative=after.best / before.best - 1 if before.best else None,
        low=_relative(before, low),
        high=_relative(before, high),
        p_value=p_value,
        finding=finding,
        why=_why(sides, noise),
    )


def judge(changes: Sequence[Change], confidence: float = CONFIDENCE) -> list[Change]:
    """Return the changes of one comparison with p-values and findings that hold for all of them together.

    So that identical sides give "no evidence" everywhere with the confidence, by Holm's step-down method (Scandinavian
    Journal of Statistics 6, 1979), which asks nothing of how they depend on each other. Those that are unknown do not
    count; `low` and `high` stay those of each change alone.
    """
    known = sorted((one.p_value, place) for place, one in enumerate(changes) if one.p_value is not None)
    judged, so_far = list(changes), 0.0
    for rank, (p_value, place) in enumerate(known):
        so_far = max(so_far, min((len(known) - rank) * p_value, 1.0))
        finding = changes[place].finding if so_far <= 1 - confidence else Finding.NO_EVIDENCE
        judged[place] = dataclasses.replace(changes[place], p_value=so_far, finding=finding)
    return judged


def _side(estimate: Estimate, noise: Noise) -> _Side:
    """Return a side with all of its errors; repeats that measured the noise have measured its own errors with it."""
    between = noise.relative / math.sqrt(estimate.repeats)
    both = max if noise.source is Source.MEASURED else math.hypot
    return _Side(estimate, both(estimate.error_below, between), both(estimate.error_above, between))


def _freedom(sides: tuple[_Side, _Side], noise: Noise) -> float:
    """Return the degrees of freedom of the whole error (Satterthwaite, Biometrics Bulletin 2, 1946)."""
    if sides[0].estimate.metric is Metric.ACCURACY:
        return math.inf
    shared, parts = 0.0, []
    for side in sides:
        whole, own = (math.hypot(*pair) for pair in ((side.error_below, side.error_above), _own(side.estimate)))
        between = whole**2 - own**2
        if noise.source is Source.MEASURED and between > 0:
            shared, own = shared + whole**2, 0.0
        else:
            shared += max(between, 0.0)
        parts.append((own**2, side.estimate.freedom))
    parts.append((shared, noise.freedom))
    total = sum(part for part, _ in parts)
    doubt = sum(part**2 / freedom for part, freedom in parts if freedom is not None)
    return total**2 / doubt if doubt else math.inf


def _own(estimate: Estimate) -> tuple[float, float]:
    return estimate.error_below, estimate.error_above


def _difference(before: _Side, after: _Side, t: float) -> tuple[float, float]:
    """Return the limits of the difference, after less before, at so many standard errors."""
    (b_low, b_high), (a_low, a_high) = before.base(), after.base()
    (b_least, b_most), (a_least, a_most) = before.limits(t), after.limits(t)
    low, high = -math.inf, math.inf
    if not math.isinf(b_most):
        low = a_low - b_high - math.hypot(a_low - a_least, b_most - b_high)
    if not math.isinf(a_most):
        high = a_high - b_low + math.hypot(a_most - a_high, b_low - b_least)
    return low, high


def _farthest(before: _Side, after: _Side) -> float:
    """Return at how many standard errors the limits of the difference reach 0; infinity where they never do."""

    def excludes(t: float) -> bool:
        low, high = _difference(before, after, t)
        return low > 0 or high < 0

    low, high = 0.0, _LONGEST
    if not excludes(low):
        return 0.0
    if excludes(high):
        return math.inf
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if excludes(middle) else (low, middle)
    return low


def _relative(before: Estimate, difference: float) -> float | None:
    """Return a limit of the difference as a relative change; None where there is none."""
    if not before.best or math.isinf(difference):
        return None
    if before.metric is Metric.ACCURACY:
        return difference / before.best
    return math.expm1(difference)


def _why(sides: tuple[_Side, _Side], noise: Noise) -> str:
    """Return where the uncertainty comes from, in one line."""
    before, after = (side.estimate for side in sides)
    if before.metric is Metric.ACCURACY:
        samples = f"{before.queries:.0f}" if before.queries == after.queries else f"{before.queries}, {after.queries}"
        return f"{samples} samples, compared as if they were not the same ones: which of them differed is not kept"
    errors = [100 * max(_own(one)) for one in (before, after)]
    parts = [f"by its tests, latency is uncertain by {errors[0]:.2g} % before, {errors[1]:.2g} % after", str(noise)]
    undecided = [one for one in (before, after) if one.high != one.low]
    if undecided:
        parts.append(" and ".join(_range(one) for one in undecided) + " is undecided")
    parts += [f"{name}: {one.why}" for name, one in (("before", before), ("after", after)) if one.why]
    return "; ".join(parts)


def _range(estimate: Estimate) -> str:
    if estimate.high is None:
        return f"whether more than {estimate.low:g} are VALID"
    return f"{estimate.low:g} to {estimate.high:g}"
