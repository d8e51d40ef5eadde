"""What the tests of one N say together about its share of queries over the bound."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sweep.search.base import Latencies, Observation, Question, Shown


@functools.lru_cache(maxsize=65536)
def p_valid(over: int, count: int, allowed_rate: float) -> float:
    """Return the probability that the true share of queries over the bound is `allowed_rate` at most.

    The posterior under the prior Beta(1, 1 / allowed_rate - 1), whose mean is the allowed rate and whose weight is that
    of 1 / allowed_rate queries: a few queries are no proof of anything. With whole parameters the Beta distribution is
    a binomial tail (NIST Digital Library of Mathematical Functions, 8.17.5).

    Args:
        over: Queries over the bound.
        count: Queries altogether.
        allowed_rate: Share that may be over, between 0 and 1.
    """
    trials = count + max(round(1 / allowed_rate) - 1, 1)
    return 1.0 - _binomial_at_most(over, trials, allowed_rate)


def _binomial_at_most(k: int, n: int, rate: float) -> float:
    """Return P(X <= k) of a binomial variable; from the smaller tail, so that a small result keeps its digits."""
    if k >= n:
        return 1.0
    if k > n * rate:
        return 1.0 - _sum_of_terms(range(k + 1, n + 1), n, rate)
    return _sum_of_terms(range(k, -1, -1), n, rate)


def _sum_of_terms(ks: Iterable[int], n: int, rate: float) -> float:
    """Sum binomial probabilities in an order in which they fall, until they no longer count."""
    total, term, previous = 0.0, None, 0
    for k in ks:
        if term is None:
            log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
            term = math.exp(log + k * math.log(rate) + (n - k) * math.log1p(-rate))
        elif k > previous:
            term *= (n - previous) / k * rate / (1 - rate)
        else:
            term *= previous / (n - k) * (1 - rate) / rate
        previous = k
        total += term
        if term < 1e-18 * total:
            break
    return min(total, 1.0)


@functools.lru_cache(maxsize=1024)
def most_over(count: int, allowed_rate: float, confidence: float) -> int:
    """Return how many of `count` queries may be over for `p_valid` to reach `confidence`; -1 when none may."""
    low, high = -1, count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if p_valid(middle, count, allowed_rate) >= confidence else (low, middle)
    return low


@dataclass(frozen=True)
class Pool:
    """All tests of one N.

    Attributes:
        samples_per_query: N.
        tests: In order.
        question: Whose tests they are.
        set_aside: Full tests that do not count, as `pools` says.
    """

    samples_per_query: int
    tests: tuple[Observation, ...]
    question: Question
    set_aside: int = 0

    @functools.cached_property
    def latencies_ns(self) -> Latencies:
        """Of all its queries."""
        return np.concatenate([test.latencies_ns for test in self.tests]) if self.tests else np.zeros(0, np.int64)

    @functools.cached_property
    def order(self) -> npt.NDArray[np.float64]:
        """Of each of these latencies, how many queries of its test came before it."""
        parts = [np.arange(test.latencies_ns.size, dtype=np.float64) for test in self.tests]
        return np.concatenate(parts) if parts else np.zeros(0)

    @functools.cached_property
    def query_count(self) -> int:
        """Queries of all its tests."""
        return sum(test.query_count for test in self.tests)

    @functools.cached_property
    def over_latency_count(self) -> int:
        """Of them, over the bound."""
        return sum(test.over_latency_count for test in self.tests)

    @functools.cached_property
    def p_valid(self) -> float:
        """Probability that N is VALID, from the counts alone."""
        return p_valid(self.over_latency_count, self.query_count, self.question.allowed_rate)

    @property
    def full(self) -> Sequence[Observation]:
        """Tests of the asked run class that have a verdict."""
        return [test for test in self.tests if test.is_full and test.shown in (Shown.VALID, Shown.INVALID)]

    @property
    def tests_of_full_length(self) -> int:
        """Tests that were planned at the asked run class, whatever became of them."""
        return sum(test.is_full for test in self.tests)

    @property
    def valid_tests(self) -> int:
        """Full tests that were VALID."""
        return sum(test.shown is Shown.VALID for test in self.full)

    @property
    def invalid_tests(self) -> int:
        """Full tests that were INVALID."""
        return sum(test.shown is Shown.INVALID for test in self.full)

    @property
    def is_disturbed(self) -> bool:
        """Whether it was INVALID, and that on a disturbed machine alone: which proves nothing."""
        invalid = [test for test in self.full if test.shown is Shown.INVALID]
        return bool(invalid) and all(test.busy for test in invalid)

    @property
    def does_not_run(self) -> str:
        """Say how N failed: out of memory, not to be set up, or any other failure twice; empty when it runs."""
        shown = [test.shown for test in self.tests]
        for final in (Shown.OUT_OF_MEMORY, Shown.REFUSED):
            if final in shown:
                return str(final)
        return str(Shown.FAILED) if shown.count(Shown.FAILED) > 1 and not self.full else ""

    @property
    def has_no_verdict(self) -> bool:
        """Whether it does not run for a reason that says nothing about N: a crash, or what else is in memory."""
        return self.does_not_run in (str(Shown.FAILED), str(Shown.REFUSED))

    @property
    def is_good(self) -> bool:
        """Whether N was VALID in full tests alone, and is so with the wanted confidence."""
        enough = self.p_valid >= self.question.confidence
        return enough and self.valid_tests > 0 and self.invalid_tests == 0 and not self.does_not_run

    @property
    def is_bad(self) -> bool:
        """Whether N was INVALID in an undisturbed full test and surely is, or does not run at all."""
        sure = self.p_valid <= 1 - self.question.confidence and self.invalid_tests > 0
        return bool(self.does_not_run) or (sure and not self.is_disturbed)

    @property
    def leans_over(self) -> bool:
        """Whether N is more likely INVALID than VALID by what is known so far."""
        return bool(self.does_not_run) or self.p_valid < 0.5

    @property
    def percentile_ns(self) -> int | None:
        """Latency of all queries at the percentile of the question, read as LoadGen reads it; None without queries."""
        count = self.latencies_ns.size
        if not count:
            return None
        index = count - 1 - min(self.question.over_latency_allowed(count), count - 1)
        return int(np.partition(self.latencies_ns, index)[index])


def pools(question: Question, seen: Sequence[Observation]) -> dict[int, Pool]:
    """Return what was seen by N, ascending.

    A short test of a disturbed machine does not count once N was tested undisturbed. Nor do full ones, if one of them
    was INVALID: that was the neighbours' doing, and the VALID ones go with it, or the luckiest of several would count.
    """
    by_n: dict[int, list[Observation]] = {}
    for one in seen:
        by_n.setdefault(one.samples_per_query, []).append(one)
    found = {}
    for n, tests in sorted(by_n.items()):
        counting = _counting(tests)
        set_aside = sum(test.is_full for test in tests) - sum(test.is_full for test in counting)
        found[n] = Pool(n, tuple(counting), question, set_aside)
    return found


def _counting(tests: Sequence[Observation]) -> Sequence[Observation]:
    judged = [test for test in tests if test.shown in (Shown.VALID, Shown.INVALID)]
    undisturbed = {test.is_full for test in judged if not test.busy}
    is_blamed = any(test.busy and test.is_full and test.shown is Shown.INVALID for test in judged)
    spoilt = [
        test for test in judged if test.busy and (is_blamed and True in undisturbed if test.is_full else undisturbed)
    ]
    return [test for test in tests if not any(test is one for one in spoilt)]
