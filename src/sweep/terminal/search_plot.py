"""A search drawn with characters: the latency at the percentile against N."""

from __future__ import annotations

import math

from sweep.report.search_points import Kind, points_of, spans_log
from sweep.study.search import SearchOutcome

_MARKERS = {Kind.SHORT: ".", Kind.VALID: "o", Kind.INVALID: "x", Kind.STOPPED: "x"}
_TICKS = 6
_WIDTH, _HEIGHT = 70, 16


def plot_text(outcome: SearchOutcome, width: int = _WIDTH, height: int = _HEIGHT) -> str:
    """Return the plot as lines of text without colour; empty when no query was finished.

    Args:
        outcome: The search.
        width: In characters.
        height: In lines.
    """
    import plotext

    points = [point for point in points_of(outcome) if point.percentile_ns is not None and point.kind in _MARKERS]
    if not points:
        return ""
    question = outcome.plan.question
    bound = question.target_latency_ns / 1e6
    streams = [float(point.samples_per_query) for point in points]
    latencies = [(point.percentile_ns or 0) / 1e6 for point in points]
    # Its own logarithmic axis has ticks at powers of ten only, of which a search may hold none.
    log_x, log_y = spans_log(streams), spans_log([*latencies, bound])
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(width, height)
    plotext.theme("clear")
    across = _place(min(streams), log=log_x), _place(max(streams), log=log_x)
    if across[0] == across[1]:
        across = across[0] - 1, across[1] + 1
    plotext.xlim(*across)
    plotext.plot(across, [_place(bound, log=log_y)] * 2, marker="-")
    for kind, marker in _MARKERS.items():  # verdicts are drawn over short tests
        chosen = [
            (_place(n, log=log_x), _place(at, log=log_y))
            for n, at, point in zip(streams, latencies, points, strict=True)
            if point.kind is kind
        ]
        if chosen:
            plotext.scatter([x for x, _ in chosen], [y for _, y in chosen], marker=marker)
    answer, marks = outcome.certificate.max_streams, "o VALID, x INVALID, . short test"
    if answer is not None:
        lowest = min(_place(at, log=log_y) for at in (*latencies, bound))
        plotext.scatter([_place(answer, log=log_x)], [lowest], marker="^")
        marks += f", ^ answer N={answer}"
    plotext.xticks(*_ticks(streams, log=log_x, whole=True))
    plotext.yticks(*_ticks([*latencies, bound], log=log_y, whole=False))
    drawn: str = plotext.uncolorize(plotext.build())
    plotext.clear_figure()
    legend = f"p{question.percentile:g} ms against N: {marks}, --- bound {bound:g} ms"
    return "\n".join([*(line.rstrip() for line in drawn.splitlines()), legend])


def _place(value: float, *, log: bool) -> float:
    return math.log(value) if log else value


def _ticks(values: list[float], *, log: bool, whole: bool) -> tuple[list[float], list[str]]:
    """Return where an axis has ticks and what is written there."""
    low, high = min(values), max(values)
    if log:
        # The endpoints would crowd the round values between them.
        at = [n * 10.0**power for power in range(-6, 9) for n in (1, 2, 5) if low <= n * 10.0**power <= high]
        at = at[:: max(1, math.ceil(len(at) / (2 * _TICKS)))]
    else:
        step = _step((high - low) / _TICKS, whole=whole)
        at = [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [_place(value, log=log) for value in at], [f"{value:.6g}" for value in at]


def _step(least: float, *, whole: bool) -> float:
    """Return the smallest of 1, 2 or 5 times a power of ten that is `least` or more."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
    return max(1.0, step) if whole else step
