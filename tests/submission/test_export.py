"""`sweep submission export`: the tree that is written, and when none is."""

import hashlib
import json
import re
import struct

import pytest
from tests.submission.official import SIZE, small

from sweep.cli import main
from sweep.datasets import DatasetConfig, open_dataset
from sweep.submission import documents, export, rounds
from sweep.vocabulary import RunClass, Weights

SYSTEM = "cpu-of-tests-8-cores-onnxruntime"


@pytest.fixture(autouse=True)
def _small_rounds(monkeypatch, tmp_path):
    for name in rounds.ROUNDS:
        monkeypatch.setitem(rounds.ROUNDS, name, small(name))
    monkeypatch.chdir(tmp_path)


def run(capsys, *arguments):
    code = main(["submission", "export", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def exported(capsys, official, name="v5.1", *more, division="open"):
    code, out, err = run(
        capsys, official.root, "--round", name, "--division", division, "--submitter", "Us", "--out", "tree", *more
    )
    return code, out, err


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_tree_of_v51_has_every_file_that_its_checker_wants(official, capsys, tmp_path):
    test, accuracy = official.performance(), official.accuracy()
    code, out, err = exported(capsys, official)
    assert (code, err) == (0, "")
    result = f"{SYSTEM}/digits/MultiStream"
    assert files(tmp_path / "tree") == [
        "open/Us/code/digits/sweep-onnxruntime/README.md",
        "open/Us/documentation/calibration.md",
        f"open/Us/measurements/{result}/README.md",
        f"open/Us/measurements/{result}/{SYSTEM}_sweep-onnxruntime_MultiStream.json",
        f"open/Us/measurements/{result}/user.conf",
        "open/Us/model_mapping.json",
        f"open/Us/results/{result}/accuracy/accuracy.txt",
        f"open/Us/results/{result}/accuracy/mlperf_log_accuracy.json",
        f"open/Us/results/{result}/accuracy/mlperf_log_detail.txt",
        f"open/Us/results/{result}/accuracy/mlperf_log_summary.txt",
        f"open/Us/results/{result}/performance/run_1/mlperf_log_detail.txt",
        f"open/Us/results/{result}/performance/run_1/mlperf_log_summary.txt",
        f"open/Us/systems/{SYSTEM}.json",
    ]
    ours = tmp_path / "tree/open/Us"
    logs = ours / "results" / result
    for name in ("mlperf_log_detail.txt", "mlperf_log_summary.txt"):
        assert (logs / "performance/run_1" / name).read_bytes() == (test.directory / name).read_bytes()
        assert (logs / "accuracy" / name).read_bytes() == (accuracy.directory / name).read_bytes()
    answers = (accuracy.directory / "mlperf_log_accuracy.json").read_bytes()
    digest = hashlib.sha256(answers).hexdigest()
    assert (logs / "accuracy/accuracy.txt").read_text() == f"accuracy=99.600%, good=498, total=500\nhash={digest}\n"
    assert (logs / "accuracy/mlperf_log_accuracy.json").read_bytes() == export.shortened(answers) != answers
    assert json.loads((ours / "model_mapping.json").read_text()) == {"digits": "resnet"}
    system = json.loads((ours / "systems" / f"{SYSTEM}.json").read_text())
    assert tuple(system) == rounds.ROUNDS["v5.1"].system_fields
    assert [field for field in rounds.ROUNDS["v5.1"].meaningful if not system[field]] == []
    assert system["accelerators_per_node"] == "0"
    assert system["framework"] == "ONNX Runtime 1.32.0"
    assert "not stated" in out
    assert "next: python -m sweep submission check tree --round v5.1" in out


def test_v60_has_measurements_beside_the_logs(official, capsys, tmp_path):
    official.performance(seeds="v6.0")
    official.accuracy()
    assert exported(capsys, official, "v6.0")[0] == 0
    found = files(tmp_path / "tree/open/Us")
    flat = f"results/{SYSTEM}/digits/MultiStream"
    assert {f"{flat}/measurements.json", f"{flat}/user.conf", f"{flat}/README.md"} <= set(found)
    assert "src/digits/sweep-onnxruntime/README.md" in found
    assert not any(path.startswith(("measurements/", "code/")) for path in found)


def test_v41_gets_an_mlperf_conf_of_the_settings_in_the_log(official, capsys, tmp_path):
    official.performance(seeds="v4.1")
    official.accuracy()
    assert exported(capsys, official, "v4.1")[0] == 0
    (conf,) = (tmp_path / "tree").rglob("mlperf.conf")
    lines = conf.read_text().splitlines()
    assert "Made by sweep" in lines[0]
    assert "*.*.qsl_rng_seed = 3066443479025735752" in lines
    assert "*.*.min_duration = 600000" in lines
    assert "*.MultiStream.target_latency_percentile = 99" in lines


def test_an_old_round_takes_the_largest_n_within_the_bound(official, capsys, tmp_path):
    for n in (16, 32, 31):
        official.performance(
            n=n, seeds="v0.7", bound_ms=100 if n == 32 else 50, p99=60_000_000 if n == 32 else 9_000_000
        )
    official.accuracy()
    code, out, _ = exported(capsys, official, "v0.7")
    assert code == 0
    assert "31 samples per query, p99 9 ms" in out
    assert "p99 60000000 ns, and the bound of resnet in v0.7 is 50 ms" in out
    assert "not the best: 16 samples per query" in out
    # No mapping yet: the model lies under its benchmark's name.
    assert (tmp_path / f"tree/open/Us/results/{SYSTEM}/resnet/multistream").is_dir()


def test_a_modern_round_takes_the_smallest_estimate_of_early_stopping(official, capsys):
    official.performance(p99=400_000, estimate=900_000)
    official.performance(p99=500_000, estimate=600_000, backend={"threads": 1})
    official.accuracy()
    code, out, _ = exported(capsys, official)
    assert code == 0
    assert "exported open/Us: cpu-of-tests-8-cores-onnxruntime, digits, MultiStream: 0.6 ms" in out
    assert "not the best: 0.9 ms" in out


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"run": {"run_class": RunClass.SCREENING}}, "a screening test, not an official one"),
        ({"seeds": None}, "random seeds of v6.1, not of v5.1: run again with seeds=v5.1"),
        ({"log": {"min_duration_ms": 60_000}}, "min_duration_ms was 60000, and v5.1 demands 600000"),
        ({"n": 16}, "N=16, and v5.1 fixes it to 8"),
        ({"log": {"samples_per_query": 4}}, "says N=4, the record N=8"),
        ({"dataset": {"performance_sample_count": 8}}, "8 samples in memory, and resnet needs 64"),
        ({"errors": 2, "record": {"judge_version": 1}}, "2 errors in the log"),
        ({"log": {"performance_issue_same": 1}}, "an audit's test"),
        ({"model": {"weights": Weights.SYNTHETIC}}, "synthetic weights"),
        ({"model": {"weights": Weights.NONE}}, "a stand-in that computes nothing"),
        ({"model": {"digest": "sha256:" + "9" * 64}}, "no accuracy test of the same model"),
        ({"machine": {"cpu": "another"}}, "no accuracy test of the same model"),
        ({"model": {"name": "../up"}}, "is no name for files"),
    ],
)
def test_what_is_not_whole_valid_and_official_is_left_out(official, capsys, tmp_path, change, reason):
    official.performance(**change)
    official.accuracy(**{key: change[key] for key in ("model",) if "digest" not in change.get(key, {"digest": 1})})
    code, out, err = exported(capsys, official)
    assert (code, out) == (2, "")
    assert "nothing to export to open of v5.1" in err
    assert reason in err
    assert not (tmp_path / "tree").exists()


