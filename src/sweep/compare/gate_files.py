"""What a gate leaves for CI: JUnit XML and a Markdown summary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

from sweep.compare.gate import GateReport, Item, Outcome
from sweep.compare.words import HEADINGS, PointNames, Row, figure_of, row, table, value_of

_SUITE = "sweep gate"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKS = {Outcome.PASSED: "✅", Outcome.FAILED: "❌", Outcome.MISSING: "❌", Outcome.NEW: "🆕"}


def gate_rows(items: Sequence[Item]) -> list[Row]:
    """Return a row for each point, in order; of one that has no other side, what there is."""
    names = PointNames([item.point.key for item in items])
    return [_row(names.of(item.point.key), item) for item in items]


def junit(report: GateReport, note: str = "") -> bytes:
    """Return the outcome as JUnit XML: a test case for each point.

    Points that the baseline has not are skipped, those that are missing fail.

    Args:
        report: What the gate has found.
        note: What else is to be known, for the output of the suite.
    """
    failures = sum(item.is_failure for item in report.items)
    skipped = sum(item.outcome is Outcome.NEW for item in report.items)
    counts = {"tests": len(report.items), "failures": failures, "errors": 0, "skipped": skipped}
    texts = {name: str(count) for name, count in counts.items()}
    root = ET.Element("testsuites", {"name": _SUITE, **texts})
    suite = ET.SubElement(root, "testsuite", {"name": _SUITE, **texts})
    for item, shown in zip(report.items, gate_rows(report.items), strict=True):
        case = ET.SubElement(suite, "testcase", {"classname": _clean(shown.point), "name": _clean(shown.figure)})
        if item.is_failure:
            ET.SubElement(case, "failure", {"type": str(item.outcome), "message": _clean(item.why)}).text = _details(
                shown
            )
        elif item.outcome is Outcome.NEW:
            ET.SubElement(case, "skipped", {"message": _clean(item.why)})
        else:
            ET.SubElement(case, "system-out").text = _details(shown)
    said = "\n".join(filter(None, [note, *report.notes, f"noise: {report.noise}"]))
    ET.SubElement(suite, "system-out").text = _clean(said)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def gate_markdown(report: GateReport, headline: str) -> str:
    """Return the outcome as Markdown: the headline, failures first, every point, notes.

    Args:
        report: What the gate has found.
        headline: The outcome in one line.
    """
    parts = [f"## {headline}"]
    order = sorted(zip(report.items, gate_rows(report.items), strict=True), key=lambda one: not one[0].is_failure)
    if order:
        shared = PointNames([item.point.key for item in report.items]).shared
        lines = [(_MARKS[item.outcome], *shown.cells()[:6], item.why, shown.notes) for item, shown in order]
        parts.append(table(("", *HEADINGS[:6], "outcome", "notes"), lines))
        parts += [f"All points: {shared}"] if shared else []
    parts += [f"- {note}" for note in report.notes]
    parts.append(f"Noise: {report.noise}.")
    return "\n\n".join(parts) + "\n"


def _row(name: str, item: Item) -> Row:
    if item.pair is not None:
        return replace(row(name, item.pair), notes="; ".join(item.pair.notes))
    value = value_of(item.point.estimate)
    is_new = item.outcome is Outcome.NEW
    return Row(
        point=name,
        figure=figure_of(item.point.metric, item.point.key),
        before="-" if is_new else value,
        after=value if is_new else "-",
        change="-",
        limits="-",
        finding=None,
        notes=item.point.estimate.why if is_new else "",
    )


def _details(shown: Row) -> str:
    cells = zip(HEADINGS[2:], shown.cells()[2:], strict=True)
    return _clean("; ".join(f"{heading}: {cell}" for heading, cell in cells if cell))


def _clean(text: str) -> str:
    """Return text without the characters that XML cannot hold (XML 1.0, production 2)."""
    return _NO_XML.sub("", text)
