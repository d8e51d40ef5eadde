"""The run command in this process, with something breaking behind it."""

import csv
import importlib
import json
import math
import os
import signal
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
from onnx import TensorProto, helper
from tests.models import wild

from sweep.cli import main
from sweep.commands import run as run_module
from sweep.environment import fingerprint
from sweep.models import session
from sweep.store.records import Store
from sweep.trial import trial as trial_module

pytestmark = pytest.mark.usefixtures("idle", "empty_folder")

TORCH_MODEL = min((Path(__file__).parents[1] / "data" / "onnx").glob("*inline.onnx"))
TOO_MANY = len(fingerprint()["cpu_affinity"]) + 1
"""Threads."""
SIMULATED = ["backend=simulated", "run=quick", "backend.base_ms=0.1", "backend.per_sample_ms=0.02"]


def test_a_disk_that_fills_up_loses_nothing_measured_before(tmp_path, monkeypatch, capfd):
    real = Store.finish

    def finish(store, attempt, result):
        if result.spec.samples_per_query == 3:
            with monkeypatch.context() as full:
                full.setattr("sweep.store.records.write_json", no_space)
                return real(store, attempt, result)
        return real(store, attempt, result)

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "finish", finish)
    assert main([*SIMULATED, "-m", "batch=1,2,3,4"]) == 2
    captured = capfd.readouterr()
    assert "largest VALID: batch=2" in captured.out
    assert captured.err.splitlines()[-1].startswith("error: outputs=")
    assert "No space left on device; free some space" in captured.err
    (table,) = tmp_path.glob("outputs/sweeps/*/results.csv")
    assert [row["samples_per_query"] for row in csv.DictReader(table.open())] == ["1", "2"]


def test_answers_of_a_test_with_errors_are_not_scored(monkeypatch, capfd):
    real = trial_module.parse_summary
    monkeypatch.setattr(trial_module, "parse_summary", lambda path: replace(real(path), error_count=3))
    assert main(["model=digits", "mode=accuracy"]) == 1
    captured = capfd.readouterr()
    assert "LoadGen counted 3 errors" in captured.out
    assert "accuracy=" not in captured.out


def test_settings_that_a_stand_in_engine_does_not_read_are_said(capfd):
    """They must not reach the worker either, which would look for the folder."""
    unread = ["model.path=no.onnx", "dataset=imagenet", "dataset.path=nowhere"]
    assert main([*SIMULATED, "batch=1", *unread]) == 0
    captured = capfd.readouterr()
    assert "note: model.path=no.onnx is not read: backend simulated computes nothing" in captured.err
    assert "note: dataset.path=nowhere is not read" in captured.err


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        (["batch=1", "batch=2"], "batch is given 2 times: the last counts"),
        (["batch=2", "engine_batch=4"], "engine_batch=4: a query of batch=2 is one launch"),
        (
            ["batch=2", "backend=onnxruntime", f"backend.threads={TOO_MANY}"],
            f"backend.threads={TOO_MANY}: more than the",
        ),
        (
            ["model=digits", "mode=accuracy", "backend=auto", "percentile=90"],
            "percentile=90 is not read",
        ),
    ],
)
def test_what_does_less_than_it_seems_is_said(capfd, arguments, note):
    keys = {argument.partition("=")[0] for argument in arguments}
    base = [] if "backend" in keys else SIMULATED
    assert main([*base, "run=quick", *arguments]) == 0
    assert f"note: {note}" in capfd.readouterr().err


def test_names_with_brackets_are_shown_as_they_are(tmp_path, capfd):
    """They are markup to the library that draws the tables."""
    (tmp_path / "a[").mkdir()
    for path in ("a[/b].onnx", "[bold].onnx"):
        (tmp_path / path).write_bytes(TORCH_MODEL.read_bytes())
    paths = "model.path='a[/b].onnx','[bold].onnx'"
    assert main(["model=onnx", "run=quick", "batch=1", "-m", paths]) == 0
    captured = capfd.readouterr()
    assert "a[/b].onnx" in captured.err
    assert "[bold].onnx" in captured.out


