"""One run of a CK point: LoadGen's logs, its settings and the score, out of an item of `characteristics_list`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.errors import LogError
from sweep.imports.ck_json import RefusedError, file_json, file_text, inside, mapping, plain, real, whole
from sweep.loadgen.accuracy import Accuracy
from sweep.loadgen.conf import Conf, parse_conf
from sweep.loadgen.logs import Detail, Summary, parse_detail, parse_summary
from sweep.loadgen.seeds import seeded_round
from sweep.paths import ACCURACY_LOG, DETAIL_LOG, SUMMARY_LOG, AttemptPaths
from sweep.submission.logs import contradictions, ignored_errors
from sweep.vocabulary import TestMode

_CONTRADICTIONS_SHOWN = 3
_SCORE = ("accuracy", "good", "total")
_MAP = "mAP"


@dataclass(frozen=True)
class Run:
    """One test that CK has kept.

    Attributes:
        mode: What was tested.
        files: LoadGen's logs and settings by file name, as they were.
        summary: LoadGen's summary.
        detail: Its detail log; None where that was not kept.
        accuracy: The score, of a test of accuracy.
        answers: How many answers the log of them holds.
        contradictions: Where what CK has extracted is not what the log says, a line each.
        notes: What is missing, a line each.
        confs: LoadGen's settings: mlperf.conf, then user.conf; without any value where one was not kept.
        configured: What LoadGen takes from them, by the names of its detail log.
    """

    mode: TestMode
    files: Mapping[str, bytes]
    summary: Summary
    detail: Detail | None
    accuracy: Accuracy | None
    answers: int
    contradictions: tuple[str, ...]
    notes: tuple[str, ...]
    confs: tuple[Conf, ...]
    configured: Mapping[str, float] = field(default_factory=dict)


def read_run(item: Any, asked_mode: str) -> Run:
    """Read one item of `characteristics_list`.

    Args:
        item: The item.
        asked_mode: What the test was told to do, as far as is known: `AccuracyOnly`, `accuracy`, ...

    Raises:
        RefusedError: It holds no test that LoadGen has finished, or one that nobody can judge; the message says why.
    """
    run = inside(item, "run")
    if not isinstance(run, Mapping):
        raise RefusedError("has no run")
    log = run.get("mlperf_log")
    if not isinstance(log, Mapping):
        raise RefusedError("has no mlperf_log")
    if not log.get("summary"):
        raise RefusedError("has no summary of LoadGen's (mlperf_log.summary)")
    notes: list[str] = []
    files = dict(_files(run, log, notes))
    summary, detail = _parsed(files)
    confs = tuple(_confs(files, notes))
    if summary.mode is None:
        raise RefusedError(f"LoadGen ran in the mode {plain(summary.mode_text)}, which sweep has no records for")
    parsed = _parsed_summary(run)
    if summary.mode is TestMode.PERFORMANCE:
        if _is_accuracy(asked_mode):
            notes.append(f"was to be a test of accuracy ({plain(asked_mode)}), but LoadGen measured performance")
        if not parsed:
            notes.append("has no parsed_summary that LoadGen's summary could be held against")
        contradictions = (*_against(summary, parsed), *_between(summary, detail))
        return Run(TestMode.PERFORMANCE, files, summary, detail, None, 0, contradictions, tuple(notes), confs)
    _check_accuracy(summary, detail, parsed, asked_mode)
    score = _mean_precision(run, detail, notes) if _has_only_map(run) else _score(run)
    answers = log.get("accuracy")
    count = len(answers) if isinstance(answers, list) else 0
    if ACCURACY_LOG not in files:
        notes.append("LoadGen's log of answers was not kept: the score cannot be counted again")
    elif score.total is not None and count < score.total:
        notes.append(f"LoadGen's log of answers was kept in part: {count} answers for {score.total} samples")
    return Run(TestMode.ACCURACY, files, summary, detail, score, count, (), tuple(notes), confs)


def round_of(summary: Summary, detail: Detail | None) -> str | None:
    """Return the round whose random seeds a test was drawn with; None for others, and where they are not said."""
    return seeded_round({**({} if detail is None else detail.effective), **summary.settings})


def _parsed_summary(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what CK has extracted from the summary; empty where it has not."""
    given = run.get("parsed_summary")
    if given and not isinstance(given, Mapping):
        raise RefusedError(f"its parsed_summary is no object: {plain(given)}")
    return {"Result is" if str(key).lower() == "result is" else key: said for key, said in mapping(given).items()}


def _is_accuracy(mode: str) -> bool:
    return mode.lower().startswith("accuracy")


