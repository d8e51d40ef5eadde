"""The program as its users run it: real processes, real LoadGen, exit codes, tables, records, signals."""

import csv
import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.processes import wait_for

import sweep as sweep_package

SIMULATED = ["backend=simulated", "run=quick", "backend.base_ms=0.1", "backend.per_sample_ms=0.02"]
SLOW = ["backend=simulated", "run=quick", "backend.base_ms=10", "backend.per_sample_ms=0", "target_latency_ms=50"]
"""About two seconds a point: long enough to be interrupted in."""


@pytest.fixture
def sweep(tmp_path):
    """Run `python -m sweep` in an empty folder."""

    def run(*arguments, expect=0, cwd=tmp_path, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "sweep", *arguments],
            cwd=cwd,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=120,
            check=False,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def _records(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("outputs/trials/*/*/result.json"))]


def _rows(folder):
    (table,) = sorted(folder.glob("outputs/sweeps/*/results.csv"))[-1:]
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_grid_measures_judges_and_names_the_largest_valid_batch(sweep, tmp_path):
    done = sweep(*SIMULATED, "backend.per_sample_ms=0.2", "target_latency_ms=60", "-m", "batch=8,16,512")
    assert re.search(r"^ *8 .* VALID", done.stdout, re.MULTILINE)
    assert re.search(r"^ *512 .* INVALID(, disturbed)? +too slow: \d+ of \d+ over 60 ms$", done.stdout, re.MULTILINE)
    assert re.search(r"^largest VALID: batch=16(, disturbed)? \(p99 [\d.]+ ms\)$", done.stdout, re.MULTILINE)
    assert "stand-in engine" in done.stdout
    rows = _rows(tmp_path)
    assert [(row["samples_per_query"], row["result"]) for row in rows] == [
        ("8", "VALID"),
        ("16", "VALID"),
        ("512", "INVALID"),
    ]


def test_csv_and_parquet_hold_the_same(sweep, tmp_path):
    import pandas as pd

    sweep(*SIMULATED, "-m", "batch=1,2")
    (folder,) = tmp_path.glob("outputs/sweeps/*")
    from_csv, from_parquet = pd.read_csv(folder / "results.csv"), pd.read_parquet(folder / "results.parquet")
    assert list(from_csv.columns) == list(from_parquet.columns)
    assert from_csv["latency_p99_ns"].tolist() == from_parquet["latency_p99_ns"].tolist()


def test_a_single_run_prints_the_latency_table_and_its_checks(sweep, tmp_path):
    done = sweep(*SIMULATED, "batch=4")
    for row in ("min", "median", "mean", "p90", "p99", "max"):
        assert re.search(rf"^{row} +[\d.]+ +[\d.]+$", done.stdout, re.MULTILINE), done.stdout
    assert "performance_constraint: yes" in done.stdout
    assert "result: VALID" in done.stdout
    (record,) = _records(tmp_path)
    logs = next(tmp_path.glob("outputs/trials/*/001"))
    assert f"logs: {logs}" in done.stdout
    summary = (logs / "mlperf_log_summary.txt").read_text()
    p99 = int(re.search(r"99.00 percentile latency \(ns\) *: (\d+)", summary)[1])
    assert record["latencies"]["percentiles"]["p99"] == p99
    assert np.load(logs / "latencies_ns.npy").shape == (record["query_count"],)
    for name in ("spec.json", "user.conf", "worker.log", "mlperf_log_detail.txt"):
        assert (logs / name).is_file()


def test_a_bound_that_is_asked_for_counts_in_every_edition(sweep):
    """Today's rules have no bound; one that is printed beside VALID must hold all the same."""
    late = [*SIMULATED, "rules=current", "batch=8", "target_latency_ms=0.2"]
    out = sweep(*late).stdout
    assert "result: INVALID" in out
    assert "performance_constraint: NO" in out
    assert "result: VALID" in sweep(*late, "target_latency_ms=1000").stdout


def test_a_rerun_reuses_and_resume_false_measures_again(sweep, tmp_path):
    grid = [*SIMULATED, "-m", "batch=3,5"]
    sweep(*grid)
    assert "reused 2 of 2 points" in sweep(*grid).stdout
    assert len(_records(tmp_path)) == 2
    assert "reused" not in sweep("resume=false", *grid).stdout
    assert len(_records(tmp_path)) == 4
    assert "reused" not in sweep("target_latency_ms=7", *grid).stdout


def test_overrides_on_both_sides_of_the_flag_and_flags_anywhere(sweep, tmp_path):
    sweep("-m", "batch=2,3", *SIMULATED)
    sweep(*SIMULATED, "batch=2,3", "--multirun")
    sweep(*SIMULATED, "-m", "batch=2,3", "--config-name", "config")
    assert len(_records(tmp_path)) == 2


