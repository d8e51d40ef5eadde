"""The command line with a GPU that gets hot: one that is a double, under the real executor, worker and LoadGen."""

import csv
import json

import pytest
from tests.gpu_doubles import COOL, HOT, FakeGpu
from tests.gpus import card

from sweep.backends.simulated import SimulatedBackend
from sweep.cli import main
from sweep.study import rejection
from sweep.trial import gpu_meter
from sweep.trial.nvml import NoNvmlError

pytestmark = pytest.mark.usefixtures("idle")

SIMULATED = ["backend=simulated", "run=quick", "backend.base_ms=1", "backend.per_sample_ms=0.02"]
SEARCH = [*SIMULATED, "search=max_streams", "search.max=2", "search.algorithm=bisection", "run=quick"]


@pytest.fixture
def gpu(gpu_machine, empty_folder, monkeypatch):
    """The machine's one GPU, which is hot for the first tests and cool again after as many cool-downs as are set."""
    monkeypatch.setattr(SimulatedBackend, "uses_gpu", True)
    (only,) = gpu_machine(card(0))
    gpu = FakeGpu(uuid=only.uuid)
    gpu.hot_for = 0

    def opened(uuid):
        assert uuid == gpu.uuid
        return gpu

    def cool_down(device, limit_s, sleep):
        gpu.hot_for -= 1
        gpu.readings = [HOT if gpu.hot_for > 0 else COOL]
        return True

    def heat(cool_downs):
        gpu.hot_for, gpu.readings = cool_downs, [HOT if cool_downs else COOL]

    gpu.heat = heat
    monkeypatch.setattr(gpu_meter, "open_gpu", opened)
    monkeypatch.setattr(rejection, "open_gpu", opened)
    monkeypatch.setattr(rejection, "cool_down", cool_down)
    return gpu


def _attempts(tmp_path):
    found = sorted(tmp_path.glob("outputs/trials/*/*/result.json"))
    return [json.loads(one.read_text())["telemetry"]["throttled"] for one in found]


def _table(tmp_path):
    newest = max(tmp_path.glob("outputs/sweeps/*/results.csv"), key=lambda path: path.stat().st_mtime_ns)
    with newest.open() as file:
        return list(csv.DictReader(file))


def test_a_single_test_shows_its_gpu_and_what_disturbed_it(gpu, tmp_path, capfd):
    gpu.heat(1)
    assert main([*SIMULATED, "batch=2"]) == 0
    out = capfd.readouterr().out
    assert "NVIDIA H100 80GB HBM3: SM clock 1200 MHz, memory 2619 MHz, 300 W of 700 W at most, up to 88 °C, " in out
    assert "J per sample" in out
    assert "note: throttled GPU: hw_slowdown 100 %, hw_thermal_slowdown 100 % of the time" in out
    assert "result: VALID" in out
    assert _attempts(tmp_path) == [True]
    (row,) = _table(tmp_path)
    assert (row["throttled"], row["temperature_c"], row["sm_clock_mhz"]) == ("True", "88.0", "1200.0")


def test_a_grid_marks_the_points_that_were_disturbed(gpu, capfd):
    gpu.heat(1)
    assert main([*SIMULATED, "-m", "batch=1,2,3"]) == 0
    assert "note: throttled GPU at 3 points; measure them again when it is cool\n" in capfd.readouterr().out


def test_reject_measures_again_keeps_all_and_reuses_what_stands(gpu, tmp_path, capfd):
    gpu.heat(2)
    command = [*SIMULATED, "telemetry.reject=true", "-m", "batch=1,2"]
    assert main(command) == 0
    captured = capfd.readouterr()
    assert captured.err.count("measured again (1 of 2)") == captured.err.count("measured again (2 of 2)") == 1
    assert "throttled" not in captured.out
    assert _attempts(tmp_path) == [True, True, False, False]
    gpu.heat(9)
    assert main(command) == 0
    assert "reused 2 of 2 points" in capfd.readouterr().out
    assert _attempts(tmp_path) == [True, True, False, False]


def test_when_every_try_is_disturbed_the_last_one_is_taken_and_reused(gpu, tmp_path, capfd):
    gpu.heat(99)
    command = [*SIMULATED, "telemetry.reject=true", "telemetry.retries=1", "batch=2"]
    for _ in range(2):
        assert main(command) == 0
        assert "note: taken all the same: each of its 2 tries was disturbed" in capfd.readouterr().out
    assert _attempts(tmp_path) == [True, True]


def test_a_search_rejects_too_and_goes_on_from_what_stands(gpu, tmp_path, capfd):
    gpu.heat(1)
    assert main([*SEARCH, "telemetry.reject=true"]) == 0
    first = capfd.readouterr()
    assert first.err.count("measured again (1 of 2)") == 1
    assert "throttled" not in first.out
    attempts = _attempts(tmp_path)
    assert attempts.count(True) == 1
    gpu.heat(99)
    assert main([*SEARCH, "telemetry.reject=true"]) == 0
    assert _attempts(tmp_path) == attempts


def test_a_search_says_which_tests_were_disturbed(gpu, capfd):
    gpu.heat(99)
    assert main(SEARCH) == 0
    captured = capfd.readouterr()
    assert ", throttled GPU)" in captured.err
    assert "note: throttled GPU" in captured.out


def test_without_nvml_a_note_says_what_to_install(gpu, monkeypatch, capfd):
    def missing(uuid):
        raise NoNvmlError("pynvml is missing: pip install nvidia-ml-py")

    monkeypatch.setattr(gpu_meter, "open_gpu", missing)
    assert main([*SIMULATED, "batch=2", "telemetry.reject=true"]) == 0
    out = capfd.readouterr().out
    assert "note: no GPU telemetry: pynvml is missing: pip install nvidia-ml-py" in out
    assert "result: VALID" in out


def test_telemetry_is_no_part_of_what_was_measured(gpu, capfd):
    assert main([*SIMULATED, "batch=2"]) == 0
    assert main([*SIMULATED, "batch=2", "telemetry.enabled=false", "telemetry.interval_ms=500"]) == 0
    assert "measured before" in capfd.readouterr().out