def test_tables_are_written_before_they_are_shown(tmp_path, monkeypatch):
    def broken(*_):
        raise BrokenPipeError

    monkeypatch.setattr("sweep.terminal.show_grid", broken)
    with pytest.raises(BrokenPipeError):
        run_module.main([*SIMULATED, "-m", "batch=1,2"])
    (table,) = tmp_path.glob("outputs/sweeps/*/results.csv")
    assert len(list(csv.DictReader(table.open()))) == 2


def test_tables_that_cannot_be_written_are_shown_all_the_same(monkeypatch, capfd):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sweep.store.table.write_tables", no_space)
    assert main([*SIMULATED, "-m", "batch=1,2"]) == 2
    captured = capfd.readouterr()
    assert "largest VALID: batch=2" in captured.out
    assert "table:" not in captured.out
    assert "error: hydra.sweep.dir=" in captured.err


def test_a_sweep_that_breaks_in_the_middle_keeps_its_tables(tmp_path, monkeypatch):
    real = Store.begin

    def begin(store, spec, digest):
        if spec.samples_per_query == 2:
            raise RuntimeError("a bug")
        return real(store, spec, digest)

    monkeypatch.setattr(Store, "begin", begin)
    with pytest.raises(RuntimeError, match="a bug"):
        main([*SIMULATED, "-m", "batch=1,2"])
    (table,) = tmp_path.glob("outputs/sweeps/*/results.csv")
    assert len(list(csv.DictReader(table.open()))) == 1
    (manifest,) = tmp_path.glob("outputs/sweeps/*/sweep.json")
    assert json.loads(manifest.read_text())["planned"] == 2


def test_a_sweep_is_known_from_its_beginning(tmp_path, monkeypatch):
    """Killed before its end, it leaves what was asked for."""
    seen = []
    real = Store.begin

    def begin(store, spec, digest):
        seen.extend(json.loads(path.read_text()) for path in tmp_path.glob("outputs/sweeps/*/sweep.json"))
        return real(store, spec, digest)

    monkeypatch.setattr(Store, "begin", begin)
    assert main([*SIMULATED, "-m", "batch=1"]) == 0
    assert seen[0]["arguments"] == [*SIMULATED, "-m", "batch=1"]
    assert (seen[0]["finished_at"], seen[0]["trials"]) == (None, [])


