"""The default searcher: conformance, and the cases it was made for."""

import numpy as np
import pytest
from tests.benchmarks import curves

from sweep.search.base import Ask, Observation, Shown
from sweep.search.boundary import BoundarySearcher
from sweep.search.certificate import Status, certify

from .conformance import BOUND_NS, FULL, Oracle, SearcherConformance, curve, failure, question_of, run


class TestConformance(SearcherConformance):
    asks_short_tests = True

    @pytest.fixture
    def make(self):
        return BoundarySearcher

    def test_a_short_test_proves_nothing_valid(self, make):
        """Short tests that full ones contradict cost it the exact answer, but it never believes them."""
        searcher = make(question_of())
        for n in range(1, 65):
            searcher.tell(Oracle(lambda _: BOUND_NS // 2).test(Ask(n, 50, "")))
        assert searcher.answer() is None
        run(searcher, Oracle(curve(40)))
        assert searcher.answer() is None or searcher.answer() <= 40

    def test_a_short_test_that_failed_is_no_verdict(self, make):
        """Once it is none; an N that failed twice, however long the tests, does not run."""
        searcher = make(question_of())
        for n in (16, 32, 48, 64):
            searcher.tell(failure(n, full=False))
        run(searcher, Oracle(curve(40)))
        assert searcher.answer() == 40


def search(curve, seed=0, question=None, most=80):
    """Run a search on a simulated curve; the searcher and the queries it took."""
    searcher, rng = BoundarySearcher(question or curves.question()), np.random.default_rng([seed, 7])
    queries = 0
    while (ask := searcher.ask()) is not None:
        observation = curve.test(searcher.question, ask, rng)
        searcher.tell(observation)
        queries += observation.query_count
        assert len(searcher.seen) <= most
    return searcher, queries


@pytest.mark.parametrize("name", curves.CURVES)
def test_without_noise_the_answer_is_exact_and_cheap(name):
    for seed in range(12):
        curve = curves.make(name, 0.0, seed)
        searcher, queries = search(curve, seed)
        truth = curve.truth(searcher.question.domain)
        assert searcher.answer() == truth or "drift" in name
        if truth is not None:
            assert curve.is_valid(searcher.answer())
        assert queries < 3 * curves.SCREENING or "drift" in name


@pytest.mark.parametrize("name", ["affine", "staircase 32", "knee", "5 % outliers"])
def test_with_noise_the_answer_is_truly_valid_and_near(name):
    for seed in range(20):
        curve = curves.make(name, 0.01, seed)
        searcher, _ = search(curve, seed)
        truth, answer = curve.truth(searcher.question.domain), searcher.answer()
        if truth is not None:
            assert curve.is_valid(answer)
            assert truth - answer <= max(32 if "32" in name else 2, 0.03 * truth)


def test_a_valid_multiple_above_the_first_invalid_is_found():
    """GPUs favour whole tiles: N=40 may be VALID where 33 to 39 are not."""
    curve = curves.Curve("tiles", lambda n: 30 + n * 0.5 - (6 if n % 8 == 0 else 0))
    searcher, _ = search(curve, question=curves.question(256))
    assert searcher.answer() == 48
    certificate = certify(searcher, is_complete=True)
    assert certificate.status is Status.EXACT
    assert certificate.first_invalid == 49


def test_barely_valid_everywhere_is_not_called_invalid():
    """One percent of outliers, whatever N: each verdict is a toss of a coin, and no answer is proven."""
    curve = curves.Curve("toss", lambda n: 40 + n / 1e4, outlier_rate=0.01)
    searcher, _ = search(curve)
    certificate = certify(searcher, is_complete=True)
    assert certificate.status in (Status.UNCONFIRMED, Status.UNKNOWN, Status.INTERVAL)


def test_none_valid_is_said_after_a_full_test():
    searcher, _ = search(curves.Curve("slow", lambda n: 60.0 * n))
    certificate = certify(searcher, is_complete=True)
    assert certificate.status is Status.NONE_VALID
    assert certificate.max_streams is None
    assert certificate.evidence[0].invalid_tests == 1
    assert "N=1 is not VALID" in certificate.why


def test_all_valid_is_said_after_a_full_test():
    searcher, _ = search(curves.Curve("fast", lambda n: 0.001 * n), question=curves.question(500))
    certificate = certify(searcher, is_complete=True)
    assert certificate.status is Status.ALL_VALID
    assert certificate.max_streams == 500
    assert certificate.undecided is None


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.01, 0.1])
def test_a_latency_that_does_not_grow_with_n(noise):
    """By noise alone it falls as often as it rises, and no N may seem to be the edge for that."""
    for seed in range(10):
        for memory, status, answer in ((None, Status.ALL_VALID, 500), (40, Status.EXACT, 40)):
            curve = curves.Curve("level", lambda _: 20.0, noise=noise, memory=memory)
            searcher, queries = search(curve, seed, question=curves.question(500))
            certificate = certify(searcher, is_complete=True)
            assert (certificate.status, certificate.max_streams) == (status, answer)
            assert queries < 3 * curves.SCREENING


