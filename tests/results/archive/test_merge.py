"""An archive's results among those of another machine: nothing is lost, overwritten, half there, or there twice."""

import errno
import json
import os
import shutil
import threading
from pathlib import Path

import pandas as pd
import pytest
from tests.results.archive.bed import Machine, read, result_of, tree, write
from tests.searches import Searches

from sweep.errors import ConfigError
from sweep.paths import STAGING_PREFIX, OutputPaths, SweepPaths
from sweep.results import merge
from sweep.results.archive import pack
from sweep.results.merge import Unpacked, unpack
from sweep.results.selection import missing_logs, select
from sweep.store.records import Store
from sweep.trial.result import SCHEMA_VERSION


@pytest.fixture
def far(simulated, request_for, tmp_path):
    """The machine that results come from."""
    return Machine(tmp_path / "far" / "outputs", Searches(simulated, request_for, tmp_path / "sweep"), host="far")


@pytest.fixture
def near(simulated, request_for, tmp_path):
    """The machine that they come to."""
    return Machine(tmp_path / "near" / "outputs", Searches(simulated, request_for, tmp_path / "sweep"), host="near")


@pytest.fixture
def move(far, near, tmp_path):
    """Pack all of one machine, take it away, and unpack it on the other."""

    def run(places=None):
        target = tmp_path / "moved.zip"
        pack(select(places or [far.root]), target, force=True)
        shutil.rmtree(far.root.parent)  # whatever still names it would find nothing
        return unpack(target, near.root)

    return run


def _plain(selection, root):
    """Return what a selection shows, wherever it lies."""
    return (
        [(one.result, missing_logs(one), str(one.directory.relative_to(root))) for one in selection.trials],
        [(one.arguments, one.started_at, one.planned, [t.result for t in one.trials]) for one in selection.sweeps],
        [
            (one.path.name, one.saved.plan, one.saved.certificate, [test.result for test in one.tests])
            for one in selection.searches
        ],
        [len(one.observations()) for one in selection.searches],
        [str(error) for error in selection.damaged],
    )  # fmt: skip


def test_an_empty_folder_shows_the_same_results_as_the_one_they_come_from(far, near, move):
    far.sweep("grid", [far.attempt(8), far.attempt(8, seed=2), far.attempt(16)])
    far.search("search")
    before = _plain(select([far.root]), far.root)
    assert move() == Unpacked(6, 0, 0, 2, 0, (), ())
    assert _plain(select([near.root]), near.root) == before
    assert sorted(path.name for path in near.root.iterdir()) == ["sweeps", "trials"]


def test_the_same_archive_again_changes_nothing(far, near, move, tmp_path):
    far.sweep("grid", [far.attempt(8), far.attempt(16)])
    far.search("search")
    near.attempt(8, seed=99)
    near.sweep("grid", [near.attempt(32)])
    move()
    before = tree(near.root)
    assert unpack(tmp_path / "moved.zip", near.root) == Unpacked(0, 5, 0, 0, 2, (), ())
    assert tree(near.root) == before


def test_results_that_come_back_to_their_own_machine_are_there_already(far, tmp_path):
    far.sweep("grid", [far.attempt(8), far.attempt(16)])
    far.search("search")
    before = tree(far.root)
    pack(select([far.root]), tmp_path / "x.zip")
    assert unpack(tmp_path / "x.zip", far.root) == Unpacked(0, 5, 0, 0, 2, (), ())
    assert tree(far.root) == before


