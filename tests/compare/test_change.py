"""Verdicts of comparisons, on estimates made by hand."""

import json
import math

import numpy as np
import pytest

from sweep.compare.accuracy import accuracy_estimate
from sweep.compare.change import Finding, change, judge
from sweep.compare.estimate import Estimate, Metric
from sweep.compare.noise import UNMEASURED, Noise, Source, combine, measure_noise


def streams(low, high=None, *, error=0.0, value=None, edge=None, **more):
    """Return max streams of a machine whose latency is proportional to N; by default an exact answer."""
    last = low if high is None else high
    at = edge or (low + last + 1) / 2
    slacks = tuple((float(n), math.log(at / n)) for n in range(max(round(at * 0.7), 1), round(at * 1.4) + 2))
    return Estimate(Metric.MAX_STREAMS, float(value or low), low, last, error, error, slacks=slacks, **more)


def latency(value, error=0.0, freedom=None):
    return Estimate(Metric.LATENCY, value, value, value, error, error, freedom, tests=1, queries=1440)


def test_one_stream_less_without_noise_is_worse_with_certainty():
    fewer = change(streams(20), streams(19))
    assert fewer.finding is Finding.WORSE
    assert fewer.p_value == 0
    assert (fewer.relative, fewer.low, fewer.high) == (pytest.approx(-0.05),) * 3
    assert change(streams(19), streams(20)).finding is Finding.BETTER
    assert "not measured" in fewer.why


def test_the_same_answer_is_no_evidence():
    same = change(streams(306), streams(306))
    assert same.finding is Finding.NO_EVIDENCE
    assert same.p_value == 1
    assert same.relative == 0


def test_one_stream_less_is_no_evidence_where_sessions_differ_by_more():
    assert change(streams(20), streams(19), Noise(0.02)).finding is Finding.NO_EVIDENCE
    assert change(streams(20), streams(10), Noise(0.02)).finding is Finding.WORSE


def test_a_noise_from_few_repeats_counts_for_less_than_a_known_one():
    known, measured = Noise(0.015), Noise(0.015, 2, Source.MEASURED)
    before, after = latency(40e6), latency(42e6)
    assert change(before, after, known).finding is Finding.WORSE
    assert change(before, after, measured).finding is Finding.NO_EVIDENCE
    assert change(before, after, known).p_value < change(before, after, measured).p_value


def test_a_flat_stair_is_not_shaken_by_small_noise_but_its_end_is():
    def stair(last, at_end):
        slacks = (
            (last - 31.0, at_end),
            (float(last), at_end),
            (last + 1.0, at_end - 0.05),
            (last + 32.0, at_end - 0.05),
        )
        return Estimate(Metric.MAX_STREAMS, float(last), last, last, slacks=slacks)

    assert change(stair(96, 0.03), stair(64, 0.02), Noise(0.001)).finding is Finding.WORSE
    # 64 was hardly over the bound any more: a tenth of a percent of latency makes the whole difference.
    assert change(stair(96, 0.001), stair(64, 0.02), Noise(0.01)).finding is Finding.NO_EVIDENCE


def test_a_longer_latency_is_worse_and_more_accuracy_better():
    assert change(latency(40e6, 0.001), latency(42e6, 0.001)).finding is Finding.WORSE
    assert change(latency(42e6, 0.001), latency(40e6, 0.001)).finding is Finding.BETTER
    assert change(accuracy_estimate(400, 500), accuracy_estimate(480, 500)).finding is Finding.BETTER


def test_limits_of_latency_are_those_of_the_normal_distribution():
    seen = change(latency(100.0, 0.003), latency(102.0, 0.004), UNMEASURED)
    assert math.log1p(seen.low) == pytest.approx(math.log(1.02) - 1.959964 * 0.005, abs=1e-6)
    assert math.log1p(seen.high) == pytest.approx(math.log(1.02) + 1.959964 * 0.005, abs=1e-6)
    assert seen.p_value == pytest.approx(math.erfc(math.log(1.02) / 0.005 / math.sqrt(2)), rel=1e-6)


