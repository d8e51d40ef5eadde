"""`python -m sweep ls`: what was measured, as a list for people or for programs."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sweep.commands.arguments import Parser, one_of, whole
from sweep.errors import ConfigError, Problem, choose
from sweep.vocabulary import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from sweep.results.filters import Filters
    from sweep.results.selection import SearchRecord, Selection, SweepRecord
    from sweep.store.records import StoredTrial

Row = TypeVar("Row")

_DESCRIPTION = """\
List what was measured: a row for each attempt at a trial, newest last. Its name can be given to sweep show.

DIR is an output folder, a folder of a sweep, a trial or an attempt, or the file of a certificate (default: outputs).
KEY=VALUE chooses: KEY is a column of the table (--columns), a word of the command line (batch, run, mode,
backend.threads) or a column in nanoseconds with _ms for _ns; VALUE may be several (A,B), hold * and ?, and be none.
KEY!=VALUE, and <, <=, >, >= of numbers and of started_at, work too: ls model=resnet result=VALID 'latency_p99_ms<50'"""

_FORMATS = ("table", "csv", "json", "paths")
_LIMIT = 50


def main(arguments: Sequence[str]) -> int:
    """List results; return 0, also when there are none, and 1 when nothing that is there can be read."""
    options = _parser().parse_args(arguments)
    if options.columns:
        return _columns(options.format)

    from sweep.commands.damaged import say_damaged
    from sweep.results.filters import split_words
    from sweep.results.selection import select

    folders, filters = split_words(options.words)
    places = folders or [Path("outputs")]
    selection = select(places, filters)
    if options.damaged:
        for error in selection.damaged:
            print(error)
        return ExitCode.OK
    say_damaged(selection.damaged)
    if options.sweeps:
        empty = _list_sweeps(options, selection, filters)
    elif options.searches:
        empty = _list_searches(options, selection)
    else:
        empty = _list_trials(options, selection)
    if not empty:
        return ExitCode.OK
    everything = select(places) if filters else selection
    _say_why(options, filters, everything)
    return ExitCode.FAILED if selection.damaged and not everything.trials else ExitCode.OK


def _parser() -> Parser:
    parser = Parser(
        prog="sweep ls",
        usage="%(prog)s [-h] [DIR ...] [KEY=VALUE ...] [--sweeps | --searches | --columns | --damaged] ...",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="DIR, KEY=VALUE", nargs="*", help="where to look, and what for")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--sweeps", action="store_true", help="list the commands that ran tests, not the tests")
    what.add_argument("--searches", action="store_true", help="list the certificates of searches")
    what.add_argument("--columns", action="store_true", help="list the columns of the table, with what they mean")
    what.add_argument("--damaged", action="store_true", help="list all that cannot be read, and why")
    parser.add_argument("--sort", metavar="COLUMN", help="by what the attempts are sorted; default: started_at")
    parser.add_argument(
        "--limit",
        type=whole("--limit", 0),
        metavar="N",
        help=f"the last N rows only, 0 for all; default: {_LIMIT} in a table, else all",
    )
    parser.add_argument(
        "--format",
        type=one_of("--format", _FORMATS),
        default="table",
        metavar="FORMAT",
        help="table (default), csv or json with all columns, paths",
    )
    return parser


def _list_trials(options: argparse.Namespace, selection: Selection) -> bool:
    from sweep.store.table import COLUMNS, to_rows

    trials: Sequence[StoredTrial] = selection.trials
    if options.sort is not None:
        trials = _sorted(trials, options.sort)

    def show(out: Console, shown: Sequence[StoredTrial]) -> None:
        from sweep.terminal.listing import show_trials

        show_trials(out, shown)

    shown, hidden = _last(options, trials)
    if options.format == "table":
        _print_table(shown, hidden, "attempt", show)
    elif options.format == "paths":
        _print_paths([trial.directory for trial in shown])
    else:
        _print_rows(options.format, list(to_rows(shown)), [column.name for column in COLUMNS])
    return not trials


def _list_sweeps(options: argparse.Namespace, selection: Selection, filters: Filters) -> bool:
    # Where filters leave nothing of a command, it is not what was asked for.
    sweeps = [one for one in selection.sweeps if not filters or one.trials or one.searches]

    def show(out: Console, shown: Sequence[SweepRecord]) -> None:
        from sweep.terminal.listing import show_sweeps

        show_sweeps(out, shown)

    shown, hidden = _last(options, sweeps)
    if options.format == "table":
        _print_table(shown, hidden, "command", show)
    elif options.format == "paths":
        _print_paths([sweep.paths.directory for sweep in shown])
    else:
        _print_rows(options.format, [_sweep_row(sweep) for sweep in shown], _SWEEP_KEYS)
    return not sweeps


def _list_searches(options: argparse.Namespace, selection: Selection) -> bool:
    def show(out: Console, shown: Sequence[SearchRecord]) -> None:
        from sweep.terminal.listing import show_certificates

        show_certificates(out, shown)

    shown, hidden = _last(options, selection.searches)
    if options.format == "table":
        _print_table(shown, hidden, "search", show)
    elif options.format == "paths":
        _print_paths([search.path for search in shown])
    else:
        from sweep.report.search_table import search_row

        rows = [{**search_row(search.outcome()), "certificate": str(search.path)} for search in shown]
        _print_rows(options.format, rows, list(rows[0]) if rows else [])
    return not selection.searches


_SWEEP_KEYS = ("directory", "arguments", "started_at", "finished_at", "planned", "done", "trials", "searches")


def _sweep_row(sweep: SweepRecord) -> dict[str, Any]:
    return {
        "directory": str(sweep.paths.directory),
        "arguments": list(sweep.arguments),
        "started_at": sweep.started_at,
        "finished_at": sweep.finished_at,
        "planned": sweep.planned,
        "done": sweep.done,
        "trials": [str(trial.directory) for trial in sweep.trials],
        "searches": [str(search.path) for search in sweep.searches],
    }


def _sorted(trials: Sequence[StoredTrial], word: str) -> list[StoredTrial]:
    """Return attempts by a column, the largest last; those that have none come first."""
    from sweep.results.filters import ALIASES
    from sweep.store.table import COLUMNS

    columns = {column.name: column for column in COLUMNS}
    name = ALIASES.get(word, word)
    if name not in columns and name.endswith("_ms"):
        name = f"{name.removesuffix('_ms')}_ns"
    if name not in columns:
        raise ConfigError(Problem("--sort", word, "no column of the results", choose(word, [*columns, *ALIASES])))
    values = [columns[name].get(trial) for trial in trials]
    known = [(value, number) for number, value in enumerate(values) if value is not None]
    missing = [trial for trial, value in zip(trials, values, strict=True) if value is None]
    return [*missing, *(trials[number] for _, number in sorted(known))]


def _last(options: argparse.Namespace, rows: Sequence[Row]) -> tuple[Sequence[Row], int]:
    """Return the rows to show, and how many are not."""
    limit = options.limit if options.limit is not None else _LIMIT if options.format == "table" else 0
    shown = rows[-limit:] if limit else rows
    return shown, len(rows) - len(shown)


def _print_table(rows: Sequence[Row], hidden: int, noun: str, show: Callable[[Console, Sequence[Row]], None]) -> None:
    if not rows:
        return
    from sweep.terminal import console
    from sweep.terminal.listing import hidden_text

    out = console()
    if hidden:
        out.print(hidden_text(hidden, noun), style="dim", markup=False, highlight=False)
    show(out, rows)


def _print_paths(paths: Sequence[Path]) -> None:
    for path in paths:
        print(path)


def _print_rows(kind: str, rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Print rows as one JSON document, missing values null, or as CSV, missing values empty."""
    if kind == "json":
        print(json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False))
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    if names:
        writer.writeheader()
    for row in rows:
        lists = {name: " ".join(value) for name, value in row.items() if isinstance(value, list)}
        writer.writerow({**row, **lists})
    sys.stdout.write(text.getvalue())


def _columns(kind: str) -> int:
    from sweep.store.table import COLUMNS

    if kind == "table":
        from sweep.terminal import console
        from sweep.terminal.listing import show_columns

        show_columns(console())
    elif kind == "paths":
        raise ConfigError(Problem("--format", kind, "columns have no paths", "choose one of: csv, json, table"))
    else:
        rows = [{"name": c.name, "type": c.dtype, "unit": c.unit, "meaning": c.meaning} for c in COLUMNS]
        _print_rows(kind, rows, ("name", "type", "unit", "meaning"))
    return ExitCode.OK


def _say_why(options: argparse.Namespace, filters: Filters, everything: Selection) -> None:
    """Say why a list is empty: on standard output where people read it, else where it disturbs no program."""
    from sweep.results.empty import why_empty

    lines: tuple[str, ...] = why_empty(filters, everything.trials)
    if options.sweeps and (everything.trials or everything.sweeps):
        lines = (
            "no command that ran tests" + (" passes these filters" if everything.sweeps else " left its folder here"),
        )
    elif options.searches and (everything.trials or everything.searches):
        lines = ("no search" + (" passes these filters" if everything.searches else " was made here yet"),)
    for line in lines:
        print(line, file=sys.stdout if options.format == "table" else sys.stderr)
