"""`sweep show` prints all that a record holds; what is not there it says."""

import json
import re
import shutil

import pytest
from tests.points import Outputs

from sweep.cli import main
from sweep.results.selection import select


@pytest.fixture
def outputs(tmp_path, searches, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = Outputs(tmp_path / "outputs")
    outputs.grid([searches.test(400, notes=("synthetic weights",))])
    return outputs


@pytest.fixture
def stored(outputs):
    return select([outputs.root]).trials[0]


def show(capfd, *arguments):
    assert main(["show", *map(str, arguments)]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return out


def test_a_trial_is_shown_with_its_verdict_and_the_evidence_of_every_check(stored, capfd):
    out = show(capfd, stored.directory)
    result = stored.result
    assert out.splitlines()[0] == f"{stored.directory.parent.name}/001"
    for check in result.checks:
        assert f" {check.name}: " in out
        assert f"({check.evidence})" in out
    assert "result: INVALID (MultiStream, v0.5 rules, quick run: at least 1440 queries, p99 <= 50 ms)" in out
    assert re.search(r"^p99 +6\d\.\d\d +\d+\.\d$", out, re.MULTILINE)
    assert "note: synthetic weights" in out
    assert f"spec {result.spec_digest[:12]}, environment {result.environment_digest[:6]}" in out
    assert "base_ms=0.1" in out
    assert f"logs: {stored.directory}" in out
    assert re.search(r"^files +result.json spec.json mlperf_log_summary.txt mlperf_log_detail.txt", out, re.MULTILINE)
    assert "missing" not in out


def test_logs_that_are_gone_are_told(stored, capfd):
    (stored.directory / "mlperf_log_detail.txt").unlink()
    assert re.search(
        r"^missing +mlperf_log_detail.txt: the verdict cannot be", show(capfd, stored.directory), re.MULTILINE
    )


def test_a_failed_trial_is_shown_with_its_last_words(outputs, searches, capfd):
    outputs.add(searches.test(800, failure="crash"))
    failed = select([outputs.root]).trials[-1]
    path = failed.directory / "result.json"
    data = json.loads(path.read_text())
    data["failure"]["last_words"] = "Segmentation fault"
    path.write_text(json.dumps(data))
    out = show(capfd, failed.directory)
    assert "FAILED: crash: crash at N=800" in out
    assert "last words of the worker:\nSegmentation fault" in out


def test_other_attempts_are_told_and_the_newest_is_shown(outputs, searches, stored, capfd):
    outputs.add(searches.test(400, seed=3))
    trial = stored.directory.parent
    (trial / "003").mkdir()
    (trial / "004").mkdir()
    (trial / "004" / "result.json").write_text("{")
    out = show(capfd, f"{trial.name}/002")
    assert out.splitlines()[0] == f"{trial.name}/002"
    assert re.search(r"^attempt 1, 2026-01-01 00:00 UTC: INVALID \(p99 6\d", out, re.MULTILINE)
    assert "attempt 3 was not finished" in out
    assert out.count(f"{trial / '004' / 'result.json'}: damaged") == 1
    assert main(["show", trial.name]) == 2  # the newest is damaged: nothing older is shown in its place
    assert f"{trial.name}/004/result.json: damaged" in capfd.readouterr().err
    shutil.rmtree(trial / "004")
    assert show(capfd, trial.name).splitlines()[0] == f"{trial.name}/002"


def test_json_is_the_record(stored, capfd):
    text = (stored.directory / "result.json").read_text()
    assert json.loads(show(capfd, stored.directory, "--format", "json")) == json.loads(text)


def test_a_command_is_shown_with_its_tests(outputs, stored, capfd):
    out = show(capfd, "2026-01-01_00-00-00_grid")
    assert re.search(r"^command +python -m sweep model=digits -m batch=1,2$", out, re.MULTILINE)
    assert re.search(r"^done +1 of 1$", out, re.MULTILINE)
    assert f"{stored.directory.parent.name}/001" in out
    manifest = outputs.root / "sweeps" / "2026-01-01_00-00-00_grid" / "sweep.json"
    assert json.loads(show(capfd, manifest, "--format", "json")) == json.loads(manifest.read_text())


def test_a_search_is_shown_as_it_was_when_it_ended(outputs, searches, capfd):
    folder = outputs.search(searches.single())
    for word in (folder / "digits.json", folder, folder.name, "2026-01-01_00-00-00_search/digits"):
        out = show(capfd, word)
        assert "max streams: 128, not confirmed (confidence 62.0 %, by quick runs)" in out
        assert "1 test, 1440 queries; 1 min 15 s spent" in out
    text = (folder / "digits.json").read_text()
    assert json.loads(show(capfd, folder / "digits.json", "--format", "json")) == json.loads(text)


def test_several_searches_of_one_command_are_one_table(outputs, searches, capfd):
    folder = outputs.search(searches.single(label={"model": "a"}))
    shutil.copy(folder / "digits.json", folder / "other.json")
    assert "max streams" in show(capfd, folder)


def test_a_copied_attempt_and_the_folder_one_is_in_are_shown(stored, tmp_path, monkeypatch, capfd):
    shutil.copytree(stored.directory, tmp_path / "best")
    assert show(capfd, "best").splitlines()[0].endswith("/best")
    monkeypatch.chdir(stored.directory)
    assert show(capfd, ".").splitlines()[0] == f"{stored.directory.parent.name}/001"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "TRIAL: must be given; python -m sweep ls lists their names"),
        (["zzz"], "zzz: no such result in outputs; see python -m sweep ls"),
        (["outputs"], "outputs: is no trial, no command and no certificate; see python -m sweep ls"),
        (["zzz", "nowhere"], "nowhere: does not exist"),
        (["zzz", "--format", "xml"], "--format=xml: unknown; choose one of: json, text"),
    ],
)
def test_a_usage_error_is_one_line(outputs, capfd, arguments, line):
    assert main(["show", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1


def test_an_unfinished_attempt_says_where_its_worker_spoke(stored, capfd):
    attempt = stored.directory.parent / "002"
    attempt.mkdir()
    (attempt / "worker.log").write_text("killed")
    assert main(["show", str(attempt)]) == 2
    err = capfd.readouterr().err
    assert err.startswith(f"error: {attempt}: was not finished")
    assert "worker.log" in err
