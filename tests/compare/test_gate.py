import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from tests.points import accuracy, latency, point, streams

from sweep.compare.baseline import Baseline, read_baseline
from sweep.compare.estimate import Estimate, Metric
from sweep.compare.gate import Outcome, Tolerances, run_gate
from sweep.compare.gate_files import gate_markdown, junit
from sweep.errors import RecordError
from sweep.results.filters import parse_filters

NIGHT = (streams(100, 100, error=0.002), latency(40, n=64), accuracy(498))


def outcomes(report):
    return [item.outcome for item in report.items]


def gate(*points, baseline=NIGHT, **settings):
    return run_gate(Baseline(tuple(baseline)), points, **settings)


def test_the_same_again_passes():
    report = gate(*NIGHT)
    assert outcomes(report) == [Outcome.PASSED] * 3
    assert report.is_open


def test_better_passes():
    report = gate(streams(120, 120, error=0.002), latency(30, n=64), accuracy(500))
    assert report.is_open


@pytest.mark.parametrize(
    ("worse", "place"),
    [(streams(90, 90, error=0.002), 0), (latency(45, n=64), 1), (latency(None, n=64), 1), (accuracy(470), 2)],
)
def test_what_has_fallen_fails_and_nothing_else(worse, place):
    points = [*NIGHT[:place], worse, *NIGHT[place + 1 :]]
    report = gate(*points)
    assert [item.point for item in report.items if item.is_failure] == [worse]
    assert not report.is_open
    why = next(item.why for item in report.items if item.is_failure)
    assert "worse by" in why or "by how much is not known" in why


def test_noise_passes():
    """A fall that these uncertainties explain is none."""
    before = (streams(100, 100, error=0.05), latency(40, n=64, error=0.05))
    report = gate(streams(94, 94, error=0.05), latency(43, n=64, error=0.05), baseline=before)
    assert report.is_open
    assert [item.why for item in report.items] == ["no evidence", "no evidence"]
    assert any("too noisy to guard" in note for note in report.notes)


def test_a_fall_within_the_tolerance_passes_and_is_said():
    report = gate(streams(98, 98, error=0.0), baseline=[streams(100, 100)], tolerances=Tolerances(3.0))
    assert report.is_open
    assert "within the tolerance" in report.items[0].why
    assert not gate(streams(98, 98), baseline=[streams(100, 100)], tolerances=Tolerances(1.0)).is_open


def test_the_margin_of_a_latency_is_counted_in_the_bound():
    """From 1 to 2 ms of 50 the latency has doubled, and the margin is 2 % of the bound less."""
    report = gate(latency(2), baseline=[latency(1)], tolerances=Tolerances(3.0))
    assert report.is_open
    assert not gate(latency(2), baseline=[latency(1)], tolerances=Tolerances(1.0)).is_open


def test_a_missing_point_is_a_failure():
    report = gate(*NIGHT[1:])
    assert outcomes(report) == [Outcome.MISSING, Outcome.PASSED, Outcome.PASSED]
    assert not report.is_open


def test_nothing_at_all_is_a_failure():
    assert not gate().is_open
    assert not gate(baseline=()).is_open


def test_a_point_that_could_not_be_measured_is_a_failure():
    failed = point(Metric.LATENCY, Estimate.unknown(Metric.LATENCY, "FAILED: crash"), *NIGHT[1].key[3:])
    report = gate(NIGHT[0], failed, NIGHT[2])
    assert not report.is_open
    assert "could not be measured: FAILED: crash" in [item.why for item in report.items]


def test_a_point_that_is_invalid_as_before_is_not_compared_and_no_failure():
    report = gate(*NIGHT, latency(None), baseline=[*NIGHT, latency(None)])
    assert report.is_open
    assert outcomes(report).count(Outcome.NOT_COMPARED) == 1


def test_a_valid_point_that_was_stopped_early_fails_however_near_the_bound_it_was():
    """How far beyond the bound it is now, nobody knows."""
    report = gate(latency(None, n=64), baseline=[latency(49)])
    assert not gate(latency(None, n=8), baseline=[latency(49)]).is_open
    assert not report.is_open


def test_a_stopped_test_is_as_slow_as_its_median():
    """A toss of a coin at the bound may be INVALID tonight, but not at ten times the latency."""
    coin = latency(49.9, error=0.01)
    assert gate(latency(None), baseline=[coin]).is_open
    assert not gate(latency(None, least_ns=480_000_000), baseline=[coin]).is_open
    was_invalid = latency(57, error=0.01)
    assert not gate(latency(None, least_ns=480_000_000), baseline=[was_invalid]).is_open


