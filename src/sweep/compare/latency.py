"""The latency at the percentile of the rules (p99) as one side of a comparison, at one N."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sweep.compare.estimate import Estimate, Metric
from sweep.compare.noise import combine
from sweep.search.base import Latencies
from sweep.trial.spec import percentile_index

Vector = npt.NDArray[np.float64]

BATCHES = (10, 20, 40)
"""Into how many batches a test is cut to see whether slow queries come together."""
LEAST = 100
"""Queries of a test, at least, for a p99: the slowest of fewer is no p99."""


@dataclass(frozen=True)
class TestLatencies:
    """The query latencies of one test.

    Attributes:
        latencies_ns: In the order of time, int64 [queries].
        is_aborted: Whether the test was stopped early.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    latencies_ns: Latencies
    is_aborted: bool = False


def latency_estimate(tests: Sequence[TestLatencies], percentile: float = 99.0) -> Estimate:
    """Return the estimate of the latency at a percentile, in ns, from all tests of one N on one side.

    A test that was stopped early has none: it was stopped because its latest queries were over the bound, so that these
    are too many among those it had, and its percentile is too long. It is left out.

    Args:
        tests: Of one spec; several count as repeats.
        percentile: Where it is read, in percent.
    """
    whole = [test.latencies_ns for test in tests if not test.is_aborted]
    least = math.ceil(LEAST / 100 * 100 / (100 - percentile))
    long = [latencies for latencies in whole if latencies.size >= least]
    if not long:
        why = "no test was made"
        if whole:
            why = f"{max(latencies.size for latencies in whole)} queries are too few for p{percentile:g} ({least})"
        elif tests:
            why = f"every test was stopped early, after queries over the bound: its p{percentile:g} would be too long"
        return Estimate.unknown(Metric.LATENCY, why)
    return combine([_of_one(latencies, percentile) for latencies in long])


def _of_one(latencies: Latencies, percentile: float) -> Estimate:
    at = percentile_index(latencies.size, percentile)
    value = float(np.partition(latencies, at)[at])
    below, above = percentile_error([latencies.astype(np.float64)], (100 - percentile) / 100)
    return Estimate(
        metric=Metric.LATENCY,
        value=value,
        low=value,
        high=value,
        error_below=below,
        error_above=above,
        freedom=float(min(BATCHES) - 1),
        tests=1,
        queries=latencies.size,
    )


def percentile_error(parts: Sequence[Vector], share: float) -> tuple[float, float]:
    """Return the relative standard errors of the latency that a share of queries exceeds, below and above it.

    The share of queries beyond a fixed latency has a standard error, which the order statistics turn into one of
    latency (Woodruff, J. Am. Stat. Assoc. 47, 1952). Slow queries come together, in bursts or as a test drifts; so the
    variance of the share is the largest of that of independent queries and of those of the means of batches, which are
    long enough to be independent. Beyond the sample's own end its tail is continued by its mean excess (Weissman,
    J. Am. Stat. Assoc. 73, 1978).

    Args:
        parts: Latencies of one or several tests, each in the order of time; relative to something that they share.
        share: Of queries: 0.01 for p99.
    """
    pooled = np.sort(np.concatenate(parts))
    count = pooled.size
    centre = pooled[_index(count, share)]
    variance = share * (1 - share) / count
    over = np.concatenate([part > centre for part in parts]).astype(np.float64)
    for batches in BATCHES:
        if count >= 4 * batches:
            means = np.array([batch.mean() for batch in np.array_split(over, batches)])
            variance = max(variance, float(means.var(ddof=1)) / batches)
    doubt = min(math.sqrt(variance) / share, 1.0)  # of the logarithm of the share
    beyond = pooled[_index(count, min(3 * share, 0.5)) :]
    excess = float(np.log(beyond / beyond[0]).mean())
    low, high = (pooled[_index(count, min(share * math.exp(sign * 2 * doubt), 0.5))] for sign in (1, -1))
    tail = excess * doubt
    return max(math.log(centre / low) / 2, tail), max(math.log(high / centre) / 2, tail)


def _index(count: int, share: float) -> int:
    return min(max(count - 1 - int(count * share), 0), count - 1)