@pytest.mark.parametrize(
    ("log", "old", "new", "reason"),
    [
        ("mlperf_log_summary.txt", ".*", "", "empty file"),
        ("mlperf_log_summary.txt", "No errors.*", "", "cut off"),
        ("mlperf_log_detail.txt", ".*num_errors.*", "", "its end is missing"),
        ("mlperf_log_summary.txt", ": 500000", ": 400000", "says p99 400000 ns, the record 500000 ns"),
        ("mlperf_log_summary.txt", "satisfied: Yes", "satisfied: NO", "contradicts itself"),
        ("mlperf_log_summary.txt", "Result is : VALID", "Result is : INVALID", "LoadGen's own result is INVALID"),
        ("mlperf_log_detail.txt", '"is_error": false', '"is_error": true', "errors in its log"),
        ("mlperf_log_detail.txt", '"value": 600000', '"value": 900000', "contradict each other: min_duration (ms)"),
        ("user.conf", ".*", "", "user.conf is missing or empty"),
    ],
)
def test_a_record_is_not_believed_without_its_logs(official, capsys, log, old, new, reason):
    path = official.performance().directory / log
    path.write_text(re.sub(old, new, path.read_text(), flags=re.DOTALL if old == ".*" else 0))
    official.accuracy()
    code, _, err = exported(capsys, official)
    assert code == 2
    assert reason in err


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dataset": {"count": 100}}, "no accuracy test of the same model"),
        ({"answers": range(499)}, "answers for 499 samples, not for each of 500"),
        ({"backend": {"graph_optimization": "none"}}, "no accuracy test of the same model"),
        ({"record": {"accuracy": None}}, "no accuracy was measured"),
    ],
)
def test_an_accuracy_test_covers_the_dataset_with_the_same_engine(official, capsys, change, reason):
    official.performance()
    official.accuracy(**change)
    code, _, err = exported(capsys, official)
    assert code == 2
    assert reason in err


