"""An archive is what its index says, and no larger than is allowed."""

import hashlib
import json
import os
import zipfile
from types import SimpleNamespace

import pytest
from tests.results.archive.bed import index_of, member, result_of, tree, write

from sweep.errors import ConfigError
from sweep.results import archive_format, archive_reading, merge
from sweep.results.archive_format import INDEX
from sweep.results.merge import unpack


def test_a_whole_archive_of_zeros_is_refused(files, refuse, tmp_path, monkeypatch):
    """Honest in every size, and five hundred times as large as it looks."""
    monkeypatch.setattr(archive_reading, "_SMALL_BYTES", 1_000_000)
    log = result_of(files).replace("result.json", "worker.log")
    archive = write(tmp_path / "x.zip", {**files, log: b"\0" * 60_000_000})
    refuse(archive, "unpacks to more than 250 times its size, which no results do")


def test_an_archive_above_the_limit_is_refused_and_told_how_to_be_taken(files, honest, victim, tmp_path, refuse):
    total = sum(map(len, files.values()))
    message = f"holds {total} bytes unpacked, more than {total - 1}; --max-bytes {total} allows it$"
    refuse(honest, message, max_bytes=total - 1)
    assert unpack(honest, victim / "outputs", total).attempts == 5


def test_a_limit_that_a_bomb_meets_by_many_members_holds_for_their_sum(files, refuse, tmp_path):
    logs = {result_of(files).replace("result.json", f"log{n}.txt"): b"ab" * 5_000 for n in range(20)}
    refuse(write(tmp_path / "x.zip", {**files, **logs}), "bytes unpacked, more than 150000", max_bytes=150_000)


def test_an_archive_that_does_not_fit_on_the_disk_is_refused(files, honest, victim, monkeypatch, tmp_path):
    monkeypatch.setattr(merge.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match=r"--outputs=.*: has 1000 bytes left, and the archive holds \d+; free some"):
        unpack(honest, victim / "outputs")
    assert tree(tmp_path) == before


INDEXES = {
    "none": (None, "is no archive of sweep's results: sweep-archive.json is not in it"),
    "cut off": (b'{"schema_version": 1', "sweep-archive.json: is damaged: not JSON"),
    "not UTF-8": (b"\xff\xfe\xfa", "sweep-archive.json: is damaged: not JSON"),
    "deep": (b"[" * 100_000, "sweep-archive.json: is damaged: not JSON"),
    "a list": (b"[]", "sweep-archive.json: is not the index"),
    "a number too long": (b'{"schema_version": ' + b"9" * 5000 + b"}", "sweep-archive.json: is damaged: not JSON"),
    "no version": ({"schema_version": None}, "sweep-archive.json: is not the index"),
    "newer": ({"schema_version": 2}, r"was written by a newer sweep \(schema 2, this one reads up to 1\); update"),
    "no files": ({"files": None}, "sweep-archive.json: is a damaged index"),
    "a file of no size": ({"files": [{"path": "x", "sha256": "0" * 64}]}, "is a damaged index"),
    "a file of less than nothing": ({"files": [{"path": "x", "size": -1, "sha256": "0" * 64}]}, "is a damaged index"),
    "a file of true size": ({"files": [{"path": "x", "size": True, "sha256": "0" * 64}]}, "is a damaged index"),
    "no digest": ({"files": [{"path": "x", "size": 1, "sha256": "0"}]}, "is a damaged index"),
}


@pytest.mark.parametrize("case", INDEXES)
def test_an_index_that_is_none_is_refused(files, refuse, tmp_path, case):
    index, reason = INDEXES[case]
    archive = tmp_path / "x.zip"
    if index is None:
        with zipfile.ZipFile(archive, "w") as opened:
            for name, data in files.items():
                opened.writestr(member(name), data)
    else:
        write(archive, files, index if isinstance(index, bytes) else index_of(files, **index))
    refuse(archive, reason)


def test_an_index_that_fills_the_memory_is_refused(files, honest, refuse, monkeypatch):
    monkeypatch.setattr(archive_reading, "_INDEX_BYTES", 1000)
    refuse(honest, f"{INDEX}: is larger than 1000 bytes")


def test_a_member_that_the_index_does_not_name_is_refused(files, refuse, tmp_path):
    extra = result_of(files).replace("result.json", "extra.txt")
    refuse(write(tmp_path / "x.zip", {**files, extra: b"x"}, index_of(files)), f"{extra}: is not in the index")


def test_a_file_that_the_index_alone_names_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    less = {one: data for one, data in files.items() if one != name}
    refuse(write(tmp_path / "x.zip", less, index_of(files)), f"{name}: is in the index alone")


def test_a_file_that_the_index_names_twice_is_refused(files, refuse, tmp_path):
    index = index_of(files)
    index["files"].append(index["files"][0])
    refuse(write(tmp_path / "x.zip", files, index), f"{index['files'][0]['path']}: is in the index twice")


def test_another_size_in_the_index_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    changed = index_of({**files, name: files[name] + b" "})
    refuse(write(tmp_path / "x.zip", files, changed), rf"{name}: declares \d+ bytes, and \d+ in the index")


def test_another_digest_in_the_index_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    other = files[name].replace(b"INVALID", b"INVALIT").replace(b"VALID", b"VALIT")
    assert len(other) == len(files[name])
    assert other != files[name]
    reason = f"{name}: is not what the index says: its digest is another"
    refuse(write(tmp_path / "x.zip", {**files, name: other}, index_of(files)), reason)


def test_an_attempt_without_its_record_is_refused(files, refuse, tmp_path):
    name = result_of(files)
    less = {one: data for one, data in files.items() if one != name}
    refuse(write(tmp_path / "x.zip", less), f"{name.rpartition('/')[0]}: has no result.json")


def test_a_zip_in_a_zip_is_data(files, honest, victim, tmp_path):
    log = result_of(files, 16).replace("result.json", "worker.log")
    inner = honest.read_bytes()
    unpack(write(tmp_path / "x.zip", {**files, log: inner}), victim / "outputs")
    assert (victim / "outputs" / log).read_bytes() == inner


def test_what_is_no_file_is_refused(refuse, tmp_path, files):
    refuse(tmp_path / "none.zip", "does not exist; give an archive made by pack")
    (tmp_path / "folder.zip").mkdir()
    refuse(tmp_path / "folder.zip", "is no file")
    os.mkfifo(tmp_path / "pipe.zip")
    refuse(tmp_path / "pipe.zip", "is no file")


def test_an_interruption_leaves_nothing(files, honest, victim, tmp_path):
    before = tree(tmp_path)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(honest, victim / "outputs", progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        unpack(honest, tmp_path / "new" / "outputs", progress=interrupt)
    assert tree(tmp_path) == before


def test_nothing_is_believed_that_the_archive_alone_says(files, honest):
    """The limits are those of the code, not of the index."""
    index = json.loads(zipfile.ZipFile(honest).read(INDEX))
    assert set(index) == {"schema_version", "created_at", "sweep", "files"}
    digests = {line["path"]: line["sha256"] for line in index["files"]}
    assert digests == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert archive_format.MAX_BYTES == 20 * 2**30
