"""From a measurement to a record: LoadGen's logs are parsed and judged, and what was seen is written down."""

from __future__ import annotations

import datetime as dt
import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sweep.backends.registry import backend_class
from sweep.datasets import open_dataset
from sweep.environment import environment_on, fingerprint_digest
from sweep.errors import LogError, SweepError
from sweep.loadgen.accuracy import Accuracy, score_top1
from sweep.loadgen.logs import Summary, parse_detail, parse_summary
from sweep.loadgen.seeds import ROUND_SEEDS
from sweep.paths import SUMMARY_LOG, AttemptPaths, write_bytes, write_text
from sweep.trial.executor import Executor, planned_query_count
from sweep.trial.interrupts import InterruptGate
from sweep.trial.machine_load import BUSY
from sweep.trial.measurement import Measurement, Progress
from sweep.trial.messages import RunRequest
from sweep.trial.result import Failure, Latencies, Timing, TrialResult, over_by_loadgen
from sweep.trial.spec import percentile_index
from sweep.trial.telemetry import series_csv
from sweep.trial.verdict import JUDGE_VERSION, Judgement, judge, judge_aborted
from sweep.vocabulary import TestMode, TrialState, Weights

_PERCENTILES = (50.0, 90.0, 95.0, 97.0, 99.0, 99.9)
_SEEDS = ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed")
_RERUNS = 2
_ERRORS_SHOWN, _ERROR_CHARACTERS = 2, 200


def run_trial(
    executor: Executor,
    request: RunRequest,
    attempt: int,
    on_progress: Callable[[Progress], None] | None = None,
    gate: InterruptGate | None = None,
) -> TrialResult:
    """Measure and judge one trial.

    Args:
        executor: Runs it.
        request: What to run; its directory exists and is this attempt's own.
        attempt: Number of the attempt, for the record.
        on_progress: Called about four times a second.
        gate: Open while a test runs, closed once it has ended.

    Returns:
        The record; not yet stored. The query latencies lie beside the logs in `latencies_ns.npy`, int64 [queries], and
        what the GPU reported in `telemetry.csv`.
    """
    begin = time.perf_counter_ns()
    started_at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    paths = AttemptPaths(Path(request.directory))
    measurement = executor.measure(request, on_progress, gate)
    if measurement.worker_was_warm and measurement.failure is not None and measurement.failure.is_out_of_memory:
        # Whatever earlier tests had left in the worker went with it: a new one may have room.
        executor.drop_worker()
        measurement = executor.measure(request, on_progress, gate)
    for _ in range(_RERUNS):
        if not _ran_out_of_queries(request, measurement):
            break
        # The test went faster than its warm-up, so LoadGen had prepared too few queries to fill the duration.
        for log in paths.loadgen_logs:
            log.unlink(missing_ok=True)
        request = replace(request, expected_latency_max_ns=int(0.5 * measurement.latencies_ns.mean()))
        measurement = executor.measure(request, on_progress, gate)
    if _ran_out_of_queries(request, measurement):
        message = f"LoadGen ran out of prepared queries {_RERUNS + 1} times: latency fell far below that of the warm-up"
        measurement.failure = Failure("error", message, "")
    try:
        _write_figures(paths, measurement)
    except OSError as error:
        measurement.failure = Failure("error", f"{paths.latencies.name} cannot be written: {error.strerror}", "")
    return _Record(request, measurement, attempt, started_at, begin).conclude()


def _write_figures(paths: AttemptPaths, measurement: Measurement) -> None:
    if measurement.latencies_ns.size:
        write_bytes(paths.latencies, _npy(measurement.latencies_ns))
        if measurement.device_ns.any():
            write_bytes(paths.device_times, _npy(measurement.device_ns))
    if measurement.telemetry_series:
        write_text(paths.telemetry, series_csv(measurement.telemetry_series))


