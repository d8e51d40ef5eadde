"""The answer of a search as one side of a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sweep.compare.estimate import Estimate, Metric
from sweep.compare.latency import percentile_error
from sweep.search.base import Domain, Observation, Question
from sweep.search.certificate import Certificate, Status
from sweep.search.evidence import pools
from sweep.search.model import LatencyModel

_RANGE = 0.7
"""How far below the answer its curve is kept, as a share of it; and as far above."""
_POINTS = 15
"""Points of the curve on each side, at most."""
_NEAR = 0.1
"""Tests whose latency at the percentile is within so much of the bound, relative, tell how sharp the edge is."""


def max_streams_estimate(certificate: Certificate, question: Question, seen: Sequence[Observation] = ()) -> Estimate:
    """Return the estimate of max streams from a search.

    What the certificate leaves undecided bounds it. How far each of its bounds may be off follows from the latencies
    near the edge: how uncertain their percentile is and how far whole tests differ. Both are errors of latency; the
    curve says how much of N they are worth, which is nothing on a flat stair and much at its edge.

    Args:
        certificate: What the search has shown.
        question: What was to be found.
        seen: Its tests; without their latencies, errors are unknown and taken as 0, which `why` says.
    """
    if certificate.status is Status.UNKNOWN or (
        certificate.max_streams is None and certificate.status is not Status.NONE_VALID
    ):
        return Estimate.unknown(Metric.MAX_STREAMS, certificate.why or "the search has shown nothing")
    domain = question.domain
    low, high = _bounds(certificate, domain)
    model = LatencyModel(question, pools(question, seen))
    why = []
    if certificate.status is Status.UNCONFIRMED:
        why.append(f"N={low} was VALID, but not surely")
    below = above = 0.0
    freedom: float | None = None
    slacks: tuple[tuple[float, float], ...] = ()
    if model.curve is None:
        why.append("the latencies of its tests are not known, so their errors are taken as 0")
    else:
        slacks = _slacks(model, domain, low, high)
        below, above = _tail_errors(question, seen)
        if model.doubt:
            below, above = math.hypot(below, model.doubt), math.hypot(above, model.doubt)
            freedom = float(max(model.tests_at_the_edge - 2, 1))
    return Estimate(
        metric=Metric.MAX_STREAMS,
        value=float(low),
        low=float(low),
        high=None if high is None else float(high),
        error_below=below,
        error_above=above,
        freedom=freedom,
        tests=certificate.tests,
        queries=certificate.query_count,
        slacks=slacks,
        step=domain.step,
        why="; ".join(why),
    )


def _bounds(certificate: Certificate, domain: Domain) -> tuple[int, int | None]:
    """Return the smallest and the largest N that max streams may be; None where nothing bounds it from above."""
    if certificate.max_streams is None:
        return 0, domain.low - domain.step if domain.low > domain.step else 0
    if certificate.first_invalid is None:
        return certificate.max_streams, None
    return certificate.max_streams, certificate.first_invalid - domain.step


def _slacks(model: LatencyModel, domain: Domain, low: int, high: int | None) -> tuple[tuple[float, float], ...]:
    """Return the curve around the answer; never at odds with what was shown."""
    inner, last = max(low, domain.low), max(low if high is None else high, domain.low)
    first, end = domain.floor(inner * _RANGE), domain.floor(last / _RANGE)
    points = {n for a, b in ((first, inner), (last, end)) for n in _spaced(domain, a, b)} | {last + domain.step}
    slacks = []
    for n in sorted(point for point in points if point in domain):
        slack = -math.log(max(1 - model.margin(n), 1e-9))
        if n <= low:
            slack = max(slack, 0.0)
        elif high is not None and n > high:
            slack = min(slack, -1e-12)
        slacks.append((float(n), slack))
    return tuple(slacks) if len(slacks) > 1 else ()


def _spaced(domain: Domain, first: int, last: int) -> list[int]:
    if last <= first:
        return [first]
    return [domain.floor(n) for n in np.geomspace(first, last, _POINTS)]


def _tail_errors(question: Question, seen: Sequence[Observation]) -> tuple[float, float]:
    """Return the relative standard errors of the percentile near the edge, from all queries of full tests there."""
    parts = [
        test.latencies_ns / np.median(test.latencies_ns) for test in seen if test.is_full and test.latencies_ns.size > 1
    ]
    return percentile_error(parts, question.allowed_rate) if parts else (0.0, 0.0)
