"""From a search to what it says of max streams, by real searches of simulated curves."""

import dataclasses

import numpy as np
import pytest
from tests.benchmarks import curves

from sweep.compare.change import Finding, change
from sweep.compare.max_streams import max_streams_estimate
from sweep.compare.noise import UNMEASURED, Noise
from sweep.search.certificate import Status, certify
from sweep.search.registry import make_searcher


def search(curve, *, seed=0, high=8192, tests=None):
    """Search a curve, with so many tests at most; return the certificate and the searcher."""
    searcher, rng = make_searcher("boundary", curves.question(high)), np.random.default_rng([seed, 11])
    while (ask := searcher.ask()) is not None and (tests is None or len(searcher.seen) < tests):
        searcher.tell(curve.test(searcher.question, ask, rng))
    return certify(searcher, is_complete=tests is None), searcher


def estimate(curve, **options):
    certificate, searcher = search(curve, **options)
    return max_streams_estimate(certificate, searcher.question, searcher.seen)


def line(answer, **noise):
    return curves.Curve("line", lambda n: 10 + 40 * n / (answer + 0.5), **noise)


def test_an_exact_answer_without_noise_has_no_error():
    seen = estimate(line(306))
    assert (seen.value, seen.low, seen.high) == (306, 306, 306)
    assert seen.error_above == 0
    assert change(estimate(line(20)), estimate(line(19))).p_value == 0
    assert change(seen, estimate(line(306), seed=5)).finding is Finding.NO_EVIDENCE


def test_slacks_are_those_of_the_curve():
    seen = estimate(line(306))
    for n in (280, 306, 307, 340):
        assert seen.slack(n) == pytest.approx(np.log(50 / (10 + 40 * n / 306.5)), abs=2e-3)
    assert len(seen.slacks) < 60, "a baseline holds many of them"


def test_sessions_that_differ_shift_the_answer_by_what_the_curve_says():
    # A fifth of the latency is a fixed cost: 1 % of latency is 1.25 % of N.
    low, high = estimate(line(306)).limits(1.0, 0.01, 0.01)
    assert low == pytest.approx(306 - 306 * 0.0125, abs=1.1)
    assert high == pytest.approx(306 + 306 * 0.0125, abs=1.1)


@pytest.mark.parametrize("noise", [{"noise": 0.01}, {"noise": 0.02}, {"run_noise": 0.01}])
def test_a_drop_of_5_percent_is_caught_and_identical_sides_are_quiet(noise):
    found = [
        [
            change(estimate(line(400, **noise), seed=seed), estimate(line(after, **noise), seed=seed + 100), UNMEASURED)
            for seed in range(3)
        ]
        for after in (400, 380)
    ]
    assert [one.finding for one in found[0]].count(Finding.NO_EVIDENCE) >= 3
    assert [one.finding for one in found[1]].count(Finding.WORSE) >= 3


def test_tests_that_differ_are_an_error_of_the_edge():
    seen = estimate(line(400, run_noise=0.02))
    assert 0.002 < seen.error_above < 0.03
    assert seen.freedom is not None
    assert "whole tests differ by" in seen.why


def test_about_a_cliff_noise_of_latency_moves_nothing():
    def cliff(last):
        return curves.Curve("cliff", lambda n: 30 + n / last if n <= last else 120.0, noise=0.01)

    before, after = estimate(cliff(200)), estimate(cliff(190))
    assert change(before, after, Noise(0.03)).finding is Finding.WORSE


def test_memory_is_a_bound_that_no_noise_moves():
    before, after = (estimate(dataclasses.replace(line(4000), memory=n)) for n in (200, 190))
    assert change(before, after, Noise(0.05)).finding is Finding.WORSE
    assert before.limits(3.0, 0.05, 0.05)[1] == 200


def test_all_valid_is_a_bound_below_alone():
    seen = estimate(line(400), high=256)
    assert (seen.value, seen.low, seen.high) == (256, 256, None)
    assert change(estimate(line(300)), seen).finding is Finding.NO_EVIDENCE
    assert change(seen, estimate(line(200))).finding is Finding.WORSE


def test_none_valid_is_a_bound_above_alone():
    none = estimate(curves.Curve("slow", lambda n: 60 + n))
    assert (none.value, none.high) == (0, 0)
    assert change(estimate(line(20)), none).finding is Finding.WORSE


def test_a_search_that_showed_nothing_has_nothing_to_compare():
    certificate, searcher = search(line(306), tests=1)
    assert certificate.status is Status.UNKNOWN
    seen = max_streams_estimate(certificate, searcher.question, searcher.seen)
    assert seen.value is None
    assert seen.why
    assert change(seen, seen).finding is Finding.UNKNOWN


def test_an_answer_that_was_not_confirmed_says_so():
    certificate, searcher = search(line(306))
    unsure = dataclasses.replace(certificate, status=Status.UNCONFIRMED)
    assert "N=306 was VALID, but not surely" in max_streams_estimate(unsure, searcher.question, searcher.seen).why


def test_without_latencies_the_certificate_alone_counts_and_it_is_said():
    certificate, searcher = search(line(306))
    bare = [dataclasses.replace(test, latencies_ns=test.latencies_ns[:0]) for test in searcher.seen]
    for tests in ((), bare):
        seen = max_streams_estimate(certificate, searcher.question, tests)
        assert (seen.low, seen.high, seen.slacks) == (306, 306, ())
        assert "not known" in seen.why
        # half of the latency may be a fixed cost: 1 % of it is 2 % of N
        assert seen.limits(1.0, 0.01, 0.01) == (pytest.approx(300, abs=1), pytest.approx(312, abs=1))
