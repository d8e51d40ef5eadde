"""What a grid looks like after it: the tables of its points, or the one point in full."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.config.point import Point
from sweep.results.largest import mark_of, shown_by_n
from sweep.store.table import samples_per_second
from sweep.study.measure import Outcome
from sweep.terminal.tables import WHY_LEAST, WHY_WIDTH, print_table, show_notes, width_of
from sweep.terminal.words import STYLES, conditions, ms, name_of, telemetry_line, waived_words
from sweep.trial.result import TrialResult
from sweep.vocabulary import TestMode, TrialState, Verdict


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
        out.print(conditions(spec), markup=False, highlight=False)
        out.print(str(result.accuracy), markup=False, highlight=False)
    _show_figures(out, result)
    if result.result is not None:
        for check in result.checks:
            if check.required:
                out.print(f"  {check.name}: {_yes(check.holds)} ({check.evidence})", highlight=False, markup=False)
        out.print(f"LoadGen's own result: {_loadgen_words(result)}", highlight=False, markup=False)
        text = Text("result: ").append(f"{result.result}{result.mark}", style=STYLES[str(result.result)])
        out.print(text.append(f" ({conditions(spec)})"))
        if result.recommendation:
            out.print(result.recommendation, markup=False)
        for line in filter(None, (waived_words([result]), next_step([result]))):
            out.print(line, markup=False, highlight=False)
    show_notes(out, [("", result)])
    out.print(f"logs: {stored.directory}", markup=False, highlight=False)


def _show_figures(out: Console, result: TrialResult) -> None:
    if result.latencies is not None and result.spec.mode is TestMode.PERFORMANCE:
        _latency_table(out, result)
    if result.telemetry is not None:
        out.print(telemetry_line(result.telemetry), markup=False, highlight=False)


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
    waived = "" if any(check.required for check in failed) else f"; rules {result.spec.rules_label} do not ask for it"
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
            for line in dict.fromkeys(conditions(outcome.stored.result.spec) for _, outcome in chosen):
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
    show_notes(out, [(name_of(point.label, point.spec), outcome.stored.result) for point, outcome in pairs])
    results = [outcome.stored.result for _, outcome in pairs]
    for line in filter(None, (waived_words(results), next_step(results))):
        out.print(line, markup=False, highlight=False)


def next_step(results: Sequence[TrialResult]) -> str:
    """Return what to do next where tests were INVALID and none was VALID; nothing otherwise."""
    invalid = [result for result in results if result.result is Verdict.INVALID]
    if not invalid or any(result.result is Verdict.VALID for result in results):
        return ""
    slow = [
        result.spec.samples_per_query
        for result in invalid
        if any(check.name == "performance_constraint" and check.holds is False for check in result.checks)
    ]
    if not slow:
        return next((f"nothing passes: {one.recommendation}" for one in invalid if one.recommendation), "")
    if min(slow) > 1:
        return f"nothing passes: try a batch below {min(slow)}, or search=max_streams for the largest that passes"
    return (
        "nothing passes, not even one sample a query: try a smaller model, precision=int8, another backend or machine, "
        "or a longer target_latency_ms"
    )


def _show_table(out: Console, pairs: Sequence[tuple[Point, Outcome]], mode: TestMode, others: Sequence[str]) -> None:
    """Print the table of a grid; where the terminal has no room for reasons beside the figures, they follow it."""
    narrow = _grid_table(pairs, mode, others, with_why=False)
    if out.width - width_of(out, narrow) >= WHY_LEAST:
        print_table(out, _grid_table(pairs, mode, others, with_why=True))
        return
    print_table(out, narrow, whole=True)
    for point, outcome in pairs:
        if why := outcome.stored.result.why:
            out.print(f"{name_of(point.label, point.spec)}: {why}", markup=False, highlight=False)


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
        table.add_column("why", max_width=WHY_WIDTH)
    for point, outcome in pairs:
        result = outcome.stored.result
        verdict = str(result.state if result.state is TrialState.FAILED or result.result is None else result.result)
        cells = [*(point.label.get(key, "") for key in others), str(result.spec.samples_per_query), *cells_of(result)]
        row = [*(Text(cell) for cell in cells), Text(f"{verdict}{result.mark}", style=STYLES.get(verdict, ""))]
        table.add_row(*row, *([Text(_why(outcome))] if with_why else ()))
    return table


def _performance_cells(result: TrialResult) -> list[str]:
    latencies = result.latencies
    if latencies is None:
        return ["-"] * 5
    over = "-"
    if result.over_count is not None:
        over = f"{result.over_count} (max {result.over_latency_allowed})"
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
    counts = ["-" if count is None else str(count) for count in (accuracy.good, accuracy.total)]
    return [f"{accuracy.accuracy:.3f}%", *counts]


def _show_largest(out: Console, pairs: Sequence[tuple[Point, Outcome]], others: Sequence[str]) -> None:
    groups: dict[tuple[str, ...], list[TrialResult]] = {}
    for point, outcome in pairs:
        groups.setdefault(tuple(point.label.get(key, "") for key in others), []).append(outcome.stored.result)
    for values, results in groups.items():
        name = "".join(f"{key}={value} " for key, value in zip(others, values, strict=True))
        shown = shown_by_n(results)
        largest = max((n for n, one in shown.items() if one.is_valid), default=None)
        mark = mark_of(results, largest)
        mixed = [f"batch={n} was {one}: not counted as VALID" for n, one in shown.items() if one.is_mixed]
        if largest is None:
            none = "not this point" if len(results) == 1 else f"none of these {len(results)} points"
            out.print("; ".join([f"{name}largest VALID: {none}{mark}", *mixed]), markup=False, highlight=False)
            continue
        valid = [one for one in results if one.spec.samples_per_query == largest and one.result is Verdict.VALID]
        best = min(valid, key=lambda result: bool(result.disturbances))
        bound = f"p{best.spec.rules.percentile:g} {ms(best.percentile_ns)} ms"
        line = f"{name}largest VALID: batch={largest}{mark} ({bound})"
        below = [n for n, one in shown.items() if not one.valid and n < largest]
        if below:
            line += f"; not VALID below it: batch={','.join(map(str, below))}"
        line = "; ".join([line, *mixed])
        if best.spec.rules.target_latency_ns is None:
            line += f"; rules {best.spec.rules_label} have no latency bound, so a larger one may be VALID too"
        out.print(line, style="bold", markup=False, highlight=False)
