"""Zips that are made to do harm, or that came to harm: refused by name and reason, with nothing changed."""

import stat
import struct
import zipfile
import zlib

import pytest
from tests.results.archive.bed import directory_entry, entered, index_of, member, result_of, tree, write

from sweep.errors import ConfigError
from sweep.results import archive_reading
from sweep.results.merge import unpack

LINK = stat.S_IFLNK | 0o777


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (LINK, "is a symbolic link"),
        (stat.S_IFDIR | 0o755, "is no plain file"),
        (stat.S_IFCHR | 0o666, "is no plain file"),
        (stat.S_IFBLK | 0o666, "is no plain file"),
        (stat.S_IFIFO | 0o666, "is no plain file"),
        (stat.S_IFSOCK | 0o666, "is no plain file"),
        (0o170000, "is no plain file"),
    ],
)
def test_what_is_no_plain_file_is_refused(files, refuse, tmp_path, mode, reason):
    name = result_of(files)
    archive = write(tmp_path / "x.zip", {**files, name: b"/etc"}, infos={name: member(name, mode=mode)})
    refuse(archive, f"{name}: {reason}")


@pytest.mark.parametrize("bits", [0x10, 0x08])
def test_a_folder_or_a_label_by_its_dos_attributes_is_refused(files, refuse, tmp_path, bits):
    name = result_of(files)
    info = member(name, external_attr=bits, create_system=0)
    refuse(write(tmp_path / "x.zip", files, infos={name: info}), f"{name}: is no plain file")


def test_permissions_of_an_archive_are_not_kept(files, victim, tmp_path):
    """What runs as another user, or runs at all, has no place among results."""
    infos = {name: member(name, mode=stat.S_IFREG | 0o7777) for name in files}
    unpack(write(tmp_path / "x.zip", files, infos=infos), victim / "outputs")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (victim / "outputs").rglob("*") if path.is_file()}
    assert not [mode for mode in modes if mode & 0o7111]


def test_an_encrypted_member_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    archive = entered(write(tmp_path / "x.zip", files), name, 8, "<H", 0x1, locally=6)
    refuse(archive, f"{name}: is encrypted")


def test_a_member_with_its_sizes_behind_it_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    archive = entered(write(tmp_path / "x.zip", files), name, 8, "<H", 0x8, locally=6)
    refuse(archive, f"{name}: has a flag that sweep does not set")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression_is_refused(files, refuse, tmp_path, method):
    name = result_of(files)
    archive = write(tmp_path / "x.zip", files, infos={name: member(name, method=method)})
    refuse(archive, f"{name}: is compressed in a way that sweep does not use")


def test_an_unknown_compression_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    refuse(entered(write(tmp_path / "x.zip", files), name, 10, "<H", 99, locally=8), f"{name}: is compressed in a way")


def test_a_stored_member_is_taken(files, victim, tmp_path):
    infos = {name: member(name, method=zipfile.ZIP_STORED) for name in files}
    assert unpack(write(tmp_path / "x.zip", files, infos=infos), victim / "outputs").attempts == 5


def test_a_member_that_declares_more_than_deflate_can_hold_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    index = index_of(files)
    next(line for line in index["files"] if line["path"] == name)["size"] = 10**8
    archive = entered(write(tmp_path / "x.zip", files, index), name, 24, "<L", 10**8)
    refuse(archive, f"{name}: declares more than can be in it")


def test_a_bomb_that_declares_little_is_stopped_at_what_it_declares(files, refuse, tmp_path, monkeypatch):
    """Its digest would say so too, but only when the disk was full."""
    name = result_of(files)
    files = {**files, name: b"\0" * 50_000_000}
    index = index_of(files)
    next(line for line in index["files"] if line["path"] == name)["size"] = 1000
    archive = entered(write(tmp_path / "x.zip", files, index), name, 24, "<L", 1000)
    written = []
    original = archive_reading._write
    monkeypatch.setattr(archive_reading, "_write", lambda path, pieces: original(path, _measured(pieces, written)))
    refuse(archive, f"{name}: holds more than the 1000 bytes that it declares")
    assert max(written) <= 1 << 18


def _measured(pieces, written):
    for piece in pieces:
        written.append(len(piece))
        yield piece


