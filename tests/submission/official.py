"""Official tests that nobody ran: records, and logs with what the rules of a round look at."""

import dataclasses
import json
import struct

from sweep.environment import fingerprint_digest
from sweep.loadgen.accuracy import Accuracy
from sweep.loadgen.logs import parse_summary
from sweep.loadgen.seeds import ROUND_SEEDS
from sweep.models.base import TensorSpec
from sweep.store.records import Store
from sweep.submission.rounds import ROUNDS
from sweep.trial.result import Latencies, Timing, TrialResult
from sweep.trial.spec import BackendSpec, DatasetSpec, ModelSpec, RulesSpec, RunSpec, TrialSpec
from sweep.trial.verdict import judge
from sweep.vocabulary import AbortRule, Precision, RunClass, Scenario, TestMode, TrialState, Weights

MACHINE = {
    "cpu": "CPU of tests",
    "cpu_cores": 8,
    "gpus": [],
    "git": "0123456789ab",
    "memory_bytes": 2**34,
    "os": "Linux 6",
    "packages": {"mlcommons-loadgen": "6.0.17", "onnxruntime": "1.32.0"},
    "python": "3.11.7",
    "sweep": "0.1.0",
}
CURRENT = ("loadgen_result", "min_duration", "min_queries", "early_stopping", "no_errors")
BOUNDED = ("min_duration", "min_queries", "performance_constraint", "no_errors")
SIZE = 500

SUMMARY = """\
================================================
MLPerf Results Summary
================================================
SUT name : PyFastSUT
Scenario : MultiStream
Mode     : PerformanceOnly
99.0th percentile latency (ns) : {p99}
Result is : VALID
  Min duration satisfied : Yes
  Min queries satisfied : Yes
  Early stopping satisfied: {stopping}
Early Stopping Result:
 * Processed at least 662 queries (700).
 * Early stopping 99.0th percentile estimate: {estimate}

================================================
Additional Stats
================================================
Per-query latency:
Min latency (ns)                : 1000
Max latency (ns)                : {p99}
Mean latency (ns)               : 2000
99.00 percentile latency (ns)   : {p99}

================================================
Test Parameters Used
================================================
{settings}

No warnings encountered during test.

{errors}
"""
COUNTS = "\nNo warnings encountered during test.\n\nNo errors encountered during test.\n"


def small(name):
    """Return a round whose resnet has few samples, so that a log of answers is small."""
    resnet = dataclasses.replace(ROUNDS[name].benchmarks["resnet"], performance_sample_count=64, dataset_size=SIZE)
    return dataclasses.replace(ROUNDS[name], benchmarks={**ROUNDS[name].benchmarks, "resnet": resnet})