def test_several_swept_keys_make_the_product(sweep):
    done = sweep("backend=simulated", "run=quick", "-m", "batch=range(1,3)", "backend.base_ms=0.1,0.2")
    for base in ("0.1", "0.2"):
        assert f"backend.base_ms={base} largest VALID: batch=2" in done.stdout


def test_a_gap_below_the_largest_valid_batch_is_said(sweep, tmp_path):
    sweep(*SIMULATED, "-m", "batch=2,4")
    path = min(tmp_path.glob("outputs/trials/*n2-*/001/result.json"))
    record = json.loads(path.read_text())
    failing = next(c for c in record["checks"] if c["name"] == "performance_constraint")
    failing["holds"], record["result"] = False, "INVALID"
    path.write_text(json.dumps(record))
    assert "largest VALID: batch=4" in (out := sweep(*SIMULATED, "-m", "batch=2,4").stdout)
    assert "not VALID below it: batch=2" in out


@pytest.mark.parametrize(
    "flag", [["--help"], ["--cfg", "job"], ["--cfg", "hydra"], ["--info"], ["--version"], ["--hydra-help"]]
)
def test_flags_that_only_show_something(sweep, tmp_path, flag):
    done = sweep(*flag, "model=mobilenet") if flag[0] == "--cfg" else sweep(*flag)
    assert done.stdout.strip()
    assert not (tmp_path / "outputs").exists()
    if flag == ["--cfg", "job"]:
        assert "name: mobilenet" in done.stdout
    if flag == ["--help"]:
        assert "python -m sweep model=resnet precision=fp32 -m batch=28,29,30,31,32" in done.stdout
        assert re.search(r"^ +model: +digits, mobilenet, onnx, resnet$", done.stdout, re.MULTILINE)


def test_a_users_own_configuration(sweep, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "strict.yaml").write_text(
        "defaults:\n  - config\n  - _self_\nhydra:\n  searchpath: [pkg://sweep.conf]\n"
        "run: quick\ntarget_latency_ms: 1\n"
    )
    done = sweep("--config-dir", "mine", "-cn", "strict", "backend=simulated", "backend.base_ms=0.1", "batch=1")
    assert "p99 <= 1 ms" in done.stdout
    (tmp_path / "mine" / "model" / "theirs.yaml").write_text("name: theirs\n")
    assert "resnet, theirs" in sweep("--help", "--config-dir", "mine").stdout
    assert "Examples:" in sweep("--help", "--config-dir", "mine", "-cn", "strict").stdout


def test_where_a_sweeps_tables_go_can_be_set(sweep, tmp_path):
    sweep(*SIMULATED, "hydra.sweep.dir=tables/one", "-m", "batch=1,2")
    assert (tmp_path / "tables" / "one" / "results.csv").is_file()
    sweep(*SIMULATED, "hydra.run.dir=tables/two", "batch=1")
    assert (tmp_path / "tables" / "two" / "results.parquet").is_file()
    sweep(*SIMULATED, "hydra.run.dir=tables/two", "batch=1")  # the same command goes on in its own folder
    sweep(*SIMULATED, "hydra.run.dir=tables/two", "batch=2", expect=2)
    sweep(*SIMULATED, "outputs=elsewhere", "batch=1")
    assert list(tmp_path.glob("elsewhere/trials/*/001/result.json"))


