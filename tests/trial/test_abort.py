import random

import pytest

from sweep.trial.abort import AbortMonitor, SequentialTest, SteadyState
from sweep.vocabulary import AbortRule

TARGET = 50_000_000
OVER, WITHIN = TARGET + 1, TARGET


def monitor(rule=AbortRule.CONFIDENT, count=1440, allowed=14, min_duration_ns=0, steady=True):
    return AbortMonitor(
        rule=rule,
        target_latency_ns=TARGET,
        percentile=99.0,
        min_query_count=count,
        allowed=allowed,
        min_duration_ns=min_duration_ns,
        steady=steady,
    )


def test_latency_equal_to_the_bound_is_within():
    watch = monitor()
    assert watch.observe([WITHIN] * 100) is None
    assert watch.over_latency_count == 0


def test_five_over_latency_queries_at_the_start_end_a_hopeless_test():
    watch = monitor()
    assert watch.observe([OVER] * 4) is None
    abort = watch.observe([OVER])
    assert abort is not None
    assert abort.rule is AbortRule.CONFIDENT
    assert "aborted after 5 queries: 5 over-latency of 5 in steady state" in abort.evidence


def test_the_15th_over_latency_query_of_1440_is_certain():
    watch = monitor(rule=AbortRule.CERTAIN)
    spread = ([WITHIN] * 50 + [OVER]) * 14
    assert watch.observe(spread) is None
    abort = watch.observe([OVER])
    assert abort is not None
    assert abort.rule is AbortRule.CERTAIN
    assert abort.evidence == f"aborted after {len(spread) + 1} queries: 15 over-latency; 14 allowed of 1440"


def test_certain_rule_ignores_a_bad_start():
    """Only arithmetic may stop it: 14 in a row are allowed."""
    watch = monitor(rule=AbortRule.CERTAIN)
    assert watch.observe([OVER] * 14) is None
    assert watch.observe([WITHIN] * 1426) is None


def test_never_rule_stops_nothing():
    assert monitor(rule=AbortRule.NEVER).observe([OVER] * 1440) is None


def test_arithmetic_says_nothing_while_the_final_count_is_open():
    """A test that also runs for a duration may have more queries, and more of them may then be over."""
    watch = monitor(rule=AbortRule.CERTAIN, min_duration_ns=1000 * OVER)
    assert watch.observe([OVER] * 999) is None
    abort = watch.observe([OVER])  # its duration is over, and 440 of its queries are to come
    assert abort is not None
    assert abort.query_count == 1000


@pytest.mark.parametrize("at_once", [1, 7, 10_000])
def test_more_queries_than_the_least_allow_more_over_latency(at_once):
    """A duration made it 3000 queries, of which 29 may be over: 20 are no reason to stop, whenever one looks."""
    latencies = ([OVER] + [WITHIN] * 149) * 20
    watch = monitor(rule=AbortRule.CERTAIN, min_duration_ns=sum(latencies))
    for start in range(0, len(latencies), at_once):
        assert watch.observe(latencies[start : start + at_once]) is None


def test_a_test_that_starts_unsteady_is_not_judged_before_it_settles():
    """Clocks ramp: slow queries at the start that keep getting faster are no evidence."""
    watch = monitor(steady=False, allowed=100, count=10_000)
    ramp = [int(TARGET * factor) for factor in (4, 3.3, 2.7, 2.2, 1.8, 1.5, 1.2)]
    assert watch.observe(ramp) is None
    assert watch.observe([int(TARGET * 0.9)] * 2000) is None


def test_a_steadily_slow_test_that_starts_unsteady_is_stopped_soon():
    watch = monitor(steady=False, allowed=100, count=10_000)
    abort = watch.observe([2 * TARGET] * 50)
    assert abort is not None
    assert abort.query_count <= 15


def test_never_a_false_alarm_at_the_allowed_rate():
    """At exactly 1 % over, the chance of a stop is 1e-9: none in 200 tests of 2000 queries."""
    draw = random.Random(1)
    for _ in range(200):
        test = SequentialTest(0.01)
        assert not any(test.observe(over=draw.random() < 0.01) for _ in range(2000))


def test_false_alarms_are_as_rare_as_promised():
    """The same promise where it can be counted: at significance 0.05, at most 5 % of tests at the allowed rate stop."""
    draw = random.Random(2)
    alarms = 0
    for _ in range(1000):
        test = SequentialTest(0.01, significance=0.05)
        alarms += any(test.observe(over=draw.random() < 0.01) for _ in range(1000))
    assert alarms <= 60


@pytest.mark.parametrize(("rate", "at_most"), [(1.0, 5), (0.5, 40), (0.1, 600)])
def test_a_hopeless_rate_is_found_soon(rate, at_most):
    draw = random.Random(3)
    counts = []
    for _ in range(50):
        test = SequentialTest(0.01)
        count = 1
        while not test.observe(over=draw.random() < rate):
            count += 1
        counts.append(count)
    assert sorted(counts)[25] <= at_most


def test_allowed_rate_outside_0_to_1_is_a_bug_of_the_caller():
    with pytest.raises(ValueError, match="allowed_rate"):
        SequentialTest(0.0)


def test_steady_state_needs_agreement_not_time():
    steady = SteadyState()
    assert not any(steady.observe(latency) for latency in (100, 80, 64, 51, 41, 33, 26))
    assert any(steady.observe(latency) for latency in (26, 26, 26, 26, 26, 26))
