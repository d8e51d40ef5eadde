"""Where the latencies of a search's tests cross the bound, and how uncertain that is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sweep.compare.latency import Vector, percentile_error
from sweep.search.base import Observation, Question
from sweep.search.evidence import pools
from sweep.search.model import MEDIAN_ERROR, LatencyModel

_LEAST_QUERIES = 4
"""Queries of a test whose median says something."""
_LEAST_TESTS = 4
"""Tests near the bound that show how far whole tests differ."""
_NEAR = 0.1
"""How near to the bound, relative."""
_LOOSE = 1.3
"""How much larger the error of the edge is than residuals alone would have it: the search chose where to test, and the
curve its form, by what they saw. By the benchmark `compare`."""
_ALIKE = 0.01
"""Chance, at most, that repeated tests agree so well though whole tests differ."""


@dataclass(frozen=True)
class Edge:
    """Latency at the percentile near the bound, by all tests of a search.

    Attributes:
        model: The curve of medians.
        level: What to add to the logarithm of a median for that of the percentile.
        measured: Of each N that was tested, the natural logarithm of the bound over its own latency at the percentile.
        tail_errors: Relative standard errors of the percentile, to the side of shorter and of longer latencies.
        spread: Relative standard deviation of whole tests beyond what their queries explain; 0 where there is none.
        scatter: Relative standard error of the level on account of it.
        freedom: Degrees of freedom of both.
        target_latency_ns: The bound.
    """

    model: LatencyModel
    level: float
    measured: Mapping[int, float]
    tail_errors: tuple[float, float]
    spread: float
    scatter: float
    freedom: float
    target_latency_ns: int

    def slack(self, n: int) -> float:
        """Return the natural logarithm of the bound over the latency of N at the percentile, by the curve."""
        return math.log(self.target_latency_ns / max(self.model.centre(n), 1.0)) - self.level


@dataclass(frozen=True)
class _Residual:
    """How far the median of a test is off the curve, and the variance of that by its queries; both of the logarithm."""

    n: int
    off: float
    variance: float


def edge_of(question: Question, seen: Sequence[Observation]) -> Edge | None:
    """Return what the tests of a search say of its edge; None where their latencies are not known.

    Args:
        question: What was to be found.
        seen: The tests.
    """
    model = LatencyModel(question, pools(question, seen))
    whole = [test for test in seen if test.is_full and test.latencies_ns.size >= _LEAST_QUERIES]
    if model.curve is None or not whole:
        return None
    # Relative to its own median each: how far whole tests differ is no spread of queries.
    parts = [test.latencies_ns / np.median(test.latencies_ns) for test in whole]
    steady = [_steady(model, test) for test in whole]
    tail = _tail(model, question, [latencies / np.median(latencies) for latencies in steady])
    residuals = _residuals(model, seen, question.target_latency_ns / tail)
    freedom = max(len(residuals) - model.curve.parameters, 1)
    spread = _spread(residuals, freedom)
    weights = np.array([1 / (one.variance + spread**2 + 1e-12) for one in residuals])
    offset = scatter = 0.0
    if spread:
        offset = float(weights @ np.array([one.off for one in residuals]) / weights.sum())
        scatter = _LOOSE / math.sqrt(float(weights.sum()))
    return Edge(
        model=model,
        level=math.log(tail) + offset,
        measured=_measured(model, seen, question.target_latency_ns / tail),
        tail_errors=percentile_error(parts, question.allowed_rate),
        spread=spread,
        scatter=scatter,
        freedom=float(freedom),
        target_latency_ns=question.target_latency_ns,
    )


def _steady(model: LatencyModel, test: Observation) -> Vector:
    """Return the latencies of a test as they were without drift."""
    return np.asarray(test.latencies_ns / (1 + model.drift * np.arange(test.latencies_ns.size)), dtype=np.float64)


def _tail(model: LatencyModel, question: Question, parts: Sequence[Vector]) -> float:
    """Return the latency at the percentile over the median; of few queries, by the model."""
    relative = np.sort(np.concatenate(parts))
    if int(relative.size * question.allowed_rate) < 3:
        return model.tail(question.allowed_rate)
    if model.drift:
        along = 1 + model.drift * question.full_query_count * (np.arange(200) + 0.5) / 200
        few = np.quantile(relative, (np.arange(1000) + 0.5) / 1000)
        relative = np.sort(np.outer(few, along).ravel())
    return float(relative[relative.size - 1 - int(relative.size * question.allowed_rate)])


def _measured(model: LatencyModel, seen: Sequence[Observation], limit: float) -> dict[int, float]:
    by_n = defaultdict(list)
    for test in seen:
        if test.latencies_ns.size >= _LEAST_QUERIES:
            by_n[test.samples_per_query].append(float(np.median(_steady(model, test))))
    return {n: math.log(limit / float(np.mean(medians))) for n, medians in sorted(by_n.items())}


def _residuals(model: LatencyModel, seen: Sequence[Observation], limit: float) -> list[_Residual]:
    """Return the residuals of the tests near the bound; `limit` is the median that meets it, ns."""
    residuals = []
    for test in seen:
        centre = model.centre(test.samples_per_query)
        if test.latencies_ns.size < _LEAST_QUERIES or abs(math.log(max(centre, 1.0) / limit)) > _NEAR:
            continue
        variance = (MEDIAN_ERROR * model.noise) ** 2 / test.latencies_ns.size
        median = float(np.median(_steady(model, test)))
        residuals.append(_Residual(test.samples_per_query, math.log(median / centre), variance))
    return residuals


def _spread(residuals: Sequence[_Residual], freedom: int) -> float:
    """Return the standard deviation of whole tests beyond what their queries explain.

    0 where there are too few tests, or where those of one N agree too well for it: then it is the curve that is off.
    """
    if len(residuals) < _LEAST_TESTS:
        return 0.0
    excess = sum(one.off**2 - one.variance for one in residuals) / freedom
    if excess <= 1e-12:
        return 0.0
    by_n = defaultdict(list)
    for one in residuals:
        by_n[one.n].append(one)
    chi_square, repeated = 0.0, 0
    for same in (same for same in by_n.values() if len(same) > 1):
        weights = np.array([1 / (one.variance + excess) for one in same])
        off = np.array([one.off for one in same])
        chi_square += float(weights @ np.square(off - weights @ off / weights.sum()))
        repeated += len(same) - 1
    # The lower tail of the chi-square distribution is below its first term.
    alike = repeated > 0 and (chi_square / 2) ** (repeated / 2) / math.gamma(repeated / 2 + 1) < _ALIKE
    return 0.0 if alike else math.sqrt(excess)