def test_repeats_that_measured_the_noise_are_not_counted_twice():
    sides = [combine([latency(value, 0.01) for value in values]) for values in ((100.0, 104.0), (101.0, 103.0))]
    seen = change(*sides)
    logs = [np.log(values) for values in ((100.0, 104.0), (101.0, 103.0))]
    error = math.sqrt(sum(one.var(ddof=1) for one in logs) / 2)  # pooled, of the difference of two means of two
    middle = math.log1p(seen.relative)
    assert (math.log1p(seen.high) - middle) / 4.302653 == pytest.approx(error, rel=1e-5)  # t of two degrees of freedom


def test_accuracy_is_newcombes_interval():
    # Newcombe 1998, table II, (a): 56/70 against 48/80, method 10
    seen = change(accuracy_estimate(48, 80), accuracy_estimate(56, 70))
    assert seen.low * 60 == pytest.approx(5.24, abs=0.005)
    assert seen.high * 60 == pytest.approx(33.39, abs=0.005)
    assert "not the same" in seen.why


@pytest.mark.parametrize("good", [0, 250, 500])
def test_the_same_accuracy_is_no_evidence(good):
    same = change(accuracy_estimate(good, 500), accuracy_estimate(good, 500))
    assert same.finding is Finding.NO_EVIDENCE
    assert same.p_value == 1


def test_nothing_known_is_never_a_pass():
    gone = Estimate.unknown(Metric.MAX_STREAMS, "every test failed")
    seen = change(streams(306), gone)
    assert seen.finding is Finding.UNKNOWN
    assert seen.p_value is None
    assert "after: every test failed" in seen.why


def test_an_answer_without_a_bound_above_can_only_be_better():
    open_end = Estimate(Metric.MAX_STREAMS, 400.0, 400, None)
    assert change(streams(306), open_end).finding is Finding.BETTER
    assert change(streams(306), open_end).high is None
    assert change(open_end, streams(306)).finding is Finding.WORSE
    assert change(streams(500), open_end).finding is Finding.NO_EVIDENCE


def test_no_valid_n_is_worse_than_some_and_has_no_ratio_the_other_way():
    none = Estimate(Metric.MAX_STREAMS, 0.0, 0, 0)
    assert change(streams(20), none).finding is Finding.WORSE
    assert change(streams(20), none).relative == -1
    assert change(none, streams(20)).finding is Finding.BETTER
    assert change(none, streams(20)).relative is None
    assert change(none, none).finding is Finding.NO_EVIDENCE


def test_different_metrics_are_a_bug():
    with pytest.raises(ValueError, match="cannot be compared"):
        change(streams(20), latency(1e6))


def test_several_points_need_more_evidence_each():
    one = change(latency(100.0, 0.001), latency(100.32, 0.001))
    assert one.finding is Finding.WORSE
    assert 0.01 < one.p_value < 0.05
    same = change(latency(100.0, 0.001), latency(100.0, 0.001))
    gone = change(streams(306), Estimate.unknown(Metric.MAX_STREAMS, "failed"))
    assert judge([one, gone])[0].finding is Finding.WORSE, "what is unknown is no further test"
    judged = judge([same, one, *[same] * 8])
    assert [each.finding for each in judged] == [Finding.NO_EVIDENCE] * 10
    assert judged[1].p_value == pytest.approx(10 * one.p_value)


def test_holm_steps_down():
    sure, fair = (change(latency(100.0, 0.001), latency(value, 0.001)) for value in (110.0, 100.32))
    judged = judge([fair, sure])
    assert [each.finding for each in judged] == [Finding.WORSE, Finding.WORSE]
    assert judged[0].p_value == pytest.approx(fair.p_value), "the second of two is tested alone"


def test_ten_identical_points_are_quiet_nearly_always():
    rng, loud = np.random.default_rng(1), 0
    for _ in range(60):
        noise = measure_noise([np.exp(0.01 * rng.standard_normal(6))])
        sides = np.exp(0.01 * rng.standard_normal((10, 2)))
        judged = judge([change(latency(a), latency(b), noise) for a, b in sides])
        loud += any(each.finding is not Finding.NO_EVIDENCE for each in judged)
    assert loud <= 3


@pytest.mark.parametrize(
    "estimate",
    [
        streams(20, error=0.01, tests=9),
        latency(4e7, 0.01, 5.0),
        Estimate.unknown(Metric.ACCURACY, "not measured"),
        Estimate(Metric.MAX_STREAMS, 400.0, 400, None),
    ],
)
def test_an_estimate_survives_its_file(estimate):
    assert Estimate.from_json(json.loads(json.dumps(estimate.to_json()))) == estimate