def test_out_of_memory_bounds_the_search_from_above():
    curve = curves.Curve("memory", lambda n: 1 + 0.01 * n, memory=300)
    searcher, _ = search(curve)
    certificate = certify(searcher, is_complete=True)
    assert (certificate.max_streams, certificate.first_invalid) == (300, 301)
    assert "out of memory" in certificate.why


def test_what_a_busy_machine_spoils_ends_the_search_and_proves_nothing():
    """It neither goes on for ever nor calls an N INVALID that may be none."""
    for busy_from in (1, 20):
        searcher = BoundarySearcher(question_of(1, 64))
        oracle = Oracle(curve(40))
        while (ask := searcher.ask()) is not None:
            seen = oracle.test(ask)
            n = ask.samples_per_query
            if ask.query_count is None and n >= busy_from:
                over = np.full(5, 2 * BOUND_NS, np.int64)
                seen = Observation(n, True, Shown.INVALID, over, 5, 5, busy=True)
            searcher.tell(seen)
            assert len(searcher.seen) < 60
        certificate = certify(searcher, is_complete=True)
        assert certificate.first_invalid is None
        assert (certificate.max_streams or 0) < busy_from
        assert "in disturbed tests alone" in f"{certificate.why}; {certificate.remark}"


def test_a_toss_of_a_coin_on_a_busy_machine_is_not_tossed_for_ever():
    searcher = BoundarySearcher(question_of(1, 64))
    within, over = np.full(FULL, BOUND_NS // 2), np.full(9, 2 * BOUND_NS)
    while (ask := searcher.ask()) is not None:
        n, full, full_tests = ask.samples_per_query, ask.query_count is None, sum(one.is_full for one in searcher.seen)
        if full and full_tests % 2:
            searcher.tell(Observation(n, full, Shown.INVALID, over, 9, 9, busy=True))
        else:
            searcher.tell(Observation(n, full, Shown.VALID, within, 9 * full, ask.query_count or FULL, busy=True))
        assert len(searcher.seen) < 40
    assert certify(searcher, is_complete=True).first_invalid is None


def test_a_probe_of_a_busy_machine_stands_for_nothing_once_there_is_an_undisturbed_one():
    """Else the search would stay below what a neighbour made slow, whenever it is asked again."""
    searcher, over = BoundarySearcher(question_of(1, 64)), np.full(6, 2 * BOUND_NS, np.int64)
    for n in (1, 8, 12):
        searcher.tell(Observation(n, False, Shown.INVALID, over, 6, 6, busy=True))
        searcher.tell(Oracle(curve(40)).test(Ask(n, 6, "")))
    run(searcher, Oracle(curve(40)))
    assert searcher.answer() == 40


def test_differing_tests_are_noticed_and_said():
    """Where whole tests differ by 3 %, no single one settles its N."""
    said = valid = 0
    for seed in range(12):
        curve = curves.make("run to run 3 %", 0.0, seed)
        searcher, _ = search(curve, seed)
        said += bool(searcher.remark())
        truth, answer = curve.truth(searcher.question.domain), searcher.answer()
        valid += answer is None or answer <= truth
    assert said >= 6
    assert valid >= 10
