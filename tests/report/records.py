"""Folders of results, written without running a test: records, certificates, manifests as sweep itself writes them."""

import dataclasses
import json

import numpy as np

from sweep.environment import fingerprint_digest
from sweep.loadgen.accuracy import Accuracy
from sweep.models.base import TensorSpec
from sweep.paths import AttemptPaths, OutputPaths, SweepPaths, write_json
from sweep.results.selection import select
from sweep.search.base import Ask, Domain, Question
from sweep.search.certificate import Certificate, Evidence, Status
from sweep.store.records import Store, StoredTrial
from sweep.study.certificate_file import certificate_json
from sweep.study.measure import Outcome
from sweep.study.search import SearchOutcome, SearchPlan, SearchTest
from sweep.trial.abort import Abort
from sweep.trial.machine_load import BUSY, MachineLoad
from sweep.trial.result import Failure, Latencies, Timing, TrialResult
from sweep.trial.spec import BackendSpec, DatasetSpec, ModelSpec, RulesSpec, RunSpec, TrialSpec, percentile_index
from sweep.trial.telemetry import COLUMNS, Spread, Telemetry
from sweep.trial.verdict import Check
from sweep.vocabulary import AbortRule, Precision, RunClass, Scenario, TestMode, TrialState, Verdict, Weights

CHECKS = ("min_duration", "min_queries", "performance_constraint", "no_errors")
PERCENTILES = (50.0, 90.0, 95.0, 97.0, 99.0, 99.9)
MACHINE = {
    "cpu": "CPU of tests",
    "cpu_cores": 8,
    "gpus": [],
    "git": "0123456789ab",
    "hostname": "here",
    "packages": {"onnxruntime": "1.32.0"},
    "sweep": "0.1.0",
}


