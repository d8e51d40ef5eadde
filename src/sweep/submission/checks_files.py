"""What must lie beside the logs of a result: descriptions, settings, code, compliance tests."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sweep.paths import ACCURACY_LOG, DETAIL_LOG, SUMMARY_LOG
from sweep.submission.findings import Check, Found, OfResult, Severity, Subject
from sweep.submission.layout import (
    ACCURACY_FILES,
    MEASUREMENTS,
    MLPERF_CONF,
    PERFORMANCE_FILES,
    README,
    USER_CONF,
)
from sweep.submission.machine import NOT_STATED
from sweep.submission.rounds import MEASUREMENT_FIELDS, STATUSES
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
from sweep.vocabulary import Scenario, Verdict

SOURCE = "submission_checker/checks/system_check.py"
MEASURED = "submission_checker/checks/measurements_checks.py"
_OPTIONAL = ("mlperf_log_trace.json", "results.json", ".gitkeep")
_POWER = ("power", "ranging")
_SERVER_RUNS = ("run_2", "run_3", "run_4", "run_5")
"""Of Server in v0.7, which ran five times."""
_NOT_IN_MULTISTREAM = ("TEST04-A", "TEST04-B")
_IN_RESULTS = re.compile(r"TEST\d\d|mlperf\.conf|(?:analyzer_table|power_settings)\b.*")


def system(subject: Subject) -> Iterator[Found]:
    """The description of the system is there, and complete."""
    described, rules = subject.result.system, subject.rules
    name = f"systems/{subject.result.paths.system}.json"
    if isinstance(described, UnreadableError):
        yield Found(f"{name} {described}")
        return
    if missing := [key for key in rules.required_fields if key not in described]:
        yield Found(f"{name} lacks {', '.join(missing)}")
    if empty := [key for key in rules.meaningful if key in described and not described[key]]:
        yield Found(f"{name} says nothing in {', '.join(empty)}")
    if unsaid := [key for key in rules.system_fields if described.get(key) == NOT_STATED]:
        yield Found(f"{name} says {NOT_STATED!r} in {', '.join(unsaid)}", Severity.WARNING)


def numbers(subject: Subject) -> Iterator[Found]:
    """What the report of the round reads as numbers are numbers."""
    described = subject.result.system
    if isinstance(described, UnreadableError):
        return
    for key in subject.rules.numeric_fields:
        value = described.get(key)
        if value and not re.fullmatch(r"\s*[-+]?\d+\s*", str(value), re.ASCII):
            yield Found(
                f"systems/{subject.result.paths.system}.json says {key} {_shown(value)}, which is no whole number"
            )


def system_words(subject: Subject) -> Iterator[Found]:
    """Division, submitter and type of a system are what they can be."""
    described, of = subject.result.system, subject.result.paths.of
    if isinstance(described, UnreadableError):
        return
    name = f"systems/{subject.result.paths.system}.json"
    for key, folder in (("division", of.division), ("submitter", of.submitter)):
        if str(described.get(key, "")).lower() != folder.lower():
            yield Found(f"{name} says {key} {_shown(described.get(key))}, its folder {folder}")
    if described.get("system_type") not in subject.rules.system_types:
        types = " | ".join(subject.rules.system_types)
        yield Found(f"{name} says system_type {_shown(described.get('system_type'))}, which is none of {types}")
    yield from _network(name, described, closed=subject.closed)


def status(subject: Subject) -> Iterator[Found]:
    """The status of a system is a known one."""
    described = subject.result.system
    if isinstance(described, Mapping) and str(described.get("status", "")).lower() not in STATUSES:
        name = f"systems/{subject.result.paths.system}.json"
        yield Found(f"{name} says status {_shown(described.get('status'))}, which is none of {', '.join(STATUSES)}")


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
    mapped = mapping.get(folder) if isinstance(mapping, Mapping) and rules.has_mapping and not subject.closed else None
    if other := next((one for one in (folder, mapped) if one in rules.others), None):
        yield Found(f"what {rules.name} demands of {other}: sweep does not know it", Severity.NOT_CHECKED)
    elif subject.benchmark_name is None:
        known = ", ".join(rules.benchmarks)
        fix = "" if subject.closed or not rules.has_mapping else ", nor does model_mapping.json say which it stands for"
        yield Found(f"{folder} is no benchmark of {rules.name} that sweep knows ({known}){fix}")


def measurements_file(subject: Subject) -> Iterator[Found]:
    """The measurements file is there."""
    rules, paths = subject.rules, subject.result.paths
    found = subject.result.measurements(rules)
    if isinstance(found, UnreadableError):
        folder = paths.measurements(rules).relative_to(paths.of.root)
        yield Found(f"{folder}/{paths.system}_..._{paths.scenario}.json {found}")
    elif not os.path.lexists(found):
        yield Found(f"{found.name} is missing")


def measurements(subject: Subject) -> Iterator[Found]:
    """The measurements file can be read, and is complete."""
    found = subject.result.measurements(subject.rules)
    if isinstance(found, UnreadableError) or not os.path.lexists(found):
        return  # which `measurements_file` says
    try:
        fields = read_json_object(found, subject.result.paths.of.root)
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
        yield Found(f"{found.name} says {NOT_STATED!r} in {', '.join(unsaid)}", Severity.WARNING)


def settings(subject: Subject) -> Iterator[Found]:
    """user.conf, README.md and, up to v4.1, mlperf.conf are there."""
    yield from (Found(what) for what, is_there in _settings(subject) if not is_there)


def not_empty(subject: Subject) -> Iterator[Found]:
    """They hold something."""
    yield from (Found(what) for what, is_there in _settings(subject) if is_there)


def _settings(subject: Subject) -> Iterator[tuple[str, bool]]:
    """Yield what is wrong with the files that others repeat a test by, and whether they are there all the same."""
    paths, rules = subject.result.paths, subject.rules
    for name in (USER_CONF, README, *((MLPERF_CONF,) if rules.wants_mlperf_conf else ())):
        path = paths.measurements(rules) / name
        shown = os.path.relpath(path, paths.of.directory)
        try:
            if not read_file(path, JSON_MAX, paths.of.root):
                yield f"{shown} is empty", True
        except UnreadableError as error:
            yield f"{shown} {error}", False


def files(subject: Subject) -> Iterator[Found]:
    """Nothing else lies among the logs."""
    paths = subject.result.paths
    runs = paths.performance.parent
    power = ("spl.txt",) if any(is_folder(runs / name) for name in _POWER) else ()
    known = {
        paths.performance: {*PERFORMANCE_FILES, ACCURACY_LOG, *_OPTIONAL, *power},
        paths.accuracy: {*ACCURACY_FILES, *_OPTIONAL},
    }
    for folder, names in known.items():
        others = [path for path in entries(folder) if path.name not in names]
        place = folder.relative_to(paths.directory)
        for kind, severity in ((is_file, Severity.ERROR), (is_folder, Severity.WARNING)):
            if found := [path.name for path in others if kind(path)]:
                yield Found(f"{place} has what nobody asked for: {', '.join(found[:5])}", severity)
    inside = {"performance", "accuracy"}
    if subject.rules.flat:
        inside |= {MEASUREMENTS, USER_CONF, README}
    beside = [path.name for path in entries(paths.directory) if path.name not in inside]
    if others_beside := [name for name in beside if not (subject.rules.flat and _IN_RESULTS.fullmatch(name))]:
        what = f"its folder has what nobody asked for: {', '.join(others_beside[:5])}"
        yield Found(what, Severity.WARNING)


def runs(subject: Subject) -> Iterator[Found]:
    """No other tests lie beside the one that counts."""
    performance, rules = subject.result.paths.performance, subject.rules
    for path in entries(performance.parent):
        if path.name in (performance.name, *_POWER):
            continue
        said = ""
        for folder in (path, *folders(path)) if is_folder(path) else (path.parent,) * (path.name == SUMMARY_LOG):
            try:
                said = subject.result.summary_of(folder).loadgen_result or said
            except UnreadableError:
                continue
            if said == Verdict.INVALID:
                break
        is_one_of_five = rules.name == "v0.7" and subject.result.paths.scenario.lower() == "server"
        if is_one_of_five and path.name in _SERVER_RUNS and said != Verdict.INVALID:
            continue
        what = f"a test that LoadGen calls {said}" if said else "something"
        yield Found(
            f"performance/{path.name} is {what} beside {performance.name}, which nobody reads", Severity.WARNING
        )


def code(subject: Subject) -> Iterator[Found]:
    """The code is there."""
    rules, paths = subject.rules, subject.result.paths
    folder = paths.of.directory / rules.code_folder
    if not is_folder(folder):
        yield Found(f"{rules.code_folder}/ is missing")
    elif not rules.flat and not os.path.lexists(folder / paths.benchmark):
        yield Found(f"{rules.code_folder}/{paths.benchmark} is missing")
    elif not any(entries(folder)):
        yield Found(f"{rules.code_folder}/ is empty", Severity.WARNING)


def compliance(subject: Subject) -> Iterator[Found]:
    """In closed, the compliance tests are there."""
    if not subject.closed or subject.benchmark is None:
        return
    rules, paths = subject.rules, subject.result.paths
    apart = paths.of.directory / "compliance" / paths.system / paths.benchmark / paths.scenario
    folder = paths.directory if rules.flat else apart
    where = folder.relative_to(paths.of.directory)
    left_out = _NOT_IN_MULTISTREAM if paths.scenario.lower() == "multistream" else ()
    tests = [test for test in subject.benchmark.compliance if test not in left_out]
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


def offered(subject: Subject) -> Iterator[Found]:
    """Systems of its type take part in the benchmark, in that scenario."""
    described, rules = subject.result.system, subject.rules
    if subject.benchmark is None or isinstance(described, UnreadableError):
        return
    kind = str(described.get("system_type", ""))
    _, allowed = subject.benchmark.offered(kind)
    folder = subject.result.paths.scenario
    if kind not in rules.system_types or folder.lower() in {one.lower() for one in allowed}:
        return
    refused = subject.closed or (not allowed and "benchmark" in rules.open_demands)
    severity = Severity.ERROR if refused else Severity.WARNING
    what = f"has no {folder} on" if allowed else "is no benchmark of"
    yield Found(f"{subject.benchmark_name} {what} {kind} systems in {rules.name}", severity)


def scenarios(subject: Subject) -> Iterator[Found]:
    """In closed, all scenarios that a system of its type must have are there."""
    described = subject.result.system
    if not subject.closed or subject.benchmark is None or isinstance(described, UnreadableError):
        return
    required, _ = subject.benchmark.offered(str(described.get("system_type", "")))
    have = {folder.name.lower() for folder in folders(subject.result.paths.directory.parent)}
    if missing := [str(one) for one in Scenario if one in required and one.lower() not in have]:
        yield Found(f"closed demands {', '.join(missing)} of {subject.benchmark_name} too")


def power(subject: Subject) -> Iterator[Found]:
    """Power is somebody else's business."""
    if is_folder(subject.result.paths.directory / "performance" / "power"):
        yield Found("what performance/power holds", Severity.NOT_CHECKED)


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
            "division and submitter are those of the folders; system_type is one of the round",
            f"tables are made of these words; {SOURCE}",
        ),
        system_words,
    ),
    (Check("status", f"a system's status is one of {', '.join(STATUSES)}", f"tables are made of it; {SOURCE}"), status),
    (
        Check(
            "numbers",
            "host_processors_per_node (v1.0: nodes and accelerators too) is a whole number",
            "the report of the round is calculated with it; generate_final_report.py",
        ),
        numbers,
    ),
    (
        Check(
            "measurements_file",
            "the measurements file is where the checker looks for it",
            f"it says which network ran; {MEASURED}",
        ),
        measurements_file,
    ),
    (
        Check("measurements", "it says all five things of the weights", f"they are the network that ran; {MEASURED}"),
        measurements,
    ),
    (
        Check(
            "settings",
            "user.conf, README.md and, up to v4.1, mlperf.conf lie beside it",
            f"others repeat the test by them; {MEASURED}",
        ),
        settings,
    ),
    (Check("not_empty", "these files are not empty", f"an empty one says nothing; {MEASURED}"), not_empty),
    (
        Check(
            "files",
            "no other files lie among the logs",
            "a round's repository is kept for good; submission_checker.py",
        ),
        files,
    ),
    (
        Check(
            "runs",
            "no other test lies beside performance/run_1 (v0.7 has five of Server), and none is INVALID",
            "nobody reads it, or somebody takes it for the result",
        ),
        runs,
    ),
    (
        Check(
            "code",
            "code/ has the benchmark's folder; src/ is there (since v6.0)",
            f"others repeat the test by it; {MEASURED}",
        ),
        code,
    ),
    (
        Check(
            "offered",
            "the benchmark, in that scenario, is one of systems of that type: MultiStream of edge systems alone",
            "datacenter and edge are compared each with their own; constants.py",
        ),
        offered,
    ),
    (
        Check(
            "scenarios",
            "in closed, a system has every scenario that the benchmark demands of its type",
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
