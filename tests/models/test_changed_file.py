"""A model's file that is no longer what its digest was taken of."""

import hashlib

from sweep.models.base import FileState, changed_file


def _written(path, data):
    path.write_bytes(data)
    return FileState.of(path, path.stat()), f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_a_file_as_it_was(tmp_path):
    state, digest = _written(tmp_path / "a", b"one")
    assert changed_file((state,), digest) is None


def test_other_contents_are_a_change(tmp_path):
    state, digest = _written(tmp_path / "a", b"one")
    _written(tmp_path / "a", b"two")
    assert changed_file((state,), digest) == str(tmp_path / "a")


def test_the_same_contents_written_again_are_none(tmp_path):
    """Another process may fill the same cache."""
    state, digest = _written(tmp_path / "a", b"one")
    (tmp_path / "b").write_bytes(b"one")
    (tmp_path / "b").replace(tmp_path / "a")
    assert state.changed
    assert changed_file((state,), digest) is None


def test_a_file_that_is_gone_is_a_change(tmp_path):
    state, digest = _written(tmp_path / "a", b"one")
    (tmp_path / "a").unlink()
    assert changed_file((state,), digest) == str(tmp_path / "a")


def test_of_several_files_each_counts_by_itself(tmp_path):
    first, _ = _written(tmp_path / "a", b"one")
    second, _ = _written(tmp_path / "b", b"weights")
    (tmp_path / "b").write_bytes(b"WEIGHTS")
    assert changed_file((first, second), "sha256:of both") == str(tmp_path / "b")
