"""The verdict on a test that another tool ran: LoadGen's own lines, held against what else it says."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.loadgen.logs import Detail, Summary
from sweep.submission.logs import ignored_errors
from sweep.submission.rounds import is_ignored
from sweep.trial.spec import TrialSpec
from sweep.trial.verdict import CHECKS, Check, Judgement
from sweep.vocabulary import Scenario, Verdict

_REDUCE = "Reduce samples per query to improve latency"


def required_checks(summary: Summary) -> tuple[str, ...]:
    """Return the checks that VALID needs: all those on which LoadGen's summary has something to say.

    LoadGens before 2.0 bound the latency of MultiStream, all of them that of Server; since 2.0 there is early stopping.
    Up to v0.5 some skipped the count of queries.
    """
    needed = {
        "min_queries": "Min queries satisfied" not in summary.fields or summary.min_queries is not None,
        "early_stopping": "Early stopping satisfied" in summary.fields,
        "performance_constraint": is_bounded(summary),
    }
    return tuple(name for name in CHECKS if needed.get(name, True))


def is_bounded(summary: Summary) -> bool:
    """Return whether LoadGen held a latency against a bound in this test."""
    if summary.scenario is Scenario.SERVER or summary.performance_constraints is not None:
        return True
    if summary.scenario is not Scenario.MULTI_STREAM:
        return False
    return summary.metric is None or summary.metric.unit != "ns"


def judge_imported(
    spec: TrialSpec, summary: Summary, detail: Detail | None = None, contradictions: Sequence[str] = ()
) -> Judgement:
    """Judge a test from LoadGen's summary; `sweep.trial.verdict.judge` does it for sweep's own.

    LoadGen's VALID is not enough: the errors it counted, the percentile of latency that it printed, and each of its
    own conditions must agree. A check without evidence counts as one that does not hold.

    Args:
        spec: Of the test; its rules come from `required_checks`.
        summary: LoadGen's.
        detail: Its detail log, where there is one: what that flags as an error counts, whatever the summary says.
        contradictions: Where the record of the tool contradicts the log, a line each: VALID is then not to be had.
    """
    said = f"Result is : {summary.loadgen_result}"
    agrees = summary.loadgen_result == "VALID" and not contradictions
    found = {
        "loadgen_result": (agrees, "; ".join((said, *contradictions))),
        "min_duration": (summary.min_duration, _line("Min duration satisfied", summary.min_duration)),
        "min_queries": (summary.min_queries, _line("Min queries satisfied", summary.min_queries)),
        "early_stopping": (summary.early_stopping, _line("Early stopping satisfied", summary.early_stopping)),
        "performance_constraint": _constraint(spec, summary),
        "no_errors": _errors(spec.seeds, summary, detail),
    }
    checks = tuple(Check(name, found[name][0], name in spec.rules.checks, found[name][1]) for name in CHECKS)
    failed = [check for check in checks if check.required and check.holds is not True]
    if not failed:
        return Judgement(Verdict.VALID, checks, "", "")
    is_slow = any(check.name == "performance_constraint" and check.holds is False for check in failed)
    advice = _REDUCE if is_slow and spec.samples_per_query > 1 else "; ".join(summary.recommendations)
    return Judgement(Verdict.INVALID, checks, "; ".join(check.evidence for check in failed), advice)


def _constraint(spec: TrialSpec, summary: Summary) -> tuple[bool | None, str]:
    bound_ns = spec.rules.target_latency_ns
    if bound_ns is None:
        return None, "no latency bound in this LoadGen"
    name = f"p{spec.rules.percentile:g}"
    latency_ns = summary.latency.percentiles_ns.get(name)
    line = _line("Performance constraints satisfied", summary.performance_constraints)
    if latency_ns is None:
        return (False if summary.performance_constraints is False else None), f"{name} not reported; {line}"
    within = latency_ns <= bound_ns
    relation = "<=" if within else ">"
    evidence = f"{name} {latency_ns / 1e6:.6f} ms {relation} {bound_ns / 1e6:g} ms; {line}"
    if not within or summary.performance_constraints is False:
        return False, evidence
    return summary.performance_constraints, evidence


def ignored_note(round_name: str | None, errors: Sequence[str]) -> str:
    """Return what a reader must know of errors that did not count."""
    kinds = "; ".join(dict.fromkeys(" ".join(one.split())[:100] for one in errors))
    return f"LoadGen's log has errors, which the checker of {round_name} ignored: {kinds}"


def _errors(round_name: str | None, summary: Summary, detail: Detail | None) -> tuple[bool | None, str]:
    flagged = () if detail is None else detail.errors
    if ignored := ignored_errors(round_name, summary, detail):
        return True, ignored_note(round_name, ignored)
    if flagged:
        counted = "none" if summary.error_count == 0 else summary.error_count
        passed = sum(is_ignored(round_name, one) for one in flagged)
        but = f"; the checker of {round_name} ignored {passed} of them" if passed else ""
        return False, f"{len(flagged)} errors in the detail log, {counted} counted in the summary{but}"
    if summary.error_count is not None:
        return summary.error_count == 0, f"{summary.error_count} errors in the log"
    if detail is not None and detail.complete:
        return True, "no errors in the detail log; the summary does not count them"
    return None, "no count of errors in the log"


def _line(name: str, holds: bool | None) -> str:
    return f"{name} : {'absent' if holds is None else 'Yes' if holds else 'NO'}"
