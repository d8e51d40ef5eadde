"""What the default searcher makes of what it was told; see `boundary`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

from sweep.search.base import ROUND_VALUES, Ask, Observation, Question, Shown
from sweep.search.evidence import most_over, pools
from sweep.search.model import LatencyModel

PROBE = 6
"""Queries of a probe: enough for a median that one outlier does not move."""
EDGE_PROBE = 32
"""Queries of a probe near the edge, where latency is noisy."""
EDGE_LOOK = 128
"""Queries near the edge, at least, before the first full test where latency is noisy."""

_GROWTH = 16
_PROBES_AT_MOST = 40
_FULL_TESTS_AT_MOST = 12
_TESTS_AT_MOST = 80
_TESTS_OF_ONE_N = 2
_TESTS_WHEN_FLAT = 4
_PATIENCE_S = 120.0
"""Time in full tests after which no N gets a third one."""
_PROMISE = 6
"""How much more doubt than is wanted the counts of an N may leave for one test more to be worth it."""
_ENOUGH = 0.7
"""Share of the doubt by which N must be away from the edge: tests are placed a whole one away."""
_NOISY = 1e-3
_GAP = 0.01
"""Relative width of what may stay undecided below the first N that was shown INVALID."""
_WIDE = 0.05
"""Relative width of what stays undecided that is worth some tests more."""
_REFUSALS_AT_MOST = 10
_UNDECIDED_AT_MOST = 2
"""N between the answer and the first INVALID whose tests decided nothing: more of them would not either."""
_SPOILT_AT_MOST = 4
"""Tests of one N that a disturbed machine may spoil."""
_BACK = 1e-3
"""Relative step back from an N that could not be shown VALID; doubled with each that could not."""


class BoundaryState:
    """Everything that follows from what was seen.

    Args:
        question: What is to be found.
        seen: In order.
        rounds: How many times over tests are allowed; see `Searcher.extend`.
    """

    def __init__(self, question: Question, seen: Sequence[Observation], rounds: int = 1) -> None:
        self._question = question
        self._rounds = rounds
        self._domain = question.domain
        self._step = question.domain.step
        self._rate = question.allowed_rate
        self._seen = seen
        self._pools = pools(question, seen)
        self._model = LatencyModel(question, self._pools)

    @functools.cached_property
    def good(self) -> int | None:
        """The largest N shown VALID with the wanted confidence."""
        return max((n for n in self._pools if self._is_good(n)), default=None)

    def confidence(self, n: int) -> float:
        """Return how surely N is VALID."""
        pool = self._pools[n]
        if not self.doubt or pool.valid_tests >= _TESTS_WHEN_FLAT:
            return pool.p_valid
        return min(pool.p_valid, self._model.p_below_the_edge(n))

    @functools.cached_property
    def bad(self) -> int | None:
        """The smallest N above `good` that was shown not VALID."""
        return min((n for n in self._pools if n > (self.good or 0) and self._is_bad(n)), default=None)

    def _is_good(self, n: int) -> bool:
        pool = self._pools[n]
        often = pool.valid_tests >= _TESTS_WHEN_FLAT
        return pool.is_good and (not self.doubt or often or self._model.margin(n) >= _ENOUGH * self.doubt)

    def _is_bad(self, n: int) -> bool:
        pool = self._pools[n]
        clear = not self.doubt or self._model.margin(n) <= -_ENOUGH * self.doubt
        return pool.is_bad and (clear or bool(pool.does_not_run))

    @property
    def doubt(self) -> float:
        """How far off, relative, the edge may be because whole tests differ, at the wanted confidence."""
        return self._model.doubt * NormalDist().inv_cdf(self._question.confidence)

    @functools.cached_property
    def bracket(self) -> tuple[int | None, int | None]:
        """The largest N that looks VALID so far, and the smallest above it that does not."""
        leans_over = {n: self._model.leans_over(pool) for n, pool in self._pools.items()}
        over = min((n for n, leans in leans_over.items() if leans and n > (self.good or 0)), default=None)
        under = [n for n, leans in leans_over.items() if not leans and self._pools[n].query_count]
        return max((n for n in under if over is None or n < over), default=None), over

    @functools.cached_property
    def _full_tests(self) -> int:
        """How many there were; tries on a disturbed machine are one together."""
        pools = self._pools.values()
        return sum(1 if pool.is_disturbed else pool.tests_of_full_length for pool in pools)

    @property
    def _may_test(self) -> bool:
        """Whether full tests are left."""
        return self._full_tests < _FULL_TESTS_AT_MOST * self._rounds

    @property
    def limit(self) -> str:
        """What ends the search where nothing is left to ask and nothing is settled."""
        if len(self._seen) >= _TESTS_AT_MOST * self._rounds:
            return f"its limit of {_TESTS_AT_MOST * self._rounds} tests"
        if not self._may_test:
            return f"its limit of {_FULL_TESTS_AT_MOST * self._rounds} full tests"
        return f"its limit of {_TESTS_OF_ONE_N * self._rounds} full tests of one N"

    def ask(self) -> Ask | None:
        """Return the next test; None when nothing is left to ask."""
        if len(self._seen) >= _TESTS_AT_MOST * self._rounds:
            return None
        steps: tuple[Callable[[], Ask | None], ...] = (
            *(self._retry, self._first, self._probe, self._prove, self._bound, self._narrow),
            *(self._tighten, self._look_above, self._confirm),
        )
        asks = (ask for step in steps if (ask := step()) is not None)
        return next((ask for ask in asks if not self._is_in_vain(ask)), None)

    def _is_in_vain(self, ask: Ask) -> bool:
        """Say whether a disturbed machine has spoilt so many tests of an N that one more is not worth it."""
        pool = self._pools.get(ask.samples_per_query)
        if ask.query_count is not None or pool is None:
            return False
        return pool.set_aside + len(pool.full) * pool.is_disturbed >= _SPOILT_AT_MOST * self._rounds

    # Probes

    def _retry(self) -> Ask | None:
        """Ask once more for a test that failed, unless it was out of memory."""
        if not self._seen or self._seen[-1].shown is not Shown.FAILED:
            return None
        last = self._seen[-1]
        failures = [one for one in self._seen if one.shown is Shown.FAILED]
        if sum(one.samples_per_query == last.samples_per_query for one in failures) > 1:
            return None
        return Ask(last.samples_per_query, None if last.is_full else PROBE, "again, since it failed")

    def _first(self) -> Ask | None:
        """Start at the smallest N: where that is over the bound, nothing is VALID."""
        low = self._domain.low
        if low not in self._pools:
            return Ask(low, PROBE, "the smallest N")
        pool = self._pools[low]
        if pool.leans_over and not pool.is_bad and len(pool.full) < _TESTS_OF_ONE_N * self._rounds:
            return Ask(low, None, "is the smallest N VALID?")
        return None

    def _probe(self) -> Ask | None:
        """Narrow the bracket by short tests while they can tell its ends apart."""
        under, over = self.bracket
        short = sum(not one.is_full for one in self._seen)
        if under is None or self._full_tests or short >= _PROBES_AT_MOST:
            return None
        if over is None:
            return None if under >= self._domain.high else Ask(self._beyond(under), PROBE, "towards the edge")
        if over - under <= self._step:
            return None
        error = self._model.error(EDGE_PROBE)
        if self._model.curve is not None and error > _NOISY:
            limit = self._question.target_latency_ns / self._model.tail(self._rate)
            low, high = (self._model.centre(n) / limit for n in (under, over))
            if high - low < 3 * error and abs(low - 1) < 2 * error + _GAP:
                return None
        narrow = over - under < 0.1 * over and self._model.noise > _NOISY
        return Ask(self._inside(under, over), EDGE_PROBE if narrow else PROBE, "narrow the bracket")

    def _beyond(self, under: int) -> int:
        """Return the N to jump to while nothing is over the bound yet."""
        edge = self._model.edge(self._rate)
        if edge is None or self._model.curve is None:
            # As long as a fixed cost is shared, twice the samples never take more than twice the time.
            centre = (self._pools[under].percentile_ns or 1) * 1.0
            edge = int(under * self._question.target_latency_ns / max(centre, 1.0))
        wanted = edge if edge > under else 2 * under
        reached = self._domain.floor(max(min(wanted, _GROWTH * under), under + self._step))
        return min(max(reached, under + self._step), self._domain.high)

    def _inside(self, under: int, over: int) -> int:
        """Return where to probe between the ends of the bracket."""
        first, last = under + self._step, over - self._step
        edge = self._model.edge(self._rate)
        if edge is None or self._is_slow():
            return min(max(self._domain.floor((under + over) / 2), first), last)
        slope = (self._model.centre(over) - self._model.centre(under)) / (over - under)
        apart = self._model.error(EDGE_PROBE) * self._question.target_latency_ns / slope if slope > 0 else 0.0
        margin = max(self._step, int(apart / self._step) * self._step)
        if edge <= under:
            return min(under + margin, last)
        return max(over - margin, first) if edge >= over else edge

    def _is_slow(self) -> bool:
        """Say whether the last three tests have not narrowed the bracket to a third."""
        ends = [
            BoundaryState(self._question, self._seen[:count]).bracket
            for count in (len(self._seen) - 3, len(self._seen))
        ]
        (under, over), (low, high) = ends
        if under is None or over is None or low is None or high is None:
            return False
        return 3 * (high - low) > over - under

    # Proofs

    @functools.cached_property
    def _rate_for_good(self) -> float:
        """The share over the bound at which a full test will most likely show VALID conclusively."""
        count = self._question.full_query_count
        most = most_over(count, self._rate, self._question.confidence)
        return max(most - math.sqrt(max(most, 0)), 0.1) / count

    @functools.cached_property
    def _edge_for_good(self) -> int | None:
        """The largest N that a few full tests will most likely show VALID."""
        by_one = self._model.edge(self._rate_for_good, self.doubt)
        by_several = self._model.edge(0.6 * self._rate, self.doubt)
        # Where the tail is flat, a smaller N is hardly better: several tests of the larger one are worth it.
        return by_several if by_several and by_several > 1.05 * (by_one or 0) else by_one

    @functools.cached_property
    def _rate_for_bad(self) -> float:
        """The share over the bound at which a full test will most likely show INVALID conclusively."""
        return min(self._rate + 6 * math.sqrt(self._rate / self._question.full_query_count), 0.5)

    @property
    def _rate_when_refused(self) -> float:
        """The same where the next N was INVALID already: few queries count for more than a close bound."""
        return 0.5 if self._model.drift else 0.05

    def _prove(self) -> Ask | None:
        """Test the largest N in full that is likely to be shown VALID."""
        candidate = self._promising() or self._candidate()
        if candidate is None or not self._may_test:
            return None
        pool = self._pools.get(candidate)
        near = [p.query_count for n, p in self._pools.items() if abs(n - candidate) <= 0.03 * candidate]
        if self._model.noise > _NOISY and sum(near) < EDGE_LOOK and not self._full_tests:
            return Ask(candidate, EDGE_LOOK, "how latencies spread near the edge")
        again = pool is not None and len(pool.full) > 0
        return Ask(candidate, None, "VALID, but not surely: again" if again else "is it VALID?")

    @property
    def _tests_when_flat(self) -> int:
        """Full tests that one N may have: more than two only while full tests have taken little time."""
        spent_ns = sum(float(one.latencies_ns.sum()) for one in self._seen if one.is_full)
        return self._rounds * (_TESTS_WHEN_FLAT if spent_ns < _PATIENCE_S * 1e9 else _TESTS_OF_ONE_N)

    def _promising(self) -> int | None:
        """Return the largest N above the answer that one test more will likely show VALID surely."""
        likely = 1 - _PROMISE * (1 - self._question.confidence)
        for n, pool in sorted(self._pools.items(), reverse=True):
            is_near = likely <= pool.p_valid < self._question.confidence and not pool.invalid_tests
            if n > (self.good or 0) and is_near and 0 < pool.valid_tests < self._tests_when_flat:
                return n
        return None

    def _candidate(self) -> int | None:
        """Return the N to prove next; None when no larger one is worth a test."""
        domain, good = self._domain, self.good or 0
        _, over = self.bracket
        ceiling = min(end - self._step for end in (self.bad, over, domain.high + self._step) if end is not None)
        edge = self._edge_for_good
        wanted = min(domain.low if edge is None else edge, ceiling)
        # Below what was INVALID, or VALID so barely that more of the same would not help: further with each of them.
        spent = [n for n in self._pools if n > good and self._is_spent(n)]
        if spent:
            lowest = min(spent)
            back = max(self._step, domain.step * int(lowest * _BACK / domain.step)) * 2 ** (len(spent) - 1)
            wanted = min(wanted, domain.floor(max(lowest - back, (good + lowest) // 2)))
        if not good and not self._is_tested(domain.low):
            wanted = max(wanted, domain.low)  # "nothing is VALID" is never said without a full test
        if wanted < domain.low or wanted <= good + int(good * _GAP / 2):
            return None
        return wanted

    def _is_spent(self, n: int) -> bool:
        """Say whether another full test of N would hardly show it VALID."""
        pool = self._pools[n]
        flat = n == self._edge_for_good and pool.p_valid > 0.5
        most = self._tests_when_flat if flat else _TESTS_OF_ONE_N * self._rounds
        return bool(pool.full) and not self._is_good(n) and (pool.invalid_tests > 0 or len(pool.full) >= most)

    def _bound(self) -> Ask | None:
        """Show that an N above the answer is INVALID: the next one, else the smallest that can be shown."""
        good, high = self.good, self._domain.high
        if good is None or good >= high or not self._may_test:
            return None
        following = good + self._step
        refused = [n for n, pool in self._pools.items() if n > good and pool.invalid_tests]
        can_be_told = (
            self._model.over_rate(following) >= self._rate or min(refused, default=high) <= following + self._step
        )
        if can_be_told and not self._is_tested(following):
            return Ask(following, None, "is the next one INVALID?")
        disturbed = [n for n in refused if self._pools[n].is_disturbed]
        if self.bad is not None or len(disturbed) >= _UNDECIDED_AT_MOST:  # on such a machine nothing is shown INVALID
            return None
        for n in sorted({*refused} - {*disturbed}):  # stopped too soon, by so many over the bound that it soon will be
            pool = self._pools[n]
            often = pool.over_latency_count > 5 * self._rate * pool.query_count
            if often and len(pool.full) < _TESTS_WHEN_FLAT * self._rounds:
                return Ask(n, None, "INVALID, but not surely: again")
        edge = self._model.edge(self._rate_when_refused if refused else self._rate_for_bad, -self.doubt)
        wanted, leap = min(max((edge or good) + self._step, following), high), _BACK
        while wanted < high and self._is_tested(wanted):
            wanted, leap = min(self._domain.floor(wanted * (1 + leap)) + self._step, high), 2 * leap
        if wanted in self._pools and len(self._pools[wanted].full) >= _TESTS_OF_ONE_N * self._rounds:
            return None
        return Ask(wanted, None, "the smallest that can be shown INVALID")

    def _narrow(self) -> Ask | None:
        """Halve what lies between the answer and the first INVALID while it is wider than the noise explains."""
        good, bad = self.good, self.bad
        if good is None or bad is None or not self._may_test:
            return None
        unclear = self._model.tail(self._rate_for_good) / self._model.tail(self._rate_for_bad) - 1
        steep = (self._model.centre(bad) - self._model.centre(good)) / self._question.target_latency_ns
        if bad - good <= max(self._step, _GAP * good) and unclear * 2 > steep:
            return None
        undecided = [pool for n, pool in self._pools.items() if good < n < bad and pool.tests_of_full_length]
        following = self._pools.get(good + self._step)
        if len(undecided) >= _UNDECIDED_AT_MOST or (following is not None and following.invalid_tests):
            return None
        between = [self._model.edge(self._rate), self._domain.floor((good + bad) / 2)]
        for n in between:
            if n is not None and good < n < bad and not self._is_tested(n):
                return Ask(n, None, "between VALID and INVALID")
        return None

    def _tighten(self) -> Ask | None:
        """Bring the first INVALID nearer where it is far above the answer, as where latencies have a long tail."""
        good, bad = self.good, self.bad
        if good is None or bad is None or bad - good <= max(self._step, _WIDE * good):
            return None
        above = [n for n, pool in self._pools.items() if n > good and pool.invalid_tests]
        undecided = max((n for n in above if n < bad), default=good)
        edge = self._model.edge(self._rate_for_bad, -self.doubt) or good
        wanted = max(edge + self._step, self._domain.floor((undecided + bad) / 2))
        if len(above) >= _REFUSALS_AT_MOST or not good < wanted < bad or self._is_tested(wanted):
            return None
        return Ask(wanted, None, "is a nearer one INVALID?")

    def _is_tested(self, n: int) -> bool:
        """Say whether N was tested in full, or does not run at all."""
        return n in self._pools and (self._pools[n].tests_of_full_length > 0 or bool(self._pools[n].does_not_run))

    # Around the answer

    def _look_above(self) -> Ask | None:
        """Look at round values above the edge."""
        if self.good is None or self.bad is None:
            return None
        for multiple in ROUND_VALUES:
            n = (self.bad // multiple + 1) * multiple
            if n not in self._domain:
                continue
            pool = self._pools.get(n)
            if pool is None:
                cheap = self._model.over_rate(n) > 10 * self._rate
                return Ask(n, None if cheap else EDGE_PROBE, f"a multiple of {multiple} above it")
            if pool.query_count and not pool.leans_over and not pool.full and self._model.is_faster(pool):
                return Ask(n, None, f"a multiple of {multiple} that looks VALID")
            if pool.valid_tests and not self._is_good(n) and len(pool.full) < _TESTS_OF_ONE_N * self._rounds:
                return Ask(n, None, f"a multiple of {multiple} that was VALID: again")
        return None

    def _confirm(self) -> Ask | None:
        """Test the answer once more where whole tests differ by more than their queries explain."""
        if self.good is None or not self.doubt or len(self._pools[self.good].full) >= _TESTS_OF_ONE_N:
            return None
        return Ask(self.good, None, "confirmation")