def test_answers_are_scored_again_where_their_labels_are_at_hand(official, capsys, tmp_path):
    digits = open_dataset(DatasetConfig("digits"), official.spec().model.inputs, tmp_path)
    official.performance(dataset={"digest": digits.digest})
    test = official.accuracy(dataset={"digest": digits.digest})
    code, _, err = exported(capsys, official)
    assert code == 2
    assert re.search(r"its answers score accuracy=\S+%, good=\d+, total=500, and its record says accuracy=99.600%", err)
    rows = [
        {"seq_id": k, "qsl_idx": k, "data": struct.pack("<f", label).hex()} for k, label in enumerate(digits.labels)
    ]
    for row in rows[:2]:
        row["data"] = struct.pack("<f", 99).hex()
    (test.directory / "mlperf_log_accuracy.json").write_text(json.dumps(rows))
    code, out, _ = exported(capsys, official)
    assert code == 0
    assert "accuracy 99.600 %" in out
    assert "labels" not in out


def test_too_few_digits_are_told_how_to_become_enough(official, capsys, monkeypatch):
    resnet = rounds.ROUNDS["v5.1"].benchmarks["resnet"]
    monkeypatch.setitem(rounds.ROUNDS["v5.1"].benchmarks, "resnet", type(resnet)("acc", 75, 64, 50_000))
    official.performance()
    official.accuracy()
    _, _, err = exported(capsys, official)
    assert f"covers {SIZE} samples, and resnet needs 50,000: run performance and accuracy again" in err
    assert "dataset.repeat=100" in err


@pytest.mark.parametrize(
    ("change", "accuracy", "reason"),
    [
        ({}, {}, "model digits is no benchmark of v5.1, and closed has no others"),
        ({"model": {"name": "resnet"}}, {}, "shipped weights, and closed demands the reference ones"),
        ({"model": {"name": "resnet", "changed": ("mean=[5]",)}}, {}, "not the model as it ships (mean=[5])"),
        ({"record": {"engine": {"samples": "device"}}}, {}, "samples resident on the device"),
        ({"backend": {"samples": "device"}}, {}, "samples resident on the device"),
        ({"model": {"name": "resnet", "weights": Weights.REFERENCE}}, {"good": 300}, "accuracy 60.000 %, and closed"),
        ({"model": {"name": "resnet", "weights": Weights.REFERENCE}}, {}, "needs what is not stated: host_processors_"),
    ],
)
def test_closed_takes_the_reference_model_alone_with_everything_stated(official, capsys, change, accuracy, reason):
    official.performance(**change)
    official.accuracy(**accuracy, **{key: change[key] for key in ("model",) if key in change})
    code, _, err = run(capsys, official.root, "--round", "v5.1", "--division", "closed", "--submitter", "Us")
    assert code == 2
    assert reason in err


