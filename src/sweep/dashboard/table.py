"""Points as a table: one registry of columns for CSV, JSON and the page."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sweep
from sweep.dashboard.benchmarks import compared_as
from sweep.dashboard.points import DashboardPoint
from sweep.paths import to_utf8

SCHEMA_VERSION = 1
"""History of the JSON document. A reader takes any document of its own version; fields may be added within one.

1: first.
"""


@dataclass(frozen=True)
class Metric:
    """What a result is counted in.

    Attributes:
        label: For people.
        unit: Of the figure that is shown.
        divisor: From the value as it is kept to that.
        lower_is_better: Whether it is a latency.
    """

    label: str
    unit: str
    divisor: float = 1.0
    lower_is_better: bool = False


def metric_key(name: str) -> str:
    """Return the name of a metric as LoadGen prints it, `Samples per second`, as that of a column."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def metric_of(name: str) -> Metric:
    """Return what a metric's name stands for: `p99_latency_ns` and the like are latencies, shown in ms."""
    if name.endswith("_latency_ns"):
        return Metric(f"{name.removesuffix('_latency_ns')} latency, ms", "ms", 1e6, lower_is_better=True)
    label = name.replace("_", " ")
    rate = re.search("([a-z]+)_per_second", name)
    return Metric(label, f"{rate[1]}/s" if rate else label)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: With its unit where it has one.
        get: Reads it; None for what is not known.
    """

    name: str
    get: Callable[[DashboardPoint], Any]


def _field(name: str) -> Column:
    return Column(name, lambda point: getattr(point, name))


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How text begins that spreadsheets calculate with."""

COLUMNS: tuple[Column, ...] = (
    Column("source", lambda point: str(point.source)),
    *map(_field, ("round", "division", "submitter", "system_id", "system", "status", "accelerator", "accelerators")),
    *map(_field, ("processor", "processors", "software", "benchmark")),
    Column("compared_as", lambda point: compared_as(point.benchmark)),
    *map(_field, ("scenario", "metric")),
    Column("value", lambda point: _number(point.value)),
    Column("per_accelerator", lambda point: _number(point.per_accelerator)),
    *map(_field, ("verdict", "run_class", "samples_per_query", "p99_ns", "bound_ns")),
    Column("margin_percent", lambda point: _number(point.margin_percent)),
    *map(_field, ("accuracy_percent", "precision", "doubt", "inferred_from", "link", "notes")),
)
"""Of CSV and JSON, and of the file that the page offers."""


def row_of(point: DashboardPoint) -> dict[str, Any]:
    """Return a point as plain data, a value per column; None for what is not known."""
    return {column.name: column.get(point) for column in COLUMNS}


def to_csv(points: Iterable[DashboardPoint]) -> bytes:
    """Return the table as CSV, UTF-8, with a heading; nothing stands for what is not known."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [column.name for column in COLUMNS])
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row_of(point).items()} for point in points)
    return to_utf8(text.getvalue())


def _cell(value: Any) -> Any:
    """Return a text that a spreadsheet takes for text: names come from other people's files, and may be formulas."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def to_json(points: Sequence[DashboardPoint]) -> bytes:
    """Return the table as a JSON document."""
    document = {"schema_version": SCHEMA_VERSION, "sweep": sweep.__version__, "points": [row_of(one) for one in points]}
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
    return to_utf8(f"{text}\n")


def _number(value: float | None) -> float | int | None:
    """Return a figure as short as it is: whole ones without a point, others with four decimals or six digits."""
    if value is None:
        return None
    if value == int(value):
        return int(value)
    return round(value, 4) if abs(value) >= 1 else float(f"{value:.6g}")
