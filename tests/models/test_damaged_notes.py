"""What lies beside cached files is believed only where it is what sweep has written there."""

import pytest

from sweep.models.cache import read_stamp, stamp_path
from sweep.models.user import _read_memo

DAMAGES = [b"", b"{", b"[]", b"7", b"null", b'{"sha256": 7}', b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000]


@pytest.mark.parametrize("data", DAMAGES)
def test_a_note_that_is_none_is_as_good_as_gone(tmp_path, data):
    cached = tmp_path / "model.onnx"
    stamp_path(cached).write_bytes(data)
    assert read_stamp(cached) is None
    assert _read_memo(stamp_path(cached)) == {}


def test_nor_is_a_folder_or_a_loop_one(tmp_path):
    for name, make in (("a", lambda path: path.mkdir()), ("b", lambda path: path.symlink_to(path.name))):
        make(stamp_path(tmp_path / name))
        assert read_stamp(tmp_path / name) is None
        assert _read_memo(stamp_path(tmp_path / name)) == {}
