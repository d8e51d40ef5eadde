"""What goes into an archive, and what is left out by name."""

import json
import os
import stat
import zipfile

import pytest
from tests.results.archive.bed import Machine, index_of, read
from tests.searches import Searches

from sweep.errors import ConfigError
from sweep.paths import AttemptPaths, write_json
from sweep.results import archive as archive_module
from sweep.results.archive import pack
from sweep.results.archive_format import INDEX, name_problem, sweep_name
from sweep.results.filters import parse_filters
from sweep.results.selection import select


@pytest.fixture
def machine(simulated, request_for, tmp_path):
    return Machine(tmp_path / "a" / "outputs", Searches(simulated, request_for, tmp_path / "sweep"))


@pytest.fixture
def packed(machine, tmp_path):
    """Pack what lies in the machine's folder; return what was done and the archive."""

    def run(*filters, places=None, **options):
        target = tmp_path / "out.zip"
        selection = select(places or [machine.root], parse_filters(filters))
        return pack(selection, target, **options), target

    return run


def _names(folder):
    return {path.name for path in folder.iterdir()}


def test_an_attempt_goes_with_all_its_files_and_a_sweep_with_its_tables(machine, packed):
    stored = machine.attempt(8)
    paths = machine.sweep("2026_x", [stored, machine.attempt(16)])
    done, target = packed()
    files = read(target)
    place = f"trials/{stored.directory.parent.name}/001"
    assert {name.rpartition("/")[2] for name in files if name.startswith(place)} == _names(stored.directory)
    assert {name for name in files if name.startswith("sweeps/")} == {
        f"sweeps/2026_x/{name}" for name in _names(paths.directory)
    }
    assert (done.attempts, done.sweeps, done.files, done.notes) == (2, 1, len(files), ())
    assert done.data_bytes == sum(map(len, files.values()))
    assert done.archive_bytes == target.stat().st_size


def test_the_index_names_every_member_by_size_and_digest(machine, packed):
    machine.search("s")
    _, target = packed()
    with zipfile.ZipFile(target) as opened:
        names = opened.namelist()
        index = json.loads(opened.read(INDEX))
    assert names == [*sorted(names[:-1]), INDEX]
    assert index["files"] == index_of(read(target))["files"]
    assert index["schema_version"] == 1


def test_a_sweep_in_an_archive_names_its_attempts_by_their_places_there(machine, packed, tmp_path):
    """What was /home/me/outputs there is something else here, so attempts are named by their place in the archive."""
    paths = machine.search("s")
    _, target = packed()
    files = read(target)
    manifest = json.loads(files["sweeps/s/sweep.json"])
    certificate = json.loads(files["sweeps/s/digits.json"])
    assert all(f"{folder}/result.json" in files for folder in manifest["trials"])
    assert [test["directory"] for test in certificate["tests"]] == manifest["trials"]
    assert certificate["directory"] == "sweeps/s"
    assert str(tmp_path) in paths.manifest.read_text(), "the sweep itself is as it was"


def test_two_archives_of_the_same_results_differ_by_their_time_alone(machine, packed, monkeypatch):
    machine.search("s")
    _, target = packed()
    first = target.read_bytes()
    for path in machine.root.rglob("*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o700)

    class Later(archive_module.dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2040, 1, 1, tzinfo=tz)

    monkeypatch.setattr(archive_module.dt, "datetime", Later)
    _, target = packed(force=True)
    assert target.read_bytes() != first
    with zipfile.ZipFile(target) as opened:
        infos = opened.infolist()
        assert json.loads(opened.read(INDEX))["created_at"] == "2040-01-01T00:00:00+00:00"
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in infos} == {stat.S_IFREG | 0o644}
    before = target.read_bytes()
    packed(force=True)
    assert target.read_bytes() == before


def test_filters_choose_records_and_a_sweep_that_is_partly_chosen_is_left_out_by_name(machine, packed):
    machine.sweep("both", [machine.attempt(8), machine.attempt(16)])
    machine.sweep("one", [machine.attempt(8, seed=8)])
    machine.sweep("none", [machine.attempt(32)])
    done, target = packed("batch=8")
    assert {name.split("/")[1] for name in read(target) if name.startswith("sweeps/")} == {"one"}
    assert (done.attempts, done.sweeps) == (2, 1)
    assert done.notes == (f"{machine.root}/sweeps/both: left out: not all of its attempts are packed (1 are)",)


