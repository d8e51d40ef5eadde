from dataclasses import replace

import pytest
from tests.points import accuracy, latency, streams

from sweep.compare.change import Finding
from sweep.compare.pairing import compare
from sweep.compare.words import apart, unmatched

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


def of(point, **parts):
    """Return a point with further parts in its key, or other ones; None takes one away."""
    values = {name: value for name, value in {**dict(point.key), **parts}.items() if value is not None}
    return replace(point, key=tuple((name.replace("__", "."), value) for name, value in values.items()))


def int8(point, **parts):
    return of(point, precision="int8", **parts)


def named(points):
    return sorted((dict(one.key)["model"], dict(one.key).get("samples_per_query", "")) for one in points)


def test_what_follows_from_what_is_compared_keeps_no_two_points_apart():
    """An int8 network is calibrated with samples of its own; what was in fp32 before has no calibration at all."""
    models = {"resnet": "dataset=imagenet count=500", "digits": "dataset=digits count=100", "theirs": ""}
    before = [of(one, model=model, calibration="") for model in models for one in (streams(100, 100), latency(40))]
    after = [
        int8(one, model=model, calibration=calibration)
        for model, calibration in models.items()
        for one in (streams(120, 120), latency(30))
    ]
    comparison = compare(before, after)
    assert findings(comparison) == ["better"] * 6
    assert not comparison.only_before
    assert not comparison.only_after
    assert comparison.compared["precision"] == ("fp32", "int8")
    assert set(comparison.compared) == {"precision", "calibration"}


def test_a_model_that_one_side_lacks_has_no_partner():
    before = [of(latency(40, n=n), model=model) for model in ("a", "b", "c") for n in (8, 9)]
    after = [int8(latency(30, n=8), model=model) for model in ("a", "b")]
    comparison = compare(before, [*after, int8(latency(30, n=9), model="d")])
    assert named(pair.before for pair in comparison.pairs) == [("a", "8"), ("b", "8")]
    assert named(comparison.only_before) == [("a", "9"), ("b", "9"), ("c", "8"), ("c", "9")]
    assert named(comparison.only_after) == [("d", "9")]


def test_engines_with_options_of_their_own_are_compared():
    before = [of(latency(40), model=model, backend__threads="2") for model in ("a", "b")]
    after = [of(latency(30), model=model, backend="tensorrt", backend__streams="1") for model in ("a", "b")]
    comparison = compare(before, after)
    assert findings(comparison) == ["better"] * 2
    assert comparison.compared == {
        "backend": ("onnxruntime", "tensorrt"),
        "backend.threads": ("2", ""),
        "backend.streams": ("", "1"),
    }


def test_several_engines_on_both_sides_are_each_compared_with_themselves():
    def side(precision, threads):
        return [
            of(latency(40), model=model, precision=precision, backend="onnxruntime", backend__threads=threads)
            for model in ("a", "b")
        ] + [of(latency(20), model=model, precision=precision, backend="tensorrt") for model in ("a", "b")]

    comparison = compare(side("fp32", "2"), side("fp16", "4"))
    assert len(comparison.pairs) == 4
    assert all(dict(one.before.key)["backend"] == dict(one.after.key)["backend"] for one in comparison.pairs)
    assert comparison.compared == {"precision": ("fp32", "fp16"), "backend.threads": ("2", "4")}


def test_an_engine_batch_that_a_small_query_does_not_show_is_compared():
    before = [of(latency(40, n=n), engine_batch="N") for n in (8, 16)]
    after = [of(latency(30, n=n), engine_batch="N" if n == 8 else "8") for n in (8, 16)]
    comparison = compare(before, after)
    assert len(comparison.pairs) == 2
    assert comparison.compared == {"engine_batch": ("N", "8")}


def test_what_is_before_in_one_place_and_after_in_another_is_no_difference_of_the_sides():
    before = [of(latency(40, n=n), backend__threads=threads) for n, threads in ((8, "1"), (9, "2"))]
    after = [of(latency(30, n=n), backend__threads=threads) for n, threads in ((8, "2"), (9, "1"))]
    comparison = compare(before, after)
    assert not comparison.pairs
    assert len(comparison.only_before) == len(comparison.only_after) == 2


def test_where_several_could_be_meant_none_is_chosen_and_none_is_lost():
    before = [of(latency(40), backend__threads=threads) for threads in ("1", "2")]
    comparison = compare(before, [of(latency(30), backend__threads="4")])
    assert not comparison.pairs
    names = [*unmatched(comparison.only_before, comparison.only_after), *unmatched(comparison.only_after, before)]
    assert len(set(names)) == 3
    assert all("backend.threads=" in name for name in names)


@pytest.mark.parametrize("name", ["model_digest", "dataset_digest"])
def test_two_files_of_one_name_are_what_sets_the_sides_apart(name):
    files = {"model_digest": "sha256:1", "dataset_digest": "sha256:2"}
    after = replace(latency(30), files=tuple({**files, name: "sha256:9"}.items()))
    comparison = compare([latency(40)], [after])
    assert comparison.compared == {name: (files[name], "sha256:9")}
    assert not any("nothing" in line for line in apart(comparison))
