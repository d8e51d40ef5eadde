"""How verdicts are put into words for people; how figures are, the terminal shares with reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sweep.report.words import conditions, count_of, duration, joules, length_of, ms, telemetry_line
from sweep.trial.result import TrialResult
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import TestMode, Verdict

__all__ = [
    "STYLES",
    "conditions",
    "count_of",
    "duration",
    "headline",
    "joules",
    "length_of",
    "ms",
    "name_of",
    "telemetry_line",
    "waived_words",
]

STYLES = {"VALID": "green", "INVALID": "yellow", "FAILED": "bold red"}


def name_of(label: Mapping[str, str], spec: TrialSpec) -> str:
    """Return what sets a point apart from the others, or its batch when nothing does."""
    return " ".join(f"{key}={value}" for key, value in label.items()) or f"batch={spec.samples_per_query}"


def headline(result: TrialResult) -> str:
    """Return what came out of a trial, in one line."""
    if result.failure is not None:
        return f"FAILED: {result.failure.kind}: {result.failure.message}"
    if result.spec.mode is TestMode.ACCURACY:
        return str(result.accuracy)
    bound = f"p{result.spec.rules.percentile:g} {ms(result.percentile_ns)} ms"
    why = f": {result.why}" if result.why else ""
    rules = f", {result.spec.rules_label} rules" if result.spec.has_custom_rules else ""
    return f"{result.result}{result.mark} ({bound}{rules}){why}"


def waived_words(results: Iterable[TrialResult]) -> str:
    """Return, in one sentence, why tests are VALID that LoadGen's early stopping calls INVALID; empty where none is."""
    for result in results:
        waived = any(check.name == "early_stopping" and check.holds is False for check in result.checks)
        if waived and result.result is Verdict.VALID:
            rules = f"rules {result.spec.rules_label}, which do not ask for LoadGen's early stopping"
            few = f"{result.query_count} queries are too few to be sure"
            return f"VALID is by {rules}; by that, {few}: try a longer run"
    return ""