@pytest.fixture
def ctrl_c_at(monkeypatch):
    """Have Ctrl-C arrive whenever a function is called: `ctrl_c_at("sweep.trial.trial.write_bytes")`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def arrange(name):
        owner, _, attribute = name.rpartition(".")
        module = importlib.import_module(owner)
        real = getattr(module, attribute)

        def interrupted(*given, **named):
            os.kill(os.getpid(), signal.SIGINT)
            return real(*given, **named)

        monkeypatch.setattr(module, attribute, interrupted)

    yield arrange
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("end", [[], ["target_latency_ms=0.01"], ["backend.fault=throw", "backend.fault_at=700"]])
def test_a_finished_test_survives_ctrl_c(tmp_path, capfd, ctrl_c_at, end):
    """Whatever ended it: what was measured reaches the disk, and is counted."""
    ctrl_c_at("sweep.trial.trial.write_bytes")
    assert main([*SIMULATED, "min_query_count=2000", *end, "-m", "batch=1,2"]) == 130
    assert "interrupted: 1 of 2 points are measured and kept" in capfd.readouterr().err
    assert len(list(tmp_path.glob("outputs/trials/*/001/result.json"))) == 1
    assert list(tmp_path.glob("outputs/sweeps/*/results.csv"))


def test_ctrl_c_before_a_test_begins_it_not(tmp_path, capfd, ctrl_c_at):
    ctrl_c_at("sweep.study.measure.run_trial")
    assert main([*SIMULATED, "-m", "batch=1,2"]) == 130
    assert "interrupted: none of 2 points was finished" in capfd.readouterr().err
    assert not list(tmp_path.glob("outputs/trials/*/001/result.json"))


def test_a_record_of_accuracy_has_no_rules_in_the_table(tmp_path):
    assert main(["model=digits", "mode=accuracy"]) == 0
    (table,) = tmp_path.glob("outputs/sweeps/*/results.csv")
    (row,) = csv.DictReader(table.open())
    assert row["accuracy_good"] == "498"
    for column in ("rules", "run_class", "target_latency_ns", "percentile", "latency_at_percentile_ns"):
        assert row[column] == ""


def test_a_finished_sweep_is_kept_and_shown_whatever_comes(tmp_path, capfd, ctrl_c_at):
    ctrl_c_at("sweep.store.table.write_tables")
    assert main([*SIMULATED, "-m", "batch=1,2"]) == 130
    captured = capfd.readouterr()
    assert "largest VALID: batch=2" in captured.out
    assert "interrupted: 2 of 2 points are measured and kept\n" in captured.err
    assert list(tmp_path.glob("outputs/sweeps/*/results.csv"))


@pytest.mark.parametrize(
    ("done", "resume", "words"),
    [
        (0, True, "none of 4 points was finished"),
        (2, True, "2 of 4 points are measured and kept; the same command measures the rest"),
        (2, False, "2 of 4 points are measured and kept; the same command without resume=false measures the rest"),
        (4, True, "4 of 4 points are measured and kept"),
    ],
)
def test_what_is_left_after_ctrl_c(done, resume, words):
    assert run_module._what_is_left(done, 4, resume=resume) == words


def test_notes_name_their_points(monkeypatch, capfd):
    real = trial_module.run_trial

    def busy_at_2(executor, request, *rest):
        result = real(executor, request, *rest)
        return replace(result, notes=("of this one",) if request.spec.samples_per_query == 2 else ())

    monkeypatch.setattr("sweep.study.measure.run_trial", busy_at_2)
    assert main([*SIMULATED, "-m", "batch=1,2", "backend.seed=0,1"]) == 0
    assert "note: of this one (backend.seed=0 batch=2, backend.seed=1 batch=2)" in capfd.readouterr().out


def test_a_bound_less_largest_says_so(capfd):
    assert main([*SIMULATED, "rules=current", "-m", "batch=1"]) == 0
    assert "rules current have no latency bound, so a larger one may be VALID too" in capfd.readouterr().out


def test_accuracy_is_measured_once_whatever_the_rules(capfd):
    accuracy = ["model=digits", "mode=accuracy"]
    assert main(accuracy) == 0
    assert main([*accuracy, "run=official", "rules=current"]) == 0
    assert "measured before" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["min_query_count=10"], "custom run: at least 10 queries"),
        (["min_query_count=1"], "custom run: at least 1 query,"),
        (["min_query_count=10"], "note: p99 of 10 queries is the slowest of them"),
        (["min_query_count=300"], "quick run: at least 300 queries"),
        (["rules=current", "percentile=90"], "at least 662 queries, p90 without a bound"),
        (["max_duration_ms=1"], "note: LoadGen's errors: IssueQueryThread 0 Ending early: Max test duration reached"),
    ],
)
def test_what_is_not_as_the_rules_have_it_is_not_called_so(capfd, arguments, words):
    assert main([*SIMULATED, "batch=1", *arguments]) == 0
    assert words in capfd.readouterr().out


def test_a_crash_says_nothing_about_the_machine(capfd):
    assert main([*SIMULATED, "batch=1", "backend.fault=crash", "backend.fault_at=600", "min_query_count=2000"]) == 1
    assert "could not be told" not in capfd.readouterr().out


def test_a_changed_model_is_not_the_shipped_one(tmp_path, capfd):
    """Its accuracy would count as the shipped model's."""
    assert main(["model=digits", "mode=accuracy", "model.mean=[5]"]) == 0
    assert "note: not the model as it ships: mean=[5]" in capfd.readouterr().out
    (table,) = tmp_path.glob("outputs/sweeps/*/results.csv")
    assert next(csv.DictReader(table.open()))["model_changed"] == "mean=[5]"


