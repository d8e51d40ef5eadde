"""A search as a picture: the latency at the percentile against N, the bound, and where the answer lies."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from sweep.paths import write_bytes
from sweep.report.panel import Panel, draw_panel, near_edge
from sweep.report.search_points import points_of
from sweep.report.search_words import answer_of
from sweep.study.search import SearchOutcome

_INCHES, _WIDE_INCHES, _HEIGHT_INCHES, _DPI = 8.0, 12.0, 5.6, 120


def write_search_plot(outcome: SearchOutcome, path: Path) -> None:
    """Write the picture as PNG, whole or not at all: the whole search, and beside it the edge where that helps.

    Raises:
        OSError: It cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panel = panel_of(outcome)
    near = near_edge(panel)
    figure = Figure(figsize=(_WIDE_INCHES if near else _INCHES, _HEIGHT_INCHES), layout="constrained")
    FigureCanvasAgg(figure)
    spec = outcome.plan.spec
    label = " ".join(f"{key}={value}" for key, value in outcome.plan.label.items())
    figure.suptitle(answer_of(outcome), fontweight="bold")
    axes = figure.subplots(1, 2 if near else 1, squeeze=False)[0]
    draw_panel(axes[0], panel)
    about = f"{spec.model.name} on {spec.backend.name}, {spec.rules_label} rules"
    axes[0].set_title(f"{about}, {label}" if label else about, fontsize=9, wrap=True)
    if near:
        draw_panel(axes[1], replace(panel, points=near), edge=True)
        axes[1].set_title("near the edge", fontsize=9)
    handles = {text: handle for axis in axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4 if near else 3, fontsize=8, frameon=False
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def panel_of(outcome: SearchOutcome) -> Panel:
    """Return what the picture of a search shows."""
    certificate, question = outcome.certificate, outcome.plan.question
    return Panel(
        points=points_of(outcome),
        percentile=question.percentile,
        target_latency_ns=question.target_latency_ns,
        answer=certificate.max_streams,
        answer_name="answer",
        first_invalid=certificate.first_invalid,
        between=between_of(certificate.undecided),
        step=question.domain.step,
    )


def between_of(undecided: tuple[int, int] | None) -> str:
    """Return what lies between VALID and INVALID, in words for a legend."""
    if undecided is None:
        return "between VALID and INVALID"
    first, last = undecided
    return f"undecided: {first} to {last}" if first < last else f"undecided: {first}"