def test_a_search_that_its_budget_ended_is_too_little():
    """Noise may leave an interval undecided; a budget leaves it unmeasured."""
    assert gate(streams(90, 101), baseline=[streams(100, 100)]).is_open
    assert not gate(streams(90, 101, is_complete=False), baseline=[streams(100, 100)]).is_open


def test_the_same_samples_have_no_sampling_error():
    """Four of 500 are no chance where the same 500 were asked."""
    assert not gate(accuracy(494), baseline=[accuracy(498)]).is_open
    assert gate(accuracy(497), baseline=[accuracy(498)]).is_open
    other = (("model_digest", "sha256:1"), ("dataset_digest", "sha256:3"))
    assert gate(accuracy(494, files=other), baseline=[accuracy(498)]).is_open


def test_a_new_point_that_could_not_be_measured_is_a_failure():
    unknown = point(Metric.MAX_STREAMS, Estimate.unknown(Metric.MAX_STREAMS, "nothing was shown"), ("search", "joint"))
    assert not gate(*NIGHT, unknown).is_open


def test_one_processor_of_a_computer_does_not_excuse_another():
    """Its CPU was at work, so its GPU must have been."""
    card = {"gpus": [{"name": "H100", "power_limit": "700 W", "uuid": "GPU-1"}]}
    baseline = [*NIGHT, latency(5, n=512, environment=card)]
    report = gate(*NIGHT, baseline=baseline)
    assert [item.outcome for item in report.items if item.is_failure] == [Outcome.MISSING]


def test_a_figure_from_before_the_baseline_is_missing():
    """An old record in the same folder is no measurement of tonight."""
    newer = [replace(one, measured_at="2026-02-01T00:00:00+00:00") for one in NIGHT]
    report = gate(*NIGHT, baseline=newer)
    assert set(outcomes(report)) == {Outcome.MISSING}
    assert "before the baseline" in report.items[0].why


def test_the_measurements_of_the_baseline_itself_are_named():
    assert any("very measurements" in note for note in gate(*NIGHT).notes)


def test_a_filter_concerns_the_baseline_too():
    resnet = streams(50, 50)
    resnet = replace(resnet, key=tuple((name, "resnet" if name == "model" else value) for name, value in resnet.key))
    baseline = Baseline((*NIGHT, resnet))
    assert not run_gate(baseline, NIGHT).is_open
    assert run_gate(baseline.only(parse_filters(["model=digits"])), NIGHT).is_open
    assert {one.metric for one in baseline.only(parse_filters(["batch=64"])).points} == set(Metric)
    assert not baseline.only(parse_filters(["precision=int8"])).points


def test_a_search_that_showed_too_little_fails():
    """Its lower bound is below what was there: that nothing has fallen was not shown."""
    report = gate(streams(60, None), baseline=[streams(100, 100)])
    assert not report.is_open
    assert "too little" in report.items[0].why
    assert gate(streams(100, None), baseline=[streams(100, 100)]).is_open


def test_new_points_are_no_failure():
    report = gate(*NIGHT, latency(20, n=4))
    assert report.is_open
    assert outcomes(report)[0] is Outcome.NEW


def test_tests_that_a_search_chose_may_be_absent():
    chosen = latency(49, n=100, is_asked=False)
    assert gate(*NIGHT, baseline=[*NIGHT, chosen]).is_open
    assert not gate(
        *NIGHT,
        latency(None, n=100, is_asked=False),
        baseline=[*NIGHT, replace(chosen, estimate=latency(40, n=100).estimate)],
    ).is_open


def test_another_machine_is_not_held_against_this_one():
    report = gate(*(replace(one, environment={**one.environment, "cpu": "other"}) for one in NIGHT))
    assert not report.is_open
    assert sorted(outcomes(report)) == sorted([Outcome.NEW] * 3 + [Outcome.MISSING] * 3)
    assert any("other hardware" in note and "cpu: one -> other" in note for note in report.notes)


def test_other_software_is_held_against_the_baseline_and_said():
    newer = {"packages": {"onnxruntime": "1.21"}}
    report = gate(streams(80, 80, environment=newer), baseline=[streams(100, 100)])
    assert not report.is_open
    assert "since the baseline: packages.onnxruntime: 1.20 -> 1.21" in report.notes


def test_of_several_versions_of_the_software_the_newest_counts():
    newer = latency(60, environment={"git": "def", "packages": {"onnxruntime": "1.21"}})
    newer = replace(newer, measured_at="2026-02-01T00:00:00+00:00")
    report = gate(newer, latency(40), baseline=[latency(40)])
    assert not report.is_open
    assert any("older" in note for note in report.notes)


