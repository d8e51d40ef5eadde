"""What TensorRT's parser does not take is said by name, in a line each."""

import itertools

import pytest
from onnx import helper

from sweep.backends.trt.parser import parse
from sweep.errors import BackendError


def _lines(rtx, path):
    with pytest.raises(BackendError) as raised:
        parse(rtx, path)
    head, *lines = str(raised.value).split("\n")
    assert head == f"{rtx.title} cannot take {path}:"
    return lines


def test_every_operator_that_the_parser_lacks_is_named(rtx, onnx_file):
    path = onnx_file(
        helper.make_node("Frobnicate", ["x"], ["h"], name="first", domain="mine"),
        helper.make_node("Relu", ["h"], ["g"]),
        helper.make_node("StringNormalizer", ["g"], ["f"], name="second"),
        helper.make_node("Blend", ["f"], ["y"], domain="mine"),
    )
    assert _lines(rtx, path) == [
        "node first, operator Frobnicate: the parser has no such operator",
        "node second, operator StringNormalizer: the parser has no such operator",
        "node number 3, operator Blend: the parser has no such operator",
    ]


def test_hundreds_of_problems_are_counted(rtx, onnx_file):
    names = ["x", *(f"t{number}" for number in range(29)), "y"]
    nodes = [helper.make_node("Blend", [source], [to], domain="mine") for source, to in itertools.pairwise(names)]
    lines = _lines(rtx, onnx_file(*nodes))
    assert len(lines) == 21
    assert lines[-1] == "and 10 more"


def test_a_node_that_makes_no_sense_says_why(rtx, onnx_file, weights):
    weights.dims[:] = [4, 1]
    weights.name = "w"
    path = onnx_file(
        helper.make_node("Transpose", ["w"], ["v"], name="t"),
        helper.make_node("MatMul", ["x", "v"], ["y"], name="product"),
        initializers=[weights],
    )
    (line,) = _lines(rtx, path)
    assert line.startswith("node product, operator MatMul: Invalid Node - product")
    assert "must match" in line


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"not ONNX " * 9])
def test_a_damaged_file_is_called_that(rtx, onnx_file, damage):
    path = onnx_file(helper.make_node("Relu", ["x"], ["y"]))
    path.write_bytes(damage(path.read_bytes()))
    assert _lines(rtx, path) == ["it is damaged, or not an ONNX file"]


def test_an_empty_file_has_no_outputs(rtx, tmp_path):
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(BackendError, match=r"empty.onnx: it has no outputs; it is empty, or cut off$"):
        parse(rtx, tmp_path / "empty.onnx")


def test_a_missing_file_is_named(rtx, tmp_path):
    (line,) = _lines(rtx, tmp_path / "gone.onnx")
    assert "gone.onnx" in line


class TestExternalData:
    @pytest.fixture
    def path(self, onnx_file, weights):
        how = {"save_as_external_data": True, "location": "model.data", "size_threshold": 0}
        return onnx_file(helper.make_node("Add", ["x", "w"], ["y"]), initializers=[weights], **how)

    def test_it_is_found_beside_the_file_wherever_the_process_is(self, rtx, path, monkeypatch, tmp_path):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        assert parse(rtx, path).network.num_layers

    def test_what_is_missing_is_named(self, rtx, path):
        path.with_name("model.data").unlink()
        (line,) = _lines(rtx, path)
        assert "Failed to open file" in line
        assert "model.data" in line
        assert "importInitializers" in line

    def test_what_is_cut_off_is_named(self, rtx, path):
        path.with_name("model.data").write_bytes(b"1234")
        (line,) = _lines(rtx, path)
        assert "out of range for file" in line
        assert "model.data" in line
