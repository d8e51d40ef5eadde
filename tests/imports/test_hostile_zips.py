"""Zips that are made to do harm: refused whole, by name and reason, before anything is written."""

import stat
import struct
import zipfile

import pytest
from tests.imports.entries import EXAMPLE, PERFORMANCE, Entry, example_files, write_zip
from tests.results.archive.bed import entered, member

from sweep.errors import ConfigError
from sweep.imports import tree
from sweep.imports.ck import import_ck

POINT = f"{PERFORMANCE}/ckp-09bee4642a11bd29.0001.json"


@pytest.fixture
def refuse(tmp_path, outputs):
    """Import a good zip and a bad one, check that not even the good one was, and return why."""

    def run(path):
        with pytest.raises(ConfigError) as caught:
            import_ck([EXAMPLE, path], outputs)
        assert not outputs.exists()
        assert {one.name for one in tmp_path.iterdir()} <= {"x.zip", "x.txt"}
        return str(caught.value)

    return run


def enter(path, name, data=b"x", **changes):
    """Write the example with one member more, entered as it is."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, content in example_files().items():
            archive.writestr(other, content)
        archive.writestr(member(name, **changes), data)
    return path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "is an absolute path"),
        ("C:/x", "has a drive letter"),
        ("../../x", "leads out of the folder"),
        (f"{PERFORMANCE}/../../x", "leads out of the folder"),
        ("a\\..\\b", "has a backslash in its name"),
        ("a//b", "has an empty part in its path"),
        ("./a", "has an empty part in its path"),
        ("a\nb", "has a control character in its name"),
        (POINT.upper(), "differs from"),
        (f"{POINT}/x", "is a file and a folder"),
    ],
)
def test_a_name_that_leads_astray(refuse, tmp_path, name, reason):
    assert reason in refuse(enter(tmp_path / "x.zip", name))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_in_it_twice(refuse, tmp_path):
    assert f"{POINT}: is in it twice" in refuse(enter(tmp_path / "x.zip", POINT))


@pytest.mark.parametrize(("mode", "reason"), [(stat.S_IFLNK, "is a symbolic link"), (stat.S_IFCHR, "is no plain file")])
def test_what_is_no_file(refuse, tmp_path, mode, reason):
    assert reason in refuse(enter(tmp_path / "x.zip", f"{PERFORMANCE}/x", b"/etc", mode=mode | 0o777))


def test_a_folder_that_holds_something(refuse, tmp_path):
    assert "is no plain file" in refuse(enter(tmp_path / "x.zip", "x/", b"content", mode=stat.S_IFDIR | 0o755))


def test_an_encrypted_member(refuse, tmp_path):
    path = entered(enter(tmp_path / "x.zip", "x"), "x", 8, "<H", 0x1, locally=6)
    assert "x: is encrypted" in refuse(path)


def test_a_damaged_member(refuse, tmp_path):
    path = enter(tmp_path / "x.zip", "x", b"content", method=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"content", b"contend"))
    assert "x: is damaged: its checksum is another" in refuse(path)


def test_a_member_with_a_second_name(refuse, tmp_path):
    extra = struct.pack("<2H", 0x7075, 9) + b"\x01" + struct.pack("<L", 0) + b"evil"
    assert "x: carries extra fields" in refuse(enter(tmp_path / "x.zip", "x", extra=extra))


def test_a_bomb(refuse, tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "_SMALL_BYTES", 2**20)
    path = enter(tmp_path / "x.zip", "x", bytes(2**24), method=zipfile.ZIP_DEFLATED)
    assert "unpacks to more than 250 times its size" in refuse(path)
    monkeypatch.setattr(tree, "MAX_BYTES", 2**20)
    assert "bytes unpacked, more than 1048576" in refuse(path)


def test_too_many_members(refuse, tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "MAX_FILES", 20)
    assert "has 24 members, more than 20" in refuse(write_zip(tmp_path / "x.zip", example_files()))


def test_what_is_no_zip(refuse, tmp_path):
    (tmp_path / "x.txt").write_text("no zip")
    assert "is no zip archive" in refuse(tmp_path / "x.txt")


def test_a_zip_that_is_cut_off(refuse, tmp_path):
    path = write_zip(tmp_path / "x.zip", example_files())
    path.write_bytes(path.read_bytes()[:-30])
    assert "is cut off" in refuse(path)


def test_a_zip_without_an_entry(refuse, tmp_path):
    assert "holds no entry of CK" in refuse(write_zip(tmp_path / "x.zip", {"readme.txt": b"hello"}))


def test_one_point_that_is_too_large_is_left_out(tmp_path, outputs, monkeypatch):
    entry = Entry()
    entry.again("aaaaaaaaaaaaaaaa.0001")["x"] = "x" * 100_000
    path = write_zip(tmp_path / "x.zip", entry.files())
    monkeypatch.setattr(tree, "MAX_FILE_BYTES", 50_000)
    done = import_ck([path], outputs)
    assert len(done.stored) == 1
    assert done.problems == [f"{PERFORMANCE}: ckp-aaaaaaaaaaaaaaaa.0001.json: is larger than 50000 bytes"]


def test_folders_and_times_in_a_zip_do_no_harm(tmp_path, outputs):
    """As `zip -r` makes them: a member for each folder, times and owner in extra fields."""
    times = struct.pack("<2HBL", 0x5455, 5, 1, 0) + struct.pack("<2H2B", 0x7875, 2, 1, 0)
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member(f"{PERFORMANCE}/", mode=stat.S_IFDIR | 0o755, method=0, external_attr=0x41ED0010), b"")
        for name, data in Entry().files().items():
            archive.writestr(member(name, extra=times), data)
    assert len(import_ck([path], outputs).stored) == 1


def test_an_entry_may_lie_at_the_top_of_its_zip(tmp_path, outputs):
    files = {name.removeprefix(f"{PERFORMANCE}/"): data for name, data in Entry().files().items()}
    done = import_ck([write_zip(tmp_path / f"{PERFORMANCE}.zip", files)], outputs)
    assert [stored.result.imported.entry for stored in done.stored] == [PERFORMANCE]
