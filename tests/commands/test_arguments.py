"""Command lines of subcommands: where flags end, and which files nothing may be written to."""

from pathlib import Path

import pytest
from tests.report.records import Records

from sweep.commands.arguments import Parser, check_not_a_record
from sweep.errors import ConfigError
from sweep.paths import OutputPaths, write_json


@pytest.fixture
def parser():
    made = Parser(prog="sweep test")
    made.add_argument("first", type=Path)
    made.add_argument("words", nargs="*")
    made.add_argument("--flag")
    return made


def test_behind_two_dashes_everything_is_a_word(parser):
    options = parser.parse_args(["a", "--flag", "x", "b", "--", "-x", "--flag", "c", "--"])
    assert (options.first, options.flag) == (Path("a"), "x")
    assert options.words == ["b", "./-x", "./--flag", "c", "./--"]  # the same files
    assert parser.parse_args(["--", "-x"]).first == Path("-x")


def test_without_them_a_dash_begins_a_flag(parser):
    with pytest.raises(ConfigError, match="-x: unknown flag"):
        parser.parse_args(["a", "-x"])


@pytest.fixture
def records(tmp_path):
    """A trial with a sweep, a sweep in a place of its own, and a journal of Optuna's."""
    made = Records(tmp_path / "outputs")
    made.sweep([made.trial(8)], "one")
    write_json(tmp_path / "elsewhere" / "sweep.json", {})
    made.root.joinpath("studies.log").touch()
    return made


@pytest.mark.parametrize(
    "name",
    [
        "outputs/trials/TRIAL/001/result.json",
        "outputs/trials/TRIAL/001/new.txt",
        "outputs/trials/TRIAL/002/new.txt",
        "outputs/trials/new.txt",
        "outputs/sweeps/one/report.html",
        "outputs/sweeps/new.zip",
        "outputs/studies.log",
        "outputs/../outputs/sweeps/one/sweep.json",
        "elsewhere/sweep.json",
        "elsewhere/baseline.json",
        "link/result.json",
    ],
)
def test_nothing_is_written_among_records(records, tmp_path, name):
    trial = OutputPaths(records.root).all_trials()[0]
    (tmp_path / "link").symlink_to(trial / "001")
    with pytest.raises(ConfigError, match=r"--out=.*lies among the records of sweep"):
        check_not_a_record(tmp_path / name.replace("TRIAL", trial.name), "--out")


@pytest.mark.parametrize(
    "name",
    [
        "outputs/report.html",
        "outputs/baseline.json",
        "elsewhere/report.md",
        "sweeps/a.json",
        "trials/a/001/x",
        "a" * 300,
    ],
)
def test_other_files_are_free(records, tmp_path, name):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "named.yaml").touch()
    (tmp_path / "trials" / "a" / "001").mkdir(parents=True)
    check_not_a_record(tmp_path / name, "--out")


def test_a_flag_is_typed_in_full(parser):
    """A script that abbreviates a flag would change its meaning when another flag begins alike."""
    with pytest.raises(ConfigError, match=r"--fla: unknown flag; did you mean --flag\?"):
        parser.parse_args(["a", "--fla", "x"])
