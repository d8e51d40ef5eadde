"""Submission trees of others: what they say is shown, what they lack is named, nothing of them stops the page."""

import csv
import io
from pathlib import Path

import pytest

from sweep.dashboard.page import render_dashboard
from sweep.dashboard.points import Source
from sweep.dashboard.table import to_csv
from sweep.dashboard.trees import tree_points
from sweep.dashboard.view import ending_of, look_of, measures_of, spoken
from sweep.errors import ConfigError

RUN_1 = "performance/run_1/mlperf_log_summary.txt"
STREAM = "90th percentile latency (ns) : 400000000"
WITHOUT = "QPS w/ loadgen overhead : 2.7\nQPS w/o loadgen overhead : 2.73"
ESTIMATES = """Early Stopping Result:
 * Processed at least 64 queries (1000).
 * Would discard 53 highest latency queries.
 * Early stopping 90th percentile estimate: 100
 * Early stopping 99th percentile estimate: 125"""
LOGS = Path(__file__).parents[1] / "data" / "loadgen_logs"
EARLY = "Early Stopping Result:\n * Processed at least 662 queries (1000).\n * Early stopping {} estimate: {}"


def _one(root):
    found = tree_points(root)
    assert found.problems == ()
    (point,) = found.points
    return point


def test_multistream_of_an_early_round_counts_samples_per_query(tree):
    root = tree()
    accuracy = root / "closed/Somebody/results/box/resnet50/MultiStream/accuracy/accuracy.txt"
    accuracy.parent.mkdir()
    accuracy.write_text("accuracy=76.258%, good=38129, total=50000\nhash=1\n")
    point = _one(root)
    assert (point.source, point.round, point.division, point.submitter) == (Source.TREE, "v5.1", "closed", "Somebody")
    assert (point.system, point.system_id, point.status, point.accelerator) == ("A box", "box", "rdi", "Card")
    assert (point.metric, point.value, point.per_accelerator) == ("samples_per_query", 70.0, 35.0)
    assert (point.bound_ns, point.p99_ns, point.accuracy_percent) == (50_000_000, 49305533, 76.258)
    assert "not checked" in point.notes


@pytest.mark.parametrize(
    ("scenario", "figure", "more", "metric", "value"),
    [
        (
            "MultiStream",
            "99th percentile latency (ns) : 3000000",
            EARLY.format("99th percentile", 3100000),
            "p99_latency_ns",
            3.1e6,
        ),
        ("SingleStream", "90th percentile latency (ns) : 171874", "", "p90_latency_ns", 171874.0),
        ("Server", "Scheduled samples per second : 45169.48", "", "scheduled_samples_per_second", 45169.48),
        ("Server", "Completed samples per second    : 100.5", "", "completed_samples_per_second", 100.5),
        ("Offline", "Samples per second: 69306.6", "", "samples_per_second", 69306.6),
        (
            "SingleStream",
            "99.9th percentile latency (ns) : 10",
            EARLY.format("99.9th percentile", 12),
            "p99.9_latency_ns",
            12.0,
        ),
        (
            "Server",
            "Completed samples per second    : 39.25\nCompleted tokens per second: 10755.59",
            "",
            "completed_tokens_per_second",
            10755.59,
        ),
        ("Offline", "Samples per second: 39.2\nTokens per second: 10755.5", "", "tokens_per_second", 10755.5),
    ],
)
def test_every_scenario_has_its_own_metric(tree, scenario, figure, more, metric, value):
    point = _one(tree(scenario=scenario, figure=figure, more=more))
    assert (point.scenario, point.metric, point.value) == (scenario, metric, value)


SERVER_RUNS = [("90.5", "VALID"), ("80.5", "VALID"), ("85.5", "INVALID")]


@pytest.mark.parametrize("results", ["inference_results_v0.5", "inference_results_v0.7", "a tree of no known round"])
def test_of_the_runs_of_server_the_least_counts_and_all_must_be_valid(tree, results):
    for run, (rate, result) in enumerate(SERVER_RUNS, start=1):
        figure = f"Scheduled samples per second : {rate}"
        root = tree(scenario="Server", figure=figure, result=result, run=run, results=results)
    point = _one(root)
    assert (point.value, point.verdict, look_of(point)) == (80.5, "INVALID", "invalid")
    assert "the least of 3 runs" in point.notes


