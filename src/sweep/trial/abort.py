"""When a test's INVALID is certain: the only verdict that is ever called early."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sweep.vocabulary import AbortRule

SIGNIFICANCE = 1e-9
"""Chance, at most, that the sequential rule ever stops a test whose true over-latency rate is allowed."""

_ALTERNATIVES = (0.03, 0.08, 0.2, 0.5, 0.999)
"""Over-latency rates the sequential test bets on, in equal parts."""


@dataclass(frozen=True)
class Abort:
    """Why a test was stopped before its end.

    Attributes:
        rule: `certain` (arithmetic) or `confident` (sequential test).
        over_latency_count: Queries over the bound when it was stopped.
        query_count: Queries finished when it was stopped.
        evidence: The same for people, in one line.
    """

    rule: AbortRule
    over_latency_count: int
    query_count: int
    evidence: str


class SequentialTest:
    """Tests "at most `allowed_rate` of queries are over the bound", query by query, stopping whenever it likes.

    The statistic is a likelihood ratio averaged over a few alternatives. Under the hypothesis it is a
    non-negative supermartingale that starts at 1, so by Ville's inequality it ever reaches 1/alpha with
    probability alpha at most, however often one looks. Five over-latency queries in a row reach 1e9 for
    `allowed_rate` 1 %.
    """

    def __init__(self, allowed_rate: float, significance: float = SIGNIFICANCE) -> None:
        if not 0 < allowed_rate < 1:
            raise ValueError(f"allowed_rate={allowed_rate} must lie between 0 and 1")
        # An alternative at or below the allowed rate would bet on the hypothesis itself.
        rates = [rate for rate in _ALTERNATIVES if rate > allowed_rate]
        self._over = [rate / allowed_rate for rate in rates]
        self._within = [(1 - rate) / (1 - allowed_rate) for rate in rates]
        self._ratios = [1.0 / len(rates)] * len(rates) if rates else []
        self._threshold = 1 / significance
        self.rejected = False

    def observe(self, *, over: bool) -> bool:
        """Take one query in; return whether the hypothesis is rejected (for good)."""
        factors = self._over if over else self._within
        # Without a floor a long quiet start would underflow to zero, which no later evidence could lift again.
        self._ratios = [max(ratio * factor, 1e-300) for ratio, factor in zip(self._ratios, factors, strict=True)]
        self.rejected = self.rejected or sum(self._ratios) >= self._threshold
        return self.rejected


class SteadyState:
    """Says when latencies have stopped falling: clocks have ramped, caches and arenas are filled.

    That is when the median of the newer half of the last `window` latencies is no longer below that of the older
    half by more than `tolerance`. A rise is no reason to wait: no test becomes VALID by getting slower.
    """

    def __init__(self, window: int = 6, tolerance: float = 0.1) -> None:
        self._window = window
        self._tolerance = tolerance
        self._latest: list[int] = []
        self.reached = False

    def observe(self, latency_ns: int) -> bool:
        """Take one latency in; return whether the state was steady at this or any earlier query."""
        if self.reached:
            return True
        self._latest = [*self._latest[-(self._window - 1) :], latency_ns]
        if len(self._latest) == self._window:
            half = self._window // 2
            older, newer = sorted(self._latest[:half]), sorted(self._latest[half:])
            self.reached = newer[half // 2] >= (1 - self._tolerance) * older[half // 2]
        return self.reached


class AbortMonitor:
    """Watches the latencies of one running test and says when it can no longer be VALID.

    Args:
        rule: How early it may say so.
        target_latency_ns: The bound on a query's latency.
        percentile: Where the bound is read, in percent.
        min_query_count: The fewest queries the full test has.
        allowed: Over-latency queries the full test may have, if it has `min_query_count` queries.
        min_duration_ns: How long the test also goes on; 0 when the count alone ends it.
        steady: Whether latency was already steady when the test began.
    """

    def __init__(
        self,
        *,
        rule: AbortRule,
        target_latency_ns: int,
        percentile: float,
        min_query_count: int,
        allowed: int,
        min_duration_ns: int,
        steady: bool,
    ) -> None:
        self._rule = rule
        self._target_latency_ns = target_latency_ns
        self._percentile = percentile
        self._min_query_count = min_query_count
        self._allowed = allowed
        self._min_duration_ns = min_duration_ns
        self._steady = SteadyState()
        self._steady.reached = steady
        self._sequential = SequentialTest((100 - percentile) / 100)
        self._elapsed_ns = 0
        self._tested = 0
        self._tested_over = 0
        self.query_count = 0
        self.over_latency_count = 0

    def observe(self, latencies_ns: Iterable[int]) -> Abort | None:
        """Take finished queries in, in order; return the reason to stop, once there is one."""
        for latency_ns in latencies_ns:
            over = latency_ns > self._target_latency_ns
            self.query_count += 1
            self.over_latency_count += over
            self._elapsed_ns += latency_ns
            if self._rule is AbortRule.NEVER:
                continue
            if self._final_count_is_known and self.over_latency_count > self._allowed:
                return self._stop(
                    AbortRule.CERTAIN,
                    f"aborted after {self._finished}: {self.over_latency_count} over-latency; "
                    f"{self._allowed} allowed of {self._min_query_count}",
                )
            if self._rule is AbortRule.CONFIDENT and self._reject(latency_ns, over=over):
                return self._stop(
                    AbortRule.CONFIDENT,
                    f"aborted after {self._finished}: {self._tested_over} over-latency of {self._tested} "
                    f"in steady state; "
                    f"at most {100 - self._percentile:g} % over is rejected at {SIGNIFICANCE:g}",
                )
        return None

    @property
    def _final_count_is_known(self) -> bool:
        """Whether the full test has exactly `min_query_count` queries: no duration keeps it going beyond them.

        Query by query, the sum of latencies is a lower bound of the time that LoadGen counts. A test whose duration
        is over only after more queries than that has a larger count, which allows more of them over the bound.
        """
        return self._elapsed_ns >= self._min_duration_ns and self.query_count <= self._min_query_count

    @property
    def _finished(self) -> str:
        return "1 query" if self.query_count == 1 else f"{self.query_count} queries"

    def _reject(self, latency_ns: int, *, over: bool) -> bool:
        if not self._steady.reached:
            # The query that completes the evidence of steadiness is still warm-up.
            self._steady.observe(latency_ns)
            return False
        self._tested += 1
        self._tested_over += over
        return self._sequential.observe(over=over)

    def _stop(self, rule: AbortRule, evidence: str) -> Abort:
        return Abort(rule, self.over_latency_count, self.query_count, evidence)