def test_tab_completion_knows_groups_and_keys(sweep):
    assert "complete" in sweep("-sc", "install=bash").stdout

    def complete(line):
        return sweep("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)), COMP_CWORD="1").stdout.split()

    assert set(complete("sweep model=")) == {"model=digits", "model=mobilenet", "model=onnx", "model=resnet"}
    assert "target_latency_ms=" in complete("sweep target_la")
    assert {"doctor", "ls", "model="} <= set(complete("sweep "))
    assert complete("sweep sh") == ["show"]
    for line in ("sweep ls outp", "python -m sweep ls outp", "sweep report "):
        assert complete(line) == []  # the shell completes names of files then


def test_alone_it_shows_its_help_and_runs_nothing(sweep, tmp_path):
    assert "python -m sweep KEY=VALUE" in sweep().stdout
    assert not any(tmp_path.iterdir())


def test_a_pipe_gets_no_cursor_movement(sweep):
    for word in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        done = sweep(*SIMULATED, "-m", "batch=1,2", **{word: "1"})
        assert not re.search(r"\x1b\[[\d;?]*[^\d;?m]", done.stdout + done.stderr)
    assert "[1/2]" in done.stderr
    done = sweep(*SIMULATED, "search=max_streams", "search.max=4", FORCE_COLOR="1")
    assert not re.search(r"\x1b\[[\d;?]*[^\d;?m]", done.stdout + done.stderr)


def test_passwords_on_the_command_line_are_not_kept(sweep, tmp_path):
    sweep(
        *SIMULATED, "batch=1", "+model.reference_url=https://me:hunter2@host/x", "model.reference_url=https://tok@h/x"
    )
    (manifest,) = tmp_path.glob("outputs/sweeps/*/sweep.json")
    assert "hunter2" not in manifest.read_text()
    assert "tok@" not in manifest.read_text()


def test_killed_in_mid_grid_only_the_rest_is_measured(start, sweep, tmp_path):
    grid = [*SLOW, "-m", "batch=1,2,3,4"]
    process = start(*grid)
    wait_for(lambda: len(_records(tmp_path)) == 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("outputs/trials/*/*/result.json")}
    done = sweep(*grid)
    assert f"reused {len(kept)} of 4 points" in done.stdout
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert len(_records(tmp_path)) == 4
    assert {record["result"] for record in _records(tmp_path)} == {"VALID"}


def test_no_worker_outlives_a_killed_sweep(start, tmp_path):
    process = start(*SLOW, "-m", "batch=1,2,3,4")
    wait_for(lambda: _records(tmp_path))
    (worker,) = wait_for(lambda: psutil.Process(process.pid).children())
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 10)


def test_ctrl_c_keeps_what_is_measured(start, sweep, tmp_path):
    grid = [*SLOW, "-m", "batch=1,2,3,4"]
    process = start(*grid)
    wait_for(lambda: _records(tmp_path))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the group
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted: " in err
    assert "Traceback" not in err
    assert "the same command measures the rest" in err
    assert " VALID" in out
    kept = len(_records(tmp_path))
    assert 1 <= kept < 4
    assert f"reused {kept} of 4 points" in sweep(*grid).stdout


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_scheduler_that_ends_it_gets_its_tables_too(start, tmp_path, name):
    process = start(*SLOW, "-m", "batch=1,2,3,4")
    wait_for(lambda: _records(tmp_path))
    process.send_signal(signal.Signals[name])
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.Signals[name]
    assert f"interrupted by {name}: " in err
    assert " VALID" in out
    assert _rows(tmp_path)


def test_a_killed_worker_is_one_failed_row(start, tmp_path):
    process = start(*SLOW, "-m", "batch=1,2,3")
    wait_for(lambda: _records(tmp_path))
    wait_for(lambda: list(tmp_path.glob("outputs/trials/*n2-*/001/mlperf_log_detail.txt")))
    (worker,) = psutil.Process(process.pid).children()
    worker.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    assert "Traceback" not in err
    assert re.search(r"^2 .* FAILED  .*SIGKILL", out, re.MULTILINE)
    assert re.search(r"^largest VALID: batch=3.*not VALID below it: batch=2$", out, re.MULTILINE)
    assert [row["state"] for row in _rows(tmp_path)] == ["COMPLETE", "FAILED", "COMPLETE"]


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("throw", 1, "FAILED"),
        ("crash", 1, "FAILED"),
        ("short", 1, "FAILED"),
        ("nan", 1, "FAILED"),
        ("late", 0, "INVALID"),
    ],
)
def test_a_faulty_engine_is_never_valid(sweep, tmp_path, fault, code, words):
    done = sweep(*SIMULATED, f"backend.fault={fault}", "backend.fault_at=20", "batch=4", expect=code)
    assert words in done.stdout
    (record,) = _records(tmp_path)
    assert record["result"] != "VALID"


def test_a_hung_engine_is_stopped(sweep, tmp_path):
    done = sweep(*SIMULATED, "backend.fault=hang", "backend.fault_at=5", "timeout.query_s=1", "batch=4", expect=1)
    assert "FAILED" in done.stdout
    assert "timeout" in done.stdout


def test_accuracy_equals_an_independent_count(sweep, tmp_path):
    done = sweep("model=digits", "mode=accuracy", "batch=16")
    found = re.search(r"accuracy=([\d.]+)%, good=(\d+), total=(\d+)", done.stdout)
    (log,) = tmp_path.glob("outputs/trials/*/001/mlperf_log_accuracy.json")
    labels = _held_out_labels()
    answers = {}  # LoadGen fills the last query up with samples it has asked for before
    for entry in json.loads(log.read_text()):
        answers[entry["qsl_idx"]] = struct.unpack("<f", bytes.fromhex(entry["data"]))[0]
    good = sum(answers[index] == label for index, label in enumerate(labels))
    assert (int(found[2]), int(found[3])) == (good, len(labels))
    assert float(found[1]) == pytest.approx(100 * good / len(labels), abs=5e-4)
    assert good / len(labels) >= 0.97