def _files(run: Mapping[str, Any], log: Mapping[str, Any], notes: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the files that were kept, as they were; what is empty was not."""
    own = AttemptPaths(Path())
    yield SUMMARY_LOG, file_text(log["summary"], "mlperf_log.summary")
    if log.get("detail"):
        yield DETAIL_LOG, file_text(log["detail"], "mlperf_log.detail")
    else:
        notes.append("LoadGen's detail log was not kept")
    if log.get("accuracy"):
        yield ACCURACY_LOG, file_json(log["accuracy"], "mlperf_log.accuracy")
    if log.get("trace"):
        yield own.trace.name, file_json(log["trace"], "mlperf_log.trace")
    conf = run.get("mlperf_conf")
    if conf is not None and not isinstance(conf, Mapping):
        raise RefusedError("its mlperf_conf is no object")
    for name, lines in mapping(conf).items():
        if name in (own.user_conf.name, own.mlperf_conf.name):
            yield name, file_text(lines, f"mlperf_conf {name}")
        elif lines:
            notes.append(f"mlperf_conf holds {plain(name)}, which is kept in {own.ck_point.name} alone")
    if own.user_conf.name not in mapping(conf):
        notes.append("its user.conf was not kept")


def _confs(files: Mapping[str, bytes], notes: list[str]) -> Iterator[Conf]:
    """Yield LoadGen's settings, read as it reads them; user.conf, which overrides the other, is the last."""
    own = AttemptPaths(Path())
    for name in (own.mlperf_conf.name, own.user_conf.name):
        conf = parse_conf(files.get(name, b"").decode())
        if conf.bad_line is not None:
            notes.append(f"LoadGen takes nothing of its {name}: it cannot read line {conf.bad_line}")
        yield conf


def _parsed(files: Mapping[str, bytes]) -> tuple[Summary, Detail | None]:
    """Return what LoadGen's logs say, read as the files that they will be."""
    with tempfile.TemporaryDirectory(prefix="sweep-") as name:
        folder = Path(name)
        for file in (SUMMARY_LOG, DETAIL_LOG):
            if file in files:
                (folder / file).write_bytes(files[file])
        try:
            summary = parse_summary(folder / SUMMARY_LOG)
            detail = parse_detail(folder / DETAIL_LOG) if DETAIL_LOG in files else None
        except LogError as error:
            raise RefusedError(str(error).replace(f"{folder}/", "")) from error
    return summary, detail


def _against(summary: Summary, parsed: Mapping[str, Any]) -> Iterator[str]:
    """Yield where what CK extracted from the summary is not what stands there."""
    wrong = [
        (key, said, summary.fields[key])
        for key, said in parsed.items()
        if key in summary.fields and str(said).replace("\0", "").split() != summary.fields[key].split()
    ]
    if "Result is" not in parsed and parsed:
        yield "the entry's parsed_summary holds no result"
    wrong.sort(key=lambda one: one[0] != "Result is")
    for key, said, own in wrong[:_CONTRADICTIONS_SHOWN]:
        yield f"the entry's parsed_summary contradicts that: {plain(key)} : {plain(said)}, and in the log {plain(own)}"
    if (more := len(wrong) - _CONTRADICTIONS_SHOWN) > 0:
        yield f"and {more} more such lines"


def _between(summary: Summary, detail: Detail | None) -> Iterator[str]:
    """Yield where the detail log is not that of the summary."""
    if detail is not None:
        yield from (f"the detail log is of another test: {one}" for one in contradictions(summary, detail))


def _check_accuracy(summary: Summary, detail: Detail | None, parsed: Mapping[str, Any], asked_mode: str) -> None:
    """Refuse a log of counts alone that is not, or may not be, of a test of accuracy that counts."""
    if asked_mode and not _is_accuracy(asked_mode):
        raise RefusedError(
            f"LoadGen's summary holds no result, as it ended before it had one (mode {plain(asked_mode)})"
        )
    if "Result is" in parsed:
        raise RefusedError("its parsed_summary is of a test of performance, LoadGen's summary holds no result")
    if summary.error_count != 0 and not ignored_errors(round_of(summary, detail), summary, detail):
        raise RefusedError(f"LoadGen counted {summary.error_count} errors, so its answers do not count")


def _has_only_map(run: Mapping[str, Any]) -> bool:
    return run.get(_MAP) is not None and all(run.get(name) is None for name in _SCORE)


def _mean_precision(run: Mapping[str, Any], detail: Detail | None, notes: list[str]) -> Accuracy:
    """Return the score of detection, which CK's programs keep in percent, as the reference script prints it."""
    found = real(run[_MAP])
    if found is None or not 0 <= found <= 100:
        raise RefusedError(f"has a score that cannot be read: {_MAP}={plain(run[_MAP])}")
    if 0 < found <= 1:
        notes.append(
            f"its {_MAP} of {found:g} is taken for percent, as CK's programs keep it; a share would look so too"
        )
    return Accuracy(None, None if detail is None else detail.qsl_total_count, found)


def _score(run: Mapping[str, Any]) -> Accuracy:
    """Return the score; its share must be that of the counts, as exact as it was written."""
    missing = [name for name in _SCORE if run.get(name) is None]
    if missing:
        others = ", ".join(plain(name) for name in run if name not in (*_SCORE, "mlperf_log", "mlperf_conf"))
        raise RefusedError(f"has no score: {', '.join(missing)} missing" + (f" (it has {others})" if others else ""))
    share, good, total = real(run["accuracy"]), whole(run["good"]), whole(run["total"])
    shown = ", ".join(f"{name}={plain(run[name])}" for name in _SCORE)
    if share is None or good is None or total is None:
        raise RefusedError(f"has a score that cannot be read: {shown}")
    _, _, decimals = str(run["accuracy"]).strip().partition(".")
    half_unit = 0.5 * 10.0 ** -min(max(len(decimals), 1), 6)
    if total <= 0 or good > total or abs(share - 100 * good / total) > half_unit * (1 + 1e-9):
        raise RefusedError(f"has a score that contradicts itself: {shown}")
    return Accuracy(good, total, 100 * good / total)  # what the entry says of it may be rounded
