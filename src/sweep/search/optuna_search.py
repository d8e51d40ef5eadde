"""Optuna's samplers as searchers: the objective is N, the constraint is the bound on the latency."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from typing import Any

import numpy as np

from sweep.errors import MissingDependencyError, Problem
from sweep.search.base import Ask, Observation, Question, Shown
from sweep.search.quiet import load_optuna
from sweep.search.searcher import Searcher
from sweep.search.told import largest_valid, settled

_N = "samples_per_query"
_UNKNOWN_EXCESS = 1.0
"""Relative excess of a test that could not be run or left no latencies: as bad as twice the bound."""
_LEAST_EXCESS = 1e-6
"""Keeps an INVALID test infeasible when the percentile of its latencies alone would not."""


class OptunaSearcher(Searcher):
    """A searcher that lets a sampler of Optuna choose; a base for those below.

    The study is made anew for each ask, from what was told alone, and the sampler is seeded by how much that was: so a
    resumed search goes on as the interrupted one would have.

    Args:
        question: What is to be found.
        seed: Of the sampler.
        trials: Full tests altogether, at most.

    Raises:
        MissingDependencyError: The sampler needs a package that is not installed.
    """

    def __init__(self, question: Question, seed: int = 0, trials: int = 30) -> None:
        super().__init__(question)
        self._seed = seed
        self._trials = trials

    def ask(self) -> Ask | None:
        """Return a full test of what the sampler suggests, or of what is nearest to that and untested."""
        domain = self.question.domain
        verdicts = settled(self.seen)
        tests = sum(one.is_full for one in self.seen)
        untested = [n for n in range(domain.low, domain.high + 1, domain.step) if n not in verdicts]
        if tests >= self._trials or not untested:
            return None
        failed = [one.samples_per_query for one in self.seen if one.is_full and one.samples_per_query not in verdicts]
        if failed:
            return Ask(failed[0], None, "once more, because it failed")
        suggested = self._suggest()
        if suggested not in verdicts:
            return Ask(suggested, None, f"suggested, test {tests + 1} of {self._trials}")
        n = self._nearest(suggested, untested, verdicts)
        return Ask(n, None, f"nearest to {suggested}, which is known; test {tests + 1} of {self._trials}")

    def answer(self) -> int | None:
        """Return the largest N that was VALID."""
        return largest_valid(settled(self.seen))

    @property
    def limit(self) -> str:
        """Return the key that says how many tests it may run."""
        return f"search.trials={self._trials}; more of them make another study"

    def _suggest(self) -> int:
        optuna = load_optuna()
        domain = self.question.domain
        space = optuna.distributions.IntDistribution(domain.low, domain.high, step=domain.step)
        # Failed tests do not count: they are measured again when a search is resumed.
        told = sum(one.shown is not Shown.FAILED for one in self.seen)
        study = optuna.create_study(direction="maximize", sampler=self._sampler((self._seed + told) % 2**32))
        for one in self.seen:
            if one.shown is Shown.FAILED or not (one.is_full or one.shown is Shown.INVALID):
                continue
            n = one.samples_per_query
            study.add_trial(
                optuna.trial.create_trial(
                    params={_N: n},
                    distributions={_N: space},
                    value=float(n),
                    constraints={"latency": self._excess(one)},
                )
            )
        return int(study.ask({_N: space}).params[_N])

    def _excess(self, one: Observation) -> float:
        """Return by how much of the bound the percentile is over it; 0 or less exactly where the test was VALID."""
        excess = _UNKNOWN_EXCESS
        count = len(one.latencies_ns)
        if count:
            at = min(int(count * (self.question.percentile / 100)), count - 1)
            excess = float(np.partition(one.latencies_ns, at)[at]) / self.question.target_latency_ns - 1
        if one.shown is Shown.VALID:
            return min(excess, 0.0) if count else 0.0
        return max(excess, _LEAST_EXCESS)

    @staticmethod
    def _nearest(suggested: int, untested: list[int], verdicts: dict[int, bool]) -> int:
        """Return the nearest untested N: between the largest VALID and the next that is not, while any lies there.

        Of two equally near, the larger one where the suggested one is VALID, because the answer lies above it.
        """
        valid = max((n for n, holds in verdicts.items() if holds), default=0)
        above = min((n for n, holds in verdicts.items() if not holds and n > valid), default=max(untested) + 1)
        inside = [n for n in untested if valid < n < above]
        up = 1 if verdicts[suggested] else -1
        return min(inside or untested, key=lambda n: (abs(n - suggested), -up * n))

    @abstractmethod
    def _sampler(self, seed: int) -> Any:
        """Return a fresh sampler."""


class TpeSearcher(OptunaSearcher):
    """Tree-structured Parzen estimator, Optuna's default.

    Bergstra et al., Algorithms for Hyper-Parameter Optimization, NIPS 2011.
    """

    def _sampler(self, seed: int) -> Any:
        return load_optuna().samplers.TPESampler(seed=seed)


class GpSearcher(OptunaSearcher):
    """Gaussian process with expected improvement under the constraint; needs torch and scipy."""

    def __init__(self, question: Question, seed: int = 0, trials: int = 30) -> None:
        missing = [name for name in ("torch", "scipy") if importlib.util.find_spec(name) is None]
        if missing:
            raise MissingDependencyError(
                Problem(
                    "search.algorithm",
                    "gp",
                    f"needs {' and '.join(missing)}",
                    f"pip install {' '.join(missing)}, or choose one of: boundary, bisection, grid, tpe",
                )
            )
        super().__init__(question, seed, trials)

    def _sampler(self, seed: int) -> Any:
        # Half of Optuna's ten random tests: a curve of one variable needs fewer, and each may take minutes.
        return load_optuna().samplers.GPSampler(seed=seed, n_startup_trials=5)
