"""How plots mark tests: by shape first, by colour too, with an interval and words for each."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from sweep.report.figure import BREAK, HOVER
from sweep.report.panel import Panel
from sweep.report.search_points import CONFIDENCE, Kind
from sweep.report.sections import Test
from sweep.report.words import ms

_LOOKS: Mapping[Kind, tuple[str, str, int]] = {
    Kind.SHORT: ("circle", "var(--short)", 8),
    Kind.VALID: ("circle", "var(--valid)", 9),
    Kind.INVALID: ("x", "var(--invalid)", 8),
    Kind.STOPPED: ("x-thin-open", "var(--invalid)", 9),
    Kind.FAILED: ("square-open", "var(--failed)", 10),
}
"""Plotly's marker, its colour and its size in pixels: told apart by shape alone."""

_BESIDE = 0.14
"""Between tests of one N near the edge, in steps of N."""


def spoken(test: Test) -> str:
    """Return what one test has shown, in lines for a hover label; the page reads them out as well."""
    result, point = test.stored.result, test.point
    percentile = f"p{result.spec.rules.percentile:g}"
    lines = [f"N={test.n}: {test.kind}"]
    if point.percentile_ns is not None:
        lines.append(f"{percentile} {ms(point.percentile_ns)} ms{_interval(test)}")
    over = "" if result.over_count is None else f", {result.over_count} over the bound"
    whole = f" of {result.planned_query_count}" if test.kind in (Kind.STOPPED, Kind.FAILED) else ""
    lines.append(f"{result.query_count}{whole} queries{over}")
    if test.kind is Kind.STOPPED:
        lines.append(f"{percentile} is of the queries until the stop")
    if result.failure is not None:
        lines.append(html.escape(f"{result.failure.kind}: {result.failure.message}"[:160], quote=False))
    lines += [f"on a {mark}" if "machine" in mark else mark for mark in test.marks]
    lines += ["does not count: an undisturbed test tells"] if test.set_aside else []
    return BREAK.join(lines)


def _interval(test: Test) -> str:
    low, high = test.point.low_ns, test.point.high_ns
    if low is None and high is None:
        return ""
    return f" ({100 * CONFIDENCE:g} % interval {ms(low)} to {'open' if high is None else ms(high)})"


def by_kind(
    tests: Sequence[Test], values: Sequence[float | None], asides: Mapping[int, float]
) -> tuple[dict[str, Any], ...]:
    """Return a trace for each kind of test, in an order in which verdicts lie above short tests."""
    made = []
    for kind, (symbol, color, size) in _LOOKS.items():
        chosen = [(test, value) for test, value in zip(tests, values, strict=True) if test.kind is kind]
        seen = [(test, value) for test, value in chosen if value is not None]
        unseen = [(test, 0.95) for test, value in chosen if value is None]
        for part, on in ((seen, "y"), (unseen, "y2")):
            if not part:
                continue
            trace: dict[str, Any] = {
                "type": "scatter",
                "mode": "markers",
                "name": str(kind),
                "legendgroup": str(kind),
                "showlegend": part is seen or not seen,
                "x": [test.n + asides.get(id(test), 0.0) for test, _ in part],
                "y": [value for _, value in part],
                "yaxis": on,
                "hovertext": [spoken(test) for test, _ in part],
                "hovertemplate": HOVER,
                "cliponaxis": False,
                "marker": {
                    "symbol": symbol,
                    # Hollow, and no bar shines through.
                    "color": "var(--card)" if kind is Kind.SHORT else color,
                    "size": size,
                    "line": {"width": 2, "color": color},
                },
            }
            if on == "y" and any(test.point.low_ns is not None for test, _ in part):
                trace |= _bars([test for test, _ in part], [value for _, value in part], color)
            made.append(trace)
    return tuple(made)


def _bars(tests: Sequence[Test], values: Sequence[float], color: str) -> dict[str, Any]:
    """Return the bars of an interval; an arrow stands for an upper end that so few queries do not give."""
    ends = [(test.point.low_ns, test.point.high_ns) for test in tests]
    # LoadGen's figure is a little above what the system under test saw, so it may lie outside the interval.
    above = [0.0 if high is None else max(high / 1e6 - at, 0.0) for (_, high), at in zip(ends, values, strict=True)]
    below = [0.0 if low is None else max(at - low / 1e6, 0.0) for (low, _), at in zip(ends, values, strict=True)]
    bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below}
    arrows = ["↑" if low is not None and high is None else "" for low, high in ends]
    style = {"mode": "markers+text", "text": arrows, "textposition": "top center", "textfont": {"color": color}}
    return {"error_y": {**bars, "color": color, "thickness": 1.3, "width": 4}, **(style if any(arrows) else {})}


def marks(panel: Panel) -> list[dict[str, Any]]:
    """Return the bound, what lies between VALID and INVALID, and the answer."""
    shapes: list[dict[str, Any]] = []
    if panel.answer is not None and panel.first_invalid is not None:
        shade = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": panel.answer, "x1": panel.first_invalid}
        look = {"fillcolor": "var(--undecided)", "opacity": 0.28, "layer": "below", "line": {"width": 0}}
        shapes.append({**shade, **look, "showlegend": True, "name": panel.between})
    if panel.target_latency_ns is not None:
        at = panel.target_latency_ns / 1e6
        line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": at, "y1": at, "layer": "above"}
        look = {"line": {"color": "var(--text)", "width": 2, "dash": "dash"}}
        shapes.append({**line, **look, "showlegend": True, "name": f"bound {at:g} ms"})
    if panel.answer is not None:
        line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": panel.answer, "x1": panel.answer}
        look = {"line": {"color": "var(--answer)", "width": 2}, "layer": "above"}
        shapes.append({**line, **look, "showlegend": True, "name": f"{panel.answer_name}: N={panel.answer}"})
    return shapes


def asides_of(tests: Sequence[Test], step: int) -> dict[int, float]:
    """Return how far aside each test is drawn, by its identity, where an N was tested more than once."""
    of_n: dict[int, list[Test]] = {}
    for test in tests:
        of_n.setdefault(test.n, []).append(test)
    return {
        id(test): _BESIDE * step * (number - (len(same) - 1) / 2)
        for same in of_n.values()
        for number, test in enumerate(same)
    }
