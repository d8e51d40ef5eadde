"""What a sweep looks like in a terminal: progress while it runs, tables after it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Self

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from sweep.config.point import Point
from sweep.store.table import samples_per_second
from sweep.study.grid import Outcome
from sweep.trial.executor import Progress as TrialProgress
from sweep.trial.result import TrialResult
from sweep.trial.spec import TrialSpec
from sweep.trial.trial import BUSY
from sweep.vocabulary import TestMode, TrialState, Verdict

_PLAIN_WIDTH = 240
_PLAIN_EVERY_S = 10.0
_ANY_WIDTH = 100_000
_WHY_WIDTH = 100
_WHY_LEAST = 40
"""Columns that reasons need beside the figures, to be read in a few lines each."""
_NAMES_SHOWN = 10
_STYLES = {"VALID": "green", "INVALID": "yellow", "FAILED": "bold red"}


def console() -> Console:
    """Return the console for results: as wide as the terminal, or wide enough when it is a file or a pipe."""
    return Console(soft_wrap=True) if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH, soft_wrap=True)


class Watcher:
    """Shows a running sweep: a progress bar on a terminal, a line now and then elsewhere.

    Args:
        points: The whole sweep, in order.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._stack = ExitStack()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._number = 0
        self._spoke_at = 0.0

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
        self._number = number
        self._spoke_at = time.perf_counter()
        if self._bar is not None:
            self._task = self._bar.add_task(self._title(number, spec), total=None, state="starting")

    def progressed(self, progress: TrialProgress) -> None:
        """Show how far the point is."""
        if self._bar is not None and self._task is not None:
            total = progress.planned_query_count if progress.phase == "test" else None
            done = min(progress.query_count, progress.planned_query_count)
            self._bar.update(self._task, total=total, completed=done, state=self._state(progress))
        elif time.perf_counter() - self._spoke_at > _PLAIN_EVERY_S:
            self._spoke_at = time.perf_counter()
            self._say(f"{self._title(self._number, self._points[self._number].spec)}: {self._state(progress)}")

    def finished(self, number: int, outcome: Outcome) -> None:
        """Say what came out of the point, in one line that stays."""
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        result = outcome.stored.result
        reused = " (reused)" if outcome.reused else ""
        self._say(f"{self._title(number, result.spec)}: {_headline(result)}{reused}")

    def _state(self, progress: TrialProgress) -> str:
        if progress.phase != "test":
            return {"engine": "loading engine and samples", "warm-up": "warming up"}.get(progress.phase, progress.phase)
        least = progress.planned_query_count
        # Beyond the least, a duration keeps the test going.
        count = f"{progress.query_count}/{least}" if progress.query_count <= least else str(progress.query_count)
        parts = [f"{count} queries"]
        if progress.percentile_ns is not None:
            percentile = self._points[self._number].spec.rules.percentile
            parts.append(f"p{percentile:g} {ms(progress.percentile_ns)} ms so far")
        if progress.over_latency_count:
            parts.append(f"{progress.over_latency_count} over-latency")
        if progress.remaining_s is not None:
            parts.append(f"{duration(progress.remaining_s)} left")
        return ", ".join(parts)

    def _say(self, line: str) -> None:
        (self._bar.console if self._bar is not None else self._console).print(
            line, markup=False, highlight=False, soft_wrap=True
        )

    def _title(self, number: int, spec: TrialSpec) -> str:
        return f"[{number + 1}/{len(self._points)}] {_name(self._points[number].label, spec)}"


def _name(label: Mapping[str, str], spec: TrialSpec) -> str:
    """Return what sets a point apart from the others, or its batch when nothing does."""
    return " ".join(f"{key}={value}" for key, value in label.items()) or f"batch={spec.samples_per_query}"


def _headline(result: TrialResult) -> str:
    if result.failure is not None:
        return f"FAILED: {result.failure.kind}: {result.failure.message}"
    if result.spec.mode is TestMode.ACCURACY:
        return str(result.accuracy)
    bound = f"p{result.spec.rules.percentile:g} {ms(result.percentile_ns)} ms"
    why = f": {result.why}" if result.why else ""
    return f"{result.result} ({bound}){why}"


