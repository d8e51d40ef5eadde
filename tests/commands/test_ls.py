"""`sweep ls` lists every attempt, for people as wide as their terminal, for programs without a word too much."""

import csv
import io
import json
import re
import shlex

import pytest
from tests.points import Outputs

from sweep.cli import main
from sweep.store.table import COLUMNS

GIVE = "give an output folder, or one of its parts; python -m sweep model=digits makes the first results"


@pytest.fixture
def root(tmp_path, searches, monkeypatch):
    """Be in a folder with outputs: N=100, 200 VALID, 400 INVALID, 800 crashed; a search of one test, N=128."""
    monkeypatch.chdir(tmp_path)
    outputs = Outputs(tmp_path / "outputs")
    tests = [searches.test(n) for n in (100, 200, 400)] + [searches.test(800, failure="crash")]
    outputs.grid(tests, arguments=("model=digits", "-m", "search.space={a:[1, 2]}"))
    outputs.search(searches.single(label={"model": "digits"}), name="2026-01-02_00-00-00_search")
    return outputs.root


def ls(capfd, *arguments, code=0):
    assert main(["ls", *arguments]) == code
    out, err = capfd.readouterr()
    assert err == ""
    return out


def rows(text):
    return [line for line in text.splitlines() if "/001" in line]


def test_a_row_has_all_that_one_asks_first(root, capfd):
    lines = ls(capfd).splitlines()
    assert (
        " ".join(lines[0].split()) == "name model precision backend N run result p99 ms bound samples/s started (UTC)"
    )
    assert len(lines) == 1 + 5
    (row,) = [line for line in lines if " 400 " in line]
    assert re.fullmatch(
        r"digits-fp32-simulated-n400-\w{12}-\w{6}/001 +digits +fp32 +simulated +400 +quick +INVALID +6\d\.\d\d +50 "
        r"+\d+\.\d +2026-01-01 00:00",
        row,
    )
    (row,) = [line for line in lines if " 800 " in line]
    assert "FAILED (crash)" in row


def test_names_can_be_shown(root, capfd):
    for row in rows(ls(capfd)):
        assert main(["show", row.split()[0]]) == 0
        assert capfd.readouterr().out.startswith(row.split()[0])


def test_a_limit_keeps_the_newest_and_says_how_many_are_hidden(root, capfd):
    lines = ls(capfd, "--limit", "2").splitlines()
    assert lines[0] == "3 attempts more not shown; --limit 0 shows all"
    assert rows("\n".join(lines)) == [line.rstrip() for line in rows("\n".join(lines))]
    assert len(rows("\n".join(lines))) == 2
    assert len(rows(ls(capfd, "--limit", "0"))) == 5


@pytest.mark.parametrize("word", ["batch", "samples_per_query", "p99_ms", "latency_p99_ns"])
def test_sorting_is_by_value_with_what_is_missing_first(root, capfd, word):
    listed = json.loads(ls(capfd, "--sort", word, "--format", "json", "batch!=128"))
    found = [row["samples_per_query"] for row in listed]
    assert found == ([100, 200, 400, 800] if "p99" not in word else [800, 100, 200, 400])


def test_json_is_one_document_with_every_column_and_null_for_what_is_missing(root, capfd):
    listed = json.loads(ls(capfd, "--format", "json"))
    assert [list(row) for row in listed] == [[column.name for column in COLUMNS]] * 5
    crashed = next(row for row in listed if row["samples_per_query"] == 800)
    assert (crashed["result"], crashed["latency_p99_ns"], crashed["failure"]) == (None, None, "crash")
    assert json.loads(ls(capfd, "--format", "json", "batch=400"))[0]["result"] == "INVALID"


def test_csv_is_the_table_that_sweeps_write(root, capfd):
    from sweep.paths import SweepPaths
    from sweep.results.selection import select
    from sweep.store.table import write_tables

    paths = SweepPaths(root.parent)
    write_tables(select([root.relative_to(root.parent)]).trials, paths)
    assert ls(capfd, "--format", "csv") == paths.csv.read_text()


def test_paths_are_a_line_each(root, capfd):
    listed = ls(capfd, "--format", "paths", "result=VALID").splitlines()
    assert len(listed) == 3
    assert all((root.parent / line / "result.json").is_file() for line in listed)


def test_commands_are_listed_with_what_they_did_and_found(root, capfd):
    lines = ls(capfd, "--sweeps").splitlines()
    assert lines[0].split() == ["name", "started", "(UTC)", "done", "arguments", "answers"]
    grid, search = lines[1:]
    assert grid.startswith("2026-01-01_00-00-00_grid")
    assert " 4/4 " in grid
    arguments = grid.split(" 4/4 ")[1].strip().rstrip("-").strip()
    assert shlex.split(arguments) == ["model=digits", "-m", "search.space={a:[1, 2]}"]  # can be typed again
    assert "1/1" in search
    assert search.endswith("model=digits: 128, not confirmed (confidence 62.0 %, by quick runs)")
    listed = json.loads(ls(capfd, "--sweeps", "--format", "json"))
    assert [(row["planned"], row["done"], len(row["trials"]), len(row["searches"])) for row in listed] == [
        (4, 4, 4, 0),
        (1, 1, 1, 1),
    ]
    assert len(list(csv.DictReader(io.StringIO(ls(capfd, "--sweeps", "--format", "csv"))))) == 2
    assert len(ls(capfd, "--sweeps", "batch=100").splitlines()) == 3  # of searches, a test's N says nothing


