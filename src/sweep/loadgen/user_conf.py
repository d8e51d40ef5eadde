"""The user.conf of a test: what LoadGen reads its settings from, kept beside the logs it produced."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.loadgen.seeds import ROUND_SEEDS


@dataclass(frozen=True)
class LoadGenSettings:
    """What a test sets over LoadGen's built-in mlperf.conf.

    Attributes:
        model: Model name for LoadGen's configuration keys; letters, digits, `-` and `_`.
        samples_per_query: MultiStream's N.
        expected_latency_ns: Below a measured query latency: LoadGen generates min_duration / expected latency
            queries beforehand and ends the test when it runs out of them.
        percentile: Where the metric is read, in percent.
        min_query_count: The test has at least so many queries.
        max_query_count: And at most so many; 0 = no maximum.
        min_duration_ms: The test lasts at least so long.
        max_duration_ms: And at most so long; 0 = no maximum.
        performance_sample_count: Samples held in memory.
        seeds: MLPerf round whose random seeds are used, of `ROUND_SEEDS`; None for those of mlperf.conf.
    """

    model: str
    samples_per_query: int
    expected_latency_ns: int
    percentile: float
    min_query_count: int
    max_query_count: int
    min_duration_ms: int
    max_duration_ms: int
    performance_sample_count: int
    seeds: str | None = None


def render_user_conf(settings: LoadGenSettings) -> str:
    """Return the text of user.conf; LoadGen's keys, its units (ms for durations and latencies).

    LoadGen reads no seeds from a user.conf: another round's are set through its interface, and a comment says so.
    """
    prefix = f"{settings.model}.MultiStream."
    values = {
        "samples_per_query": settings.samples_per_query,
        "target_latency": f"{settings.expected_latency_ns / 1e6:.6f}",
        "target_latency_percentile": f"{settings.percentile:g}",
        "min_query_count": settings.min_query_count,
        "max_query_count": settings.max_query_count,
        "min_duration": settings.min_duration_ms,
        "max_duration": settings.max_duration_ms,
        "performance_sample_count_override": settings.performance_sample_count,
    }
    lines = [f"{prefix}{key} = {value}\n" for key, value in values.items()]
    if settings.seeds is not None:
        lines.append(f"# Seeds of MLPerf Inference {settings.seeds}, set through LoadGen's interface:\n")
        lines += [f"# {key} = {value}\n" for key, value in ROUND_SEEDS[settings.seeds].by_setting().items()]
    return "".join(lines)