def ms(latency_ns: int | None) -> str:
    """Return nanoseconds as milliseconds with four significant digits, for people."""
    if latency_ns is None:
        return "-"
    value = latency_ns / 1e6
    return f"{value:.2f}" if value >= 10 else f"{value:.3f}" if value >= 1 else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Return seconds as `42 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def show_single(out: Console, outcome: Outcome) -> None:
    """Print one trial: its latency table, checks, verdict, and where its logs are."""
    stored, result = outcome.stored, outcome.stored.result
    spec = result.spec
    if outcome.reused:
        out.print(f"measured before, at {result.timing.started_at} (resume=false measures again)")
    if result.failure is not None:
        out.print(f"FAILED: {result.failure.kind}: {result.failure.message}", style="bold red", markup=False)
        if result.failure.last_words and result.failure.kind not in ("error", "out of memory"):
            out.print("last words of the worker:", result.failure.last_words.strip(), sep="\n", markup=False)
    elif spec.mode is TestMode.ACCURACY:
        out.print(_conditions(spec), markup=False, highlight=False)
        out.print(str(result.accuracy), markup=False, highlight=False)
    if result.latencies is not None and spec.mode is TestMode.PERFORMANCE:
        _latency_table(out, result)
    if result.result is not None:
        for check in result.checks:
            if check.required:
                out.print(f"  {check.name}: {_yes(check.holds)} ({check.evidence})", highlight=False, markup=False)
        out.print(f"LoadGen's own result: {_loadgen_words(result)}", highlight=False, markup=False)
        text = Text("result: ").append(str(result.result), style=_STYLES[str(result.result)])
        out.print(text.append(f" ({_conditions(spec)})"))
        if result.recommendation:
            out.print(result.recommendation, markup=False)
    _show_notes(out, [("", result)])
    out.print(f"logs: {stored.directory}", markup=False, highlight=False)


def _loadgen_words(result: TrialResult) -> str:
    if result.loadgen_result is None:
        return "none, the test was stopped"
    failed = [
        check
        for check in result.checks
        if check.holds is False and check.name in ("min_duration", "min_queries", "early_stopping")
    ]
    if not failed:
        return result.loadgen_result
    reasons = "; ".join(check.evidence for check in failed)
    waived = "" if any(check.required for check in failed) else f"; rules {result.spec.rules.edition} do not ask for it"
    return f"{result.loadgen_result} ({reasons}{waived})"


def _yes(holds: bool | None) -> str:
    return "no evidence" if holds is None else "yes" if holds else "NO"


def _latency_table(out: Console, result: TrialResult) -> None:
    latencies = result.latencies
    if latencies is None:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("query latency", "ms", "fps"):
        table.add_column(heading, justify="left" if heading == "query latency" else "right")
    at = latencies.percentiles
    judged = f"p{result.spec.rules.percentile:g}"
    percentiles = sorted({"p90", "p99", judged} - {"p50"}, key=lambda name: float(name[1:]))
    rows = [("min", latencies.min), ("median", at.get("p50")), ("mean", latencies.mean)]
    rows += [(name, at.get(name)) for name in percentiles]
    for name, value in (*rows, ("max", latencies.max)):
        fps = "-" if not value else f"{result.spec.samples_per_query * 1e9 / value:.1f}"
        table.add_row(name, ms(value), fps)
    print_table(out, table)
    rate = samples_per_second(result)
    shown = "" if rate is None else f", {rate:.1f} samples/s"
    source = "" if latencies.source == "loadgen" else " (as the system under test saw them)"
    out.print(
        f"samples per query {result.spec.samples_per_query}, {_query_count(result)} queries{shown}{source}",
        highlight=False,
    )


def show_grid(out: Console, points: Sequence[Point], outcomes: Sequence[Outcome]) -> None:
    """Print a grid as one aligned table, then the largest VALID batch of each combination of the other keys.

    Points of both modes, which share no figure, make two tables.
    """
    pairs = list(zip(points, outcomes, strict=False))  # an interrupted grid has fewer outcomes
    for mode in TestMode:
        chosen = [pair for pair in pairs if pair[1].stored.result.spec.mode is mode]
        if chosen:
            for line in dict.fromkeys(_conditions(outcome.stored.result.spec) for _, outcome in chosen):
                out.print(line, highlight=False, markup=False)
            others = sorted({key for point in points for key in point.label if key not in ("batch", "mode")})
            _show_table(out, chosen, mode, others)
            # Where something varies and the batch does not, there is no largest one.
            labels = [point.label for point in points]
            if mode is TestMode.PERFORMANCE and (not any(labels) or any("batch" in label for label in labels)):
                _show_largest(out, chosen, others)
    reused = sum(outcome.reused for outcome in outcomes)
    if reused:
        out.print(
            f"reused {reused} of {len(outcomes)} points measured before (resume=false measures again)", highlight=False
        )
    _show_notes(out, [(_name(point.label, point.spec), outcome.stored.result) for point, outcome in pairs])


def _show_table(out: Console, pairs: Sequence[tuple[Point, Outcome]], mode: TestMode, others: Sequence[str]) -> None:
    """Print the table of a grid; where the terminal has no room for reasons beside the figures, they follow it."""
    narrow = _grid_table(pairs, mode, others, with_why=False)
    if out.width - _width(out, narrow) >= _WHY_LEAST:
        print_table(out, _grid_table(pairs, mode, others, with_why=True))
        return
    print_table(out, narrow, whole=True)
    for point, outcome in pairs:
        if why := outcome.stored.result.why:
            out.print(f"{_name(point.label, point.spec)}: {why}", markup=False, highlight=False)


def _why(outcome: Outcome) -> str:
    return " ".join(filter(None, (outcome.stored.result.why, "(reused)" if outcome.reused else "")))


def _grid_table(
    pairs: Sequence[tuple[Point, Outcome]], mode: TestMode, others: Sequence[str], *, with_why: bool
) -> Table:
    percentiles = {f"p{outcome.stored.result.spec.rules.percentile:g}" for _, outcome in pairs}
    bound_heading = percentiles.pop() if len(percentiles) == 1 else "at percentile"
    headings: tuple[str, ...] = ("accuracy", "good", "total")
    cells_of = _accuracy_cells
    if mode is TestMode.PERFORMANCE:
        headings = ("p50 ms", f"{bound_heading} ms", "max ms", "queries", "over-latency")
        cells_of = _performance_cells
    table = Table(box=None, pad_edge=False, header_style="bold")
    for key in others:
        table.add_column(key, no_wrap=True)
    for heading in ("N", *headings):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("result", no_wrap=True)
    if with_why:
        table.add_column("why", max_width=_WHY_WIDTH)
    for point, outcome in pairs:
        result = outcome.stored.result
        verdict = str(result.state if result.state is TrialState.FAILED or result.result is None else result.result)
        cells = [*(point.label.get(key, "") for key in others), str(result.spec.samples_per_query), *cells_of(result)]
        row = [*(Text(cell) for cell in cells), Text(verdict, style=_STYLES.get(verdict, ""))]
        table.add_row(*row, *([Text(_why(outcome))] if with_why else ()))
    return table


def _conditions(spec: TrialSpec) -> str:
    """Return, in one line, under which rules and for how long a point was tested."""
    if spec.mode is TestMode.ACCURACY:
        return f"accuracy over {_count(spec.dataset.count, 'sample')} of {spec.dataset.name}"
    bound = f", p{spec.rules.percentile:g} without a bound"
    if spec.rules.target_latency_ns is not None:
        bound = f", p{spec.rules.percentile:g} <= {spec.rules.target_latency_ns / 1e6:g} ms"
    length = f"at least {_count(spec.run.min_query_count, 'query')}"
    if spec.run.min_duration_ms:
        length += f" and {_seconds(spec.run.min_duration_ms / 1e3)}"
    return f"{spec.scenario}, {spec.rules.edition} rules, {spec.run.run_class} run: {length}{bound}"


def _count(number: int, noun: str) -> str:
    """Return `1 query`, `2 queries`, `3 samples`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def _seconds(seconds: float) -> str:
    return duration(seconds) if seconds >= 60 else f"{seconds:g} s"


def _performance_cells(result: TrialResult) -> list[str]:
    latencies = result.latencies
    if latencies is None:
        return ["-"] * 5
    over = "-"
    if result.over_latency_count is not None:
        over = f"{result.over_latency_count} (max {result.over_latency_allowed})"
    at = latencies.percentiles
    return [ms(at.get("p50")), ms(result.percentile_ns), ms(latencies.max), _query_count(result), over]


def _query_count(result: TrialResult) -> str:
    """Return how many queries were finished, and of how many when that is not the whole test."""
    partial = result.aborted is not None or result.failure is not None
    return f"{result.query_count} of {result.planned_query_count}" if partial else str(result.query_count)


def _accuracy_cells(result: TrialResult) -> list[str]:
    if result.accuracy is None:
        return ["-"] * 3
    accuracy = result.accuracy
    return [f"{accuracy.accuracy:.3f}%", str(accuracy.good), str(accuracy.total)]


def _show_largest(out: Console, pairs: Sequence[tuple[Point, Outcome]], others: Sequence[str]) -> None:
    groups: dict[tuple[str, ...], list[TrialResult]] = {}
    for point, outcome in pairs:
        groups.setdefault(tuple(point.label.get(key, "") for key in others), []).append(outcome.stored.result)
    for values, results in groups.items():
        name = "".join(f"{key}={value} " for key, value in zip(others, values, strict=True))
        valid = [result for result in results if result.result is Verdict.VALID]
        if not valid:
            none = "not this point" if len(results) == 1 else f"none of these {len(results)} points"
            out.print(f"{name}largest VALID: {none}", markup=False, highlight=False)
            continue
        best = max(valid, key=lambda result: result.spec.samples_per_query)
        bound = f"p{best.spec.rules.percentile:g} {ms(best.percentile_ns)} ms"
        line = f"{name}largest VALID: batch={best.spec.samples_per_query} ({bound})"
        below = sorted(
            result.spec.samples_per_query
            for result in results
            if result.result is not Verdict.VALID and result.spec.samples_per_query < best.spec.samples_per_query
        )
        if below:
            line += f"; not VALID below it: batch={','.join(map(str, below))}"
        if best.spec.rules.target_latency_ns is None:
            line += f"; rules {best.spec.rules.edition} have no latency bound, so a larger one may be VALID too"
        out.print(line, style="bold", markup=False, highlight=False)


def _show_notes(out: Console, results: Sequence[tuple[str, TrialResult]]) -> None:
    """Print each note once, with the points it holds for when that is not all of them."""
    notes: dict[str, list[str]] = {}
    for name, result in results:
        for note in result.notes:
            # Each busy machine is busy in its own way: one note for all of them, with the worst.
            notes.setdefault(BUSY if note.startswith(BUSY) else note, []).append(name)
    for note, names in notes.items():
        text = note
        if note == BUSY:
            busy = [one for _, result in results for one in result.notes if one.startswith(BUSY)]
            text = busy[0] if len(busy) == 1 else f"{BUSY} at {len(busy)} points; measure them again when it is idle"
        where = "" if len(names) == len(results) else f" ({', '.join(names[:_NAMES_SHOWN])}"
        where += ", ...)" if where and len(names) > _NAMES_SHOWN else ")" * bool(where)
        out.print(f"note: {text}{where}", style="dim", markup=False, highlight=False)


def aligned(headings: Sequence[str], rows: Sequence[Sequence[Text]]) -> Table:
    """Return a plain table, columns aligned to the left."""
    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    return table


def _width(out: Console, table: Table) -> int:
    """Return how wide a table would be if there were room."""
    return Measurement.get(out, out.options.update(max_width=_ANY_WIDTH), table).maximum


def print_table(out: Console, table: Table, *, whole: bool = False) -> None:
    """Print a table; without the blanks that fill its last column where no terminal shows it.

    Args:
        out: Where to.
        table: What.
        whole: Whether it may run over the edge of a narrow terminal: cut, its figures would be others.
    """
    width = out.width
    if whole:
        out.width = max(width, _width(out, table))
    if out.is_terminal:
        out.print(table, crop=not whole, soft_wrap=False)
    else:
        with out.capture() as captured:
            out.print(table)
        for line in captured.get().splitlines():
            out.print(line.rstrip(), markup=False, highlight=False)
    out.width = width
