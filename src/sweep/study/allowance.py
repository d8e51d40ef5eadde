"""What a search may still spend, and what it keeps back: a budget always leaves room for one full test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sweep.search.base import Ask, Observation, Shown
from sweep.search.evidence import Pool, pools

if TYPE_CHECKING:
    from sweep.study.search import SearchPlan

_MARGIN = 0.9
"""Share of the bound within which all queries of short tests must lie for a full test to be worth the last money."""


class Purse:
    """What a search may spend on tests that are not reused; None is no limit.

    Args:
        seconds: Time.
        queries: LoadGen's queries.
        tests: Tests.
    """

    def __init__(self, seconds: float | None = None, queries: int | None = None, tests: int | None = None) -> None:
        self._seconds = seconds
        self._queries = queries
        self._tests = tests
        self._spent_s, self._spent_queries, self._spent_tests = 0.0, 0, 0

    @property
    def seconds_left(self) -> float | None:
        """Of the time; None where there is no limit."""
        return None if self._seconds is None else max(self._seconds - self._spent_s, 0.0)

    def pay(self, seconds: float, query_count: int) -> None:
        """Take off what a test has cost."""
        self._spent_s += seconds
        self._spent_queries += query_count
        self._spent_tests += 1

    def ends(self, seconds: float, query_count: int, tests: int) -> str:
        """Return the limit that the next tests would go beyond, as its key and value; empty when none."""
        if self._tests is not None and self._spent_tests + tests > self._tests:
            return f"search.budget.tests={self._tests}"
        if self._queries is not None and self._spent_queries + query_count > self._queries:
            return f"search.budget.queries={self._queries}"
        if self._seconds is not None and self._spent_s + seconds > self._seconds:
            return f"search.budget.seconds={self._seconds:g}"
        return ""


class Allowance:
    """Holds the next test of a search against its purse, and keeps a full test back while no N was VALID in one.

    Short tests give no verdict: a budget that they alone have used up would have bought nothing.

    Args:
        plan: What is searched for.
        purse: What the search may spend.
        seen: What it was told; grows.
        is_stored: Whether a full test of an N was measured before, so that it costs nothing.
    """

    def __init__(
        self, plan: SearchPlan, purse: Purse, seen: Sequence[Observation], is_stored: Callable[[int], bool]
    ) -> None:
        self._plan = plan
        self._purse = purse
        self._seen = seen
        self._is_stored = is_stored

    def ends(self, ask: Ask) -> str:
        """Return the limit, as its key and value, that ends the search before this test; empty when none does."""
        full_tests = sum(one.is_full for one in self._seen)
        is_only = ask.query_count is None and full_tests in (0, len(self._seen))  # it is the one, or all are
        if self.has_valid or is_only:
            return self._ends(ask)
        n = next(self.affordable(), None)
        if n is None:  # nothing would come of short tests
            return self._ends(self._smallest)
        return self._ends(ask) if self._is_stored(n) else self._ends(ask, Ask(n, None, ""))

    @property
    def has_valid(self) -> bool:
        """Whether a full test was VALID."""
        return any(one.is_full and one.shown is Shown.VALID for one in self._seen)

    @property
    def shortfall(self) -> str:
        """Say that the time leaves no room for any full test, and how long one takes; empty otherwise."""
        n, ended = self._smallest.samples_per_query, self._ends(self._smallest)
        if any(one.is_full for one in self._seen) or not ended.startswith("search.budget.seconds"):
            return ""
        return f" (raise it: a full test of N={n} takes about {self.seconds_of(self._smallest):.2g} s)"

    def affordable(self) -> Iterator[int]:
        """Yield the N that look VALID and whose full test is still paid for, the largest first, the smallest N last."""
        by_n, low = pools(self._plan.question, self._seen), self._smallest.samples_per_query
        within = _MARGIN * self._plan.question.target_latency_ns
        looks_valid = [n for n, pool in by_n.items() if n > low and not pool.full and _slowest_ns(pool) <= within]
        for n in (*sorted(looks_valid, reverse=True), low):
            if self._is_stored(n) or not self._ends(Ask(n, None, "")):
                yield n

    def seconds_of(self, ask: Ask) -> float:
        """Return how long a test will take, from that of the nearest N; tests over the bound are stopped early."""
        known = {n: pool for n, pool in pools(self._plan.question, self._seen).items() if pool.query_count}
        if not known:
            return 0.0
        nearest = min(known, key=lambda n: abs(n - ask.samples_per_query))
        latencies = known[nearest].latencies_ns
        scale = max(ask.samples_per_query / nearest, 1.0)
        each = float(np.median(latencies)) * scale if latencies.size else 0.0
        by_count = self._queries_of(ask) * min(each, self._plan.question.target_latency_ns) / 1e9
        return max(by_count, self._plan.spec.run.min_duration_ms / 1e3) if ask.query_count is None else by_count

    @property
    def _smallest(self) -> Ask:
        return Ask(self._plan.question.domain.low, None, "")

    def _ends(self, *asks: Ask) -> str:
        queries = sum(map(self._queries_of, asks))
        return self._purse.ends(sum(map(self.seconds_of, asks)), queries, len(asks))

    def _queries_of(self, ask: Ask) -> int:
        return ask.query_count or self._plan.question.full_query_count


def _slowest_ns(pool: Pool) -> float:
    return float(pool.latencies_ns.max()) if pool.latencies_ns.size else float("inf")
