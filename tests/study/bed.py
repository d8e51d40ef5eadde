"""Where tests are measured that nobody runs: the real store and the real search, on latencies by formula."""

import shutil
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np

from sweep.errors import ConfigError, Problem
from sweep.search.base import Domain, Question
from sweep.search.registry import make_searcher
from sweep.store.records import Store
from sweep.study import measure
from sweep.study.measure import Bench
from sweep.study.search import Purse, SearchPlan, SearchRun
from sweep.trial.interrupts import InterruptGate
from sweep.trial.machine_load import BUSY

FULL = 1440


def _ignore(*_):
    pass


NOBODY = SimpleNamespace(
    search_started=_ignore, asked=_ignore, progressed=_ignore, answered=_ignore, search_finished=_ignore
)
"""Looks at nothing."""


class Ledger:
    """A study on paper."""

    def __init__(self, entered=()):
        self.rows = []
        self._entered = set(entered)
        self.starts_over = False

    def begin(self, params, space=None):
        self.rows.append({"params": dict(params), "state": "RUNNING"})
        return len(self.rows) - 1

    def finish(self, number, value, attributes):
        self.rows[number] |= {"state": "COMPLETE", "value": value, **attributes}

    def fail(self, number, attributes):
        self.rows[number] |= {"state": "FAIL", **attributes}

    def entered(self):
        return self._entered | {row["record"] for row in self.rows if "record" in row}


class Bed:
    """Measures by formula, 0.15 ms for each sample if nothing else is said: N up to about 305 are VALID at 50 ms."""

    def __init__(self, searches, simulated, root, monkeypatch):
        self._searches, self._simulated = searches, simulated
        self.store = Store(root)
        self.failures = {}  # N, or N and the time of a sample: how its next tests fail
        self.refuses = set()
        self.disturbed = {}  # N: how many of its next tests a busy machine makes slower; None takes any N
        self.slower = 10
        self.measured = []
        self.elsewhere = root.with_name("elsewhere")
        self.kill_after = None  # so many tests
        self.on_measured = _ignore
        monkeypatch.setattr(measure, "run_trial", self._run_trial)

    def plan(self, low=1, high=512, algorithm="bisection"):
        question = Question(Domain(low, high), 50_000_000, 99.0, FULL, 0.95)
        return SearchPlan("digits", {}, question, algorithm, self.point(low, None).spec)

    def bench(self, resume=True):
        return Bench(self.store, SimpleNamespace(gpu=None), InterruptGate(), resume)

    def run(self, ledger=None, purse=None, low=1, high=512, algorithm="bisection", **options):
        plan = self.plan(low, high, algorithm)
        searcher = make_searcher(algorithm, plan.question)
        return SearchRun(plan, self, searcher, self.bench(**options), ledger, NOBODY, purse or Purse())

    def point(self, n, query_count, per_sample_ms=0.15):
        if n in self.refuses or (n, per_sample_ms) in self.refuses:
            raise ConfigError(Problem("batch", n, "is too large for this machine", "choose another"))
        return SimpleNamespace(spec=self.spec(n, query_count, per_sample_ms), files=None)

    def spec(self, n, query_count, per_sample_ms):
        return self._simulated(batch=n, queries=query_count or FULL, target_ms=50.0, per_sample_ms=per_sample_ms)

    def _run_trial(self, executor, request, number, on_progress, gate):
        spec = request.spec
        if self.kill_after == 0:
            raise KeyboardInterrupt
        if self.kill_after is not None:
            self.kill_after -= 1
        self.measured.append(spec.samples_per_query)
        per_sample_ms = spec.backend.options["per_sample_ms"]
        n = spec.samples_per_query
        failures = self.failures.get((n, per_sample_ms)) or self.failures.get(n)
        failure = failures.pop(0) if failures else None
        queries = spec.run.min_query_count
        spoilt = next((key for key in (n, None) if self.disturbed.get(key)), "none")
        notes = ()
        if spoilt != "none":
            self.disturbed[spoilt] -= 1
            per_sample_ms, notes = self.slower * per_sample_ms, (f"{BUSY}: other processes used 2 cores",)
        made = self._searches.test(
            n, queries=queries, failure=failure, seed=number, per_sample_ms=per_sample_ms, notes=notes
        )
        test = made.outcome.stored
        self.on_measured(np.load(test.directory / "latencies_ns.npy") if failure is None else np.zeros(0))
        if failure is None:
            shutil.copy(test.directory / "latencies_ns.npy", request.directory)
        return replace(test.result, spec=spec, spec_digest=spec.digest, attempt=number)


@dataclass(frozen=True)
class Job:
    """A joint search over how long a sample takes."""

    bed: Bed
    plan: SearchPlan
    space: tuple
    per_sample_ms: float = 0.15
    settings: int = 12
    seed: int = 0
    trials: int = 30
    min_accuracy: float | None = None
    reference_accuracy: float | None = None

    def point(self, n, query_count):
        return self.bed.point(n, query_count, self.per_sample_ms)

    def accuracy_point(self):
        return self.point(32, 64)

    def reference_point(self):
        return self.point(33, 64)

    def with_setting(self, setting):
        per_sample_ms = setting["backend.per_sample_ms"]
        label = {"backend.per_sample_ms": str(per_sample_ms)}
        plan = replace(self.plan, label=label, spec=self.bed.spec(1, None, per_sample_ms))
        return replace(self, per_sample_ms=per_sample_ms, plan=plan)

    def starting_at(self, n):
        question = self.plan.question
        return replace(
            self, plan=replace(self.plan, question=replace(question, domain=replace(question.domain, low=n)))
        )
