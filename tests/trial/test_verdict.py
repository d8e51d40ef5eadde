from dataclasses import replace

import pytest

from sweep.loadgen.summary import LatencyStats, Metric, Summary
from sweep.trial.abort import Abort
from sweep.trial.verdict import CHECKS, judge, judge_aborted
from sweep.vocabulary import AbortRule, Scenario, TestMode, Verdict

CURRENT = ("loadgen_result", "min_duration", "min_queries", "early_stopping", "no_errors")


def summary(p99_ns=9_000_000, **changes):
    whole = Summary(
        scenario=Scenario.MULTI_STREAM,
        mode=TestMode.PERFORMANCE,
        loadgen_result="VALID",
        min_duration=True,
        min_queries=True,
        early_stopping=True,
        samples_per_query=2,
        metric=Metric("99.0th percentile latency", p99_ns, "ns"),
        query_latency=LatencyStats(1, 2, 1, {"p99": p99_ns}),
        warning_count=0,
        error_count=0,
    )
    return replace(whole, **changes)


def test_all_required_checks_make_it_valid(simulated):
    judgement = judge(simulated(target_ms=10), summary())
    assert judgement.result is Verdict.VALID
    assert judgement.why == judgement.recommendation == ""
    assert [check.name for check in judgement.checks] == list(CHECKS)


@pytest.mark.parametrize(
    ("changes", "evidence"),
    [
        ({"p99_ns": 10_000_001}, "p99 10.000001 ms > 10 ms"),
        ({"p99_ns": 53_640_000}, "p99 53.64 ms > 10 ms"),
        ({"metric": None}, "p99 not reported; bound 10 ms"),
        ({"metric": Metric("Samples per query", 2, "samples")}, "p99 not reported"),
        ({"min_duration": False}, "Min duration satisfied : NO"),
        ({"min_duration": None}, "Min duration satisfied : absent"),
        ({"min_queries": False}, "Min queries satisfied : NO"),
        ({"min_queries": None}, "Min queries satisfied : absent"),
        ({"error_count": 1}, "1 errors in the log"),
        ({"error_count": None}, "no count of errors in the log"),
    ],
)
def test_one_check_that_does_not_hold_makes_it_invalid(simulated, changes, evidence):
    """A missing line counts as one that does not hold: absence never makes a test VALID."""
    judgement = judge(simulated(target_ms=10), summary(**changes))
    assert judgement.result is Verdict.INVALID
    assert evidence in judgement.why


def test_the_bound_itself_is_within(simulated):
    assert judge(simulated(target_ms=10), summary(10_000_000)).result is Verdict.VALID


def test_too_slow_recommends_fewer_samples(simulated):
    spec = simulated(target_ms=10)
    assert judge(spec, summary(11_000_000)).recommendation == "Reduce samples per query to improve latency"
    one = judge(replace(spec, samples_per_query=1), summary(11_000_000)).recommendation
    assert "Reduce" not in one
    assert "faster engine" in one


def test_v05_needs_no_early_stopping(simulated):
    """200 queries are too few for today's early stopping, which v0.5 did not know; it is recorded beside."""
    judgement = judge(simulated(target_ms=10), summary(loadgen_result="INVALID", early_stopping=False))
    assert judgement.result is Verdict.VALID
    assert {check.name: check.holds for check in judgement.checks}["early_stopping"] is False


@pytest.mark.parametrize(
    "changes", [{"loadgen_result": "INVALID"}, {"loadgen_result": None}, {"early_stopping": False}]
)
def test_current_rules_need_loadgens_own_word(simulated, changes):
    spec = simulated(target_ms=None, checks=CURRENT)
    assert judge(spec, summary()).result is Verdict.VALID
    assert judge(spec, summary(**changes)).result is Verdict.INVALID


def test_current_rules_have_no_bound(simulated):
    assert judge(simulated(target_ms=None, checks=CURRENT), summary(10**12)).result is Verdict.VALID


def test_an_aborted_test_is_invalid_with_its_evidence(simulated):
    abort = Abort(AbortRule.CERTAIN, 15, 212, "aborted: 15 over-latency of 212 queries; 14 allowed of 1440")
    judgement = judge_aborted(simulated(target_ms=50), abort)
    assert judgement.result is Verdict.INVALID
    assert judgement.why == "too slow: 15 of 212 over 50 ms"
    assert [check.evidence for check in judgement.checks if check.holds is False] == [abort.evidence]
    holds = {check.name: check.holds for check in judgement.checks}
    assert holds.pop("performance_constraint") is False
    assert set(holds.values()) == {None}
