"""What must hold of LoadGen's logs of any test, as the official checker reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from sweep.loadgen.logs import Detail, Summary
from sweep.paths import DETAIL_LOG, SUMMARY_LOG
from sweep.submission.findings import Found, Severity, Subject
from sweep.submission.rounds import is_ignored
from sweep.submission.tree import LOG_MAX, TreeResult, UnreadableError, read_file

_MARK = ":::MLLOG"
_SHOWN = 3


def damage_of(result: TreeResult, folder: Path, detail: Detail | UnreadableError) -> Iterator[Found]:
    """Yield why the official checker cannot read a detail log that sweep can: it takes UTF-8 and JSON by the letter.

    Args:
        result: The result.
        folder: Of the test.
        detail: What sweep has read there; what it cannot read is said elsewhere.
    """
    if isinstance(detail, UnreadableError):
        return
    name = f"{folder.relative_to(result.paths.directory)}/{DETAIL_LOG}"
    try:
        text = read_file(folder / DETAIL_LOG, LOG_MAX, result.paths.of.root).decode()
    except UnicodeDecodeError:
        yield Found(f"{name} is damaged: it has bytes that are no UTF-8")
        return
    for number, line in enumerate(text.replace("\r", "\n").split("\n") if _MARK in text else [], 1):
        if line.startswith(_MARK) and not _is_record(line.removeprefix(_MARK)):
            yield Found(f"{name} is damaged: its line {number} is no JSON: {' '.join(line.split())[:80]}")
            return
    if not detail.complete:
        yield Found(f"{name} has no end, or none that can be told", Severity.WARNING)


def _is_record(text: str) -> bool:
    try:
        return "key" in json.loads(text.rstrip())
    except (ValueError, TypeError, RecursionError):
        return False


def errors_of(
    subject: Subject, test: str, summary: Summary | UnreadableError, detail: Detail | UnreadableError
) -> Iterator[Found]:
    """Yield LoadGen's errors in a test: those of the detail log, which the official checker goes by.

    Args:
        subject: The result.
        test: Folder of the test.
        summary: Its summary.
        detail: Its detail log.
    """
    flagged = detail.errors if isinstance(detail, Detail) else ()
    ignored = [one for one in flagged if is_ignored(subject.rules.name, one)]
    for error in [one for one in flagged if one not in ignored][:_SHOWN]:
        yield Found(f"{test}/{DETAIL_LOG}: {' '.join(error.split())[:160]}")
    if ignored:
        what = f"{len(ignored)} errors that the checker of {subject.rules.name} ignores"
        yield Found(f"{test}/{DETAIL_LOG}: {what}: {' '.join(ignored[0].split())[:160]}", Severity.WARNING)
    if isinstance(summary, Summary) and summary.error_count and not flagged:
        yield Found(f"{test}/{SUMMARY_LOG} counts {summary.error_count} errors", Severity.WARNING)
