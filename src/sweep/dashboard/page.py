"""The dashboard as one HTML file: it opens offline, asks no network for anything, and has a table without scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sweep
from sweep.dashboard import view
from sweep.dashboard.benchmarks import compared_as
from sweep.dashboard.gather import told_apart
from sweep.dashboard.points import DashboardPoint, Source
from sweep.dashboard.table import COLUMNS, metric_of
from sweep.dashboard.view import FACETS, NOTHING, figure
from sweep.report.axes import axis, base
from sweep.report.html import asset, json_in_html, plotly_script, render
from sweep.report.words import count_of, ms

ROWS_DRAWN = 60
"""Rows of one plot, at most: the best, and all of one's own. The table has all."""

_PACKAGE = "sweep.dashboard"
_LOOKS = {
    "official": ("circle", "var(--valid)", 9, "official"),
    "tree": ("square", "var(--c4)", 9, "of a submission tree"),
    "inferred": ("square-open", "var(--c4)", 9, "of a submission tree, inferred from another scenario"),
    "imported": ("triangle-up", "var(--invalid)", 14, "own, imported"),
    "imported-short": ("triangle-up-open", "var(--invalid)", 14, "own, imported, not of official length"),
    "own": ("diamond", "var(--invalid)", 15, "own, official run"),
    "own-short": ("diamond-open", "var(--invalid)", 14, "own, but no official run"),
    "invalid": ("x-thin-open", "var(--failed)", 9, "INVALID"),
}
"""Plotly's marker, its colour, its size in pixels and the words of the legend: told apart by shape alone."""


@dataclass(frozen=True)
class _Heading:
    """A column of the table on the page: what it is sorted by, its heading, whether it is text."""

    name: str
    text: str
    is_text: bool


_HEADINGS = (
    _Heading("source", "from", is_text=True),
    _Heading("system", "system", is_text=True),
    _Heading("benchmark", "benchmark", is_text=True),
    _Heading("scenario", "scenario", is_text=True),
    _Heading("value", "result", is_text=False),
    _Heading("metric", "unit", is_text=True),
    _Heading("per_accelerator", "per accelerator", is_text=False),
    _Heading("p99_ns", "p99, ms", is_text=False),
    _Heading("margin_percent", "margin, %", is_text=False),
    _Heading("accuracy_percent", "accuracy, %", is_text=False),
    _Heading("verdict", "verdict", is_text=True),
    _Heading("submitter", "submitter", is_text=True),
    _Heading("round", "round", is_text=True),
    _Heading("division", "division", is_text=True),
    _Heading("accelerators", "accelerators", is_text=False),
    _Heading("accelerator", "accelerator", is_text=True),
    _Heading("processor", "processor", is_text=True),
    _Heading("precision", "precision", is_text=True),
    _Heading("software", "software", is_text=True),
    _Heading("run_class", "length of the test", is_text=True),
    _Heading("notes", "notes", is_text=True),
)


def render_dashboard(points: Sequence[DashboardPoint], origins: str, unread: Sequence[str] = ()) -> str:
    """Return the page.

    Args:
        points: All that it is to hold, at least one.
        origins: Where they come from, in a few words with counts.
        unread: What could not be read, a line each.
    """
    points = told_apart(points)
    measures = view.measures_of(points)
    benchmarks = view.benchmarks_of(points)
    order = sorted(points, key=lambda point: _order(point, [one.key for one in measures], benchmarks))
    looks = {name: look for name, look in _LOOKS.items() if any(view.look_of(point) == name for point in order)}
    data = {
        "points": [view.plain(point) for point in order],
        "columns": [column.name for column in COLUMNS],
        "measures": [vars(one) for one in measures],
        "facets": [{"key": facet.key, "holdsMine": facet.holds_mine} for facet in FACETS],
        "benchmarks": benchmarks,
        "looks": {
            name: dict(zip(("symbol", "color", "size", "text"), look, strict=True)) for name, look in looks.items()
        },
        "layout": base(xaxis=axis(""), yaxis=axis(""), showlegend=False),
        "rowsDrawn": ROWS_DRAWN,
    }
    return render(
        _PACKAGE,
        "dashboard.html.j2",
        [plotly_script(), asset("plots.js") + asset("dashboard.js", _PACKAGE)],
        asset("page.css") + asset("dashboard.css", _PACKAGE),
        version=sweep.__version__,
        origins=origins,
        unread=unread,
        points=order,
        count=count_of(len(order), "result"),
        measures=measures,
        facets=[(facet, _counts(facet, order, benchmarks)) for facet in FACETS],
        headings=_HEADINGS,
        rows=[_cells(point) for point in order],
        looks=looks,
        has_mine=any(point.is_mine for point in order),
        has_trees=any(point.source is Source.TREE for point in order),
        data=json_in_html(data),
    )


def _order(point: DashboardPoint, measures: Sequence[str], benchmarks: Sequence[str]) -> tuple[float | str, ...]:
    """Return what points stand in order of: the best of a benchmark first."""
    key = view.measure_key(point)
    best_first = point.value if metric_of(point.metric).lower_is_better else -point.value
    return (measures.index(key), benchmarks.index(compared_as(point.benchmark)), best_first, point.system)


def _counts(facet: view.Facet, points: Sequence[DashboardPoint], benchmarks: Sequence[str]) -> list[tuple[str, int]]:
    """Return the values of a filter with how many points have each: rounds and benchmarks in order, else by name."""
    counts = Counter(facet.get(point) for point in points)
    if facet.key == "benchmark":
        return [(name, counts[name]) for name in benchmarks]
    return sorted(counts.items(), key=lambda pair: (pair[0].startswith("none"), pair[0].casefold()))


def _cells(point: DashboardPoint) -> list[str]:
    """Return a row of the table, for people."""
    metric = metric_of(point.metric)
    per = point.per_accelerator
    margin, accuracy = point.margin_percent, point.accuracy_percent
    shown = {
        "source": view.SOURCES[point.source],
        "system": " · ".join(filter(None, (point.system, point.apart))),
        "scenario": ", inferred from ".join(filter(None, (point.scenario, point.inferred_from))),
        "value": figure(point.value / metric.divisor),
        "metric": metric.label,
        "per_accelerator": NOTHING if per is None else figure(per / metric.divisor),
        "p99_ns": NOTHING if point.p99_ns is None else ms(point.p99_ns),
        "margin_percent": NOTHING if margin is None else f"{margin:.1f}",
        "accuracy_percent": NOTHING if accuracy is None else f"{accuracy:.3f}",
        "accelerators": str(point.accelerators or NOTHING),
        "run_class": ", ".join(part for part in (point.run_class, point.doubt) if part),
    }
    return [shown.get(one.name) or str(getattr(point, one.name)) or NOTHING for one in _HEADINGS]
