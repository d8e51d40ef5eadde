"""The record of a finished trial: frozen, schema-versioned, checking its own invariants."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sweep.errors import RecordError
from sweep.loadgen.accuracy import Accuracy
from sweep.trial.abort import Abort
from sweep.trial.imported import Imported
from sweep.trial.machine_load import BUSY, MachineLoad
from sweep.trial.messages import Warmup
from sweep.trial.plain import SHARED as IS_SHARED
from sweep.trial.plain import read_plain
from sweep.trial.spec import TrialSpec, percentile_index
from sweep.trial.telemetry import SHARED, THROTTLED, Telemetry
from sweep.trial.verdict import Check
from sweep.vocabulary import DISTURBED, TestMode, TrialState, Verdict

SCHEMA_VERSION = 4
"""History of the record's format. Newer is refused, older is migrated.

1: first.
2: `device_latencies`, `engine` and `telemetry`, which older records lack.
3: `imported`, and in the spec `seeds`; both may be missing.
4: `kernels` in the spec's backend, which may be missing.
"""

DISTURBANCES = (BUSY, THROTTLED, SHARED)
"""How the notes begin that say of a test that others, or its own machine, had a part in its figures."""

_SINCE_2: Mapping[str, Any] = {"device_latencies": None, "engine": {}, "telemetry": None}


@dataclass(frozen=True)
class Latencies:
    """Query latencies of one test, in nanoseconds.

    Attributes:
        source: `loadgen` for a test that ran to its end (LoadGen's own figures); `sut` for one that was aborted or
            failed (measured by the system under test up to that point); `device` for the device's part of them.
        percentiles: `p50`, `p90`, `p95`, `p97`, `p99`, `p99.9`, each read at index floor(n * p).
    """

    source: str
    min: int
    mean: int
    max: int
    percentiles: Mapping[str, int]


def over_by_loadgen(latencies: Latencies | None, query_count: int, target_ns: int | None) -> int:
    """Return how many queries at least were over a bound by LoadGen's own figures; 0 where these say nothing.

    Args:
        latencies: Of the test.
        query_count: Its queries.
        target_ns: The bound; None where there is none.
    """
    if latencies is None or target_ns is None or latencies.source != "loadgen":
        return 0
    over = [
        query_count - percentile_index(query_count, float(name.removeprefix("p")))
        for name, latency_ns in latencies.percentiles.items()
        if latency_ns > target_ns
    ]
    return max([*over, int(latencies.max > target_ns)])


OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class Failure:
    """Why a trial FAILED.

    Attributes:
        kind: `error` (its message says all there is to say), `unexpected error`, `crash`, `timeout` or `out of memory`.
        message: One line.
        last_words: The end of the worker's log.
    """

    kind: str
    message: str
    last_words: str

    @property
    def is_out_of_memory(self) -> bool:
        """Whether the test was too large, which it would be again."""
        return self.kind == OUT_OF_MEMORY


@dataclass(frozen=True)
class Timing:
    """Where the time of a trial went.

    Attributes:
        started_at: UTC, ISO 8601.
        engine_ns: Building the engine and loading samples; almost nothing in a warm worker.
        warmup_ns: Untimed queries.
        test_ns: Inside LoadGen; up to the stop of an aborted test.
        total_ns: The whole trial.
    """

    started_at: str
    engine_ns: int
    warmup_ns: int
    test_ns: int
    total_ns: int


@dataclass(frozen=True)
class TrialResult:
    """What one attempt at a trial gave.

    Attributes:
        spec: What was measured.
        spec_digest: Its digest.
        model_path: Where the model's file lay, which is no part of what was measured; None for an engine without one.
        environment: The fingerprint of machine and software.
        environment_digest: Its digest.
        attempt: 1 for the first time, 2 when it was measured again, ...
        state: COMPLETE or FAILED. An INVALID trial is COMPLETE.
        result: VALID or INVALID; None for accuracy mode and for FAILED.
        judge_version: Of the code that judged it, `JUDGE_VERSION` then.
        checks: Every check of the verdict.
        why: Why it is not VALID, in one line.
        recommendation: What to change.
        loadgen_result: LoadGen's own `Result is`, verbatim; None for a test that LoadGen did not finish.
        aborted: Why the test was stopped early; None when it ran to its end.
        latencies: Query latencies; None when no query finished.
        device_latencies: The part of each query in which the device worked on it, by its own clock; None where it has
            none. Its percentiles are of its own order, not those of the same queries.
        early_stopping_estimate_ns: LoadGen's early-stopping estimate of the percentile.
        query_count: Queries finished.
        planned_query_count: Queries of the whole test, at least.
        over_latency_count: Finished queries over the bound, as the SUT saw them; in newer records no fewer
            than LoadGen's figures say. `over_count` is that of every record.
        over_latency_allowed: How many the whole test may have.
        expected_latency_ns: What LoadGen was told to expect, from the warm-up.
        warmup: The warm-up.
        accuracy: Accuracy mode's score.
        machine_load: What other processes did meanwhile.
        telemetry: What the GPU reported meanwhile; None without a GPU.
        engine: What the backend says of its engine: version, how it was built, what it does with a query.
        timing: Where the time went.
        failure: Why it FAILED.
        notes: What a reader must know before using the numbers: synthetic weights, a stand-in engine, a busy machine.
        imported: Where it comes from, when sweep did not measure it itself.
    """

    spec: TrialSpec
    spec_digest: str
    model_path: str | None
    environment: Mapping[str, Any] = field(metadata={IS_SHARED: True})
    environment_digest: str
    attempt: int
    state: TrialState
    result: Verdict | None
    judge_version: int
    checks: tuple[Check, ...]
    why: str
    recommendation: str
    loadgen_result: str | None
    aborted: Abort | None
    latencies: Latencies | None
    device_latencies: Latencies | None
    early_stopping_estimate_ns: int | None
    query_count: int
    planned_query_count: int
    over_latency_count: int | None
    over_latency_allowed: int | None
    expected_latency_ns: int | None
    warmup: Warmup | None
    accuracy: Accuracy | None
    machine_load: MachineLoad | None
    telemetry: Telemetry | None
    engine: Mapping[str, Any] = field(metadata={IS_SHARED: True})
    timing: Timing
    failure: Failure | None
    notes: tuple[str, ...]
    imported: Imported | None = None

    def __post_init__(self) -> None:
        """Refuse a record that contradicts itself.

        Raises:
            ValueError: It does; the message says how.
        """
        complete = self.state is TrialState.COMPLETE
        problems = {
            "a record is COMPLETE or FAILED": self.state not in (TrialState.COMPLETE, TrialState.FAILED),
            "FAILED needs a failure, COMPLETE has none": complete == (self.failure is not None),
            "only a COMPLETE trial has a verdict": self.result is not None and not complete,
            "a COMPLETE performance trial has a verdict": (
                complete and self.spec.mode is TestMode.PERFORMANCE and self.result is None
            ),
            "an aborted test is INVALID": complete and self.aborted is not None and self.result is not Verdict.INVALID,
            "VALID needs every required check": self.result is Verdict.VALID
            and not (self.checks and all(check.holds is True for check in self.checks if check.required)),
            "VALID needs the checks that its rules name": self.result is Verdict.VALID
            and {check.name for check in self.checks if check.required} != set(self.spec.rules.checks),
            "the digest is the spec's": self.spec_digest != self.spec.digest,
        }
        broken = [rule for rule, is_broken in problems.items() if is_broken]
        if broken:
            raise ValueError("; ".join(broken))

    @property
    def disturbances(self) -> tuple[str, ...]:
        """What had a part in its figures beside the test, of `DISTURBANCES`; empty where it ran undisturbed."""
        return tuple(kind for kind in DISTURBANCES if any(note.startswith(kind) for note in self.notes))

    @property
    def mark(self) -> str:
        """What stands behind its verdict: `, disturbed`, or nothing."""
        return f", {DISTURBED}" if self.disturbances and self.result is not None else ""

    @property
    def percentile_ns(self) -> int | None:
        """Latency at the percentile of the rules, in ns."""
        if self.latencies is None:
            return None
        return self.latencies.percentiles.get(f"p{self.spec.rules.percentile:g}")

    @property
    def over_by_loadgen(self) -> int:
        """How many queries at least were over the bound as LoadGen saw them, who sees more of each than the SUT."""
        return over_by_loadgen(self.latencies, self.query_count, self.spec.rules.target_latency_ns)

    @property
    def over_count(self) -> int | None:
        """How many queries were over the bound: as the SUT saw them, and no fewer than LoadGen's figures say.

        What is shown beside a percentile: else it could be 0 beside one that is over the bound.
        """
        return None if self.over_latency_count is None else max(self.over_latency_count, self.over_by_loadgen)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, with the schema version."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return {"schema_version": SCHEMA_VERSION, **plain}

    @classmethod
    def from_json(cls, data: Any, origin: str) -> TrialResult:
        """Rebuild a record from `to_json`.

        Args:
            data: Parsed JSON.
            origin: File name for messages.

        Raises:
            RecordError: It is no record, a newer sweep wrote it, or it contradicts itself.
        """
        if not isinstance(data, dict) or not isinstance(data.get("schema_version"), int):
            raise RecordError(f"{origin}: not a trial record")
        if data["schema_version"] > SCHEMA_VERSION:
            raise RecordError(
                f"{origin}: written by a newer sweep (schema {data['schema_version']}, this one reads up to "
                f"{SCHEMA_VERSION}); update sweep to read it"
            )
        plain = dict(data)
        version = plain.pop("schema_version")
        try:
            return read_plain(cls, plain if version >= 2 else {**_SINCE_2, **plain})
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{origin}: damaged trial record: {error}") from error
