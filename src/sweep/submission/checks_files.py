"""What must lie beside the logs of a result: descriptions, settings, code, compliance tests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sweep.paths import ACCURACY_LOG, DETAIL_LOG
from sweep.submission.findings import Check, Found, OfResult, Severity, Subject
from sweep.submission.layout import (
    ACCURACY_FILES,
    MEASUREMENTS,
    MLPERF_CONF,
    PERFORMANCE_FILES,
    README,
    USER_CONF,
    ResultPaths,
)
from sweep.submission.machine import NOT_STATED
from sweep.submission.rounds import MEASUREMENT_FIELDS, STATUSES, SYSTEM_TYPES, Round
from sweep.submission.tree import (
    JSON_MAX,
    UnreadableError,
    entries,
    folders,
    is_file,
    is_folder,
    read_file,
    read_json_object,
)

SOURCE = "submission_checker/checks/system_check.py"
MEASURED = "submission_checker/checks/measurements_checks.py"
_OPTIONAL = ("mlperf_log_trace.json", "results.json", ".gitkeep")
_TESTS = {"resnet": ("TEST01", "TEST04"), "stable-diffusion-xl": ("TEST01", "TEST04")}
"""Compliance tests of a benchmark since v4.1, where they are not TEST01 alone."""
_OLD_TESTS = ("TEST01", "TEST04-A", "TEST04-B", "TEST05")
_IN_RESULTS = ("TEST01", "TEST04", "TEST06")


def system(subject: Subject) -> Iterator[Found]:
    """The description of the system is there, and complete."""
    described, rules = subject.result.system, subject.rules
    name = f"systems/{subject.result.paths.system}.json"
    if isinstance(described, UnreadableError):
        yield Found(f"{name} {described}")
        return
    if missing := [key for key in rules.system_fields if key not in described]:
        yield Found(f"{name} lacks {', '.join(missing)}")
    if empty := [key for key in rules.meaningful if key in described and not described[key]]:
        yield Found(f"{name} says nothing in {', '.join(empty)}")
    if unsaid := [key for key in rules.system_fields if described.get(key) == NOT_STATED]:
        severity = Severity.ERROR if subject.closed and rules.meaningful else Severity.WARNING
        yield Found(f"{name} says {NOT_STATED!r} in {', '.join(unsaid)}", severity)


def system_words(subject: Subject) -> Iterator[Found]:
    """Division, submitter, status and type of a system are what they can be."""
    described, of = subject.result.system, subject.result.paths.of
    if isinstance(described, UnreadableError):
        return
    name = f"systems/{subject.result.paths.system}.json"
    for key, folder in (("division", of.division), ("submitter", of.submitter)):
        if str(described.get(key, "")).lower() != folder.lower():
            yield Found(f"{name} says {key} {_shown(described.get(key))}, its folder {folder}")
    if str(described.get("status", "")).lower() not in STATUSES:
        yield Found(f"{name} says status {_shown(described.get('status'))}, which is none of {', '.join(STATUSES)}")
    if described.get("system_type") not in SYSTEM_TYPES:
        types = " | ".join(SYSTEM_TYPES)
        yield Found(f"{name} says system_type {_shown(described.get('system_type'))}, which is none of {types}")
    yield from _network(name, described, closed=subject.closed)
    for key in ("number_of_nodes", "accelerators_per_node") if subject.rules.meaningful else ():
        if not str(described.get(key, "0")).strip().isdecimal():
            yield Found(f"{name} says {key} {_shown(described[key])}, which is no whole number")


def _network(name: str, described: Mapping[str, Any], *, closed: bool) -> Iterator[Found]:
    said = described.get("is_network", "")
    if not isinstance(said, str):
        yield Found(f"{name} says is_network {_shown(said)}, which must be text")
    elif closed and said.lower() == "true":
        yield Found(f"{name} is a network system, which closed has not")
    elif said:
        yield Found(f"what {name} says of its network", Severity.NOT_CHECKED)


def benchmark(subject: Subject) -> Iterator[Found]:
    """Its folder is named as a benchmark, or a model that stands for one."""
    folder, rules = subject.result.paths.benchmark, subject.rules
    mapping = subject.result.submitter.mapping
    if isinstance(mapping, UnreadableError):
        yield Found(f"model_mapping.json {mapping}")
    if folder in rules.others:
        yield Found(f"what {rules.name} demands of {folder}: sweep does not know it", Severity.NOT_CHECKED)
    elif subject.benchmark_name is None:
        known = ", ".join(rules.benchmarks)
        fix = "" if subject.closed or not rules.has_mapping else ", nor does model_mapping.json say which it stands for"
        yield Found(f"{folder} is no benchmark of {rules.name} that sweep knows ({known}){fix}")


def measurements(subject: Subject) -> Iterator[Found]:
    """The measurements file is there, and complete."""
    found, root = subject.result.measurements(subject.rules), subject.result.paths.of.root
    if isinstance(found, UnreadableError):
        folder = subject.result.paths.measurements(subject.rules).relative_to(root)
        yield Found(f"{folder}/{subject.result.paths.system}_..._{subject.result.paths.scenario}.json {found}")
        return
    try:
        fields = read_json_object(found, root)
    except UnreadableError as error:
        yield Found(f"{found.name} {error}")
        return
    if missing := [key for key in MEASUREMENT_FIELDS if key not in fields]:
        yield Found(f"{found.name} lacks {', '.join(missing)}")
    if not subject.rules.meaningful:
        return
    if empty := [key for key in MEASUREMENT_FIELDS if key in fields and not fields[key]]:
        yield Found(f"{found.name} says nothing in {', '.join(empty)}")
    if unsaid := [key for key in MEASUREMENT_FIELDS if fields.get(key) == NOT_STATED]:
        severity = Severity.ERROR if subject.closed else Severity.WARNING
        yield Found(f"{found.name} says {NOT_STATED!r} in {', '.join(unsaid)}", severity)


def settings(subject: Subject) -> Iterator[Found]:
    """user.conf, README.md and, up to v4.1, mlperf.conf are there, and not empty."""
    folder = subject.result.paths.measurements(subject.rules)
    names = (USER_CONF, README, *((MLPERF_CONF,) if subject.rules.wants_mlperf_conf else ()))
    for name in names:
        yield from _has_text(folder / name, subject)


def files(subject: Subject) -> Iterator[Found]:
    """Nothing else lies among the logs."""
    paths = subject.result.paths
    known = {
        paths.performance: {*PERFORMANCE_FILES, ACCURACY_LOG, *_OPTIONAL},
        paths.accuracy: {*ACCURACY_FILES, *_OPTIONAL},
    }
    for folder, names in known.items():
        if others := [path.name for path in entries(folder) if path.name not in names]:
            place = folder.relative_to(paths.directory)
            yield Found(f"{place} has files that nobody asked for: {', '.join(others[:5])}", Severity.WARNING)
    inside = {"performance", "accuracy"}
    if subject.rules.flat:
        inside |= {*_IN_RESULTS, MEASUREMENTS, USER_CONF, README}
    if others := [path.name for path in entries(paths.directory) if path.name not in inside]:
        yield Found(f"its folder has what nobody asked for: {', '.join(others[:5])}", Severity.WARNING)


def code(subject: Subject) -> Iterator[Found]:
    """The code is there."""
    folder = subject.result.paths.of.directory / subject.rules.code_folder
    if not is_folder(folder):
        yield Found(f"{subject.rules.code_folder}/ is missing")
    elif not any(entries(folder)):
        yield Found(f"{subject.rules.code_folder}/ is empty", Severity.WARNING)


def calibration(subject: Subject) -> Iterator[Found]:
    """In closed, it says how weights were quantised."""
    path = subject.result.paths.of.calibration
    if subject.closed and not any(is_file(path.with_suffix(ending)) for ending in (".md", ".adoc")):
        yield Found("documentation/calibration.md is missing")


def compliance(subject: Subject) -> Iterator[Found]:
    """In closed, the compliance tests are there."""
    if not subject.closed or subject.benchmark_name is None:
        return
    rules, paths = subject.rules, subject.result.paths
    folder = _compliance_folder(rules, paths)
    where = folder.relative_to(paths.of.directory)
    tests = _TESTS.get(subject.benchmark_name, ("TEST01",)) if rules.early_stopping else _OLD_TESTS
    for test in tests:
        if not is_folder(folder / test):
            yield Found(f"{where}/{test} is missing")
            continue
        needed = [Path("verify_performance.txt")] if test != "TEST04-B" else []
        needed += [Path("verify_accuracy.txt")] if test == "TEST01" else []
        needed += [Path("performance/run_1") / DETAIL_LOG]
        yield from (Found(f"{where}/{test}/{name} is missing") for name in needed if not is_file(folder / test / name))
    if any(is_folder(folder / test) for test in tests):
        yield Found("what the compliance tests measured", Severity.NOT_CHECKED)


def _compliance_folder(rules: Round, paths: ResultPaths) -> Path:
    if rules.flat:
        return paths.directory
    return paths.of.directory / "compliance" / paths.system / paths.benchmark / paths.scenario


def scenarios(subject: Subject) -> Iterator[Found]:
    """In closed, all scenarios that an edge system must have are there."""
    described = subject.result.system
    if not subject.closed or subject.benchmark is None or isinstance(described, UnreadableError):
        return
    if described.get("system_type") != "edge":
        yield Found("which scenarios a datacenter system must have", Severity.NOT_CHECKED)
        return
    have = {folder.name.lower() for folder in folders(subject.result.paths.directory.parent)}
    if missing := [str(one) for one in subject.benchmark.scenarios if one.lower() not in have]:
        yield Found(f"closed demands {', '.join(missing)} of {subject.benchmark_name} too")


def power(subject: Subject) -> Iterator[Found]:
    """Power is somebody else's business."""
    if is_folder(subject.result.paths.directory / "performance" / "power"):
        yield Found("what performance/power holds", Severity.NOT_CHECKED)


