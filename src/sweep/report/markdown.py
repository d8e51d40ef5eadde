"""A report as GitHub-flavoured Markdown, short enough for the summary of a CI job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sweep.report.sections import Report, Series
from sweep.report.tables import Table, accuracy_table, answers_table
from sweep.report.words import count_of

_ANSWERS, _DAMAGED, _LINES = 50, 20, 3
_LEFT_OUT = ("what it rests on", "warnings")
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&@$])")
_BULLET = re.compile(r"^(\d{0,9})([-+.)])(?= )")
"""What begins a list where a line begins with it."""


def render_markdown(report: Report) -> str:
    """Return the summary: answers, what bounds them, warnings, accuracy, machines, damage."""
    return "\n".join(_lines(report)) + "\n"


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, on one line: names and messages come from users."""
    return _BULLET.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", " ".join(text.split())))


def _lines(report: Report) -> Iterator[str]:
    tests = count_of(len(report.trials), "test")
    where = count_of(len(report.environments), "environment")
    yield f"## sweep: {tests} in {where}"
    if report.filters:
        yield from ("", f"Only tests with {escaped(report.filters)}")
    if report.series:
        yield from ("", *_table(answers_table(report, lambda _: ""), _ANSWERS), "")
        for series in report.series[:_ANSWERS]:
            yield from _answers(series)
    if report.accuracy:
        yield from ("", "### Accuracy", "", *_table(accuracy_table(report, lambda _: ""), _ANSWERS))
    yield from ("", "### Environments", "")
    for one in report.environments:
        yield f"- **{one.name}**: {escaped(one.words)} ({count_of(one.tests, 'test')})"
        yield from (f"  - {escaped(line)}" for line in one.differences)
    if report.damaged:
        yield from ("", "### Damaged or missing", "")
        yield from (f"- {escaped(line)}" for line in report.damaged[:_DAMAGED])
        if len(report.damaged) > _DAMAGED:
            yield f"- and {len(report.damaged) - _DAMAGED} more"


def _answers(series: Series) -> Iterator[str]:
    about = f"**{escaped(series.title)}**, environment {series.environment}"
    differs = ", ".join(f"{key} {value}" for key, value in series.differs.items() if value)
    about += f", {escaped(differs)}" if differs else ""
    for answer in series.answers:
        yield f"- {about}: {escaped(answer.text)}"
        yield from (f"  - **{escaped(doubt)}**" for doubt in answer.doubts)
        yield from (f"  - {escaped(line)}" for line in answer.lines[:_LINES])
    yield from (f"  - **Warning: {escaped(warning)}**" for warning in series.warnings)


def _table(table: Table, most: int) -> Iterator[str]:
    """Yield a table; columns that say nothing in any row, and links, are left out."""
    kept = [
        number
        for number, heading in enumerate(table.headings)
        if heading.rstrip("*") not in _LEFT_OUT and any(row[number].text for row in table.rows)
    ]
    headings = [table.headings[number] for number in kept]
    yield _row([escaped(heading.rstrip("*")) for heading in headings])
    yield _row([":--" if heading.endswith("*") else "--:" for heading in headings])
    for row in table.rows[:most]:
        yield _row([escaped(row[number].text) for number in kept])
    if len(table.rows) > most:
        yield from ("", f"and {len(table.rows) - most} more")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
