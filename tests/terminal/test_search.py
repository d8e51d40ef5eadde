"""What a running search says: a line per test, and no verdict from a short one."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from sweep.search.base import Ask
from sweep.study.search import SearchView
from sweep.terminal import SearchWatcher
from sweep.trial.measurement import Progress

VIEW = SearchView(valid=306, invalid=320, tests=9, query_count=3210, seconds=75.0, seconds_left=600.0)


@pytest.fixture
def out():
    return Console(file=io.StringIO(), width=60, force_terminal=False, color_system=None)


@pytest.fixture
def watcher(out, searches):
    with SearchWatcher(out) as watcher:
        watcher.search_started(1, 4, searches.single(label={"model": "mobilenet"}).plan)
        out.file.truncate(0)
        out.file.seek(0)
        yield watcher


def test_a_full_test_is_one_line_with_its_verdict_and_the_edge(watcher, out, searches):
    watcher.answered(searches.test(306), VIEW)
    assert out.file.getvalue() == (
        "[2/4 model=mobilenet] N=306 full test: VALID (p99 49.90 ms, 14 of 1440 over); "
        "edge between 306 and 320; 9 tests, 3210 queries\n"
    )


@pytest.mark.parametrize("n", [8, 400])
def test_a_short_test_gives_no_verdict(watcher, out, searches, n):
    watcher.answered(searches.test(n, queries=16), VIEW)
    line = out.file.getvalue()
    assert "VALID" not in line
    assert f"N={n} probe: p99 " in line
    assert f"{0 if n == 8 else 16} of 16 over; edge" in line


def test_a_reused_test_says_so_and_a_failed_one_says_how(watcher, out, searches):
    watcher.answered(searches.test(306, reused=True), VIEW)
    watcher.answered(searches.test(512, failure="out of memory"), VIEW)
    first, second = out.file.getvalue().splitlines()
    assert "over) (reused); edge" in first
    assert "N=512 full test: out of memory: out of memory at N=512; edge" in second


def test_an_invalid_test_within_its_bound_says_what_else_is_wrong(watcher, out, searches):
    test = searches.test(320)
    result = replace(test.outcome.stored.result, over_latency_count=3, why="it ran 0.2 s of 1 s")
    outcome = replace(test.outcome, stored=replace(test.outcome.stored, result=result))
    watcher.answered(replace(test, outcome=outcome), VIEW)
    assert "INVALID (p99 52.16 ms, 3 of 1440 over): it ran 0.2 s of 1 s; edge" in out.file.getvalue()


@pytest.mark.parametrize(
    ("valid", "invalid", "said"),
    [(306, None, "edge at 306 or above"), (None, 8, "edge below 8"), (None, None, "edge not seen yet")],
)
def test_what_is_not_known_of_the_edge_is_not_said(watcher, out, searches, valid, invalid, said):
    watcher.answered(searches.test(8, queries=16), replace(VIEW, valid=valid, invalid=invalid))
    assert said in out.file.getvalue()


def test_a_long_test_says_how_far_it_is_now_and_then(watcher, out, monkeypatch):
    progress = Progress("test", 812, 1440, 3, 48_200_000, 12.0)
    watcher.asked(Ask(311, None, "confirm"), VIEW)
    watcher.progressed(progress)
    assert not out.file.getvalue()
    monkeypatch.setattr("sweep.terminal.search.PLAIN_EVERY_S", -1.0)
    watcher.progressed(progress)
    assert out.file.getvalue() == (
        "[2/4 model=mobilenet] N=311 full test: 812/1440 queries, p99 48.20 ms so far, 3 over-latency, 12 s left\n"
    )


def test_the_answer_is_said_of_each_search_of_several(watcher, out, searches):
    watcher.search_finished(searches.exact())
    assert out.file.getvalue() == "[2/4 model=mobilenet] max streams: 306 (confidence 99.6 %, by quick runs)\n"


def test_a_terminal_shows_edge_test_and_budget(searches):
    out = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    with SearchWatcher(out) as watcher:
        watcher.search_started(0, 1, searches.single().plan)
        watcher.asked(Ask(311, None, "does the edge lie above it?"), VIEW)
        watcher.progressed(Progress("test", 812, 1440, 3, 48_200_000, 12.0))
        with out.capture() as shown:
            out.print(watcher._render())
        watcher.answered(searches.test(306), VIEW)
    text = shown.get()
    assert "edge between 306 and 320" in text
    assert "N=311 full test: does the edge lie above it?" in text
    assert "812/1440 queries, p99 48.20 ms so far, 3 over-latency, 12 s left" in text
    assert "9 tests, 3210 queries, 1 min 15 s spent, 10 min 0 s left of the budget" in text
    assert "N=306 full test: VALID" in out.file.getvalue()
