"""Points of a comparison and whole output folders, made by hand from tests that nobody ran."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from sweep.compare.accuracy import accuracy_estimate
from sweep.compare.estimate import Estimate, Metric
from sweep.compare.points import Point
from sweep.environment import fingerprint, fingerprint_digest
from sweep.paths import AttemptPaths, OutputPaths, SweepPaths, write_json
from sweep.store.records import Store
from sweep.study.certificate_file import certificate_json

BOUND_NS = 50_000_000
MACHINE = {"cpu": "one", "cpu_cores": 2, "gpus": [], "packages": {"onnxruntime": "1.20"}, "git": "abc"}
KEY = (("model", "digits"), ("precision", "fp32"), ("backend", "onnxruntime"))


def point(metric, estimate, *more, environment=None, **changes):
    """Return a point; `more` are further parts of its key."""
    machine = {**MACHINE, **(environment or {})}
    known = {
        "metric": metric,
        "key": (*KEY, *more),
        "estimate": estimate,
        "environment": machine,
        "environment_digest": fingerprint_digest(machine),
        "bound_ns": None if metric is Metric.ACCURACY else BOUND_NS,
        "result": "",
        "commit": "abc",
        "files": (("model_digest", "sha256:1"), ("dataset_digest", "sha256:2")),
        "disturbed": 0,
        "is_asked": True,
        "measured_at": "2026-01-01T00:00:00+00:00",
    }
    return Point(**{**known, **changes})


def streams(low, high=None, error=0.0, **changes):
    """Return max streams from `low` to `high`; None bounds it not."""
    estimate = Estimate(
        Metric.MAX_STREAMS,
        float(low),
        float(low),
        None if high is None else float(high),
        error_below=error,
        error_above=error,
        slacks=tuple((float(n), (low + 0.5 - n) / low) for n in (low - 20, low, low + 1, low + 20)) if low > 20 else (),
    )
    return point(Metric.MAX_STREAMS, estimate, ("rules", "v0.5"), **changes)


def latency(ms, n=8, error=0.001, **changes):
    """Return a p99 at N in ms; None for one that was stopped early."""
    rest = ("rules", "v0.5"), ("percentile", "99"), ("samples_per_query", str(n))
    if ms is None:
        stopped = Estimate.unknown(Metric.LATENCY, "every test was stopped early")
        return point(Metric.LATENCY, stopped, *rest, **{"least_ns": BOUND_NS, "result": "INVALID", **changes})
    ns = ms * 1e6
    estimate = Estimate(Metric.LATENCY, ns, ns, ns, error_below=error, error_above=error, tests=1, queries=1440)
    return point(Metric.LATENCY, estimate, *rest, result="VALID" if ns <= BOUND_NS else "INVALID", **changes)


def accuracy(good, total=500, **changes):
    """Return an accuracy."""
    return point(Metric.ACCURACY, accuracy_estimate(good, total), ("sample_count", str(total)), **changes)


class Outputs:
    """An output folder, filled by hand.

    Args:
        root: The folder.
    """

    def __init__(self, root):
        self.root = Path(root)
        self._store = Store(self.root)

    def add(self, test):
        """Store a test that was made by hand (`tests.searches`); return where it is now."""
        made, result = test.outcome.stored.directory, test.outcome.stored.result
        environment = fingerprint()
        attempt = self._store.begin(result.spec, fingerprint_digest(environment))
        for name in ("latencies", "device_times"):
            source = getattr(AttemptPaths(made), name)
            if source.exists():
                shutil.copy(source, getattr(attempt.paths, name))
        for log in (attempt.paths.summary, attempt.paths.detail):
            log.write_text("a log\n")
        own = {"environment": environment, "environment_digest": fingerprint_digest(environment)}
        return self._store.finish(attempt, replace(result, attempt=attempt.number, **own))

    def grid(self, tests, name="2026-01-01_00-00-00_grid", arguments=("model=digits", "-m", "batch=1,2")):
        """Store tests as those of one command; return its folder."""
        return self._sweep([self.add(test) for test in tests], name, arguments)

    def search(self, outcome, name="2026-01-01_00-00-00_search"):
        """Store a search with its tests and its certificate; return the folder of its command."""
        tests = [replace(test, outcome=replace(test.outcome, stored=self.add(test))) for test in outcome.tests]
        folder = self._sweep([test.outcome.stored for test in tests], name, ("search=max_streams", "model=digits"))
        data = certificate_json(replace(outcome, tests=tuple(tests)))
        write_json(SweepPaths(folder).certificate(outcome.plan.name), data)
        return folder

    def _sweep(self, stored, name, arguments):
        paths = SweepPaths(OutputPaths(self.root).sweeps / name)
        started = "2026-01-01T00:00:00+00:00"
        manifest = {
            "schema_version": 1,
            "arguments": list(arguments),
            "started_at": started,
            "finished_at": started,
            "planned": len(stored),
            "trials": [str(one.directory) for one in stored],
        }
        paths.directory.mkdir(parents=True)
        paths.manifest.write_text(json.dumps(manifest))
        return paths.directory
