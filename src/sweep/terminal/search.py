"""What a search looks like while it runs: where the edge lies so far, and the test that is running."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweep.report.search_words import answer_of
from sweep.search.base import Ask
from sweep.study.search import SearchOutcome, SearchPlan, SearchTest, SearchView
from sweep.terminal.tables import progress_console
from sweep.terminal.watch import PLAIN_EVERY_S, state_of
from sweep.terminal.words import duration, ms
from sweep.trial.measurement import Progress
from sweep.trial.result import TrialResult
from sweep.vocabulary import AbortRule, Verdict

_BAR_WIDTH = 24


class SearchWatcher:
    """Shows running searches: a live view on a terminal, a line per test elsewhere, all on standard error.

    Args:
        console: Where to, if not standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or progress_console()
        self._stack = ExitStack()
        self._plan: SearchPlan | None = None
        self._title = ""
        self._is_alone = True
        self._ask: Ask | None = None
        self._view: SearchView | None = None
        self._view_at = 0.0
        self._progress: Progress | None = None
        self._spoke_at = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            live = Live(console=self._console, get_renderable=self._render, transient=True, refresh_per_second=4)
            self._stack.enter_context(live)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def search_started(self, number: int, count: int, plan: SearchPlan) -> None:
        """Say what is searched for."""
        label = " ".join(f"{key}={value}" for key, value in plan.label.items())
        self._is_alone = count == 1
        place = "" if self._is_alone else f"{number + 1}/{count}"
        inside = " ".join(filter(None, (place, label)))
        self._title = f"[{inside}] " if inside else ""
        self._plan, self._ask, self._view, self._progress = plan, None, None, None
        question = plan.question
        self.say(
            f"searching N from {question.domain.low} to {question.domain.high} for p{question.percentile:g} <= "
            f"{question.target_latency_ns / 1e6:g} ms by {plan.algorithm}; a full test is {plan.spec.run_class}, "
            f"of at least {question.full_query_count} queries"
        )

    def asked(self, ask: Ask, view: SearchView) -> None:
        """Show which test comes, and what it is for."""
        self._progress = None
        self._ask = ask
        self._see(view)
        self._spoke_at = time.perf_counter()

    def progressed(self, progress: Progress) -> None:
        """Show how far the test is; where there is no terminal, say it every ten seconds."""
        self._progress = progress
        if self._plan is None or self._ask is None or self._console.is_terminal:
            return
        if time.perf_counter() - self._spoke_at > PLAIN_EVERY_S:
            self._spoke_at = time.perf_counter()
            self.say(f"{_test_name(self._ask)}: {_state(progress, self._plan, self._ask)}")

    def answered(self, test: SearchTest, view: SearchView) -> None:
        """Say what came out of the test and where the edge lies now, in one line that stays."""
        self._progress = self._ask = None
        self._see(view)
        reused = " (reused)" if test.outcome.reused else ""
        # The live view counts already.
        counts = "" if self._console.is_terminal else f"; {_counts(view)}"
        self.say(f"{_test_name(test.ask)}: {said_of(test)}{reused}; {edge_of(view)}{counts}")

    def search_finished(self, outcome: SearchOutcome) -> None:
        """Say the answer; that of a search on its own is shown in full soon enough."""
        self._progress = self._ask = self._view = None
        if not self._is_alone:
            self.say(outcome.failure or answer_of(outcome))

    def _see(self, view: SearchView) -> None:
        self._view, self._view_at = view, time.perf_counter()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(f"{self._title}{line}", markup=False, highlight=False, soft_wrap=True)

    def _render(self) -> Group:
        """Return the live view. Called from a thread of its own: what it reads may change meanwhile."""
        plan, ask, view, progress = self._plan, self._ask, self._view, self._progress
        if plan is None or view is None:
            return Group()
        lines: list[Text | Table] = [Text(f"{self._title}{edge_of(view)}", style="bold")]
        if ask is not None:
            lines.append(Text(f"{_test_name(ask)}: {ask.why}"))
            lines.append(_bar(progress, plan, ask))
        since = time.perf_counter() - self._view_at
        spent = f"{_counts(view)}, {duration(view.seconds + since)} spent"
        if view.seconds_left is not None:
            spent += f", {duration(max(0.0, view.seconds_left - since))} left of the budget"
        lines.append(Text(spent, style="dim"))
        return Group(*lines)


def _bar(progress: Progress | None, plan: SearchPlan, ask: Ask) -> Table:
    """Return a bar with the test's state beside it; it pulsates while there is no end in sight."""
    in_test = progress is not None and progress.phase == "test"
    total = progress.planned_query_count if progress is not None and in_test else None
    done = min(progress.query_count, progress.planned_query_count) if progress is not None else 0
    state = "starting" if progress is None else _state(progress, plan, ask)
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=total, completed=done, width=_BAR_WIDTH, pulse=not in_test), Text(state))
    return row


def _state(progress: Progress, plan: SearchPlan, ask: Ask) -> str:
    may_stop = ask.query_count is None and plan.spec.abort is not AbortRule.NEVER
    return state_of(progress, plan.question.percentile, may_stop=may_stop)


def edge_of(view: SearchView) -> str:
    """Return where the edge lies, as far as it looks so."""
    if view.valid is not None and view.invalid is not None:
        return f"edge between {view.valid} and {view.invalid}"
    if view.valid is not None:
        return f"edge at {view.valid} or above"
    return "edge not seen yet" if view.invalid is None else f"edge below {view.invalid}"


def said_of(test: SearchTest) -> str:
    """Return what a test showed. Only a full one gives a verdict on its N: a short one gives figures."""
    result = test.outcome.stored.result
    if result.failure is not None:
        return f"{result.failure.kind}: {result.failure.message}"
    figures = f"p{result.spec.rules.percentile:g} {ms(result.percentile_ns)} ms, {_over(result)}"
    if result.aborted is not None:
        figures += ", stopped early"
    disturbed = "".join(f", {kind}" for kind in result.disturbances)
    if test.ask.query_count is not None:
        return f"{figures}{disturbed}"
    why = f": {result.why}" if _needs_reason(result) else ""
    return f"{result.result} ({figures}{disturbed}){why}"


def _needs_reason(result: TrialResult) -> bool:
    """Say whether a full test is INVALID for something that its latencies do not show."""
    over, allowed = result.over_count, result.over_latency_allowed
    return result.result is Verdict.INVALID and (over is None or allowed is None or over <= allowed)


def _over(result: TrialResult) -> str:
    over = "unknown number" if result.over_count is None else str(result.over_count)
    return f"{over} of {result.query_count} over"


def _test_name(ask: Ask) -> str:
    return f"N={ask.samples_per_query} {'full test' if ask.query_count is None else 'probe'}"


def _counts(view: SearchView) -> str:
    return f"{view.tests} {'test' if view.tests == 1 else 'tests'}, {view.query_count} queries"
