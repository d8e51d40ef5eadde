"""A report as plain JSON data, for programs: the same sections, every test."""

from __future__ import annotations

import dataclasses
from typing import Any

from sweep.report.search_points import CONFIDENCE
from sweep.report.sections import AccuracyTest, Answer, Environment, Report, Series, Test
from sweep.results.selection import SweepRecord, missing_logs
from sweep.store.table import samples_per_second

SCHEMA_VERSION = 1
"""History of the document. A reader takes any document of its own version; fields may be added within one.

1: first.
"""


def report_json(report: Report) -> dict[str, Any]:
    """Return a report as plain JSON data.

    `series` are tests that differ in N alone, each with its `configuration` (all text), `answers` and `tests`;
    `accuracy`, `environments`, `commands`, `damaged` are lists likewise. Latencies are in ns, null where there are
    none; `interval_ns` is the 95 % interval of the percentile for the tests nearest the bound, each end null where it
    is open or was not computed.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "sweep": report.version,
        "places": list(report.places),
        "filters": report.filters,
        "interval_confidence": CONFIDENCE,
        "series": [_series(one) for one in report.series],
        "accuracy": [_accuracy(one) for one in report.accuracy],
        "environments": [_environment(one) for one in report.environments],
        "commands": [_command(one) for one in report.commands],
        "damaged": list(report.damaged),
    }


def _series(series: Series) -> dict[str, Any]:
    rules = series.rules
    return {
        "name": series.name,
        "title": series.title,
        "configuration": dict(series.configuration),
        "run_class": series.run_class,
        "target_latency_ns": rules.target_latency_ns,
        "percentile": rules.percentile,
        "environment": series.environment,
        "warnings": list(series.warnings),
        "answers": [_answer(one) for one in series.answers],
        "notes": [{"text": one.text, "samples_per_query": list(one.ns)} for one in series.notes],
        "tests": [_test(one) for one in series.tests],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "rests_on": answer.source.name.lower(),
        "text": answer.text,
        "max_streams": answer.max_streams,
        "confidence": answer.confidence,
        "disturbed": answer.disturbed,
        "status": answer.status or None,
        "first_invalid": answer.first_invalid,
        "undecided": None if answer.undecided is None else list(answer.undecided),
        "lines": list(answer.lines),
        "doubts": list(answer.doubts),
        "certificate": None if answer.certificate is None else str(answer.certificate),
        "evidence": [dataclasses.asdict(one) for one in answer.evidence],
        "settings": [dataclasses.asdict(one) for one in answer.settings],
    }


def _test(test: Test) -> dict[str, Any]:
    result, point = test.stored.result, test.point
    latencies = result.latencies
    return {
        "samples_per_query": test.n,
        "kind": test.kind.name.lower(),
        "state": str(result.state),
        "result": None if result.result is None else str(result.result),
        "loadgen_result": result.loadgen_result,
        "why": result.why or None,
        "failure": None if result.failure is None else {"kind": result.failure.kind, "message": result.failure.message},
        "aborted": None if result.aborted is None else str(result.aborted.rule),
        "latency_at_percentile_ns": point.percentile_ns,
        "interval_ns": [point.low_ns, point.high_ns],
        "latencies_ns": None if latencies is None else dataclasses.asdict(latencies),
        "samples_per_second": samples_per_second(result),
        "query_count": result.query_count,
        "planned_query_count": result.planned_query_count,
        "over_latency_count": result.over_count,
        "over_latency_allowed": result.over_latency_allowed,
        "checks": [dataclasses.asdict(check) for check in result.checks],
        "telemetry": None if result.telemetry is None else dataclasses.asdict(result.telemetry),
        "marks": list(test.marks),
        "set_aside": test.set_aside,
        "notes": list(result.notes),
        "started_at": result.timing.started_at,
        "spec_digest": result.spec_digest,
        "directory": str(test.stored.directory),
        "missing_logs": list(missing_logs(test.stored)),
    }


def _accuracy(test: AccuracyTest) -> dict[str, Any]:
    result, spec = test.stored.result, test.stored.result.spec
    return {
        "model": spec.model.name,
        "weights": str(spec.model.weights),
        "precision": str(spec.precision),
        "backend": spec.backend.name,
        "backend_options": dict(spec.backend.options),
        "dataset": spec.dataset.name,
        "environment": test.environment,
        "warnings": list(test.warnings),
        "state": str(result.state),
        "accuracy": None if result.accuracy is None else dataclasses.asdict(result.accuracy),
        "notes": list(result.notes),
        "started_at": result.timing.started_at,
        "directory": str(test.stored.directory),
    }


def _environment(environment: Environment) -> dict[str, Any]:
    plain = dataclasses.asdict(environment)
    return {**plain, "differences": list(environment.differences), "varied": list(environment.varied)}


def _command(command: SweepRecord) -> dict[str, Any]:
    return {
        "arguments": list(command.arguments),
        "started_at": command.started_at,
        "finished_at": command.finished_at,
        "planned": command.planned,
        "done": command.done,
        "directory": str(command.paths.directory),
    }
