from dataclasses import replace

import pytest
from tests.points import accuracy, latency, streams

from sweep.compare.change import Finding
from sweep.compare.pairing import compare

OTHER = {"cpu": "other"}


def findings(comparison):
    return [str(pair.change.finding) for pair in comparison.pairs]


def with_key(point, **values):
    return replace(point, key=tuple((name, values.get(name, value)) for name, value in point.key))


def test_each_figure_is_held_against_its_like():
    before = [streams(100, 100), latency(40, n=8), latency(45, n=9), accuracy(498)]
    after = [accuracy(498), latency(45, n=9), latency(30, n=8), streams(90, 90)]
    comparison = compare(before, after)
    assert [pair.change.metric for pair in comparison.pairs] == ["max streams", "latency", "latency", "accuracy"]
    assert findings(comparison) == ["worse", "better", "no evidence", "no evidence"]
    assert not comparison.only_before
    assert not comparison.only_after
    assert comparison.compared == {}


def test_what_sets_the_sides_apart_is_compared_and_named():
    int8 = [with_key(one, precision="int8") for one in (streams(120, 120), latency(30))]
    comparison = compare([streams(100, 100), latency(40)], int8)
    assert comparison.compared == {"precision": ("fp32", "int8")}
    assert findings(comparison) == ["better", "better"]


def test_what_both_sides_have_several_of_must_be_equal():
    """Two precisions on one side and one on the other: only that one has a partner."""
    both = [streams(100, 100), with_key(streams(120, 120), precision="int8")]
    comparison = compare(both, [with_key(streams(120, 120), precision="int8")])
    assert [dict(pair.key)["precision"] for pair in comparison.pairs] == ["int8"]
    assert [dict(one.key)["precision"] for one in comparison.only_before] == ["fp32"]


def test_latencies_are_compared_at_equal_n_alone():
    comparison = compare([latency(40, n=8)], [latency(41, n=9)])
    assert not comparison.pairs
    assert len(comparison.only_before) == len(comparison.only_after) == 1


def test_another_machine_is_said():
    comparison = compare([latency(40)], [latency(30, environment=OTHER)])
    assert "environment" in comparison.compared
    assert any("cpu: one -> other" in line for line in comparison.environments)
    assert findings(comparison) == ["better"]


def test_results_of_several_machines_are_never_taken_together():
    before = [latency(40), latency(20, environment=OTHER)]
    comparison = compare(before, [latency(40)])
    assert findings(comparison) == ["no evidence"]
    assert len(comparison.only_before) == 1


def test_a_test_that_was_stopped_early_is_over_the_bound():
    """Its percentile would be wrong, but its INVALID is not."""
    comparison = compare([latency(40, error=0.01)], [latency(None)])
    assert findings(comparison) == ["worse"]
    assert comparison.pairs[0].change.relative == pytest.approx(0.25)
    assert "VALID -> INVALID" in comparison.pairs[0].notes


def test_a_toss_of_a_coin_at_the_bound_is_no_evidence():
    comparison = compare([latency(49.8, error=0.01)], [latency(None)])
    assert findings(comparison) == ["no evidence"]


def test_two_tests_that_were_stopped_early_have_nothing_to_compare():
    comparison = compare([latency(None)], [latency(None)])
    assert comparison.pairs[0].change.finding is Finding.UNKNOWN
    assert comparison.pairs[0].change.why == "INVALID on both sides, stopped early"


def test_another_file_of_the_model_is_said():
    other = (("model_digest", "sha256:9"), ("dataset_digest", "sha256:2"))
    comparison = compare([latency(40)], [latency(40, files=other)])
    assert comparison.pairs[0].notes == ("another model file",)


def test_findings_hold_for_all_points_together():
    """One of twenty that is off by two standard errors is what chance gives."""
    before = [latency(40, n=n, error=0.01) for n in range(20)]
    after = [*(latency(40, n=n, error=0.01) for n in range(19)), latency(41.3, n=19, error=0.01)]
    assert findings(compare(before[-1:], after[-1:])) == ["worse"]
    assert set(findings(compare(before, after))) == {"no evidence"}


def test_other_kernels_are_no_other_file():
    """The same model, computed faster: its points are held against each other, and never pooled."""
    names = ("sha256:1 sha256:c", "sha256:1 sha256:c (vnni)")
    old, new = ((("model_digest", name), ("dataset_digest", "sha256:2")) for name in names)
    comparison = compare([latency(40, files=old)], [latency(20, files=new)])
    assert comparison.pairs[0].notes == ("other kernels for int8",)