class Records:
    """Writes results into an output folder.

    Args:
        root: The output folder.
    """

    def __init__(self, root):
        self.root = root
        self._store = Store(root)
        self._seed = 0

    def spec(self, n, **changes):
        """Return the spec of a full screening test; `changes` are of the spec, `model` or `backend` may be names."""
        given = {"model": "resnet", "weights": Weights.REFERENCE, "backend": "onnxruntime", "options": {"threads": 2}}
        given |= {"run_class": RunClass.SCREENING, "queries": 1440, "bound_ms": 50.0, "checks": CHECKS}
        known = {name: changes.pop(name) for name in tuple(changes) if name in given}
        given |= known
        bound = None if given["bound_ms"] is None else int(given["bound_ms"] * 1e6)
        checks = given["checks"] if bound is not None else tuple(c for c in CHECKS if c != "performance_constraint")
        inputs = (TensorSpec("samples", "uint8", (1,)),)
        spec = TrialSpec(
            scenario=Scenario.MULTI_STREAM,
            mode=TestMode.PERFORMANCE,
            model=ModelSpec(given["model"], given["weights"], "sha256:" + "0" * 64, inputs, True, "fp32", ()),
            precision=Precision.FP32,
            backend=BackendSpec(given["backend"], given["options"]),
            dataset=DatasetSpec("imagenet", "sha256:" + "1" * 64, 500, 500),
            samples_per_query=n,
            engine_batch=n,
            rules=RulesSpec("v0.5", checks, bound, 99.0),
            run=RunSpec(given["run_class"], given["queries"], 0, 0, 0),
            abort=AbortRule.CONFIDENT,
        )
        return dataclasses.replace(spec, **changes)

    def trial(
        self,
        n,
        *,
        per_sample_ms=0.15,
        machine=None,
        failure=None,
        stopped=False,
        busy=False,
        notes=(),
        gpu=None,
        **spec,
    ):
        """Write a test whose latencies grow with N, and return its record."""
        self._seed += 1
        what = self.spec(n, **spec)
        latencies = self._latencies(n, per_sample_ms, 0 if failure else 20 if stopped else what.run.min_query_count)
        environment = {**MACHINE, **(machine or {})}
        digest = fingerprint_digest(environment)
        attempt = self._store.begin(what, digest)
        result = self._result(what, latencies, environment, digest, attempt.number, failure, stopped)
        load = MachineLoad(1.0, 1.5, 0.0, 0.4, 0.1, 8, True) if busy else None
        said = (*notes, *([f"{BUSY}: {load}"] if busy else []))
        result = dataclasses.replace(result, notes=said, machine_load=load, telemetry=gpu and _telemetry(gpu, n))
        self._files(attempt.paths, latencies, result)
        return self._store.finish(attempt, result)

    def accuracy(self, score=76.4, **spec):
        """Write a test in accuracy mode."""
        what = dataclasses.replace(self.spec(8, **spec), mode=TestMode.ACCURACY)
        digest = fingerprint_digest(MACHINE)
        attempt = self._store.begin(what, digest)
        result = self._result(what, self._latencies(8, 0.1, 63), MACHINE, digest, attempt.number, None, stopped=False)
        good = round(5 * score)
        result = dataclasses.replace(result, result=None, checks=(), accuracy=Accuracy(good, 500, score))
        self._files(attempt.paths, self._latencies(8, 0.1, 63), result)
        return self._store.finish(attempt, result)

    def search(self, tests, folder="2026-11-26_10-00-00_abcd", **certificate):
        """Write a certificate over tests: pairs of a record and whether it is a short one."""
        first = next(stored.result.spec for stored, short in tests if not short)
        spec = dataclasses.replace(first, samples_per_query=1, engine_batch=1)
        question = Question(Domain(1, 8192), first.rules.target_latency_ns, 99.0, first.run.min_query_count, 0.99)
        known = {"status": Status.EXACT, "max_streams": None, "confidence": 0.996, "first_invalid": None}
        known |= {"undecided": None, "is_complete": True, "why": "the reason", "remark": "", "tests": len(tests)}
        known["evidence"] = tuple(
            _evidence(n, tests) for n in sorted({one.result.spec.samples_per_query for one, _ in tests})
        )
        known["query_count"] = sum(one.result.query_count for one, _ in tests)
        asked = [
            SearchTest(
                Ask(one.result.spec.samples_per_query, one.result.query_count if short else None, "why"),
                Outcome(one, reused=False),
            )
            for one, short in tests
        ]
        paths = SweepPaths(OutputPaths(self.root).sweeps / folder)
        outcome = SearchOutcome(
            plan=SearchPlan("study", {}, question, "boundary", spec),
            certificate=Certificate(**{**known, **certificate}),
            tests=tuple(asked),
            seconds=75.0,
            measured_seconds=130.0,
            storage="studies.log",
            accuracy="",
            accuracy_failed=False,
            failure="",
            notes=(),
            directory=paths.directory,
        )
        write_json(paths.certificate("study"), certificate_json(outcome))
        self.sweep([one for one, _ in tests], folder, ["search=max_streams"])
        return paths.certificate("study")

    def sweep(self, trials, folder="2026-11-26_10-00-00_abcd", arguments=("model=resnet",)):
        """Write the manifest of a command."""
        manifest = {
            "schema_version": 1,
            "arguments": list(arguments),
            "started_at": "2026-11-26T10:00:00+00:00",
            "finished_at": "2026-11-26T10:05:00+00:00",
            "planned": len(trials),
            "trials": [str(one.directory) for one in trials],
        }
        write_json(SweepPaths(OutputPaths(self.root).sweeps / folder).manifest, manifest)

    def selection(self):
        """Return everything that was written."""
        return select([self.root])

    def _latencies(self, n, per_sample_ms, count):
        noise = np.random.default_rng(self._seed).gamma(900, 1 / 900, count)
        return ((n * per_sample_ms + 0.4) * 1e6 * noise).astype(np.int64)

    def _result(self, spec, latencies, environment, digest, attempt, failure, stopped):
        target = spec.rules.target_latency_ns
        over = None if target is None or not latencies.size else int((latencies > target).sum())
        allowed = spec.over_latency_allowed(spec.run.min_query_count)
        valid = not failure and not stopped and (over is None or over <= allowed)
        why = "" if valid else f"{over} over-latency; {allowed} allowed"
        checks = tuple(
            Check(name, valid if name == "performance_constraint" else True, True, "seen") for name in spec.rules.checks
        )
        return TrialResult(
            spec=spec,
            spec_digest=spec.digest,
            model_path=None,
            environment=environment,
            environment_digest=digest,
            attempt=attempt,
            state=TrialState.FAILED if failure else TrialState.COMPLETE,
            result=None if failure else Verdict.VALID if valid else Verdict.INVALID,
            judge_version=1,
            checks=() if failure else checks,
            why="" if failure else why,
            recommendation="",
            loadgen_result=None if failure or stopped else "VALID",
            aborted=Abort(AbortRule.CERTAIN, over or 0, int(latencies.size), "stopped") if stopped else None,
            latencies=_summary(latencies, "sut" if stopped else "loadgen"),
            device_latencies=None,
            early_stopping_estimate_ns=None,
            query_count=int(latencies.size),
            planned_query_count=spec.run.min_query_count,
            over_latency_count=over,
            over_latency_allowed=allowed,
            expected_latency_ns=None,
            warmup=None,
            accuracy=None,
            machine_load=None,
            telemetry=None,
            engine={},
            timing=Timing(
                f"2026-11-26T10:{self._seed // 60 % 60:02d}:{self._seed % 60:02d}+00:00", 1, 1, 10**9, 2 * 10**9
            ),
            failure=Failure(failure, f"{failure} at N={spec.samples_per_query}", "") if failure else None,
            notes=(),
        )

    def _files(self, paths, latencies, result):
        np.save(paths.latencies, latencies)
        for log in (paths.summary, paths.detail):
            log.write_text("a log\n")
        if result.telemetry is not None:
            rows = [
                f"{t / 2:.3f},{1755 - 5 * (t % 9)},2619,{300 + t % 17},{50 + t / 10:.0f},4000000000,none"
                for t in range(-4, 100)
            ]
            paths.telemetry.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")