def test_a_sweep_whose_record_is_damaged_or_gone_is_left_out_by_name(machine, packed):
    first, second = machine.attempt(8), machine.attempt(16)
    machine.sweep("s", [first, second])
    AttemptPaths(second.directory).result.write_text("{")
    selection = select([machine.root])
    done, target = packed()
    assert [str(error).partition(": ")[0] for error in selection.damaged] == [f"{second.directory}/result.json"]
    assert done.notes == (f"{machine.root}/sweeps/s: left out: not all of its attempts are packed (1 are)",)
    assert not [name for name in read(target) if "n16-" in name]


def test_a_record_that_lies_about_its_machine_is_not_packed(machine, packed):
    """Whoever unpacks it would refuse the archive, and everything else in it."""
    good, bad = machine.attempt(8), machine.attempt(16)
    path = AttemptPaths(bad.directory).result
    data = json.loads(path.read_text())
    write_json(path, {**data, "environment": {**data["environment"], "cpu": "faster"}})
    done, target = packed()
    assert done.attempts == 1
    assert done.notes == (f"{bad.directory}: left out: its environment has another digest than its record says",)
    assert {name.split("/")[1] for name in read(target)} == {good.directory.parent.name}


def test_an_unfinished_attempt_and_an_unfinished_sweep_are_left_out(machine, packed):
    stored = machine.attempt(8)
    AttemptPaths(machine.attempt(8, seed=9).directory).result.unlink()
    machine.sweep("running", [], finished=None)
    done, target = packed()
    assert {name.rpartition("/")[0] for name in read(target)} == {f"trials/{stored.directory.parent.name}/001"}
    assert done.notes == (f"{machine.root}/sweeps/running: left out: the sweep is unfinished",)


def test_links_folders_and_strange_files_are_left_out_by_name(machine, packed, tmp_path):
    folder = machine.attempt(8).directory
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "folder.txt").mkdir()
    (folder / ".hidden.txt").write_text("")
    (folder / "run.sh").write_text("")
    os.mkfifo(folder / "pipe.txt")
    done, target = packed()
    kinds = ".conf, .csv, .json, .log, .npy, .txt"
    assert sorted(done.notes) == [
        f"{folder}/.hidden.txt: left out: it is none of the files that lie there ({kinds})",
        f"{folder}/folder.txt: left out: it is no plain file",
        f"{folder}/link.txt: left out: links are not followed",
        f"{folder}/pipe.txt: left out: it is no plain file",
        f"{folder}/run.sh: left out: it is none of the files that lie there ({kinds})",
    ]
    assert b"secret" not in b"".join(read(target).values())


@pytest.mark.parametrize("which", ["attempt", "trial", "record"])
def test_an_attempt_that_is_a_link_is_left_out(machine, packed, tmp_path, which):
    machine.attempt(16)
    folder = machine.attempt(8).directory
    link = {"attempt": folder, "trial": folder.parent, "record": folder / "result.json"}[which]
    elsewhere = tmp_path / "elsewhere"
    link.rename(elsewhere)
    link.symlink_to(elsewhere)
    done, target = packed()
    assert done.attempts == 1
    assert done.notes == (f"{link}: left out: links are not followed",)
    assert not [name for name in read(target) if "n8-" in name]


def test_missing_logs_are_named(machine, packed):
    stored = machine.attempt(8)
    for name in ("mlperf_log_detail.txt", "spec.json"):
        (stored.directory / name).unlink()
    done, _ = packed()
    assert done.notes == (f"{stored.directory}: packed without mlperf_log_detail.txt, spec.json, which is gone",)


def test_two_output_folders_go_into_one_archive(simulated, request_for, machine, packed, tmp_path):
    """Both have an attempt 001 and a sweep `s`; the archive tells them apart, and names each by its own."""
    other = Machine(tmp_path / "b" / "outputs", Searches(simulated, request_for, tmp_path / "sweep"), host="b")
    here, there = machine.attempt(8, seed=1), other.attempt(8, seed=2)
    machine.attempt(8, seed=3)
    assert here.directory.parent.name == there.directory.parent.name
    machine.sweep("s", [here])
    other.sweep("s", [there])
    done, target = packed(places=[machine.root, other.root])
    files = read(target)
    assert (done.attempts, done.sweeps, done.notes) == (3, 2, ())
    trial = f"trials/{here.directory.parent.name}"
    assert json.loads(files["sweeps/s/sweep.json"])["trials"] == [f"{trial}/001"]
    assert json.loads(files["sweeps/s-2/sweep.json"])["trials"] == [f"{trial}/003"]
    assert json.loads(files[f"{trial}/003/result.json"])["environment"]["hostname"] == "b"


