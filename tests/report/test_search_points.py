"""Intervals around percentiles hold what they say."""

import numpy as np
import pytest

from sweep.report.search_points import percentile_interval
from sweep.report.search_words import percent


def test_the_interval_holds_the_percentile_as_often_as_it_says():
    random = np.random.default_rng(3)
    true = -np.log(0.01)
    held = 0
    for _ in range(400):
        low, high = percentile_interval((random.exponential(size=1440) * 1e6).astype(np.int64), 99.0)
        held += low <= true * 1e6 <= high
    assert held >= 370  # of 400, 380 or more expected


def test_the_order_statistics_are_the_outer_quantiles_of_the_binomial():
    """Of 100 values the 40th and the 61st enclose the median at 95 %: binomial (100, 0.5) has 0.965 from 40 to 60."""
    assert percentile_interval(np.arange(1, 101), 50.0) == (40, 61)


@pytest.mark.parametrize(("count", "closed"), [(16, False), (300, False), (400, True)])
def test_few_queries_give_no_upper_end(count, closed):
    _, high = percentile_interval(np.arange(count), 99.0)
    assert (high is not None) is closed


def test_a_long_test_overflows_nothing():
    low, high = percentile_interval(np.arange(270_336), 99.0)
    assert low < 0.99 * 270_336 < high


def test_no_query_gives_no_interval():
    assert percentile_interval(np.zeros(0, np.int64), 99.0) == (None, None)


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (1.0, "> 99.9 %"),
        (0.99996, "> 99.9 %"),
        (0.9989, "99.9 %"),
        (0.996, "99.6 %"),
        (0.0, "< 0.1 %"),
        (0.5, "50.0 %"),
    ],
)
def test_certainty_is_never_claimed(probability, said):
    assert percent(probability) == said
