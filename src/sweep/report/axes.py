"""Axes of the interactive plots: round ticks that can be read, logarithmic where the values ask for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sweep.report.search_points import spans_log

_TICKS_OF_THEIR_OWN = 9
"""So few different N have a tick each, where they do not crowd."""

_APART = 1.3
"""Ratio of neighbouring ticks on a logarithmic axis, at least."""


def base(**more: Any) -> dict[str, Any]:
    """Return the layout that all plots share, with what is added to it."""
    return {
        "autosize": True,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "var(--text)"},
        "paper_bgcolor": "var(--card)",
        "plot_bgcolor": "var(--card)",
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": "var(--card)",
            "bordercolor": "var(--text)",
            "font": {"color": "var(--text)", "size": 13},
            "align": "left",
        },
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "uirevision": "kept",
        **more,
    }


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 13}},
        "automargin": True,
        "gridcolor": "var(--grid)",
        "zeroline": False,
        "linecolor": "var(--axis)",
        "showline": True,
        "ticks": "outside",
        "tickcolor": "var(--axis)",
        **more,
    }


def across(streams: Sequence[float], *, linear: bool = False) -> dict[str, Any]:
    """Return the axis of N.

    Args:
        streams: The N that were tested.
        linear: Whether the axis is linear whatever they span.
    """
    title, own = "samples per query N", sorted(set(streams))
    if not linear and spans_log(own):
        apart = all(high / low >= _APART for low, high in pairwise(own))
        ticks = own if len(own) <= _TICKS_OF_THEIR_OWN and apart else _round_ticks(own)
        pad = 0.04 * math.log10(own[-1] / own[0])
        reach = [math.log10(own[0]) - pad, math.log10(own[-1]) + pad]
        return axis(title, type="log", range=reach, **_at(ticks))
    span = own[-1] - own[0]
    pad = max(0.05 * span, 0.5 if span else 3.0)
    reach = [own[0] - pad, own[-1] + pad]
    if span <= 12:
        return axis(title, range=reach, tickformat="d", dtick=1)
    return axis(title, range=reach, tickformat="d")


def upright(values: Sequence[float], title: str, *, from_zero: bool = True) -> dict[str, Any]:
    """Return the axis of what is measured: logarithmic, or linear.

    Args:
        values: What it must hold.
        title: With the unit.
        from_zero: Whether a linear one begins at zero, so that heights compare as the values do.
    """
    if spans_log(list(values)):
        pad = 0.06 * math.log10(max(values) / min(values))
        reach = [math.log10(min(values)) - pad, math.log10(max(values)) + 1.6 * pad]
        return axis(title, type="log", range=reach, **_at(_round_ticks(values)))
    most = max(values, default=1.0)
    least = min(values, default=0.0)
    low = 0.0 if from_zero or least < most / 2 else least - 0.25 * (most - least or most)
    return axis(title, range=[max(low, 0.0), most + 0.12 * (most - low)], tickformat="~g" if most < 1e5 else "~s")


def _round_ticks(values: Sequence[float]) -> list[float]:
    """Return 1, 2, 5, 10, ... around the values; powers of ten alone where those would be many."""
    low, high = math.floor(math.log10(min(values))) - 1, math.ceil(math.log10(max(values))) + 1
    steps = (1, 2, 5) if high - low <= 6 else (1, 3) if high - low <= 8 else (1,)
    return [step * 10.0**power for power in range(low, high + 1) for step in steps]


def _at(ticks: Sequence[float]) -> dict[str, Any]:
    return {"tickmode": "array", "tickvals": list(ticks), "ticktext": [f"{tick:,.10g}" for tick in ticks]}
