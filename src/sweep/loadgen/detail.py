"""Parses LoadGen's detail log, in both of its formats, into one type."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.errors import LogError
from sweep.loadgen.logtext import describe, number, read_text, setting

_MARK = ":::MLLOG"
_TEXT_LINE = re.compile(r'"pid": [^,]+, "tid": [^,]+, "ts": -?\d+ns : ?(.*)')
_NOT_JSON = re.compile(r'("value": -?)(inf|nan)(?=[,}])')
_GENERATED = re.compile(r'GeneratedQueries: +"queries" : (\d{1,19}), "samples per query" : (\d{1,19})')
_POWER = re.compile(r'POWER_(BEGIN|END): .*"time" : (.*)')
_FLAGGED = re.compile(r"(ERROR|WARNING) ?: (.*)")
# The plain-text log's words for what the JSON log gives a key.
_WORDS = {
    "version": "loadgen_version",
    "git_commit_date": "loadgen_git_commit_date",
    "Date + time of test": "test_datetime",
    "System Under Test (SUT) name": "sut_name",
    "Query Sample Library (QSL) name": "qsl_name",
    "QSL total size": "qsl_reported_total_count",
    "QSL performance size*": "qsl_reported_performance_count",
}
_SECTIONS = {"Requested Settings:": "requested", "Effective Settings:": "effective"}


@dataclass(frozen=True)
class Detail:
    """One `mlperf_log_detail.txt`. Of what a SubmissionRun logs once per phase, the last: its performance phase.

    Attributes:
        loadgen_version: Version and commit, as printed: `6.0.17 @ d6147c7eb7`.
        git_commit_date: Date of LoadGen's commit, as printed.
        test_datetime: When the test began, as printed.
        sut_name: The system under test, as it calls itself.
        qsl_name: The sample library, as it calls itself.
        qsl_total_count: Samples in the library.
        qsl_performance_count: Samples it says it can hold.
        power_begin: Start of the measured interval, wall clock, as printed; None before LoadGen logged it.
        power_end: Its end.
        requested: The settings asked for; keys are those of the JSON log without `requested_`, in either format.
        effective: The settings used, likewise: `samples_per_query`, `target_latency_ns`, ...
        results: `result_*` and `early_stopping_*` as logged; empty in the plain-text format, which has none.
        generated_query_count: Queries prepared before the test.
        generated_samples_per_query: Samples in each.
        errors: What LoadGen flagged as errors.
        warnings: What it flagged as warnings.
        unknown_lines: Lines in neither format, and a last line that was cut off.
    """

    loadgen_version: str | None = None
    git_commit_date: str | None = None
    test_datetime: str | None = None
    sut_name: str | None = None
    qsl_name: str | None = None
    qsl_total_count: int | None = None
    qsl_performance_count: int | None = None
    power_begin: str | None = None
    power_end: str | None = None
    requested: Mapping[str, Any] = field(default_factory=dict)
    effective: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    generated_query_count: int | None = None
    generated_samples_per_query: int | None = None
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unknown_lines: tuple[str, ...] = ()


def parse_detail(path: Path | str) -> Detail:
    """Read a LoadGen detail log: plain text (up to v0.7) or `:::MLLOG` JSON lines (since).

    Args:
        path: `mlperf_log_detail.txt`.

    Raises:
        LogError: The file is missing, empty, or holds no line of a detail log.
    """
    text = read_text(path)
    reading = _Reading()
    lines = text.split("\n")
    cut_off = lines.pop()
    for line in lines:
        reading.take(line.rstrip("\r"))
    if not reading.count:
        raise LogError(f"{path}: not a LoadGen detail log; it looks like {describe(text)}")
    if cut_off:
        reading.unknown.append(cut_off)
    return reading.detail()


@dataclass
class _Reading:
    """A detail log while it is read."""

    values: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=lambda: {"requested": {}, "effective": {}})
    results: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    count: int = 0
    section: str | None = None
    listing: bool = False

    def take(self, line: str) -> None:
        """Take one line of either format."""
        if line.startswith(_MARK):
            self._take_json(line)
        elif match := _TEXT_LINE.fullmatch(line):
            self.count += 1
            # The commit history and file hashes follow their title on lines of their own.
            self.listing = match[1].endswith(":")
            self._take_text(match[1])
        elif line and not self.listing:
            self.unknown.append(line)

    def _take_json(self, line: str) -> None:
        try:
            # LoadGen prints doubles as C++ does, which is not JSON when they are infinite.
            text = _NOT_JSON.sub(lambda m: m[1] + {"inf": "Infinity", "nan": "NaN"}[m[2]], line.removeprefix(_MARK))
            entry = json.loads(text.replace("-NaN", "NaN"), strict=False)
            key, value, metadata = entry["key"], entry["value"], entry.get("metadata", {})
            is_error, is_warning = metadata.get("is_error"), metadata.get("is_warning")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.unknown.append(line)
            return
        self.count += 1
        if is_error or is_warning:
            (self.errors if is_error else self.warnings).append(str(value))
        prefix, _, name = str(key).partition("_")
        if prefix in self.settings:
            self.settings[prefix][name] = value
        elif prefix == "result" or str(key).startswith("early_stopping"):
            self.results[str(key)] = value
        else:
            self.values[str(key)] = value

    def _take_text(self, message: str) -> None:
        if message in _SECTIONS:
            self.section = _SECTIONS[message]
            return
        key, _, value = (part.strip() for part in message.partition(":"))
        if self.section and self._take_setting(message, key, value):
            return
        self.section = None
        if match := _FLAGGED.fullmatch(message):
            (self.errors if match[1] == "ERROR" else self.warnings).append(match[2])
        elif match := _GENERATED.match(message):
            self.values["generated_query_count"] = int(match[1])
            self.values["generated_samples_per_query"] = int(match[2])
        elif match := _POWER.fullmatch(message):
            self.values[f"power_{match[1].lower()}"] = match[2]
        elif name := _WORDS.get(key):
            self.values[name] = value if name.endswith("name") or (count := number(value)) is None else count

    def _take_setting(self, message: str, key: str, value: str) -> bool:
        settings = self.settings[self.section or ""]
        if key in ("Scenario", "Test mode"):
            settings[key.lower().replace(" ", "_")] = value
        elif pair := setting(message):
            name = re.sub(r" \((ns|ms)\)$", r"_\1", pair[0])
            settings[name] = pair[1]
        else:
            return False
        return True

    def detail(self) -> Detail:
        """Return what was read."""
        return Detail(
            loadgen_version=self._text("loadgen_version"),
            git_commit_date=self._text("loadgen_git_commit_date"),
            test_datetime=self._text("test_datetime"),
            sut_name=self._text("sut_name"),
            qsl_name=self._text("qsl_name"),
            qsl_total_count=self._count("qsl_reported_total_count"),
            qsl_performance_count=self._count("qsl_reported_performance_count"),
            power_begin=self._text("power_begin"),
            power_end=self._text("power_end"),
            requested=self.settings["requested"],
            effective=self.settings["effective"],
            results=self.results,
            generated_query_count=self._count("generated_query_count"),
            generated_samples_per_query=self._count("generated_samples_per_query"),
            errors=tuple(self.errors),
            warnings=tuple(self.warnings),
            unknown_lines=tuple(self.unknown),
        )

    def _text(self, key: str) -> str | None:
        value = self.values.get(key)
        return None if value is None else str(value)

    def _count(self, key: str) -> int | None:
        value = self.values.get(key)
        return value if isinstance(value, int) else None
