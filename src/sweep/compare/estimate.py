"""One side of a comparison, reduced to what its figure is and how uncertain: small enough for a baseline's file."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

NONE_AS = 0.5
"""In ratios, what stands for 0 where not even the smallest N is VALID."""
_STEEPEST = 10.0
"""How many times as much N may change, relative, as the latency that allows it, where the curve is but extended."""
_LARGEST = 600.0
"""Logarithm of the largest number that still is one, or nearly."""


class Metric(StrEnum):
    """What is compared."""

    MAX_STREAMS = "max streams"
    LATENCY = "latency"
    ACCURACY = "accuracy"

    @property
    def more_is_better(self) -> bool:
        """Whether a larger figure is the better one."""
        return self is not Metric.LATENCY


@dataclass(frozen=True)
class Estimate:
    """A figure of one side, before or after.

    A figure has two kinds of uncertainty. What a search has left undecided lies from `low` to `high`, with no more to
    be said about where. Random error is relative and of latency: max streams has it by way of `slacks`. That of
    accuracy follows from the number of samples.

    Attributes:
        metric: What it is.
        value: The figure: N, ns, or percent; 0 where not even the smallest N is VALID; None where there is nothing to
            compare, for the reason in `why`.
        low: The least that it may be, random error apart. Where whole tests differ, `low` and `high` of max streams are
            where the curve of all tests crosses the bound, which need not be the certificate's answer.
        high: The most; None where nothing bounds it.
        error_below: Relative standard error of latency, to the side of shorter ones.
        error_above: The same to the side of longer ones.
        freedom: Degrees of freedom of these errors; None where they are many.
        repeats: How many sessions it is the mean of.
        spread: Relative standard deviation of latency between these; None where there is but one.
        tests: Tests that it rests on.
        queries: Their queries; for accuracy, samples.
        slacks: Pairs of an N, ascending, and the natural logarithm of bound over its latency: above 0 for an N within
            the bound. Of max streams alone; empty where the latencies of its tests are not known.
        step: From one N to the next.
        why: Why there is nothing to compare, else what is to be known beside the figures; often empty.
    """

    metric: Metric
    value: float | None
    low: float = 0.0
    high: float | None = None
    error_below: float = 0.0
    error_above: float = 0.0
    freedom: float | None = None
    repeats: int = 1
    spread: float | None = None
    tests: int = 0
    queries: int = 0
    slacks: tuple[tuple[float, float], ...] = ()
    step: int = 1
    why: str = ""

    @classmethod
    def unknown(cls, metric: Metric, why: str) -> Estimate:
        """Return the estimate of a side that has nothing to compare."""
        return cls(metric, None, why=why)

    @property
    def best(self) -> float:
        """The figure to reckon with: the crossing of the curve where that is taken, else the value; 0 without one."""
        return self.low if self.low == self.high else self.value or 0.0

    def limits(self, t: float, error_below: float, error_above: float) -> tuple[float, float]:
        """Return between what values the figure lies when its errors are `t` standard errors long.

        Args:
            t: How many standard errors.
            error_below: Relative standard error of latency, to the side of shorter ones.
            error_above: The same to the side of longer ones.

        Raises:
            ValueError: It has no value.
        """
        if self.value is None:
            raise ValueError(f"no {self.metric} to give limits of: {self.why}")
        if self.metric is Metric.LATENCY:
            return self.value * math.exp(-t * error_below), self.value * math.exp(min(t * error_above, _LARGEST))
        if self.metric is Metric.ACCURACY:
            return wilson(self.value, self.queries, t)
        high = math.inf if self.high is None else self.high
        # Where latency is longer than was seen, fewer streams fit.
        return min(self.low, self.reach(t * error_above)), max(high, self.reach(-t * error_below))

    def slack(self, n: float) -> float:
        """Return the natural logarithm of the bound over the latency of N, by the curve that the tests have shown."""
        points = self._curve
        at = math.log(max(n, NONE_AS))
        if at < points[0][0]:
            return points[0][1] + (points[0][0] - at) / _STEEPEST
        if at > points[-1][0]:
            return points[-1][1] - (at - points[-1][0]) / _STEEPEST
        logs, slacks = zip(*points, strict=True)
        return float(np.interp(at, logs, slacks))

    def reach(self, slack: float) -> float:
        """Return the largest N whose latency is within the bound by `slack`; 0 where none is."""
        points = self._curve
        if slack > points[0][1]:
            reached = points[0][0] - _STEEPEST * (slack - points[0][1])
        elif slack <= points[-1][1]:
            reached = points[-1][0] + _STEEPEST * (points[-1][1] - slack)
        else:
            place = max(i for i, point in enumerate(points) if point[1] >= slack)
            (left, above), (right, below) = points[place], points[place + 1]
            reached = left + (right - left) * (above - slack) / (above - below)
        n, first = math.exp(min(reached, _LARGEST)) * (1 + 1e-12), self.slacks[0][0] if self.slacks else 0
        return max(first + math.floor((n - first) / self.step) * self.step, 0)

    @functools.cached_property
    def _curve(self) -> tuple[tuple[float, float], ...]:
        """Slacks by the logarithm of N, never rising; without any, of a curve half of whose latency is a fixed cost."""
        if not self.slacks:
            at = math.log(max(self.value or 0, NONE_AS))
            return (at - 2, 1.0), (at, 0.0), (at + 2, -1.0)
        falling = itertools.accumulate((slack for _, slack in self.slacks), min)
        return tuple((math.log(n), slack) for (n, _), slack in zip(self.slacks, falling, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Estimate:
        """Rebuild an estimate from `to_json`.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        slacks = tuple((float(n), float(slack)) for n, slack in data["slacks"])
        return cls(**{**data, "metric": Metric(data["metric"]), "slacks": slacks})


def wilson(percent: float, total: int, z: float) -> tuple[float, float]:
    """Return the score interval of a share, in percent (Wilson, J. Am. Stat. Assoc. 22, 1927).

    Args:
        percent: The share that was seen.
        total: Of how many.
        z: Its half width in standard errors.
    """
    share, square = percent / 100, z * z / total
    centre = (share + square / 2) / (1 + square)
    half = math.sqrt(square * share * (1 - share) + square * square / 4) / (1 + square)
    return 100 * min(max(centre - half, 0.0), share), 100 * max(min(centre + half, 1.0), share)
