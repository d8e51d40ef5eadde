"""What one trial is: pure data, content-hashed, the only thing a worker is told to measure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sweep.models.base import TensorSpec
from sweep.trial.plain import SHARED, read_plain
from sweep.vocabulary import AbortRule, Precision, RunClass, Scenario, TestMode, Weights


@dataclass(frozen=True)
class ModelSpec:
    """Which model: by digest, so that two files with one name are two models.

    Attributes:
        name: The name the user chose.
        weights: Where the weights come from; `none` for a backend that runs no model.
        digest: `sha256:<hex>` of the ONNX file and its external data.
        inputs: The engine's inputs.
        predicts_class: Whether its one output is a class id per sample.
        number_format: What most of its weights are (`fp32`, `fp16`, `int8`, ...), whatever precision was asked for.
        changed: What of sweep's own model was set to something else (`mean=[5]`), which changes its answers.
        calibration: What sweep calibrated an int8 model with: dataset, digest, count, method. None for any other.
    """

    name: str
    weights: Weights
    digest: str
    inputs: tuple[TensorSpec, ...]
    predicts_class: bool
    number_format: str
    changed: tuple[str, ...]
    calibration: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class BackendSpec:
    """Which engine runs it, with every option that can change the result.

    Attributes:
        name: The backend.
        options: All of them.
        kernels: What computes the model, where an older sweep would have taken something else (`Backend.kernels`).
    """

    name: str
    options: Mapping[str, Any]
    kernels: str = ""


@dataclass(frozen=True)
class DatasetSpec:
    """Which samples LoadGen draws from.

    Attributes:
        name: Dataset name, after `auto` was resolved.
        digest: `sha256:<hex>` of the samples, or of the recipe of a synthetic set.
        count: Samples in the set; accuracy mode runs them all.
        performance_sample_count: Samples held in memory in performance mode.
    """

    name: str
    digest: str
    count: int
    performance_sample_count: int


_BOUND = "performance_constraint"
SHIPPED: Mapping[str, tuple[float, frozenset[str]]] = {
    "v0.5": (99.0, frozenset({"min_duration", "min_queries", "no_errors"})),
    "current": (99.0, frozenset({"loadgen_result", "min_duration", "min_queries", "early_stopping", "no_errors"})),
}
"""The percentile and the checks, but for the bound's, of each edition in `conf/rules/`.

In code, so that no file in anybody's folder can say what sweep's own rules are.
"""

CUSTOM_RULES = "custom:"
"""What the names of other rules begin with where they are shown."""


@dataclass(frozen=True)
class RulesSpec:
    """What VALID means.

    Attributes:
        edition: `v0.5`, `current`, or the user's own.
        checks: Names of the checks that must all hold.
        target_latency_ns: The latency bound on a query; None where there is none.
        percentile: Where the bound is read, in percent (99 = p99).

    Raises:
        ValueError: VALID would not mean what it says: errors in the log would be let pass, or the bound.
    """

    edition: str
    checks: tuple[str, ...]
    target_latency_ns: int | None
    percentile: float

    def __post_init__(self) -> None:
        """Refuse rules whose VALID could be a lie."""
        if "no_errors" not in self.checks:
            raise ValueError(f"rules {self.edition}: checks {list(self.checks)} must hold no_errors")
        if (self.target_latency_ns is None) == ("performance_constraint" in self.checks):
            raise ValueError(
                f"rules {self.edition}: a latency bound ({self.target_latency_ns} ns) and the check "
                f"performance_constraint go together, but the checks are {list(self.checks)}"
            )

    @property
    def is_shipped(self) -> bool:
        """Whether they are sweep's own of that name, in every value."""
        bound = () if self.target_latency_ns is None else (_BOUND,)  # one that is asked for is checked in any edition
        percentile, checks = SHIPPED.get(self.edition, (None, frozenset()))
        return (self.percentile, frozenset(self.checks)) == (percentile, checks.union(bound))

    @property
    def label(self) -> str:
        """Their edition for people: `v0.5`; `custom:NAME` for rules that are not sweep's own."""
        return self.edition if self.is_shipped else f"{CUSTOM_RULES}{self.edition}"


