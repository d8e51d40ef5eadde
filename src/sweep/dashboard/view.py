"""What the page shows of each point: in which plot, in which words, under which filters."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.dashboard.benchmarks import compared_as
from sweep.dashboard.points import INTERACTIVE, DashboardPoint, Source
from sweep.dashboard.table import metric_of, row_of
from sweep.report.figure import BREAK
from sweep.report.words import ms
from sweep.vocabulary import Scenario, Verdict

NOTHING = "-"
"""Stands for what is not known."""

SOURCES = {
    Source.OFFICIAL: "official",
    Source.OWN: "own",
    Source.IMPORTED: "own, imported",
    Source.TREE: "submission tree",
}
"""Sources, in words."""

_SCENARIOS = (Scenario.MULTI_STREAM, Scenario.SINGLE_STREAM, Scenario.SERVER, INTERACTIVE, Scenario.OFFLINE)
_BENCHMARKS = ("resnet", "mobilenet", "ssd-small", "ssd-large", "gnmt")
_LINE, _LINES = 46, 3
"""Characters of a line beside a mark, so that it has room in a narrow plot, and lines that one fact may fill."""

_VENDOR = re.compile(r"^(nvidia\s+)?(tesla\s+)?", re.IGNORECASE)
_NONE = "none"
_PROCESSOR_ALONE = "none, or not known"


@dataclass(frozen=True)
class Facet:
    """One filter of the page.

    Attributes:
        key: In the address of a view.
        label: For people.
        get: The value of a point.
        holds_mine: Whether it leaves one's own results alone while they are kept in view.
    """

    key: str
    label: str
    get: Callable[[DashboardPoint], str]
    holds_mine: bool


def card_of(point: DashboardPoint) -> str:
    """Return an accelerator by one name, however a submitter wrote it: `Tesla T4` and `NVIDIA T4` are one."""
    name = " ".join(point.accelerator.split())
    return _VENDOR.sub("", name) or name or _PROCESSOR_ALONE


FACETS = (
    Facet("benchmark", "Benchmark", lambda point: compared_as(point.benchmark), holds_mine=False),
    Facet("round", "Round", lambda point: point.round or _NONE, holds_mine=True),
    Facet("division", "Division", lambda point: point.division or _NONE, holds_mine=True),
    Facet("submitter", "Submitter", lambda point: point.submitter or _NONE, holds_mine=True),
    Facet("accelerator", "Accelerator", card_of, holds_mine=True),
    Facet("source", "From", lambda point: SOURCES[point.source], holds_mine=False),
)


@dataclass(frozen=True)
class Measure:
    """What one view of the page shows: one metric of one scenario, since two never share an axis.

    Attributes:
        key: In the address of a view.
        label: For people.
        unit: Of its axis.
        lower_is_better: Whether it is a latency.
        count: Points that have it.
    """

    key: str
    label: str
    unit: str
    lower_is_better: bool
    count: int


def measure_key(point: DashboardPoint) -> str:
    """Return which measure a point has."""
    return f"{point.scenario}/{point.metric}"


def measures_of(points: Sequence[DashboardPoint]) -> tuple[Measure, ...]:
    """Return the measures that points have, MultiStream's first."""
    counts: dict[tuple[str, str], int] = {}
    for point in points:
        counts[point.scenario, point.metric] = counts.get((point.scenario, point.metric), 0) + 1
    order = {str(name): place for place, name in enumerate(_SCENARIOS)}
    pairs = sorted(counts, key=lambda pair: (order.get(pair[0], len(order)), pair[1] != "samples_per_query", pair))
    return tuple(
        Measure(
            f"{scenario}/{metric}",
            f"{scenario}: {metric_of(metric).label}",
            metric_of(metric).unit,
            metric_of(metric).lower_is_better,
            counts[scenario, metric],
        )
        for scenario, metric in pairs
    )


def benchmarks_of(points: Sequence[DashboardPoint]) -> tuple[str, ...]:
    """Return the benchmarks of points by the names they are compared under: those of the early rounds first."""
    found = {compared_as(point.benchmark) for point in points}
    return (*(name for name in _BENCHMARKS if name in found), *sorted(found - set(_BENCHMARKS)))


def plain(point: DashboardPoint) -> dict[str, Any]:
    """Return a point as the page's script has it: the columns of the table, and what is drawn and said of it."""
    scale = metric_of(point.metric).divisor
    per = point.per_accelerator
    return {
        "row": row_of(point),
        "measure": measure_key(point),
        "facets": {facet.key: facet.get(point) for facet in FACETS},
        "mine": point.is_mine,
        "look": look_of(point),
        "value": point.value / scale,
        "per": None if per is None else per / scale,
        "label": point.system,
        "more": ending_of(point),
        "hover": BREAK.join(html.escape(line, quote=False) for line in spoken(point)),
    }


def look_of(point: DashboardPoint) -> str:
    """Return how a point is drawn: by its source; hollow when short or inferred; crossed out when INVALID."""
    if point.verdict == Verdict.INVALID:
        return "invalid"
    if point.inferred_from:
        return "inferred"
    return f"{point.source}" if point.is_full else f"{point.source}-short"


def ending_of(point: DashboardPoint) -> str:
    """Return what stands behind a system's name beside its row of a plot: that is never cut off."""
    when = point.run_class if point.run_class and not point.is_full else point.round
    invalid = "INVALID" if point.verdict == Verdict.INVALID else ""
    inferred = "inferred" if point.inferred_from else ""
    parts = (point.apart, point.precision, point.doubt, inferred, when, invalid)
    return "".join(f" · {part}" for part in parts if part)


def figure(value: float | None) -> str:
    """Return a result for people: whole, or with four digits."""
    if value is None:
        return NOTHING
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def spoken(point: DashboardPoint) -> list[str]:
    """Return everything to be said of a point, line by line."""
    metric = metric_of(point.metric)
    identifier = "" if point.system_id in point.system else f" ({point.system_id})"
    lines = [
        f"{point.system}{identifier}",
        " · ".join(part for part in (SOURCES[point.source], point.submitter, point.round, point.division) if part),
        f"{point.benchmark} {point.scenario}: {figure(point.value / metric.divisor)} {metric.unit} {point.verdict}",
    ]
    lines += [f"inferred from its {point.inferred_from} test"] if point.inferred_from else []
    if point.per_accelerator is not None and point.accelerators > 1:
        lines.append(f"{figure(point.per_accelerator / metric.divisor)} per accelerator")
    if point.samples_per_query is not None and point.metric != "samples_per_query":
        lines.append(f"N={point.samples_per_query}")
    if point.p99_ns is not None:
        lines.append(f"p99 {ms(point.p99_ns)} ms{_margin(point)}")
    if point.accelerators:
        lines.append(f"{point.accelerators} x {point.accelerator}")
    if point.processor:
        lines.append(f"{f'{point.processors} x ' if point.processors else ''}{point.processor}")
    lines += [part for part in (" ".join(filter(None, (point.precision, point.software))),) if part]
    if point.accuracy_percent is not None:
        lines.append(f"accuracy {point.accuracy_percent:g} %")
    lines += filter(None, point.notes.split("; "))
    return [part for line in lines for part in textwrap.wrap(line, _LINE)[:_LINES]]


def _margin(point: DashboardPoint) -> str:
    margin = point.margin_percent
    if margin is None or point.bound_ns is None:
        return ""
    where = "below" if margin >= 0 else "above"
    return f", {abs(margin):.1f} % {where} the bound of {point.bound_ns / 1e6:g} ms"
