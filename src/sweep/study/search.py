"""Runs a search: ask, execute, store, tell, until the searcher is done or a budget is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sweep.errors import ConfigError
from sweep.paths import AttemptPaths
from sweep.search.base import Ask, Latencies, Observation, Question, Shown
from sweep.search.certificate import Certificate, certify
from sweep.search.evidence import pools
from sweep.search.searcher import Searcher
from sweep.study.measure import Bench, Outcome
from sweep.trial.executor import Progress
from sweep.trial.messages import TrialFiles
from sweep.trial.result import TrialResult
from sweep.trial.spec import TrialSpec
from sweep.trial.trial import BUSY
from sweep.vocabulary import TrialState, Verdict


@dataclass(frozen=True)
class SearchTest:
    """One test of a search.

    Attributes:
        ask: What was asked for.
        outcome: What came out.
    """

    ask: Ask
    outcome: Outcome


@dataclass(frozen=True)
class SearchPlan:
    """One search of a sweep, ready to run.

    Attributes:
        name: Its study.
        label: What sets it apart from the other searches of its sweep.
        question: What is to be found.
        algorithm: Of the searcher.
        spec: A full test at the smallest N.
    """

    name: str
    label: Mapping[str, str]
    question: Question
    algorithm: str
    spec: TrialSpec


@dataclass(frozen=True)
class SearchView:
    """How far a search is.

    Attributes:
        valid: Largest N that looks VALID so far.
        invalid: Smallest N above it that does not.
        tests: Tests done.
        query_count: Queries done.
        seconds: Time spent.
        seconds_left: Of the budget; None when there is none.
    """

    valid: int | None
    invalid: int | None
    tests: int
    query_count: int
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True)
class SearchOutcome:
    """A search, done or stopped.

    Attributes:
        plan: What was searched for.
        certificate: What it showed.
        tests: Every test, in order.
        seconds: Time spent by this call.
        measured_seconds: Time that its tests took, whenever they were run.
        storage: Where Optuna keeps the study: a file or a URL.
        accuracy: Accuracy of the engine and what it was held against, in one line; empty when it was not asked for.
        accuracy_failed: Whether that was too little, so that no performance was measured.
        failure: Why the search could not go on; empty when it could.
        notes: What a reader must know before using the numbers.
        directory: Folder of the command, with certificate and plot.
    """

    plan: SearchPlan
    certificate: Certificate
    tests: tuple[SearchTest, ...]
    seconds: float
    measured_seconds: float
    storage: str
    accuracy: str
    accuracy_failed: bool
    failure: str
    notes: tuple[str, ...]
    directory: Path


class SearchObserver(Protocol):
    """Sees searches as they go."""

    def search_started(self, number: int, count: int, plan: SearchPlan) -> None:
        """Search `number` (from 0) of `count` begins."""

    def asked(self, ask: Ask, view: SearchView) -> None:
        """A test is about to be measured, or looked up."""

    def progressed(self, progress: Progress) -> None:
        """The running test moved on; about four times a second."""

    def answered(self, test: SearchTest, view: SearchView) -> None:
        """A test is done."""

    def search_finished(self, outcome: SearchOutcome) -> None:
        """The search is over."""


class TrialPoint(Protocol):
    """A trial that is ready to run."""

    @property
    def spec(self) -> TrialSpec:
        """What to measure."""

    @property
    def files(self) -> TrialFiles:
        """Where its parts lie."""


class Tests(Protocol):
    """Makes the tests that a search asks for."""

    def point(self, n: int, query_count: int | None) -> TrialPoint:
        """Return the test of N: of the asked run class in full or, with a count, a short one that runs to its end.

        Raises:
            ConfigError: N cannot be tested on this machine.
        """


class Ledger(Protocol):
    """Where a search enters its tests for others to see: an Optuna study."""

    def begin(self, params: Mapping[str, Any]) -> int:
        """Enter a test that is about to run; return its number."""

    def finish(self, number: int, value: float, attributes: Mapping[str, Any]) -> None:
        """Enter what came out of it."""

    def fail(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Enter that it failed."""

    def entered(self) -> set[str]:
        """Return the records, by folder, that are entered already."""


@dataclass(frozen=True)
class Budget:
    """What one call may spend on tests that are not reused; None is no limit."""

    seconds: float | None = None
    queries: int | None = None
    tests: int | None = None


