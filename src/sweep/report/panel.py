"""One panel of a picture: the latency at the percentile against N, the bound, and where the answer lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweep.report.search_points import CONFIDENCE, Kind, PlotPoint, spans_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEAR_SHARE = 0.04
_NEAR_WIDTHS = 3
_NEAR_STEPS = 6
_OPEN = r"$\uparrow$"
_OFFSET = 0.14
"""Between tests of one N near the edge, in steps of N, so that their bars can be told apart."""


@dataclass(frozen=True)
class Panel:
    """What a panel shows.

    Attributes:
        points: Tests.
        percentile: Where the bound is read, in percent.
        target_latency_ns: The bound; None where there is none.
        answer: The largest N shown VALID; None where there is none.
        answer_name: What that is, for the legend: `answer`, or `largest VALID tested`.
        first_invalid: The smallest N above it shown INVALID; None where none was, or none was looked for.
        between: What lies between those two, in words.
        step: Of N.
    """

    points: tuple[PlotPoint, ...]
    percentile: float
    target_latency_ns: int | None
    answer: int | None
    answer_name: str
    first_invalid: int | None
    between: str
    step: int = 1


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
    Kind.STOPPED: _Look("X", "#d55e00", filled=False),
    Kind.FAILED: _Look("s", "#000000", filled=False),
}


def near_edge(panel: Panel) -> tuple[PlotPoint, ...]:
    """Return the tests around the answer, for a panel of their own; none where that would show nothing new."""
    low, high, points = panel.answer, panel.first_invalid, panel.points
    if low is None or high is None:
        return ()
    reach = max(_NEAR_WIDTHS * (high - low), _NEAR_SHARE * low, _NEAR_STEPS * panel.step)
    reach = min(reach, max(low // 2, 1))  # the other panel has the rest
    near = tuple(point for point in points if low - reach <= point.samples_per_query <= high + reach)
    shown = {point.samples_per_query for point in near}
    is_closer = 1 < len(shown) < len({point.samples_per_query for point in points})
    return near if is_closer and not spans_log([float(n) for n in shown]) else ()


def draw_panel(axes: Axes, panel: Panel, *, edge: bool = False) -> None:
    """Draw a panel.

    Args:
        axes: Where.
        panel: What.
        edge: Whether it is the view of a few N, in which tests of one N are drawn side by side.
    """
    bound_ms = None if panel.target_latency_ns is None else panel.target_latency_ns / 1e6
    _scale(axes, panel.points, bound_ms)
    if bound_ms is not None:
        axes.axhline(bound_ms, color="black", linestyle="--", linewidth=1.2, label=f"bound {bound_ms:g} ms")
    if panel.answer is not None and panel.first_invalid is not None:
        shade: dict[str, Any] = {"facecolor": "#f0e442", "edgecolor": "#c9bd2e", "alpha": 0.35, "hatch": "//"}
        axes.axvspan(panel.answer, panel.first_invalid, label=panel.between, **shade)
    for kind, look in _LOOKS.items():
        chosen = [point for point in panel.points if point.kind is kind]
        _draw(axes, kind, look, chosen, _offsets(panel.points) if edge else {})
    if panel.answer is not None:
        label = f"{panel.answer_name}: N={panel.answer}"
        axes.axvline(panel.answer, color="#009e73", linewidth=1.5, label=label)
    axes.set_xlabel("samples per query N")
    axes.set_ylabel(f"p{panel.percentile:g} latency, ms (bars: {100 * CONFIDENCE:g} % interval, {_OPEN} open above)")
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


def _scale(axes: Axes, points: Sequence[PlotPoint], bound_ms: float | None) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    streams = [float(point.samples_per_query) for point in points]
    latencies = [_ms(point.percentile_ns) for point in points if point.percentile_ns is not None]
    bounds = [] if bound_ms is None else [bound_ms]
    for axis, values in ((axes.xaxis, streams), (axes.yaxis, [*latencies, *bounds])):
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
