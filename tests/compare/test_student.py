"""Student's t: wrong quantiles make every verdict of few repeats wrong."""

import math

import numpy as np
import pytest

from sweep.compare.student import quantile, two_sided


@pytest.mark.parametrize(
    ("confidence", "freedom", "expected"),
    [  # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2
        (0.95, 1, 12.706),
        (0.95, 2, 4.303),
        (0.90, 4, 2.132),
        (0.95, 5, 2.571),
        (0.99, 10, 3.169),
        (0.998, 20, 3.552),
        (0.95, 100, 1.984),
        (0.95, math.inf, 1.960),
    ],
)
def test_quantiles_are_those_of_the_tables(confidence, freedom, expected):
    assert quantile(confidence, freedom) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("freedom", [1, 2.5, 7, 40, 1e5])
@pytest.mark.parametrize("t", [0.1, 1.0, 3.0, 12.0])
def test_the_tail_is_the_integral_of_the_density(freedom, t):
    # P(|T| <= t), with the density summed by Simpson's rule
    x = np.linspace(-t, t, 20001)
    log = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - 0.5 * math.log(freedom * math.pi)
    density = np.exp(log - (freedom + 1) / 2 * np.log1p(x * x / freedom))
    weights = np.ones(x.size)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    inside = float(density @ weights) * (x[1] - x[0]) / 3
    assert two_sided(t, freedom) == pytest.approx(1 - inside, abs=1e-9)


def test_a_far_tail_keeps_its_digits():
    # of one degree of freedom: 1 - 2 / pi * atan(t), about 2 / (pi * t)
    assert two_sided(1e9, 1) == pytest.approx(2 / (math.pi * 1e9), rel=1e-9)
    assert two_sided(math.inf, 3) == 0
    assert two_sided(0, 3) == 1