@dataclass(frozen=True)
class RunSpec:
    """How long the test runs: until both minima are met, or a maximum is (0 = no such maximum)."""

    run_class: RunClass
    min_query_count: int
    max_query_count: int
    min_duration_ms: int
    max_duration_ms: int


@dataclass(frozen=True)
class TrialSpec:
    """One point of a sweep.

    Attributes:
        samples_per_query: MultiStream's N.
        engine_batch: Samples that one engine launch takes; a query is split into ceil(N / engine_batch) launches,
            or more where the engine takes no such launch (see the record's `engine`).
        seeds: MLPerf round whose random seeds LoadGen draws with; None for those that LoadGen carries.
    """

    scenario: Scenario
    mode: TestMode
    model: ModelSpec = field(metadata={SHARED: True})
    precision: Precision
    backend: BackendSpec = field(metadata={SHARED: True})
    dataset: DatasetSpec = field(metadata={SHARED: True})
    samples_per_query: int
    engine_batch: int
    rules: RulesSpec = field(metadata={SHARED: True})
    run: RunSpec = field(metadata={SHARED: True})
    abort: AbortRule
    seeds: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        plain: dict[str, Any] = json.loads(json.dumps(self._fields(), default=vars))
        return plain

    def _fields(self) -> dict[str, Any]:
        """Return its fields, those inside model and backend too; all that is deeper is left as it is."""
        model, backend = dict(vars(self.model)), dict(vars(self.backend))
        fields = {**vars(self), "model": model, "backend": backend}
        if self.model.calibration is None:  # digests from before there was one stay as they were
            del model["calibration"]
        if not self.backend.kernels:  # likewise
            del backend["kernels"]
        if self.seeds is None:  # likewise
            del fields["seeds"]
        return fields

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrialSpec:
        """Rebuild a spec from `to_json`.

        Raises:
            ValueError: The data is not a spec; the message says where.
        """
        return read_plain(cls, data)

    @property
    def has_custom_rules(self) -> bool:
        """Whether its rules differ in any value from those of sweep's own that have their name.

        Imported trials, whose weights are unknown, have the rules of their round, and are judged by those.
        """
        return self.model.weights is not Weights.UNKNOWN and not self.rules.is_shipped

    @property
    def rules_label(self) -> str:
        """The edition of its rules for people: `v0.5`; `custom:NAME` for rules that are not sweep's own."""
        return self.rules.edition if self.model.weights is Weights.UNKNOWN else self.rules.label

    @property
    def run_class(self) -> RunClass:
        """How long it runs, in the classes of sweep's own rules; `custom` where it has others."""
        return RunClass.CUSTOM if self.has_custom_rules else self.run.run_class

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over everything that can change the result: not rules and lengths, in accuracy mode."""
        data = self._fields()
        if self.mode is TestMode.ACCURACY:  # it runs every sample once, against no bound
            for key in ("rules", "run", "abort", "seeds"):
                data.pop(key, None)
        canonical = json.dumps(data, default=vars, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def slug(self) -> str:
        """A readable folder name; uniqueness is the digest's business, not its."""
        mode = "accuracy-" if self.mode is TestMode.ACCURACY else ""
        return f"{_safe(self.model.name)}-{self.precision}-{_safe(self.backend.name)}-{mode}n{self.samples_per_query}"

    def over_latency_allowed(self, query_count: int) -> int:
        """Return how many of `query_count` queries may exceed the bound.

        LoadGen reads the percentile p of n sorted latencies at index floor(n * p), so n - floor(n * p) - 1
        values lie above it (loadgen/results.cc).
        """
        return max(query_count - percentile_index(query_count, self.rules.percentile) - 1, 0)


def _safe(name: str) -> str:
    """Return a name as a part of a folder's name, which no file system takes of more than 255 bytes."""
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in name)
    return plain.encode()[:80].decode(errors="ignore")


def percentile_index(count: int, percentile: float) -> int:
    """Return the index into sorted latencies at which LoadGen reads a percentile (in percent)."""
    # LoadGen multiplies in double precision too: the same rounding, so the same index.
    return min(int(count * (percentile / 100)), count - 1)