def test_too_many_members_are_refused_before_they_are_listed(files, honest, refuse, monkeypatch):
    monkeypatch.setattr(archive_reading, "MAX_FILES", 5)
    monkeypatch.setattr(zipfile, "ZipFile", None)  # which would take all their names into memory
    refuse(honest, f"has {len(files) + 1} members, more than 6")


def test_a_directory_that_is_larger_than_its_names_need_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    infos = {name: member(name, comment=b"x" * 65_000)}
    refuse(write(tmp_path / "x.zip", files, infos=infos), "has a directory that is larger than its names need")


def test_a_comment_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    refuse(write(tmp_path / "x.zip", files, infos={name: member(name, comment=b"x")}), f"{name}: carries a comment")


def test_a_directory_of_another_length_than_it_says_is_refused(files, honest, refuse, tmp_path):
    """A reader that counts sees other members than one that reads to the end."""
    data, target = honest.read_bytes(), tmp_path / "x.zip"
    count = len(files) + 1
    for wrong in (count - 1, count + 1):
        target.write_bytes(data[:-14] + struct.pack("<2H", wrong, wrong) + data[-10:])
        refuse(target, f"declares {wrong} members and lists {count}")


def test_a_member_that_declares_more_than_it_holds_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    size = len(files[name])
    index = index_of(files)
    next(line for line in index["files"] if line["path"] == name)["size"] = size + 5
    archive = entered(write(tmp_path / "x.zip", files, index), name, 24, "<L", size + 5)
    refuse(archive, f"{name}: holds {size} bytes and declares {size + 5}")


def test_another_checksum_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    archive = entered(write(tmp_path / "x.zip", files), name, 16, "<L", 12345, locally=14)
    refuse(archive, f"{name}: is damaged: its checksum is another")


def test_extra_fields_are_refused(files, refuse, tmp_path):
    """One of them gives a member a second name, which some readers take."""
    name = result_of(files)
    other = b"../../evil"
    field = struct.pack("<2HBL", 0x7075, 5 + len(other), 1, zlib.crc32(name.encode())) + other
    refuse(write(tmp_path / "x.zip", files, infos={name: member(name, extra=field)}), "carries extra fields")


def test_overlapping_members_are_refused(files, refuse, tmp_path):
    """A bomb's trick: many members, one heap of data."""
    first, second = sorted(files)[:2]
    archive = write(tmp_path / "x.zip", dict(sorted(files.items())))
    data = archive.read_bytes()
    at = struct.unpack_from("<L", data, directory_entry(data, first) + 42)[0]
    refuse(entered(archive, second, 42, "<L", at), f"({first}|{second}): overlaps another member")


def test_a_member_that_reaches_into_the_next_is_refused(files, refuse, tmp_path):
    first, second = sorted(files)[:2]
    archive = write(tmp_path / "x.zip", dict(sorted(files.items())))
    data = archive.read_bytes()
    size = struct.unpack_from("<L", data, directory_entry(data, first) + 20)[0]
    refuse(entered(archive, first, 20, "<L", size + 40), f"{second}: overlaps another member")


def test_bytes_between_members_are_refused(files, refuse, tmp_path):
    """Another reader may find a member in them."""
    first = min(files)
    archive = write(tmp_path / "x.zip", dict(sorted(files.items())))
    data = archive.read_bytes()
    size = struct.unpack_from("<L", data, directory_entry(data, first) + 20)[0]
    refuse(entered(archive, first, 20, "<L", size - 3), "holds bytes that belong to no member")


def test_a_member_whose_data_go_on_behind_their_end_is_refused(files, refuse, tmp_path):
    name = next(name for name in files if name.endswith("worker.log"))
    junk = b"hidden" * 100
    info = member(name, method=zipfile.ZIP_STORED)
    archive = write(tmp_path / "x.zip", {**files, name: _deflated(b"log") + junk}, index_of({**files, name: b"log"}),
                    infos={name: info})  # fmt: skip
    for offset, local, layout, value in (
        (10, 8, "<H", zipfile.ZIP_DEFLATED),
        (16, 14, "<L", zlib.crc32(b"log")),
        (24, 22, "<L", 3),
    ):
        entered(archive, name, offset, layout, value, locally=local)
    refuse(archive, f"{name}: holds bytes behind its end")