@pytest.mark.parametrize(
    ("scenario", "results"), [("Server", "inference_results_v1.0"), ("Offline", "inference_results_v0.7")]
)
def test_where_a_round_asks_for_one_run_no_other_counts(tree, scenario, results):
    metric = "Scheduled samples per second :" if scenario == "Server" else "Samples per second:"
    for run, (rate, result) in enumerate(SERVER_RUNS, start=1):
        root = tree(scenario=scenario, figure=f"{metric} {rate}", result=result, run=run, results=results)
    tree(scenario=scenario, text="damaged", run=4, results=results)
    assert (_one(root).value, _one(root).verdict) == (90.5, "VALID")


def test_ranging_is_no_run(tree):
    """Power submissions measure the range of their meter first; published is `run_1`."""
    for run, latency in (("ranging", 78_260_000), (1, 77_980_000)):
        root = tree(scenario="SingleStream", figure=f"90th percentile latency (ns) : {latency}", run=run)
    assert _one(root).value == 77_980_000


def test_a_result_of_which_there_is_no_run_is_named(tree):
    tree()
    root = tree(benchmark="ssd-small", run="ranging")
    found = tree_points(root)
    assert [point.benchmark for point in found.points] == ["resnet50"]
    assert found.problems == (f"{root}/closed/Somebody/results/box/ssd-small/MultiStream/{RUN_1}: is missing",)


@pytest.mark.parametrize(
    ("folder", "ran", "figure", "more", "metric", "value"),
    [
        ("offline", "SingleStream", STREAM, WITHOUT, "samples_per_second", 2.73),
        ("MultiStream", "SingleStream", STREAM, ESTIMATES, "p99_latency_ns", 1000.0),
    ],
)
def test_a_scenario_may_follow_from_another_and_says_so(tree, folder, ran, figure, more, metric, value):
    """Half of what edge systems publish is inferred; a test of the other scenario lies in the folder then."""
    root = tree(scenario=folder, ran=ran, figure=figure, more=more)
    point = _one(root)
    assert (point.scenario.lower(), point.metric, point.value) == (folder.lower(), metric, value)
    assert (point.inferred_from, point.p99_ns, look_of(point)) == (ran, None, "inferred")
    assert point.samples_per_query == (8 if folder == "MultiStream" else None)
    assert "inferred" in ending_of(point)
    assert any(ran in line for line in spoken(point))
    (row,) = csv.DictReader(io.StringIO(to_csv([point]).decode()))
    assert row["inferred_from"] == ran
    assert f"{point.scenario}, inferred from {ran}" in render_dashboard([point], "")


def test_offline_may_follow_from_multistream_since_v20(tree):
    log = LOGS / "v4.1_multistream_valid_summary.txt"
    point = _one(tree(scenario="Offline", text=log.read_text()))
    assert (point.scenario, point.metric, point.inferred_from) == ("Offline", "samples_per_second", "MultiStream")
    assert point.value == pytest.approx(8 / 732_664e-9)


def test_an_inferred_rate_has_the_digits_of_the_detail_log(tree):
    root = tree(scenario="Offline", ran="SingleStream", figure=STREAM, more=WITHOUT)
    line = ':::MLLOG {"key": "result_qps_without_loadgen_overhead", "value": 2.73187, "metadata": {}}\n'
    (summary,) = root.rglob("performance/run_1/mlperf_log_summary.txt")
    summary.with_name("mlperf_log_detail.txt").write_text(line)
    assert _one(root).value == 2.73187


