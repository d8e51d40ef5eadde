"""The command line of reports: where they go, what is refused, and that damage never stops them."""

import io
import json
from pathlib import Path

import pytest
from tests.report.records import Records, damage

from sweep.cli import main
from sweep.search.certificate import Status


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Records(tmp_path / "outputs")


def test_the_page_lies_in_the_output_folder_and_its_path_is_printed(records, tmp_path, capsys):
    records.trial(64)
    assert main(["report"]) == 0
    assert capsys.readouterr().out == "outputs/report.html\n"
    assert "largest VALID tested N" in (tmp_path / "outputs" / "report.html").read_text()


def test_a_sweep_a_trial_and_a_certificate_are_reported_into_their_output_folder(records, tmp_path, capsys):
    stored = records.trial(64)
    certificate = records.search([(stored, False)], max_streams=64, status=Status.OPEN)
    for place in (certificate, certificate.parent, stored.directory, stored.directory.parent):
        assert main(["report", str(place), "--format", "json"]) == 0
        path = Path(capsys.readouterr().out.strip())
        assert path.parent == tmp_path / "outputs"
        assert len(json.loads(path.read_text())["series"]) == 1


def test_the_report_of_a_part_does_not_replace_that_of_the_whole(records, tmp_path, capsys):
    records.trial(64)
    certificate = records.search([(records.trial(65), False)], max_streams=65, status=Status.OPEN)
    for words in ([], ["model=resnet"], [str(certificate.parent)]):
        assert main(["report", *words]) == 0
    assert len(set(capsys.readouterr().out.split())) == 3


def test_the_name_of_the_file_says_the_format(records, tmp_path, capsys):
    """Else HTML would lie in a file that promises Markdown."""
    records.trial(64)
    assert main(["report", "--out", "x.md"]) == 0
    assert (tmp_path / "x.md").read_text().startswith("## ")
    assert main(["report", "--out", "x.pdf"]) == 2
    assert ".pdf is no format of a report" in capsys.readouterr().err
    assert main(["report", "--out", "x.txt", "--format", "md"]) == 0


@pytest.mark.parametrize("form", ["md", "csv", "json", "html"])
def test_text_goes_to_standard_output_when_asked(records, tmp_path, capsys, form):
    records.trial(64)
    assert main(["report", "--format", form, "outputs", "--out", "-", "model=resnet"]) == 0
    assert "resnet" in capsys.readouterr().out
    assert list((tmp_path / "outputs").glob("report*")) == []


def test_filters_choose_tests_in_any_place_of_the_line(records, capsys):
    records.trial(64)
    records.trial(64, model="mobilenet")
    assert main(["report", "model=mobilenet", "--format", "json", "outputs", "--out", "-"]) == 0
    (series,) = json.loads(capsys.readouterr().out)["series"]
    assert series["configuration"]["model"] == "mobilenet"


def test_damage_is_one_line_each_and_the_report_is_written(records, capsys):
    records.trial(64)
    for n in range(65, 78):
        damage(records.trial(n))
    assert main(["report"]) == 0
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 11
    assert all(line.startswith("note: ") for line in errors)
    assert errors[-1] == "note: ... and 3 more"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["model=nothing"], "no test passes model=nothing"),
        (["nowhere"], "does not exist"),
        (["modl=resnet"], "no column"),
        (["--format", "pdf"], "choose one of: csv, html, json, md, png"),
        (["--format", "png", "--out", "-"], "is no text"),
        (["--out", "."], "is a folder"),
        (["--outt", "x"], "did you mean --out?"),
    ],
)
def test_what_cannot_be_reported_is_one_clear_line(records, capsys, arguments, said):
    records.trial(64)
    assert main(["report", *arguments]) == 2
    seen = capsys.readouterr()
    assert said in seen.err
    assert len(seen.err.splitlines()) == 1
    assert seen.out == ""


def test_only_damage_is_an_error(records, capsys):
    damage(records.trial(64))
    assert main(["report"]) == 2
    assert "no test that can be read" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_named(records, tmp_path, capsys):
    records.trial(64)
    (tmp_path / "file").write_text("")
    assert main(["report", "--format", "md", "--out", "file/report.md"]) == 2
    assert "--out=file/report.md: cannot be written" in capsys.readouterr().err


def test_standard_output_is_utf8_whatever_the_locale(records, monkeypatch):
    """A bound is written with a sign that latin-1 has not."""
    records.trial(64)
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    assert main(["report", "--format", "md", "--out", "-"]) == 0
    assert "p99 ≤ 50 ms" in raw.getvalue().decode()


def test_a_name_that_is_too_long_is_one_line(records, capsys):
    records.trial(64)
    for out in ("a" * 300, f"{'a' * 300}/report.md"):
        assert main(["report", "--format", "md", "--out", out]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: --out=")


def test_no_report_is_written_among_records(records, capsys):
    """`--out` of a record's own name would overwrite what may have taken hours to measure."""
    stored = records.trial(64)
    record = stored.directory / "result.json"
    before = record.read_bytes()
    assert main(["report", "--format", "json", "--out", str(record)]) == 2
    assert "lies among the records" in capsys.readouterr().err
    assert record.read_bytes() == before