def test_two_environments_under_one_name_are_named(official, capsys):
    for git in ("1.31", "1.32"):
        machine = {"packages": {"onnxruntime": git}}
        official.performance(machine=machine)
        official.accuracy(machine=machine)
    code, _, err = exported(capsys, official)
    assert code == 2
    assert f"error: system={SYSTEM}: is the name of several environments: " in err
    assert err.count("(onnxruntime)") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--round v9 --division open --submitter Us", "--round=v9: unknown"),
        ("--round v5.1 --division ajar --submitter Us", "--division=ajar: unknown"),
        ("--round v5.1 --division open", "--submitter: must be given"),
        ("--division open --submitter Us", "--round: must be given"),
        ("--round v5.1 --division open --submitter Müller", "--submitter=Müller: is no name for files"),
        ("--round v5.1 --division open --submitter ../../x", "--submitter=../../x: is no name for files"),
        ("--round v5.1 --division open --submitter Us --out there", "--out=there: exists already"),
        (
            "--round v5.1 --division open --submitter Us --system-file none.yaml",
            "--system-file=none.yaml: does not exist",
        ),
        ("--round v5.1 --division open --submitter Us --system-file theirs.yaml", "theirs.yaml says submitter: Them"),
    ],
)
def test_bad_input_is_one_clear_line_and_touches_nothing(official, capsys, tmp_path, arguments, message):
    official.performance()
    official.accuracy()
    (tmp_path / "there").mkdir()
    (tmp_path / "there/mine").write_text("mine")
    (tmp_path / "theirs.yaml").write_text("submitter: Them\n")
    before = files(tmp_path)
    code, out, err = run(capsys, official.root, *arguments.split())
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert message in line
    assert files(tmp_path) == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("a bug")])
def test_nothing_half_written_stays(official, capsys, tmp_path, monkeypatch, error):
    official.performance()
    official.accuracy()

    def fail(_):
        raise error

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(documents, "calibration_md", fail)
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="a bug"):
            exported(capsys, official)
    else:
        assert exported(capsys, official)[0] == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (10240, 10240), (10241, 8199), (5_000_000, 8199)])
