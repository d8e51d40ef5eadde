"""Fixtures shared by all tests."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sweep.datasets.base import DatasetConfig
from sweep.models.base import TensorSpec
from sweep.trial.messages import RunRequest, TrialFiles
from sweep.trial.spec import BackendSpec, DatasetSpec, ModelSpec, RulesSpec, RunSpec, TrialSpec
from sweep.vocabulary import AbortRule, Precision, RunClass, Scenario, TestMode, Weights

INPUTS = (TensorSpec("samples", "uint8", (1,)),)


_LONGEST = ("test_benchmarks.py", "test_browser.py", "test_sweep.py", "test_bad_input.py")
"""Files that are begun first, so that no process is left with one of them at the end."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _own_locks(tmp_path_factory):
    """Have no test wait for the CPU that another process of this test run, or a sweep of the user's, tests on."""
    os.environ["SWEEP_LOCKS"] = str(tmp_path_factory.mktemp("locks"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep tests out of the user's cache, and one test run's files warm for all its tests."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # the tests import ONNX Runtime themselves, too
    if "SWEEP_CACHE" not in os.environ:
        base = tmp_path_factory.getbasetemp()
        # The processes of one run (pytest-xdist) have their folders side by side.
        shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        os.environ["SWEEP_CACHE"] = str(shared / "cache")


@pytest.fixture
def idle(monkeypatch):
    """Whatever else runs here: what a busy machine made INVALID would be measured again, and be no proof."""
    monkeypatch.setattr("sweep.trial.machine_load.BUSY_CORES", 1e9)
    monkeypatch.setattr("sweep.trial.machine_load.BUSY_STEAL", 1e9)


@pytest.fixture
def simulated():
    """Make specs of trials on the simulated backend: `simulated(batch=8, per_sample_ms=1.0, ...)`."""
    from sweep.backends.simulated import SimulatedBackend
    from sweep.datasets import open_dataset

    dataset = open_dataset(DatasetConfig("synthetic", count=64), INPUTS, Path("unused"))

    def make(
        batch=2, queries=50, target_ms=1000.0, checks=None, abort=AbortRule.CONFIDENT, min_duration_ms=0, **options
    ):
        options = {"base_ms": 0.1, "per_sample_ms": 0.05, **options}
        return TrialSpec(
            scenario=Scenario.MULTI_STREAM,
            mode=TestMode.PERFORMANCE,
            model=ModelSpec("digits", Weights.NONE, "none", INPUTS, predicts_class=True, number_format="", changed=()),
            precision=Precision.FP32,
            backend=BackendSpec("simulated", SimulatedBackend.validate_options(options)),
            dataset=DatasetSpec("synthetic", dataset.digest, 64, 64),
            samples_per_query=batch,
            engine_batch=batch,
            rules=RulesSpec(
                "v0.5",
                checks or ("min_duration", "min_queries", "performance_constraint", "no_errors"),
                None if target_ms is None else int(target_ms * 1e6),
                99.0,
            ),
            run=RunSpec(RunClass.QUICK, queries, 0, min_duration_ms, 0),
            abort=abort,
        )

    return make


@pytest.fixture
def request_for(tmp_path):
    """Make the request that measures a spec of the simulated backend, in a folder of its own."""
    made = []

    def make(spec, **changes):
        directory = tmp_path / f"trial-{len(made)}"
        directory.mkdir()
        made.append(directory)
        files = TrialFiles(None, DatasetConfig("synthetic", count=64), str(tmp_path / "cache"))
        return replace(RunRequest(spec, files, str(directory)), **changes)

    return make


@pytest.fixture
def gpu_machine(tmp_path, monkeypatch):
    """Have this process and its workers see GPUs, `gpu_machine(card(0), card(1))`, and backends for them."""
    from tests import gpus

    from sweep import gpus as module
    from sweep.backends import registry
    from sweep.environment import fingerprint

    def forget():
        for cached in (module.gpus, module._list, fingerprint, registry._entry_points):
            cached.cache_clear()

    def install(*cards):
        for name, value in gpus.environment(tmp_path / "machine", cards).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.syspath_prepend(str(tmp_path / "machine" / "plugins"))
        forget()
        return module.usable_gpus()

    yield install
    monkeypatch.undo()
    sys.modules.pop("fake_gpu", None)
    forget()


@pytest.fixture
def searches(simulated, request_for, tmp_path):
    """Make outcomes of searches by hand: `searches.exact()`, `searches.interval(notes=(...))`, ..."""
    from tests.searches import Searches

    return Searches(simulated, request_for, tmp_path / "sweeps" / "now")
