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

BLOCKS = 6
"""Into how many blocks the queries are cut, to be drawn anew: each is long enough for a burst."""
_BATCHES = (10, 20, 40)
"""Into how many batches, to see whether slow queries come together."""
_DRAWS = 200
_TWO_ERRORS = 0.0228
"""Share of a normal distribution beyond two standard errors, to one side."""
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
    least = math.ceil(LEAST / (100 - percentile))
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
        freedom=float(BLOCKS - 1),
        tests=1,
        queries=latencies.size,
    )


def percentile_error(parts: Sequence[Vector], share: float) -> tuple[float, float]:
    """Return the relative standard errors, to both sides, of the latency that a share of queries exceeds.

    Slow queries come together, in bursts or as a test drifts, which formulas for independent ones do not see. So each
    error is the larger of two:

    - that of a bootstrap of a few long blocks (Kuensch, Annals of Statistics 17, 1989), drawn by a fixed seed;
    - that of the share of queries beyond a fixed latency, by batch means, carried to latency by the order statistics
      (Woodruff, J. Am. Stat. Assoc. 47, 1952) and, beyond the slowest of them, by the mean excess of the tail
      (Weissman, J. Am. Stat. Assoc. 73, 1978). Few blocks alone give too little where the tail is thin.

    Nothing within a test shows what is slower than a block is long; that is noise between sessions.

    Args:
        parts: Latencies of one or several tests, each in the order of time; relative to something that they share.
        share: Of queries: 0.01 for p99.
    """
    pooled = np.sort(np.concatenate(parts))
    count = pooled.size
    centre = pooled[_index(count, share)]
    variance = share * (1 - share) / count
    over = np.concatenate([part > centre for part in parts]).astype(np.float64)
    for batches in _BATCHES:
        if count >= 4 * batches:
            means = np.array([batch.mean() for batch in np.array_split(over, batches)])
            variance = max(variance, float(means.var(ddof=1)) / batches)
    doubt = min(math.sqrt(variance) / share, 1.0)  # of the logarithm of the share
    beyond = pooled[_index(count, min(3 * share, 0.5)) :]
    drawn_below, drawn_above = _by_blocks(np.concatenate(parts), share)
    excess = float(np.log(beyond / beyond[0]).mean())
    low, high = (pooled[_index(count, min(share * math.exp(sign * 2 * doubt), 0.5))] for sign in (1, -1))
    tail = excess * doubt
    below, above = math.log(centre / low) / 2, math.log(high / centre) / 2
    return max(below, tail, drawn_below), max(above, tail, drawn_above)


def _by_blocks(latencies: Vector, share: float) -> tuple[float, float]:
    """Return the same two errors by the bootstrap alone."""
    order = np.argsort(latencies, kind="stable")
    block = (np.arange(latencies.size) * BLOCKS // latencies.size)[order][::-1]
    descending = np.log(latencies[order])[::-1]
    rng = np.random.default_rng(0)
    drawn = np.empty(_DRAWS)
    for draw in range(_DRAWS):
        times = np.bincount(rng.integers(0, BLOCKS, BLOCKS), minlength=BLOCKS)
        beyond = np.cumsum(times[block])
        drawn[draw] = descending[np.searchsorted(beyond, int(beyond[-1] * share), side="right")]
    centre = descending[int(latencies.size * share)]
    low, high = np.quantile(drawn, (_TWO_ERRORS, 1 - _TWO_ERRORS))
    return max(float(centre - low), 0.0) / 2, max(float(high - centre), 0.0) / 2


def _index(count: int, share: float) -> int:
    return min(max(count - 1 - int(count * share), 0), count - 1)
