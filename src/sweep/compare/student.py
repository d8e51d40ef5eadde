"""Student's t distribution: what replaces the normal one where a variance was itself estimated from few values."""

from __future__ import annotations

import math
from statistics import NormalDist

_TINY = 1e-300
_NORMAL = 1e6
"""Degrees of freedom from which on the distribution is the normal one to all digits that matter."""


def two_sided(t: float, freedom: float) -> float:
    """Return P(|T| >= |t|) of Student's t distribution.

    It is the regularised incomplete beta function I_x(freedom / 2, 1 / 2) at x = freedom / (freedom + t^2) (NIST
    Digital Library of Mathematical Functions, 8.17; Abramowitz and Stegun, 26.7.1).

    Args:
        t: The statistic; infinity gives 0.
        freedom: Degrees of freedom, above 0, whole or not; infinity for the normal distribution.
    """
    if math.isinf(t):
        return 0.0
    if freedom > _NORMAL:
        return math.erfc(abs(t) / math.sqrt(2))
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def quantile(confidence: float, freedom: float) -> float:
    """Return the t with P(|T| <= t) = `confidence`: 1.96 at 0.95 for the normal distribution, 12.7 for one degree."""
    if freedom > _NORMAL:
        return NormalDist().inv_cdf((1 + confidence) / 2)
    low, high = 0.0, 1.0
    while two_sided(high, freedom) > 1 - confidence:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) > 1 - confidence else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where its continued fraction is slow, that of the complement is fast
        return 1 - _incomplete_beta(b, a, 1 - x)
    log = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(log) / a * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of DLMF 8.17.22, from its front, by Lentz's method."""
    front, back, denominator = 1.0, 0.0, 1.0
    for term in range(1, 1000):
        m = term // 2
        if term % 2:
            coefficient = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            coefficient = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        back = 1 / (1 + coefficient * back or _TINY)
        front = 1 + coefficient / front or _TINY
        denominator *= front * back
        if abs(front * back - 1) < 1e-15:
            break
    return 1 / denominator