def test_a_baseline_comes_back_from_its_file(tmp_path):
    path = tmp_path / "baseline.json"
    Baseline().updated(NIGHT).write(path)
    again = read_baseline(path)
    assert run_gate(again, NIGHT).is_open
    assert {str(one.estimate) for one in again.points} == {str(one.estimate) for one in NIGHT}
    assert again.written_at


def test_an_update_replaces_what_was_measured_and_keeps_the_rest():
    updated = Baseline(NIGHT).updated([streams(120, 120)])
    assert sorted(one.estimate.value for one in updated.points) == [99.6, 120.0, 40e6]
    assert not run_gate(updated, NIGHT).is_open
    assert len(updated.without([streams(120, 120)]).points) == 2


def test_of_what_a_search_chose_only_its_answer_is_kept():
    chosen = [latency(49, n=n, is_asked=False) for n in (99, 100, 101)]
    kept = Baseline().updated([NIGHT[0], *chosen])
    assert {dict(one.key).get("samples_per_query") for one in kept.points} == {None, "100"}
    worse = kept.updated([streams(99, 99), *chosen])
    assert {dict(one.key).get("samples_per_query") for one in worse.points} == {None, "99"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        '{"schema_version": 1}',
        '{"schema_version": 1, "points": [{}], "environments": {}}',
        '{"schema_version": 1, "points": 3, "environments": {}, "written_at": ""}',
        "[" * 100_000,
        '{"schema_version": 1, "points": [], "environments": {}, "written_at": ""}',
    ],
)
def test_a_damaged_baseline_is_named(tmp_path, text):
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=str(path)):
        read_baseline(path)


@pytest.mark.parametrize("value", ["NaN", "1e999", '"43"', "-1"])
def test_a_figure_that_is_none_is_damage(tmp_path, value):
    path = tmp_path / "baseline.json"
    Baseline().updated([streams(100, 100)]).write(path)
    path.write_text(path.read_text().replace('"value": 100.0', f'"value": {value}'))
    with pytest.raises(RecordError, match=str(path)):
        read_baseline(path)


def test_a_baseline_of_a_newer_sweep_is_refused(tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({"schema_version": 2, "points": []}))
    with pytest.raises(RecordError, match="newer sweep"):
        read_baseline(path)


def test_junit_has_a_case_for_each_point():
    report = gate(streams(90, 90, error=0.002), NIGHT[1], latency(20, n=4))
    root = ET.fromstring(junit(report, "a note \x01 with a control"))
    suite = root.find("testsuite")
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "2",
        "errors": "0",
        "skipped": "1",
    }
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    assert cases["max streams"].find("failure").get("type") == "failed"
    assert cases["accuracy"].find("failure").get("type") == "missing"
    assert cases["p99 at N=4"].find("skipped") is not None
    assert cases["p99 at N=64"].find("failure") is None
    assert "a note  with a control" in suite.findall("system-out")[-1].text


def test_markdown_begins_with_what_failed():
    text = gate_markdown(gate(NIGHT[0], latency(45, n=64), NIGHT[2]), "gate shut: 1 failed")
    lines = text.splitlines()
    assert lines[0] == "## gate shut: 1 failed"
    rows = [line for line in lines if line.startswith("|")][2:]
    assert len(rows) == 3
    assert "p99 at N=64" in rows[0]
    assert rows[0].startswith("| ❌")


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("estimate", "repeats"), 0),
        (("estimate", "repeats"), -1),
        (("estimate", "error_above"), -1e300),
        (("estimate", "error_below"), 1e300),
        (("estimate", "freedom"), 0),
        (("estimate", "step"), 0),
        (("estimate", "slacks"), [[0, 1], [1, 0]]),
        (("estimate", "metric"), "nights"),
        (("files",), {"model_digest": "sha256:1"}),
        (("files", "another"), "sha256:3"),
        (("bound_ns",), -1),
        (("least_ns",), 0),
        (("key",), {"samples_per_query": "many", "checks": "no_errors", "percentile": "p99"}),
        (("key",), {"checks": "no_errors", "rules": "x", "percentile": "99", "target_latency_ms": "1e400"}),
    ],
)
def test_a_point_that_is_none_is_damage(tmp_path, metric, place, value):
    """Whatever a file says of itself, no figure of it may break what is reckoned with it."""
    path = tmp_path / "baseline.json"
    (own,) = (one for one in NIGHT if one.metric is metric)
    Baseline().updated([replace(own, is_asked=True)]).write(path)
    data = json.loads(path.read_text())
    *parents, last = ("points", 0, *place)
    node = data
    for key in parents:
        node = node[key]
    node[last] = value
    path.write_text(json.dumps(data))
    with pytest.raises(RecordError, match=str(path)):
        read_baseline(path)