class Official:
    """Writes official tests into an output folder, each VALID and good for `open` unless it is told otherwise.

    Args:
        root: The output folder.
    """

    def __init__(self, root):
        self.root = root
        self._store = Store(root)
        self._count = 0

    @property
    def trials(self):
        """Every record there is."""
        from sweep.results.selection import select

        return select([self.root]).trials

    def spec(self, *, n=8, seeds="v5.1", bound_ms=None, run=None, model=None, backend=None, dataset=None, **changes):
        """Return a spec; `model`, `backend`, `dataset` and `run` are fields to change of these parts."""
        backend_name = changes.pop("backend_name", "onnxruntime")
        inputs = (TensorSpec("samples", "uint8", (8, 8, 1)),)
        known = ModelSpec("digits", Weights.SHIPPED, "sha256:" + "0" * 64, inputs, True, "fp32", ())
        length = RunSpec(RunClass.OFFICIAL, 662, 0, 600_000, 0)
        if bound_ms is not None:
            length = RunSpec(RunClass.OFFICIAL, 270_336, 0, 60_000, 0)
        rules = ("current", CURRENT, None, 99.0) if bound_ms is None else ("v0.5", BOUNDED, int(bound_ms * 1e6), 99.0)
        spec = TrialSpec(
            scenario=Scenario.MULTI_STREAM,
            mode=TestMode.PERFORMANCE,
            model=dataclasses.replace(known, **(model or {})),
            precision=Precision.FP32,
            backend=BackendSpec(backend_name, {"graph_optimization": "all", "threads": 2, **(backend or {})}),
            dataset=dataclasses.replace(DatasetSpec("digits", "sha256:" + "1" * 64, SIZE, 64), **(dataset or {})),
            samples_per_query=n,
            engine_batch=n,
            rules=RulesSpec(*rules),
            run=dataclasses.replace(length, **(run or {})),
            abort=AbortRule.CONFIDENT,
            seeds=seeds,
        )
        return dataclasses.replace(spec, **changes)

    def performance(self, *, p99=500_000, estimate=None, log=None, machine=None, record=None, errors=0, **spec):
        """Write a performance test.

        Args:
            p99: Of its queries, ns.
            estimate: Of early stopping, ns.
            log: Settings that its logs say other than its spec.
            machine: Of its fingerprint, changed.
            record: Of its record, changed.
            errors: In its logs.
            spec: As `spec` takes.
        """
        what = self.spec(**spec)
        settings = {**self._settings(what), **(log or {})}
        attempt, environment = self._begin(what, machine)
        shown = "\n".join(f"{_printed(name)} : {value}" for name, value in settings.items())
        attempt.paths.summary.write_text(
            SUMMARY.format(
                p99=p99,
                estimate=estimate or p99 + 1000,
                stopping="Yes",
                settings=shown,
                errors=f"{errors} ERRORS encountered. See detailed log." if errors else COUNTS.splitlines()[-1],
            )
        )
        logged = {
            "early_stopping_met": True,
            "early_stopping_latency_ms": estimate or p99 + 1000,
            "result_validity": "VALID",
            "result_query_count": 700,
            "result_99.00_percentile_per_query_latency_ns": p99,
        }
        attempt.paths.detail.write_text(_detail("PerformanceOnly", settings, SIZE, errors, logged))
        attempt.paths.user_conf.write_text(f"digits.MultiStream.samples_per_query = {what.samples_per_query}\n")
        judgement = judge(what, parse_summary(attempt.paths.summary))
        latencies = Latencies("loadgen", 1000, 2000, p99, {"p99": p99})
        said = {"loadgen_result": "VALID", "early_stopping_estimate_ns": estimate or p99 + 1000}
        result = self._result(what, attempt, environment, judgement, latencies=latencies, **said)
        return self._store.finish(attempt, dataclasses.replace(result, **(record or {})))

    def accuracy(self, *, good=498, answers=None, machine=None, record=None, **spec):
        """Write an accuracy test; `answers` are samples of the library that have one."""
        what = self.spec(mode=TestMode.ACCURACY, **spec)
        total = what.dataset.count
        attempt, environment = self._begin(what, machine)
        attempt.paths.summary.write_text(COUNTS)
        attempt.paths.detail.write_text(_detail("AccuracyOnly", self._settings(what), total, 0))
        indices = range(total) if answers is None else answers
        rows = [{"seq_id": k, "qsl_idx": k, "data": struct.pack("<f", k % 10).hex()} for k in indices]
        attempt.paths.accuracy.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
        attempt.paths.user_conf.write_text("digits.MultiStream.samples_per_query = 8\n")
        score = Accuracy(good * total // SIZE, total, 100 * good / SIZE)
        result = self._result(what, attempt, environment, None, accuracy=score)
        return self._store.finish(attempt, dataclasses.replace(result, **(record or {})))

    def _begin(self, spec, machine):
        environment = {**MACHINE, **(machine or {})}
        return self._store.begin(spec, fingerprint_digest(environment)), environment

    def _settings(self, spec):
        return {
            "samples_per_query": spec.samples_per_query,
            "target_latency_ns": 0,
            "min_duration_ms": spec.run.min_duration_ms,
            "max_duration_ms": 0,
            "min_query_count": spec.run.min_query_count,
            "max_query_count": 0,
            **ROUND_SEEDS[spec.seeds or "v6.1"].by_setting(),
            "performance_sample_count": spec.dataset.performance_sample_count,
        }

    def _result(self, spec, attempt, environment, judgement, **fields):
        self._count += 1
        known = dict.fromkeys(field.name for field in dataclasses.fields(TrialResult))
        known |= {
            "spec": spec,
            "spec_digest": spec.digest,
            "environment": environment,
            "environment_digest": fingerprint_digest(environment),
            "attempt": attempt.number,
            "state": TrialState.COMPLETE,
            "result": judgement and judgement.result,
            "judge_version": 1,
            "checks": judgement.checks if judgement else (),
            "why": judgement.why if judgement else "",
            "recommendation": "",
            "query_count": 700,
            "planned_query_count": spec.run.min_query_count,
            "engine": {},
            "timing": Timing(f"2026-11-26T10:{self._count:02d}:00+00:00", 1, 1, 1, 1),
            "notes": (),
        }
        return TrialResult(**{**known, **fields})


def _printed(name):
    return {"min_duration_ms": "min_duration (ms)", "target_latency_ns": "target_latency (ns)"}.get(name, name)


def _detail(mode, settings, total, errors, logged=None):
    """Return a detail log: what rules read of it, in LoadGen's form."""
    entries = [
        ("loadgen_version", "6.0.17 @ d6147c7eb7"),
        ("qsl_reported_total_count", total),
        ("effective_scenario", "MultiStream"),
        ("effective_test_mode", mode),
        ("effective_target_latency_percentile", 0.99),
        *((f"effective_{name}", value) for name, value in settings.items()),
        ("loaded_qsl_set", list(range(total))),
        *(("error_runtime", f"error {number}") for number in range(errors)),
        *(logged or {}).items(),
        ("power_end", "11-26-2026 12:36:51.487"),
        ("num_errors", errors),
    ]
    lines = [
        ":::MLLOG "
        + json.dumps(
            {"key": key, "value": value, "metadata": {"is_error": key == "error_runtime", "is_warning": False}}
        )
        for key, value in entries
    ]
    return "\n".join(lines) + "\n"
