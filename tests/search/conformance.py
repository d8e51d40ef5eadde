"""What every searcher must do: subclass `SearcherConformance` and override its fixtures."""

import numpy as np
import pytest

from sweep.search.base import Ask, Domain, Observation, Question, Shown

BOUND_NS = 50_000_000
FULL = 1000


def question_of(low=1, high=64, step=1):
    return Question(Domain(low, high, step), BOUND_NS, 99.0, FULL, 0.95)


def curve(largest):
    """Return latency as an affine function of N that meets the bound between `largest` and the next N."""
    return lambda n: int(BOUND_NS * (1 + (n - largest - 0.5) / (largest + 20)))


class Oracle:
    """Tests without noise: latency is a function of N, memory and crashes are as told."""

    def __init__(self, latency, out_of_memory_above=None, crashes=()):
        self.latency = latency
        self.out_of_memory_above = out_of_memory_above
        self.crashes = list(crashes)  # each N here crashes once

    def test(self, ask):
        n = ask.samples_per_query
        count = ask.query_count or FULL
        full = ask.query_count is None
        if self.out_of_memory_above is not None and n > self.out_of_memory_above:
            return failure(n, Shown.OUT_OF_MEMORY, full)
        if n in self.crashes:
            self.crashes.remove(n)
            return failure(n, Shown.FAILED, full)
        latencies = np.full(count, self.latency(n), dtype=np.int64)
        over = int((latencies > BOUND_NS).sum())
        return Observation(n, full, Shown.INVALID if over else Shown.VALID, latencies, over, count)


def failure(n, shown=Shown.FAILED, full=True):
    return Observation(n, full, shown, np.empty(0, dtype=np.int64), 0, 0)


def run(searcher, oracle, most=None):
    """Ask and tell to the end; the asks."""
    most = most or 4 * len(searcher.question.domain) + 40
    asks = []
    while (ask := searcher.ask()) is not None:
        asks.append(ask)
        assert len(asks) <= most, "the search does not end"
        assert isinstance(ask, Ask)
        assert ask.samples_per_query in searcher.question.domain
        assert ask.query_count is None or ask.query_count > 0
        assert ask.why
        assert "\n" not in ask.why
        searcher.tell(oracle.test(ask))
    return asks


class SearcherConformance:
    """Inherited by the test class of each searcher."""

    exact = True
    """Whether it finds the very answer where there is no noise."""
    asks_short_tests = False
    """Whether it may ask for tests that are not full."""

    @pytest.fixture
    def make(self):
        """Return a function from a question to a new searcher."""
        raise NotImplementedError

    def check_answer(self, searcher, largest):
        """The answer is the oracle's, or for a searcher that is not exact a member that is VALID."""
        if self.exact or largest is None:
            assert searcher.answer() == largest
        elif searcher.answer() is not None:
            assert searcher.answer() <= largest

    @pytest.mark.parametrize("largest", [1, 2, 17, 40, 62, 63])
    def test_finds_where_the_curve_meets_the_bound(self, make, largest):
        searcher = make(question_of())
        asks = run(searcher, Oracle(curve(largest)))
        self.check_answer(searcher, largest)
        if not self.asks_short_tests:
            assert all(ask.query_count is None for ask in asks)

    def test_none_valid(self, make):
        searcher = make(question_of())
        run(searcher, Oracle(lambda _: 2 * BOUND_NS))
        assert searcher.answer() is None
        assert searcher.bracket()[0] is None

    def test_all_valid(self, make):
        searcher = make(question_of())
        run(searcher, Oracle(lambda n: BOUND_NS // 2 + n))
        self.check_answer(searcher, 64)
        assert searcher.bracket()[1] is None

    @pytest.mark.parametrize("fits", [0, 5, 32])
    def test_what_does_not_fit_into_memory_is_not_valid(self, make, fits):
        searcher = make(question_of())
        run(searcher, Oracle(lambda n: BOUND_NS // 2 + n, out_of_memory_above=fits))
        self.check_answer(searcher, fits or None)

    def test_a_test_that_crashed_once_is_run_again(self, make):
        """A crash says nothing about N: else one bad moment would halve the answer."""
        probe = make(question_of())
        crashing = {ask.samples_per_query for ask in run(probe, Oracle(curve(40)))}
        searcher = make(question_of())
        run(searcher, Oracle(curve(40), crashes=sorted(crashing)))
        self.check_answer(searcher, 40)

    def test_what_crashes_always_ends_the_search_too(self, make):
        searcher = make(question_of())
        run(searcher, Oracle(lambda n: BOUND_NS // 2 + n, crashes=list(range(1, 65)) * 100))
        assert searcher.answer() is None

    @pytest.mark.parametrize(("valid", "answer"), [(True, 7), (False, None)])
    def test_a_domain_of_one_member(self, make, valid, answer):
        searcher = make(question_of(7, 7))
        asks = run(searcher, Oracle(lambda _: BOUND_NS // 2 if valid else 2 * BOUND_NS))
        assert {ask.samples_per_query for ask in asks} == {7}
        assert searcher.answer() == answer

    @pytest.mark.parametrize("largest", [8, 24, 88, 120])
    def test_members_are_whole_steps(self, make, largest):
        """A model frozen at a batch of 8 runs at no other N."""
        searcher = make(question_of(8, 128, 8))
        run(searcher, Oracle(curve(largest)))
        self.check_answer(searcher, largest)

    def test_asking_twice_changes_nothing(self, make):
        searcher = make(question_of())
        oracle = Oracle(curve(23))
        while (ask := searcher.ask()) is not None:
            assert searcher.ask() == ask
            searcher.tell(oracle.test(ask))
        assert searcher.ask() is None

    def test_told_the_same_it_asks_the_same(self, make):
        """A search that was interrupted goes on where it stopped, by being told again."""
        searcher = make(question_of())
        asks = run(searcher, Oracle(curve(23), out_of_memory_above=50, crashes=[32]))
        again = make(question_of())
        for ask, seen in zip(asks, searcher.seen, strict=True):
            assert again.ask() == ask
            again.tell(seen)
        assert again.ask() is None
        assert again.answer() == searcher.answer()

    def test_takes_tests_that_it_did_not_ask_for(self, make):
        searcher = make(question_of())
        oracle = Oracle(curve(40))
        for n in (3, 64, 40, 41, 3):
            searcher.tell(oracle.test(Ask(n, None, "")))
        run(searcher, oracle)
        self.check_answer(searcher, 40)

    def test_a_short_test_proves_nothing_valid(self, make):
        searcher = make(question_of())
        for n in range(1, 65):
            searcher.tell(Oracle(lambda _: BOUND_NS // 2).test(Ask(n, 50, "")))
        assert searcher.answer() is None
        run(searcher, Oracle(curve(40)))
        self.check_answer(searcher, 40)

    def test_a_short_test_that_failed_is_no_verdict(self, make):
        searcher = make(question_of())
        for n in (16, 32, 48, 64):
            searcher.tell(failure(n, full=False))
            searcher.tell(failure(n, full=False))
        run(searcher, Oracle(curve(40)))
        self.check_answer(searcher, 40)

    def test_refuses_what_lies_outside_the_domain(self, make):
        with pytest.raises(ValueError, match="outside"):
            make(question_of()).tell(failure(65))
