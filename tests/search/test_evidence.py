"""Counts to probabilities, against sums of whole numbers; and what counts as good, bad and failed."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from sweep.search.base import Domain, Observation, Question, Shown
from sweep.search.evidence import Pool, most_over, p_valid, pools

RATES = (Fraction(1, 100), Fraction(1, 10), Fraction(1, 2), Fraction(1, 1000))


def exact(over, count, rate):
    """P(X > over) of a binomial variable of count + 1 / rate - 1 trials, in fractions."""
    trials = count + max(round(1 / rate) - 1, 1)
    terms = (math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(over + 1))
    return 1 - sum(terms, Fraction(0))


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_p_valid_is_the_exact_binomial_tail(rate):
    for over, count in ((0, 0), (0, 1), (0, 6), (1, 6), (6, 6), (0, 60), (2, 60), (3, 200), (0, 200), (60, 60)):
        assert p_valid(over, count, float(rate)) == pytest.approx(float(exact(over, count, rate)), rel=1e-9, abs=1e-13)


def test_small_probabilities_keep_their_digits_on_the_side_that_counts():
    """P(valid) of many over the bound is near 0, and only from its own tail is it more than rounding."""
    for over, count in ((22, 1440), (40, 1440), (5, 1440)):
        truth = float(exact(over, count, Fraction(1, 100)))
        assert p_valid(over, count, 0.01) == pytest.approx(truth, rel=1e-9, abs=1e-14)
    assert 0 <= p_valid(1440, 1440, 0.01) < 1e-12
    assert p_valid(2500, 270_336, 0.01) > 0.9999
    assert p_valid(2900, 270_336, 0.01) < 0.0001


def test_p_valid_falls_with_those_over_and_rises_with_those_that_are_not():
    counts = [0, 1, 5, 20, 99, 100, 101, 500, 1440]
    for count in counts:
        falling = [p_valid(over, count, 0.01) for over in range(min(count, 60) + 1)]
        assert all(0 <= p <= 1 for p in falling)
        assert all(a >= b for a, b in pairwise(falling))
    for over in (0, 1, 7):
        rising = [p_valid(over, count, 0.01) for count in counts if count >= over]
        assert all(a <= b for a, b in pairwise(rising))


def test_a_few_queries_prove_nothing():
    assert p_valid(0, 6, 0.01) < 0.7
    assert p_valid(0, 200, 0.01) < 0.99
    assert p_valid(0, 0, 0.01) > 0.5  # nothing seen leans neither way by much: the prior's mean is the allowed rate


def test_most_over_is_the_last_count_that_is_enough():
    for count in (1, 100, 359, 360, 361, 1440, 20_000):
        for confidence in (0.6, 0.95, 0.99, 0.999999):
            most = most_over(count, 0.01, confidence)
            assert -1 <= most < count
            assert most == -1 or p_valid(most, count, 0.01) >= confidence
            assert p_valid(most + 1, count, 0.01) < confidence
    assert most_over(100, 0.01, 0.99) == -1
    assert most_over(360, 0.01, 0.99) == 0


QUESTION = Question(Domain(1, 64), 50, 99.0, 1440, 0.95)


def seen(shown=Shown.VALID, over=0, count=1440, full=True, busy=False, n=8):
    latencies = np.full(count, 40, np.int64)
    latencies[:over] = 60
    return Observation(n, full, shown, latencies, over, count, busy)


FAILED, OUT_OF_MEMORY = seen(Shown.FAILED, count=0), seen(Shown.OUT_OF_MEMORY, count=0, full=False)
PROBE = seen(count=500, full=False)
BAD = seen(Shown.INVALID, 40)
BUSY = seen(Shown.INVALID, 40, busy=True)


@pytest.mark.parametrize(
    ("tests", "good", "bad"),
    [
        ([], False, False),
        ([seen()], True, False),
        ([seen(over=14)], False, False),  # VALID, as many over as may be: a toss of a coin
        ([seen(over=8), seen(over=9)], True, False),
        ([PROBE], False, False),  # sure enough, but no full test
        ([PROBE, seen(count=100)], True, False),
        ([BAD], False, True),
        ([seen(Shown.INVALID, 15)], False, False),
        ([seen(Shown.INVALID, 0)], False, False),  # for something that latencies do not show
        ([seen(Shown.INVALID, 5, 6, full=False)], False, False),
        ([seen(), seen(), seen(Shown.INVALID, 15)], False, False),  # sure by its counts, INVALID in one of its tests
        ([seen(), BAD], False, True),
        ([FAILED], False, False),
        ([FAILED, seen()], True, False),
        ([FAILED, FAILED], False, True),
        ([FAILED, seen(), FAILED], True, False),  # it does run
        ([OUT_OF_MEMORY], False, True),
        ([seen(), OUT_OF_MEMORY], False, True),
        ([BUSY], False, False),  # the neighbours' doing, perhaps
        ([BUSY, BUSY, BUSY], False, False),
        ([BUSY, seen()], True, False),
        ([seen(), BUSY], True, False),
        ([BUSY, BAD], False, True),
        ([BUSY, seen(Shown.INVALID, 15)], False, False),  # the undisturbed one alone is not sure
        ([BUSY, seen(busy=True)], False, False),  # else on a machine that is always busy the best of two would count
        ([BUSY, seen(busy=True), seen(Shown.INVALID, 15)], False, False),
        ([BUSY, BUSY, seen()], True, False),
        ([seen(busy=True)], True, False),
        ([seen(busy=True), BAD], False, True),
        ([BUSY, PROBE], False, False),
        ([BUSY, OUT_OF_MEMORY], False, True),
    ],
)
def test_good_and_bad(tests, good, bad):
    pool = pools(QUESTION, tests).get(8, Pool(8, (), QUESTION))
    assert (pool.is_good, pool.is_bad) == (good, bad)
    assert not (pool.is_good and pool.is_bad)


def test_a_pool_counts_all_its_tests_and_reads_the_percentile_as_loadgen_does():
    pool = pools(QUESTION, [seen(over=3, count=100), seen(over=2, count=400), FAILED, seen(n=4)])[8]
    assert (pool.query_count, pool.over_latency_count) == (500, 5)
    assert pool.order.tolist() == [*range(100), *range(400)]
    assert pool.percentile_ns == 60  # index 495 of 500: five lie at 495 to 499
    assert pools(QUESTION, [seen(over=4, count=500)])[8].percentile_ns == 40
    assert Pool(8, (FAILED,), QUESTION).percentile_ns is None
    assert list(pools(QUESTION, [seen(n=9), seen(n=2)])) == [2, 9]
