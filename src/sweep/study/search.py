"""Runs a search: ask, execute, store, tell, until the searcher is done or a budget is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sweep.errors import ConfigError, SweepError
from sweep.search.base import Ask, Observation, Question, Shown
from sweep.search.certificate import Certificate, Status, certify
from sweep.search.evidence import pools
from sweep.search.searcher import Searcher
from sweep.study.allowance import Allowance, Purse
from sweep.study.answer_tests import of_the_answer
from sweep.study.measure import Bench, Outcome
from sweep.study.observe import observation
from sweep.study.spoilt import TRIES, is_spoilt, is_worth_a_try
from sweep.trial.measurement import Progress
from sweep.trial.messages import TrialFiles
from sweep.trial.spec import TrialSpec


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
class SettingResult:
    """One setting of a joint search.

    Attributes:
        setting: Key to value.
        max_streams: The largest N found under it; None when it was dropped before, or has none.
        why: How it was dropped, or what its search has shown.
    """

    setting: Mapping[str, Any]
    max_streams: int | None
    why: str


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
        stopped_by: The budget that ended it, or `interrupted`; empty where it was done.
        settings: What a joint search tried, in order.
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
    stopped_by: str = ""
    settings: tuple[SettingResult, ...] = ()

    @property
    def answer_tests(self) -> tuple[SearchTest, ...]:
        """Its tests that the certificate is about: of a joint search, those under the setting that has won."""
        wanted = of_the_answer(self.plan, self.settings)
        return tuple(test for test in self.tests if wanted(test.outcome.stored.result.spec))


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

    def begin(self, params: Mapping[str, Any], space: Mapping[str, tuple[Any, ...]] | None = None) -> int:
        """Enter what is about to run, and return its number; `space` has the choices of what is no whole number."""

    def finish(self, number: int, value: float, attributes: Mapping[str, Any]) -> None:
        """Enter what came out of it."""

    def fail(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Enter that it failed."""

    @property
    def starts_over(self) -> bool:
        """Whether records of other searches are none of its own."""

    def entered(self) -> set[str]:
        """Return the records, by folder, that are entered already."""


class TestRefusedError(SweepError):
    """Not even the smallest N can be set up on this machine."""

    __test__ = False  # not a test class, whatever pytest thinks of its name


