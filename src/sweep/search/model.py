"""What the tests of a search say about N that were not tested: where the edge must be, and how sharp it is."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from sweep.search.base import Observation, Question
from sweep.search.curve import Curve, Vector, fit
from sweep.search.evidence import Pool

MEDIAN_ERROR = math.sqrt(math.pi / 2)
"""Standard error of a median over that of a mean, for Gaussian noise."""

_LEAST = 4
"""Queries of a test whose spread says something."""
_NEAR = 1.5
"""Latencies within this many e-folds of the bound spread as those at the edge do."""
_AT_THE_EDGE = 0.1
"""Within a tenth of the bound, tests tell how far one differs from another."""
_CURVE_ERROR = 2e-3
"""Relative error of the curve at the edge."""
_ALIKE = 0.01
"""Chance, at most, that repeated tests agree so well though whole tests differ."""
_DRIFT_SIGNIFICANCE = 5.0
_DRIFT_AT_MOST = 0.1


class LatencyModel:
    """Latency as a curve of N times a spread that near N share, times a drift over a test.

    It chooses where queries are spent; it proves nothing.

    Args:
        question: What is to be found.
        pools: Everything seen, by N.
    """

    def __init__(self, question: Question, pools: Mapping[int, Pool]) -> None:
        self._question = question
        self._target = float(question.target_latency_ns)
        self._pools = [pool for pool in pools.values() if pool.latencies_ns.size]

    @functools.cached_property
    def drift(self) -> float:
        """Relative growth of latency from one query of a test to the next; 0 where noise may explain it."""
        moment, square, residual, freedom = 0.0, 0.0, 0.0, -1
        for test in (test for pool in self._pools for test in pool.tests if test.latencies_ns.size >= _LEAST):
            latencies = test.latencies_ns / np.median(test.latencies_ns)
            order = np.arange(latencies.size) - (latencies.size - 1) / 2
            moment += float(order @ latencies)
            square += float(order @ order)
            residual += float(np.square(latencies - latencies.mean()).sum())
            freedom += latencies.size - 1
        if freedom < 1:
            return 0.0
        slope = moment / square
        error = math.sqrt(max(residual - slope * moment, 0.0) / freedom / square)
        whole = slope * self._question.full_query_count
        if slope <= _DRIFT_SIGNIFICANCE * error or whole < 1e-4:
            return 0.0
        return min(whole, _DRIFT_AT_MOST) / self._question.full_query_count

    def _steady(self, pool: Pool) -> Vector:
        """Return the latencies of one N as they were without drift."""
        return np.asarray(pool.latencies_ns / (1 + self.drift * pool.order), dtype=np.float64)

    @functools.cached_property
    def _centres(self) -> dict[int, float]:
        return {pool.samples_per_query: float(np.median(self._steady(pool))) for pool in self._pools}

    @functools.cached_property
    def noise(self) -> float:
        """Relative standard deviation of single queries, from the spread within each test; outliers do not count."""
        total, weight = 0.0, 0
        # Not within each N: how far whole tests of one N differ is no noise of queries.
        for test in (test for pool in self._pools for test in pool.tests if test.latencies_ns.size >= _LEAST):
            steady = test.latencies_ns / (1 + self.drift * np.arange(test.latencies_ns.size))
            spread = 1.4826 * float(np.median(np.abs(steady / np.median(steady) - 1)))
            total += spread**2 * test.latencies_ns.size
            weight += test.latencies_ns.size
        return math.sqrt(total / weight) if weight else 0.0

    def error(self, query_count: int) -> float:
        """Return the relative standard error of the median of so many queries."""
        return MEDIAN_ERROR * self.noise / math.sqrt(query_count)

    @property
    def curve(self) -> Curve | None:
        """The curve of medians; None before two N were measured."""
        return self._fitted[0]

    @functools.cached_property
    def _fitted(self) -> tuple[Curve | None, float]:
        """The curve, and how far whole tests are off it beyond what their queries explain (`_scatter`).

        Where they are, a curve that follows each of them explains nothing: it is fitted anew with that much error.
        """
        curve = self._fit(0.0)
        scatter = 0.0 if curve is None else self._scatter(curve)
        return (self._fit(scatter) or curve if scatter else curve), scatter

    def _fit(self, scatter: float) -> Curve | None:
        n = np.array(list(self._centres), dtype=np.float64)
        centre = np.array(list(self._centres.values()))
        error = [
            math.hypot(self.error(pool.latencies_ns.size), scatter / math.sqrt(len(pool.tests))) for pool in self._pools
        ]
        return fit(n, centre, np.array(error), self._target)

    def centre(self, n: float) -> float:
        """Return the median latency in ns that is expected of N; infinite while nothing is known."""
        return math.inf if self.curve is None else self.curve.at(n)

    @functools.cached_property
    def spread(self) -> npt.NDArray[np.float64]:
        """Latencies near the edge relative to the median of their N, sorted, as a full test would see them."""
        near = [
            self._steady(pool) / self._centres[pool.samples_per_query]
            for pool in self._pools
            if pool.latencies_ns.size >= _LEAST
            and abs(math.log(self._centres[pool.samples_per_query] / self._target)) < _NEAR
        ]
        relative = np.sort(np.concatenate(near)) if near else np.ones(1)
        if not self.drift:
            return relative
        if relative.size > 1000:
            relative = np.quantile(relative, (np.arange(1000) + 0.5) / 1000)
        along = 1 + self.drift * self._question.full_query_count * (np.arange(200) + 0.5) / 200
        return np.sort(np.outer(relative, along).ravel())

    def tail(self, rate: float) -> float:
        """Return the relative latency that a share `rate` of queries exceeds: as seen or, from few, as Gaussian."""
        spread = self.spread
        seen = float(spread[max(0, spread.size - 1 - int(spread.size * rate))])
        gaussian = 1 + NormalDist().inv_cdf(1 - rate) * self.noise
        return max(seen, gaussian) if spread.size * rate < 3 else seen

    def edge(self, rate: float, margin: float = 0.0) -> int | None:
        """Return the largest N that has at most a share `rate` over the bound; None when no N has, or none is known.

        Args:
            rate: Share of queries.
            margin: How far within the bound, relative, their latency must be; negative for beyond it.
        """
        domain, limit = self._question.domain, self._target / self.tail(rate) * (1 - margin)
        low, high = domain.low, domain.high
        if self.centre(low) > limit:
            return None
        while low < high:
            middle = low + ((high - low) // domain.step + 1) // 2 * domain.step
            low, high = (middle, high) if self.centre(middle) <= limit else (low, middle - domain.step)
        return low

    def over_rate(self, n: int) -> float:
        """Return the share of queries over the bound that a full test of N is expected to have."""
        if self.curve is None:
            return 0.0
        return float(np.mean(self.spread * self.centre(n) > self._target))

    def leans_over(self, pool: Pool) -> bool:
        """Say whether N is more likely INVALID than VALID: by its counts or, before a full test, by its median."""
        if pool.leans_over or not pool.latencies_ns.size or pool.tests_of_full_length:
            return pool.leans_over
        return self._centres[pool.samples_per_query] * self.tail(self._question.allowed_rate) > self._target

    def is_faster(self, pool: Pool) -> bool:
        """Say whether an N is faster than the curve has it, by more than its error."""
        if not pool.latencies_ns.size:
            return False
        expected, error = self.centre(pool.samples_per_query), self.error(pool.latencies_ns.size)
        return self._centres[pool.samples_per_query] < expected * (1 - 3 * error - 1e-3)

    @functools.cached_property
    def tests_at_the_edge(self) -> int:
        """Tests whose latency is within a tenth of the bound."""
        return sum(self._is_at_the_edge(test) for pool in self._pools for test in pool.tests)

    @property
    def doubt(self) -> float:
        """Relative standard error of the edge where whole tests differ by more than their queries explain, else 0.

        That spread, over the root of the number of tests near the edge.
        """
        scatter = self._fitted[1]
        return scatter / math.sqrt(self.tests_at_the_edge - 1) if scatter else 0.0

    def p_below_the_edge(self, n: int) -> float:
        """Return the probability that the percentile of N, by the curve, is within the bound, where there is doubt."""
        return NormalDist(0.0, self.doubt).cdf(self.margin(n))

    def _scatter(self, curve: Curve) -> float:
        """Return the relative standard deviation of whole tests near the edge beyond what their queries explain."""
        excess, count = 0.0, self.tests_at_the_edge
        for test in (test for pool in self._pools for test in pool.tests if self._is_at_the_edge(test)):
            off = math.log(self._median(test) / curve.at(test.samples_per_query))
            explained = math.hypot(self.error(test.latencies_ns.size), _CURVE_ERROR)
            excess += off**2 - 4 * explained**2
        if count < 3 or excess <= 0:
            return 0.0
        scatter = math.sqrt(excess / (count - 2))
        return 0.0 if self._repeats_agree(scatter) else scatter

    def _repeats_agree(self, scatter: float) -> bool:
        """Say whether tests of one N are too alike for such a scatter: then it is the curve that is off.

        By the lower tail of the chi-square distribution, which is below its first term.
        """
        squares, freedom = 0.0, 0
        for pool in self._pools:
            logs = [math.log(self._median(test)) for test in pool.tests if self._is_at_the_edge(test)]
            if len(logs) > 1:
                squares += float(np.square(np.array(logs) - np.mean(logs)).sum())
                freedom += len(logs) - 1
        half = freedom / 2
        return freedom > 0 and (squares / (2 * scatter**2)) ** half / math.gamma(half + 1) < _ALIKE

    def _median(self, test: Observation) -> float:
        """Return the median latency of a test without drift, ns."""
        return float(np.median(test.latencies_ns / (1 + self.drift * np.arange(test.latencies_ns.size))))

    def margin(self, n: int) -> float:
        """Return how far below the bound, relative, the percentile of N is by the curve; negative above it."""
        return 1 - self.centre(n) * self.tail(self._question.allowed_rate) / self._target

    def _is_at_the_edge(self, test: Observation) -> bool:
        if len(self._pools) < 2 or test.latencies_ns.size < _LEAST:
            return False
        percentile = self._centres[test.samples_per_query] * self.tail(self._question.allowed_rate)
        return abs(math.log(percentile / self._target)) < _AT_THE_EDGE
