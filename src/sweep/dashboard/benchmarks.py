"""Benchmarks of all rounds: which names mean the same, and what bounds a query of MultiStream."""

from __future__ import annotations

from sweep.vocabulary import Scenario

_SAME = {"resnet50": "resnet", "resnet50-v1.5": "resnet", "ssd-mobilenet": "ssd-small", "ssd-resnet34": "ssd-large"}
"""What results of v0.7 and v1.0 are called, and what those of v0.5 and later are."""

_BOUNDS_MS = {"resnet": 50, "mobilenet": 50, "ssd-small": 50, "ssd-large": 66, "gnmt": 100}
"""MLPerf Inference rules of v0.5 to v1.0, section on scenarios; gnmt was a benchmark of v0.5 alone."""


def compared_as(benchmark: str) -> str:
    """Return the name under which results of a benchmark are compared; an unknown one stays what it is."""
    return _SAME.get(benchmark.casefold(), benchmark)


def bound_ns(benchmark: str, scenario: str, metric: str) -> int | None:
    """Return the bound on a query's p99 latency, in ns, where the result is how many samples a query may have.

    Args:
        benchmark: By any of its names.
        scenario: LoadGen's name of it.
        metric: What the result is. Since v2.0 MultiStream's is a latency, which nothing bounds.
    """
    if scenario != Scenario.MULTI_STREAM or metric != "samples_per_query":
        return None
    bound_ms = _BOUNDS_MS.get(compared_as(benchmark))
    return None if bound_ms is None else bound_ms * 1_000_000
