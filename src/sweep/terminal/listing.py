"""Lists of results: a row per attempt, sweep or search, as much of it as a terminal has room for."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.report.search_words import answer_of, confidence_of
from sweep.results.filters import ALIASES
from sweep.results.names import attempt_name, short_name
from sweep.results.selection import SearchRecord, SweepRecord
from sweep.search.certificate import Status
from sweep.store.records import StoredTrial
from sweep.store.table import COLUMNS, samples_per_second
from sweep.terminal.tables import print_table, width_of
from sweep.terminal.words import STYLES, count_of, ms
from sweep.trial.imported import IMPORTED
from sweep.trial.machine_load import BUSY
from sweep.trial.telemetry import SHARED, THROTTLED
from sweep.vocabulary import TestMode

T = TypeVar("T")

_NONE = "-"
_MARKS = {BUSY: "busy", THROTTLED: "throttled", SHARED: "shared", IMPORTED: ""}
"""What is written of notes that begin so; nothing here for the beginning of the note itself, up to its colon."""

_OTHER_NOTE = "*"
_FOLDED_LEAST = 26
"""Columns of a terminal that long text needs, with those that set it apart."""


@dataclass(frozen=True)
class _Field(Generic[T]):
    """A column of a list.

    Attributes:
        heading: Its name.
        cell: What is written in it.
        worth: The least worth goes first where there is no room; 0 never goes.
        is_figure: Whether it is aligned to the right.
        folds: Whether it is long text, which goes on below itself on a terminal.
    """

    heading: str
    cell: Callable[[T], str | Text]
    worth: int = 0
    is_figure: bool = False
    folds: bool = False


def show_trials(out: Console, trials: Sequence[StoredTrial], now: dt.datetime | None = None) -> None:
    """Print a row for each attempt, in their order.

    Where there is no room for all, names lose what other columns say, then columns go, those of least worth first.

    Args:
        out: Where to. A terminal is told how long ago a test was started, a file or a pipe when.
        trials: What to list.
        now: The time, with its zone; None takes the clock's.
    """
    now = now or dt.datetime.now(dt.UTC)
    percentiles = {f"p{one.result.spec.rules.percentile:g}" for one in trials if _is_performance(one)}
    percentile = percentiles.pop() if len(percentiles) == 1 else "percentile"
    started: _Field[StoredTrial] = _Field("started (UTC)", lambda one: started_text(one.result.timing.started_at), 5)
    if out.is_terminal:
        started = _Field("ago", lambda one: age_text(one.result.timing.started_at, now), 5, is_figure=True)
    notes: _Field[StoredTrial] = _Field("notes", _marks, 1)
    fields: list[_Field[StoredTrial]] = [
        _Field("model", lambda one: one.result.spec.model.name, 9),
        _Field("precision", lambda one: str(one.result.spec.precision), 7),
        _Field("backend", lambda one: one.result.spec.backend.name, 2),
        _Field("N", lambda one: str(one.result.spec.samples_per_query), is_figure=True),
        _Field("run", lambda one: str(one.result.spec.run_class) if _is_performance(one) else "accuracy", 4),
        _Field("result", _verdict),
        _Field(
            f"{percentile} ms", lambda one: ms(one.result.percentile_ns) if _is_performance(one) else _NONE, 10, True
        ),
        _Field("bound", _bound, 6, is_figure=True),
        _Field("samples/s", _rate, 3, is_figure=True),
        _Field("accuracy", _accuracy, 8, is_figure=True),
        started,
        notes,
    ]
    long: _Field[StoredTrial] = _Field("name", lambda one: attempt_name(one.directory))
    short: _Field[StoredTrial] = _Field("name", lambda one: short_name(one.directory))
    shown = _show(out, [[long, *fields], [short, *fields]], trials)
    if notes in shown and any(_OTHER_NOTE in _marks(one) for one in trials):
        out.print(f"{_OTHER_NOTE} has notes: python -m sweep show NAME", style="dim", markup=False, highlight=False)


def show_sweeps(out: Console, sweeps: Sequence[SweepRecord], now: dt.datetime | None = None) -> None:
    """Print a row for each command that ran tests, in their order, with the answers of its searches."""
    now = now or dt.datetime.now(dt.UTC)
    started: _Field[SweepRecord] = _Field("started (UTC)", lambda one: started_text(one.started_at), 2)
    if out.is_terminal:
        started = _Field("ago", lambda one: age_text(one.started_at, now), 2, is_figure=True)
    fields: list[_Field[SweepRecord]] = [
        _Field("name", lambda one: one.paths.directory.name),
        started,
        _Field("done", _done, is_figure=True),
        _Field("arguments", lambda one: shlex.join(one.arguments) or _NONE, 3, folds=True),
        _Field("answers", lambda one: "; ".join(map(_answer, one.searches)) or _NONE, 1, folds=True),
    ]
    _show(out, [fields], sweeps)


def show_certificates(out: Console, searches: Sequence[SearchRecord]) -> None:
    """Print a row for each search, in their order."""
    fields: list[_Field[SearchRecord]] = [
        _Field("name", lambda one: one.path.stem),
        _Field("model", lambda one: one.saved.plan.spec.model.name, 5),
        _Field("precision", lambda one: str(one.saved.plan.spec.precision), 4),
        _Field("backend", lambda one: one.saved.plan.spec.backend.name, 2),
        _Field("run", lambda one: str(one.saved.plan.spec.run_class), 3),
        _Field("max streams", _max_streams, is_figure=True),
        _Field("confidence", _confidence, 8, is_figure=True),
        _Field("first INVALID", lambda one: _figure(one.saved.certificate.first_invalid), 7, is_figure=True),
        _Field("status", lambda one: "FAILED" if one.saved.data["failure"] else str(one.saved.certificate.status), 6),
        _Field("tests", lambda one: str(one.saved.certificate.tests), 1, is_figure=True),
        _Field("sweep", lambda one: one.path.parent.name, 2),
    ]
    _show(out, [fields], searches)


def show_columns(out: Console) -> None:
    """Print the columns of the results table: name, type, unit, meaning."""
    table = Table("name", "type", "unit", "meaning", box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        table.add_row(*map(Text, (column.name, column.dtype, column.unit, column.meaning)))
    print_table(out, table, whole=True)
    others = [f"{short} for {name}" for short, name in ALIASES.items()]
    words = f"in filters also: {', '.join(others)}; _ms for any _ns; backend.NAME for an option of the engine"
    out.print(words, markup=False, highlight=False, soft_wrap=False)


def started_text(started_at: str) -> str:
    """Return when something was started, to the minute, in UTC; the text itself where it is no time."""
    moment = _moment(started_at)
    return started_at if moment is None else f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M}"


def age_text(started_at: str, now: dt.datetime) -> str:
    """Return how long ago something was started: `42 s`, `3 min`, `5 h`, `12 d`."""
    moment = _moment(started_at)
    if moment is None:
        return _NONE
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def hidden_text(hidden: int, noun: str) -> str:
    """Return what is said of rows that are left out."""
    return f"{count_of(hidden, noun)} more not shown; --limit 0 shows all"


def _moment(text: str) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _show(out: Console, choices: Sequence[Sequence[_Field[T]]], rows: Sequence[T]) -> list[_Field[T]]:
    """Print the first choice of columns that fits; where none does, the last one without what is worth least.

    Returns:
        What was printed.
    """
    kept: list[_Field[T]] = []
    for fields in choices:
        kept = [field for field in fields if not field.worth or any(_plain(field, row) != _NONE for row in rows)]
        if _fits(out, kept, rows):
            break
    while not _fits(out, kept, rows) and any(field.worth for field in kept):
        kept.remove(min((field for field in kept if field.worth), key=lambda field: field.worth))
    print_table(out, _table(kept, rows), whole=not (out.is_terminal and any(field.folds for field in kept)))
    return kept


def _fits(out: Console, fields: Sequence[_Field[T]], rows: Sequence[T]) -> bool:
    folding = [field for field in fields if field.folds]
    fixed = width_of(out, _table([field for field in fields if not field.folds], rows))
    return fixed + len(folding) * _FOLDED_LEAST <= out.width or width_of(out, _table(fields, rows)) <= out.width


def _plain(field: _Field[T], row: T) -> str:
    return str(field.cell(row)) or _NONE


def _table(fields: Sequence[_Field[T]], rows: Sequence[T]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for field in fields:
        table.add_column(
            field.heading, justify="right" if field.is_figure else "left", no_wrap=not field.folds, overflow="fold"
        )
    for row in rows:
        cells = [field.cell(row) for field in fields]
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
    return table


def _is_performance(stored: StoredTrial) -> bool:
    return stored.result.spec.mode is TestMode.PERFORMANCE


def _verdict(stored: StoredTrial) -> Text:
    result = stored.result
    word = str(result.state if result.result is None else result.result)
    kind = f" ({result.failure.kind})" if result.failure is not None else ""
    return Text(f"{word}{kind}{result.mark}", style=STYLES.get(word, ""))


def _bound(stored: StoredTrial) -> str:
    bound_ns = stored.result.spec.rules.target_latency_ns
    return _NONE if bound_ns is None or not _is_performance(stored) else f"{bound_ns / 1e6:g}"


def _rate(stored: StoredTrial) -> str:
    rate = samples_per_second(stored.result)
    return _NONE if rate is None or not _is_performance(stored) else f"{rate:.1f}"


def _accuracy(stored: StoredTrial) -> str:
    accuracy = stored.result.accuracy
    return _NONE if accuracy is None else f"{accuracy.accuracy:.3f}%"


def _marks(stored: StoredTrial) -> str:
    notes = stored.result.notes
    found = {kind: note for kind in _MARKS for note in reversed(notes) if note.startswith(kind)}
    marks = [_MARKS[kind] or note.partition(":")[0] for kind, note in found.items()]
    has_others = any(not note.startswith(tuple(_MARKS)) for note in notes)
    return " ".join([*marks, *[_OTHER_NOTE] * has_others]) or _NONE


def _done(sweep: SweepRecord) -> str:
    """Return how far a command came."""
    stopped = "" if sweep.finished_at is not None else " (stopped)"
    return f"{sweep.done}/{sweep.planned}{stopped}"


def _answer(search: SearchRecord) -> str:
    label = " ".join(f"{key}={value}" for key, value in search.saved.plan.label.items())
    answer = answer_of(search.outcome()).removeprefix("max streams: ")
    return f"{label}: {answer}" if label else answer


def _max_streams(search: SearchRecord) -> str:
    certificate = search.saved.certificate
    if certificate.max_streams is None:
        return f"none{certificate.mark}" if certificate.status is Status.NONE_VALID else "unknown"
    more = " or more" if certificate.status in (Status.OPEN, Status.ALL_VALID) else ""
    return f"{certificate.max_streams}{more}{certificate.mark}"


def _confidence(search: SearchRecord) -> str:
    return confidence_of(search.saved.certificate) or _NONE


def _figure(value: int | None) -> str:
    return _NONE if value is None else str(value)
