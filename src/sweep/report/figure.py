"""One interactive plot, as Plotly's JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweep.report.html import json_in_html

BREAK = "<br>"
"""Between the lines of a hover label."""

HOVER = "%{hovertext}<extra></extra>"


@dataclass(frozen=True)
class Figure:
    """One plot.

    Attributes:
        kind: What it shows, in one word: `latency`, `edge`, `distribution`, `throughput`, `energy`, `gpu`, `traces`.
        title: For its heading.
        label: What it shows in one sentence, for who does not see it.
        data: Plotly's traces.
        layout: Plotly's layout.
        walk: Whether arrow keys go along N (`x`) or along one curve (`curve`).
        points: How many points it has.
    """

    kind: str
    title: str
    label: str
    data: tuple[dict[str, Any], ...]
    layout: Mapping[str, Any]
    walk: str
    points: int

    def to_json(self) -> str:
        """Return the figure, checked by Plotly, as JSON that may stand in HTML: it escapes what would end a script."""
        import plotly.graph_objects as go

        figure = go.Figure(data=list(self.data), layout={**self.layout, "template": {}})
        text: str = figure.to_json()
        # A line of Plotly's own escapes `<`, `>` and `/`; that this holds is not left to it.
        return json_in_html(json.loads(text))
