"""A search drawn with characters: the latency at the percentile against N."""

from __future__ import annotations

import math

from sweep.report.search_points import Kind, points_of, spans_log
from sweep.study.search import SearchOutcome

_MARKERS = {Kind.SHORT: ".", Kind.VALID: "o", Kind.INVALID: "x"}
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
    plotext.xticks(*_ticks(streams, log=log_x, whole=True))
    plotext.yticks(*_ticks([*latencies, bound], log=log_y, whole=False))
    drawn: str = plotext.uncolorize(plotext.build())
    plotext.clear_figure()
    legend = f"p{question.percentile:g} ms against N: o VALID, x INVALID, . short test, --- bound {bound:g} ms"
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
    elif whole:
        step = max(1, math.ceil((high - low) / _TICKS))
        at = [float(n) for n in range(int(low), int(high) + 1, step)]
    else:
        at = [low + (high - low) * number / (_TICKS - 1) for number in range(_TICKS)] if high > low else [low]
    return [_place(value, log=log) for value in at], [f"{value:g}" if log or whole else f"{value:.4g}" for value in at]