class SearchRun:
    """One search under way. `run` may be interrupted at any time; `outcome` says what was shown until then.

    Args:
        plan: What is searched for.
        tests: Makes its tests.
        searcher: Decides which.
        bench: Where they are measured.
        ledger: Where they are entered, if anywhere.
        observer: Told of everything.
        purse: What it may spend.
    """

    def __init__(
        self,
        plan: SearchPlan,
        tests: Tests,
        searcher: Searcher,
        bench: Bench,
        ledger: Ledger | None,
        observer: SearchObserver,
        purse: Purse,
    ) -> None:
        self._plan = plan
        self._points = tests
        self._searcher = searcher
        self._bench = bench
        self._ledger = ledger
        self._observer = observer
        self._purse = purse
        self._entered = set() if ledger is None else ledger.entered()
        self._only = self._entered if ledger is not None and ledger.starts_over else None
        self._allowance = Allowance(plan, purse, searcher.seen, self._is_stored)
        self._shown: dict[str, list[tuple[Observation, Outcome]]] = {}
        self._is_busy: bool | None = None
        self._begin = time.perf_counter()
        self.tests: list[SearchTest] = []
        self.stopped_by = "interrupted"
        self.limit = ""
        self.refused: dict[int, str] = {}

    def run(self) -> None:
        """Test until the searcher has nothing left to ask, or the purse is empty."""
        while (ask := self._next()) is not None:
            if self.step(ask) is None and self.stopped_by != "interrupted":
                if self._recalls():
                    self.stopped_by = "interrupted"
                    continue
                self._close()
                return
        self.stopped_by = ""

    def _next(self) -> Ask | None:
        """Return what to test; a search that ended at a limit of its own goes beyond it when it is asked for again."""
        ask = self._searcher.ask()
        if ask is not None or not self._is_unsettled:
            return ask
        limit = self._searcher.limit
        if self._searcher.extend():
            if all(test.outcome.reused for test in self.tests):
                return self._next()
            self.limit = limit
        return self._next() if self._recalls() and not self.limit else None

    @property
    def _is_unsettled(self) -> bool:
        """Whether more tests may give an answer, or bound it."""
        status = self.certificate().status
        is_open = status is Status.OPEN and self._searcher.proven()[1] is None
        return is_open or status in (Status.UNKNOWN, Status.UNCONFIRMED)

    def _close(self) -> None:
        """Spend what is left of a budget on full tests until one is VALID: else it may have bought nothing."""
        ended, largest = self.stopped_by, None
        for _ in range(TRIES):
            left = (n for n in self._allowance.affordable() if largest is None or 2 * n <= largest)
            largest = None if self._allowance.has_valid else next(left, None)
            if largest is None or self.step(Ask(largest, None, "with what is left of the budget")) is None:
                break
        self.stopped_by = ended + self._allowance.shortfall

    def _recalls(self) -> bool:
        """Take in the full tests of earlier calls that this one has not come to, and say whether there were any.

        Short tests that were run again may have led it elsewhere; it answers no less than those calls for that.
        """
        told = len(self.tests)
        domain = self._plan.question.domain
        for n in (one for one in self._bench.tested(self._plan.spec) if one in domain):
            while self._is_stored(n):
                self._test(Ask(n, None, "measured by an earlier call"), self._points.point(n, None))
        return len(self.tests) > told

    def step(self, ask: Ask) -> SearchTest | None:
        """Look one test up, or measure it; None where it cannot be set up here, or the purse does not hold it.

        Where nothing but a disturbed machine has made it INVALID, it is run again: at once a few times, and once more
        whenever the search is asked for again; so is a short test, then, unless the machine is as busy as it was. The
        searcher is told of each.

        Raises:
            TestRefusedError: The smallest N cannot be set up, so there is nothing to search.
        """
        self._bench.pause()
        self._observer.asked(ask, self.view)
        try:
            point = self._points.point(ask.samples_per_query, ask.query_count)
        except ConfigError as error:
            self._refuse(ask, error)
            return None
        test = self._test(ask, point)
        while test is not None and self._is_wanted_again(point):
            again = replace(ask, why="again, since the machine was disturbed")
            self._observer.asked(again, self.view)
            test = self._test(again, point)
        return test

    def _is_wanted_again(self, point: TrialPoint) -> bool:
        tries = self._shown[point.spec.digest]
        return is_spoilt(tries) and (self._stored(point) is not None or is_worth_a_try(tries, is_busy=self._is_busy))

    def _stored(self, point: TrialPoint) -> Outcome | None:
        used = {test.outcome.stored.directory for test in self.tests}
        return self._bench.unused(point.spec, used, self._only)

    def _is_stored(self, n: int) -> bool:
        try:
            return self._stored(self._points.point(n, None)) is not None
        except ConfigError:
            return False

    def _test(self, ask: Ask, point: TrialPoint) -> SearchTest | None:
        outcome, number = self._stored(point), None
        if outcome is None:
            if ended := self._allowance.ends(ask):
                self.stopped_by = ended
                return None
            number = self._begin_entry(ask)
            try:
                outcome = self._measure(point)
            except BaseException:  # Ctrl-C: a test left running would keep other machines off the study
                if number is not None and self._ledger is not None:
                    self._ledger.fail(number, {"why": "interrupted"})
                raise
        elif str(outcome.stored.directory) not in self._entered:
            number = self._begin_entry(ask)
        test = SearchTest(ask, outcome)
        self.tests.append(test)
        seen = observation(ask, outcome.stored.result, outcome.stored.directory)
        self._shown.setdefault(point.spec.digest, []).append((seen, outcome))
        self._is_busy = self._is_busy if outcome.reused else seen.busy
        self._searcher.tell(seen)
        if number is not None:
            self._enter(number, ask, outcome)
        self._observer.answered(test, self.view)
        return test

    def _begin_entry(self, ask: Ask) -> int | None:
        entry = {"samples_per_query": ask.samples_per_query, "query_count": ask.query_count or 0}
        return None if self._ledger is None else self._ledger.begin(entry)

    def _measure(self, point: TrialPoint) -> Outcome:
        self._bench.reserve()  # waiting for others costs nothing
        begin = time.perf_counter()
        outcome = self._bench.measure(point.spec, point.files, self._observer.progressed)
        self._purse.pay(time.perf_counter() - begin, outcome.stored.result.query_count)
        return outcome

    def _enter(self, number: int, ask: Ask, outcome: Outcome) -> None:
        if self._ledger is None:
            return
        result, is_full = outcome.stored.result, ask.query_count is None
        attributes: dict[str, Any] = {
            "record": str(outcome.stored.directory),
            "result": str(result.result or result.state) if is_full or result.failure else "none: a short test",
            "why": result.why,
            "query_count": result.query_count,
            "over_latency_count": result.over_count,
            "percentile_ms": None if result.percentile_ns is None else result.percentile_ns / 1e6,
        }
        if result.failure is not None:
            self._ledger.fail(number, attributes)
            return
        # What is not shown VALID is COMPLETE and worth nothing: Optuna's best must not be a lucky or a short test.
        n = result.spec.samples_per_query
        is_good = pools(self._plan.question, self._searcher.seen)[n].is_good
        self._ledger.finish(number, float(n if is_good else 0), attributes)

    def _refuse(self, ask: Ask, error: ConfigError) -> None:
        """Take an N that cannot be set up here as one that is too large."""
        if ask.samples_per_query == self._plan.question.domain.low:
            raise TestRefusedError(str(error.problems[0])) from error
        n = ask.samples_per_query
        self.refused[n] = str(error.problems[0])
        empty = np.zeros(0, np.int64)
        self._searcher.tell(Observation(n, ask.query_count is None, Shown.REFUSED, empty, 0, 0))

    @property
    def view(self) -> SearchView:
        """How far it is."""
        valid, invalid = self._searcher.bracket()
        seen = self._searcher.seen
        queries = sum(one.query_count for one in seen)
        return SearchView(valid, invalid, len(seen), queries, self.seconds, self._purse.seconds_left)

    @property
    def seconds(self) -> float:
        """Time since it began."""
        return time.perf_counter() - self._begin

    def certificate(self) -> Certificate:
        """Return what was shown so far."""
        return certify(self._searcher, is_complete=not (self.stopped_by or self.limit))

    def failure(self) -> str:
        """Return why nothing could be found out; empty where something could."""
        if self.certificate().status is not Status.UNKNOWN:
            return ""
        failures = [test.outcome.stored.result.failure for test in self.tests]
        last = next((one for one in reversed(failures) if one is not None), None)
        return "" if last is None else f"{last.kind}: {last.message}"
