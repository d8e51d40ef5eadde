"""Certificates in terminals: the answer first, no more certain than it is, and no figure cut."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from sweep.search.certificate import Status
from sweep.terminal import show_search, show_searches
from sweep.trial.verdict import Check
from sweep.vocabulary import Verdict

CASES = ("exact", "interval", "none_valid", "all_valid", "single", "failed")


def _shown(show, what, width=200, terminal=False, **options):
    out = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, soft_wrap=True)
    show(out, what, **options)
    return out.file.getvalue()


def test_an_exact_answer_comes_with_what_lies_above_it(searches):
    text = _shown(show_search, searches.exact())
    assert text.splitlines()[0] == "max streams: 306 (confidence 99.6 %, by quick runs)"
    assert "N=307 INVALID (19 of 1440 over, p99 50." in text
    assert "round values above: N=320 INVALID (" in text
    assert "MultiStream, v0.5 rules, quick run: at least 1440 queries, p99 <= 50 ms" in text
    assert "18 tests, " in text
    assert "1 min 15 s spent" in text
    assert "study: digits in sqlite:///outputs/search.db" in text


def test_logs_of_both_sides_are_named(searches):
    outcome = searches.exact()
    text = _shown(show_search, outcome)
    tests = {test.ask.samples_per_query: test for test in outcome.tests}  # the last of each N
    assert f"logs of N=306 VALID: {tests[306].outcome.stored.directory}" in text
    assert f"logs of N=307 INVALID: {tests[307].outcome.stored.directory}" in text


def test_an_interval_says_what_is_undecided_and_near_certainty_is_not_rounded_up(searches):
    text = _shown(show_search, searches.interval())
    assert text.splitlines()[0] == "max streams: 304 (confidence > 99.9 %, by quick runs)"
    assert "undecided: N=305 to 308, too close to the bound" in text
    assert "N=306 61.0 %, N=307 22.0 %" in text
    assert "100" not in text.splitlines()[0]


def test_a_disturbed_answer_comes_with_no_odds_at_all(searches):
    text = _shown(show_search, searches.interval(disturbed=True))
    assert "undecided: N=305 to 308" in text
    assert not any(odds in text for odds in ("61.0 %", "22.0 %", "P(valid): N="))


def test_a_short_test_at_the_answer_is_not_what_its_verdict_rests_on(searches):
    """Fails where the six queries of a probe are called too few for a VALID that 1440 have shown."""

    def waiving(test):
        result = test.outcome.stored.result
        check = Check("early_stopping", False, False, "NO")
        verdict = replace(result, result=Verdict.VALID, checks=(*result.checks, check))
        return replace(test, outcome=replace(test.outcome, stored=replace(test.outcome.stored, result=verdict)))

    probe, full = searches.test(128, queries=6), searches.test(128)
    of_probe, of_full = (
        _shown(show_search, searches.outcome(Status.OPEN, tests, max_streams=128))
        for tests in ([waiving(probe), full], [probe, waiving(full)])
    )
    assert "early stopping" not in of_probe
    assert "1440 queries are too few" in of_full


def test_none_valid_says_how_slow_the_smallest_is(searches):
    first, *rest = _shown(show_search, searches.none_valid()).splitlines()
    assert first == "max streams: none, not even N=1 is VALID (by quick runs)"
    assert any(line.startswith("N=1 INVALID (") and "p99 5" in line for line in rest)


def test_all_valid_says_how_to_ask_further(searches):
    text = _shown(show_search, searches.all_valid())
    assert text.startswith("max streams: 8192 or more (")
    assert "search.max=16384" in text


def test_a_stopped_search_is_not_called_confirmed(searches):
    text = _shown(show_search, searches.single())
    assert text.startswith("max streams: 128, not confirmed (confidence 62.0 %")
    assert "stopped before it was done" in text


def test_a_failed_search_and_a_gated_one_say_why(searches):
    assert "the search could not go on: no test at N=1 can be run" in _shown(show_search, searches.failed())
    gated = searches.failed(failure="", accuracy_failed=True, accuracy="12.0 %, at least 97 % wanted")
    text = _shown(show_search, gated)
    assert text.startswith("max streams: not searched, the accuracy is too low")
    assert "accuracy: 12.0 %, at least 97 % wanted" in text


@pytest.mark.parametrize("case", CASES)
def test_only_the_run_class_that_ran_is_named(searches, case):
    assert "official" not in _shown(show_search, getattr(searches, case)(), plot=True)


def test_short_tests_are_no_verdict_in_the_table(searches):
    probed = searches.outcome(Status.UNCONFIRMED, [searches.test(8, queries=16)], first_invalid=8)
    text = _shown(show_search, probed)
    assert "N=8 seen in short tests only (0 of 16 over" in text


@pytest.mark.parametrize("width", [30, 50, 80])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_narrow_terminal_cuts_no_figure(searches, width, terminal):
    outcome = searches.interval(label={"model": "digits"})
    for text in (
        _shown(show_search, outcome, width, terminal, plot=False),
        _shown(show_searches, [outcome, searches.failed()], width, terminal),
    ):
        assert "…" not in text
        assert "> 99.9 %" in text
        assert "309" in text
    assert any("2880" in line and "306" in line for line in _shown(show_search, outcome, width).splitlines())


def test_a_grid_of_searches_is_one_table_in_its_own_order(searches):
    outcomes = [
        searches.none_valid(label={"model": "slow"}),
        searches.all_valid(label={"model": "fast"}),
        searches.exact(label={"model": "digits"}),
        searches.failed(label={"model": "broken"}),
        searches.failed(label={"model": "wrong"}, failure="", accuracy_failed=True, accuracy="12 % of 97 %"),
    ]
    lines = _shown(show_searches, outcomes).splitlines()
    rows = {line.split()[0]: line for line in lines if line.split()[0] in ("slow", "fast", "digits", "broken", "wrong")}
    assert list(rows) == ["slow", "fast", "digits", "broken", "wrong"]
    assert "none valid" in rows["slow"]
    assert ">= 8192" in rows["fast"]
    assert rows["digits"].split()[1:5] == ["306", "99.6", "%", "49.90"]
    assert "FAILED" in rows["broken"]
    assert "no test at N=1 can be run" in rows["broken"]
    assert "accuracy too low" in rows["wrong"]
    assert "12 % of 97 %" in rows["wrong"]


def test_notes_are_printed_once_and_shortness_is_not_noted_of_short_tests(searches):
    few = "p99 of 16 queries is the slowest of them: too few for that percentile"
    stand_in = "stand-in engine: backend simulated computes nothing"
    tests = [searches.test(8, queries=16, notes=(stand_in, few)), searches.test(8, notes=(stand_in,))]
    text = _shown(show_search, searches.outcome(Status.UNCONFIRMED, tests, max_streams=8, confidence=0.9))
    assert f"note: {stand_in}\n" in text
    assert text.count("stand-in") == 1
    assert few not in text


def test_the_plot_is_drawn_on_a_terminal_or_when_asked_for(searches):
    outcome = searches.exact()
    mark = "o VALID, x INVALID, . short test"
    assert mark in _shown(show_search, outcome, terminal=True)
    assert mark in _shown(show_search, outcome, plot=True)
    assert mark not in _shown(show_search, outcome)
    assert mark not in _shown(show_search, outcome, terminal=True, plot=False)
    assert "\x1b" not in _shown(show_search, outcome, plot=True)
