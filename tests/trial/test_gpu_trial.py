"""A backend on a GPU, through the real executor, worker and LoadGen: only the engine and NVML are doubles."""

import csv
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.gpu_doubles import COOL, HOT, FakeGpu, FakeNvml

from sweep.backends.simulated import SimulatedBackend
from sweep.paths import AttemptPaths
from sweep.search.base import Ask
from sweep.store.records import StoredTrial
from sweep.store.table import to_frame
from sweep.study.observe import observation
from sweep.trial.executor import Executor, Timeouts
from sweep.trial.gpu_meter import GpuMeters, TelemetryOptions
from sweep.trial.nvml import NoNvmlError, NvmlGpu
from sweep.trial.result import TrialResult
from sweep.trial.trial import run_trial
from sweep.vocabulary import TrialState, Verdict

OPTIONS = TelemetryOptions(enabled=True, interval_s=0.05, reject=False, cooldown_s=60, retries=2)


@pytest.fixture(autouse=True)
def _on_a_gpu(monkeypatch):
    monkeypatch.setattr(SimulatedBackend, "uses_gpu", True)


@pytest.fixture
def measure(request_for, simulated):
    """Measure a test of half a second on a GPU; return its record and its folder."""

    def run(gpu, options=OPTIONS, **spec):
        request = request_for(simulated(**{"queries": 100, "base_ms": 5.0, **spec}))
        opener = gpu if callable(gpu) else lambda _: gpu
        with Executor(Timeouts(30, 5), GpuMeters(options, opener)) as executor:
            result = run_trial(executor, request, 1)
        return result, AttemptPaths(Path(request.directory))

    return run


def test_a_test_has_its_figures_and_its_series(measure):
    gpu = FakeGpu([replace(COOL, sm_clock_mhz=1700)] * 3 + [COOL])
    result, paths = measure(gpu)
    told = result.telemetry
    assert result.result is Verdict.VALID
    assert (told.gpu, told.uuid, told.throttled) == (gpu.name, "GPU-1", False)
    assert told.readings >= 8
    assert told.energy_source == "counter"
    assert told.energy_per_sample_j == pytest.approx(told.energy_j / (100 * result.spec.samples_per_query))
    rows = list(csv.DictReader(paths.telemetry.open()))
    assert float(rows[0]["time_s"]) < 0 <= float(rows[-1]["time_s"])
    assert sum(float(row["time_s"]) >= 0 for row in rows) == told.readings
    assert not [note for note in result.notes if "GPU" in note]
    assert gpu.closed == 1
    assert TrialResult.from_json(result.to_json(), "here") == result


def test_a_throttled_gpu_is_noted_and_a_valid_test_stays_valid(measure):
    result, paths = measure(FakeGpu([COOL, HOT]))
    assert result.result is Verdict.VALID
    assert result.telemetry.disturbed
    (note,) = [note for note in result.notes if note.startswith("throttled GPU")]
    assert "hw_thermal_slowdown" in note
    assert "resume=false" in note
    stored = StoredTrial(result, paths.directory)
    assert observation(Ask(2, None, ""), result, paths.directory).busy
    row = to_frame([stored]).iloc[0]
    assert row["throttled"]
    assert (row["sm_clock_mhz"], row["temperature_c"]) == (result.telemetry.sm_clock_mhz.mean, 88.0)
    assert row["power_w"] == 300.0
    assert row["energy_per_sample_j"] > 0


def test_the_worker_is_no_other_process_and_a_neighbour_is(measure):
    def listed():
        return [(child.pid, "python") for child in psutil.Process().children()] + [(1, "trainer")]

    result, _ = measure(FakeGpu(processes=listed))
    assert result.telemetry.other_processes == ("1 trainer",)
    (note,) = [note for note in result.notes if note.startswith("shared GPU")]
    assert "1 trainer" in note


@pytest.mark.parametrize("change", [{"base_ms": 20, "target_ms": 5}, {"fault": "throw", "fault_at": 60}])
def test_tests_that_end_early_have_telemetry_too(measure, change):
    result, paths = measure(FakeGpu([HOT]), **change)
    assert result.telemetry.throttled
    assert result.telemetry.energy_j > 0
    assert paths.telemetry.is_file()


def test_a_test_that_never_began_has_none(measure):
    result, paths = measure(FakeGpu(), max_batch=1)
    assert result.state is TrialState.FAILED
    assert result.telemetry is None
    assert not paths.telemetry.exists()


def test_missing_nvml_is_a_note(measure):
    def missing(uuid):
        raise NoNvmlError("pynvml is missing: pip install nvidia-ml-py")

    result, paths = measure(missing)
    assert result.result is Verdict.VALID
    assert result.telemetry is None
    assert "no GPU telemetry: pynvml is missing: pip install nvidia-ml-py" in result.notes
    assert not paths.telemetry.exists()


def test_nvml_that_breaks_in_mid_test_fails_nothing(measure):
    nvml = FakeNvml()
    gpu = NvmlGpu(nvml, None)
    nvml.broken = {"all"}
    result, paths = measure(gpu)
    assert result.result is Verdict.VALID
    assert (result.telemetry.gpu, result.telemetry.throttled, result.telemetry.power_w) == ("NVIDIA A100", None, None)
    row = to_frame([StoredTrial(result, paths.directory)]).iloc[0]
    assert row[["throttled", "power_w", "energy_j"]].isna().all()


def test_telemetry_that_is_off_leaves_no_trace(measure):
    result, paths = measure(FakeGpu(), replace(OPTIONS, enabled=False))
    assert result.telemetry is None
    assert not [note for note in result.notes if "GPU" in note]
    assert not paths.telemetry.exists()


def test_a_backend_without_a_gpu_has_none(measure, monkeypatch):
    monkeypatch.setattr(SimulatedBackend, "uses_gpu", False)
    result, _ = measure(pytest.fail)
    assert result.telemetry is None