def _deflated(data):
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def test_two_names_for_one_member_are_refused(files, refuse, tmp_path):
    """The directory says one thing and the header before the data another: readers differ in whom they believe."""
    name = result_of(files)
    archive = write(tmp_path / "x.zip", files)
    data = archive.read_bytes()
    at = data.index(name.encode())
    archive.write_bytes(data[:at] + name.replace("result", "reborn").encode() + data[at + len(name) :])
    refuse(archive, f"{name}: has a header that is not what the directory says")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no zip archive"),
        (b"P", "is no zip archive"),
        (b"text", "is no zip archive"),
        (b"\x1f\x8b" + b"x" * 100, "is no zip archive"),
        (b"PK", "is cut off"),
        (b"PK\x03\x04" + b"x" * 100, "is cut off"),
        (b"PK\x05\x06" + b"\0" * 18, "sweep-archive.json is not in it"),
    ],
)
def test_what_is_no_zip_is_refused(refuse, tmp_path, content, reason):
    (tmp_path / "x.zip").write_bytes(content)
    refuse(tmp_path / "x.zip", reason)


@pytest.mark.parametrize("left", [0.999, 0.9, 0.5, 0.1])
def test_an_archive_that_is_cut_off_is_refused(files, honest, refuse, tmp_path, left):
    data = honest.read_bytes()
    (tmp_path / "x.zip").write_bytes(data[: int(len(data) * left)])
    refuse(tmp_path / "x.zip", "is cut off, or something follows its end")


@pytest.mark.parametrize("where", ["before", "behind", "comment", "in front of the directory"])
def test_bytes_around_an_archive_are_refused(files, honest, refuse, tmp_path, where):
    """It may be a program as well as a zip."""
    data, target = honest.read_bytes(), tmp_path / "x.zip"
    start = struct.unpack_from("<L", data, len(data) - 6)[0]
    target.write_bytes(
        {
            "before": b"#!/bin/sh\nexit\n" + data,
            "behind": data + b"\0",
            "comment": data[:-2] + b"\x05\0hello",
            "in front of the directory": data[:start] + b"junk" + data[start:],
        }[where]
    )
    refuse(target, "is no zip archive|something follows its end|belong to no member")


def test_bytes_before_an_archive_that_look_like_one_are_refused(files, honest, refuse, tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04" + honest.read_bytes())
    refuse(tmp_path / "x.zip", "holds bytes that belong to no member")


def test_any_byte_that_is_changed_is_found(files, honest, victim, tmp_path):
    """What passes must be what was packed: the only bytes that mean nothing are times, versions and attributes."""
    data = honest.read_bytes()
    wanted = None
    for at in range(7, len(data), max(len(data) // 80, 1)):
        (tmp_path / "x.zip").write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        outputs = tmp_path / f"out-{at}"
        try:
            unpack(tmp_path / "x.zip", outputs)
        except ConfigError:
            assert not outputs.exists()
            continue
        found = {name: content for name, content in tree(outputs).items() if name.startswith("trials/")}
        assert found == (wanted := wanted or found)


def test_long_sizes_are_understood_and_held_to_the_short_ones(files, victim, tmp_path, monkeypatch, refuse):
    """An archive of more than 4 GiB tells sizes and places in other records; here every number is too long."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    archive = write(tmp_path / "x.zip", files)
    monkeypatch.undo()
    assert b"PK\x06\x06" in archive.read_bytes()
    assert unpack(archive, victim / "outputs").attempts == 5
    data = archive.read_bytes()
    end, locator = data.index(b"PK\x06\x06"), data.index(b"PK\x06\x07")
    damaged, split = "has a damaged end", "is split over several files"
    for at, reason in (
        *((end + 4, damaged), (end + 16, split), (end + 24, split), (end + 32, damaged), (end + 40, damaged)),
        *((end + 48, damaged), (locator + 4, damaged), (locator + 8, damaged), (locator + 16, damaged)),
    ):
        changed = bytearray(data)
        struct.pack_into("<L", changed, at, 3)
        archive.write_bytes(changed)
        refuse(archive, reason)


def test_a_short_size_that_points_to_a_long_one_that_is_not_there_is_refused(honest, refuse, tmp_path):
    data = honest.read_bytes()
    (tmp_path / "x.zip").write_bytes(data[:-10] + b"\xff" * 4 + data[-6:])
    refuse(tmp_path / "x.zip", "has a damaged end")
