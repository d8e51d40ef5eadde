"""What a comparison looks like in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.compare.change import Finding
from sweep.compare.gate import ORDER, GateReport, Item, Outcome
from sweep.compare.gate_files import gate_rows, machine_notes
from sweep.compare.pairing import Comparison
from sweep.compare.words import (
    FIGURES,
    FINDING,
    LIMITS,
    PointNames,
    Row,
    apart,
    headings,
    noise_of,
    rows,
    summary,
    unmatched,
)
from sweep.terminal.tables import print_table, width_of

FINDING_STYLES = {
    Finding.BETTER: "green",
    Finding.WORSE: "bold red",
    Finding.NO_EVIDENCE: "dim",
    Finding.UNKNOWN: "yellow",
}
_OUTCOME_STYLES = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "bold red",
    Outcome.MISSING: "bold red",
    Outcome.NEW: "yellow",
    Outcome.NOT_COMPARED: "yellow",
}
_UNMATCHED_SHOWN = 10


def show_comparison(out: Console, comparison: Comparison) -> None:
    """Print both sides, point by point, with what sets them apart and how far sessions differ."""
    _say(out, "what sets them apart:")
    for line in apart(comparison):
        _say(out, f"  {line}")
    if comparison.pairs:
        found = rows(comparison.pairs)
        shared = PointNames([pair.key for pair in comparison.pairs]).shared
        _show_rows(out, headings(comparison.confidence), [(row.cells(), _style(row)) for row in found], shared)
    before, after = comparison.only_before, comparison.only_after
    for name, points, others in (("before", before, after), ("after", after, before)):
        _show_unmatched(out, name, unmatched(points, others))
    if comparison.pairs:
        _say(out, f"noise: {noise_of(comparison)}")
    _say(out, summary(comparison.pairs))


def _style(row: Row) -> str:
    return "" if row.finding is None else FINDING_STYLES[row.finding]


def _show_rows(out: Console, names: Sequence[str], lines: Sequence[tuple[Sequence[str], str]], shared: str) -> None:
    """Print a table of rows and, where it is wider than the terminal, its last column below it.

    What all of them are points of is told once, above.
    """
    points = {cells[0] for cells, _ in lines}
    is_one = len(points) == 1
    _say(out, f"all points: {', '.join(filter(None, [*(points if is_one else ()), shared]))}")
    first = 1 if is_one else 0
    width = width_of(out, _filled(names, lines, range(first, len(names))))
    is_narrow = out.is_terminal and width > out.width
    print_table(out, _filled(names, lines, range(first, len(names) - is_narrow)), whole=True)
    if is_narrow:
        for cells, _ in lines:
            if cells[-1]:
                _say(out, f"{', '.join(cells[first:2])}: {cells[-1]}")


def _filled(names: Sequence[str], lines: Sequence[tuple[Sequence[str], str]], places: range) -> Table:
    """Return a table of some of the cells of each line."""
    right = {*FIGURES[2:], names[LIMITS]}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place in places:
        table.add_column(names[place], justify="right" if names[place] in right else "left", no_wrap=True)
    for cells, style in lines:
        texts = {place: Text(cells[place]) for place in places}
        texts[FINDING].stylize(style)
        table.add_row(*texts.values())
    return table


def _say(out: Console, text: str) -> None:
    """Print a line that wraps between words."""
    out.print(text, markup=False, highlight=False, soft_wrap=False)


def _show_unmatched(out: Console, side: str, names: Sequence[str]) -> None:
    for name in names[:_UNMATCHED_SHOWN]:
        out.print(f"only {side}: {name}", markup=False, highlight=False)
    if len(names) > _UNMATCHED_SHOWN:
        out.print(f"only {side}: {len(names) - _UNMATCHED_SHOWN} more", markup=False, highlight=False)


def show_gate(out: Console, report: GateReport) -> None:
    """Print every point of a gate, failures last, where they are seen, and what is to be known besides."""
    every = zip(report.items, gate_rows(report.items), strict=True)
    order = sorted(every, key=lambda one: ORDER.index(one[0].outcome), reverse=True)
    if order:
        shared = PointNames([item.point.key for item in report.items]).shared
        names = (*headings(report.confidence)[: LIMITS + 1], "outcome", "why")
        lines = [
            ((*row.cells()[: LIMITS + 1], str(item.outcome), _why(item, row)), _OUTCOME_STYLES[item.outcome])
            for item, row in order
        ]
        _show_rows(out, names, lines, shared)
    for note in (*machine_notes(report.items), *report.notes):
        _say(out, f"note: {note}")
    if any(item.pair is not None for item in report.items):
        _say(out, f"noise: {noise_of(report)}")


def _why(item: Item, row: Row) -> str:
    return "; ".join(filter(None, [item.why, row.notes if item.pair is None or not item.is_failure else ""]))
