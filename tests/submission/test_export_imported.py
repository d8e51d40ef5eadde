"""Tests of 2020 that were imported, exported again: the tree that the tool of that time made of them."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from sweep.cli import main
from sweep.loadgen.accuracy import Accuracy
from sweep.trial.imported import Imported
from sweep.trial.result import Latencies
from sweep.trial.spec import RulesSpec, RunSpec
from sweep.trial.verdict import Check
from sweep.vocabulary import Precision, RunClass, Verdict, Weights

DATA = Path(__file__).parent.parent / "data"
EXAMPLE = DATA / "submission" / "v0.7_example"
LOGS = DATA / "loadgen_logs"
CHECKS = ("loadgen_result", "min_duration", "min_queries", "performance_constraint", "no_errors")
PLATFORM = {"platform": "NVIDIA Jetson AGX Xavier", "os": "linux-64", "packages": {"tensorrt": ""}}
SYSTEM = "xavier-tensorrt-v6.0"
RESULT = f"{SYSTEM}/resnet50/multistream"
NEW = {
    "code/resnet50/image-classification-tensorrt-loadgen-py/README.md",
    "documentation/calibration.md",
}
"""What the example has elsewhere: its code was one folder for all, its note on calibration is not among its files."""
NOT_IN_ENTRIES = {
    f"measurements/{RESULT}/submission_checklist.txt",
    f"results/{RESULT}/accuracy/mlperf_log_detail.txt",
}
"""What entries of the tool do not hold; nor do they hold the compliance tests."""


@pytest.fixture
def entries(official):
    """Write the example's two tests as they are imported."""
    imported = Imported(
        source="ck",
        entry="mlperf.closed.image-classification.xavier.tensorrt.resnet50.multistream.performance",
        point="09bee4642a11bd29.0001",
        imported_at="2026-11-26T12:00:00+00:00",
        division="closed",
        system="xavier",
        system_name="NVIDIA Jetson AGX Xavier",
        implementation="image-classification-tensorrt-loadgen-py",
        benchmark="resnet50",
        settings={"CK_BATCH_SIZE": "70"},
        description={"retraining": "no", "input_data_types": "int8"},
    )
    model = {"name": "resnet50", "weights": Weights.UNKNOWN, "digest": "", "inputs": (), "number_format": "int8"}
    spec = {"n": 70, "seeds": "v0.7", "model": model, "dataset": {"name": "imagenet", "digest": "", "count": 50_000}}
    spec |= {"precision": Precision.INT8, "rules": RulesSpec("v0.7", CHECKS, 50_000_000, 99.0)}
    spec["run"] = dataclasses.asdict(RunSpec(RunClass.OFFICIAL, 270_336, 272_160, 60_000, 0))
    checks = tuple(Check(name, True, True, "") for name in CHECKS)
    latencies = Latencies("loadgen", 48_311_112, 48_575_300, 52_252_272, {"p99": 49_305_533})
    record = {"imported": imported, "result": Verdict.VALID, "checks": checks, "why": "", "latencies": latencies}
    machine = {"cpu": None, "cpu_cores": None, "memory_bytes": None, "python": None, "sweep": None, **PLATFORM}
    test = official.performance(machine=machine, record=record, **spec)
    summary = (LOGS / "v0.7_example_performance_summary.txt").read_bytes()
    (test.directory / "mlperf_log_summary.txt").write_bytes(summary)
    (test.directory / "mlperf_log_detail.txt").write_text(detail(summary.decode()))
    (test.directory / "user.conf").write_text("resnet50.MultiStream.max_query_count = 272160\n")
    score = {"imported": imported, "accuracy": Accuracy(38_129, 50_000, 76.258)}
    accuracy = official.accuracy(answers=range(111), machine=machine, record=score, **spec)
    (accuracy.directory / "mlperf_log_detail.txt").unlink()
    answers = (LOGS / "v0.7_example_accuracy_shortened.json").read_bytes()
    (accuracy.directory / "mlperf_log_accuracy.json").write_bytes(answers)
    return official


def detail(summary):
    """Return the example's detail log, as far as rules read it: in plain text, as LoadGen wrote it then."""
    settings = summary.partition("Test Parameters Used")[2].splitlines()[2:]
    texts = [
        "version : .5a1 @ 818cbe272a",
        "QSL total size: 1024",
        "Effective Settings:",
        "Scenario : Multi Stream",
        "Test mode : Performance",
        *(line for line in settings if " : " in line or "): " in line),
        'POWER_BEGIN: "mode" : Performance, "time" : 09-22-2020 15:58:49.051',
        'POWER_END: "mode" : Performance, "time" : 09-22-2020 19:44:17.499',
    ]
    return "".join(f'"pid": 1, "tid": 1, "ts": 1ns : {text}\n' for text in texts)


def export(capsys, root, *arguments):
    code = main(["submission", "export", str(root), *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_v07_of_the_examples_entries_is_the_example(entries, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["submission", "init", str(entries.root), "--submitter", "Dividiti", "--out", "s.yaml"]) == 0
    text = Path("s.yaml").read_text().replace('"not stated"', '"stated"')
    Path("s.yaml").write_text(text.replace("xavier-onnxruntime:", f"{SYSTEM}:"))
    capsys.readouterr()
    code, out, err = export(capsys, entries.root, "--round", "v0.7", "--division", "closed", "--system-file", "s.yaml")
    assert (code, err) == (0, "")
    assert "70 samples per query, p99 49.31 ms, accuracy 76.258 %" in out
    assert "was shortened before it was imported" in out

    root = tmp_path / "submission-v0.7/closed/Dividiti"
    ours = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    theirs = {line.removeprefix("closed/Dividiti/") for line in (EXAMPLE / "TREE.txt").read_text().split()}
    theirs = {path for path in theirs if not path.startswith("compliance/")}
    assert (ours - theirs, theirs - ours) == (NEW, NOT_IN_ENTRIES)
    measured = f"measurements/{RESULT}/{SYSTEM}_image-classification-tensorrt-loadgen-py.json"
    for made, example in ((f"systems/{SYSTEM}.json", "system.json"), (measured, "measurements.json")):
        assert list(json.loads((root / made).read_text())) == list(json.loads((EXAMPLE / example).read_text()))
    answers = (LOGS / "v0.7_example_accuracy_shortened.json").read_bytes()
    assert (root / f"results/{RESULT}/accuracy/mlperf_log_accuracy.json").read_bytes() == answers
    line, hashed = (root / f"results/{RESULT}/accuracy/accuracy.txt").read_text().splitlines()
    assert line == "accuracy=76.258%, good=38129, total=50000"
    assert hashed == f"hash={hashlib.sha256(answers).hexdigest()}"
    summary = (LOGS / "v0.7_example_performance_summary.txt").read_bytes()
    assert (root / f"results/{RESULT}/performance/run_1/mlperf_log_summary.txt").read_bytes() == summary
    assert "*.*.qsl_rng_seed = 12786827339337101903" in (root / f"measurements/{RESULT}/mlperf.conf").read_text()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("--round v5.1 --division closed", "random seeds of v0.7, not of v5.1: it can only be in a submission to that"),
        ("--round v0.7 --division open", "imported as an entry of closed"),
    ],
)
def test_an_imported_test_is_in_the_round_and_division_that_it_was_made_for(entries, capsys, arguments, reason):
    code, _, err = export(capsys, entries.root, *arguments.split(), "--submitter", "Us")
    assert code == 2
    assert reason in err
