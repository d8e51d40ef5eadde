"""A report in each of its formats, all from the same model of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sweep.paths import to_utf8
from sweep.report.build import build
from sweep.results.filters import Filters
from sweep.results.selection import Selection

FOR_FILES = ("png",)
"""Formats that are no text."""


def document(form: str, selection: Selection, places: Sequence[Path], filters: Filters, folder: Path) -> bytes:
    """Return a report as what a file holds.

    Args:
        form: `html`, `md`, `csv`, `json` or `png`.
        selection: What it is about.
        places: Where that was read from.
        filters: That the selection was made with.
        folder: Where the report will lie.
    """
    if form == "csv":
        from sweep.store.table import to_frame

        text: str = to_frame(selection.trials).to_csv(index=False)
        return to_utf8(text)
    report = build(selection, places, filters, latencies=form != "md")
    match form:
        case "html":
            from sweep.report.page import render_html

            return to_utf8(render_html(report, folder))
        case "md":
            from sweep.report.markdown import render_markdown

            return to_utf8(render_markdown(report))
        case "json":
            from sweep.report.plain import report_json

            text = json.dumps(report_json(report), indent=2, allow_nan=False, ensure_ascii=False)
            return to_utf8(f"{text}\n")
        case "png":
            from sweep.report.picture import render_png

            return render_png(report)
    raise ValueError(f"no format of a report: {form}")