def _held_out_labels():
    (data,) = Path(sweep_package.__file__).parent.rglob("digits.npz")
    with np.load(data) as arrays:
        return arrays["labels"][np.sort(arrays["holdout"])].tolist()


def test_a_model_of_somebody_elses_exporter(sweep, tmp_path):
    for path in sorted((Path(__file__).parents[1] / "data" / "onnx").glob("torch*.onnx")):
        done = sweep("model=onnx", f"model.path={path}", "run=quick", "batch=2")
        assert "result: VALID" in done.stdout or "result: INVALID" in done.stdout
    assert _records(tmp_path)


def test_doctor_says_what_can_run(sweep):
    out = sweep("doctor").stdout
    for word in ("onnxruntime", "simulated", "loadgen", "python"):
        assert word in out.lower()


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_standard_streams_are_no_trouble(tmp_path, closed):
    command = f"{sys.executable} -m sweep {' '.join(SIMULATED)} batch=1 {closed}"
    done = subprocess.run(command, shell=True, check=False, cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "result: VALID" in done.stdout


def test_without_a_standard_output_records_are_kept(tmp_path):
    command = f"{sys.executable} -m sweep {' '.join(SIMULATED)} batch=1 >&-"
    assert subprocess.run(command, shell=True, check=False, cwd=tmp_path, timeout=60).returncode == 0
    assert [record["result"] for record in _records(tmp_path)] == ["VALID"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "arguments", ["doctor", "--help", "--cfg job", "backend=simulated run=quick backend.per_sample_ms=0"]
)
def test_a_full_standard_output_is_one_line(tmp_path, arguments):
    command = f"{sys.executable} -m sweep {arguments} > /dev/full"
    done = subprocess.run(command, shell=True, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Error executing job" not in done.stderr
    assert done.stderr.splitlines()[-1] == "error: standard output cannot be written: No space left on device"
    assert "Traceback" not in done.stderr


def test_reading_the_output_with_head_is_no_error(tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m sweep --cfg all | head -1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        check=False,
        executable="/bin/bash",
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["\udce9t\udce9", "模型"], ids=["no UTF-8", "not Latin"])
def test_names_in_any_alphabet_and_in_none(sweep, tmp_path, name):
    """Of the working directory, the model, the outputs and the sweep; folders of trials have ASCII names."""
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(Path(__file__).parents[1] / "data" / "onnx" / "torch_inline.onnx", folder / f"{name}.onnx")
    for model in Path(__file__).parents[1].glob("data/onnx/torch_external*"):
        shutil.copy(model, folder)
    quick = ("run=quick", "batch=1", "model=onnx", "backend=onnxruntime")

    def run(*arguments, expect=0):
        return sweep(*arguments, cwd=folder, expect=expect)

    run(*quick, f"model.path={name}.onnx", f"outputs={name}")
    run(*quick, f"model.path={folder}/torch_external.onnx", "precision=fp16")
    run(*quick, f"model.path={name}.onnx", f"hydra.sweep.dir=sweeps{name}", "-m", "precision=fp32,fp16")
    (record,) = folder.glob(f"{name}/trials/*/001/result.json")
    assert record.parent.parent.name.isascii()
    assert json.loads(record.read_bytes())["model_path"] == str(folder / f"{name}.onnx")
    for kind in ("html", "md", "csv", "json"):
        run("report", name, "--format", kind)
    paths = run("ls", name, "--format", "paths").stdout
    assert (folder / paths.strip()) == record.parent
    assert len(json.loads(run("ls", name, "--format", "json").stdout)) == 1
    run("show", record.parent.parent.name, name)
    run("pack", "x.zip", name)
    run("unpack", "x.zip", "--outputs", f"new{name}")
    run(*SIMULATED, "batch=1", f"hydra.run.dir={name}", expect=2)


@pytest.mark.parametrize("arguments", [["ls"], ["model=digits", "run=quick", "batch=1"]], ids=" ".join)
def test_a_limit_of_memory_ends_in_one_line(tmp_path, arguments):
    """Which comes at any place: where code is loaded, for example."""
    limit = 60_000_000
    done = subprocess.run(
        [sys.executable, "-m", "sweep", *arguments],
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if "error: out of memory" in line]
    assert len(done.stderr.splitlines()) == 1
