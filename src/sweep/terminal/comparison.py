"""What a comparison looks like in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.compare.change import Finding
from sweep.compare.gate import GateReport, Item, Outcome
from sweep.compare.gate_files import gate_rows
from sweep.compare.pairing import Comparison
from sweep.compare.words import HEADINGS, PointNames, Row, apart, rows, summary, unmatched
from sweep.terminal.tables import print_table

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
}
_UNMATCHED_SHOWN = 10


def show_comparison(out: Console, comparison: Comparison) -> None:
    """Print both sides, point by point, with what sets them apart and how far sessions differ."""
    lines = apart(comparison)
    out.print("what sets them apart:" if lines else "nothing sets the two sides apart but when they were measured")
    for line in lines:
        out.print(f"  {line}", markup=False, highlight=False)
    if comparison.pairs:
        shared = PointNames([pair.key for pair in comparison.pairs]).shared
        if shared:
            out.print(f"all points: {shared}", markup=False, highlight=False)
        print_table(out, _table(comparison), whole=True)
    for name, points in (("before", comparison.only_before), ("after", comparison.only_after)):
        _show_unmatched(out, name, unmatched(points))
    if comparison.pairs:
        out.print(f"noise: {comparison.noise}", markup=False, highlight=False)
    out.print(summary(comparison.pairs), markup=False, highlight=False)


def _table(comparison: Comparison) -> Table:
    table = _plain(HEADINGS)
    for row in rows(comparison.pairs):
        cells = [Text(cell) for cell in row.cells()]
        if row.finding is not None:
            cells[6].stylize(FINDING_STYLES[row.finding])
        table.add_row(*cells)
    return table


def _plain(headings: Sequence[str]) -> Table:
    right = {"before", "after", "change", HEADINGS[5]}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def _show_unmatched(out: Console, side: str, names: Sequence[str]) -> None:
    for name in names[:_UNMATCHED_SHOWN]:
        out.print(f"only {side}: {name}", markup=False, highlight=False)
    if len(names) > _UNMATCHED_SHOWN:
        out.print(f"only {side}: {len(names) - _UNMATCHED_SHOWN} more", markup=False, highlight=False)


def show_gate(out: Console, report: GateReport) -> None:
    """Print every point of a gate, failures last, where they are seen, and what is to be known besides."""
    order = sorted(zip(report.items, gate_rows(report.items), strict=True), key=lambda one: one[0].is_failure)
    if order:
        shared = PointNames([item.point.key for item in report.items]).shared
        if shared:
            out.print(f"all points: {shared}", markup=False, highlight=False)
        table = _plain((*HEADINGS[:6], "outcome", "why"))
        for item, row in order:
            cells = [Text(cell) for cell in (*row.cells()[:6], str(item.outcome), _why(item, row))]
            cells[6].stylize(_OUTCOME_STYLES[item.outcome])
            table.add_row(*cells)
        print_table(out, table, whole=True)
    for note in report.notes:
        out.print(f"note: {note}", markup=False, highlight=False)
    if any(item.pair is not None for item in report.items):
        out.print(f"noise: {report.noise}", markup=False, highlight=False)


def _why(item: Item, row: Row) -> str:
    return "; ".join(filter(None, [item.why, row.notes if item.pair is None or not item.is_failure else ""]))
