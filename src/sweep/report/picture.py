"""A report as one picture: a panel of latency against N for each series."""

from __future__ import annotations

import io
import math

from sweep.errors import ConfigError, Problem
from sweep.report.panel import draw_panel
from sweep.report.sections import Report, Series

PANELS = 12
"""At most; what is left out is said."""

_WIDE, _HIGH, _DPI = 7.2, 4.8, 120


def render_png(report: Report) -> bytes:
    """Return the picture as PNG.

    Raises:
        ConfigError: There is no performance test to draw.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = [series for series in report.series if series.plotted][:PANELS]
    if not drawn:
        raise ConfigError(Problem("--format", "png", "no performance test is there to be drawn", "use --format md"))
    across = min(len(drawn), 3 if len(drawn) > 4 else 2)
    down = math.ceil(len(drawn) / across)
    figure = Figure(figsize=(_WIDE * across, _HIGH * down + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False)
    for place, axis in enumerate(axes.flat):
        if place >= len(drawn):
            axis.set_axis_off()
            continue
        draw_panel(axis, drawn[place].panel)
        axis.set_title(_title(drawn[place]), fontsize=9, wrap=True)
        axis.legend(fontsize=7, loc="best", framealpha=0.8)
    left = len(report.series) - len(drawn)
    if left:
        figure.suptitle(f"{left} more series are not drawn", fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _title(series: Series) -> str:
    differs = ", ".join(f"{key} {value}" for key, value in series.differs.items() if value)
    lines = (
        f"{series.title}, environment {series.environment}" + (f", {differs}" if differs else ""),
        series.answers[0].text,
        *series.answers[0].doubts,
        *(warning.upper() for warning in series.warnings),
    )
    # A dollar sign would begin a formula.
    return "\n".join(lines).replace("$", r"\$")
