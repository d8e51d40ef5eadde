"""The program on GPUs, as its users run it: pools, pins, locks between processes, signals."""

import csv
import json
import re
import signal
import time

import pytest
from tests.gpus import card, environment
from tests.processes import wait_for

FAST = ["backend=simulated", "backend.name=fake_gpu", "run=quick", "backend.base_ms=0.5", "target_latency_ms=50"]
SLOW = [*FAST[:3], "backend.base_ms=20", "target_latency_ms=90", "backend.per_sample_ms=0"]
"""About four seconds a point."""

pytestmark = pytest.mark.usefixtures("idle")


@pytest.fixture(autouse=True)
def _machine(tmp_path, monkeypatch):
    """Have two like GPUs and another one."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in environment(tmp_path / "machine", [card(0), card(1), card(2, name="NVIDIA A100")]).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def sweep(start):
    """Run it to its end; return what it printed and said."""

    def run(*arguments, expect=0, **variables):
        process = start(*arguments, **variables)
        out, err = process.communicate(timeout=120)
        assert process.returncode == expect, out + err
        assert "Traceback" not in err
        return out, err

    return run


def _records(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("outputs/trials/*/*/result.json"))]


def _uuids(folder):
    return [record["environment"]["gpus"][0]["uuid"] for record in _records(folder)]


def test_a_pool_shows_its_points_in_the_order_that_was_typed(sweep, tmp_path):
    out, _ = sweep(*FAST, "device=[0,1]", "-m", "batch=8,2,4,1")
    assert re.findall(r"^(\d) +[\d.]+ .*VALID", out, re.MULTILINE) == ["8", "2", "4", "1"]
    assert "largest VALID: batch=8" in out
    assert len(set(_uuids(tmp_path))) == 2
    (table,) = tmp_path.glob("outputs/sweeps/*/results.csv")
    rows = list(csv.DictReader(table.open()))
    assert [row["samples_per_query"] for row in rows] == ["8", "2", "4", "1"]
    assert {row["gpu_uuid"] for row in rows} == set(_uuids(tmp_path))
    assert {row["gpu"] for row in rows} == {"NVIDIA H100"}
    for record in _records(tmp_path):
        assert record["engine"]["CUDA_VISIBLE_DEVICES"] == record["environment"]["gpus"][0]["uuid"]
    out, _ = sweep(*FAST, "device=1", "-m", "batch=8,2,4,1")
    assert "reused 4 of 4 points" in out, "a like GPU has run them"
    out, _ = sweep(*FAST, "device=2", "-m", "batch=8,2")
    assert "reused" not in out, "an unlike one has not"
    out, _ = sweep(*FAST, "device=all", "-m", "batch=8,1")
    assert "reused 2 of 2 points" in out


def test_pinned_points_are_compared_not_reused(sweep, tmp_path):
    out, _ = sweep(*FAST, "batch=2", "-m", "device=0,1,2")
    assert re.findall(r"^(\d) +2 .*VALID", out, re.MULTILINE) == ["0", "1", "2"]
    assert "reused" not in out
    assert len(set(_uuids(tmp_path))) == 3


def test_cuda_visible_devices_is_honoured(sweep, tmp_path):
    sweep(*FAST, "batch=2", CUDA_VISIBLE_DEVICES="2")
    (record,) = _records(tmp_path)
    assert record["environment"]["gpus"][0]["name"] == "NVIDIA A100"
    assert record["engine"]["CUDA_VISIBLE_DEVICES"] == record["environment"]["gpus"][0]["uuid"]


@pytest.mark.parametrize(
    ("device", "line"),
    [
        ("3", "error: device=3: there is no GPU 3; choose one of: 0 (NVIDIA H100), 1 (NVIDIA H100), 2 (NVIDIA A100)"),
        ("first", "error: device=first: must be the number of a GPU, a list of numbers, or all; for example device=0"),
        ("[1,1]", "error: device=[1, 1]: names GPU 1 more than once; name each one once"),
    ],
)
def test_a_wrong_device_is_one_line(sweep, tmp_path, device, line):
    _, err = sweep(*FAST, f"device={device}", expect=2)
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert not (tmp_path / "outputs" / "trials").exists()


def test_a_backend_for_the_cpu_says_that_it_reads_no_device(sweep):
    _, err = sweep("backend=simulated", "run=quick", "backend.per_sample_ms=0", "device=7")
    assert "note: device=7 is not read: backend simulated runs on the CPU" in err
    _, err = sweep("backend=simulated", "run=quick", "backend.per_sample_ms=0", "resume=false")
    assert "device" not in err


def test_two_sweeps_of_one_gpu_run_one_after_the_other(start, tmp_path):
    """The second says for whom it waits; killed, the first gives the GPU back at once."""
    first = start(*SLOW, "-m", "batch=1,2,3,4")
    wait_for(lambda: list(tmp_path.glob("outputs/trials/*/001/mlperf_log_detail.txt")))
    second = start(*FAST, "outputs=other", "batch=2")
    line = second.stderr.readline()
    expected = f"waiting for GPU 0 (NVIDIA H100): process {first.pid} tests on it (GPU-"
    assert line.startswith(expected), line
    assert not (tmp_path / "other" / "trials").exists()
    elsewhere = start(*FAST, "outputs=elsewhere", "batch=2", "device=1")
    elsewhere.communicate(timeout=60)
    assert elsewhere.returncode == 0, "another GPU is free"
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, out + err
    assert "result: VALID" in out


def test_ctrl_c_works_while_a_sweep_waits(start, tmp_path):
    start(*SLOW, "-m", "batch=1,2,3,4")
    wait_for(lambda: list(tmp_path.glob("outputs/trials/*/001/mlperf_log_detail.txt")))
    second = start(*FAST, "outputs=other", "batch=2")
    assert second.stderr.readline().startswith("waiting for GPU 0")
    second.send_signal(signal.SIGINT)
    _, err = second.communicate(timeout=20)
    assert second.returncode == 130
    assert "interrupted: none of 1 points was finished" in err


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_stops_all_running_tests_and_keeps_the_rest(start, sweep, tmp_path, name):
    grid = [*SLOW, "device=[0,1]", "-m", "batch=1,2,3,4"]
    process = start(*grid)
    wait_for(lambda: len(_records(tmp_path)) >= 2)
    begin = time.monotonic()
    process.send_signal(signal.Signals[name])
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert process.returncode == 128 + signal.Signals[name]
    kept = len(_records(tmp_path))
    assert 2 <= kept < 4
    assert f"{kept} of 4 points are measured and kept; the same command measures the rest" in err
    assert len(re.findall(r"^\d +[\d.]+ .*VALID", out, re.MULTILINE)) == kept
    (manifest,) = tmp_path.glob("outputs/sweeps/*/sweep.json")
    assert len(json.loads(manifest.read_text())["trials"]) == kept
    out, _ = sweep(*grid)
    assert f"reused {kept} of 4 points" in out
    assert re.findall(r"^(\d) +[\d.]+ .*VALID", out, re.MULTILINE) == ["1", "2", "3", "4"]


def test_searches_pinned_to_like_gpus_are_studies_of_their_own(sweep, tmp_path):
    out, _ = sweep(*FAST, "search=max_streams", "search.max=2", "search.algorithm=grid", "-m", "device=0,1")
    assert len(list(tmp_path.glob("outputs/sweeps/*/max_streams-*.json"))) == 2
    assert sorted(set(_uuids(tmp_path))) == sorted(card(index)["uuid"] for index in (0, 1))
    assert "device" in out


def test_a_search_runs_on_the_first_gpu_of_a_pool_and_says_so(sweep, tmp_path):
    small = ["search.max=4", "search.algorithm=grid"]
    out, err = sweep(*FAST, "search=max_streams", *small, "device=[1,0]")
    assert "note: a search runs one test after the other" in err
    assert "all of them on GPU 1 (NVIDIA H100)" in err
    assert "max streams" in out
    (uuid,) = set(_uuids(tmp_path))
    assert uuid == card(1)["uuid"]
    tests = len(_records(tmp_path))
    sweep(*FAST, "search=max_streams", *small, "device=0")
    assert len(_records(tmp_path)) == tests, "a like GPU has run them"
