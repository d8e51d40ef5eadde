"""The command line of the dashboard: what it writes and counts, and that bad input is one clear line."""

import csv
import json
import zipfile

import pandas as pd
import pytest
from tests.report.records import Records, damage

from sweep.cli import main
from sweep.dashboard.official import official_points

SUMMARY = "tests/data/loadgen_logs/v0.7_multistream_valid_summary.txt"


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Records(tmp_path / "outputs")


@pytest.fixture
def tree(tmp_path, request):
    folder = tmp_path / "results_v0.7" / "open" / "Me" / "results" / "box" / "resnet50" / "multistream"
    run = folder / "performance" / "run_1"
    run.mkdir(parents=True)
    (run / "mlperf_log_summary.txt").write_bytes((request.config.rootpath / SUMMARY).read_bytes())
    systems = folder.parents[3] / "systems"
    systems.mkdir()
    (systems / "box.json").write_text("{}")
    return folder.parents[5]


def test_the_page_works_without_any_result_of_ones_own(records, tmp_path, capsys):
    assert main(["dashboard"]) == 0
    assert capsys.readouterr().out == "dashboard.html: 177 official, 0 own\n"
    assert "NVIDIA Jetson Xavier NX" in (tmp_path / "dashboard.html").read_text()


def test_own_results_and_trees_stand_beside_official_ones(records, tree, tmp_path, capsys):
    records.trial(64)
    records.trial(64, model="mobilenet")
    damaged = records.trial(65)
    damage(damaged)
    assert main(["dashboard", "outputs", "model=resnet", "--add", "results_v0.7", "--out", "own.html"]) == 0
    seen = capsys.readouterr()
    assert seen.out.startswith("own.html: 177 official, 1 own, 1 from results_v0.7; 1 file could not be read: outputs/")
    assert seen.err.startswith("note: outputs/trials/")
    text = (tmp_path / "own.html").read_text()
    assert "CPU of tests (here)" in text
    assert "results_v0.7" not in capsys.readouterr().out


def test_a_shipped_round_that_is_added_again_is_shown_once(records, tree, tmp_path, capsys):
    shipped = next(one for one in official_points() if one.round == "v0.7" and one.benchmark == "resnet50")
    run = tree / shipped.division / shipped.submitter / "results" / shipped.system_id / "resnet50/multistream"
    summary = run / "performance/run_1/mlperf_log_summary.txt"
    summary.parent.mkdir(parents=True)
    (other,) = tree.rglob("open/**/mlperf_log_summary.txt")
    text = other.read_text().replace("Samples per query : 1760\n", f"Samples per query : {shipped.value:g}\n")
    summary.write_text(text.replace("samples_per_query : 1760\n", f"samples_per_query : {shipped.value:g}\n"))
    (run / "performance/ranging").mkdir()
    (run / "performance/ranging/mlperf_log_summary.txt").write_text(text.replace("VALID", "INVALID"))
    assert main(["dashboard", "--add", "results_v0.7", "--out", "all.csv"]) == 0
    assert "177 official, 0 own, 2 from results_v0.7 (1 of them in two places, shown once)" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert [row["source"] for row in rows].count("tree") == 1
    assert len(rows) == 178


def test_the_whole_table_is_written_as_csv_and_json(records, tmp_path, capsys):
    records.trial(64)
    for name in ("all.csv", "all.JSON"):
        assert main(["dashboard", "--out", name]) == 0
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert len(rows) == 178
    assert rows[-1]["source"] == "own"
    assert len(json.loads((tmp_path / "all.JSON").read_text())["points"]) == 178


def test_the_table_of_2020_is_written_beside_the_page(records, tmp_path, capsys):
    records.trial(64)
    records.trial(64, model="digits")
    assert main(["dashboard", "--export-ck", "old.zip", "--no-official"]) == 0
    assert "old.zip: 1 row; 1 result has no column in that table" in capsys.readouterr().out
    frame = pd.read_pickle(tmp_path / "old.zip")
    assert list(frame["P_IC2_MS"]) == [64.0]
    assert main(["dashboard", "--export-ck", "old.zip"]) == 0  # a zip may be written anew


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["modl=resnet"], "no column"),
        (["model=nothing"], "no test passes model=nothing"),
        (["nowhere"], "nowhere: does not exist"),
        (["--add", "nowhere"], "--add=nowhere: does not exist"),
        (["--add", "outputs"], "is no submission tree: there is no closed|open/SUBMITTER/results"),
        (["--out", "x.pdf"], "choose one of: .csv, .html, .json"),
        (["--out", "x"], "ends in nothing"),
        (["--out", "no/such/x.html"], "there is no folder no/such"),
        (["--out", "a.html"], "is a folder"),
        (["--out", f"{'a' * 300}.html"], "cannot be written"),
        (["--out", "file/x.html"], "there is no folder file"),
        (["--export-ck", "x.pickle"], "choose one of: .zip"),
        (["--export-ck", "kept.zip"], "is there already, and is no such table"),
        (["--add", "outputs", "--add", "./outputs"], "--add=outputs: is given more than once"),
        (["--export-ck", "packed.zip"], "is there already, and is no such table"),
        (["--addd", "x"], "did you mean --add?"),
    ],
)
def test_what_cannot_be_shown_is_one_clear_line(records, tmp_path, capsys, arguments, said):
    records.trial(64)
    (tmp_path / "a.html").mkdir()
    for name in ("file", "kept.zip"):
        (tmp_path / name).write_text("kept")
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr("trials/x/001/result.json", "{}")
    before = sorted(tmp_path.rglob("*"))
    assert main(["dashboard", *arguments]) == 2
    seen = capsys.readouterr()
    assert said in seen.err
    assert len(seen.err.splitlines()) == 1
    assert seen.out == ""
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "kept.zip").read_text() == "kept"


def test_nothing_at_all_is_an_error(records, capsys):
    assert main(["dashboard", "--no-official"]) == 2
    assert "has nothing to show" in capsys.readouterr().err


def test_a_filter_without_results_is_an_error(records, capsys):
    assert main(["dashboard", "model=resnet"]) == 2
    assert "no results of one's own" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--out", "--export-ck"])
def test_no_record_is_overwritten(records, capsys, flag):
    stored = records.trial(64)
    file = stored.directory / ("x.html" if flag == "--out" else "x.zip")
    assert main(["dashboard", flag, str(file)]) == 2
    assert "lies among the records" in capsys.readouterr().err
    assert not file.exists()


def test_that_nothing_of_ones_own_is_valid_is_said(records, capsys):
    records.trial(400)
    assert main(["dashboard"]) == 0
    seen = capsys.readouterr()
    assert seen.out == "dashboard.html: 177 official, 0 own\n"
    assert "none of one's own tests is a VALID performance test" in seen.err
