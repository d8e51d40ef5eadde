"""Plots of what a GPU reported: against N, and over the time of a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweep.report.axes import across, axis, base
from sweep.report.figure import BREAK, HOVER, Figure
from sweep.report.sections import Test, Trace

_ROWS = (("sm_clock_mhz", "SM clock", "MHz"), ("power_w", "power", "W"), ("temperature_c", "temperature", "°C"))


def gpu_figure(tests: Sequence[Test]) -> Figure | None:
    """Return clock, power and temperature against N: means, with bars from the least to the most."""
    known = [test for test in tests if test.stored.result.telemetry is not None]
    data: list[dict[str, Any]] = []
    rows = [row for row in _ROWS if any(getattr(test.stored.result.telemetry, row[0]) is not None for test in known)]
    for number, (field, name, unit) in enumerate(rows, start=1):
        spreads = [(test, getattr(test.stored.result.telemetry, field)) for test in known]
        seen = [(test, spread) for test, spread in spreads if spread is not None]
        held = [bool(test.stored.result.telemetry and test.stored.result.telemetry.throttled) for test, _ in seen]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "showlegend": False,
                "x": [test.n for test, _ in seen],
                "y": [spread.mean for _, spread in seen],
                "yaxis": f"y{number}" if number > 1 else "y",
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [spread.max - spread.mean for _, spread in seen],
                    "arrayminus": [spread.mean - spread.min for _, spread in seen],
                    "color": "var(--c1)",
                    "thickness": 1.3,
                },
                "marker": {
                    "symbol": ["diamond-open" if one else "circle" for one in held],
                    "color": ["var(--invalid)" if one else "var(--c1)" for one in held],
                    "size": 9,
                },
                "hovertext": [
                    f"N={test.n}{', throttled' if one else ''}{BREAK}{name} {spread.mean:.6g} {unit} "
                    f"({spread.min:.6g} to {spread.max:.6g})"
                    for (test, spread), one in zip(seen, held, strict=True)
                ],
                "hovertemplate": HOVER,
            }
        )
    if not data:
        return None
    layout = base(xaxis={**across([float(test.n) for test in known]), **_below(rows)}, **_stacked(rows))
    label = f"{', '.join(name for _, name, _ in rows)} of the GPU in {len(known)} tests against samples per query N"
    title = "GPU clock, power, temperature"
    return Figure("gpu", title, label, tuple(data), layout, "x", sum(len(one["x"]) for one in data))


def trace_figure(traces: Sequence[Trace]) -> Figure | None:
    """Return clock, power and temperature over the time of a few tests; None where nothing was kept."""
    rows = [row for row in _ROWS if any(any(v is not None for v in one.columns.get(row[0], ())) for one in traces)]
    data: list[dict[str, Any]] = []
    for at, trace in enumerate(traces):
        for number, (field, name, unit) in enumerate(rows, start=1):
            times, values = trace.columns["time_s"], trace.columns.get(field, ())
            seen = [(t, v) for t, v in zip(times, values, strict=False) if v is not None]
            series = f"N={trace.test.n} {trace.test.kind}"
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": series,
                    "legendgroup": f"{at}",
                    "showlegend": number == 1,
                    "x": [t for t, _ in seen],
                    "y": [v for _, v in seen],
                    "yaxis": f"y{number}" if number > 1 else "y",
                    "line": {"color": f"var(--c{at + 1})", "width": 1.8, "dash": ("solid", "dash", "dot")[at % 3]},
                    "hovertext": [f"{series}, {t:.1f} s{BREAK}{name} {v:.6g} {unit}" for t, v in seen],
                    "hovertemplate": HOVER,
                }
            )
    if not data:
        return None
    layout = base(xaxis=axis("time since the test began, s", **_below(rows)), **_stacked(rows))
    label = f"{', '.join(name for _, name, _ in rows)} of the GPU over the time of {len(traces)} tests"
    title = "GPU over the time of a test"
    return Figure("traces", title, label, tuple(data), layout, "curve", sum(len(one["x"]) for one in data))


def _below(rows: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """Return what puts the horizontal axis below the last of the vertical ones."""
    return {"anchor": f"y{len(rows)}" if len(rows) > 1 else "y"}


def _stacked(rows: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """Return vertical axes one below the other, which share the horizontal one."""
    gap = 0.06
    height = (1 - gap * (len(rows) - 1)) / len(rows)
    axes: dict[str, Any] = {}
    for number, (_, name, unit) in enumerate(rows, start=1):
        top = 1 - (number - 1) * (height + gap)
        domain = [max(top - height, 0.0), top]
        axes[f"yaxis{number}" if number > 1 else "yaxis"] = axis(f"{name}, {unit}", domain=domain)
    return axes
