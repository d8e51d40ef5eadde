"""The verdict: named checks, each with its evidence, and VALID only when every required one holds."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.loadgen.logs import Summary
from sweep.trial.abort import Abort
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import Verdict

JUDGE_VERSION = 1
"""Grows with every change of what is VALID: a verdict of another version is not reused, the trial is measured again."""

CHECKS = (
    "loadgen_result",
    "min_duration",
    "min_queries",
    "early_stopping",
    "performance_constraint",
    "no_errors",
)
"""Every check there is. `rules` choose which of them VALID needs; the others are recorded beside them."""

_REDUCE = "Reduce samples per query to improve latency"
_SPEED_UP = "No query is smaller than one sample: only a faster engine, or another bound, helps"


@dataclass(frozen=True)
class Check:
    """One condition of the verdict.

    Attributes:
        name: One of `CHECKS`.
        holds: True, False, or None where the test gave no evidence (an aborted test, an older LoadGen).
        required: Whether the chosen rules need it.
        evidence: What was compared with what, for people.
    """

    name: str
    holds: bool | None
    required: bool
    evidence: str


@dataclass(frozen=True)
class Judgement:
    """The verdict and what it rests on.

    Attributes:
        result: VALID only when every required check holds.
        checks: All checks, required or not, in the order of `CHECKS`.
        why: The reason of an INVALID in one line; empty for VALID.
        recommendation: What to change; empty for VALID.
    """

    result: Verdict
    checks: tuple[Check, ...]
    why: str
    recommendation: str


def judge(spec: TrialSpec, summary: Summary) -> Judgement:
    """Judge a test that ran to its end, from LoadGen's own summary.

    A check without evidence counts as one that does not hold: absence of a line never makes a test VALID.
    """
    rules = spec.rules
    reported_ns = _percentile_ns(summary)
    label = f"p{rules.percentile:g}"
    constraint: bool | None = None
    constraint_evidence = "no latency bound under these rules"
    if rules.target_latency_ns is not None:
        constraint = None if reported_ns is None else reported_ns <= rules.target_latency_ns
        bound = f"{rules.target_latency_ns / 1e6:g} ms"
        if reported_ns is None:
            constraint_evidence = f"{label} not reported; bound {bound}"
        else:
            relation = "<=" if constraint else ">"
            constraint_evidence = f"{label} {_exact_ms(reported_ns, rules.target_latency_ns)} ms {relation} {bound}"
    found = {
        "loadgen_result": (
            None if summary.loadgen_result is None else summary.loadgen_result == "VALID",
            f"Result is : {summary.loadgen_result}",
        ),
        "min_duration": (summary.min_duration, _line("Min duration satisfied", summary.min_duration)),
        "min_queries": (summary.min_queries, _line("Min queries satisfied", summary.min_queries)),
        "early_stopping": (summary.early_stopping, _line("Early stopping satisfied", summary.early_stopping)),
        "performance_constraint": (constraint, constraint_evidence),
        "no_errors": (
            None if summary.error_count is None else summary.error_count == 0,
            f"{'no count of' if summary.error_count is None else summary.error_count} errors in the log",
        ),
    }
    checks = tuple(Check(name, found[name][0], name in rules.checks, found[name][1]) for name in CHECKS)
    failed = [check for check in checks if check.required and check.holds is not True]
    if not failed:
        return Judgement(Verdict.VALID, checks, "", "")
    why = "; ".join(check.evidence for check in failed)
    latency_failed = any(check.name == "performance_constraint" for check in failed)
    recommendation = _faster(spec) if latency_failed else "; ".join(summary.recommendations)
    return Judgement(Verdict.INVALID, checks, why, recommendation)


def judge_aborted(spec: TrialSpec, abort: Abort) -> Judgement:
    """Judge a test that was stopped because it could not become VALID any more: INVALID, always."""
    checks = tuple(
        Check(
            name,
            False if name == "performance_constraint" else None,
            name in spec.rules.checks,
            abort.evidence if name == "performance_constraint" else "not reached",
        )
        for name in CHECKS
    )
    bound = "" if spec.rules.target_latency_ns is None else f" {spec.rules.target_latency_ns / 1e6:g} ms"
    why = f"too slow: {abort.over_latency_count} of {abort.query_count} over{bound}"
    return Judgement(Verdict.INVALID, checks, why, _faster(spec))


def _faster(spec: TrialSpec) -> str:
    return _REDUCE if spec.samples_per_query > 1 else _SPEED_UP


def _percentile_ns(summary: Summary) -> int | None:
    """Return the latency at the percentile that LoadGen was asked for: MultiStream's own figure."""
    metric = summary.metric
    return int(metric.value) if metric is not None and metric.unit == "ns" else None


def _line(name: str, holds: bool | None) -> str:
    return f"{name} : {'absent' if holds is None else 'Yes' if holds else 'NO'}"


def _exact_ms(latency_ns: int, bound_ns: int) -> str:
    # Six digits after the point are whole nanoseconds: a latency just over the bound must not read as equal to it.
    rounded = f"{latency_ns / 1e6:.2f}"
    close = abs(latency_ns - bound_ns) < 1e6
    return f"{latency_ns / 1e6:.6f}".rstrip("0").rstrip(".") if close else rounded
