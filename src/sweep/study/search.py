"""Runs a search: ask, execute, store, tell, until the searcher is done or a budget is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sweep.search.base import Ask, Question
from sweep.search.certificate import Certificate
from sweep.study.grid import Outcome
from sweep.trial.executor import Progress
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