def test_a_grid_without_batches_has_no_largest_one(capfd):
    assert main([*SIMULATED, "batch=1", "-m", "backend.seed=1,2"]) == 0
    assert "largest" not in capfd.readouterr().out


def test_a_long_name_makes_no_folder_that_is_too_long(tmp_path):
    assert main([*SIMULATED, "batch=1", f"model.name={'x' * 300}"]) == 0
    assert list(tmp_path.glob("outputs/trials/x*/001/result.json"))


def test_busy_machines_are_one_note(monkeypatch, capfd):
    real = trial_module.run_trial

    def busy(executor, request, *rest):
        number = request.spec.samples_per_query
        notes = (f"{trial_module.BUSY}: others used up to 1.{number} of 2 cores",) if number > 1 else ()
        return replace(real(executor, request, *rest), notes=notes)

    monkeypatch.setattr("sweep.study.measure.run_trial", busy)
    assert main([*SIMULATED, "-m", "batch=range(1,14)"]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if "busy" in line]
    names = ", ".join(f"batch={number}" for number in range(2, 12))
    assert lines == [
        f"note: busy machine at 12 points; measure them again when it is idle ({names}, ...)",
    ]


def test_a_path_under_home_is_found(tmp_path, monkeypatch):
    """No shell expands ~ behind an equals sign."""
    monkeypatch.setenv("HOME", str(tmp_path / "a home"))
    assert main([*SIMULATED, "outputs=~/kept", "batch=1"]) == 0
    assert list((tmp_path / "a home" / "kept" / "sweeps").glob("*/results.csv"))
    assert not (tmp_path / "~").exists()


def test_a_users_file_goes_by_its_own_name(tmp_path, capfd):
    (tmp_path / "mine.onnx").write_bytes(TORCH_MODEL.read_bytes())
    assert main(["model=onnx", "model.path=mine.onnx", "run=quick", "batch=1"]) == 0
    (table,) = tmp_path.glob("outputs/sweeps/*/results.csv")
    (row,) = csv.DictReader(table.open())
    assert row["model"] == "mine"
    assert row["model_path"].endswith("mine.onnx")
    assert row["model_digest"].startswith("sha256:")
    assert list(tmp_path.glob("outputs/trials/mine-fp32-onnxruntime-n1-*"))


