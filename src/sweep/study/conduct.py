"""Conducts a search from its gate to its outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sweep.search.base import Ask
from sweep.search.evidence import p_valid
from sweep.search.registry import make_searcher
from sweep.study.accuracy_gate import AccuracyTests, GateResult, check_accuracy
from sweep.study.allowance import Purse
from sweep.study.measure import Bench
from sweep.study.search import (
    Ledger,
    SearchObserver,
    SearchOutcome,
    SearchPlan,
    SearchRun,
    SearchTest,
    TestRefusedError,
    Tests,
)
from sweep.vocabulary import Verdict


class SearchJob(Tests, AccuracyTests, Protocol):
    """One search as the configuration has it."""

    @property
    def plan(self) -> SearchPlan:
        """What is searched for."""

    @property
    def seed(self) -> int:
        """Of whatever is drawn."""

    @property
    def trials(self) -> int:
        """Tests of a searcher that draws them."""

    @property
    def min_accuracy(self) -> float | None:
        """Share of the reference's accuracy; None when it is not asked for."""

    @property
    def reference_accuracy(self) -> float | None:
        """The reference in percent; None when it is to be measured."""

    @property
    def space(self) -> tuple[tuple[str, tuple[Any, ...]], ...]:
        """What a joint search tries; empty for any other."""

    @property
    def settings(self) -> int:
        """How many settings a joint search tries."""

    def with_setting(self, setting: Mapping[str, Any]) -> SearchJob:
        """Return the same search under other settings."""

    def starting_at(self, n: int) -> SearchJob:
        """Return the same search of N from `n` on."""


@dataclass(frozen=True)
class Desk:
    """What every search of a command shares.

    Attributes:
        bench: Where tests are measured.
        observer: Told of everything.
        directory: Of the command.
        location: Of the studies, for people.
    """

    bench: Bench
    observer: SearchObserver
    directory: Path
    location: str


class Conduct:
    """One search under way. `run` may be interrupted at any time; `outcome` says what was shown until then.

    Attributes:
        stopped_by: The budget that ended it, or `interrupted`; empty where it came to an end of its own.
        lost: The test that ended a challenge; None for any other search.

    Args:
        job: What to search for.
        desk: What it shares with others.
        purse: What it may spend.
        ledger: Where its tests are entered; None for a part of a joint search, whose settings are.
        place: Its number, from 0, and how many there are.
        is_challenge: Whether it is over when the smallest N is not VALID in one full test.
    """

    def __init__(
        self,
        job: SearchJob,
        desk: Desk,
        purse: Purse,
        ledger: Ledger | None,
        place: tuple[int, int],
        *,
        is_challenge: bool = False,
    ) -> None:
        self._job = job
        self._desk = desk
        self._place = place
        self._is_challenge = is_challenge
        self._begin = time.perf_counter()
        self._gate: GateResult | None = None
        self._failure = ""
        self.stopped_by = "interrupted"
        plan = job.plan
        searcher = make_searcher(plan.algorithm, plan.question, seed=job.seed, trials=job.trials)
        self._run = SearchRun(plan, job, searcher, desk.bench, ledger, desk.observer, purse)
        self.lost: SearchTest | None = None

    def run(self) -> None:
        """Check the accuracy if that was asked for, then search."""
        job, observer = self._job, self._desk.observer
        observer.search_started(*self._place, job.plan)
        try:
            if job.min_accuracy is not None:
                bench, demand = self._desk.bench, (job.min_accuracy, job.reference_accuracy)
                self._gate = check_accuracy(job, bench, *demand, observer.progressed)
            if self._gate is None or self._gate.holds:
                self._search()
            else:
                self._run.stopped_by = ""
        except TestRefusedError as error:
            self._failure = str(error)
            self._run.stopped_by = ""
        self.stopped_by = self._run.stopped_by
        observer.search_finished(self.outcome())

    def _search(self) -> None:
        if not self._is_challenge or self._passes():
            self._run.run()

    def _passes(self) -> bool:
        """Test the smallest N: once, and once more where that may have been bad luck."""
        question = self._job.plan.question
        for why in ("is this setting better?", "again, since that was not sure"):
            test = self._run.step(Ask(question.domain.low, None, why))
            if test is None:
                return False
            result = test.outcome.stored.result
            if result.result is Verdict.VALID:
                return True
            failure, over, count = result.failure, result.over_count, result.query_count
            if failure is not None and not failure.is_out_of_memory:
                continue
            if over is None or p_valid(over, count, question.allowed_rate) <= 1 - question.confidence:
                break
        self.lost = test
        self._run.stopped_by = ""
        return False

    def outcome(self) -> SearchOutcome:
        """Return what was shown so far."""
        run, gate = self._run, self._gate
        return SearchOutcome(
            plan=self._job.plan,
            certificate=run.certificate(),
            tests=tuple(run.tests),
            seconds=time.perf_counter() - self._begin,
            measured_seconds=_measured_seconds(run.tests),
            storage=self._desk.location,
            accuracy="" if gate is None or gate.failed else gate.words,
            accuracy_failed=gate is not None and not gate.holds and not gate.failed,
            failure=gate.words if gate is not None and gate.failed else self._failure or run.failure(),
            notes=tuple(f"N={n} was not tested: {why}" for n, why in run.refused.items()),
            directory=self._desk.directory,
            stopped_by=self.stopped_by or run.limit,
        )


def _measured_seconds(tests: Sequence[SearchTest]) -> float:
    return sum(test.outcome.stored.result.timing.total_ns for test in tests) / 1e9
