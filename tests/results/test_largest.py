"""An N that was VALID and INVALID is no answer, wherever an answer is given."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from tests.report.records import Records

from sweep.cli import main
from sweep.config.point import Point
from sweep.dashboard.own import own_points
from sweep.report.build import build
from sweep.results.largest import set_aside
from sweep.study.measure import Outcome
from sweep.terminal import show_grid
from sweep.trial.messages import TrialFiles
from sweep.trial.result import Latencies
from sweep.vocabulary import Verdict

FAST, SLOW = 0.15, 0.5
"""Milliseconds a sample: at N=200 VALID, and INVALID, within 50 ms."""


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "outputs")


def grid_of(tests):
    """Return what a grid of some tests says is the largest."""
    points = [Point(one.result.spec, TrialFiles(None, None, ""), {"batch": "1"}, ()) for one in tests]
    out = Console(file=io.StringIO(), width=200, color_system=None, soft_wrap=True)
    show_grid(out, points, [Outcome(one, reused=False) for one in tests])
    return next(line for line in out.file.getvalue().splitlines() if line.startswith("largest VALID"))


def answers_of(records, tests):
    """Return the largest N by a grid, by a report and by the dashboard; 0 for none."""
    line = grid_of(tests)
    in_grid = (
        int(line.partition("batch=")[2].partition(" ")[0].rstrip(","))
        if line.startswith("largest VALID: batch=")
        else 0
    )
    (series,) = build(records.selection()).series
    points = own_points(records.selection())
    return in_grid, series.answers[0].max_streams or 0, int(max((point.value for point in points), default=0))


def test_an_n_that_was_invalid_five_times_of_six_is_named_nowhere(records):
    tests = [records.trial(100), *(records.trial(200, per_sample_ms=SLOW) for _ in range(5)), records.trial(200)]
    assert [one.result.result for one in tests[-2:]] == [Verdict.INVALID, Verdict.VALID]
    assert answers_of(records, tests) == (100, 100, 100)
    assert "N=200" in grid_of(tests).replace("batch=", "N=")  # it is said


def test_where_all_were_both_there_is_none(records):
    tests = [records.trial(200, per_sample_ms=speed) for speed in (FAST, SLOW)]
    assert answers_of(records, tests) == (0, 0, 0)


def test_an_invalid_of_a_busy_machine_is_set_aside_by_an_idle_valid_everywhere(records):
    tests = [records.trial(200, per_sample_ms=SLOW, busy=True), records.trial(200), records.trial(300, per_sample_ms=1)]
    assert answers_of(records, tests) == (200, 200, 200)
    more = [*tests, records.trial(200, per_sample_ms=SLOW)]
    assert answers_of(records, more) == (0, 0, 0)


@pytest.mark.parametrize("speed", [FAST, SLOW])
def test_what_a_busy_machine_has_spoilt_counts_as_little_as_in_a_search(records, speed):
    """Fails where an N is called both, or bounds nothing, for VALID and INVALID tests that a search sets aside."""
    spoilt = [records.trial(200, per_sample_ms=each, busy=True) for each in (FAST, SLOW)]
    idle = records.trial(200, per_sample_ms=speed)
    tests = [records.trial(100), *spoilt, idle]
    (answer,) = build(records.selection()).series[0].answers
    assert set_aside(one.result for one in tests) == {id(one.result) for one in spoilt}
    assert (answer.max_streams, answer.first_invalid) == ((200, None) if speed == FAST else (100, 200))
    assert not answer.disturbed
    assert "both" not in grid_of(tests)
    assert answers_of(records, tests) == (answer.max_streams,) * 3


@pytest.mark.parametrize("busy", [(), (100,), (200,), (100, 200)])
def test_a_grid_and_a_report_call_the_same_answer_disturbed(records, busy):
    """Fails where a grid names the largest VALID N without a word of the neighbours that made the next one INVALID."""
    tests = [records.trial(n, per_sample_ms=speed, busy=n in busy) for n, speed in ((100, FAST), (200, SLOW))]
    (answer,) = build(records.selection()).series[0].answers
    assert answer.disturbed is ("disturbed" in grid_of(tests)) is bool(busy)


def test_a_test_that_failed_says_nothing_against_its_n(records):
    tests = [records.trial(200), records.trial(200, failure="crash")]
    assert answers_of(records, tests) == (200, 200, 200)


@pytest.fixture
def seen_by_loadgen_alone(records):
    """Write a test none of whose queries the SUT saw over the bound, and LoadGen 1 % and a little more."""
    stored = records.trial(320)
    result, bound = stored.result, stored.result.spec.rules.target_latency_ns
    over = {name: bound + 7 if name in ("p99", "p99.9") else bound - 9 for name in result.latencies.percentiles}
    latencies = Latencies("loadgen", 1, bound - 20, bound + 99, over)
    checks = tuple(replace(one, holds=one.name != "performance_constraint") for one in result.checks)
    path = stored.directory / "result.json"
    changed = replace(
        result, latencies=latencies, over_latency_count=0, result=Verdict.INVALID, why="slow", checks=checks
    )
    path.write_text(json.dumps(changed.to_json()))
    return stored


def test_a_count_is_never_below_what_loadgens_percentiles_say(records, seen_by_loadgen_alone, capsys):
    (stored,) = records.selection().trials
    least = 1440 - int(0.99 * 1440)
    assert stored.result.over_latency_count == 0  # as the record has it
    assert stored.result.over_count == least > stored.result.over_latency_allowed
    out = Console(file=io.StringIO(), width=200, color_system=None, soft_wrap=True)
    point = Point(stored.result.spec, TrialFiles(None, None, ""), {"batch": "320"}, ())
    show_grid(out, [point, point], [Outcome(stored, reused=False)] * 2)
    assert f"{least} (max 14)" in out.file.getvalue()
    assert main(["ls", str(records.root), "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["over_latency_count"] == least
    assert main(["report", str(records.root), "--format", "json", "--out", "-"]) == 0
    text = capsys.readouterr().out
    assert f'"over_latency_count": {least}' in text
    assert '"over_latency_count": 0' not in text
    assert main(["report", str(records.root), "--format", "md", "--out", "-"]) == 0
    assert f"{least} of 1440 over" in capsys.readouterr().out


def test_a_count_that_loadgen_did_not_print_stays_the_suts(records):
    stored = records.trial(320, stopped=True)
    assert stored.result.over_count == stored.result.over_latency_count
    unbounded = records.trial(320, bound_ms=None)
    assert unbounded.result.over_count is None
