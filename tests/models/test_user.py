"""An ONNX file of the user's own, from any exporter: read right, or refused in one line that says what to do."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from sweep.config.calibration import CalibrationSettings, calibration_for
from sweep.datasets import DatasetConfig
from sweep.errors import ConfigError
from sweep.models import ModelConfig, TensorSpec, resolve_model
from sweep.vocabulary import Precision, Weights

FLOAT = TensorProto.FLOAT


@pytest.fixture
def resolve(tmp_path):
    def run(path):
        return resolve_model(ModelConfig(name="onnx", path=str(path)), Precision.FP32, tmp_path / "cache")

    return run


@pytest.fixture
def saved(tmp_path):
    """Return a maker of files: inputs and outputs as given, one node per output."""

    def save(inputs, outputs, *, weights=(), ir_version=8):
        nodes = [helper.make_node("Identity", ["from"], [output.name]) for output in outputs]
        graph = helper.make_graph(nodes, "g", list(inputs), list(outputs), list(weights))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=ir_version)
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return save


def tensor(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def refused(resolve, path, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        resolve(path)
    (problem,) = caught.value.problems
    assert problem.field == "model.path"
    assert "\n" not in str(caught.value)


# Files of another exporter


@pytest.mark.parametrize("name", ["torch_inline", "torch_external"])
def test_a_torch_export_is_read_and_runs(resolve, foreign, name):
    model = resolve(foreign / f"{name}.onnx")
    assert model.inputs == (TensorSpec("image", "float32", (3, 8, 8)),)
    assert model.outputs == (TensorSpec("scores", "float32", (5,)),)
    assert model.weights is Weights.USER
    assert model.fixed_batch is None
    assert not model.predicts_class
    assert model.path == foreign / f"{name}.onnx"  # in place: its external data is beside it
    session = onnxruntime.InferenceSession(str(model.path))
    assert session.run(None, {"image": np.ones((3, 3, 8, 8), np.float32)})[0].shape == (3, 5)


def test_the_digest_of_a_single_file_is_its_sha256(resolve, foreign):
    file = foreign / "torch_inline.onnx"
    assert resolve(file).digest == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


@pytest.fixture
def external(foreign, tmp_path):
    for name in ("torch_external.onnx", "torch_external.onnx.data"):
        (tmp_path / name).write_bytes((foreign / name).read_bytes())
    return tmp_path / "torch_external.onnx"


def test_external_data_is_part_of_the_digest(resolve, foreign, external):
    """Retrained weights beside an unchanged graph are another model."""
    first = resolve(external).digest
    assert first == resolve(foreign / "torch_external.onnx").digest  # where it lies does not matter
    data = external.with_name("torch_external.onnx.data")
    data.write_bytes(data.read_bytes()[:-1] + b"?")
    assert resolve(external).digest != first


def test_a_change_of_any_of_its_files_is_seen(resolve, external):
    model = resolve(external)
    assert [file.path for file in model.files] == [str(external), f"{external}.data"]
    for file in model.files:
        assert not file.changed
        status = Path(file.path).stat()
        os.utime(file.path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        assert file.changed
    external.unlink()
    assert [file.changed for file in model.files] == [True, True]


@pytest.mark.parametrize("in_place", [True, False])
def test_another_file_of_the_same_size_and_time_is_seen(resolve, external, in_place):
    """`cp -p`, `rsync` and version control set the time; the record would name weights that were not measured."""
    data = external.with_name("torch_external.onnx.data")
    before = data.stat()
    model = resolve(external)
    other = data if in_place else external.with_name("other")
    other.write_bytes(data.read_bytes()[:-1] + b"?")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(data)
    assert (data.stat().st_size, data.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert [file.changed for file in model.files] == [False, True]
    assert resolve(external).digest != model.digest


def test_missing_or_cut_off_external_data_is_named(resolve, external):
    data = external.with_name("torch_external.onnx.data")
    data.write_bytes(data.read_bytes()[:1000])
    refused(resolve, external, "weights are in torch_external.onnx.data, which is cut off: 1000 of 1[0-9]{3} bytes")
    data.unlink()
    refused(resolve, external, "weights are in torch_external.onnx.data, which is not there; put .* beside it")


@pytest.mark.parametrize("location", ["../weights", "/etc/passwd", ""])
def test_external_data_elsewhere_is_refused(resolve, saved, location):
    weight = numpy_helper.from_array(np.zeros(3, np.float32), "w")
    onnx.external_data_helper.set_external_data(weight, location)
    weight.ClearField("raw_data")
    refused(resolve, saved([tensor("x", ["N"])], [tensor("y", ["N"])], weights=[weight]), "outside its folder")


def test_files_are_hashed_once(resolve, external, monkeypatch):
    first = resolve(external)
    monkeypatch.setattr("sweep.models.user.take_stamp", None)
    assert resolve(external) == first


def test_weights_are_not_loaded_into_memory(resolve, saved):
    """A model of many gigabytes is only looked at here. The data is a hole: reading would give zeros, slowly."""
    weight = TensorProto(name="w", data_type=FLOAT, dims=[1 << 20], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="holes.bin")
    weight.external_data.add(key="length", value=str(1 << 22))
    path = saved([tensor("x", ["N"])], [tensor("y", ["N"])], weights=[weight])
    with path.with_name("holes.bin").open("wb") as file:
        file.truncate(1 << 22)
    assert resolve(path).inputs == (TensorSpec("x", "float32", ()),)


# Inputs and outputs


@pytest.mark.parametrize(
    ("batch", "fixed"), [("N", None), (None, None), (0, None), (-1, None), (1, 1), (16, 16)], ids=str
)
def test_the_batch_axis_is_read(resolve, saved, batch, fixed):
    model = resolve(saved([tensor("x", [batch, 3, 4])], [tensor("y", [batch, 2])]))
    assert model.fixed_batch == fixed
    assert model.inputs == (TensorSpec("x", "float32", (3, 4)),)


def test_several_inputs_of_several_types(resolve, saved):
    inputs = [tensor("ids", ["b", 128], TensorProto.INT64), tensor("mask", ["b", 128], TensorProto.BOOL)]
    inputs += [tensor("scale", ["c"], TensorProto.FLOAT16), tensor("pixels", [None, 8], TensorProto.UINT8)]
    model = resolve(saved(inputs, [tensor("y", ["b"], TensorProto.DOUBLE)]))
    assert model.inputs == (
        TensorSpec("ids", "int64", (128,)),
        TensorSpec("mask", "bool", (128,)),
        TensorSpec("scale", "float16", ()),
        TensorSpec("pixels", "uint8", (8,)),
    )
    assert model.outputs == (TensorSpec("y", "float64", ()),)


def test_weights_listed_as_inputs_are_no_inputs(resolve, saved):
    weight = numpy_helper.from_array(np.zeros((7, 7), np.float32), "w")
    path = saved([tensor("x", ["N", 2]), tensor("w", [7, 7])], [tensor("y", ["N"])], weights=[weight], ir_version=3)
    assert [spec.name for spec in resolve(path).inputs] == ["x"]


def test_what_an_output_does_not_say_is_unknown(resolve, saved):
    model = resolve(saved([tensor("x", ["N"])], [tensor("boxes", ["N", "found", 4]), tensor("any", None)]))
    assert model.outputs == (TensorSpec("boxes", "float32", (-1, 4)), TensorSpec("any", "float32", (-1,)))


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        ([("x", ["N", 3, "h", 4])], [("y", ["N"])], "input x: axis 2 is called h; .* only axis 0"),
        ([("x", ["N", None])], [("y", ["N"])], "input x: axis 1 is of unknown size"),
        ([("x", [])], [("y", ["N"])], "input x has no batch axis"),
        ([("x", None)], [("y", ["N"])], "input x has no batch axis, or its shape is not in the file"),
        ([("a", [2, 3]), ("b", [4, 3])], [("y", [2])], "batch axes of its inputs differ: a 2, b 4"),
        ([("a", [2, 3]), ("b", ["N", 3])], [("y", [2])], "batch axes of its inputs differ: a 2, b free"),
        ([], [("y", ["N"])], "has no inputs"),
        ([("x", ["N"])], [("loss", [])], "output loss has no batch axis: it is one number"),
        ([("x", ["N"])], [("y", [1, 5])], "output y has no batch axis: axis 0 is 1, not the batch, which is free"),
        ([("x", [4])], [("y", [100, 4])], "output y has no batch axis: axis 0 is 100, not the batch of 4"),
        ([("x", ["N"], TensorProto.STRING)], [("y", ["N"])], "input x holds string, which samples cannot"),
        ([("x", ["N"], TensorProto.BFLOAT16)], [("y", ["N"])], "input x holds bfloat16"),
        ([("x", ["N"])], [("y", ["N"], TensorProto.STRING)], "output y holds string"),
        ([("x", ["N"], 99)], [("y", ["N"])], "input x holds type 99"),
    ],
)
def test_what_loadgen_cannot_feed_or_log_is_refused(resolve, saved, inputs, outputs, reason):
    refused(resolve, saved([tensor(*i) for i in inputs], [tensor(*o) for o in outputs]), reason)


def test_inputs_that_are_not_tensors_are_refused(resolve, saved):
    numbers = helper.make_tensor_type_proto(FLOAT, ["N"])
    kinds = {
        "sequence": helper.make_sequence_type_proto(numbers),
        "optional": helper.make_optional_type_proto(numbers),
        "map": helper.make_map_type_proto(TensorProto.INT64, numbers),
        "sparse tensor": helper.make_sparse_tensor_type_proto(FLOAT, ["N"]),
    }
    for kind, proto in kinds.items():
        value = helper.make_value_info("x", proto)
        refused(resolve, saved([value], [tensor("y", ["N"])]), f"input x is of kind {kind}, not a tensor")
        refused(resolve, saved([tensor("a", ["N"])], [value]), f"output x is of kind {kind}, not a tensor")


# Files that are no models


def test_no_path_at_all(tmp_path):
    with pytest.raises(ConfigError, match=r"^model.path: is not set; give an ONNX file: model=onnx model.path=FILE$"):
        resolve_model(ModelConfig(name="onnx"), Precision.FP32, tmp_path)


def test_missing_files_and_folders(resolve, tmp_path):
    refused(resolve, tmp_path / "none.onnx", r"none.onnx: no such file$")
    refused(resolve, tmp_path, "is a folder")
    refused(resolve, tmp_path / ("x" * 300), "File name too long")
    refused(resolve, "a\0b", "cannot be read: .*null")
    refused(resolve, "~nobody.by.that.name/model.onnx", "there is no user nobody.by.that.name")
    refused(resolve, "/dev/zero", "is not a file")


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"", "is empty"),
        (b"hello, world\n", "is not an ONNX file, or it is damaged"),
        (b"<!DOCTYPE html>\n<html>", "it looks like a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"PK\x03\x04" + bytes(100), "PyTorch file"),
        (bytes(1000), "is not an ONNX file"),
        (b"\x0a\x03abc", "is not an ONNX file"),  # a protobuf, but of something else
        (np.random.default_rng(0).bytes(5000), "is not an ONNX file"),
    ],
)
def test_files_of_another_kind(resolve, tmp_path, content, hint):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    refused(resolve, path, hint)


def test_a_file_cut_off_anywhere_is_refused(resolve, foreign, tmp_path):
    data = (foreign / "torch_inline.onnx").read_bytes()
    path = tmp_path / "cut.onnx"
    for size in [*range(1, 200), *range(200, len(data), 97), len(data) - 1]:
        path.write_bytes(data[:size])
        refused(resolve, path, "is not an ONNX file, or it is damaged")


def test_a_tensor_without_a_file_is_refused(resolve, saved):
    weight = TensorProto(name="w", data_type=FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="w.bin")
    weight.external_data.add(key="offset", value="many")
    refused(resolve, saved([tensor("x", ["N"])], [tensor("y", ["N"])], weights=[weight]), "says nonsense")


def test_weights_inside_control_flow_are_found(resolve, tmp_path):
    weight = TensorProto(name="w", data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="gone.bin")
    constant = helper.make_node("Constant", [], ["c"], value=weight)
    body = helper.make_graph([constant], "body", [], [tensor("c", [1])])
    node = helper.make_node("If", ["x"], ["y"], then_branch=body, else_branch=body)
    graph = helper.make_graph([node], "g", [tensor("x", ["N"], TensorProto.BOOL)], [tensor("y", ["N"])])
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    refused(resolve, path, "gone.bin, which is not there")


def _detector(path, batch, rows):
    """Write a model that finds boxes: how many, the data decides."""
    values = [("s", [0]), ("e", [4]), ("e2", [5]), ("a", [2]), ("most", [10])]
    constants = [numpy_helper.from_array(np.array(value), name) for name, value in values]
    constants += [numpy_helper.from_array(np.array([0.5], np.float32), name) for name in ("overlap", "least")]
    nodes = [
        helper.make_node("Slice", ["x", "s", "e", "a"], ["boxes"]),
        helper.make_node("Slice", ["x", "e", "e2", "a"], ["confidence"]),
        helper.make_node("Transpose", ["confidence"], ["scores"], perm=[0, 2, 1]),
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "overlap", "least"], ["found"]),
        helper.make_node("Cast", ["found"], ["y"], to=TensorProto.INT32),
    ]
    x, y = tensor("x", [batch, 16, 5]), tensor("y", [rows, 3], TensorProto.INT32)
    graph = helper.make_graph(nodes, "detector", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("batch", "rows", "axis"), [("N", "num_selected", "axis 0, num_selected,"), (2, None, "axis 0")]
)
def test_rows_that_the_data_counts_are_no_answers(resolve, tmp_path, batch, rows, axis):
    path = _detector(tmp_path / "detector.onnx", batch, rows)
    refused(resolve, path, f"output y has no batch axis: {axis} is how much NonMaxSuppression finds")


def test_at_a_frozen_batch_of_one_all_rows_are_the_one_samples(resolve, tmp_path):
    assert resolve(_detector(tmp_path / "detector.onnx", 1, "num_selected")).fixed_batch == 1


@pytest.mark.parametrize(
    "name", ["seq", "seq_len", "time", "T", "sequence_length", "num_frames", "src-tokens", "Length"]
)
def test_an_axis_of_another_name_is_not_the_batch(resolve, saved, name):
    path = saved([tensor("x", [name, 8])], [tensor("y", [name, 8])])
    refused(resolve, path, f"axis 0 is called {name}, which is no batch")


@pytest.mark.parametrize("name", ["N", "batch", "batch_size", "batch_time", "unk__7", "s0", "B", "bs", None])
def test_an_axis_that_may_be_the_batch(resolve, saved, name):
    assert resolve(saved([tensor("x", [name, 8])], [tensor("y", [name, 8])])).fixed_batch is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("net.onnx.gz", gzip.compress(b"x", mtime=0), "gzip"),
        ("net.onnx", gzip.compress(b"x", mtime=0), "gunzip"),
        ("net.onnx", b"\x1c\0\0\0TFL3" + bytes(50), "TensorFlow Lite"),
        ("net.tflite", b"nothing", "TensorFlow Lite"),
        ("net.onnx", b"\x18\0\0\0ORTM" + bytes(50), "ONNX Runtime's own format"),
        ("net.ort", b"nothing", "ONNX Runtime's own format"),
        ("net.engine", b"nothing", "backend.engine=FILE"),
        ("net.onnx", b"ftrt" + bytes(50), "backend.engine=FILE"),
        ("net.pt", b"PK\x03\x04" + bytes(50), "PyTorch"),
        ("net.pth", b"\x80\x02}q\x00.", "pickle"),
        ("net.h5", b"\x89HDF\r\n\x1a\n", "Keras"),
        ("net.pb", b"nothing", "TensorFlow"),
        ("net.xml", b'<?xml version="1.0"?><net name="x">', "OpenVINO"),
        ("net.safetensors", b"\x10\0\0\0\0\0\0\0" + b'{"a":{}}', "safetensors"),
        ("net.onnx", bytes(257) + b"ustar" + bytes(50), "tar archive"),
        ("net.onnx", b"nothing", "copy or export it again"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_name(resolve, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    refused(resolve, tmp_path / name, f"is not an ONNX file, or it is damaged.*{words}")


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_what_onnx_runtime_warns_of_does_not_reach_the_terminal(tmp_path, capfd, precision):
    """Its C++ writes to standard error itself, past Python: here, of a weight that nothing reads."""
    weights = [numpy_helper.from_array(np.ones((8, 4), np.float32), name) for name in ("w", "unread")]
    values = [helper.make_tensor_value_info(name, FLOAT, ["N", size]) for name, size in (("x", 8), ("y", 4))]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    settings, inputs = CalibrationSettings(count=8), (TensorSpec("x", "float32", (8,)),)
    calibration = calibration_for(settings, DatasetConfig("synthetic"), inputs)
    config = ModelConfig("net", path=str(tmp_path / "net.onnx"))
    resolve_model(config, precision, tmp_path / "cache", calibration if precision is Precision.INT8 else None)
    assert capfd.readouterr() == ("", "")
