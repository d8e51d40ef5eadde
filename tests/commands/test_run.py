"""The run command in this process, with something breaking behind it."""

import csv
from dataclasses import replace

import pytest

from sweep.cli import main
from sweep.store.records import Store
from sweep.trial import trial as trial_module

SIMULATED = ["backend=simulated", "run=quick", "backend.base_ms=0.1", "backend.per_sample_ms=0.02"]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))


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


def test_fewer_samples_than_asked_for_are_said(capfd):
    assert main([*SIMULATED, "batch=1", "dataset.count=64", "performance_sample_count=100"]) == 0
    assert "note: performance_sample_count=100: dataset synthetic has 64 samples" in capfd.readouterr().err
