"""What the plots of a search show: per test, its latency at the percentile and how surely that is known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from sweep.study.observe import stored_latencies
from sweep.study.search import SearchOutcome, SearchTest
from sweep.trial.result import TrialResult
from sweep.vocabulary import TrialState, Verdict

CONFIDENCE = 0.95
"""Of the interval around each percentile."""

LOG_FROM = 20
"""Values that span more than this factor are shown on a logarithmic axis."""


class Kind(StrEnum):
    """What a test says about its N."""

    VALID = "VALID"
    INVALID = "INVALID"
    STOPPED = "INVALID, stopped early"
    """Its latencies are of the queries until the stop."""
    SHORT = "short test, no verdict"
    FAILED = "FAILED"


@dataclass(frozen=True)
class PlotPoint:
    """One test.

    Attributes:
        samples_per_query: N.
        kind: What it says.
        percentile_ns: Its latency at the percentile; None when no query finished.
        low_ns: Lower end of the interval around it; None where so few queries give none.
        high_ns: Upper end, likewise.
    """

    samples_per_query: int
    kind: Kind
    percentile_ns: int | None
    low_ns: int | None
    high_ns: int | None


def points_of(outcome: SearchOutcome) -> tuple[PlotPoint, ...]:
    """Return the tests of a search, in order; their intervals from the latencies stored beside their logs."""
    return tuple(_point(test, outcome.plan.question.percentile) for test in outcome.answer_tests)


def percentile_interval(
    latencies_ns: npt.NDArray[np.int64], percentile: float, confidence: float = CONFIDENCE
) -> tuple[int | None, int | None]:
    """Return an interval that holds the percentile of the distribution with a chance of `confidence`, at least.

    Of n independent values, the number at or below the percentile is binomial (n, percentile / 100), whatever their
    distribution; so the order statistics at that binomial's outer quantiles enclose it. Hahn and Meeker, Statistical
    Intervals (1991), section 5.2; David and Nagaraja, Order Statistics (2003), section 7.1. Queries that slow each
    other down are not independent: then it is too narrow.

    Args:
        latencies_ns: int64 [queries], in any order.
        percentile: In percent, above 0 and below 100.
        confidence: Below 1.

    Returns:
        Both ends in ns; None for one that lies beyond the values: 95 % above p99 takes some 370 queries.
    """
    count = latencies_ns.size
    if count == 0:
        return None, None
    share = percentile / 100
    number = np.arange(1, count + 1)
    # In logarithms: the first term of a long test is far below the smallest double.
    log_terms = np.concatenate(([0.0], np.cumsum(np.log((count - number + 1) / number * (share / (1 - share))))))
    cumulative = np.cumsum(np.exp(log_terms + count * np.log1p(-share)))
    tail = (1 - confidence) / 2
    low = int(np.searchsorted(cumulative, tail))
    high = int(np.searchsorted(cumulative, 1 - tail)) + 1
    ordered = np.sort(latencies_ns)
    return (int(ordered[low - 1]) if low >= 1 else None), (int(ordered[high - 1]) if high <= count else None)


def spans_log(values: list[float]) -> bool:
    """Say whether values are better shown on a logarithmic axis."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > LOG_FROM


def _point(test: SearchTest, percentile: float) -> PlotPoint:
    result = test.outcome.stored.result
    low, high = percentile_interval(stored_latencies(test.outcome.stored.directory), percentile)
    kind = kind_of(result, is_short=test.ask.query_count is not None)
    return PlotPoint(result.spec.samples_per_query, kind, result.percentile_ns, low, high)


def kind_of(result: TrialResult, *, is_short: bool) -> Kind:
    """Return what a test says about its N.

    Args:
        result: Its record.
        is_short: Whether it is a short one of a search, which can prove nothing VALID.
    """
    if result.state is TrialState.FAILED:
        return Kind.FAILED
    if is_short:
        return Kind.SHORT
    if result.aborted is not None:
        return Kind.STOPPED
    return Kind.VALID if result.result is Verdict.VALID else Kind.INVALID
