"""`sweep pack` and `sweep unpack`: from one machine to another and on from there, and errors that are one line."""

import json
import os
import signal

import pytest
from tests.results.archive.bed import Machine
from tests.searches import Searches

from sweep.cli import main
from sweep.commands import unpack as unpack_command

SIMULATED = ["backend=simulated", "run=quick", "min_query_count=10", "backend.base_ms=0.1", "backend.per_sample_ms=0.1"]

GIVE = "give an output folder, or one of its parts; python -m sweep model=digits makes the first results"


@pytest.fixture
def machine(simulated, request_for, tmp_path, monkeypatch):
    """An output folder in the current one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Machine(tmp_path / "here" / "outputs", Searches(simulated, request_for, tmp_path / "sweep"))


def _attempts(folder):
    return sorted(path.relative_to(folder) for path in folder.glob("outputs/trials/*/*"))


@pytest.mark.parametrize(
    "command",
    [["-m", "batch=1,2"], ["search=max_streams", "search.max=4", "search.confidence=0.9", "percentile=50"]],
    ids=["grid", "search"],
)
@pytest.mark.usefixtures("idle")
def test_the_same_command_on_another_machine_measures_nothing_again(tmp_path, monkeypatch, capfd, command):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert main([*SIMULATED, *command]) == 0
    assert main(["pack", "../moved.zip"]) == 0
    monkeypatch.chdir(tmp_path / "b")
    assert main(["unpack", "../moved.zip"]) == 0
    before = _attempts(tmp_path / "b")
    assert before == _attempts(tmp_path / "a") != []
    capfd.readouterr()
    assert main([*SIMULATED, *command]) == 0
    assert "reused" in capfd.readouterr().err
    assert _attempts(tmp_path / "b") == before


def test_both_commands_say_what_they_did(machine, capfd):
    machine.sweep("grid", [machine.attempt(8), machine.attempt(16)])
    machine.sweep("running", [], finished=None)
    assert main(["pack", "x.zip"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("x.zip: 2 attempts, 1 sweep, 15 files; ")
    assert err == "note: outputs/sweeps/running: left out: the sweep is unfinished\n"
    assert main(["unpack", "x.zip", "--outputs", "other"]) == 0
    assert capfd.readouterr() == ("other: 2 new attempts; 1 new sweep\n", "")
    assert main(["unpack", "x.zip", "--outputs", "other"]) == 0
    assert capfd.readouterr() == ("other: 0 new attempts, 2 here already; 0 new sweeps, 1 here already\n", "")
    machine.attempt(32)
    assert main(["pack", "y.zip", "batch=8,32"]) == 0
    assert capfd.readouterr().err.splitlines() == [
        "note: outputs/sweeps/grid: left out: not all of its attempts are packed (1 are)",
        "note: outputs/sweeps/running: left out: the sweep is unfinished",
    ]
    assert main(["unpack", "y.zip", "--outputs", "other"]) == 0
    assert capfd.readouterr() == ("other: 1 new attempt, 1 here already; 0 new sweeps\n", "")


def test_damaged_records_are_named_ten_at_most_and_never_packed(machine, capfd):
    machine.attempt(8)
    for seed in range(13):
        (machine.attempt(16, seed=seed).directory / "result.json").write_text("{")
    assert main(["pack", "x.zip", "outputs"]) == 0
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert len(lines) == 11
    assert all(line.startswith("note: outputs/trials/") and "result.json: damaged: " in line for line in lines[:10])
    assert lines[10] == "note: ... and 3 more"
    assert out.startswith("x.zip: 1 attempt, 0 sweeps, ")


def test_what_a_newer_sweep_wrote_is_named(machine, capfd, monkeypatch):
    machine.attempt(8)
    assert main(["pack", "x.zip"]) == 0
    monkeypatch.setattr("sweep.trial.result.SCHEMA_VERSION", 1)
    capfd.readouterr()
    assert main(["unpack", "x.zip", "--outputs", "other"]) == 0
    out, err = capfd.readouterr()
    assert out == "other: 0 new attempts; 0 new sweeps\n"
    assert err.startswith("note: trials/digits-") and err.endswith("update sweep to read it; left out\n")  # noqa: PT018


def test_what_a_killed_unpack_left_is_named(machine, capfd):
    machine.attempt(8)
    (machine.root / ".unpack-x").mkdir()
    assert main(["pack", "x.zip"]) == 0
    capfd.readouterr()
    assert main(["unpack", "x.zip"]) == 0
    assert "note: outputs/.unpack-x: left by an unpack that was killed" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["pack"], "sweep pack: OUT.zip must be given; see python -m sweep pack --help"),
        (["pack", "outputs"], "outputs: is no name of an archive; give OUT.zip first"),
        (["pack", "model=digits"], "model=digits: is no name of an archive; give OUT.zip first"),
        (["pack", "none/x.zip"], "none/x.zip: lies in no folder that exists; make it first"),
        (
            ["pack", "x.zip", "none"],
            f"none: does not exist; {GIVE}",
        ),
        (["pack", "x.zip", "modl=x"], "modl: no column of the results; did you mean model? "),
        (["pack", "x.zip", "model=x"], "x.zip: there is no record to pack; give folders that hold some"),
        (["pack", "x.zip", "--forse"], "--forse: unknown flag; did you mean --force? "),
        (["pack", "folder.zip"], "folder.zip: is a folder; give the name of a file to make"),
        (["pack", "there.zip"], "there.zip: exists; give another name, or --force to replace it"),
        (["unpack"], "sweep unpack: IN.zip must be given; see python -m sweep unpack --help"),
        (["unpack", "none.zip"], "none.zip: does not exist; give an archive made by pack"),
        (["unpack", "there.zip"], "there.zip: is no zip archive; nothing was unpacked"),
        (["unpack", "there.zip", "--max-bytes", "1k"], "--max-bytes=1k: must be a whole number from 1"),
        (["unpack", "there.zip", "--outptus", "x"], "--outptus: unknown flag; did you mean --outputs? "),
    ],
)
def test_an_error_is_one_line(machine, capfd, tmp_path, arguments, line):
    machine.attempt(8)
    (tmp_path / "here" / "folder.zip").mkdir()
    (tmp_path / "here" / "there.zip").write_text("text")
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1


def test_a_hostile_archive_ends_in_2_and_one_line(machine, capfd, tmp_path):
    from tests.results.archive.bed import read, write

    machine.attempt(8)
    assert main(["pack", "x.zip"]) == 0
    write(tmp_path / "y.zip", {**read(tmp_path / "here" / "x.zip"), "../../evil\x1b[2J.txt": b""})
    capfd.readouterr()
    assert main(["unpack", str(tmp_path / "y.zip")]) == 2
    assert capfd.readouterr().err == (
        f"error: {tmp_path}/y.zip: ../../evil\\x1b[2J.txt: has a control character in its name; nothing was unpacked\n"
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_both_without_a_trace(machine, capfd, monkeypatch, request, number, code):
    """SIGTERM too: without a handler it would leave the folder in which the archive is checked."""
    machine.attempt(8)
    assert main(["pack", "x.zip"]) == 0
    capfd.readouterr()

    def interrupted(*_):
        os.kill(os.getpid(), number)

    monkeypatch.setattr("sweep.results.archive._size", interrupted)
    monkeypatch.setattr("sweep.results.archive_reading._write", interrupted)
    # A shell has its background processes ignore Ctrl-C, and what is ignored stays so.
    before = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(number, before))
    assert main(["pack", "y.zip"]) == code
    assert capfd.readouterr().err == "interrupted: no archive was made\n"
    assert main(["unpack", "x.zip", "--outputs", "other"]) == code
    assert capfd.readouterr().err == "interrupted: what has landed is whole; the same command unpacks the rest\n"
    assert sorted(path.name for path in machine.root.parent.iterdir()) == ["outputs", "x.zip"]


def test_help_says_what_stays_behind(capfd):
    with pytest.raises(SystemExit) as ended:
        main(["pack", "--help"])
    assert ended.value.code == 0
    assert "studies.log" in capfd.readouterr().out
    assert unpack_command.MAX_BYTES == 20 * 2**30


def test_the_archive_is_for_other_tools_too(machine, tmp_path):
    """A plain `unzip` gives an output folder that the other commands read."""
    import zipfile

    from sweep.results.selection import select

    machine.sweep("grid", [machine.attempt(8)])
    machine.search("search")
    assert main(["pack", "x.zip"]) == 0
    with zipfile.ZipFile("x.zip") as archive:
        archive.extractall(tmp_path / "plain")
        created = json.loads(archive.read("sweep-archive.json"))["created_at"]
    found = select([tmp_path / "plain"])
    assert (len(found.trials), len(found.sweeps), len(found.searches), found.damaged) == (4, 2, 1, ())
    assert created.endswith("+00:00")


def test_a_name_that_is_too_long_is_one_line(machine, capfd):
    machine.attempt(8)
    assert main(["pack", "x.zip"]) == 0
    capfd.readouterr()
    for command in (["pack", f"{'a' * 300}.zip"], ["unpack", "x.zip", "--outputs", "a" * 300]):
        assert main(command) == 2
        out, err = capfd.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        assert err.startswith("error: ")


def test_no_archive_is_made_among_records(machine, capfd):
    stored = machine.attempt(8)
    assert main(["pack", "--force", str(stored.directory / "x.zip")]) == 2
    assert "lies among the records" in capfd.readouterr().err


def test_what_is_damaged_is_named_once(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main([*SIMULATED, "search=max_streams", "search.max=4", "search.confidence=0.9", "percentile=50"]) == 0
    (certificate,) = tmp_path.glob("outputs/sweeps/*/max_streams*.json")
    certificate.write_text("{")
    capfd.readouterr()
    assert main(["pack", "x.zip"]) == 0
    assert capfd.readouterr().err.count(certificate.name) == 1