def test_a_file_in_another_format_is_noted_in_the_record(tmp_path, capfd):
    """Its figures would be compared with fp32's."""
    half = TensorProto.FLOAT16
    nodes = [helper.make_node("Mul", ["x", "w"], ["y"])]
    values = [helper.make_tensor_value_info(name, half, ["N", 4]) for name in "xy"]
    weights = [helper.make_tensor("w", half, [4], [1.0, 2.0, 3.0, 4.0])]
    model = helper.make_model(
        helper.make_graph(nodes, "half", values[:1], values[1:], weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    (tmp_path / "half.onnx").write_bytes(model.SerializeToString())
    assert main(["model=onnx", "model.path=half.onnx", "run=quick", "batch=1"]) == 0
    note = "the model file computes in fp16, whatever precision=fp32"
    assert f"note: {note}" in capfd.readouterr().out
    (table,) = tmp_path.glob("outputs/sweeps/*/results.csv")
    (row,) = csv.DictReader(table.open())
    assert (row["precision"], row["number_format"]) == ("fp32", "fp16")
    assert note in row["notes"]


def test_a_users_file_is_converted_where_it_is_in_fp32(tmp_path, capfd):
    assert main(["model=onnx", f"model.path={TORCH_MODEL}", "run=quick", "batch=1", "-m", "precision=fp16,int8"]) == 0
    (table,) = tmp_path.glob("outputs/sweeps/*/results.csv")
    rows = list(csv.DictReader(table.open()))
    assert [(row["precision"], row["number_format"]) for row in rows] == [("fp16", "fp16"), ("int8", "int8")]
    assert len({row["model_digest"] for row in rows}) == 2
    assert all("converted" in row["model_path"] for row in rows)
    assert "whatever precision" not in capfd.readouterr().out


@pytest.mark.parametrize("line", [["sweeps=resnet_int8"], ["+sweeps=mobilenet_int8", "-m", "batch=8,16"]], ids=" ".join)
def test_a_named_sweep_in_int8_runs_on_a_cpu(line, tmp_path):
    assert main([*line, "model=digits", "run=quick", "min_query_count=20", "min_duration_ms=0"]) == 0
    (table,) = tmp_path.glob("outputs/sweeps/*/results.csv")
    assert {(row["precision"], row["state"]) for row in csv.DictReader(table.open())} == {("int8", "COMPLETE")}


@pytest.mark.parametrize(("precision", "least"), [("fp32", 498), ("fp16", 497), ("int8", 493)])
def test_accuracy_of_digits(precision, least, capfd):
    assert main(["model=digits", "mode=accuracy", f"precision={precision}"]) == 0
    line = next(line for line in capfd.readouterr().out.splitlines() if line.startswith("accuracy="))
    good = int(line.partition("good=")[2].partition(",")[0])
    assert line.endswith("total=500")
    assert good >= least


@pytest.mark.parametrize(
    ("network", "precision", "said"),
    [
        (wild.attention("computed", -math.inf), "int8", "int8: n6 stays in float32"),
        (wild.attention("constant", -1e9), "fp16", "fp16: 1 of 8 operators stay in float32"),
    ],
)
def test_what_a_conversion_left_out_is_in_the_record(tmp_path, capfd, network, precision, said):
    (tmp_path / f"{precision}.onnx").write_bytes(network.SerializeToString())
    model = ["model=onnx", f"model.path={precision}.onnx", f"precision={precision}", "target_latency_ms=1000"]
    assert main([*model, "run=quick", "batch=2"]) == 0
    assert f"note: {said}" in capfd.readouterr().out
    (record,) = tmp_path.glob("outputs/trials/*/001/result.json")
    assert any(said in note for note in json.loads(record.read_text())["notes"])


def test_a_lower_level_of_optimisation_is_what_the_record_says(tmp_path, monkeypatch, capfd):
    (tmp_path / "crashes.onnx").write_bytes(wild.shared_weight().SerializeToString())
    monkeypatch.setattr(
        session, "_fault", lambda _data, level, _: session.Fault("it crashes") if level == "all" else None
    )
    arguments = ["model=onnx", "model.path=crashes.onnx", "precision=fp16", "run=quick", "batch=2"]
    assert main([*arguments, "target_latency_ms=1000", "backend.graph_optimization=all"]) == 0
    (record,) = (json.loads(path.read_text()) for path in tmp_path.glob("outputs/trials/*/001/result.json"))
    assert record["spec"]["backend"]["options"]["graph_optimization"] == "extended"
    assert any("at all, it crashes" in note for note in record["notes"])


def test_a_calibration_that_nothing_reads_is_said(capfd):
    assert main(["model=digits", "run=quick", "batch=1", "calibration.count=64"]) == 0
    assert "note: calibration is not read: model digits in precision=fp32 needs none" in capfd.readouterr().err


def test_fewer_samples_than_asked_for_are_said(capfd):
    assert main([*SIMULATED, "batch=1", "dataset.count=64", "performance_sample_count=100"]) == 0
    assert "note: performance_sample_count=100: dataset synthetic has 64 samples" in capfd.readouterr().err


def test_a_search_is_handed_over_whole_and_a_test_is_not(monkeypatch):
    seen = []
    command = types.ModuleType("sweep.commands.search")
    command.run_searches = lambda *given: seen.append(given) or 7
    monkeypatch.setitem(sys.modules, "sweep.commands.search", command)
    line = ["search=max_streams", "-m", "engine_batch=4,8"]
    assert main(line) == 7
    ((searches, options, composition, arguments),) = seen
    assert [search.plan.label for search in searches] == [{"engine_batch": "4"}, {"engine_batch": "8"}]
    assert options.resume
    assert (len(composition.points), list(arguments)) == (2, line)
    assert main([*SIMULATED, "search=none", "batch=2"]) == 0
    assert len(seen) == 1
