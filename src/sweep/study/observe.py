"""From the record of a test to what it tells a searcher."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sweep.errors import RecordError
from sweep.search.base import Ask, Latencies, Observation, Shown
from sweep.store.latencies import read_latencies
from sweep.trial.result import TrialResult
from sweep.vocabulary import TrialState, Verdict


def observation(ask: Ask, result: TrialResult, directory: Path) -> Observation:
    """Return what a stored test tells a searcher.

    Args:
        ask: What was asked for.
        result: Its record.
        directory: Where that lies, with the latencies.
    """
    latencies = stored_latencies(directory)
    if result.state is TrialState.FAILED:
        memory = result.failure is not None and result.failure.is_out_of_memory
        shown = Shown.OUT_OF_MEMORY if memory else Shown.FAILED
        # Its queries tell nothing of the tests of this N that do not fail.
        return Observation(ask.samples_per_query, ask.query_count is None, shown, latencies[:0], 0, 0)
    over, target = result.over_latency_count, result.spec.rules.target_latency_ns
    if over is None and latencies.size and target is not None:  # more queries than latencies are kept of
        over = round(float((latencies > target).mean()) * result.query_count)
    if over is None and result.result is Verdict.VALID:  # unknown: as many as VALID allows
        over = result.over_latency_allowed
    return Observation(
        samples_per_query=ask.samples_per_query,
        is_full=ask.query_count is None,
        shown=Shown.VALID if result.result is Verdict.VALID else Shown.INVALID,
        latencies_ns=latencies,
        over_latency_count=max(over or 0, result.over_by_loadgen),
        query_count=result.query_count,
        busy=bool(result.disturbances),
        why=result.why,
    )


def stored_latencies(directory: Path) -> Latencies:
    """Return the latencies of a test; none where the file is gone or damaged, since the record's counts remain."""
    try:
        latencies = read_latencies(directory)
    except RecordError:
        latencies = None
    return np.zeros(0, np.int64) if latencies is None else latencies