@pytest.mark.parametrize(
    ("folder", "ran", "figure", "more"),
    [
        ("MultiStream", "SingleStream", STREAM, WITHOUT),  # before v2.0, when its result was a count of samples
        ("Offline", "MultiStream", "Samples per query : 70", ""),
        ("SingleStream", "Offline", "Samples per second: 5", ""),
        ("Server", "SingleStream", STREAM, WITHOUT),
        ("Interactive", "Offline", "Samples per second: 5", ""),
        ("MultiStream", "SingleStream", STREAM, ESTIMATES.replace(": 125", ": 0")),
    ],
)
def test_what_follows_from_no_other_scenario_is_named(tree, folder, ran, figure, more):
    found = tree_points(tree(scenario=folder, ran=ran, figure=figure, more=more))
    assert found.points == ()
    (problem,) = found.problems
    assert f"{folder}/{RUN_1}: is of " in problem


def test_interactive_is_not_server(tree):
    figure = "Completed samples per second : 29.41\nCompleted tokens per second: 8840.42"
    tree(scenario="interactive", ran="Server", figure=figure, benchmark="llama2-70b-99")
    root = tree(scenario="Server", figure=figure, benchmark="llama2-70b-99")
    points = tree_points(root).points
    assert {point.scenario: point.inferred_from for point in points} == {"Interactive": "", "Server": ""}
    keys = [measure.key for measure in measures_of(points)]
    assert keys == ["Server/completed_tokens_per_second", "Interactive/completed_tokens_per_second"]


def test_what_cannot_be_read_is_named_and_the_rest_is_shown(tree):
    tree()
    tree(benchmark="mobilenet", text="")
    root = tree(system="other", description="[]")
    found = tree_points(root)
    assert [(point.benchmark, point.system) for point in found.points] == [("resnet50", "A box"), ("resnet50", "other")]
    empty, description = found.problems
    assert "mobilenet" in empty
    assert description.endswith("other.json: is no JSON object")


def test_a_count_that_is_none_is_not_guessed(tree):
    point = _one(tree(description='{"accelerators_per_node": "many", "system_name": null}'))
    assert (point.accelerators, point.per_accelerator, point.system) == (0, None, "box")


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "many"])
def test_a_result_that_is_no_figure_is_no_point(tree, rate):
    found = tree_points(tree(scenario="Offline", figure=f"Samples per second: {rate}"))
    assert found.points == ()
    assert "Offline" in found.problems[0]


def test_names_of_any_bytes_can_be_written(tree):
    description = '{"system_name": "\\ud800", "number_of_nodes": 3, "accelerators_per_node": 2}'
    point = _one(tree(system="b\udcffx", description=description))
    assert (point.system, point.system_id, point.accelerators) == ("\\ud800", "b\\udcffx", 6)
    assert render_dashboard([point], "").encode()


def test_what_is_no_tree_says_what_was_looked_for(tmp_path):
    with pytest.raises(ConfigError, match=r"--add=.*SUBMITTER/results.*closed or open"):
        tree_points(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        tree_points(tmp_path / "nowhere")


def test_a_p99_over_its_own_bound_is_not_shown_as_valid(tree):
    root = tree()
    (summary,) = root.rglob("performance/run_1/mlperf_log_summary.txt")
    summary.write_text(summary.read_text().replace(": 49305533", ": 99305533"))
    point = _one(root)
    assert (point.verdict, point.notes) == ("INVALID", "its summary says VALID, but its p99 is over its bound")


def test_a_summary_that_is_a_link_is_not_read(tree, tmp_path):
    """Somebody else's tree must not make a page of this machine's files."""
    root = tree()
    (summary,) = root.rglob("performance/run_1/mlperf_log_summary.txt")
    summary.rename(tmp_path / "elsewhere.txt")
    summary.symlink_to(tmp_path / "elsewhere.txt")
    found = tree_points(root)
    assert found.points == ()
    assert "which is not followed" in found.problems[0]


def test_a_test_of_another_scenario_than_its_folder_s_is_named(tree):
    root = tree()
    (run,) = root.rglob("MultiStream")
    run.rename(run.with_name("Offline"))
    assert "its folder of Offline" in tree_points(root).problems[0]


def test_no_cell_is_a_formula(tree):
    """A table of other people's names is opened in spreadsheets."""
    root = tree()
    (root / "closed" / "Somebody").rename(root / "closed" / "=HYPERLINK(1)")
    assert ",'=HYPERLINK(1)," in to_csv(tree_points(root).points).decode()
