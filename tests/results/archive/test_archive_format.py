"""Names in an archive lead nowhere but into the folder of an attempt or of a sweep."""

import pytest
from tests.results.archive.bed import index_of, result_of, write

from sweep.results.archive_format import INDEX
from sweep.results.merge import unpack


def test_the_honest_archive_is_taken(files, honest, victim, tmp_path):
    """Else every refusal here would prove nothing."""
    assert unpack(honest, victim / "outputs").attempts == 5
    assert unpack(write(tmp_path / "again.zip", files), victim / "outputs").attempts_here == 5


NAMES = {
    "": "a member: has no name",
    "../evil.txt": "leads out of the folder",
    "trials/../../evil.txt": "leads out of the folder",
    "trials/x-0123456789ab-012345/001/../../../../evil.txt": "leads out of the folder",
    "..": "leads out of the folder",
    "/etc/evil.txt": "is an absolute path",
    "//host/evil.txt": "is an absolute path",
    "C:/evil.txt": "has a drive letter",
    "c:evil.txt": "has a drive letter",
    "trials\\..\\evil.txt": "has a backslash in its name",
    "..\\evil.txt": "has a backslash in its name",
    "sweeps/x/evil.txt\x00.json": "has a control character in its name",
    "sweeps/x/evil\n.json": "has a control character in its name",
    "sweeps/x/\x1b[2Jevil.json": "has a control character in its name",
    "sweeps//evil.json": "has an empty part in its path",
    "sweeps/./evil.json": "has an empty part in its path",
    "./sweeps/x/evil.json": "has an empty part in its path",
    "sweeps/x/": "is a folder, not a file",
    "sweeps/": "is a folder, not a file",
    "evil.txt": "is no file of an attempt or a sweep",
    "studies.log": "is no file of an attempt or a sweep",
    "sweeps/evil.json": "is no file of an attempt or a sweep",
    "sweeps/x/y/evil.json": "is no file of an attempt or a sweep",
    "trials/x-0123456789ab-012345/evil.json": "is no file of an attempt or a sweep",
    "Trials/x-0123456789ab-012345/001/evil.json": "is no file of an attempt or a sweep",
    "trials/evil/001/result.json": "lies in no folder of an attempt",
    "trials/x-0123456789AB-012345/001/result.json": "lies in no folder of an attempt",
    "trials/.x-0123456789ab-012345/001/result.json": "lies in no folder of an attempt",
    "trials/x-0123456789ab-012345/1/result.json": "lies in no folder of an attempt",
    "trials/x-0123456789ab-012345/000/result.json": "lies in no folder of an attempt",
    "trials/x-0123456789ab-012345/0001/result.json": "lies in no folder of an attempt",
    "trials/x-0123456789ab-012345/+01/result.json": "lies in no folder of an attempt",
    "trials/x-0123456789ab-012345/\u0660\u0660\u0661/result.json": "lies in no folder of an attempt",
    "sweeps/.hidden/sweep.json": "lies in no folder of a sweep",
    "sweeps/x./sweep.json": "lies in no folder of a sweep",
    "sweeps/a b/sweep.json": "lies in no folder of a sweep",
    "sweeps/-rf/sweep.json": "lies in no folder of a sweep",
    "sweeps/x/.hidden.json": "is none of the files that lie there",
    "sweeps/x/-rf.json": "is none of the files that lie there",
    "sweeps/x/run.sh": "is none of the files that lie there",
    "sweeps/x/conftest.py": "is none of the files that lie there",
    "trials/x-0123456789ab-012345/001/.bashrc": "is none of the files that lie there",
    f"sweeps/x/{'a' * 300}.json": "has a name that is too long",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_astray_is_refused(files, refuse, tmp_path, name):
    """Whatever it is called, nothing may land anywhere but in the folder of an attempt or a sweep."""
    refuse(write(tmp_path / "x.zip", {**files, name: b"{}"}), NAMES[name])


def test_a_name_is_shown_without_what_moves_the_cursor(files, refuse, tmp_path):
    refuse(
        write(tmp_path / "x.zip", {**files, "sweeps/x/\x1b[2J\u202eevil.json": b""}), r"x/\\x1b\[2J\\u202eevil.json: "
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sweeps/twin/sweep.json", "sweeps/twin/Sweep.json"),
        ("sweeps/twin/sweep.json", "sweeps/TWIN/sweep.json"),
        ("sweeps/twin/a.csv", "sweeps/Twin/b.csv"),
        ("trials/\u00e9-0123456789ab-012345/001/a.txt", "trials/\u00c9-0123456789ab-012345/002/b.txt"),
        ("trials/fi-0123456789ab-012345/001/a.txt", "trials/\ufb01-0123456789ab-012345/001/a.txt"),
        ("trials/\u212a-0123456789ab-012345/001/a.txt", "trials/k-0123456789ab-012345/001/a.txt"),
    ],
)
def test_names_that_some_file_systems_take_for_one_are_refused(files, refuse, tmp_path, one, other):
    """The second would land on the first, whose digest was checked."""
    refuse(write(tmp_path / "x.zip", {**files, one: b"{}", other: b"{}"}), "by case or form alone")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(files, refuse, tmp_path):
    """Readers take the first or the last; the index has a digest for one of them."""
    name = result_of(files)
    refuse(write(tmp_path / "x.zip", [*files.items(), (name, b"{}")], index_of(files)), f"{name}: is in it twice")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_indexes_are_refused(files, refuse, tmp_path):
    refuse(write(tmp_path / "x.zip", [*files.items(), (INDEX, b"{}")], index_of(files)), f"{INDEX}: is in it twice")
