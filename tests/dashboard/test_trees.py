"""Submission trees of others: what they say is shown, what they lack is named, nothing of them stops the page."""

import pytest

from sweep.dashboard.page import render_dashboard
from sweep.dashboard.points import Source
from sweep.dashboard.table import to_csv
from sweep.dashboard.trees import tree_points
from sweep.dashboard.view import look_of
from sweep.errors import ConfigError

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
    ],
)
def test_every_scenario_has_its_own_metric(tree, scenario, figure, more, metric, value):
    point = _one(tree(scenario=scenario, figure=figure, more=more))
    assert (point.scenario, point.metric, point.value) == (scenario, metric, value)


def test_the_least_of_several_runs_counts_and_all_must_be_valid(tree):
    for run, (rate, result) in enumerate([("90.5", "VALID"), ("80.5", "VALID"), ("85.5", "INVALID")], start=1):
        figure = f"Scheduled samples per second : {rate}"
        root = tree(scenario="Server", figure=figure, result=result, run=run)
    point = _one(root)
    assert (point.value, point.verdict, look_of(point)) == (80.5, "INVALID", "invalid")
    assert "the least of 3 runs" in point.notes


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
