import pytest

from sweep.search.base import Ask
from sweep.search.grid import GridSearcher

from .conformance import Oracle, SearcherConformance, curve, question_of, run


class TestConformance(SearcherConformance):
    @pytest.fixture
    def make(self):
        return GridSearcher


def test_asks_every_member_once_in_order():
    asks = run(GridSearcher(question_of(8, 64, 8)), Oracle(curve(40)))
    assert [ask.samples_per_query for ask in asks] == list(range(8, 65, 8))
    assert asks[0].why == "point 1 of 8"


def test_what_was_tested_already_is_not_asked_for():
    searcher = GridSearcher(question_of(1, 4))
    searcher.tell(Oracle(curve(2)).test(Ask(2, None, "")))
    assert [ask.samples_per_query for ask in run(searcher, Oracle(curve(2)))] == [1, 3, 4]


def test_the_largest_valid_wins_whatever_lies_below():
    searcher = GridSearcher(question_of(1, 4))
    run(searcher, Oracle(lambda n: 1 if n != 2 else 10**9))
    assert searcher.answer() == 4
