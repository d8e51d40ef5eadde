"""Parses LoadGen's detail log, in both of its formats, into one type."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.loadgen.logtext import foreign, number, read_text, setting

_MARK = ":::MLLOG"
_TEXT_LINE = re.compile(r'"pid": [^,]+, "tid": [^,]+, "ts": -?\d+ns : ?(.*)')
# How many lines a value may go on for: a name or message of the system under test can hold newlines.
_CONTINUATION = 4
_NOT_JSON = re.compile(r'("value": )(-?(?:inf|nan(?:\([a-z]+\))?|1\.#[A-Z]+0*))(?=[,}])')
_VERSION = re.compile(r"v?(\d{0,4})\.(\d{0,4})(?:\.(\d{1,4}))?")
_COUNTS_ERRORS_SINCE = (5, 0, 16)
_INDICES = re.compile(r'Loading QSL ?: "set" : "\[([\d, ]*)\]"')
# LoadGen's logger says so when one of its threads ends, which may be after the last line of the test.
_LATE = "Logging allocation detected"
_TOKEN_RATE = re.compile("result_(?:inferred_)?(?:completed_)?tokens_per_second")
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
    "QSL performance size": "qsl_reported_performance_count",
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
        complete: Whether the end of the log was seen; False for a log that was cut off, were it between two lines, and
            for one of which it cannot be known. Plain text ends in the end of the measured interval; nothing tells its
            end before LoadGen logged that, and of FindPeakPerformance. JSON ends in the count of errors since 5.0.16,
            before that in the last percentile, or in tokens per second where tokens were timed (4.0 and later; where
            they were only inferred, which no setting tells, that one figure may be missing). In accuracy mode both end
            in the end of the interval in which the last samples of the library were run. Notes of LoadGen's logger
            about itself may follow. A test that LoadGen gave up has no end.
        unknown_lines: Lines in neither format, and a last line that was cut off.
        repeated: Keys of settings and results that are there more than once with other values: LoadGen writes each once
            a phase, so in a log of one test somebody else has written.
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
    complete: bool = False
    unknown_lines: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()


def parse_detail(path: Path | str) -> Detail:
    """Read a LoadGen detail log: plain text (up to v0.7) or `:::MLLOG` JSON lines (since).

    Args:
        path: `mlperf_log_detail.txt`.

    Raises:
        LogError: The file is missing, empty, or holds no line of a detail log.
    """
    text = read_text(path)
    reading = _Reading()
    *lines, cut_off = (line.rstrip("\r") for line in text.split("\n"))
    taken = 0
    while taken < len(lines):
        taken += reading.take(lines[taken : taken + 1 + _CONTINUATION])
    if not reading.count:
        raise foreign(path, "a LoadGen detail log", text)
    if cut_off:
        reading.unknown.append(cut_off)
    return reading.detail(complete=not cut_off and reading.ended())


def _record(text: str) -> tuple[str, Any, str | None] | None:
    """Return the key, the value, and `errors` or `warnings` if flagged so, of a JSON record; None if it is not one."""
    # LoadGen prints doubles as C++ does, which is not JSON when they are not finite.
    text = _NOT_JSON.sub(lambda match: match[1] + json.dumps(number(match[2])), text)
    # It escapes nothing: `C:\new` in a name is no newline. Only what others wrote anew may need its escapes.
    for candidate in (text.replace("\\", "\\\\"), text) if "\\" in text else (text,):
        try:
            entry = json.loads(candidate, strict=False)
            key, value, metadata = str(entry["key"]), entry["value"], entry.get("metadata", {})
            flag = "errors" if metadata.get("is_error") else "warnings" if metadata.get("is_warning") else None
            return key, str(value) if flag else value, flag
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return None


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
    last: str = ""
    loaded: set[int] = field(default_factory=set)
    repeated: dict[str, None] = field(default_factory=dict)

    def take(self, lines: list[str]) -> int:
        """Take the first of the lines, of either format, and those that go on with it; return how many that were."""
        line = lines[0]
        if line.startswith(_MARK):
            return self._take_json(lines)
        if match := _TEXT_LINE.fullmatch(line):
            self.count += 1
            if not match[1].startswith(_LATE):
                self.last = ""
            # The commit history and file hashes follow their title on lines of their own.
            self.listing = match[1].endswith(":")
            self._take_text(match[1])
        elif line and not self.listing:
            self.unknown.append(line)
        return 1

    def _take_json(self, lines: list[str]) -> int:
        text = lines[0].removeprefix(_MARK)
        for size, following in enumerate([*lines[1:], _MARK], 1):
            if (record := _record(text)) is not None:
                self._keep(*record)
                return size
            if following.startswith(_MARK):
                break
            text += f"\n{following}"
        self.unknown.append(lines[0])
        return 1

    def _keep(self, key: str, value: Any, flag: str | None) -> None:
        self.count += 1
        if not str(value).startswith(_LATE):
            self.last = key
        if flag:
            (self.errors if flag == "errors" else self.warnings).append(value)
        prefix, _, name = key.partition("_")
        if prefix in self.settings:
            self._set(self.settings[prefix], name, value, key)
        elif prefix == "result" or key.startswith("early_stopping"):
            self._set(self.results, key, value, key)
        else:
            self.values[key] = value
        if key == "loaded_qsl_set" and isinstance(value, list):
            self.loaded.update(index for index in value if isinstance(index, int))

    def _set(self, known: dict[str, Any], name: str, value: Any, key: str) -> None:
        if known.setdefault(name, value) != value:
            self.repeated[key] = None
        known[name] = value

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
            self.last = message
        elif match := _INDICES.match(message):
            self.loaded.update(map(int, re.findall(r"\d{1,19}", match[1])))
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

    def ended(self) -> bool:
        """Say whether the last record is one that LoadGen writes last; what each generation does is in `Detail`."""
        mode = str(self.settings["effective"].get("test_mode", "")).lower()
        if mode.startswith("accuracy") and self.last.lower().startswith("power_end"):
            total = self._count("qsl_reported_total_count")
            return total is not None and 0 < total <= len(self.loaded)
        if self.last.startswith("POWER_END"):
            return mode.startswith(("performance", "submission")) and '"mode" : Performance' in self.last
        is_rate = _TOKEN_RATE.fullmatch(self.last) is not None
        if is_rate or self.last == "result_99.90_percentile_latency_ns":
            version = _VERSION.match(self._text("loadgen_version") or "")
            if version is None or tuple(int(part or 0) for part in version.groups()) >= _COUNTS_ERRORS_SINCE:
                return False
            return is_rate or not self.settings["requested"].get("use_token_latencies")
        return self.last == "num_errors"

    def detail(self, *, complete: bool) -> Detail:
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
            complete=complete,
            unknown_lines=tuple(self.unknown),
            repeated=tuple(self.repeated),
        )

    def _text(self, key: str) -> str | None:
        value = self.values.get(key)
        return str(value) if isinstance(value, str | int | float) else None

    def _count(self, key: str) -> int | None:
        value = self.values.get(key)
        return value if type(value) is int else None