def test_a_log_of_answers_keeps_its_ends(size, kept):
    log = bytes(range(256)) * (size // 256 + 1)
    log = log[:size]
    short = export.shortened(log)
    assert len(short) == kept
    assert short[:4096] == log[:4096]
    assert short[4096:-4096] == (b"\n\n...\n\n" if kept != size else log[4096:-4096])
    assert size < 4096 or short[-4096:] == log[-4096:]


def test_everything_that_is_wrong_is_said_at_once(official, capsys):
    """The next test takes ten minutes: what it would be refused for must not come out one by one."""
    official.performance(run={"run_class": RunClass.SCREENING}, seeds=None, dataset={"performance_sample_count": 8})
    code, _, err = exported(capsys, official)
    assert code == 2
    assert "run one with rules=current run=official seeds=v5.1, and its accuracy with mode=accuracy" in err
    (line,) = [line for line in err.splitlines() if "left out" in line]
    for words in ("a screening test", "not of v5.1", "8 samples in memory", "no accuracy test of the same model"):
        assert words in line
    assert "mode=accuracy batch=8" in line  # with all of its settings: copied, it is the right one


def test_closed_says_which_models_it_takes(official, capsys):
    official.performance()
    official.accuracy()
    code, _, err = exported(capsys, official, division="closed")
    assert code == 2
    assert "closed takes benchmarks with their reference weights" in err


def test_a_filter_chooses_what_is_exported_and_hides_no_accuracy(official, capsys, tmp_path):
    official.performance()
    official.accuracy()
    where = ["--round", "v5.1", "--division", "open", "--submitter", "Us", "--out", str(tmp_path / "tree")]
    assert main(["submission", "export", str(official.root), "mode=PerformanceOnly", *where]) == 0
    capsys.readouterr()
    where[-1] = str(tmp_path / "other")
    assert main(["submission", "export", str(official.root), "model=resnet", *where]) == 2
    assert "no test passes model=resnet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "log", "reason"),
    [
        (
            {"record": {"early_stopping_estimate_ns": 900_000}},
            {},
            "says an estimate of 501000 ns, the record 900000 ns",
        ),
        ({"estimate": 400_000}, {}, "400000 ns, is less than p99 itself, 500000 ns"),
        ({"record": {"environment_digest": "0" * 64}}, {}, "environment is not that of its digest"),
        ({}, {'"value": true': '"value": false'}, "early stopping is met in mlperf_log_summary.txt, False in"),
        (
            {},
            {'"effective_scenario", "value": "MultiStream"': '"effective_scenario", "value": "Offline"'},
            "of Offline",
        ),
        ({}, {'"PerformanceOnly"': '"SubmissionRun"'}, "mlperf_log_detail.txt is of mode SubmissionRun"),
        ({}, {'"result_validity"': '"result_other"'}, "result_validity is VALID in mlperf_log_summary.txt and unknown"),
        (
            {},
            {'"result_query_count", "value": 700': '"result_query_count", "value": 12'},
            "the count of queries is 700 in",
        ),
        ({}, {'percentile", "value": 0.99': 'percentile", "value": 0.5'}, "the share 0.5 of its queries"),
        ({}, {":::MLLOG": ":::MLLOG {", "}}": "}}"}, "mlperf_log_detail.txt"),
    ],
)
def test_a_detail_log_of_another_test_is_no_evidence(official, capsys, change, log, reason):
    """What is published is read from it: it must say what was judged."""
    path = official.performance(**change).directory / "mlperf_log_detail.txt"
    text = path.read_text()
    for old, new in log.items():
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    official.accuracy()
    code, _, err = exported(capsys, official)
    assert code == 2
    assert reason in err


def test_no_name_leads_out_of_the_tree(official, capsys, tmp_path):
    """Names of engines and of programs of other tools come from files that anybody may have written."""
    official.performance(backend_name="../../../../../../escaped")
    official.accuracy()
    code, _, err = exported(capsys, official)
    assert code == 2
    assert "implementation=sweep-../../../../../../escaped: is no name for files" in err
    assert not list(tmp_path.rglob("escaped*"))


def test_a_long_list_of_what_is_left_out_is_summed_up_by_reason(official, capsys):
    """An output folder of a year has hundreds of tests, and few reasons."""
    for number in range(25):
        official.performance(n=number + 1, run={"run_class": RunClass.SCREENING})
    code, _, err = exported(capsys, official)
    assert code == 2
    lines = [line for line in err.splitlines() if "left out: " in line]
    assert any(line.startswith("error: left out: 25 tests: a screening test, not an official one") for line in lines)
    assert len(lines) < 15
    assert lines[-1] == "error: left out: --all lists all 25 tests"
    code, _, err = exported(capsys, official, "v5.1", "--all")
    lines = [line for line in err.splitlines() if "left out: " in line]
    assert sum("a screening test" in line and str(official.root) in line.partition("(")[0] for line in lines) == 25
    assert not any("--all" in line for line in lines)


def test_what_must_be_a_number_in_the_report_of_the_round_is_said(official, capsys):
    official.performance()
    official.accuracy()
    code, out, _ = exported(capsys, official)
    assert code == 0
    assert "note: host_processors_per_node of system" in out
