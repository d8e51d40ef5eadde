"""A report as one HTML file: it opens offline, asks no network for anything, and reads without JavaScript too."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sweep.report import tables
from sweep.report.figure import Figure
from sweep.report.figures import figures_of
from sweep.report.html import asset, plotly_script, render
from sweep.report.sections import Report, Series, Source
from sweep.report.tables import Links, Table


@dataclass(frozen=True)
class _Plot:
    """A plot on the page: its name, what is drawn, the JSON of it, and the table behind it."""

    name: str
    figure: Figure
    data: str
    table: Table


@dataclass(frozen=True)
class _Section:
    """A series on the page; `tables` are those without a plot."""

    series: Series
    plots: tuple[_Plot, ...]
    tables: tuple[Table, ...]


def render_html(report: Report, folder: Path) -> str:
    """Return the page.

    Args:
        report: What it says.
        folder: Where it will lie, so that its links lead to the logs.
    """
    links = partial(link, folder)
    sections = [_section(series, links) for series in report.series if series.is_drawn]
    scripts = [asset("plots.js") + asset("page.js")]
    if any(section.plots for section in sections):
        scripts.insert(0, plotly_script())
    return render(
        "sweep.report",
        "report.html.j2",
        scripts,
        asset("page.css"),
        report=report,
        sections=sections,
        answers=tables.answers_table(report, links),
        accuracy=tables.accuracy_table(report, links),
        commands=tables.commands_table(report, links),
        everything=tables.all_table(report, links),
        certificate=Source.CERTIFICATE,
        first=report.trials[0].result.timing.started_at if report.trials else "",
        last=report.trials[-1].result.timing.started_at if report.trials else "",
        fingerprint=_fingerprint,
    )


def link(folder: Path, target: Path) -> str:
    """Return the URL of a file, relative to the folder of the report, so that both may be moved together."""
    try:
        relative = os.path.relpath(target.absolute(), folder.absolute())
    except ValueError:  # another drive
        return target.absolute().as_uri()
    # A name that begins like `x:` would be taken for a scheme.
    return "./" + quote(relative) + ("/" if target.is_dir() else "")


def _section(series: Series, links: Links) -> _Section:
    table_of: dict[str, Callable[[], Table]] = {
        "latency": lambda: tables.tests_table(series, links),
        "edge": lambda: _edge_table(series, links),
        "distribution": lambda: tables.distribution_table(series),
        "throughput": lambda: tables.throughput_table(series),
        "energy": lambda: tables.gpu_table(series),
        "gpu": lambda: tables.gpu_table(series),
        "traces": lambda: tables.gpu_table(series),
    }
    plots = [
        _Plot(f"{series.name}-{figure.kind}", figure, figure.to_json(), table_of[figure.kind]())
        for figure in figures_of(series)
    ]
    more = [tables.checks_table(series)]
    for answer in series.answers:
        more += [tables.evidence_table(answer, series.configuration["percentile"])] if answer.evidence else []
        more += [tables.settings_table(answer)] if answer.settings else []
    return _Section(series, tuple(plots), tuple(table for table in more if table.rows))


def _edge_table(series: Series, links: Links) -> Table:
    """Return the rows of the tests that the plot of the edge shows."""
    from sweep.report.panel import near_edge

    shown = {str(point.samples_per_query) for point in near_edge(series.panel)}
    whole = tables.tests_table(series, links)
    return Table("Tests near the edge", whole.headings, tuple(row for row in whole.rows if row[0].text in shown))


def _fingerprint(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
