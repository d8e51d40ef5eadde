"""What the accuracy test of a result must show."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from sweep.loadgen.logs import Detail, Summary
from sweep.paths import ACCURACY_LOG, DETAIL_LOG, SUMMARY_LOG
from sweep.submission.checks_logs import damage_of, errors_of
from sweep.submission.findings import Check, Found, OfResult, Severity, Subject
from sweep.submission.layout import ACCURACY_TXT
from sweep.submission.rounds import ACCURACY_LOG_KEPT, ACCURACY_LOG_MAX
from sweep.submission.tree import UnreadableError
from sweep.vocabulary import TestMode

SOURCE = "submission_checker/checks/accuracy_check.py"
LEFT_OUT = re.compile(rb"(?:\r?\n){2}\.\.\.(?:\r?\n){2}")
"""What stands for the middle of a shortened log of answers."""

_PATTERNS = {
    "acc": re.compile(r'(?m)^(?:\{"accuracy|accuracy)[": ]*=?\s*([\d.]+)'),
    "mAP": re.compile(r"(?m)(?:mAP=|'Total':)\s*([\d.]+)"),
}
"""How accuracy.txt says it, by metric."""

_COUNTS = re.compile(r"(?m)^accuracy=([\d.]+)%, good=(\d{1,19}), total=(\d{1,19})\b")
_HASH = re.compile(r"(?m)^hash=(\w+)$")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def readable(subject: Subject) -> Iterator[Found]:
    """All of its files are there."""
    result = subject.result
    files = {
        SUMMARY_LOG: result.accuracy,
        DETAIL_LOG: result.accuracy_detail,
        ACCURACY_LOG: result.accuracy_log,
        ACCURACY_TXT: result.accuracy_text,
    }
    for name, found in files.items():
        if isinstance(found, UnreadableError):
            yield Found(f"accuracy/{name} {found}")
        elif found in (b"", ""):
            yield Found(f"accuracy/{name} is empty", Severity.WARNING)
    yield from damage_of(subject.result, subject.result.paths.accuracy, result.accuracy_detail)


def mode(subject: Subject) -> Iterator[Found]:
    """It measured accuracy."""
    summary, detail = subject.result.accuracy, subject.result.accuracy_detail
    ran = {}
    if isinstance(summary, Summary) and summary.mode is not TestMode.ACCURACY:
        ran[SUMMARY_LOG] = summary.mode_text
    if isinstance(detail, Detail):
        ran[DETAIL_LOG] = str(detail.effective.get("test_mode", "Accuracy"))
    for name, text in ran.items():
        if not text.startswith(("Accuracy", "Submission")):
            yield Found(f"accuracy/{name} is of mode {text or 'unknown'}", Severity.WARNING)


def no_errors(subject: Subject) -> Iterator[Found]:
    """LoadGen logged no error."""
    yield from errors_of(subject, "accuracy", subject.result.accuracy, subject.result.accuracy_detail)


def coverage(subject: Subject) -> Iterator[Found]:
    """It ran the whole dataset."""
    detail, benchmark = subject.result.accuracy_detail, subject.benchmark
    if not isinstance(detail, Detail) or benchmark is None:
        return
    count = detail.effective.get("accuracy_sample_count", detail.qsl_total_count)
    if count is None:
        count = detail.qsl_total_count
    if count != benchmark.dataset_size:
        needs = f"{subject.benchmark_name} has {benchmark.dataset_size}"
        yield Found(
            f"the accuracy test covers {count if count is not None else 'an unknown number of'} samples, and {needs}"
        )


def score(subject: Subject) -> Iterator[Found]:
    """accuracy.txt says the accuracy, in closed a sufficient one."""
    text, benchmark = subject.result.accuracy_text, subject.benchmark
    if isinstance(text, UnreadableError):
        return
    for match in _COUNTS.finditer(text):
        share, good, total = _number(match[1]), int(match[2]), int(match[3])
        if share is None or not 0 <= good <= total or not total or abs(share - 100 * good / total) > 1e-3:
            yield Found(f"{ACCURACY_TXT} contradicts itself: {match[0]}")
    if benchmark is None:
        return
    pattern = _PATTERNS.get(benchmark.metric)
    if pattern is None:
        yield Found(f"the accuracy of {subject.benchmark_name}: sweep does not read it", Severity.NOT_CHECKED)
        return
    values = [value for match in pattern.finditer(text) if (value := _number(match[1])) is not None]
    if not values:
        is_needed = subject.closed or "score" in subject.rules.open_demands
        what = f"{ACCURACY_TXT} has no line of {benchmark.metric}, such as accuracy=76.456%"
        yield Found(what, Severity.ERROR if is_needed else Severity.WARNING)
    elif subject.closed and min(values) < benchmark.accuracy:
        found = f"accuracy {min(values):g} %"
        yield Found(f"{found}, and closed demands {benchmark.accuracy:.3f} % of {subject.benchmark_name}")
    elif max(values) > 100:
        yield Found(f"accuracy {max(values):g} % is more than all")
    elif len(set(values)) > 1:
        yield Found(f"{ACCURACY_TXT} has several accuracies: {', '.join(map(str, values[:5]))}", Severity.WARNING)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def hashed(subject: Subject) -> Iterator[Found]:
    """accuracy.txt has the hash of the whole log of answers."""
    text, log = subject.result.accuracy_text, subject.result.accuracy_log
    if isinstance(text, UnreadableError):
        return
    match = _HASH.search(text)
    if match is None:
        yield Found(f"{ACCURACY_TXT} has no line hash=SHA256 of the whole {ACCURACY_LOG}")
    elif not _SHA256.fullmatch(match[1]):
        yield Found(f"{ACCURACY_TXT}: {match[1][:80]} is no SHA-256", Severity.WARNING)
    elif isinstance(log, bytes) and not LEFT_OUT.search(log) and hashlib.sha256(log).hexdigest() != match[1].lower():
        what = f"{ACCURACY_TXT} has the hash of another {ACCURACY_LOG} than that beside it, which is whole"
        yield Found(what, Severity.WARNING)


def shortened(subject: Subject) -> Iterator[Found]:
    """The log of answers is short enough, and shortened as it should be."""
    log = subject.result.accuracy_log
    if isinstance(log, UnreadableError):
        return
    if len(log) > ACCURACY_LOG_MAX:
        yield Found(f"{ACCURACY_LOG} has {len(log)} bytes, and at most {ACCURACY_LOG_MAX} may be left of it")
    elif match := LEFT_OUT.search(log):
        # Windows writes two bytes for each end of a line, so that it keeps more of them.
        begin, end = (len(part.replace(b"\r\n", b"\n")) for part in (log[: match.start()], log[match.end() :]))
        if max(begin, end) > ACCURACY_LOG_KEPT or max(match.start(), len(log) - match.end()) < ACCURACY_LOG_KEPT:
            kept = f"{match.start()} and {len(log) - match.end()} bytes of its ends"
            yield Found(f"{ACCURACY_LOG} keeps {kept}, not {ACCURACY_LOG_KEPT} of each", Severity.WARNING)


CHECKS: tuple[tuple[Check, OfResult], ...] = (
    (
        Check(
            "accuracy_files",
            "logs, answers and accuracy.txt of the accuracy test are there, and can be read",
            "speed without accuracy is no result; required files in submission_checker/constants.py",
        ),
        readable,
    ),
    (
        Check(
            "accuracy_mode",
            "the accuracy test ran in mode AccuracyOnly or SubmissionRun",
            "another mode skips samples; the checker does not look",
        ),
        mode,
    ),
    (Check("accuracy_errors", "LoadGen logged no error", f"an error voids the test; {SOURCE}"), no_errors),
    (
        Check(
            "coverage",
            "the accuracy test covers the benchmark's dataset, exactly",
            f"a part of it could be the easy part; {SOURCE} (since v5.1)",
        ),
        coverage,
    ),
    (
        Check(
            "score",
            "accuracy.txt says the accuracy, and its counts give the same; in closed it reaches the benchmark's",
            f"a faster network that is wrong more often is another one; {SOURCE}",
        ),
        score,
    ),
    (
        Check(
            "hash",
            "accuracy.txt has the SHA-256 of the whole log of answers",
            f"so that the whole can be asked for later; {SOURCE}, truncate_accuracy_log.py",
        ),
        hashed,
    ),
    (
        Check(
            "shortened",
            "the log of answers has at most 10 KiB: its first and last 4,096 bytes where it had more",
            "a round's repository would have gigabytes of them; truncate_accuracy_log.py",
        ),
        shortened,
    ),
)
"""What is checked of every result's accuracy test."""