class SearchRun:
    """One search under way. `run` may be interrupted at any time; `outcome` says what was shown until then.

    Args:
        plan: What is searched for.
        tests: Makes its tests.
        searcher: Decides which.
        bench: Where they are measured.
        ledger: Where they are entered.
        observer: Told of everything.
        budget: When to stop.
    """

    def __init__(
        self,
        plan: SearchPlan,
        tests: Tests,
        searcher: Searcher,
        bench: Bench,
        ledger: Ledger,
        observer: SearchObserver,
        budget: Budget,
    ) -> None:
        self._plan = plan
        self._points = tests
        self._searcher = searcher
        self._bench = bench
        self._ledger = ledger
        self._observer = observer
        self._budget = budget
        self._entered = ledger.entered()
        self._begin = time.perf_counter()
        self._queries = self._measured = 0
        self._spent_s = 0.0
        self.tests: list[SearchTest] = []
        self.stopped_by = "interrupted"
        self.refused: dict[int, str] = {}

    def run(self) -> None:
        """Test until the searcher has nothing left to ask, or the budget ends."""
        while (ask := self._searcher.ask()) is not None:
            self._bench.pause()
            self._observer.asked(ask, self.view)
            try:
                point = self._points.point(ask.samples_per_query, ask.query_count)
            except ConfigError as error:
                self._refuse(ask, error)
                continue
            used = {test.outcome.stored.directory for test in self.tests}
            outcome = self._bench.unused(point.spec, used)
            if outcome is None:
                if (ended := self._exhausted(ask)) is not None:
                    self.stopped_by = ended
                    return
                outcome = self._measure(ask, point)
            elif str(outcome.stored.directory) not in self._entered:
                self._enter(self._ledger.begin(_params(ask)), outcome)
            test = SearchTest(ask, outcome)
            self.tests.append(test)
            self._searcher.tell(observation(ask, outcome.stored.result, outcome.stored.directory))
            self._observer.answered(test, self.view)
        self.stopped_by = ""

    def _measure(self, ask: Ask, point: TrialPoint) -> Outcome:
        number = self._ledger.begin(_params(ask))
        begin = time.perf_counter()
        outcome = self._bench.measure(point.spec, point.files, self._observer.progressed)
        self._spent_s += time.perf_counter() - begin
        self._queries += outcome.stored.result.query_count
        self._measured += 1
        self._enter(number, outcome)
        return outcome

    def _enter(self, number: int, outcome: Outcome) -> None:
        result = outcome.stored.result
        attributes: dict[str, Any] = {
            "record": str(outcome.stored.directory),
            "result": str(result.result or result.state),
            "why": result.why,
            "query_count": result.query_count,
            "over_latency_count": result.over_latency_count,
            "percentile_ms": None if result.percentile_ns is None else result.percentile_ns / 1e6,
        }
        if result.failure is not None:
            self._ledger.fail(number, attributes)
            return
        # An INVALID point is COMPLETE and worth nothing: samplers ignore those that failed.
        value = result.spec.samples_per_query if result.result is Verdict.VALID else 0
        self._ledger.finish(number, float(value), attributes)

    def _refuse(self, ask: Ask, error: ConfigError) -> None:
        """Take an N that cannot be set up here as one that is too large."""
        if ask.samples_per_query == self._plan.question.domain.low:
            raise error
        n = ask.samples_per_query
        self.refused[n] = str(error.problems[0])
        empty = np.zeros(0, np.int64)
        self._searcher.tell(Observation(n, ask.query_count is None, Shown.OUT_OF_MEMORY, empty, 0, 0))

    def _exhausted(self, ask: Ask) -> str | None:
        """Say which budget ends before the next test would."""
        limits = self._budget
        planned = ask.query_count or self._plan.question.full_query_count
        if limits.tests is not None and self._measured >= limits.tests:
            return f"search.budget.tests={limits.tests}"
        if limits.queries is not None and self._queries + planned > limits.queries:
            return f"search.budget.queries={limits.queries}"
        if limits.seconds is not None and self._spent_s + self._expected_s(ask, planned) > limits.seconds:
            return f"search.budget.seconds={limits.seconds:g}"
        return None

    def _expected_s(self, ask: Ask, planned: int) -> float:
        """Return how long a test will take, from that of the nearest N; tests over the bound are stopped early."""
        known = {n: pool for n, pool in pools(self._plan.question, self._searcher.seen).items() if pool.query_count}
        if not known:
            return 0.0
        nearest = min(known, key=lambda n: abs(n - ask.samples_per_query))
        latencies = known[nearest].latencies_ns
        scale = max(ask.samples_per_query / nearest, 1.0)
        each = float(np.median(latencies)) * scale if latencies.size else 0.0
        return planned * min(each, self._plan.question.target_latency_ns) / 1e9

    @property
    def view(self) -> SearchView:
        """How far it is."""
        valid, invalid = self._searcher.bracket()
        seen = self._searcher.seen
        left = None if self._budget.seconds is None else max(self._budget.seconds - self._spent_s, 0.0)
        queries = sum(one.query_count for one in seen)
        return SearchView(valid, invalid, len(seen), queries, time.perf_counter() - self._begin, left)

    @property
    def seconds(self) -> float:
        """Time since it began."""
        return time.perf_counter() - self._begin

    def certificate(self) -> Certificate:
        """Return what was shown so far."""
        return certify(self._searcher, is_complete=not self.stopped_by)


def _params(ask: Ask) -> dict[str, Any]:
    return {"samples_per_query": ask.samples_per_query, "query_count": ask.query_count or 0}


def observation(ask: Ask, result: TrialResult, directory: Path) -> Observation:
    """Return what a stored test tells a searcher.

    Args:
        ask: What was asked for.
        result: Its record.
        directory: Where that lies, with the latencies.
    """
    latencies = _latencies(directory)
    if result.state is TrialState.FAILED:
        memory = result.failure is not None and result.failure.is_out_of_memory
        shown = Shown.OUT_OF_MEMORY if memory else Shown.FAILED
        # Its queries tell nothing of the tests of this N that do not fail.
        return Observation(ask.samples_per_query, ask.query_count is None, shown, latencies[:0], 0, 0)
    over, target = result.over_latency_count, result.spec.rules.target_latency_ns
    if over is None and latencies.size and target is not None:  # more queries than latencies are kept of
        over = round(float((latencies > target).mean()) * result.query_count)
    return Observation(
        samples_per_query=ask.samples_per_query,
        is_full=ask.query_count is None,
        shown=Shown.VALID if result.result is Verdict.VALID else Shown.INVALID,
        latencies_ns=latencies,
        over_latency_count=over or 0,
        query_count=result.query_count,
        busy=any(note.startswith(BUSY) for note in result.notes),
    )


def _latencies(directory: Path) -> Latencies:
    """Return the latencies of a test; none where the file is gone or damaged, since the record's counts remain."""
    try:
        return np.asarray(np.load(AttemptPaths(directory).latencies, allow_pickle=False), dtype=np.int64)
    except (OSError, ValueError):
        return np.zeros(0, np.int64)
