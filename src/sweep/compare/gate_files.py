"""What a gate leaves for CI: JUnit XML and a Markdown summary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

from sweep.compare.baseline import machine_of
from sweep.compare.gate import GateReport, Item, Outcome
from sweep.compare.words import LIMITS, PointNames, Row, figure_of, headings, noise_of, row, table, value_of
from sweep.report.markdown import escaped
from sweep.results.environments import describe

_SUITE = "sweep gate"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKS = {
    Outcome.PASSED: "✅",
    Outcome.FAILED: "❌",
    Outcome.MISSING: "❌",
    Outcome.NEW: "🆕",
    Outcome.NOT_COMPARED: "⏭",
}
_SKIPPED = (Outcome.NEW, Outcome.NOT_COMPARED)


def gate_rows(items: Sequence[Item]) -> list[Row]:
    """Return a row for each point, in order; of one that has no other side, what there is."""
    names = PointNames([item.point.key for item in items])
    machines = {machine_of(item.point): item.point.environment for item in items}
    rows = [_row(names.of(item.point.key), item) for item in items]
    if len(machines) < 2:
        return rows
    letters = {machine: chr(ord("A") + number % 26) for number, machine in enumerate(machines)}
    return [
        replace(shown, point=f"{shown.point} on machine {letters[machine_of(item.point)]}")
        for shown, item in zip(rows, items, strict=True)
    ]


def machine_notes(items: Sequence[Item]) -> list[str]:
    """Return what each machine is, where points are of several."""
    machines = {machine_of(item.point): item.point.environment for item in items}
    if len(machines) < 2:
        return []
    return [f"machine {chr(ord('A') + number % 26)}: {describe(one)}" for number, one in enumerate(machines.values())]


def junit(report: GateReport, note: str = "") -> bytes:
    """Return the outcome as JUnit XML: a test case for each point.

    Points that the baseline has not are skipped, those that are missing fail.

    Args:
        report: What the gate has found.
        note: What else is to be known, for the output of the suite.
    """
    failures = sum(item.is_failure for item in report.items)
    skipped = sum(item.outcome in _SKIPPED for item in report.items)
    counts = {"tests": len(report.items), "failures": failures, "errors": 0, "skipped": skipped}
    texts = {name: str(count) for name, count in counts.items()}
    root = ET.Element("testsuites", {"name": _SUITE, **texts})
    suite = ET.SubElement(root, "testsuite", {"name": _SUITE, **texts})
    for item, shown in zip(report.items, gate_rows(report.items), strict=True):
        case = ET.SubElement(suite, "testcase", {"classname": _clean(shown.point), "name": _clean(shown.figure)})
        if item.is_failure:
            ET.SubElement(case, "failure", {"type": str(item.outcome), "message": _clean(item.why)}).text = _details(
                shown, report.confidence
            )
        elif item.outcome in _SKIPPED:
            ET.SubElement(case, "skipped", {"message": _clean(item.why)})
        else:
            ET.SubElement(case, "system-out").text = _details(shown, report.confidence)
    said = "\n".join(filter(None, [note, *machine_notes(report.items), *report.notes, f"noise: {noise_of(report)}"]))
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
        lines = [(_MARKS[item.outcome], *shown.cells()[: LIMITS + 1], item.why, shown.notes) for item, shown in order]
        parts.append(table(("", *headings(report.confidence)[: LIMITS + 1], "outcome", "notes"), lines))
        parts += [f"All points: {escaped(shared)}"] if shared else []
    parts += [f"- {escaped(note)}" for note in (*machine_notes(report.items), *report.notes)]
    parts.append(f"Noise: {escaped(noise_of(report))}.")
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


def _details(shown: Row, confidence: float) -> str:
    cells = zip(headings(confidence)[2:], shown.cells()[2:], strict=True)
    return _clean("; ".join(f"{heading}: {cell}" for heading, cell in cells if cell))


def _clean(text: str) -> str:
    """Return text without the characters that XML cannot hold (XML 1.0, production 2)."""
    return _NO_XML.sub("", text)
