"""What a grid looks like while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from sweep.config.point import Point
from sweep.study.measure import Outcome
from sweep.terminal.tables import progress_console
from sweep.terminal.words import duration, headline, ms, name_of
from sweep.trial.measurement import Progress as TrialProgress
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import AbortRule

PLAIN_EVERY_S = 10.0
"""Between two lines about a long test where there is no terminal."""

_HOPELESS = 2
"""Times as many queries over the bound as are allowed: such a test does not come to its end."""


@contextmanager
def progress_bar(title: str, *columns: ProgressColumn) -> Iterator[Callable[[int, int | None], None]]:
    """Show how far a command is, on a terminal; yields what is to be told how much is done, and of how much.

    Args:
        title: What stands before the bar.
        columns: What stands behind it, before the time that is left; none for bytes.
    """
    console = progress_console()
    shown = (TextColumn(title), BarColumn(), *(columns or (DownloadColumn(),)), TimeRemainingColumn())
    with Progress(*shown, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class Watcher:
    """Shows a running sweep: a progress bar on a terminal, a line now and then elsewhere.

    Args:
        points: The whole sweep, in order.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self._console = progress_console()
        self._live = self._console.is_terminal
        self._stack = ExitStack()
        self._bar: Progress | None = None
        self._tasks: dict[int, TaskID] = {}
        self._spoke_at: dict[int, float] = {}

    def __enter__(self) -> Self:
        if self._live:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[state]}", markup=False),
            )
            self._bar = self._stack.enter_context(Progress(*columns, console=self._console, transient=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def started(self, number: int, spec: TrialSpec) -> None:
        """Show that a point is about to be measured."""
        self._spoke_at[number] = time.perf_counter()
        if self._bar is not None:
            self._tasks[number] = self._bar.add_task(self._title(number, spec), total=None, state="starting")

    def progressed(self, number: int, progress: TrialProgress) -> None:
        """Show how far a point is."""
        if self._bar is not None and number in self._tasks:
            total = progress.planned_query_count if progress.phase == "test" else None
            done = min(progress.query_count, progress.planned_query_count)
            self._bar.update(self._tasks[number], total=total, completed=done, state=self._state(number, progress))
        elif time.perf_counter() - self._spoke_at[number] > PLAIN_EVERY_S:
            self._spoke_at[number] = time.perf_counter()
            self.say(f"{self._title(number, self._points[number].spec)}: {self._state(number, progress)}")

    def finished(self, number: int, outcome: Outcome) -> None:
        """Say what came out of the point, in one line that stays."""
        if self._bar is not None and number in self._tasks:
            self._bar.remove_task(self._tasks.pop(number))
        result = outcome.stored.result
        reused = " (reused)" if outcome.reused else ""
        self.say(f"{self._title(number, result.spec)}: {headline(result)}{reused}")

    def say(self, line: str) -> None:
        """Print a line that stays."""
        (self._bar.console if self._bar is not None else self._console).print(
            line, markup=False, highlight=False, soft_wrap=True
        )

    def _state(self, number: int, progress: TrialProgress) -> str:
        spec = self._points[number].spec
        return state_of(progress, spec.rules.percentile, may_stop=spec.abort is not AbortRule.NEVER)

    def _title(self, number: int, spec: TrialSpec) -> str:
        return f"[{number + 1}/{len(self._points)}] {name_of(self._points[number].label, spec)}"


def state_of(progress: TrialProgress, percentile: float, *, may_stop: bool) -> str:
    """Return how far a trial is, in words.

    Args:
        progress: How far it is.
        percentile: Of the rules, in percent.
        may_stop: Whether it is stopped once it can only be INVALID: then its end is not the one that it would have.
    """
    if progress.phase != "test":
        return {"engine": "loading engine and samples", "warm-up": "warming up"}.get(progress.phase, progress.phase)
    least = progress.planned_query_count
    # Beyond the least, a duration keeps the test going.
    count = f"{progress.query_count}/{least}" if progress.query_count <= least else str(progress.query_count)
    parts = [f"{count} queries"]
    if progress.percentile_ns is not None:
        parts.append(f"p{percentile:g} {ms(progress.percentile_ns)} ms so far")
    if progress.over_latency_count:
        parts.append(f"{progress.over_latency_count} over-latency")
    allowed = (1 - percentile / 100) * progress.query_count
    if may_stop and (progress.over_latency_count or 0) > max(_HOPELESS * allowed, 1):
        parts.append("too slow so far, to be stopped early")
    elif progress.remaining_s is not None:
        parts.append(f"{duration(progress.remaining_s)} left")
    return ", ".join(parts)
