"""The words of a search: what is to be found, what is asked for, what was seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Latencies = npt.NDArray[np.int64]


ROUND_VALUES = (8, 16, 32)
"""Accelerators favour multiples of these: the first INVALID need not be the last VALID."""


@dataclass(frozen=True)
class Domain:
    """The samples per query that a search may ask for: `low`, `low + step`, ... up to `high`.

    Attributes:
        low: The smallest, 1 or more.
        high: The largest; reached by whole steps from `low`.
        step: 1, or the batch at which a model file is frozen.

    Raises:
        ValueError: It is empty or does not fit together.
    """

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        """Refuse a domain that holds nothing."""
        if self.low < 1 or self.step < 1 or self.high < self.low or (self.high - self.low) % self.step:
            raise ValueError(f"no domain: low={self.low}, high={self.high}, step={self.step}")

    def __contains__(self, n: object) -> bool:
        return isinstance(n, int) and self.low <= n <= self.high and (n - self.low) % self.step == 0

    def __len__(self) -> int:
        return (self.high - self.low) // self.step + 1

    def floor(self, value: float) -> int:
        """Return the largest member that is `value` at most; `low` where there is none."""
        return min(max(self.low, self.low + int((value - self.low) // self.step) * self.step), self.high)


@dataclass(frozen=True)
class Question:
    """What is to be found: the largest N whose percentile latency is within the bound.

    Attributes:
        domain: Where N may lie.
        target_latency_ns: The bound on a query's latency.
        percentile: Where it is read, in percent (99 = p99).
        full_query_count: Queries of a test of the asked run class, at least.
        confidence: Wanted of the answer, from 0.5 to 1: the chance, at least, that what is called VALID is.
    """

    domain: Domain
    target_latency_ns: int
    percentile: float
    full_query_count: int
    confidence: float

    @property
    def allowed_rate(self) -> float:
        """Share of queries that may be over the bound: 0.01 for p99."""
        return (100 - self.percentile) / 100

    def over_latency_allowed(self, query_count: int) -> int:
        """Return how many of so many queries may be over the bound; as `TrialSpec.over_latency_allowed`."""
        index = min(int(query_count * (self.percentile / 100)), query_count - 1)
        return max(query_count - index - 1, 0)


@dataclass(frozen=True)
class Ask:
    """The test that a searcher wants next.

    Attributes:
        samples_per_query: N.
        query_count: Queries of a short test, which can prove nothing VALID; None for one of the asked run class.
        why: What it is for, in a few words for people.
    """

    samples_per_query: int
    query_count: int | None
    why: str


class Shown(StrEnum):
    """What one test showed."""

    VALID = "VALID"
    INVALID = "INVALID"
    OUT_OF_MEMORY = "out of memory"
    FAILED = "FAILED"
    REFUSED = "could not be set up here"


@dataclass(frozen=True)
class Observation:
    """What one test showed, in numbers.

    Attributes:
        samples_per_query: N.
        is_full: Whether it was planned at the asked run class; a short test's VALID is no verdict on N.
        shown: Its verdict, or how it failed.
        latencies_ns: Query latencies in order, int64 [queries]; empty where none are known.
        over_latency_count: Of its queries, how many were over the bound.
        query_count: Queries finished.
        busy: Whether other processes kept the machine busy meanwhile, or its GPU was throttled or shared.
        why: The reason of an INVALID.
    """

    samples_per_query: int
    is_full: bool
    shown: Shown
    latencies_ns: Latencies = field(repr=False, compare=False)
    over_latency_count: int
    query_count: int
    busy: bool = False
    why: str = ""