def test_a_number_that_is_taken_becomes_the_next_and_whatever_names_it_follows(far, near, move):
    """The victim's 001 is another measurement of the same trial: both stay, and each sweep names its own."""
    mine = near.attempt(8, seed=99)
    kept = mine.directory / "result.json"
    before = kept.read_bytes()
    theirs = far.attempt(8, seed=1)
    assert theirs.directory.parent.name == mine.directory.parent.name
    far.sweep("grid", [theirs, far.attempt(16)])
    far.search("search")
    near.search("other", seed=3)
    assert move() == Unpacked(5, 0, 4, 2, 0, (), ())
    assert kept.read_bytes() == before
    grid = json.loads((near.root / "sweeps" / "grid" / "sweep.json").read_text())
    assert grid["trials"][0] == str(mine.directory.parent / "002")
    assert Path(grid["trials"][1]).name == "001"
    search = json.loads((near.root / "sweeps" / "search" / "digits.json").read_text())
    assert [Path(test["directory"]).name for test in search["tests"]] == ["002"] * 3
    assert all(Path(test["directory"]).is_relative_to(near.root) for test in search["tests"])
    assert search["directory"] == str(near.root / "sweeps" / "search")
    found = {one.paths.directory.name: one for one in select([near.root]).sweeps}
    assert {one.result.environment["hostname"] for one in found["grid"].trials} == {"far"}
    assert {one.result.environment["hostname"] for one in found["other"].trials} == {"near"}
    assert not select([near.root]).damaged


def test_a_record_is_not_rewritten_even_where_its_number_is(far, near, move):
    """It is evidence; its own `attempt` says which one it was where it was measured."""
    near.attempt(8, seed=99)
    theirs = far.attempt(8, seed=1)
    data = (theirs.directory / "result.json").read_bytes()
    move()
    assert (near.root / "trials" / theirs.directory.parent.name / "002" / "result.json").read_bytes() == data


def test_tables_are_made_of_the_records_with_their_places_here(far, near, move):
    near.attempt(8, seed=99)
    far.sweep("grid", [far.attempt(8, seed=1), far.attempt(16)])
    move()
    paths = SweepPaths(near.root / "sweeps" / "grid")
    wanted = [str(one.directory) for one in select([paths.directory]).sweeps[0].trials]
    assert [Path(one).name for one in wanted] == ["002", "001"]
    assert pd.read_csv(paths.csv)["directory"].tolist() == wanted
    assert pd.read_parquet(paths.parquet)["directory"].tolist() == wanted


def test_a_table_of_the_archive_is_not_believed(far, near, tmp_path):
    far.sweep("grid", [far.attempt(8)])
    pack(select([far.root]), tmp_path / "x.zip")
    files = read(tmp_path / "x.zip")
    for name in ("results.csv", "results.parquet"):
        assert f"sweeps/grid/{name}" in files
        files[f"sweeps/grid/{name}"] = b"=cmd|' /C calc'!A0"
    unpack(write(tmp_path / "y.zip", files), near.root)
    assert "cmd" not in (near.root / "sweeps" / "grid" / "results.csv").read_text()
    assert len(pd.read_parquet(near.root / "sweeps" / "grid" / "results.parquet")) == 1


def test_a_sweep_whose_name_is_taken_gets_another(far, near, move):
    near.sweep("s", [near.attempt(32)])
    near.sweep("s-2", [near.attempt(64)])
    before = {name: one for name, one in tree(near.root).items() if name.startswith("sweeps/")}
    far.sweep("s", [far.attempt(8)])
    assert move() == Unpacked(1, 0, 0, 1, 0, ("s -> s-3",), ())
    after = tree(near.root)
    assert {name: after[name] for name in before} == before
    assert [one.result.spec.samples_per_query for one in select([near.root / "sweeps" / "s-3"]).trials] == [8]


def test_an_attempt_of_which_something_is_missing_here_comes_again(far, near, move, tmp_path):
    """Here already is what would bring nothing; the logs that somebody removed here would be brought."""
    theirs = far.attempt(8)
    move()
    here = near.root / "trials" / theirs.directory.parent.name / "001"
    (here / "mlperf_log_detail.txt").unlink()
    assert unpack(tmp_path / "moved.zip", near.root).attempts == 1
    assert (here.with_name("002") / "mlperf_log_detail.txt").exists()


