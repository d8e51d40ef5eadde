"""The answer of a search as one side of a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sweep.compare.edge import Edge, edge_of
from sweep.compare.estimate import Estimate, Metric
from sweep.search.base import Domain, Observation, Question, Shown
from sweep.search.certificate import Certificate, Status

_RANGE = 0.7
"""How far below the answer tests of other N are kept, as a share of it; and as far above."""
_AT = tuple(sign * slack for sign in (1, -1) for slack in (0.0, *np.geomspace(1e-3, 0.3, 10).tolist()))
"""The slacks at which the curve is kept: on both sides of whatever step it makes there."""
_SMOOTH = 0.1
"""Where the latencies of both ends are within so much of the bound, relative, the edge is no cliff."""
_CURVE_ERROR = 2e-3
"""Relative error of the curve where it stands for the certificate."""
_WALL = 100.0
"""A slack that no error overcomes."""


@dataclass(frozen=True)
class _Claim:
    """What a certificate claims: max streams is `low` at least and `high` at most, None where nothing bounds it.

    `is_memory` where more than that does not fit into memory.
    """

    low: int
    high: int | None
    is_memory: bool = False


def max_streams_estimate(certificate: Certificate, question: Question, seen: Sequence[Observation] = ()) -> Estimate:
    """Return the estimate of max streams from a search.

    What the certificate leaves undecided bounds it. How far its bounds may be off follows from the latencies near the
    edge: how uncertain their percentile is, and how far whole tests differ. Both are errors of latency; the curve says
    how much of N they are worth, which is nothing on a flat stair and a whole stair at its end.

    Where whole tests differ, or where much is undecided, the place at which the curve of all tests crosses the bound
    says more than the few tests that decided last: it is taken instead of the certificate's bounds, unless it is a
    cliff, on which a curve says nothing.

    Args:
        certificate: What the search has shown.
        question: What was to be found.
        seen: Its tests; without their latencies, errors are unknown and taken as 0, which `why` says.
    """
    if certificate.max_streams is None and certificate.status is not Status.NONE_VALID:
        return Estimate.unknown(Metric.MAX_STREAMS, certificate.why or "the search has shown nothing")
    claim, edge = _claim(certificate, question.domain), edge_of(question, seen)
    unsure = [f"N={claim.low} was VALID, but not surely"] if certificate.status is Status.UNCONFIRMED else []
    estimate = Estimate(
        metric=Metric.MAX_STREAMS,
        value=float(claim.low),
        low=float(claim.low),
        high=None if claim.high is None else float(claim.high),
        tests=certificate.tests,
        queries=certificate.query_count,
        step=question.domain.step,
    )
    if edge is None:
        why = [*unsure, "the latencies of its tests are not known, so that their errors are taken as 0"]
        return replace(estimate, why="; ".join(why))
    scatter, drawn, is_smooth = 0.0, 0.0, _is_smooth(edge, claim, question.domain)
    if is_smooth:
        scatter = edge.scatter
        drawn = _CURVE_ERROR if scatter or claim.high != claim.low else 0.0
    estimate = replace(
        estimate,
        error_below=math.hypot(edge.tail_errors[0], scatter, drawn),
        error_above=math.hypot(edge.tail_errors[1], scatter, drawn),
        freedom=edge.freedom if scatter else None,
        slacks=_slacks(edge, question.domain, claim, is_smooth=is_smooth),
    )
    if drawn:
        crossing = estimate.reach(0.0)
        estimate = replace(estimate, low=crossing, high=crossing)
    differ = [f"whole tests differ by {100 * edge.spread:.2g} %"] if scatter else []
    return replace(estimate, why="; ".join((*unsure, *differ)))


def _claim(certificate: Certificate, domain: Domain) -> _Claim:
    if certificate.max_streams is None:
        return _Claim(0, max(domain.low - domain.step, 0))
    if certificate.first_invalid is None:
        return _Claim(certificate.max_streams, None)
    failures = {one.samples_per_query: one.failure for one in certificate.evidence}
    is_memory = failures.get(certificate.first_invalid) == Shown.OUT_OF_MEMORY
    return _Claim(certificate.max_streams, certificate.first_invalid - domain.step, is_memory)


def _is_smooth(edge: Edge, claim: _Claim, domain: Domain) -> bool:
    """Say whether latency crosses the bound between the ends of a claim without a leap, as the curve does."""
    if claim.high is None or claim.is_memory or claim.low == 0:
        return False
    ends = {claim.low: edge.slack(claim.low), claim.high + domain.step: edge.slack(claim.high + domain.step)}
    return all(max(abs(slack), abs(edge.measured.get(n, slack))) < _SMOOTH for n, slack in ends.items())


def _slacks(edge: Edge, domain: Domain, claim: _Claim, *, is_smooth: bool) -> tuple[tuple[float, float], ...]:
    """Return the slack of N around a claim: by the curve or, about a cliff, by the tests of each N alone."""
    inner = max(claim.low, domain.low)
    outer = max(claim.low if claim.high is None else claim.high, domain.low)
    first, last = domain.floor(inner * _RANGE), domain.floor(outer / _RANGE)
    if is_smooth:
        reached = {_reached(edge, domain, slack) for slack in _AT}
        points = {*reached, *(n + domain.step for n in reached), claim.low, outer, outer + domain.step}
        slacks = {n: edge.slack(n) for n in points if n in domain}
    else:
        slacks = {n: slack for n, slack in edge.measured.items() if first <= n <= last}
    if claim.is_memory:
        slacks |= dict.fromkeys((n for n in (*slacks, outer + domain.step) if n > outer), -_WALL)
    if not (is_smooth and edge.scatter):
        slacks = {n: _claimed(n, slack, claim) for n, slack in slacks.items()}
    # Nine digits: a baseline's file holds many of them.
    return tuple((float(n), round(slack, 9)) for n, slack in sorted(slacks.items())) if len(slacks) > 1 else ()


def _claimed(n: int, slack: float, claim: _Claim) -> float:
    """Return a slack that is not at odds with a claim."""
    if n <= claim.low:
        return max(slack, 0.0)
    return slack if claim.high is None or n <= claim.high else min(slack, -1e-9)


def _reached(edge: Edge, domain: Domain, slack: float) -> int:
    """Return the largest N whose slack, by the curve, is so much at least; the smallest N where none is."""
    low, high = 0, len(domain)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if edge.slack(domain.low + middle * domain.step) >= slack else (low, middle)
    return domain.low + low * domain.step
