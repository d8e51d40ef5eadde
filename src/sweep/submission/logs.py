"""What LoadGen's two logs of a test say together: whether they are of one test, and whether its errors count."""

from __future__ import annotations

from collections.abc import Iterator

from sweep.loadgen.logs import Detail, Summary
from sweep.paths import DETAIL_LOG, SUMMARY_LOG
from sweep.submission.rounds import is_ignored
from sweep.vocabulary import Scenario

SETTINGS = {
    "samples_per_query": "samples_per_query",
    "target_latency_ns": "target_latency (ns)",
    "min_duration_ms": "min_duration (ms)",
    "max_duration_ms": "max_duration (ms)",
    "min_query_count": "min_query_count",
    "max_query_count": "max_query_count",
    "performance_sample_count": "performance_sample_count",
    "qsl_rng_seed": "qsl_rng_seed",
    "sample_index_rng_seed": "sample_index_rng_seed",
    "schedule_rng_seed": "schedule_rng_seed",
}
"""Settings by their names in the detail log, and in the summary."""

_AUDITS = (
    *("performance_issue_unique", "performance_issue_same"),
    *("accuracy_log_sampling_target", "accuracy_log_probability"),
)
"""What the compliance tests of MLPerf turn on (TEST01, TEST04, TEST05)."""
_MARK = ":::MLLOG"
_PER_QUERY = "result_99.00_percentile_per_query_latency_ns"
_PER_SAMPLE = "result_99.00_percentile_latency_ns"
_ESTIMATE = "early_stopping_latency_ms"


def contradictions(summary: Summary, detail: Detail) -> Iterator[str]:
    """Yield what of two logs cannot be of one test, or is not as LoadGen writes it.

    Whoever publishes a result reads its figures from the detail log, whoever looks at it reads the summary.
    """
    for name, key in SETTINGS.items():
        said, logged = summary.settings.get(key), detail.effective.get(name)
        if said is not None and logged is not None and said != logged:
            yield f"{key} is {said} in {SUMMARY_LOG} and {logged} in {DETAIL_LOG}"
    mode = detail.effective.get("test_mode")
    is_same_run = _plain(mode).startswith("submission") and _plain(summary.mode_text).startswith("submission")
    if mode is not None and not is_same_run and not str(mode).startswith("Performance"):
        yield f"{DETAIL_LOG} is of mode {mode}"
    scenario = detail.effective.get("scenario")
    if scenario is not None and _plain(scenario) != _plain(summary.scenario_text):
        yield f"{SUMMARY_LOG} is of {summary.scenario_text}, {DETAIL_LOG} of {scenario}"
    if detail.results:
        yield from _results(summary, detail)
    yield from _lines(detail)


def audits(summary: Summary, detail: Detail | None) -> tuple[str, ...]:
    """Return the settings of a compliance test that were on in a performance test: its figures are no result."""
    used = {name: summary.settings.get(name) for name in _AUDITS}
    if detail is not None:
        used |= {name: detail.effective[name] for name in _AUDITS if detail.effective.get(name)}
    return tuple(f"{name}={value}" for name, value in used.items() if value)


def ignored_errors(round_name: str | None, summary: Summary, detail: Detail | None) -> tuple[str, ...]:
    """Return the errors of a test whose round's checker let all of them pass; none where another is among them.

    Args:
        round_name: The round that it is judged by; None for none.
        summary: Its summary, which counts them.
        detail: Its detail log, without which nobody knows what they are.
    """
    flagged = () if detail is None else detail.errors
    is_all = (summary.error_count or 0) <= len(flagged) and all(is_ignored(round_name, one) for one in flagged)
    return flagged if is_all else ()


def _results(summary: Summary, detail: Detail) -> Iterator[str]:
    """Yield where results differ; the plain text of the early rounds has none."""
    results, multistream = detail.results, summary.scenario is Scenario.MULTI_STREAM
    p99 = summary.latency.percentiles_ns.get("p99")
    figures: dict[str, tuple[object, object]] = {
        "result_validity": (summary.loadgen_result, results.get("result_validity")),
    }
    key = _PER_QUERY if summary.query_latency.percentiles_ns else _PER_SAMPLE
    if key in results or _ESTIMATE in results:  # LoadGens before 2.0 did not log that of queries
        figures["p99"] = (p99, results.get(key))
    stopping = summary.early_stopping_results.get("latency")
    if stopping is not None:
        if multistream:
            figures[_ESTIMATE] = (summary.early_stopping_estimate_ns, results.get(_ESTIMATE))
        if stopping.processed_queries is not None and "result_query_count" in results:
            figures["the count of queries"] = (stopping.processed_queries, results["result_query_count"])
    for name, (said, logged) in figures.items():
        if said != logged:
            yield f"{name} is {_shown(said)} in {SUMMARY_LOG} and {_shown(logged)} in {DETAIL_LOG}"
    if summary.early_stopping is not None and results.get("early_stopping_met") is not summary.early_stopping:
        said, logged = "met" if summary.early_stopping else "not met", _shown(results.get("early_stopping_met"))
        yield f"early stopping is {said} in {SUMMARY_LOG}, {logged} in {DETAIL_LOG}"
    estimate = summary.early_stopping_estimate_ns
    if multistream and estimate is not None and p99 is not None and estimate < p99:
        yield f"the early-stopping estimate of p99, {estimate} ns, is less than p99 itself, {p99} ns"


def _lines(detail: Detail) -> Iterator[str]:
    if detail.repeated:
        yield f"{DETAIL_LOG} says {', '.join(detail.repeated[:3])} more than once, and not the same"
    if any(line.startswith(_MARK) for line in detail.unknown_lines):
        yield f"{DETAIL_LOG} has damaged lines"


def _plain(text: object) -> str:
    return str(text).replace(" ", "").lower()


def _shown(value: object) -> str:
    return "unknown" if value is None else str(value)
