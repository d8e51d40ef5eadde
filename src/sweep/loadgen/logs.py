"""Parses LoadGen's logs, v0.5 to v6: `mlperf_log_summary.txt` here, `mlperf_log_detail.txt` by way of `detail`.

What LoadGen can print is decided by its `results.cc` (the sections), `test_settings_internal.cc` (the settings) and
`logging.cc` (the counts of warnings and errors, which end the file).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.errors import LogError
from sweep.loadgen.detail import Detail, parse_detail
from sweep.loadgen.logtext import Scalar, foreign, number, percentile_name, read_text, setting, shown
from sweep.loadgen.summary import EarlyStopping, LatencyStats, Metric, Summary
from sweep.vocabulary import Scenario, TestMode

__all__ = ["Detail", "EarlyStopping", "LatencyStats", "Metric", "Summary", "parse_detail", "parse_summary"]

_TITLES = ("MLPerf Results Summary", "Additional Stats", "Test Parameters Used")
_RULE = re.compile(r"=+")
# Every spelling, so that a second result cannot hide from the count of them.
_RESULT = re.compile(r"\s*result\s*is\b", re.IGNORECASE)
_WARNINGS = re.compile(r"(?:No warnings encountered during test|(\d{1,19}) warnings? encountered\. See detailed log)\.")
_ERRORS = re.compile(r"(?:No errors encountered during test|(\d{1,19}) ERRORS? encountered\. See detailed log)\.")
# What stands below the settings since 5.0 where queries are concatenated permutations of the samples.
_CONCATENATED = re.compile(
    r"WARNING: sample_concatenate_permutation was set to true\."
    r"|Generated samples per query might (?:be different as the one in the setting|differ from the configured value)\."
    r"|Check the generated_samples_per_query line in the detailed log for the real"
    r"|samples_per_query value"
)

_CHECKS = {
    "Performance constraints satisfied": "performance_constraints",
    "Min duration satisfied": "min_duration",
    "Min queries satisfied": "min_queries",
    "Early stopping satisfied": "early_stopping",
}
_CHECK_VALUES = {"Yes": True, "NO": False, "Skipped": None}
# In every LoadGen each of these alone makes a run INVALID, the last since there is early stopping; whether too few
# queries do has changed. The first is always there, the second for Server; neither is ever skipped.
_DECISIVE = ("Min duration satisfied", "Performance constraints satisfied", "Early stopping satisfied")
_SCENARIOS = {
    "singlestream": Scenario.SINGLE_STREAM,
    "multistream": Scenario.MULTI_STREAM,
    "multistreamfree": Scenario.MULTI_STREAM,
    "server": Scenario.SERVER,
    "offline": Scenario.OFFLINE,
}
_MODES = {
    "performance": TestMode.PERFORMANCE,
    "performanceonly": TestMode.PERFORMANCE,
    "accuracy": TestMode.ACCURACY,
    "accuracyonly": TestMode.ACCURACY,
}

_PARAGRAPH = re.compile(r"(?:(TTFT|TPOT) )?Early Stopping Result:")
_PERCENTILE_METRIC = re.compile(r"(\d+(?:\.\d+)?)th ((?:first token )?percentile latency) \(ns\)")
_STAT = re.compile(
    r"(min|max|mean|\d+(?:\.\d+)? percentile) (latency|first token latency|time (?:to|per) output token) \(ns\)",
    re.IGNORECASE,
)
_RATE = re.compile(r"\b([a-z]+) per second\b", re.IGNORECASE)
_RATES = {
    "samples": "samples/s",
    "inferences": "samples/s",
    "queries": "queries/s",
    "tokens": "tokens/s",
    "groups": "groups/s",
}
_INTERVALS = re.compile(r"(\d+(?:\.\d+)?) percentile")
_GROUPS = {"latency": "", "first token latency": "first_token_latency"}


def parse_summary(path: Path | str) -> Summary:
    """Read a LoadGen summary.

    The result comes from the section of that name and nowhere else. A log that ends before the counts of warnings and
    errors, LoadGen's last lines, is refused; for the one exception see `Summary.complete`.

    Args:
        path: `mlperf_log_summary.txt`, of any LoadGen generation, scenario and mode.

    Raises:
        LogError: The file is missing, empty, cut off, not a LoadGen summary, or contradicts itself.
    """
    text = read_text(path)
    lines = [line.rstrip() for line in text.split("\n")]
    first = next(index for index, line in enumerate(lines) if line)
    if _WARNINGS.fullmatch(lines[first]) or _ERRORS.fullmatch(lines[first]):
        return _without_results(path, lines)
    title = "".join(lines[first + 1 : first + 2])
    if not _RULE.fullmatch(lines[first]) or not _TITLES[0].startswith(title):
        raise foreign(path, "a LoadGen summary", text)
    if sum(_RESULT.match(line) is not None for line in lines) > 1:
        raise LogError(f"{path}: has more than one 'Result is' line; it cannot be known which holds")

    header, stats, parameters = _sections(path, lines, first)
    reading = _Reading(path)
    reading.header(header)
    reading.stats(stats)
    reading.parameters(parameters)
    return reading.summary()


def _without_results(path: Path | str, lines: list[str]) -> Summary:
    reading = _Reading(path)
    if any(line in _TITLES for line in lines):
        raise LogError(f"{path}: holds the output of more than one test; keep each test's summary in its own file")
    reading.ending(lines)
    if reading.values["error_count"] is None:
        raise LogError(f"{path}: cut off before LoadGen's count of errors, the last line of a summary")
    return Summary(mode=TestMode.ACCURACY, unknown_lines=tuple(reading.unknown), **reading.values)


def _sections(path: Path | str, lines: list[str], first: int) -> tuple[list[str], list[str], list[str]]:
    starts = [
        index
        for index in range(first, len(lines) - 2)
        if lines[index + 1] in _TITLES and _RULE.fullmatch(lines[index]) and _RULE.fullmatch(lines[index + 2])
    ]
    found = tuple(lines[start + 1] for start in starts)
    if found != _TITLES:
        if found == _TITLES[: len(found)]:
            missing = _TITLES[len(found)]
            raise LogError(f"{path}: cut off before the section {missing!r}; the test's result cannot be trusted")
        raise LogError(f"{path}: sections {', '.join(found)} instead of one each of {', '.join(_TITLES)}")
    bounds = [*starts, len(lines)]
    header, stats, parameters = (lines[begin + 3 : end] for begin, end in zip(starts, bounds[1:], strict=True))
    return header, stats, parameters


@dataclass
class _Reading:
    """A summary while it is read."""

    path: Path | str
    values: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    concatenated: bool = False

    def header(self, lines: list[str]) -> None:
        """Take what stands above `Additional Stats`: the test, its figure, its result and why."""
        blocks: dict[str, list[str]] = {}
        block: list[str] | None = None
        pairs: dict[str, str] = {}
        for line in filter(None, lines):
            if line == "Recommendations:" or _PARAGRAPH.fullmatch(line):
                if line in blocks:
                    raise self._twice(line.rstrip(":"))
                block = blocks[line] = []
            elif block is not None and line.startswith(" "):
                block.append(line)
            elif (pair := self._pair(line)) is None:
                self.unknown.append(line)
            elif pair[0] in pairs:
                raise self._twice(pair[0])
            else:
                pairs[pair[0]] = pair[1]
        self._test(pairs)
        self._result(pairs)
        # A figure that cannot be read must not make the next one the test's own.
        own = next((key for key, value in pairs.items() if number(value) is not None or _metric(key, 0).unit), "")
        for key, value in pairs.items():
            self._figure(key, value)
        readable = number(pairs.get(own, "")) is not None
        self.values["metric"] = self.metrics.pop(0) if readable else None
        self.values["recommendations"] = tuple(_bullets(blocks.pop("Recommendations:", [])))
        self.values["early_stopping_results"] = {
            _paragraph_name(title): _early_stopping(paragraph) for title, paragraph in blocks.items()
        }

    def _twice(self, key: str) -> LogError:
        return LogError(f"{self.path}: says {shown(key)!r} twice; it cannot be known which holds")

    def _pair(self, line: str) -> tuple[str, str] | None:
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not key:
            return None
        if value or key == "SUT name":
            self.fields[key] = value
        return key, value

    def _test(self, pairs: dict[str, str]) -> None:
        for key in ("Scenario", "Mode", "Result is"):
            if not pairs.get(key):
                raise LogError(f"{self.path}: no {key!r} line in its header; damaged, or not LoadGen's own")
        self.values["sut_name"] = pairs.pop("SUT name", None)
        scenario, mode = pairs.pop("Scenario"), pairs.pop("Mode")
        self.values["scenario_text"], self.values["mode_text"] = scenario, mode
        self.values["scenario"] = _SCENARIOS.get(_plain(scenario))
        self.values["multi_stream_free"] = _plain(scenario) == "multistreamfree"
        self.values["mode"] = _MODES.get(_plain(mode))

    def _result(self, pairs: dict[str, str]) -> None:
        result = pairs.pop("Result is")
        if result not in ("VALID", "INVALID"):
            raise LogError(f"{self.path}: 'Result is : {shown(result)}' is neither VALID nor INVALID")
        self.values["loadgen_result"] = result
        for key, name in _CHECKS.items():
            text = pairs.pop(key, None)
            if text is not None and text not in _CHECK_VALUES:
                raise LogError(f"{self.path}: '{key} : {shown(text)}' is neither Yes nor NO")
            self.values[name] = None if text is None else _CHECK_VALUES[text]
            if result == "VALID":
                self._agree(key, text)

    def _agree(self, key: str, text: str | None) -> None:
        needed = _DECISIVE[: 2 if self.values["scenario"] is Scenario.SERVER else 1]
        if text is None and key in needed:
            raise LogError(f"{self.path}: 'Result is : VALID' but no {key!r} line; damaged, or not LoadGen's own")
        if (text == "NO" and key in _DECISIVE) or (text == "Skipped" and key in _DECISIVE[:2]):
            raise LogError(f"{self.path}: contradicts itself: 'Result is : VALID' but '{key} : {text}'")

    def stats(self, lines: list[str]) -> None:
        """Take the distributions and rates of `Additional Stats`."""
        groups: dict[str, dict[str, Any]] = {}
        intervals: dict[str, int] = {}
        level = "sample_latency"
        for line in filter(None, lines):
            pair = self._pair(line)
            key, value = pair or (line, "")
            if key == "Per-query latency":
                level = "query_latency"
            elif key == "Per-sample latency":
                level = "sample_latency"
            elif match := _STAT.fullmatch(key):
                group = groups.setdefault(_GROUPS.get(match[2].lower(), "time_per_output_token") or level, {})
                label = match[1].lower()
                if label in ("min", "max", "mean"):
                    self._put(group, f"{label}_ns", key, value)
                else:
                    name = percentile_name(label.removesuffix(" percentile"))
                    self._put(group.setdefault("percentiles_ns", {}), name, key, value)
            elif match := _INTERVALS.fullmatch(key):
                self._put(intervals, percentile_name(match[1]), key, value)
            elif key != "Intervals between each IssueQuery":
                self._figure(key, value)
        self.values["interval_percentiles"] = intervals
        for name, group in groups.items():
            self.values[name] = LatencyStats(**group)

    def _put(self, group: dict[str, Any], name: str, key: str, text: str) -> None:
        value = number(text)
        if not isinstance(value, int):
            raise LogError(f"{self.path}: '{shown(key)} : {shown(text)}' is not a whole number; the log is damaged")
        if group.setdefault(name, value) != value:
            raise self._twice(key)

    def _figure(self, key: str, text: str) -> None:
        value = number(text)
        if value is None:
            self.unknown.append(f"{key} : {text}" if text else key)
        else:
            self.metrics.append(_metric(key, value))

    def parameters(self, lines: list[str]) -> None:
        """Take `Test Parameters Used` and what ends the file."""
        settings: dict[str, Scalar] = {}
        rest: list[str] = []
        last = ""
        counted = False
        for line in filter(None, lines):
            counted = counted or _WARNINGS.fullmatch(line) is not None or _ERRORS.fullmatch(line) is not None
            if (pair := setting(line)) is None:
                rest.append(line)
            elif counted:
                raise LogError(f"{self.path}: goes on with {shown(line)!r} after LoadGen's last lines, its counts")
            elif str(settings.setdefault(*pair)) != str(pair[1]):
                raise self._twice(pair[0])
            else:
                self._pair(line)
            last = line
        # Every line LoadGen writes ends in a newline: without it the number may be cut in the middle.
        terminated = lines[-1:] == [""]
        self.values["settings"] = settings
        self.concatenated = any(_CONCATENATED.fullmatch(line) for line in rest)
        self.ending(rest)
        if self.values["error_count"] is not None:
            return
        # Early v0.5 LoadGens did not count errors; later ones print accuracy_log_sampling_target and always count.
        early = terminated and last.startswith("performance_sample_count") and not rest
        if not early or "accuracy_log_sampling_target" in settings:
            raise LogError(f"{self.path}: cut off before LoadGen's count of errors, the last line of a summary")
        self.values["complete"] = False

    def ending(self, lines: list[str]) -> None:
        """Take the counts of warnings and errors; LoadGens before them count None."""
        for name, pattern in (("warning_count", _WARNINGS), ("error_count", _ERRORS)):
            matches = [match for line in lines if (match := pattern.fullmatch(line))]
            if len(matches) > 1:
                raise LogError(f"{self.path}: counts its {name.removesuffix('_count')}s twice")
            self.values[name] = int(matches[0][1] or 0) if matches else None
        known = (_WARNINGS, _ERRORS, _CONCATENATED)
        self.unknown += [line for line in lines if line and not any(pattern.fullmatch(line) for pattern in known)]

    def _check_streams(self, settings: Mapping[str, Scalar]) -> None:
        """Refuse a MultiStream test of two N: the figure above its result, and what it was set to."""
        metric, used = self.values["metric"], settings.get("samples_per_query")
        is_n = metric is not None and metric.unit == "samples" and self.values["scenario"] is Scenario.MULTI_STREAM
        if is_n and used is not None and used != metric.value:
            said = f"Samples per query : {metric.value:g}, and samples_per_query : {used}"
            raise LogError(f"{self.path}: contradicts itself: {said}; it cannot be known which holds")

    def summary(self) -> Summary:
        """Return what was read."""
        settings: Mapping[str, Scalar] = self.values["settings"]
        # One concatenated query is filled up to whole permutations: only the detail log has its true size.
        uncertain = self.concatenated and self.values["scenario"] is Scenario.OFFLINE
        samples = None if uncertain else settings.get("samples_per_query")
        target = settings.get("target_latency (ns)")
        self._check_streams(settings)
        return Summary(
            **self.values,
            samples_per_query=samples if isinstance(samples, int) else None,
            target_latency_ns=target if isinstance(target, int) and target > 0 else None,
            other_metrics=tuple(self.metrics),
            fields=self.fields,
            unknown_lines=tuple(self.unknown),
        )


def _plain(text: str) -> str:
    return text.replace(" ", "").lower()


def _metric(key: str, value: float) -> Metric:
    if match := _PERCENTILE_METRIC.fullmatch(key):
        return Metric(f"{float(match[1]):g}th {match[2]}", value, "ns")
    if key.endswith(" (ns)"):
        return Metric(key.removesuffix(" (ns)"), value, "ns")
    if match := _RATE.search(key):
        return Metric(key, value, _RATES.get(match[1].lower(), ""))
    words = key.lower().split()
    units = {"qps": "queries/s", "tps": "tokens/s", "samples": "samples"}
    # `QPS w/ loadgen overhead`; `Scheduled QPS`, the figure of Server before v0.5.
    return Metric(key, value, units.get(words[0]) or units.get(words[-1], ""))


def _bullets(lines: list[str]) -> Iterator[str]:
    """Yield the ` * ` items of a block, each with its continuation lines as one line."""
    item: list[str] = []
    for line in lines:
        if line.lstrip().startswith("*") and item:
            yield " ".join(item)
            item = []
        item.append(line.strip().removeprefix("* "))
    if item:
        yield " ".join(item)


def _paragraph_name(title: str) -> str:
    match = _PARAGRAPH.fullmatch(title)
    return match[1] if match and match[1] else "latency"


def _early_stopping(lines: list[str]) -> EarlyStopping:
    text = "\n".join(lines)
    flat = " ".join(text.split())

    def find(pattern: str) -> int | None:
        match = re.search(pattern, flat)
        return int(match[1]) if match else None

    estimates = re.findall(r"Early stopping (\d+(?:\.\d+)?)th percentile estimate: (-?\d{1,19})", flat)
    missing = re.findall(
        r"Not enough queries processed for (\d+(?:\.\d+)?)th .{0,120}? at least (\d{1,19}) total queries", flat
    )
    processed = find(r"Processed at least \d+ queries \((\d{1,19})\)")
    return EarlyStopping(
        estimates_ns={percentile_name(percentile): int(value) for percentile, value in estimates},
        required_queries=find(r"(?:Processed|Need to process) at least (\d{1,19}) queries"),
        processed_queries=find(r"(?:Processed|Only processed) (\d{1,19}) queries") if processed is None else processed,
        discarded_queries=find(r"Would discard (\d{1,19}) highest"),
        missing={percentile_name(percentile): int(count) for percentile, count in missing},
        lacking_queries=find(r"run at least (\d{1,19}) more queries"),
        text=text,
    )
