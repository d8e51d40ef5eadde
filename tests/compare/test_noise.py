"""Noise between sessions: measured too small, every new session looks like a regression."""

import math

import numpy as np
import pytest

from sweep.compare.estimate import Estimate, Metric
from sweep.compare.noise import UNMEASURED, Source, combine, measure_noise, noise_of


def latency(value, error=0.0):
    return Estimate(Metric.LATENCY, value, value, value, error, error, tests=1, queries=1440)


def streams(value, slope=1.0):
    ns = range(round(value * 0.8), round(value * 1.2))
    slacks = tuple((float(n), slope * math.log((value + 0.5) / n)) for n in ns)
    return Estimate(Metric.MAX_STREAMS, float(value), float(value), float(value), slacks=slacks, tests=12)


def test_noise_is_pooled_within_groups_alone():
    one, other = [100.0, 102.0, 98.0], [5.0, 5.1]
    noise = measure_noise([one, other, [77.0]])
    squares = sum(float(np.var(np.log(group))) * len(group) for group in (one, other))
    assert noise.freedom == 3
    assert noise.source is Source.MEASURED
    assert noise.relative == pytest.approx(math.sqrt(squares / 3))


def test_single_values_measure_nothing():
    assert measure_noise([[1.0], [2.0]]) == UNMEASURED
    assert "not measured" in str(UNMEASURED)


def test_what_is_given_is_taken_whatever_repeats_say():
    few, many = combine([latency(100.0), latency(101.0)]), combine([latency(100.0 + k) for k in range(6)])
    assert noise_of([few], 0.03).source is Source.GIVEN
    assert noise_of([few]).freedom == 1
    assert noise_of([few, many]).freedom == 6
    assert noise_of([few, many], 0.03).source is Source.GIVEN
    assert noise_of([latency(100.0)]) == UNMEASURED


def test_repeats_of_max_streams_measure_latency_not_streams():
    # A latency that hardly grows with N: 20 % of N are 2 % of latency.
    both = combine([streams(300, 0.1), streams(360, 0.1)])
    assert both.spread == pytest.approx(0.1 * math.log(360.5 / 300.5) / math.sqrt(2), rel=0.05)
    assert both.value == 330
    assert both.repeats == 2


def test_what_is_unknown_is_left_out_of_the_mean():
    gone = Estimate.unknown(Metric.LATENCY, "every test failed")
    mean = combine([latency(100.0, 0.02), gone, latency(100.0, 0.02)])
    assert mean.value == pytest.approx(100.0)
    assert mean.repeats == 2
    assert mean.error_above == pytest.approx(0.02 / math.sqrt(2))
    assert combine([gone, gone]).value is None


def test_the_same_samples_measured_again_are_no_further_samples():
    one = Estimate(Metric.ACCURACY, 97.0, 97.0, 97.0, tests=1, queries=500)
    assert combine([one, one, one]).queries == 500
