"""Records as a table: one registry of columns, each with its type, its unit in its name, and what it means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweep.paths import SweepPaths, in_words, write_bytes, write_text
from sweep.store.records import StoredTrial
from sweep.trial.result import TrialResult
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import TestMode

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Column:
    """One column of the results table.

    Attributes:
        name: With its unit, where it has one.
        dtype: pandas type; all of them can hold a missing value.
        meaning: For people.
        get: Reads it from a stored trial.
        get_from_spec: Reads it from what was to be measured; None for what only a test gives.
        of_environment: Whether it is the machine's, and so that of every test of a search.
    """

    name: str
    dtype: str
    meaning: str
    get: Callable[[StoredTrial], Any]
    get_from_spec: Callable[[TrialSpec], Any] | None = None
    of_environment: bool = False

    @property
    def unit(self) -> str:
        """What its figures are in; empty for text, for counts and for what is true or false."""
        return next((unit for ending, unit in _UNITS.items() if self.name.endswith(ending)), "")


_UNITS = {
    "samples_per_second": "samples/s",
    "percentile": "%",
    "_percent": "%",
    "_ns": "ns",
    "_mhz": "MHz",
    "_w": "W",
    "_c": "°C",
    "_j": "J",
}
"""How names end, and the unit that says."""


def _asked(name: str, dtype: str, meaning: str, read: Callable[[TrialSpec], Any]) -> Column:
    """Return a column of what was to be measured."""
    return Column(name, dtype, meaning, lambda stored: read(stored.result.spec), read)


def _of(read: Callable[[TrialResult], Any]) -> Callable[[StoredTrial], Any]:
    return lambda stored: read(stored.result)


def _bounded_by(read: Callable[[TrialSpec], Any]) -> Callable[[TrialSpec], Any]:
    """Read a rule of a performance test; accuracy mode has none."""
    return lambda spec: read(spec) if spec.mode is TestMode.PERFORMANCE else None


def _bounded(read: Callable[[TrialResult], Any]) -> Callable[[StoredTrial], Any]:
    """Read what concerns a performance test; accuracy mode has no bound and no length."""
    return _of(lambda result: read(result) if result.spec.mode is TestMode.PERFORMANCE else None)


def _percentile(name: str) -> Callable[[StoredTrial], Any]:
    return _of(lambda r: None if r.latencies is None else r.latencies.percentiles.get(name))


def _latency(name: str) -> Callable[[StoredTrial], Any]:
    return _of(lambda r: None if r.latencies is None else getattr(r.latencies, name))


def samples_per_second(result: TrialResult) -> float | None:
    """Return samples per second over the test, from the mean query latency (queries follow each other at once).

    Of an imported trial, LoadGen's own figure where it has that unit; None where queries came at a fixed rate.
    """
    if (imported := result.imported) is not None and imported.metric_unit != "ns":
        return imported.metric_value if imported.metric_unit == "samples/s" else None
    if result.latencies is None or result.latencies.mean <= 0:
        return None
    return result.spec.samples_per_query * 1e9 / result.latencies.mean


def _disturbed(result: TrialResult) -> bool | None:
    """Return whether a test was disturbed; None where that cannot be told."""
    is_known = result.machine_load is not None and result.machine_load.busy is not None
    return True if result.disturbances else False if is_known else None


def _device(name: str) -> Callable[[StoredTrial], Any]:
    return _of(lambda r: None if r.device_latencies is None else r.device_latencies.percentiles.get(name))


def _gpu(figure: str, part: str = "") -> Callable[[StoredTrial], Any]:
    """Read a figure of the GPU, or a part of one that has several: `min`, `mean`, `max`."""

    def read(result: TrialResult) -> Any:
        value = None if result.telemetry is None else getattr(result.telemetry, figure)
        return value if value is None or not part else getattr(value, part)

    return _of(read)


def _used_gpu(key: str) -> Callable[[StoredTrial], Any]:
    def read(result: TrialResult) -> Any:
        # The environment of an older test on the CPU lists all GPUs there are, without saying which is which.
        gpus = result.environment.get("gpus")
        used = [gpu for gpu in gpus if isinstance(gpu, Mapping) and "uuid" in gpu] if isinstance(gpus, list) else []
        return _text(used[0].get(key)) if used else None

    return _of(read)


def _where(name: str, meaning: str, get: Callable[[StoredTrial], Any]) -> Column:
    """Return a column of the machine and its software."""
    return Column(name, "string", meaning, get, of_environment=True)


def _environment(key: str) -> Callable[[StoredTrial], Any]:
    return _of(lambda r: _text(r.environment.get(key)))


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _options(spec: TrialSpec) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(spec.backend.options.items()))


def _lasted(name: str) -> Callable[[StoredTrial], Any]:
    """Read a part of the timing; of an imported trial it may not be known."""
    return _of(lambda r: getattr(r.timing, name) or (None if r.imported else 0))


def _counts_queries(result: TrialResult) -> bool:
    """Return whether a count of queries is one: an imported trial may lack it."""
    return result.imported is None or result.query_count > 0


COLUMNS: tuple[Column, ...] = (
    _asked("model", "string", "model name", lambda spec: spec.model.name),
    _asked("weights", "string", "where the weights come from", lambda spec: str(spec.model.weights)),
    _asked("precision", "string", "number format", lambda spec: str(spec.precision)),
    _asked("number_format", "string", "what the model file is in", lambda spec: spec.model.number_format or None),
    _asked("backend", "string", "engine", lambda spec: spec.backend.name),
    _asked("backend_options", "string", "its options, key=value", _options),
    _asked("scenario", "string", "LoadGen scenario", lambda spec: str(spec.scenario)),
    _asked("mode", "string", "LoadGen test mode", lambda spec: str(spec.mode)),
    Column("samples_per_query", "Int64", "MultiStream's N", _of(lambda r: r.spec.samples_per_query)),
    Column("engine_batch", "Int64", "samples per engine launch", _of(lambda r: r.spec.engine_batch)),
    _asked("dataset", "string", "samples", lambda spec: spec.dataset.name),
    _asked(
        "rules",
        "string",
        "edition of the rules; custom:NAME for other ones",
        _bounded_by(lambda spec: spec.rules_label),
    ),
    _asked("run_class", "string", "length of the test", _bounded_by(lambda spec: str(spec.run_class))),
    _asked("target_latency_ns", "Int64", "bound on a query", _bounded_by(lambda spec: spec.rules.target_latency_ns)),
    _asked("percentile", "Float64", "where the bound is read, %", _bounded_by(lambda spec: spec.rules.percentile)),
    _asked("seeds", "string", "round of the random seeds; nothing for LoadGen's own", _bounded_by(lambda s: s.seeds)),
    Column("state", "string", "COMPLETE or FAILED", _of(lambda r: str(r.state))),
    Column("attempt", "Int64", "1, or more where it was measured again", _of(lambda r: r.attempt)),
    Column("result", "string", "VALID or INVALID", _of(lambda r: None if r.result is None else str(r.result))),
    Column("loadgen_result", "string", "LoadGen's own Result is", _of(lambda r: r.loadgen_result)),
    Column("why", "string", "why it is not VALID", _of(lambda r: r.why or None)),
    Column(
        "failure", "string", "how it FAILED: crash, timeout, ...", _of(lambda r: r.failure.kind if r.failure else None)
    ),
    Column("latency_source", "string", "who measured the latencies", _latency("source")),
    Column("latency_min_ns", "Int64", "fastest query", _latency("min")),
    Column("latency_mean_ns", "Int64", "mean query", _latency("mean")),
    Column("latency_p50_ns", "Int64", "median query", _percentile("p50")),
    Column("latency_p90_ns", "Int64", "90th percentile", _percentile("p90")),
    Column("latency_p99_ns", "Int64", "99th percentile", _percentile("p99")),
    Column("latency_max_ns", "Int64", "slowest query", _latency("max")),
    Column("latency_at_percentile_ns", "Int64", "what the bound is compared with", _bounded(lambda r: r.percentile_ns)),
    Column("device_latency_p50_ns", "Int64", "median of the device's part of a query", _device("p50")),
    Column("device_latency_p99_ns", "Int64", "its 99th percentile", _device("p99")),
    Column("early_stopping_estimate_ns", "Int64", "LoadGen's estimate", _of(lambda r: r.early_stopping_estimate_ns)),
    Column("samples_per_second", "Float64", "N / mean query latency", _of(samples_per_second)),
    Column("query_count", "Int64", "queries finished", _of(lambda r: r.query_count if _counts_queries(r) else None)),
    Column("planned_query_count", "Int64", "queries of the whole test, at least", _of(lambda r: r.planned_query_count)),
    Column("over_latency_count", "Int64", "queries over the bound", _of(lambda r: r.over_count)),
    Column("over_latency_allowed", "Int64", "how many may be", _of(lambda r: r.over_latency_allowed)),
    Column(
        "aborted", "string", "rule that stopped it early", _of(lambda r: str(r.aborted.rule) if r.aborted else None)
    ),
    Column("accuracy_percent", "Float64", "top-1, or mAP", _of(lambda r: r.accuracy.accuracy if r.accuracy else None)),
    Column("accuracy_good", "Int64", "right answers", _of(lambda r: r.accuracy.good if r.accuracy else None)),
    Column("accuracy_total", "Int64", "answers", _of(lambda r: r.accuracy.total if r.accuracy else None)),
    _asked(
        "model_changed",
        "string",
        "what of it is not as it ships",
        lambda spec: ", ".join(spec.model.changed) or None,
    ),
    Column("disturbed", "boolean", "others or its own GPU had a part in its figures", _of(_disturbed)),
    Column(
        "busy", "boolean", "others loaded the machine", _of(lambda r: r.machine_load.busy if r.machine_load else None)
    ),
    Column("sm_clock_mhz", "Float64", "mean clock of the GPU", _gpu("sm_clock_mhz", "mean")),
    Column("power_w", "Float64", "mean power of the GPU", _gpu("power_w", "mean")),
    Column("temperature_c", "Float64", "of the GPU, at most", _gpu("temperature_c", "max")),
    Column("throttled", "boolean", "heat or power held the GPU's clock down", _gpu("throttled")),
    Column("energy_j", "Float64", "what the GPU drew during the test", _gpu("energy_j")),
    Column("energy_per_sample_j", "Float64", "the same for each sample", _gpu("energy_per_sample_j")),
    Column("test_ns", "Int64", "time inside LoadGen", _lasted("test_ns")),
    Column("total_ns", "Int64", "time of the whole trial", _lasted("total_ns")),
    Column("started_at", "string", "UTC", _of(lambda r: r.timing.started_at)),
    Column(
        "imported", "string", "tool that measured it, if not sweep", _of(lambda r: r.imported and r.imported.source)
    ),
    Column("notes", "string", "what to know before using the numbers", _of(lambda r: "; ".join(r.notes) or None)),
    Column("spec_digest", "string", "what was measured", _of(lambda r: r.spec_digest)),
    _where("environment_digest", "where it was measured", _of(lambda r: r.environment_digest)),
    _where("cpu", "processor", _environment("cpu")),
    _where("gpu", "what it ran on; nothing for the CPU", _used_gpu("name")),
    _where("gpu_uuid", "which one that was", _used_gpu("uuid")),
    _asked("model_digest", "string", "the model's file, by content", lambda spec: spec.model.digest),
    _where("host", "name of the machine", _environment("hostname")),
    _where("commit", "of the checkout that measured it, by git", _environment("git")),
    _where("sweep_version", "of sweep", _environment("sweep")),
    Column("model_path", "string", "where it lay", _of(lambda r: r.model_path)),
    Column("directory", "string", "the record and LoadGen's logs", lambda stored: str(stored.directory)),
)


def to_frame(trials: Iterable[StoredTrial]) -> pd.DataFrame:
    """Return trials as a DataFrame: a row per trial, the columns of `COLUMNS` with their types."""
    import pandas as pd

    stored = list(trials)
    specs = [trial.result.spec for trial in stored]
    columns = {}
    for column in COLUMNS:
        if column.get_from_spec is not None:
            values = list(map(column.get_from_spec, specs))
        else:
            values = list(map(column.get, stored))
        if column.dtype == "string":
            values = list(map(_in_utf8, values))
        dtype: Any = column.dtype
        columns[column.name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(columns)


def to_rows(trials: Iterable[StoredTrial]) -> Iterator[dict[str, Any]]:
    """Yield trials as plain rows, a value per column of `COLUMNS`; None for a missing one."""
    for trial in trials:
        yield {column.name: _in_utf8(column.get(trial)) for column in COLUMNS}


def _in_utf8(value: Any) -> Any:
    return in_words(value) if isinstance(value, str) and not value.isascii() else value


def write_tables(trials: Sequence[StoredTrial], paths: SweepPaths) -> None:
    """Write results.csv and results.parquet, each whole or not at all."""
    frame = to_frame(trials)
    write_text(paths.csv, frame.to_csv(index=False))
    write_bytes(paths.parquet, frame.to_parquet(index=False))