def damage(stored: StoredTrial, text="{"):
    """Cut the record of a test off."""
    AttemptPaths(stored.directory).result.write_text(text)


def change(stored: StoredTrial, **fields):
    """Change fields of a record on disk."""
    path = AttemptPaths(stored.directory).result
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def _summary(latencies, source):
    if not latencies.size:
        return None
    ordered = np.sort(latencies)
    at = {f"p{p:g}": int(ordered[percentile_index(ordered.size, p)]) for p in PERCENTILES}
    return Latencies(source, int(ordered[0]), int(ordered.mean()), int(ordered[-1]), at)


def _telemetry(name, n):
    hot = n > 400
    return Telemetry(
        gpu=name,
        uuid="GPU-1",
        readings=104,
        sm_clock_mhz=Spread(1200 if hot else 1715, 1500.0 if hot else 1741.0, 1755),
        memory_clock_mhz=Spread(2619, 2619, 2619),
        power_w=Spread(280, 300 + n / 4, 340 + n / 4),
        power_limit_w=700.0,
        temperature_c=Spread(50, 55 + n / 50, 60 + n / 40),
        memory_used_bytes=4_000_000_000,
        throttle_reasons={"hw_thermal_slowdown": 0.2} if hot else {},
        throttled=hot,
        other_processes=(),
        energy_j=1000.0 + n,
        energy_source="counter",
        energy_per_sample_j=0.04 + 0.4 / n,
    )


def _evidence(n, tests):
    of_n = [(one.result, short) for one, short in tests if one.result.spec.samples_per_query == n]
    full = [result for result, short in of_n if not short]
    return Evidence(
        samples_per_query=n,
        full_tests=len(full),
        short_tests=len(of_n) - len(full),
        valid_tests=sum(result.result is Verdict.VALID for result in full),
        invalid_tests=sum(result.result is Verdict.INVALID for result in full),
        failure=next((result.failure.kind for result, _ in of_n if result.failure), ""),
        query_count=sum(result.query_count for result, _ in of_n),
        over_latency_count=sum(result.over_latency_count or 0 for result, _ in of_n),
        percentile_ns=max((result.percentile_ns or 0 for result, _ in of_n), default=None),
        set_aside_tests=0,
        p_valid=0.97,
        role="",
    )
