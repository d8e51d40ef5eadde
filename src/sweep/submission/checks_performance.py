"""What the performance test of a result must show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sweep.loadgen.logs import Detail, Summary
from sweep.loadgen.seeds import seeded_round
from sweep.paths import DETAIL_LOG, SUMMARY_LOG
from sweep.submission.checks_logs import damage_of, errors_of
from sweep.submission.findings import Check, Found, OfResult, Severity, Subject
from sweep.submission.logs import SETTINGS, audits, contradictions
from sweep.submission.tree import UnreadableError
from sweep.vocabulary import Scenario, TestMode

SOURCE = "submission_checker/checks/performance_check.py"
_DEFAULT_PERCENTILE = 99.0
_FIGURES = {
    Scenario.SINGLE_STREAM: "early_stopping_latency_ss",
    Scenario.MULTI_STREAM: "early_stopping_latency_ms",
    Scenario.SERVER: "result_completed_samples_per_sec",
    Scenario.OFFLINE: "result_samples_per_second",
}
"""What is published of each scenario, by its name in the detail log (`RESULT_FIELD_NEW`)."""

_INFERRED = {
    (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM),
    (Scenario.SINGLE_STREAM, Scenario.OFFLINE),
    (Scenario.MULTI_STREAM, Scenario.OFFLINE),
}
"""Scenarios whose result may be inferred, on edge systems: from the first, for the second."""


def _logs(subject: Subject) -> tuple[Summary, Detail] | None:
    """Return both logs; None where one cannot be read, which `performance_logs` says."""
    summary, detail = subject.result.performance, subject.result.performance_detail
    return (summary, detail) if isinstance(summary, Summary) and isinstance(detail, Detail) else None


def setting(summary: Summary, detail: Detail, name: str) -> Any:
    """Return a setting as LoadGen used it; None where no log says it."""
    found = detail.effective.get(name)
    return summary.settings.get(SETTINGS.get(name, name)) if found is None else found


def readable(subject: Subject) -> Iterator[Found]:
    """Both logs are there, and whole."""
    result = subject.result
    for name, log in ((SUMMARY_LOG, result.performance), (DETAIL_LOG, result.performance_detail)):
        if isinstance(log, UnreadableError):
            yield Found(f"performance/run_1/{name} {log}")
    if isinstance(result.performance, Summary) and not result.performance.complete:
        yield Found(f"performance/run_1/{SUMMARY_LOG} has no end, or none that can be told", Severity.WARNING)
    yield from damage_of(result, result.paths.performance, result.performance_detail)


def mode(subject: Subject) -> Iterator[Found]:
    """It measured performance."""
    if (logs := _logs(subject)) is None or logs[0].mode is TestMode.PERFORMANCE:
        return
    is_submission = logs[0].mode_text.startswith("Submission")
    if not is_submission or subject.rules.early_stopping:
        severity = Severity.WARNING if is_submission else Severity.ERROR
        yield Found(f"{SUMMARY_LOG} is of mode {logs[0].mode_text or 'unknown'}", severity)


def scenario(subject: Subject) -> Iterator[Found]:
    """It ran the scenario of its folder, or one that this may be inferred from."""
    logs = _logs(subject)
    if logs is None:
        return
    folder = subject.result.paths.scenario
    wanted = next((one for one in Scenario if one.lower() == folder.lower()), None)
    ran = logs[0].scenario
    if folder.lower() == "interactive":
        if ran is not Scenario.SERVER:
            yield Found(f"{SUMMARY_LOG} is of {logs[0].scenario_text or 'no scenario'}, and Interactive is Server's")
    elif wanted is None:
        yield Found(f"{folder} is none of LoadGen's scenarios")
    elif ran is not wanted:
        system = subject.result.system
        kind = "" if isinstance(system, UnreadableError) else str(system.get("system_type", ""))
        if (ran, wanted) not in _INFERRED:
            yield Found(f"{SUMMARY_LOG} is of {logs[0].scenario_text or 'no scenario'}, its folder of {folder}")
        elif "edge" not in kind:
            yield Found(f"{folder} is inferred from {ran}, which only edge systems may do")


def verdict(subject: Subject) -> Iterator[Found]:
    """LoadGen called it VALID, in both logs."""
    if (logs := _logs(subject)) is None:
        return
    summary, detail = logs
    said = {SUMMARY_LOG: summary.loadgen_result, DETAIL_LOG: detail.results.get("result_validity")}
    for name, result in said.items():
        logged = name == SUMMARY_LOG or detail.results  # the plain text of the early rounds has no results
        if result != "VALID" and logged:
            yield Found(f"{name} says {result or 'nothing of a result'}")
    for name, holds in (("Min duration", summary.min_duration), ("Min queries", summary.min_queries)):
        if holds is False:
            yield Found(f"{SUMMARY_LOG} says {name} satisfied : NO")
    if summary.performance_constraints is False:
        yield Found(f"{SUMMARY_LOG} says Performance constraints satisfied : NO")


def no_errors(subject: Subject) -> Iterator[Found]:
    """LoadGen logged no error."""
    if (logs := _logs(subject)) is None:
        return
    yield from errors_of(subject, "performance/run_1", *logs)
    if logs[0].error_count is None and not logs[1].complete:
        yield Found(f"{SUMMARY_LOG} does not count errors", Severity.WARNING)


def agreement(subject: Subject) -> Iterator[Found]:
    """Both logs are of one test."""
    if (logs := _logs(subject)) is None:
        return
    yield from (Found(one) for one in contradictions(*logs))


def seeds(subject: Subject) -> Iterator[Found]:
    """It was drawn with the random seeds of the round."""
    if (logs := _logs(subject)) is None:
        return
    wanted = subject.rules.seeds.by_setting()
    used = {name: setting(*logs, name) for name in wanted}
    if used != wanted:
        of = seeded_round(used)
        whose = f"those of {of}" if of else f"of no known round ({', '.join(map(str, used.values()))})"
        yield Found(f"random seeds are {whose}, not those of {subject.rules.name}")


def sample_count(subject: Subject) -> Iterator[Found]:
    """It held enough samples in memory."""
    if (logs := _logs(subject)) is None or subject.benchmark is None:
        return
    held, needed = setting(*logs, "performance_sample_count"), subject.benchmark.performance_sample_count
    if not isinstance(held, int) or held < needed:
        yield Found(f"performance_sample_count is {held}, and {subject.benchmark_name} needs {needed}")


def length(subject: Subject) -> Iterator[Found]:
    """It was set to be long enough."""
    if (logs := _logs(subject)) is None:
        return
    rules = subject.rules
    duration = setting(*logs, "min_duration_ms")
    if not isinstance(duration, int) or duration < rules.min_duration_ms:
        yield Found(f"min_duration is {duration} ms, and {rules.name} demands {rules.min_duration_ms}")
    if logs[0].scenario is not Scenario.MULTI_STREAM or not rules.min_query_count:
        return
    queries = setting(*logs, "min_query_count")
    if not isinstance(queries, int) or queries < rules.min_query_count:
        yield Found(f"min_query_count is {queries}, and {rules.name} demands {rules.min_query_count}")


def latency(subject: Subject) -> Iterator[Found]:
    """Its latency met what the round demands: early stopping, or the bound on p99."""
    if (logs := _logs(subject)) is None or logs[0].scenario is Scenario.OFFLINE:
        return
    summary, detail = logs
    of = subject.benchmark
    bounds = {} if of is None else {Scenario.MULTI_STREAM: of.target_latency_ns, Scenario.SERVER: of.server_latency_ns}
    bound = bounds.get(summary.scenario) if summary.scenario else None
    if subject.rules.early_stopping:
        met = detail.results.get("early_stopping_met")
        if met is not True or summary.early_stopping is False:
            said = " ".join(str(detail.results.get("early_stopping_result", "nothing")).split())[:160]
            yield Found(f"{DETAIL_LOG}: early stopping was not met ({said})")
        target = setting(summary, detail, "target_latency_ns")
        if bound is not None and (not isinstance(target, int) or target > bound):
            yield Found(
                f"{summary.scenario}'s target latency was {target} ns, and {subject.benchmark_name} allows {bound}"
            )
        return
    if bound is None:
        return
    p99 = summary.latency.percentiles_ns.get("p99")
    if p99 is None:
        yield Found(f"{SUMMARY_LOG} has no p99 latency of queries")
    elif p99 > bound:
        yield Found(f"p99 is {p99 / 1e6:.6g} ms, over the {bound / 1e6:g} ms of {subject.benchmark_name}")


def streams(subject: Subject) -> Iterator[Found]:
    """MultiStream's queries had the number of samples that the round fixes."""
    if (logs := _logs(subject)) is None or logs[0].scenario is not Scenario.MULTI_STREAM:
        return
    n, fixed = setting(*logs, "samples_per_query"), subject.rules.samples_per_query
    if fixed is not None and n != fixed:
        yield Found(f"N is {n}, and {subject.rules.name} fixes it to {fixed}", Severity.WARNING)


