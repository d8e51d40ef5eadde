"""A point of the dashboard: one result, official or one's own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sweep.vocabulary import RunClass

INTERACTIVE = "Interactive"
"""The scenario of language models that LoadGen runs as Server, with other bounds (since v5.0)."""


class Source(StrEnum):
    """Where a point comes from."""

    OFFICIAL = "official"
    """Published by MLCommons; ships with sweep."""
    OWN = "own"
    """Measured by sweep."""
    IMPORTED = "imported"
    """Imported into an output folder from another tool."""
    TREE = "tree"
    """Read from a submission tree."""


@dataclass(frozen=True)
class DashboardPoint:
    """One result.

    Attributes:
        source: Where it comes from.
        round: `v0.7`; `v0.5 rules` or `current rules` of a test that belongs to no round.
        division: `closed` or `open`; empty for one's own tests.
        submitter: Who; empty for one's own tests.
        system_id: Short name of the system.
        system: Its full name.
        status: `available`, `preview`, `rdi`; empty where it is not known.
        accelerator: Model of the accelerator; empty for a processor alone.
        accelerators: Of them per system; 0 for a processor alone.
        processor: Model of the host's processor.
        processors: Of them per system; 0 where it is not known.
        software: Framework and version.
        benchmark: `resnet`, `mobilenet`, `ssd-small`, ...; of one's own tests the model's name.
        scenario: LoadGen's name of it, or `Interactive`.
        metric: What `value` is: `samples_per_query`, `samples_per_second`, `scheduled_samples_per_second`,
            `p90_latency_ns`, `p99_latency_ns`.
        value: The result, in the unit of its metric.
        verdict: `VALID` or `INVALID`.
        samples_per_query: MultiStream's N; None for other scenarios.
        p99_ns: p99 latency of a query; None where it is not known.
        bound_ns: The bound on it; None where there is none, or it is not known.
        accuracy_percent: Top-1, mAP or BLEU; None where it is not known.
        precision: Number format; empty where it is not known.
        run_class: Of a test of sweep's: `screening`, `official`, ...; empty where the round says how long tests are.
        doubt: In a word or two, why its figure is none of the benchmark's model: `simulated`, `synthetic weights`.
        inferred_from: Scenario of the test that the value was computed from, where that is not its own; else empty.
        apart: What tells its system from others of that name on the same page; empty where there are none.
        link: Where more is to be read: a folder of records, or a file of a tree; empty for official ones in none.
        notes: What to know before using the number.
    """

    source: Source
    round: str
    division: str
    submitter: str
    system_id: str
    system: str
    status: str
    accelerator: str
    accelerators: int
    processor: str
    processors: int
    software: str
    benchmark: str
    scenario: str
    metric: str
    value: float
    verdict: str
    samples_per_query: int | None = None
    p99_ns: int | None = None
    bound_ns: int | None = None
    accuracy_percent: float | None = None
    precision: str = ""
    run_class: str = ""
    doubt: str = ""
    inferred_from: str = ""
    apart: str = ""
    link: str = ""
    notes: str = ""

    @property
    def per_accelerator(self) -> float | None:
        """The result for one accelerator; None where there is none, or the metric is a latency."""
        if self.accelerators < 1 or self.metric.endswith("_ns"):
            return None
        return self.value / self.accelerators

    @property
    def is_mine(self) -> bool:
        """Whether it lies in an output folder: measured by sweep, or imported."""
        return self.source in (Source.OWN, Source.IMPORTED)

    @property
    def is_full(self) -> bool:
        """Whether its test is as long as rules ask, of a real model: no other is ever to look like an official one."""
        return self.run_class in ("", RunClass.OFFICIAL) and not self.doubt

    @property
    def margin_percent(self) -> float | None:
        """How far p99 stays below the bound, in percent of it; negative above it; None where one is not known."""
        if self.p99_ns is None or not self.bound_ns:
            return None
        return 100 * (self.bound_ns - self.p99_ns) / self.bound_ns
