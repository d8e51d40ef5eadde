"""What a search has shown, and how surely: the answer, its evidence on both sides, and what stays undecided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """What kind of answer a certificate gives."""

    EXACT = "exact"
    """N is VALID, and the next larger one INVALID."""
    INTERVAL = "interval"
    """N is VALID, some larger one INVALID; what lies between is too close to the bound to be told apart."""
    UNCONFIRMED = "unconfirmed"
    """N was VALID, but not surely: the search ended, by its budget or by its nature, before that was confirmed."""
    NONE_VALID = "none valid"
    """Not even the smallest N is VALID."""
    ALL_VALID = "all valid"
    """The largest N that the search may ask for is VALID: the answer lies above it."""
    UNKNOWN = "unknown"
    """Nothing was shown: tests failed, or the budget ended first."""


@dataclass(frozen=True)
class Evidence:
    """What all tests of one N have shown together.

    Attributes:
        samples_per_query: N.
        full_tests: Tests planned at the asked run class.
        short_tests: Shorter ones.
        valid_tests: Full tests that were VALID.
        invalid_tests: Full tests that were INVALID.
        failure: How a test of it failed, if one did.
        query_count: Queries of all its tests.
        over_latency_count: Of them, over the bound.
        percentile_ns: Their pooled latency at the percentile; None when no query finished.
        p_valid: Probability that at most the allowed share of queries is over the bound, from these counts alone.
        role: Its place in the certificate: `answer`, `next` (the one above the answer), `first invalid`, `round` (a
            multiple of 8, 16 or 32 above the edge), or empty.
    """

    samples_per_query: int
    full_tests: int
    short_tests: int
    valid_tests: int
    invalid_tests: int
    failure: str
    query_count: int
    over_latency_count: int
    percentile_ns: int | None
    p_valid: float
    role: str


@dataclass(frozen=True)
class Certificate:
    """The outcome of a search.

    Attributes:
        status: What kind of answer it is.
        max_streams: The largest N shown VALID at the asked run class; None when there is none.
        confidence: Probability that `max_streams` is truly VALID, by its evidence; None when there is none.
        first_invalid: The smallest N above it that was shown INVALID; None when none was.
        undecided: What lies between, as its first and last N; None when nothing does.
        is_complete: False when a budget or an interruption ended the search before it was done.
        why: The reason for the answer in one line: what bounds it from above, or why there is none.
        evidence: Per N that was tested, ascending.
        tests: Tests altogether.
        query_count: Queries altogether.
    """

    status: Status
    max_streams: int | None
    confidence: float | None
    first_invalid: int | None
    undecided: tuple[int, int] | None
    is_complete: bool
    why: str
    evidence: tuple[Evidence, ...]
    tests: int
    query_count: int
