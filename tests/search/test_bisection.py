import pytest

from sweep.search.base import Ask, Shown
from sweep.search.bisection import BisectionSearcher

from .conformance import Oracle, SearcherConformance, curve, failure, question_of, run


class TestConformance(SearcherConformance):
    @pytest.fixture
    def make(self):
        return BisectionSearcher


def test_begins_in_the_middle_and_halves():
    asks = run(BisectionSearcher(question_of()), Oracle(curve(40)))
    assert [ask.samples_per_query for ask in asks] == [32, 48, 40, 44, 42, 41]
    assert [ask.why for ask in asks[:2]] == ["middle of the range 1..64", "middle of 33..64"]


@pytest.mark.parametrize("largest", range(1, 512, 37))
def test_needs_as_many_tests_as_the_range_has_binary_digits(largest):
    searcher = BisectionSearcher(question_of(1, 512))
    assert len(run(searcher, Oracle(curve(largest)))) <= 10
    assert searcher.answer() == largest


def test_goes_by_its_path_where_verdicts_contradict_each_other():
    """A VALID above an INVALID is noise to bisection: the answer stays below what it met."""
    searcher = BisectionSearcher(question_of())
    searcher.tell(Oracle(lambda _: 1).test(Ask(60, None, "")))
    run(searcher, Oracle(curve(10)))
    assert searcher.answer() == 10


def test_what_fails_twice_counts_as_not_valid():
    searcher = BisectionSearcher(question_of())
    for _ in range(2):
        assert searcher.ask().samples_per_query == 32
        searcher.tell(failure(32))
    assert searcher.ask().samples_per_query == 16


def test_an_invalid_short_test_spares_the_full_one():
    searcher = BisectionSearcher(question_of())
    searcher.tell(failure(32, Shown.INVALID, full=False))
    assert searcher.ask().samples_per_query == 16