class _Record:
    """Assembles the record of one measurement."""

    def __init__(
        self, request: RunRequest, measurement: Measurement, attempt: int, started_at: str, begin_ns: int
    ) -> None:
        self._request = request
        self._spec = request.spec
        self._paths = AttemptPaths(Path(request.directory))
        self._seen = measurement
        self._attempt = attempt
        self._started_at = started_at
        self._begin_ns = begin_ns

    def conclude(self) -> TrialResult:
        """Judge what was seen. Logs that contradict it, or cannot be read, make the trial FAILED, never VALID."""
        if self._seen.failure is not None:
            return self._result(failure=self._seen.failure)
        if self._seen.abort is not None:
            return self._result(judgement=judge_aborted(self._spec, self._seen.abort))
        try:
            summary = parse_summary(self._paths.summary)
            self._cross_check(summary)
            if self._spec.mode is TestMode.ACCURACY:
                return self._result(summary=summary, accuracy=self._score())
        except SweepError as error:
            return self._result(failure=Failure("error", str(error), ""))
        return self._result(summary=summary, judgement=judge(self._spec, summary))

    def _cross_check(self, summary: Summary) -> None:
        """Refuse a summary that is not of the test that was watched."""
        if summary.mode is not self._spec.mode:
            raise LogError(f"{SUMMARY_LOG}: LoadGen ran {summary.mode_text}, not {self._spec.mode}")
        if self._spec.mode is TestMode.PERFORMANCE:
            self._check_settings(summary)
            self._check_percentile(summary)
        elif summary.error_count != 0:
            raise LogError(f"{SUMMARY_LOG}: LoadGen counted {summary.error_count} errors, so its answers do not count")

    def _check_settings(self, summary: Summary) -> None:
        """Refuse a test that LoadGen ran with other settings."""
        if summary.scenario is not self._spec.scenario:
            raise LogError(f"{SUMMARY_LOG}: LoadGen ran {summary.scenario_text}, not {self._spec.scenario}")
        for key, wanted in self._settings().items():
            if (used := summary.settings.get(key)) != wanted:
                raise LogError(f"{SUMMARY_LOG}: LoadGen ran with {key} = {used}, not {wanted}")
        for key in _SEEDS:
            if not summary.settings.get(key):
                raise LogError(f"{SUMMARY_LOG}: LoadGen ran without its {key}")
        for key, seed in ROUND_SEEDS[self._spec.seeds].by_setting().items() if self._spec.seeds else ():
            if (used := summary.settings.get(key)) != seed:
                raise LogError(f"{SUMMARY_LOG}: LoadGen ran with {key} = {used}, not {seed} of {self._spec.seeds}")

    def _check_percentile(self, summary: Summary) -> None:
        """Refuse a figure read at another percentile; LoadGen's heading has one decimal (`99.0th`)."""
        wanted = self._spec.rules.percentile
        name = "" if summary.metric is None else summary.metric.name
        found = re.match(r"(\d+(?:\.\d+)?)th percentile latency$", name)
        if found is None or abs(float(found[1]) - wanted) > 0.051:
            raise LogError(
                f"{SUMMARY_LOG}: LoadGen reports {name or 'no figure'!r}, not the p{wanted:g} that was asked for"
            )
        if summary.metric is None or not isinstance(summary.metric.value, int):
            raise LogError(f"{SUMMARY_LOG}: LoadGen reports no latency, but {name} = {summary.metric}")
        latencies = self._seen.latencies_ns
        if latencies.size == 0 or latencies.size != self._seen.query_count:
            return
        reported_ns = summary.metric.value
        seen_ns = int(np.sort(latencies)[percentile_index(latencies.size, self._spec.rules.percentile)])
        # Ours is the shorter interval of the two: LoadGen cannot have seen less.
        if reported_ns < seen_ns:
            raise LogError(
                f"{SUMMARY_LOG}: LoadGen reports p{self._spec.rules.percentile:g} {reported_ns} ns, "
                f"but the queries took {seen_ns} ns: the clocks or the logs cannot be trusted"
            )

    def _settings(self) -> dict[str, int]:
        run = self._spec.run
        return {
            "samples_per_query": self._spec.samples_per_query,
            "min_duration (ms)": run.min_duration_ms,
            "max_duration (ms)": run.max_duration_ms,
            "min_query_count": run.min_query_count,
            "max_query_count": run.max_query_count,
            "performance_sample_count": self._spec.dataset.performance_sample_count,
        }

    def _score(self) -> Accuracy:
        dataset = open_dataset(self._request.files.dataset, self._spec.model.inputs, Path(self._request.files.cache))
        if dataset.digest != self._spec.dataset.digest:
            raise LogError(f"dataset {self._spec.dataset.name} changed on disk: its labels may be of other samples")
        if dataset.labels is None:
            raise LogError(f"dataset {self._spec.dataset.name} has no labels")
        return score_top1(self._paths.accuracy, [int(label) for label in dataset.labels])

    def _result(
        self,
        *,
        summary: Summary | None = None,
        judgement: Judgement | None = None,
        accuracy: Accuracy | None = None,
        failure: Failure | None = None,
    ) -> TrialResult:
        spec, seen = self._spec, self._seen
        environment = environment_on(seen.gpu)
        target = spec.rules.target_latency_ns
        bounded = target is not None and spec.mode is TestMode.PERFORMANCE
        loadgen = None if summary is None else _loadgen_latencies(summary, spec.rules.percentile)
        return TrialResult(
            spec=spec,
            spec_digest=spec.digest,
            model_path=self._request.files.model_path,
            environment=environment,
            environment_digest=fingerprint_digest(environment),
            attempt=self._attempt,
            state=TrialState.COMPLETE if failure is None else TrialState.FAILED,
            result=None if judgement is None else judgement.result,
            judge_version=JUDGE_VERSION,
            checks=() if judgement is None else judgement.checks,
            why=failure.message if failure else "" if judgement is None else judgement.why,
            recommendation="" if judgement is None else judgement.recommendation,
            loadgen_result=None if summary is None else summary.loadgen_result,
            aborted=seen.abort,
            latencies=loadgen or _percentiles(seen.latencies_ns, spec.rules.percentile, "sut"),
            device_latencies=_percentiles(seen.device_ns[seen.device_ns > 0], spec.rules.percentile, "device"),
            early_stopping_estimate_ns=None if summary is None else summary.early_stopping_estimate_ns,
            query_count=seen.query_count,
            planned_query_count=planned_query_count(spec),
            over_latency_count=(
                # More queries than are kept: how many of them were over is not known.
                max(int((seen.latencies_ns > target).sum()), over_by_loadgen(loadgen, seen.query_count, target))
                if bounded and target is not None and seen.latencies_ns.size == seen.query_count
                else None
            ),
            over_latency_allowed=spec.over_latency_allowed(max(spec.run.min_query_count, seen.query_count))
            if bounded
            else None,
            expected_latency_ns=seen.expected_latency_ns,
            warmup=seen.warmup,
            accuracy=accuracy,
            machine_load=seen.machine_load,
            telemetry=seen.telemetry,
            engine=seen.engine,
            timing=Timing(
                started_at=self._started_at,
                engine_ns=seen.engine_ns,
                warmup_ns=seen.warmup.duration_ns if seen.warmup else 0,
                test_ns=seen.test_ns,
                total_ns=time.perf_counter_ns() - self._begin_ns,
            ),
            failure=failure,
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        spec, seen = self._spec, self._seen
        notes = []
        if not backend_class(spec.backend.name).runs_models:
            notes.append(f"stand-in engine: backend {spec.backend.name} computes nothing")
        if spec.model.weights is Weights.USER and spec.model.number_format != spec.precision:
            notes.append(f"the model file computes in {spec.model.number_format}, whatever precision={spec.precision}")
        notes += self._request.files.model_notes
        if spec.model.weights is Weights.SYNTHETIC:
            notes.append("synthetic weights: latency is the model's, accuracy means nothing")
        if spec.model.changed:
            notes.append(f"not the model as it ships: {', '.join(spec.model.changed)}")
        if (times := self._request.files.dataset.repeat) > 1:
            notes.append(f"{spec.dataset.name}: {spec.dataset.count // times} images, {times} times over")
        if spec.mode is TestMode.PERFORMANCE and not spec.over_latency_allowed(spec.run.min_query_count):
            few = f"p{spec.rules.percentile:g} of {spec.run.min_query_count} queries"
            notes.append(f"{few} is the slowest of them: too few for that percentile")
        notes += self._disturbances()
        notes += _on_siblings(seen.gpus_under_test)
        notes += seen.engine.get("notes", ())
        if errors := self._loadgen_errors():
            notes.append(f"LoadGen's errors: {'; '.join(errors)}")
        if seen.warmup is not None and not seen.warmup.steady:
            notes.append("latency was not steady when the test began")
        return tuple(notes)

    def _disturbances(self) -> Iterator[str]:
        """Yield what others, or the machine itself, did to the test, and what is not known of that."""
        seen, load = self._seen, self._seen.machine_load
        if load is not None and load.busy:
            yield f"{BUSY}: {load}; measure again when it is idle (resume=false, or busy.reject=true)"
        if load is not None and load.busy is None and seen.failure is None:
            yield "whether others kept the machine busy could not be told: the test was too short"
        for words in seen.telemetry.disturbances if seen.telemetry is not None else ():
            yield f"{words}; measure again when it is not (resume=false, or telemetry.reject=true)"
        yield from self._other_power_limit()
        if seen.no_telemetry:
            yield f"no GPU telemetry: {seen.no_telemetry}"

    def _other_power_limit(self) -> Iterator[str]:
        """Yield that the GPU was set otherwise than when the sweep began, which its environment does not say."""
        gpu, telemetry = self._seen.gpu, self._seen.telemetry
        limit = None if gpu is None else re.match(r"[\d.]+", gpu.power_limit)
        now_w = None if telemetry is None else telemetry.power_limit_w
        if limit is not None and now_w is not None and abs(float(limit[0]) - now_w) > 1:
            yield f"the GPU's power limit was {now_w:g} W, and {limit[0]} W when the sweep began: start it again"

    def _loadgen_errors(self) -> list[str]:
        """Return the first errors in LoadGen's detail log: the summary only counts them."""
        try:
            errors = parse_detail(self._paths.detail).errors
        except LogError:  # an aborted test leaves none
            return []
        return [" ".join(error.split())[:_ERROR_CHARACTERS] for error in errors[:_ERRORS_SHOWN]]


def _on_siblings(gpus_under_test: int) -> list[str]:
    shared = "they share its processors and the way to its memory"
    return [f"{gpus_under_test} GPUs of this machine under test at once: {shared}"] if gpus_under_test > 1 else []


def _ran_out_of_queries(request: RunRequest, measurement: Measurement) -> bool:
    """Say whether a test ended before its duration although nothing but that duration should have ended it."""
    finished = measurement.failure is None and measurement.abort is None
    if not finished or not measurement.latencies_ns.size or request.spec.mode is TestMode.ACCURACY:
        return False
    try:
        summary = parse_summary(AttemptPaths(Path(request.directory)).summary)
    except LogError:
        return False
    most = request.spec.run.max_query_count
    return summary.min_duration is False and (most == 0 or measurement.query_count < most)


def _loadgen_latencies(summary: Summary, percentile: float) -> Latencies | None:
    seen, metric = summary.query_latency, summary.metric
    if seen.min_ns is None or seen.mean_ns is None or seen.max_ns is None or metric is None:
        return None
    # The percentile of the rules need not be among those that LoadGen always prints.
    at = {**seen.percentiles_ns, f"p{percentile:g}": int(metric.value)}
    return Latencies(source="loadgen", min=seen.min_ns, mean=seen.mean_ns, max=seen.max_ns, percentiles=at)


def _percentiles(latencies_ns: npt.NDArray[np.int64], percentile: float, source: str) -> Latencies | None:
    if not latencies_ns.size:
        return None
    ordered = np.sort(latencies_ns)
    wanted = sorted({*_PERCENTILES, percentile})
    return Latencies(
        source=source,
        min=int(ordered[0]),
        mean=int(ordered.mean()),
        max=int(ordered[-1]),
        percentiles={f"p{p:g}": int(ordered[percentile_index(ordered.size, p)]) for p in wanted},
    )


def _npy(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