def _has_text(path: Path, subject: Subject) -> Iterator[Found]:
    root = subject.result.paths.of.root
    try:
        text = read_file(path, JSON_MAX, root)
    except UnreadableError as error:
        yield Found(f"{os.path.relpath(path, subject.result.paths.of.directory)} {error}")
        return
    if not text.strip():
        yield Found(f"{os.path.relpath(path, subject.result.paths.of.directory)} is empty")


def _shown(value: object) -> str:
    return "nothing" if value in (None, "") else repr(value)[:80]


CHECKS: tuple[tuple[Check, OfResult], ...] = (
    (
        Check(
            "benchmark",
            "the folder is named as a benchmark of the round, or as a model that model_mapping.json maps to one (open)",
            "nobody would know what to compare it with; submission_checker/configuration/configuration.py",
        ),
        benchmark,
    ),
    (
        Check(
            "system",
            "the system's description has every field of the round, and those that must be meaningful are not empty",
            f"readers compare machines by it; {SOURCE}",
        ),
        system,
    ),
    (
        Check(
            "system_words",
            "division and submitter are those of the folders; status and system_type are of the known ones",
            f"tables are made of these words; {SOURCE}",
        ),
        system_words,
    ),
    (
        Check(
            "measurements",
            "the measurements file is where the checker looks for it, and says all five things of the weights",
            f"it says which network ran; {MEASURED}",
        ),
        measurements,
    ),
    (
        Check(
            "settings",
            "user.conf, README.md and, up to v4.1, mlperf.conf lie beside it and are not empty",
            f"others repeat the test by them; {MEASURED}",
        ),
        settings,
    ),
    (
        Check(
            "files",
            "no other files lie among the logs",
            "a round's repository is kept for good; submission_checker/utils.py",
        ),
        files,
    ),
    (Check("code", "code/ (src/ since v6.0) is there", f"others repeat the test by it; {MEASURED}"), code),
    (
        Check(
            "calibration",
            "in closed, documentation/calibration.md says how weights were quantised",
            "the rules of closed demand it; submission-checker.py",
        ),
        calibration,
    ),
    (
        Check(
            "scenarios",
            "in closed, an edge system has every scenario of the benchmark",
            "nobody picks the one that looks best; constants.py",
        ),
        scenarios,
    ),
    (
        Check(
            "compliance",
            "in closed, the benchmark's compliance tests are there",
            "they show that nothing was cached or skipped; submission_checker/checks/compliance_check.py",
        ),
        compliance,
    ),
    (Check("power", "power is left to the official checker", "its figures need the power meter's own logs"), power),
)
"""What is checked of every result's files."""
