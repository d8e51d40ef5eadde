"""How far sessions differ: what no test of one session can show, and how it is measured from repeats."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from sweep.compare.estimate import Estimate, Metric


class Source(StrEnum):
    """Where a noise comes from."""

    MEASURED = "measured"
    GIVEN = "given"
    UNMEASURED = "not measured"


@dataclass(frozen=True)
class Noise:
    """How far latency differs between sessions.

    Attributes:
        relative: Its relative standard deviation: 0.02 where the whole machine is 2 % slower or faster another time.
        freedom: Degrees of freedom of a measured one; None for one that is taken as known.
        source: Where it comes from. A measured one holds the noise of queries and tests too, since repeats do.
    """

    relative: float
    freedom: float | None = None
    source: Source = Source.GIVEN

    def __str__(self) -> str:
        match self.source:
            case Source.MEASURED:
                return f"repeats differ by {100 * self.relative:.2g} % ({_freedom(self.freedom)})"
            case Source.GIVEN:
                return f"repeats are taken to differ by {100 * self.relative:.2g} %, as was given"
        return "how far sessions differ was not measured, and is taken as 0"


def _freedom(freedom: float | None) -> str:
    return "1 degree of freedom" if freedom == 1 else f"{freedom or 0:g} degrees of freedom"


UNMEASURED = Noise(0.0, None, Source.UNMEASURED)


def measure_noise(groups: Iterable[Sequence[float]]) -> Noise:
    """Return how far repeats differ, from repeated latencies of one and the same thing.

    Groups are pooled: each has a mean of its own, and all one relative standard deviation.

    Args:
        groups: Latencies (ns or any other unit), repeats of one spec together; a group of one says nothing.
    """
    squares, freedom = 0.0, 0
    for group in groups:
        logs = np.log(np.asarray(group, dtype=np.float64))
        if logs.size > 1:
            squares += float(np.square(logs - logs.mean()).sum())
            freedom += logs.size - 1
    return Noise(math.sqrt(squares / freedom), freedom, Source.MEASURED) if freedom else UNMEASURED


def noise_of(estimates: Iterable[Estimate], given: float | None = None) -> Noise:
    """Return the noise to compare with: as it is given, else measured from repeats.

    Args:
        estimates: Whose repeats count; all of one machine, whatever their points.
        given: Relative standard deviation that the user gives; None for none.
    """
    repeated = [one for one in estimates if one.spread is not None]
    freedom = sum(one.repeats - 1 for one in repeated)
    if given is not None:
        return Noise(given)
    if not freedom:
        return UNMEASURED
    squares = sum((one.repeats - 1) * (one.spread or 0.0) ** 2 for one in repeated)
    return Noise(math.sqrt(squares / freedom), freedom, Source.MEASURED)


def combine(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of several sessions' estimates of one figure; those that are unknown are left out.

    Args:
        estimates: Of one metric and one spec; at least one.
    """
    known = [one for one in estimates if one.value is not None]
    if len(known) < 2:
        return known[0] if known else estimates[0]
    metric, count = known[0].metric, len(known)
    values = [one.value or 0.0 for one in known]
    first = known[0]
    if metric is Metric.ACCURACY:  # the same samples again are no further samples
        value, queries = float(np.mean(values)), min(one.queries for one in known)
        return replace(first, value=value, low=value, high=value, repeats=count, queries=queries)
    slacks: tuple[tuple[float, float], ...] = ()
    if metric is Metric.LATENCY:
        levels = np.log(values)
        value = low = math.exp(float(levels.mean()))
        high: float | None = value
    else:
        value, low = float(np.mean(values)), float(np.mean([one.low for one in known]))
        highs = [one.high for one in known if one.high is not None]
        high = float(np.mean(highs)) if len(highs) == count else None
        middle = float(np.median(values))
        levels = np.array([one.slack(middle) for one in known])
        if all(one.slacks for one in known):
            slacks = tuple((n, float(np.mean([one.slack(n) for one in known]))) for n, _ in first.slacks)
    freedoms = [one.freedom for one in known if one.freedom is not None]
    return Estimate(
        metric=metric,
        value=value,
        low=low,
        high=high,
        error_below=_of_mean([one.error_below for one in known]),
        error_above=_of_mean([one.error_above for one in known]),
        freedom=sum(freedoms) if len(freedoms) == count else None,
        repeats=count,
        spread=float(levels.std(ddof=1)),
        tests=sum(one.tests for one in known),
        queries=sum(one.queries for one in known),
        slacks=slacks,
        step=first.step,
        why="; ".join(dict.fromkeys(one.why for one in estimates if one.why)),
    )


def _of_mean(errors: Sequence[float]) -> float:
    return math.sqrt(sum(error**2 for error in errors)) / len(errors)
