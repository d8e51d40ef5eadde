"""A search as a picture: the latency at the percentile against N, the bound, and where the answer lies."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.paths import write_bytes
from sweep.report.search_points import CONFIDENCE, Kind, PlotPoint, points_of, spans_log
from sweep.report.search_words import answer_of
from sweep.study.search import SearchOutcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES, _WIDE_INCHES, _HEIGHT_INCHES, _DPI = 8.0, 12.0, 5.6, 120
_NEAR_SHARE = 0.04
_NEAR_WIDTHS = 3
_NEAR_STEPS = 6
_OPEN = r"$\uparrow$"
_OFFSET = 0.14
"""Between tests of one N near the edge, in steps of N, so that their bars can be told apart."""


@dataclass(frozen=True)
class _Look:
    """How tests of a kind are drawn: by shape and filling first, so that it reads without colour."""

    marker: str
    color: str
    filled: bool


_LOOKS = {
    Kind.SHORT: _Look("o", "#666666", filled=False),
    Kind.VALID: _Look("o", "#0072b2", filled=True),
    Kind.INVALID: _Look("X", "#d55e00", filled=True),
    Kind.FAILED: _Look("s", "#000000", filled=False),
}


def write_search_plot(outcome: SearchOutcome, path: Path) -> None:
    """Write the picture as PNG, whole or not at all: the whole search, and beside it the edge where that helps.

    Raises:
        OSError: It cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    points = points_of(outcome)
    near = near_edge(outcome, points)
    figure = Figure(figsize=(_WIDE_INCHES if near else _INCHES, _HEIGHT_INCHES), layout="constrained")
    FigureCanvasAgg(figure)
    spec, rules = outcome.plan.spec, outcome.plan.spec.rules
    label = " ".join(f"{key}={value}" for key, value in outcome.plan.label.items())
    figure.suptitle(answer_of(outcome), fontweight="bold")
    axes = figure.subplots(1, 2 if near else 1, squeeze=False)[0]
    _panel(axes[0], outcome, points, edge=False)
    about = f"{spec.model.name} on {spec.backend.name}, {rules.edition} rules"
    axes[0].set_title(f"{about}, {label}" if label else about, fontsize=9, wrap=True)
    if near:
        _panel(axes[1], outcome, near, edge=True)
        axes[1].set_title("near the edge", fontsize=9)
    handles = {text: handle for axis in axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4 if near else 3, fontsize=8, frameon=False
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def near_edge(outcome: SearchOutcome, points: Sequence[PlotPoint]) -> list[PlotPoint]:
    """Return the tests around the answer, for a picture of their own; none where that would show nothing new."""
    low, high = interval_of(outcome)
    if low is None or high is None:
        return []
    reach = max(_NEAR_WIDTHS * (high - low), _NEAR_SHARE * low, _NEAR_STEPS * outcome.plan.question.domain.step)
    reach = min(reach, max(low // 2, 1))  # the other panel has the rest
    near = [point for point in points if low - reach <= point.samples_per_query <= high + reach]
    shown = {point.samples_per_query for point in near}
    return near if 1 < len(shown) < len({point.samples_per_query for point in points}) else []


def interval_of(outcome: SearchOutcome) -> tuple[int | None, int | None]:
    """Return the largest N shown VALID and the smallest above it shown INVALID; None where there is none."""
    return outcome.certificate.max_streams, outcome.certificate.first_invalid


def between_of(outcome: SearchOutcome) -> str:
    """Return what lies between those two, in words for a legend."""
    undecided = outcome.certificate.undecided
    if undecided is None:
        return "between VALID and INVALID"
    first, last = undecided
    return f"undecided: {first} to {last}" if first < last else f"undecided: {first}"


def _panel(axes: Axes, outcome: SearchOutcome, points: Sequence[PlotPoint], *, edge: bool) -> None:
    question = outcome.plan.question
    _scale(axes, points, question.target_latency_ns / 1e6)
    bound = f"bound {question.target_latency_ns / 1e6:g} ms"
    axes.axhline(question.target_latency_ns / 1e6, color="black", linestyle="--", linewidth=1.2, label=bound)
    low, high = interval_of(outcome)
    if low is not None and high is not None:
        shade: dict[str, Any] = {"facecolor": "#f0e442", "edgecolor": "#c9bd2e", "alpha": 0.35, "hatch": "//"}
        axes.axvspan(low, high, label=between_of(outcome), **shade)
    for kind, look in _LOOKS.items():
        _draw(axes, kind, look, [point for point in points if point.kind is kind], _offsets(points) if edge else {})
    if low is not None:
        axes.axvline(low, color="#009e73", linewidth=1.5, label=f"answer: N={low}")
    axes.set_xlabel("samples per query N")
    axes.set_ylabel(f"p{question.percentile:g} latency, ms (bars: {100 * CONFIDENCE:g} % interval, {_OPEN} open above)")
    axes.margins(y=0.1)  # room for the arrows
    axes.grid(visible=True, alpha=0.25)


def _draw(axes: Axes, kind: Kind, look: _Look, points: Sequence[PlotPoint], offsets: dict[int, float]) -> None:
    """Draw the tests of a kind; an arrow stands for the upper end of a bar that so few queries do not give."""
    at_the_top = [point.samples_per_query for point in points if point.percentile_ns is None]
    style: dict[str, Any] = {
        "marker": look.marker,
        "color": look.color,
        "markerfacecolor": look.color if look.filled else "white",
        "linestyle": "none",
        "markersize": 7,
        "zorder": 3,
    }
    if at_the_top:
        axes.plot(at_the_top, [0.97] * len(at_the_top), transform=axes.get_xaxis_transform(), label=str(kind), **style)
    measured = [point for point in points if point.percentile_ns is not None]
    if not measured:
        return
    x = [point.samples_per_query + offsets.get(id(point), 0.0) for point in measured]
    y = [_ms(point.percentile_ns) for point in measured]
    below = [at - _ms(point.low_ns, at) for at, point in zip(y, measured, strict=True)]
    above = [_ms(point.high_ns, at) - at for at, point in zip(y, measured, strict=True)]
    # LoadGen's figure is a little above what the system under test saw, so it may lie outside the interval.
    bars = [[max(0.0, length) for length in below], [max(0.0, length) for length in above]]
    axes.errorbar(x, y, yerr=bars, fmt="none", ecolor=look.color, elinewidth=1.2, capsize=3, zorder=2)
    axes.plot(x, y, label=str(kind), **style)
    place: dict[str, Any] = {"xytext": (0, 9), "textcoords": "offset points", "ha": "center", "va": "center"}
    for at, value, point in zip(x, y, measured, strict=True):
        if point.high_ns is None and point.low_ns is not None:
            axes.annotate(_OPEN, (at, value), color=look.color, **place)


def _offsets(points: Sequence[PlotPoint]) -> dict[int, float]:
    """Return how far aside each test is drawn where an N was tested more than once."""
    of_n: dict[int, list[PlotPoint]] = {}
    for point in points:
        of_n.setdefault(point.samples_per_query, []).append(point)
    return {
        id(point): _OFFSET * (number - (len(same) - 1) / 2)
        for same in of_n.values()
        for number, point in enumerate(same)
    }


def _scale(axes: Axes, points: Sequence[PlotPoint], bound_ms: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    streams = [float(point.samples_per_query) for point in points]
    latencies = [_ms(point.percentile_ns) for point in points if point.percentile_ns is not None]
    for axis, values in ((axes.xaxis, streams), (axes.yaxis, [*latencies, bound_ms])):
        if not spans_log(values):
            continue
        (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
        axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5), numticks=20))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    if not spans_log(streams):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(set(streams)) == 1:
            axes.set_xlim(max(0, streams[0] - 5), streams[0] + 5)


def _ms(latency_ns: int | None, otherwise: float = 0.0) -> float:
    return otherwise if latency_ns is None else latency_ns / 1e6