def test_a_running_sweep_keeps_the_number_that_it_has_just_claimed(far, near, move, monkeypatch):
    """It has made its folder, which is still empty, and is about to write into it."""
    theirs = far.attempt(8)
    trial = near.root / "trials" / theirs.directory.parent.name
    original = OutputPaths.attempts

    def attempts(self, folder):
        found = original(self, folder)
        if folder == trial:
            (trial / "001").mkdir(parents=True, exist_ok=True)  # between the look and the claim
        return found

    monkeypatch.setattr(OutputPaths, "attempts", attempts)
    assert move().renumbered == 1
    assert not list((trial / "001").iterdir())
    assert (trial / "002" / "result.json").exists()


def test_a_sweep_that_begins_attempts_meanwhile_shares_no_folder(far, near, simulated, tmp_path):
    stored = [far.attempt(8, seed=seed) for seed in range(6)]
    pack(select([far.root]), tmp_path / "x.zip")
    begun, store, stop = [], Store(near.root), threading.Event()

    def begin():
        while not stop.is_set():
            begun.append(store.begin(stored[0].result.spec, stored[0].result.environment_digest))

    thread = threading.Thread(target=begin)
    thread.start()
    try:
        assert unpack(tmp_path / "x.zip", near.root).attempts == 6
    finally:
        stop.set()
        thread.join()
    assert len(select([near.root]).trials) == 6
    assert all({path.name for path in one.paths.directory.iterdir()} == {"spec.json"} for one in begun)