def test_filters_change_nothing_of_how_far_a_command_came(root, capfd):
    assert [line.split()[3] for line in ls(capfd, "--sweeps", "batch=128").splitlines()[1:]] == ["1/1"]
    (grid, search) = ls(capfd, "--sweeps", "batch=100").splitlines()[1:]
    assert " 4/4 " in grid
    assert " 1/1 " in search


def test_a_command_that_was_stopped_says_so(root, capfd):
    manifest = root / "sweeps" / "2026-01-01_00-00-00_grid" / "sweep.json"
    data = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**data, "finished_at": None, "planned": 9}))
    assert "4/9 (stopped)" in ls(capfd, "--sweeps")


def test_searches_are_listed_with_their_answers(root, capfd):
    lines = ls(capfd, "--searches").splitlines()
    assert lines[0].split()[:1] == ["name"]
    assert re.search(r"digits +digits +fp32 +simulated +quick +128 +62\.0 % +unconfirmed +1 ", lines[1])
    (row,) = json.loads(ls(capfd, "--searches", "--format", "json"))
    assert (row["max_streams"], row["first_invalid"]) == (128, None)
    assert (root.parent / row["certificate"]).is_file()
    assert ls(capfd, "--searches", "--format", "paths").strip() == row["certificate"]


def test_columns_are_told_from_the_registry(root, capfd):
    lines = ls(capfd, "--columns").splitlines()
    assert len(lines) == 2 + len(COLUMNS)
    assert "batch for samples_per_query" in lines[-1]
    assert re.search(r"^latency_p99_ns +Int64 +ns +99th percentile$", "\n".join(lines), re.MULTILINE)
    listed = json.loads(ls(capfd, "--columns", "--format", "json"))
    assert listed == [{"name": c.name, "type": c.dtype, "unit": c.unit, "meaning": c.meaning} for c in COLUMNS]


def test_every_measured_figure_has_a_unit_or_is_a_count():
    counts = re.compile(r".*_count|samples_per_query|engine_batch|attempt|over_latency_allowed|accuracy_(good|total)")
    for column in COLUMNS:
        if column.dtype in ("Int64", "Float64"):
            assert bool(column.unit) != bool(counts.fullmatch(column.name)), column.name
        else:
            assert column.unit == "", column.name


def test_nothing_found_says_which_filter_and_what_there_is(root, capfd):
    assert ls(capfd, "model=resnet", "batch=100") == ("model=resnet finds none of 5 records; model has: digits\n")
    assert ls(capfd, "result=VALID", "batch=400") == (
        "none of 5 records passes all filters; alone result=VALID finds 3, batch=400 finds 1\n"
    )
    assert ls(capfd, "--searches", "model=resnet") == "no search passes these filters\n"
    assert ls(capfd, "--sweeps", "model=resnet") == "no command that ran tests passes these filters\n"


@pytest.mark.parametrize(("kind", "text"), [("json", "[]\n"), ("paths", "")])
def test_nothing_found_disturbs_no_program(root, capfd, kind, text):
    assert main(["ls", "model=resnet", "--format", kind]) == 0
    out, err = capfd.readouterr()
    assert out == text
    assert err == "model=resnet finds none of 5 records; model has: digits\n"
    assert main(["ls", "model=resnet", "--format", "csv"]) == 0
    assert capfd.readouterr().out == ",".join(column.name for column in COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["nowhere"],
            f"nowhere: does not exist; {GIVE}",
        ),
        (["modle=x"], "modle: no column of the results; did you mean model?"),
        (["--sort", "quux"], "--sort=quux: no column of the results; choose one of: "),
        (["--limit", "-1"], "--limit"),
        (["--limit", "few"], "--limit=few: must be a whole number from 0"),
        (["--format", "xml"], "--format=xml: unknown; choose one of: csv, json, paths, table"),
        (["--columns", "--format", "paths"], "--format=paths: columns have no paths"),
        (["--colums"], "--colums: unknown flag; did you mean --columns?"),
        (["--sweeps", "--searches"], "--searches: not allowed with argument --sweeps"),
    ],
)
def test_a_usage_error_is_one_line(root, capfd, arguments, line):
    assert main(["ls", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1


def test_help_of_both_commands_and_of_sweep_names_them(capfd):
    for command in ("ls", "show"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert f"usage: sweep {command} " in capfd.readouterr().out
    assert main(["--help"]) == 0
    out = capfd.readouterr().out
    assert "ls [DIR] [KEY=VALUE]" in out
    assert "show TRIAL" in out
