"""What a report reads beside the records: latency distributions, and what GPUs reported over time."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import numpy as np

from sweep.paths import AttemptPaths, read_bytes
from sweep.report.search_points import Kind
from sweep.report.sections import Curve, Test, Trace
from sweep.study.observe import stored_latencies
from sweep.trial.spec import percentile_index

CURVES = 8
"""Latency distributions that are shown of a series, at most."""

TRACES = 3
"""Tests of which the GPU's readings over time are shown, at most."""

_POINTS = 120
"""Quantiles of a distribution, at most."""

_READINGS = 300
"""Of a GPU over the time of a test, at most."""

_FEW = 20
"""Queries that are too few for a distribution, where others have more."""


def nearest(tests: Sequence[Test], count: int, first: Sequence[int | None] = ()) -> list[Test]:
    """Return the tests that say most about where the edge lies: of some N, then those nearest the bound.

    Without a bound they are spread over all N.

    Args:
        tests: By N.
        count: How many, at most.
        first: N whose tests go before all others.
    """
    if len(tests) <= count:
        return list(tests)
    target_ns = tests[0].stored.result.spec.rules.target_latency_ns
    if target_ns is None:
        step = (len(tests) - 1) / max(count - 1, 1)
        chosen = {round(number * step) for number in range(count)}
    else:
        order = sorted(range(len(tests)), key=lambda i: (tests[i].n not in first, _distance(tests[i], target_ns)))
        chosen = set(order[:count])
    return [test for number, test in enumerate(tests) if number in chosen]


def curves_of(tests: Sequence[Test], first: Sequence[int | None]) -> tuple[Curve, ...]:
    """Return the latency distributions of the tests nearest the bound, the last of each N, those of many queries first.

    Args:
        tests: Of one series, by N.
        first: N whose tests go before all others.
    """
    last = _last_of_each(tests, _FEW, first[0]) or _last_of_each(tests, 2, first[0])
    curves = []
    for test in nearest([last[n] for n in sorted(last)], CURVES, first):
        ordered = np.sort(stored_latencies(test.stored.directory))
        if ordered.size:
            shares = _shares(ordered.size, test.stored.result.spec.rules.percentile)
            at = [int(ordered[percentile_index(ordered.size, 100 * share)]) for share in shares]
            curves.append(Curve(test, tuple(shares), tuple(at)))
    return tuple(curves)


def traces_of(tests: Sequence[Test], first: Sequence[int | None]) -> tuple[Trace, ...]:
    """Return what the GPU reported during the tests nearest the bound; none where nothing was kept."""
    there = {test.n: test for test in tests if AttemptPaths(test.stored.directory).telemetry.is_file()}
    chosen = nearest([there[n] for n in sorted(there)], TRACES, first)
    return tuple(trace for test in chosen if (trace := _trace(test)) is not None)


def _distance(test: Test, target_ns: int) -> float:
    latency = test.point.percentile_ns
    return math.inf if not latency else abs(math.log(latency / target_ns))


def _last_of_each(tests: Sequence[Test], least: int, answer: int | None) -> dict[int, Test]:
    """Return the last test of each N that has so many queries; of the answer, one that was VALID."""
    enough = [test for test in tests if test.kind is not Kind.FAILED and test.stored.result.query_count >= least]
    return {test.n: test for test in enough} | {
        test.n: test for test in enough if test.n == answer and test.kind is Kind.VALID
    }


def _shares(count: int, percentile: float) -> list[float]:
    """Return shares of the queries, closer together towards the slowest, where a p99 is decided."""
    nines = math.log10(count)  # the slowest query is the last 1 / count of them
    even = [1 - 10 ** (-nines * number / _POINTS) for number in range(_POINTS)]
    slowest = (count - 0.5) / count
    exact = [*(number / 20 for number in range(20)), percentile / 100, slowest]
    # Of two shares that one query stands for, the round one stays.
    of_index = {percentile_index(count, 100 * share): share for share in (*even, *exact) if share <= slowest}
    return sorted(of_index.values())


def _trace(test: Test) -> Trace | None:
    """Read the series of a test; None where it is damaged or too short for a line."""
    try:
        text = read_bytes(AttemptPaths(test.stored.directory).telemetry).decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        every = max(1, math.ceil(len(rows) / _READINGS))
        kept = rows[::every]
        names = [name for name in (kept[0] if kept else {}) if name not in (None, "throttle_reasons")]
        columns = {name: tuple(_number(row[name]) for row in kept) for name in names}
    except (OSError, ValueError, KeyError, csv.Error):
        return None
    times = columns.get("time_s", ())
    return Trace(test, columns, every) if len(times) > 1 and None not in times else None


def _number(text: str | None) -> float | None:
    number = float(text) if text else None
    return number if number is None or math.isfinite(number) else None
