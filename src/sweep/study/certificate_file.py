"""A search's certificate as a file: plain JSON, schema-versioned, with where the records of its tests lie."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sweep.errors import RecordError
from sweep.search.base import Ask, Observation, Question, Shown
from sweep.search.certificate import Certificate, with_disturbances
from sweep.store.records import StoredTrial, read_versioned
from sweep.study.measure import Outcome
from sweep.study.search import SearchOutcome, SearchPlan, SearchTest, SettingResult
from sweep.trial.plain import read_plain
from sweep.trial.result import OUT_OF_MEMORY
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import Verdict

SCHEMA_VERSION = 3
"""History of the file's format. Newer is refused, older is migrated.

1: first.
2: `asked`, which older files lack.
3: `disturbed` in the certificate; of older files it follows from what they say of their tests.
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

    @property
    def asked(self) -> Mapping[str, Any]:
        """Whatever the answer depends on, by names of the command line; empty in an old file."""
        asked: Mapping[str, Any] = self.data.get("asked") or {}
        return asked

    @property
    def failure(self) -> str:
        """Why the search has no answer: it could not go on, or the engine is not accurate enough; empty otherwise."""
        said = self._said
        return said.failure or ("the accuracy is too low" if said.accuracy_failed else "")

    @property
    def settings(self) -> tuple[SettingResult, ...]:
        """What a joint search tried, in order."""
        return self._said.settings

    @property
    def tests(self) -> tuple[SavedTest, ...]:
        """What the file says of each test, in order."""
        return tuple(_tests(self.data))

    @property
    def _said(self) -> _Said:
        return read_plain(_Said, {name: self.data[name] for name in _SAID if name in self.data})

    def outcome(self, records: Sequence[StoredTrial | None], path: Path) -> SearchOutcome:
        """Return the search as it was when it ended, with those of its tests whose records are left.

        Args:
            records: Of its tests, in order; None for one that is gone.
            path: Of the certificate's file.
        """
        said = self._said
        tests = [
            SearchTest(test.ask, Outcome(stored, test.reused))
            for test, stored in zip(self.tests, records, strict=True)
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
class SavedTest:
    """What a certificate's file says of a test.

    Attributes:
        samples_per_query: N.
        asked_query_count: Queries that were asked for; None for a full test.
        asked_why: What for.
        reused: Whether it had been measured before.
        spec_digest: Of its record.
        environment_digest: Likewise.
        started_at: Likewise.
        directory: Where that lay.
    """

    samples_per_query: int
    asked_query_count: int | None
    asked_why: str
    reused: bool
    spec_digest: str
    environment_digest: str
    started_at: str
    directory: str

    @property
    def ask(self) -> Ask:
        """What was asked for."""
        return Ask(self.samples_per_query, self.asked_query_count, self.asked_why)

    def is_of(self, stored: StoredTrial) -> bool:
        """Return whether a record is that of this test, and not of another one that lies in its place now."""
        result = stored.result
        own = (result.spec_digest, result.environment_digest, result.timing.started_at)
        return own == (self.spec_digest, self.environment_digest, self.started_at)


_SAID = tuple(field.name for field in dataclasses.fields(_Said))
_TEST = tuple(field.name for field in dataclasses.fields(SavedTest))


def certificate_json(outcome: SearchOutcome, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return everything that a search gave as plain JSON data, with the schema version.

    Args:
        outcome: Of the search.
        asked: Whatever its answer depends on, by names of the command line.
    """
    plan, question = outcome.plan, outcome.plan.question
    answer_tests = outcome.answer_tests
    environments = [test.outcome.stored.result.environment_digest for test in outcome.tests]
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(outcome.certificate), allow_nan=False))
    return {
        "schema_version": SCHEMA_VERSION,
        "name": plan.name,
        "label": dict(plan.label),
        "algorithm": plan.algorithm,
        "asked": dict(asked or {}),
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
        "tests": [_test_json(test) | {"of_the_answer": test in answer_tests} for test in outcome.tests],
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
    data = read_versioned(path, SCHEMA_VERSION, "a certificate")
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
        "over_latency_count": result.over_count,
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
    if not isinstance(data.get("asked", {}), dict):
        raise TypeError("asked: is no object")
    read_plain(_Said, {name: data[name] for name in _SAID if name in data})
    certificate = read_plain(Certificate, shown)
    if "disturbed" not in shown:
        certificate = with_disturbances(certificate, question, [_observation(test) for test in data["tests"]])
    return SavedCertificate(plan, certificate, data)


def _observation(test: Mapping[str, Any]) -> Observation:
    """Return what a test showed, as far as the file says: not its latencies."""
    failed = {None: Shown.INVALID, OUT_OF_MEMORY: Shown.OUT_OF_MEMORY}.get(test.get("failure_kind"), Shown.FAILED)
    return Observation(
        samples_per_query=test["samples_per_query"],
        is_full=test["asked_query_count"] is None,
        shown=Shown.VALID if test.get("result") == Verdict.VALID else failed,
        latencies_ns=np.zeros(0, np.int64),
        over_latency_count=test.get("over_latency_count") or 0,
        query_count=test.get("query_count") or 0,
        busy=bool(test.get("busy") or test.get("gpu_disturbed")),
    )


def _tests(data: Mapping[str, Any]) -> list[SavedTest]:
    return [read_plain(SavedTest, {name: test[name] for name in _TEST}) for test in data["tests"]]
