"""The console for results, tables that cut no figure, and notes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from sweep.errors import printable
from sweep.trial.machine_load import BUSY
from sweep.trial.result import DISTURBANCES, TrialResult
from sweep.trial.telemetry import SHARED, THROTTLED

_PLAIN_WIDTH = 240
_ANY_WIDTH = 100_000
_NAMES_SHOWN = 10
WHY_WIDTH = 100
WHY_LEAST = 40
"""Columns that reasons need beside the figures, to be read in a few lines each."""
_UNDISTURBED = {BUSY: "idle", THROTTLED: "cool", SHARED: "free"}


class _Console(Console):
    """Makes text printable, and lets the command line decide what becomes of a reader that has left.

    rich would exit on its own then.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704  (rich calls it while it handles the BrokenPipeError)


def console() -> Console:
    """Return the console for results: as wide as the terminal, or wide enough when it is a file or a pipe."""
    file = getattr(sys.stdout, "raw_stream", sys.stdout)
    return _Console(file=file, width=None if file.isatty() else _PLAIN_WIDTH, soft_wrap=True)


def progress_console() -> Console:
    """Return the console for what is going on: it moves the cursor of a terminal, and of nothing that says it is one.

    `FORCE_COLOR` and its like would have rich take a pipe for a terminal.
    """
    file = getattr(sys.stderr, "raw_stream", sys.stderr)
    return _Console(file=file, force_terminal=None if file.isatty() else False)


def aligned(headings: Sequence[str], rows: Sequence[Sequence[Text]]) -> Table:
    """Return a plain table, columns aligned to the left."""
    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    return table


def width_of(out: Console, table: Table) -> int:
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
        out.width = max(width, width_of(out, table))
    if out.is_terminal:
        out.print(table, crop=not whole, soft_wrap=False)
    else:
        with out.capture() as captured:
            out.print(table)
        for line in captured.get().splitlines():
            out.print(line.rstrip(), markup=False, highlight=False)
    out.width = width


def show_notes(out: Console, results: Sequence[tuple[str, TrialResult]]) -> None:
    """Print each note once, with the points it holds for when that is not all of them."""
    notes: dict[str, list[str]] = {}
    for name, result in results:
        for note in result.notes:
            # Each busy machine is busy in its own way: one note for all of them.
            notes.setdefault(next((kind for kind in DISTURBANCES if note.startswith(kind)), note), []).append(name)
    for note, names in notes.items():
        text = note
        if note in DISTURBANCES:
            alike = [one for _, result in results for one in result.notes if one.startswith(note)]
            many = f"{note} at {len(alike)} points; measure them again when it is {_UNDISTURBED[note]}"
            text = alike[0] if len(alike) == 1 else many
        shown = list(dict.fromkeys(names))  # an N may have been tested more than once
        where = "" if len(names) == len(results) else f" ({', '.join(shown[:_NAMES_SHOWN])}"
        where += ", ...)" if where and len(shown) > _NAMES_SHOWN else ")" * bool(where)
        out.print(f"note: {text}{where}", style="dim", markup=False, highlight=False)
