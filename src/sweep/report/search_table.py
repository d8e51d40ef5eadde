"""The table of several searches: a row for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.paths import write_text
from sweep.study.search import SearchOutcome

if TYPE_CHECKING:
    import pandas as pd


def search_table(outcomes: Sequence[SearchOutcome]) -> pd.DataFrame:
    """Return one row per search: what sets it apart, its answer, how sure that is, and what it has cost."""
    import pandas as pd  # late: it takes half a second

    return pd.DataFrame([search_row(outcome) for outcome in outcomes])


def write_search_table(outcomes: Sequence[SearchOutcome], path: Path) -> None:
    """Write the table as CSV, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    write_text(path, search_table(outcomes).to_csv(index=False))


def search_row(outcome: SearchOutcome) -> dict[str, Any]:
    """Return the row of a search; None for what it does not have."""
    plan, certificate, spec = outcome.plan, outcome.certificate, outcome.plan.spec
    at = {one.samples_per_query: one.percentile_ns for one in certificate.evidence}
    latency_ns = None if certificate.max_streams is None else at.get(certificate.max_streams)
    first, last = certificate.undecided or (None, None)
    return {
        "study": plan.name,
        "label": " ".join(f"{key}={value}" for key, value in plan.label.items()),
        "model": spec.model.name,
        "weights": str(spec.model.weights),
        "precision": str(spec.precision),
        "backend": spec.backend.name,
        "rules": spec.rules_label,
        "run": str(spec.run_class),
        "percentile": spec.rules.percentile,
        "target_latency_ms": plan.question.target_latency_ns / 1e6,
        "status": str(certificate.status),
        "max_streams": certificate.max_streams,
        "confidence": certificate.confidence,
        "disturbed": certificate.disturbed,
        "latency_at_percentile_ms": None if latency_ns is None else latency_ns / 1e6,
        "first_invalid": certificate.first_invalid,
        "undecided_from": first,
        "undecided_to": last,
        "is_complete": certificate.is_complete,
        "accuracy": outcome.accuracy,
        "failure": outcome.failure,
        "why": certificate.why,
        "tests": certificate.tests,
        "query_count": certificate.query_count,
        "seconds": round(outcome.seconds, 3),
        "algorithm": plan.algorithm,
    }