def test_two_unpackings_at_once_bring_everything_once(far, near, tmp_path):
    for seed in range(5):
        far.attempt(8, seed=seed)
    far.search("s")
    pack(select([far.root]), tmp_path / "x.zip")
    done = []
    threads = [threading.Thread(target=lambda: done.append(unpack(tmp_path / "x.zip", near.root))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.attempts for one in done) == [0, 0, 8]
    assert len(select([near.root]).trials) == 8
    assert len(select([near.root]).sweeps) == 1


@pytest.mark.parametrize("when", ["attempt", "sweep"])
def test_an_interruption_leaves_whole_attempts_and_the_same_call_goes_on(far, near, tmp_path, monkeypatch, when):
    far.sweep("grid", [far.attempt(8), far.attempt(16)])
    far.search("s")
    pack(select([far.root]), tmp_path / "x.zip")
    whole = {tuple(sorted(path.name for path in one.directory.iterdir())) for one in select([far.root]).trials}
    original, calls = Path.rename, []

    def rename(self, target):
        if len(calls) == {"attempt": 2, "sweep": 6}[when]:
            raise KeyboardInterrupt
        calls.append(target)
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        unpack(tmp_path / "x.zip", near.root)
    monkeypatch.undo()
    folders = list(near.root.glob("trials/*/*"))
    assert len(folders) == {"attempt": 2, "sweep": 5}[when]
    assert {tuple(sorted(path.name for path in folder.iterdir())) for folder in folders} == whole
    assert not list(near.root.glob(f"{STAGING_PREFIX}*"))
    assert not select([near.root]).damaged
    done = unpack(tmp_path / "x.zip", near.root)
    assert (done.attempts + done.attempts_here, done.renumbered) == (5, 0)
    assert len(select([near.root]).sweeps) == 2


def test_a_disk_that_fills_leaves_nothing_half(far, near, tmp_path, monkeypatch):
    far.sweep("grid", [far.attempt(8)])
    pack(select([far.root]), tmp_path / "x.zip")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(merge, "write_tables", full)
    with pytest.raises(ConfigError, match=r"--outputs=.*: cannot be written: No space left .*free some space"):
        unpack(tmp_path / "x.zip", near.root)
    assert not list(near.root.glob("sweeps/*"))
    assert [one.result.spec.samples_per_query for one in select([near.root]).trials] == [8]
    monkeypatch.undo()
    assert unpack(tmp_path / "x.zip", near.root) == Unpacked(0, 1, 0, 1, 0, (), ())


def test_trials_on_another_file_system_are_said_and_nothing_lands(far, near, tmp_path, monkeypatch):
    far.attempt(8)
    pack(select([far.root]), tmp_path / "x.zip")

    def rename(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(ConfigError, match=r"has trials or sweeps on another file system; choose another folder"):
        unpack(tmp_path / "x.zip", near.root)
    assert not list(near.root.glob("trials/*/*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_line(far, near, tmp_path):
    far.attempt(8)
    pack(select([far.root]), tmp_path / "x.zip")
    near.root.mkdir(parents=True, mode=0o500)
    with pytest.raises(ConfigError, match=r"--outputs=.*: cannot be written: Permission denied"):
        unpack(tmp_path / "x.zip", near.root)


def test_outputs_that_are_a_file_are_one_line(far, tmp_path):
    far.attempt(8)
    pack(select([far.root]), tmp_path / "x.zip")
    with pytest.raises(ConfigError, match=r"--outputs=.*x.zip: is no folder"):
        unpack(tmp_path / "x.zip", tmp_path / "x.zip")
    with pytest.raises(ConfigError, match=r"--outputs=.*: is no folder"):
        unpack(tmp_path / "x.zip", tmp_path / "x.zip" / "outputs")


def _newer(files, *names):
    for name in names:
        data = json.loads(files[name])
        files[name] = json.dumps({**data, "schema_version": data["schema_version"] + 1, "more": 1}).encode()
    return files


def test_a_record_of_a_newer_sweep_is_left_out_by_name_and_so_is_what_names_it(far, near, tmp_path):
    far.sweep("grid", [far.attempt(8), far.attempt(16)])
    far.sweep("other", [far.attempt(32)])
    pack(select([far.root]), tmp_path / "x.zip")
    files = read(tmp_path / "x.zip")
    name = result_of(files, 16)
    done = unpack(write(tmp_path / "y.zip", _newer(files, name)), near.root)
    schemas = f"schema {SCHEMA_VERSION + 1}, this one reads up to {SCHEMA_VERSION}"
    assert done == Unpacked(
        *(2, 0, 0, 1, 0, ()),
        left_out=(
            f"{name}: written by a newer sweep ({schemas}); update sweep to read it",
            "sweeps/grid: it names attempts that were left out",
        ),
    )
    assert sorted(path.name for path in near.root.glob("sweeps/*")) == ["other"]
    assert not list(near.root.glob("trials/*-n16-*"))


def test_a_manifest_or_a_certificate_of_a_newer_sweep_is_left_out_by_name(far, near, tmp_path):
    far.sweep("grid", [far.attempt(8)])
    far.search("search")
    pack(select([far.root]), tmp_path / "x.zip")
    files = _newer(read(tmp_path / "x.zip"), "sweeps/grid/sweep.json", "sweeps/search/digits.json")
    done = unpack(write(tmp_path / "y.zip", files), near.root)
    assert (done.attempts, done.sweeps) == (4, 1)
    assert [line.partition(": ")[0] for line in done.left_out] == [
        "sweeps/grid/sweep.json",
        "sweeps/search/digits.json",
    ]
    assert not (near.root / "sweeps" / "search" / "digits.json").exists()
    assert unpack(tmp_path / "y.zip", near.root).sweeps_here == 1


def test_what_comes_from_several_folders_lands_in_one(simulated, request_for, far, near, move, tmp_path):
    other = Machine(tmp_path / "far2" / "outputs", Searches(simulated, request_for, tmp_path / "sweep"), host="far2")
    far.sweep("s", [far.attempt(8, seed=1)])
    other.sweep("s", [other.attempt(8, seed=2)])
    assert move([far.root, other.root]) == Unpacked(2, 0, 0, 2, 0, (), ())
    found = {one.paths.directory.name: one.trials for one in select([near.root]).sweeps}
    assert {name: [one.result.environment["hostname"] for one in trials] for name, trials in found.items()} == {
        "s": ["far"],
        "s-2": ["far2"],
    }


def test_an_outputs_folder_that_is_a_link_is_followed(far, near, move, tmp_path):
    """Results often lie on a larger disk."""
    near.root.parent.mkdir()
    (tmp_path / "disk").mkdir()
    near.root.symlink_to(tmp_path / "disk")
    far.attempt(8)
    assert move().attempts == 1
    assert list((tmp_path / "disk").glob("trials/*/001/result.json"))
