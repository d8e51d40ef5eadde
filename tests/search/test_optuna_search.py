import importlib.util
import warnings

import pytest

from sweep.errors import ConfigError, MissingDependencyError
from sweep.search.base import Ask, Shown
from sweep.search.optuna_search import GpSearcher, TpeSearcher
from sweep.search.registry import ALGORITHMS, make_searcher

from .conformance import Oracle, SearcherConformance, curve, failure, question_of, run


class TestTpe(SearcherConformance):
    exact = False

    @pytest.fixture
    def make(self):
        return lambda question: TpeSearcher(question, trials=15)


class TestGp(SearcherConformance):
    exact = False

    @pytest.fixture
    def make(self):
        pytest.importorskip("torch")
        pytest.importorskip("scipy")
        return lambda question: GpSearcher(question, trials=8)


def test_ends_after_so_many_tests():
    asks = run(TpeSearcher(question_of(1, 512), trials=12), Oracle(curve(300)))
    assert len(asks) == 12


def test_ends_when_every_member_was_tested():
    asks = run(TpeSearcher(question_of(1, 6), trials=30), Oracle(curve(3)))
    assert sorted(ask.samples_per_query for ask in asks) == [1, 2, 3, 4, 5, 6]


def test_nothing_is_tested_twice():
    asks = run(TpeSearcher(question_of(1, 40), trials=30), Oracle(curve(17)))
    tested = [ask.samples_per_query for ask in asks]
    assert len(set(tested)) == len(tested) == 30


def test_comes_near_the_answer():
    for seed in range(3):
        searcher = TpeSearcher(question_of(1, 512), seed=seed, trials=30)
        run(searcher, Oracle(curve(311)))
        assert 290 <= searcher.answer() <= 311


def test_gp_comes_near_the_answer():
    pytest.importorskip("torch")
    searcher = GpSearcher(question_of(1, 512), trials=15)
    run(searcher, Oracle(curve(311)))
    assert 305 <= searcher.answer() <= 311


def test_another_seed_asks_for_others():
    first, second = (run(TpeSearcher(question_of(1, 512), seed), Oracle(curve(300))) for seed in (0, 1))
    assert first != second


def test_what_is_known_gives_way_to_what_the_answer_may_be():
    verdicts = {10: True, 20: False, 30: True, 40: False}
    untested = [n for n in range(1, 65) if n not in verdicts]
    assert TpeSearcher._nearest(20, untested, verdicts) == 31
    assert TpeSearcher._nearest(40, untested, verdicts) == 39
    assert TpeSearcher._nearest(30, [29, 31, 41], {30: True, 40: False}) == 31
    assert TpeSearcher._nearest(30, [29, 32, 28], {30: True, 31: False}) == 29
    assert TpeSearcher._nearest(30, [29, 31], {30: False, 28: False}) == 29


def test_a_constraint_holds_exactly_where_the_test_was_valid():
    """Optuna must never take an INVALID test for a feasible one, whatever its latencies look like."""
    searcher = TpeSearcher(question_of())
    test = Oracle(curve(40)).test
    assert searcher._excess(test(Ask(10, None, ""))) < 0
    assert searcher._excess(test(Ask(50, None, ""))) == pytest.approx(9.5 / 60, rel=1e-3)
    assert searcher._excess(failure(50, Shown.OUT_OF_MEMORY)) == 1
    assert searcher._excess(failure(50, Shown.VALID)) == 0


def test_optuna_keeps_quiet(capfd):
    with warnings.catch_warnings(record=True) as caught:
        run(TpeSearcher(question_of(), trials=12), Oracle(curve(40)))
    assert capfd.readouterr() == ("", "")
    assert not caught


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_gp_without_torch_says_what_to_do():
    with pytest.raises(MissingDependencyError) as caught:
        make_searcher("gp", question_of())
    line = str(caught.value)
    assert line.startswith("search.algorithm=gp: needs torch")
    assert line.endswith("or choose one of: boundary, bisection, grid, tpe")


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name not in {"boundary", "gp"}])
def test_searchers_are_made_by_name(algorithm):
    searcher = make_searcher(algorithm, question_of(), seed=3, trials=5)
    assert searcher.ask().samples_per_query in searcher.question.domain


def test_an_unknown_searcher_is_refused_with_the_choices():
    with pytest.raises(ConfigError, match="search.algorithm=bisect: is not a searcher; did you mean bisection"):
        make_searcher("bisect", question_of())
