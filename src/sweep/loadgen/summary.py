"""What a LoadGen summary says, in one type for every generation of LoadGen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sweep.loadgen.logtext import Scalar
from sweep.vocabulary import Scenario, TestMode


@dataclass(frozen=True)
class Metric:
    """A figure that LoadGen reports.

    Attributes:
        name: As LoadGen prints it, without the unit: `Samples per query`, `99th percentile latency`.
        value: In `unit`; latencies are int.
        unit: `ns`, `samples`, `samples/s`, `tokens/s`, `queries/s` or `groups/s`; empty where the name implies none.
    """

    name: str
    value: int | float
    unit: str


@dataclass(frozen=True)
class LatencyStats:
    """A distribution of latencies in ns; all empty where LoadGen printed none.

    Attributes:
        min_ns: The smallest; None up to v1.0 for the queries of MultiStream.
        max_ns: The largest.
        mean_ns: The mean, rounded down by LoadGen.
        percentiles_ns: `p50`, `p90`, `p95`, `p97`, `p99`, `p99.9`.
    """

    min_ns: int | None = None
    max_ns: int | None = None
    mean_ns: int | None = None
    percentiles_ns: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class EarlyStopping:
    """LoadGen's early-stopping paragraph (v2.0 and later).

    Attributes:
        estimates_ns: Its estimate per percentile (`p99`): higher than the raw percentile, to be sure of it.
        required_queries: How many queries the first estimate takes.
        processed_queries: How many the test ran.
        discarded_queries: How many of the slowest the estimate leaves out.
        missing: Percentiles without an estimate, with the queries each would take.
        lacking_queries: How many more a failed Server run would need, at least.
        text: The paragraph, verbatim.
    """

    estimates_ns: Mapping[str, int] = field(default_factory=dict)
    required_queries: int | None = None
    processed_queries: int | None = None
    discarded_queries: int | None = None
    missing: Mapping[str, int] = field(default_factory=dict)
    lacking_queries: int | None = None
    text: str = ""


@dataclass(frozen=True)
class Summary:
    """One `mlperf_log_summary.txt`.

    In accuracy mode LoadGen counts its warnings and errors and says nothing else: all but `mode`, `warning_count` and
    `error_count` is then empty. The same two lines are what a test leaves that LoadGen gave up before it had results:
    FindPeakPerformance of a scenario that it does not support, or a performance test that an error ended. Nothing in
    the file tells these apart, so that with errors `mode` is only what the form of the log says.

    Attributes:
        sut_name: The system under test, as it calls itself; may be empty.
        scenario: None in accuracy mode, and for a scenario that is not one of the four.
        scenario_text: The scenario as printed.
        multi_stream_free: Whether MultiStream ran without a fixed interval (`MultiStreamFree`, up to v1.0).
        mode: None for SubmissionRun and FindPeakPerformance; of a log of counts alone `ACCURACY`, see above.
        mode_text: The mode as printed.
        loadgen_result: `VALID`, `INVALID`, or None in accuracy mode.
        performance_constraints: Whether the latency bound was met; None where LoadGen has none.
        min_duration: Whether the test was long enough.
        min_queries: Whether it had enough queries; None where LoadGen skipped the check.
        early_stopping: Whether there were enough queries for the percentile; None before v2.0.
        samples_per_query: N; in Offline the samples of the one query, None where LoadGen warns that it was another
            (`sample_concatenate_permutation`): `Detail.generated_samples_per_query` then has it.
        metric: The scenario's own figure, the one LoadGen prints above its result; None if it cannot be read.
        other_metrics: The other rates and latencies outside the distributions, in order.
        query_latency: Of whole queries, where LoadGen tells them apart from samples: MultiStream.
        sample_latency: Of samples; empty for MultiStream since v2.0.
        first_token_latency: Time to first token.
        time_per_output_token: Time per output token after the first.
        interval_percentiles: MultiStream up to v1.0: how many intervals a query took.
        target_latency_ns: The latency bound; None where there is none.
        early_stopping_results: By what was estimated: `latency`, or `TTFT` and `TPOT`.
        recommendations: LoadGen's advice after INVALID, one line each.
        settings: `Test Parameters Used`, keys as printed, such as `target_latency (ns)`.
        warning_count: How many warnings the detail log holds; None where LoadGen did not count.
        error_count: Likewise for errors.
        complete: Whether the end of the log was seen. False only for logs of early v0.5 LoadGens, which ended without
            counting errors, so that nothing tells a whole log from one cut off before its last lines.
        fields: Every `key: value` line, both as text; of a repeated key, the last.
        unknown_lines: Lines that no known LoadGen prints.
    """

    sut_name: str | None = None
    scenario: Scenario | None = None
    scenario_text: str = ""
    multi_stream_free: bool = False
    mode: TestMode | None = None
    mode_text: str = ""
    loadgen_result: str | None = None
    performance_constraints: bool | None = None
    min_duration: bool | None = None
    min_queries: bool | None = None
    early_stopping: bool | None = None
    samples_per_query: int | None = None
    metric: Metric | None = None
    other_metrics: tuple[Metric, ...] = ()
    query_latency: LatencyStats = LatencyStats()
    sample_latency: LatencyStats = LatencyStats()
    first_token_latency: LatencyStats = LatencyStats()
    time_per_output_token: LatencyStats = LatencyStats()
    interval_percentiles: Mapping[str, int] = field(default_factory=dict)
    target_latency_ns: int | None = None
    early_stopping_results: Mapping[str, EarlyStopping] = field(default_factory=dict)
    recommendations: tuple[str, ...] = ()
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    warning_count: int | None = None
    error_count: int | None = None
    complete: bool = True
    fields: Mapping[str, str] = field(default_factory=dict)
    unknown_lines: tuple[str, ...] = ()

    @property
    def latency(self) -> LatencyStats:
        """Of queries: LoadGen tells it apart from that of samples where a query has several."""
        return self.query_latency if self.query_latency.percentiles_ns else self.sample_latency

    @property
    def early_stopping_estimate_ns(self) -> int | None:
        """The early-stopping estimate of the scenario's own percentile; None without one."""
        found = self.early_stopping_results.get("latency", EarlyStopping())
        return next(iter(found.estimates_ns.values()), None)

    @property
    def processed_queries(self) -> int | None:
        """How many queries the test ran, where the early-stopping paragraph says so."""
        return self.early_stopping_results.get("latency", EarlyStopping()).processed_queries