def test_what_lies_in_two_output_folders_is_packed_once(machine, packed, tmp_path):
    import shutil

    machine.search("s")
    shutil.copytree(machine.root, tmp_path / "copy")
    done, _ = packed(places=[machine.root, tmp_path / "copy"])
    assert (done.attempts, done.sweeps, done.notes) == (3, 1, ())


def test_a_certificate_alone_brings_its_records_and_says_that_it_stays(machine, packed):
    paths = machine.search("s")
    (certificate,) = paths.certificates()
    done, target = packed(places=[certificate])
    assert done.attempts == 3
    assert done.notes == (f"{certificate}: left out: a certificate goes with the folder of its sweep",)
    assert not [name for name in read(target) if name.startswith("sweeps/")]


def test_an_archive_that_exists_is_replaced_only_by_force(machine, packed, tmp_path):
    machine.attempt(8)
    (tmp_path / "out.zip").write_text("precious")
    with pytest.raises(ConfigError, match=r"out.zip: exists; give another name, or --force to replace it$"):
        packed()
    assert (tmp_path / "out.zip").read_text() == "precious"
    packed(force=True)
    assert zipfile.is_zipfile(tmp_path / "out.zip")


CHANGES = {
    "grows": lambda log, copy: log.write_text(log.read_text() + "more"),
    "shrinks": lambda log, copy: log.write_text(""),
    "is touched": lambda log, copy: os.utime(log, (5, 5)),
    "is replaced": lambda log, copy: copy.replace(log),
    "goes": lambda log, copy: log.unlink(),
    "becomes a link": lambda log, copy: (log.unlink(), log.symlink_to(copy)),
    "becomes a pipe": lambda log, copy: (log.unlink(), os.mkfifo(log)),
}
EARLIER = ("goes", "becomes a link", "becomes a pipe")
"""Before it is opened; the others while it is read."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_packed_leaves_no_archive(machine, packed, monkeypatch, change, tmp_path):
    """Half of an old and half of a new file would have a digest as good as any other."""
    log, copy = machine.attempt(8).directory / "mlperf_log_detail.txt", tmp_path / "copy.txt"
    copy.write_bytes(log.read_bytes())
    original = archive_module._read

    def read_and_alter(entry, size):
        if entry.source == log and change in EARLIER:
            CHANGES[change](log, copy)
        for piece in original(entry, size):
            if entry.source == log and change not in EARLIER:
                CHANGES[change](log, copy)
            yield piece

    monkeypatch.setattr(archive_module, "_read", read_and_alter)
    with pytest.raises(ConfigError, match=r"mlperf_log_detail.txt: changed while it was packed"):
        packed()
    assert not list(tmp_path.glob("*.zip*")) + list(tmp_path.glob(".*"))


def test_an_interrupted_packing_leaves_no_half_archive(machine, packed, tmp_path):
    machine.attempt(8)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packed(progress=interrupt)
    assert not list(tmp_path.glob("*.zip*")) + list(tmp_path.glob(".*"))


def test_a_full_disk_is_one_line_and_leaves_no_half_archive(machine, packed, monkeypatch, tmp_path):
    machine.attempt(8)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(ConfigError, match=r"out.zip: cannot be written: No space left on device; free some space"):
        packed()
    assert not list(tmp_path.glob("*.zip*")) + list(tmp_path.glob(".*"))


def test_an_archive_is_written_piece_by_piece(machine, packed, monkeypatch):
    """The detail log of an official run has gigabytes."""
    machine.attempt(8)
    longest = 0
    original = zipfile._ZipWriteFile.write

    def write(self, data):
        nonlocal longest
        if self._zinfo.filename != INDEX:
            longest = max(longest, len(data))
        return original(self, data)

    monkeypatch.setattr(archive_module, "_CHUNK", 100)
    monkeypatch.setattr(zipfile._ZipWriteFile, "write", write)
    _, target = packed()
    assert longest == 100
    assert zipfile.ZipFile(target).testzip() is None


def test_nothing_to_pack_is_an_error(machine, packed):
    machine.attempt(8)
    with pytest.raises(ConfigError, match=r"there is no record to pack"):
        packed("batch=9")


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("2026-01-01_x", "2026-01-01_x"),
        ("my sweep: a=b/c", "my-sweep-a-b-c"),
        (".hidden", "hidden"),
        ("größe", "gr-e"),
        ("...", "sweep"),
        ("a" * 300, "a" * 100),
        ("Taken", "Taken-2"),
    ],
)
def test_a_sweep_in_any_folder_gets_a_name_that_an_archive_may_hold(name, called):
    assert sweep_name(name, ["taken"]) == called
    assert name_problem(f"sweeps/{sweep_name(name, [])}/sweep.json") == ""
