"""A search's certificate as a file: plain JSON, schema-versioned, with where the records of its tests lie."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.errors import RecordError
from sweep.search.base import Ask, Question
from sweep.search.certificate import Certificate
from sweep.store.records import StoredTrial, read_json
from sweep.study.measure import Outcome
from sweep.study.search import SearchOutcome, SearchPlan, SearchTest, SettingResult
from sweep.trial.plain import read_plain
from sweep.trial.spec import TrialSpec

SCHEMA_VERSION = 1
"""History of the file's format. Newer is refused, older is migrated.

1: first.
"""


@dataclass(frozen=True)
class SavedCertificate:
    """A certificate read from its file.

    Attributes:
        plan: What was searched for.
        certificate: What it showed.
        data: Everything in the file, the tests and the directories of their records too.
    """

    plan: SearchPlan
    certificate: Certificate
    data: Mapping[str, Any]

    def outcome(self, records: Sequence[StoredTrial | None], path: Path) -> SearchOutcome:
        """Return the search as it was when it ended, with those of its tests whose records are left.

        Args:
            records: Of its tests, in order; None for one that is gone.
            path: Of the certificate's file.
        """
        said = read_plain(_Said, {name: self.data[name] for name in _SAID if name in self.data})
        tests = [
            SearchTest(
                Ask(test.samples_per_query, test.asked_query_count, test.asked_why), Outcome(stored, test.reused)
            )
            for test, stored in zip(_tests(self.data), records, strict=True)
            if stored is not None
        ]
        return SearchOutcome(
            plan=self.plan,
            certificate=self.certificate,
            tests=tuple(tests),
            seconds=said.spent_s,
            measured_seconds=said.measured_s,
            storage=said.storage,
            accuracy=said.accuracy,
            accuracy_failed=said.accuracy_failed,
            failure=said.failure,
            notes=said.notes,
            directory=path.parent,
            stopped_by=said.stopped_by,
            settings=said.settings,
        )


@dataclass(frozen=True)
class _Said:
    """What a file says of a search beside its plan, its certificate and its tests."""

    spent_s: float
    measured_s: float
    storage: str
    accuracy: str
    accuracy_failed: bool
    failure: str
    notes: tuple[str, ...]
    stopped_by: str = ""
    settings: tuple[SettingResult, ...] = ()


@dataclass(frozen=True)
class _Test:
    """What a file says of a test that its record does not."""

    samples_per_query: int
    asked_query_count: int | None
    asked_why: str
    reused: bool
    directory: str


_SAID = tuple(field.name for field in dataclasses.fields(_Said))
_TEST = tuple(field.name for field in dataclasses.fields(_Test))


def certificate_json(outcome: SearchOutcome) -> dict[str, Any]:
    """Return everything that a search gave as plain JSON data, with the schema version."""
    plan, question = outcome.plan, outcome.plan.question
    environments = [test.outcome.stored.result.environment_digest for test in outcome.tests]
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(outcome.certificate), allow_nan=False))
    return {
        "schema_version": SCHEMA_VERSION,
        "name": plan.name,
        "label": dict(plan.label),
        "algorithm": plan.algorithm,
        "question": {
            "samples_per_query_low": question.domain.low,
            "samples_per_query_high": question.domain.high,
            "samples_per_query_step": question.domain.step,
            "target_latency_ns": question.target_latency_ns,
            "percentile": question.percentile,
            "full_query_count": question.full_query_count,
            "confidence": question.confidence,
        },
        "spec": plan.spec.to_json(),
        "spec_digest": plan.spec.digest,
        "environment_digest": environments[0] if environments else None,
        "certificate": plain,
        "tests": [_test_json(test) for test in outcome.tests],
        "spent_s": outcome.seconds,
        "measured_s": outcome.measured_seconds,
        "storage": outcome.storage,
        "accuracy": outcome.accuracy,
        "accuracy_failed": outcome.accuracy_failed,
        "failure": outcome.failure,
        "stopped_by": outcome.stopped_by,
        "settings": [dataclasses.asdict(one) for one in outcome.settings],
        "notes": list(outcome.notes),
        "directory": str(outcome.directory),
    }


def read_certificate(path: Path) -> SavedCertificate:
    """Read a certificate from its file.

    Raises:
        RecordError: It cannot be read, is damaged, or is from a newer sweep; the message names the file.
    """
    try:
        data = read_json(path)
    except FileNotFoundError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    if not isinstance(data, dict) or not isinstance(data.get("schema_version"), int):
        raise RecordError(f"{path}: not a certificate")
    if data["schema_version"] > SCHEMA_VERSION:
        raise RecordError(
            f"{path}: written by a newer sweep (schema {data['schema_version']}, this one reads up to "
            f"{SCHEMA_VERSION}); update sweep to read it"
        )
    try:
        return _from_plain(data)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise RecordError(f"{path}: damaged certificate: {what}") from error


def _test_json(test: SearchTest) -> dict[str, Any]:
    result = test.outcome.stored.result
    return {
        "samples_per_query": test.ask.samples_per_query,
        "asked_query_count": test.ask.query_count,
        "asked_why": test.ask.why,
        "is_full": test.ask.query_count is None,
        "reused": test.outcome.reused,
        "state": str(result.state),
        "result": None if result.result is None else str(result.result),
        "why": result.why,
        "failure_kind": None if result.failure is None else result.failure.kind,
        "query_count": result.query_count,
        "over_latency_count": result.over_latency_count,
        "over_latency_allowed": result.over_latency_allowed,
        "latency_at_percentile_ns": result.percentile_ns,
        "busy": None if result.machine_load is None else result.machine_load.busy,
        "gpu_disturbed": None if result.telemetry is None else result.telemetry.disturbed,
        "started_at": result.timing.started_at,
        "total_ns": result.timing.total_ns,
        "notes": list(result.notes),
        "attempt": result.attempt,
        "spec_digest": result.spec_digest,
        "environment_digest": result.environment_digest,
        "directory": str(test.outcome.stored.directory),
    }


def _from_plain(data: dict[str, Any]) -> SavedCertificate:
    asked, shown = data["question"], data["certificate"]
    domain = {part: asked[f"samples_per_query_{part}"] for part in ("low", "high", "step")}
    others = ("target_latency_ns", "percentile", "full_query_count", "confidence")
    question = read_plain(Question, {"domain": domain, **{name: asked[name] for name in others}})
    spec = TrialSpec.from_json(data["spec"])
    if spec.digest != data["spec_digest"]:
        raise ValueError("the digest is not the spec's")
    plan = SearchPlan(str(data["name"]), dict(data["label"]), question, str(data["algorithm"]), spec)
    _tests(data)
    read_plain(_Said, {name: data[name] for name in _SAID if name in data})
    return SavedCertificate(plan, read_plain(Certificate, shown), data)


def _tests(data: Mapping[str, Any]) -> list[_Test]:
    return [read_plain(_Test, {name: test[name] for name in _TEST}) for test in data["tests"]]
