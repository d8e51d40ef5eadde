"""The searchers by name."""

from __future__ import annotations

import importlib

from sweep.errors import ConfigError, Problem, choose
from sweep.search.base import Question
from sweep.search.searcher import Searcher

ALGORITHMS: tuple[str, ...] = ("boundary", "bisection", "grid", "tpe", "gp")
"""The first is the default."""

_PLACES = {
    "boundary": ("boundary", "BoundarySearcher"),
    "bisection": ("bisection", "BisectionSearcher"),
    "grid": ("grid", "GridSearcher"),
    "tpe": ("optuna_search", "TpeSearcher"),
    "gp": ("optuna_search", "GpSearcher"),
}
"""Module and class. Loaded when asked for: some need what others do without."""

_DRAWING = ("tpe", "gp")
"""Those that draw at random and know no end of their own."""


def make_searcher(algorithm: str, question: Question, *, seed: int = 0, trials: int = 30) -> Searcher:
    """Return a new searcher.

    Args:
        algorithm: One of `ALGORITHMS`.
        question: What is to be found.
        seed: Of tpe and gp, which draw at random.
        trials: Full tests of tpe and gp, at most.

    Raises:
        ConfigError: There is no such algorithm.
        MissingDependencyError: It needs a package that is not installed.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigError(Problem("search.algorithm", algorithm, "is not a searcher", choose(algorithm, ALGORITHMS)))
    module, name = _PLACES[algorithm]
    make = getattr(importlib.import_module(f"sweep.search.{module}"), name)
    searcher: Searcher = make(question, seed, trials) if algorithm in _DRAWING else make(question)
    return searcher
