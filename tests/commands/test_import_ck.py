"""`sweep import-ck`: what it prints, how it ends, and that every other command shows where a trial comes from."""

import json

import pytest
from tests.imports.entries import ACCURACY, EXAMPLE, PERFORMANCE, Entry, detection, write_folder

from sweep.cli import main
from sweep.store.records import Store
from sweep.trial.imported import IMPORTED


@pytest.fixture
def example(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["import-ck", str(EXAMPLE)]) == 0
    capfd.readouterr()
    return tmp_path / "outputs"


def test_it_says_what_it_did(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["import-ck", str(EXAMPLE)]) == 0
    out, err = capfd.readouterr()
    accuracy = "resnet50-int8-tensorrt-accuracy-n70-0faa69673347-3af418/001"
    assert out.splitlines() == [
        f"{accuracy}: MultiStream, accuracy=76.258%, good=38129, total=50000",
        "resnet50-int8-tensorrt-n70-8e33f855c653-3af418/001: MultiStream, VALID (p99 49.31 ms)",
        "outputs: 2 new trials of 2 entries of CK",
    ]
    assert err == ""
    assert main(["import-ck", str(EXAMPLE), "--outputs", "outputs"]) == 0
    out = capfd.readouterr().out.splitlines()
    assert [line.startswith("skipped: ") for line in out] == [True, True, False]
    assert out[-1] == "outputs: 0 new trials, 2 here already of 2 entries of CK"


def test_a_part_that_is_left_out_is_named_and_the_exit_code_says_so(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    bad = Entry(ACCURACY, ACCURACY)
    del bad.run["good"]
    write_folder(tmp_path / "bad", bad.files())
    assert main(["import-ck", "bad"]) == 2
    out, err = capfd.readouterr()
    assert err == (
        f"left out: {ACCURACY}: ckp-09bee4642a11bd29.0001.json: has no score: good missing (it has parsed_summary)\n"
    )
    assert out == "outputs: 0 new trials, 1 left out of 1 entry of CK\n"
    write_folder(tmp_path / "bad", Entry().files())
    assert main(["import-ck", "bad"]) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "PATH|ZIP must be given"),
        (["gone"], "error: gone: does not exist; give a folder or a zip of CK experiment entries"),
        (["--output", "x"], "error: "),
        ([str(EXAMPLE), "--outputs", "file"], "error: "),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capfd, arguments, error):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(["import-ck", *arguments]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert error in err


def test_where_a_trial_comes_from_is_told_by_every_command(example, capfd):
    assert main(["ls"]) == 0
    assert capfd.readouterr().out.count("imported from ck") == 2
    assert main(["show", "resnet50-int8-tensorrt-n70"]) == 0
    out = capfd.readouterr().out
    assert f"entry {PERFORMANCE}, point 09bee4642a11bd29.0001" in out
    assert "took 3 h 45 min\n" in out
    assert "note: imported from ck: sweep did not measure it" in out
    assert "missing" not in out
    assert main(["show", "resnet50-int8-tensorrt-accuracy"]) == 0
    out = capfd.readouterr().out
    assert "took" not in out
    assert "missing " not in out
    assert main(["report", "--format", "md", "--out", "-"]) == 0
    out = capfd.readouterr().out
    assert "imported: another tool measured it, with a model that sweep never saw" in out
    assert "NVIDIA Jetson AGX Xavier, tensorrt" in out
    assert main(["report", "--format", "json", "--out", "-"]) == 0
    (series,) = json.loads(capfd.readouterr().out)["series"]
    assert "imported from ck: sweep did not measure it" in [note["text"] for note in series["notes"]]
    assert series["tests"][0]["samples_per_second"] is None
    assert main(["compare", "outputs", "outputs"]) == 0
    assert "imported from ck without the latencies of its queries" in capfd.readouterr().out
    assert main(["ls", "imported=ck", "--format", "paths"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 2


def test_a_score_without_counts_is_shown_by_every_command_and_compared_by_none(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "repository", detection(mAP=22.911).files())
    assert main(["import-ck", "repository"]) == 0
    assert "MultiStream, mAP=22.911%\n" in capfd.readouterr().out
    assert main(["ls"]) == 0
    assert " 22.911% " in capfd.readouterr().out
    assert main(["show", "ssd-mobilenet"]) == 0
    assert "mAP=22.911%\n" in capfd.readouterr().out
    assert main(["report", "--format", "md", "--out", "-"]) == 0
    assert "| 22.911 mAP |" in capfd.readouterr().out
    assert main(["compare", "outputs", "outputs"]) == 0
    assert "mAP=22.911%: without counts nobody knows how uncertain it is" in capfd.readouterr().out
    assert main(["pack", "x.zip"]) == 0
    assert main(["unpack", "x.zip", "--outputs", "elsewhere"]) == 0
    assert main(["ls", "elsewhere"]) == 0
    assert " 22.911% " in capfd.readouterr().out


def test_all_of_it_travels_in_an_archive(example, tmp_path, capfd):
    assert main(["pack", "x.zip"]) == 0
    out, err = capfd.readouterr()
    assert (out.startswith("x.zip: 2 attempts, 0 sweeps, 14 files; "), err) == (True, "")
    assert main(["unpack", "x.zip", "--outputs", "other"]) == 0
    here, there = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (example, tmp_path / "other")
    )
    assert here == there


def test_what_was_imported_never_stands_for_a_measurement(example, capfd):
    """Were it found by a search or a grid, a record of somebody else's machine would be taken for one of this."""
    from sweep.results.selection import select

    for stored in select([example]).trials:
        assert stored.result.notes[0].startswith(IMPORTED)
        spec, digest = stored.result.spec, stored.result.environment_digest
        assert Store(example).find(spec, digest) is None
        assert Store(example).attempts(spec, digest) == []


def test_a_long_list_of_what_is_left_out_is_summed_up_by_reason(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entry = Entry()
    entry.run["mlperf_log"]["summary"] = []
    for number in range(24):
        entry.again(f"{number:016x}.0001")
    folder = write_folder(tmp_path / "repository", entry.files())
    assert main(["import-ck", str(folder)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "has no summary of LoadGen's" in line]
    assert len(lines) == 1
    assert lines[0].startswith("left out: 25 points: ")
    assert main(["import-ck", str(folder), "--all"]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "has no summary of LoadGen's" in line]
    assert len(lines) == 26
