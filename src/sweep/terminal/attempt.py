"""What a stored test or command looks like: all that its record holds, and where the rest lies."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.datasets.digits import times_over_text
from sweep.paths import AttemptPaths
from sweep.results.environments import describe
from sweep.results.names import attempt_name
from sweep.results.selection import SweepRecord, missing_logs
from sweep.store.records import StoredTrial
from sweep.study.measure import Outcome
from sweep.submission.rounds import MEASUREMENT_FIELDS
from sweep.terminal.certificate import show_search, show_searches
from sweep.terminal.grid import show_single
from sweep.terminal.listing import show_trials, started_text
from sweep.terminal.tables import print_table
from sweep.terminal.words import count_of, duration, headline, ms
from sweep.trial.result import TrialResult
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import Weights


def show_attempt(
    out: Console, stored: StoredTrial, others: Sequence[StoredTrial] = (), unreadable: Sequence[str] = ()
) -> None:
    """Print one attempt at a trial in full.

    Args:
        out: Where to.
        stored: The attempt.
        others: Further attempts at the same trial.
        unreadable: What is to be said of those that are no records.
    """
    out.print(attempt_name(stored.directory.absolute()), style="bold", markup=False, highlight=False)
    _facts(out, list(_asked(stored.result)))
    show_single(out, Outcome(stored, reused=False))
    _facts(out, list(_seen(stored.result)))
    _facts(out, list(_where(stored)))
    for other in others:
        when = started_text(other.result.timing.started_at)
        line = f"attempt {other.result.attempt}, {when} UTC: {headline(other.result)}"
        out.print(line, markup=False, highlight=False)
    for line in unreadable:
        out.print(line, style="dim", markup=False, highlight=False)


def show_sweep(out: Console, sweep: SweepRecord) -> None:
    """Print what a command has measured: its searches as they were shown, or a row for each test."""
    out.print(sweep.paths.directory.name, style="bold", markup=False, highlight=False)
    ended = "not finished" if sweep.finished_at is None else f"finished {started_text(sweep.finished_at)} UTC"
    gone = sweep.tests - len(sweep.trials)
    done = f"{sweep.done} of {sweep.planned}" + (f", {count_of(gone, 'record')} gone" if gone else "")
    lines = [
        ("command", f"python -m sweep {shlex.join(sweep.arguments)}".rstrip()),
        ("started", f"{started_text(sweep.started_at)} UTC, {ended}"),
        ("done", done),
        ("table", str(sweep.paths.csv) if sweep.paths.csv.is_file() else "none"),
    ]
    _facts(out, lines)
    outcomes = [search.outcome() for search in sweep.searches]
    if len(outcomes) == 1:
        show_search(out, outcomes[0])
    elif outcomes:
        show_searches(out, outcomes)
    elif sweep.trials:
        show_trials(out, sweep.trials)


def _facts(out: Console, facts: Sequence[tuple[str, str]]) -> None:
    """Print names and what they are, aligned; long ones go on below themselves, where a terminal is narrow."""
    if not facts:
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts:
        table.add_row(Text(name, style="dim"), Text(text))
    print_table(out, table, whole=not out.is_terminal)


def _counted(spec: TrialSpec) -> tuple[str, int]:
    return spec.dataset.name, spec.dataset.count


def _asked(result: TrialResult) -> Iterator[tuple[str, str]]:
    """Yield what was to be measured."""
    spec, timing = result.spec, result.timing
    yield "model", _model(spec)
    yield "backend", " ".join([spec.backend.name, *_pairs(spec.backend.options)])
    held = f"{spec.dataset.performance_sample_count} of {spec.dataset.count} samples in memory"
    yield "dataset", ", ".join(filter(None, (spec.dataset.name, times_over_text(*_counted(spec)), held)))
    if spec.seeds is not None:
        yield "random seeds", f"those of {spec.seeds}"
    asked = -(-spec.samples_per_query // spec.engine_batch)
    launches = result.engine.get("launches_per_query", asked)
    most = f" of {spec.engine_batch} at most" if launches == asked else ""
    parts = "" if launches == 1 else f", {launches} launches{most}"
    yield "samples per query", f"{spec.samples_per_query}{parts}"
    total = timing.total_ns / 1e9
    whole = duration(total) if total >= 10 else f"{total:.3g} s"
    took = f"; took {whole}, of which {timing.test_ns / 1e9:.3g} s inside LoadGen"
    if (imported := result.imported) is not None:
        took = f"; took {duration(timing.test_ns / 1e9)}" if timing.test_ns else ""
        where = f"entry {imported.entry}, point {imported.point}"
        yield "imported", f"from {imported.source}, {started_text(imported.imported_at)} UTC: {where}"
        yield "system", ", ".join(filter(None, (imported.system, imported.system_name, imported.division)))
        yield "program", imported.implementation or "not known"
        if imported.metric_value is not None:
            value, unit = imported.metric_value, imported.metric_unit
            figure = f"{ms(int(value))} ms" if unit == "ns" else f"{value:.10g} {unit}".strip()
            yield "LoadGen's figure", f"{imported.metric}: {figure}"
        unsaid = [key for key in MEASUREMENT_FIELDS if key not in imported.description]
        said = [*_pairs(imported.description), *([f"(not said: {', '.join(unsaid)})"] if unsaid else [])]
        yield "model's facts", " ".join(said)
    yield "measured", f"{started_text(timing.started_at)} UTC, attempt {result.attempt}{took}"


def _model(spec: TrialSpec) -> str:
    model = spec.model
    weights = "no weights" if model.weights is Weights.NONE else f"{model.weights} weights"
    parts = [f"{model.name} {spec.precision}", weights]
    if model.number_format and model.number_format != str(spec.precision):
        parts.append(f"its file is in {model.number_format}")
    if model.changed:
        parts.append(f"changed: {', '.join(model.changed)}")
    if model.calibration is not None:
        parts.append(f"calibrated with {' '.join(_pairs(model.calibration))}")
    return ", ".join(parts)


def _seen(result: TrialResult) -> Iterator[tuple[str, str]]:
    """Yield what was seen beside latencies and verdict."""
    if others := [check for check in result.checks if not check.required]:
        words = {True: "yes", False: "no", None: "no evidence"}
        said = [f"{check.name}: {words[check.holds]} ({check.evidence})" for check in others]
        yield "not required", "; ".join(said)
    if result.aborted is not None:
        yield "stopped early", f"{result.aborted.rule}: {result.aborted.evidence}"
    elif result.why and result.failure is None:
        yield "why", result.why
    if (device := result.device_latencies) is not None:
        at = device.percentiles
        yield "device's part", f"p50 {ms(at.get('p50'))} ms, p99 {ms(at.get('p99'))} ms, max {ms(device.max)} ms"
    if result.early_stopping_estimate_ns is not None:
        yield "early stopping", f"LoadGen's estimate of the percentile: {ms(result.early_stopping_estimate_ns)} ms"
    if (warmup := result.warmup) is not None:
        yield "warm-up", f"{count_of(warmup.query_count, 'query')}, the fastest {ms(warmup.min_latency_ns)} ms"
    if result.engine:
        yield "engine", " ".join(_pairs(result.engine))
    if result.machine_load is not None:
        yield "machine", str(result.machine_load)


def _where(stored: StoredTrial) -> Iterator[tuple[str, str]]:
    """Yield what it was measured on, and where everything lies."""
    result, paths = stored.result, AttemptPaths(stored.directory)
    yield "environment", describe(result.environment)
    yield "digests", f"spec {result.spec_digest[:12]}, environment {result.environment_digest[:6]}"
    if result.model_path is not None:
        yield "model file", f"{result.model_path} ({result.spec.model.digest})"
    missing = missing_logs(stored)
    files = (
        *paths.loadgen_logs,
        paths.user_conf,
        paths.mlperf_conf,
        paths.ck_point,
        paths.ck_pipeline,
        paths.latencies,
        paths.device_times,
        paths.telemetry,
        paths.worker_log,
    )
    yield "files", " ".join(path.name for path in (paths.result, paths.spec, *files) if path.is_file())
    if missing:
        yield "missing", f"{' '.join(missing)}: the verdict cannot be checked against LoadGen's own words any more"


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in sorted(values.items())]
