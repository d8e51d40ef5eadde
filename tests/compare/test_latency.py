"""p99 of a side: its figure, its error, and what is no p99."""

import numpy as np
import pytest

from sweep.compare.change import Finding, change
from sweep.compare.latency import TestLatencies, latency_estimate, percentile_error


def measured(factors, *, aborted=False):
    return TestLatencies((4e7 * factors).astype(np.int64), aborted)


def test_the_figure_is_the_one_that_loadgen_reads():
    latencies = np.arange(1, 1441, dtype=np.int64)
    assert latency_estimate([TestLatencies(latencies)]).value == np.sort(latencies)[int(1440 * 0.99)]


def test_a_test_that_was_stopped_is_no_p99():
    factors = np.ones(200)
    estimate = latency_estimate([measured(factors, aborted=True)])
    assert estimate.value is None
    assert "stopped early" in estimate.why
    both = latency_estimate([measured(factors, aborted=True), measured(2 * factors)])
    assert both.value == pytest.approx(8e7)
    assert both.tests == 1


def test_too_few_queries_are_no_p99():
    estimate = latency_estimate([measured(np.ones(99))])
    assert estimate.value is None
    assert "99 queries are too few for p99 (100)" in estimate.why
    assert "no test" in latency_estimate([]).why


def test_without_noise_any_difference_is_certain():
    sides = [latency_estimate([TestLatencies(np.full(1440, value))]) for value in (40_000_000, 40_000_001)]
    assert change(*sides).finding is Finding.WORSE


def test_the_error_is_about_that_of_independent_queries_where_they_are():
    rng = np.random.default_rng(3)
    logs = [np.log(latency_estimate([measured(1 + 0.02 * rng.standard_normal(1440))]).value) for _ in range(50)]
    errors = [percentile_error([1 + 0.02 * rng.standard_normal(1440)], 0.01) for _ in range(20)]
    assert 1 < np.median(errors) / np.std(logs) < 2


@pytest.mark.parametrize("length", [1, 10, 50])
def test_bursts_are_no_false_alarms(length):
    """A formula for independent queries takes the bursts of a test for a change."""
    rng, loud = np.random.default_rng(length), 0

    def side():
        factors = 1 + 0.01 * rng.standard_normal(1440)
        for start in np.flatnonzero(rng.random(1440) < 0.02 / length):
            factors[start : start + length] *= 1.3
        return latency_estimate([measured(factors)])

    for _ in range(60):
        loud += change(side(), side()).finding is not Finding.NO_EVIDENCE
    assert loud <= 6


def test_the_error_is_the_same_each_time():
    factors = 1 + 0.02 * np.random.default_rng(0).standard_normal(1440)
    assert percentile_error([factors], 0.01) == percentile_error([factors], 0.01)


def test_repeats_count_as_repeats():
    estimate = latency_estimate([measured(np.full(1440, factor)) for factor in (1.0, 1.02, 0.98)])
    assert estimate.repeats == 3
    assert estimate.spread == pytest.approx(0.02, rel=0.01)
    assert estimate.queries == 3 * 1440