def metric(subject: Subject) -> Iterator[Found]:
    """The figure that counts is in the log."""
    if (logs := _logs(subject)) is None or not subject.rules.early_stopping:
        return
    name = _FIGURES.get(logs[0].scenario) if logs[0].scenario else None
    if name is not None and not _is_positive(logs[1].results.get(name)):
        yield Found(f"{DETAIL_LOG} has no {name}")


def percentile(subject: Subject) -> Iterator[Found]:
    """MultiStream's latency was read at the 99th percentile."""
    if (logs := _logs(subject)) is None or logs[0].scenario is not Scenario.MULTI_STREAM:
        return
    share = logs[1].effective.get("target_latency_percentile")
    if isinstance(share, float) and abs(100 * share - _DEFAULT_PERCENTILE) > 1e-6:
        yield Found(f"the percentile is {100 * share:g}, not {_DEFAULT_PERCENTILE:g}", Severity.WARNING)


def audit(subject: Subject) -> Iterator[Found]:
    """It is no audit's test."""
    if (logs := _logs(subject)) is None:
        return
    for name in audits(*logs):
        yield Found(f"{name} was on: an audit's test, not the benchmark's", Severity.WARNING)


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


CHECKS: tuple[tuple[Check, OfResult], ...] = (
    (
        Check(
            "performance_logs",
            "summary and detail log of the performance test are there, and can be read",
            "they are the result; required files in submission_checker/constants.py",
        ),
        readable,
    ),
    (
        Check(
            "mode",
            "the performance test ran in mode PerformanceOnly; in SubmissionRun up to v1.0, a warning later",
            "another mode measures something else",
        ),
        mode,
    ),
    (
        Check(
            "scenario",
            "the log is of the scenario of its folder; on edge systems MultiStream may be inferred from SingleStream, "
            "Offline from both",
            f"else a figure stands under another's name; {SOURCE}",
        ),
        scenario,
    ),
    (
        Check(
            "verdict",
            "LoadGen's result is VALID, in both logs, and so are its conditions",
            "the official checker takes early stopping for it; an INVALID is no result",
        ),
        verdict,
    ),
    (Check("no_errors", "LoadGen logged no error", f"an error voids the test; {SOURCE}"), no_errors),
    (
        Check(
            "agreement",
            "summary and detail log say the same of settings and p99",
            "else they are of two tests, and nobody knows which counts",
        ),
        agreement,
    ),
    (
        Check(
            "seeds",
            "the random seeds are those of the round",
            f"a round draws its own samples, so that nobody can tune for them; {SOURCE}",
        ),
        seeds,
    ),
    (
        Check(
            "sample_count",
            "performance_sample_count reaches that of the benchmark",
            f"fewer samples fit into caches; {SOURCE}",
        ),
        sample_count,
    ),
    (
        Check(
            "length",
            "min_duration, and up to v1.0 MultiStream's min_query_count, reach those of the round",
            f"a short test shows neither heat nor tails; {SOURCE}",
        ),
        length,
    ),
    (
        Check(
            "latency",
            "early stopping is met (since v4.1), or p99 is within the benchmark's bound (up to v1.0)",
            f"the percentile is not known well enough otherwise, or too slow; {SOURCE}",
        ),
        latency,
    ),
    (
        Check(
            "streams",
            "MultiStream has 8 samples per query (since v4.1)",
            "the rules of MLPerf Inference fix them; the checker does not look",
        ),
        streams,
    ),
    (
        Check(
            "metric",
            "the detail log holds the figure that is published of its scenario (since v4.1)",
            "it is what is published; constants.py",
        ),
        metric,
    ),
    (
        Check(
            "percentile", "MultiStream's latency is read at p99", "MLPerf's rules demand it; the checker does not look"
        ),
        percentile,
    ),
    (
        Check(
            "audit",
            "no audit setting was on",
            "those tests repeat samples, which caches like; the checker does not look",
        ),
        audit,
    ),
)
"""What is checked of every result's performance test."""
