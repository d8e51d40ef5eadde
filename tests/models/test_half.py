"""float16: all of the network in it, nothing in it that overflows unseen, and what stays float32."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from sweep.datasets import DatasetConfig
from sweep.datasets.digits import open_digits
from sweep.errors import ConfigError
from sweep.models import ModelConfig, resolve_model
from sweep.models.half import half_network
from sweep.models.reference import reference_path
from sweep.vocabulary import COMPUTED, Precision

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def half(config, cache):
    return resolve_model(config, Precision.FP16, cache)


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


def casts(graph):
    return [next(a.i for a in node.attribute if a.name == "to") for node in graph.node if node.op_type == "Cast"]


@pytest.mark.parametrize("name", ["digits", "mobilenet"])
def test_the_network_is_float16_throughout(conf, tmp_path, name):
    """One float32 weight would make an engine cast on both sides of its layer."""
    graph = onnx.load(str(half(conf(name), tmp_path).path)).graph
    weights = {w.name: w.data_type for w in graph.initializer if not w.name.startswith("serving/")}
    assert len(weights) >= 8
    assert set(weights.values()) == {HALF}
    # uint8 to float32 for the normalisation, to float16; scores to float32; the index of the class to int32.
    assert casts(graph) == [FLOAT, HALF, FLOAT, TensorProto.INT32]


def test_casts_come_first_and_last(conf, tmp_path):
    graph = onnx.load(str(half(conf("digits"), tmp_path).path)).graph
    assert [node.op_type for node in graph.node][:4] == ["Cast", "Mul", "Cast", "Transpose"]
    inferred = onnx.shape_inference.infer_shapes(onnx.load(str(half(conf("digits"), tmp_path).path)), strict_mode=True)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    assert {types[name] for name in ("conv0", "relu0", "pool2", "features")} == {HALF}
    (summed,) = [node for node in graph.node if node.op_type == "ReduceSum"]
    assert types[summed.input[0]] == FLOAT  # the sum of finite float16 scores can be beyond float16


def test_a_softmax_stays_float32(conf, tmp_path):
    """Its float16 would make equals of classes that are not."""
    graph = onnx.load(str(half(conf("mobilenet"), tmp_path).path)).graph
    (softmax,) = [node for node in graph.node if node.op_type == "Softmax"]
    (before,) = [node for node in graph.node if softmax.input[0] in node.output]
    assert (before.op_type, before.attribute[0].i) == ("Cast", FLOAT)
    assert {node.op_type for node in graph.node if softmax.output[0] in node.input} == {"ArgMax", "Abs"}


def test_digits_are_answered_as_in_float32(conf, tmp_path):
    model = half(conf("digits"), tmp_path)
    data = open_digits_of(model)
    images = np.empty((500, 8, 8, 1), np.uint8)
    data.read_into(range(500), {"samples": images})
    answers = [
        session(one.path).run(None, {"samples": images})[0]
        for one in (model, resolve_model(conf("digits"), Precision.FP32, tmp_path))
    ]
    assert (answers[0] == data.labels).sum() >= 497
    assert (answers[0] != answers[1]).sum() <= 2


def open_digits_of(model):
    return open_digits(DatasetConfig(), model.inputs, Path("unused"))


def test_scores_are_close_to_float32(conf, tmp_path, network, tiny):
    put(tiny, tmp_path, network(softmax=False))
    images = np.random.default_rng(0).integers(0, 256, (64, 2, 3, 3), dtype=np.uint8)
    scores = []
    for precision in (Precision.FP32, Precision.FP16):
        model = onnx.load(str(resolve_model(tiny, precision, tmp_path).path))
        tensor = next(node.input[0] for node in model.graph.node if node.op_type == "ArgMax")
        model.graph.output.append(helper.make_tensor_value_info(tensor, FLOAT, None))
        scores.append(onnxruntime.InferenceSession(model.SerializeToString()).run([tensor], {"samples": images})[0])
    assert np.abs(scores[0] - scores[1]).max() < 0.01 * np.abs(scores[0]).max()
    assert (scores[0] != scores[1]).any()


def put(config, cache, model):
    path = reference_path(config, cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("opset", [11, 12, 13, 17])
@pytest.mark.parametrize("softmax", [True, False])
def test_reference_networks_of_any_opset(tiny, network, tmp_path, opset, softmax):
    put(tiny, tmp_path, network(opset=opset, softmax=softmax))
    model = half(tiny, tmp_path)
    onnx.checker.check_model(str(model.path), full_check=True)
    images = np.random.default_rng(0).integers(0, 256, (64, 2, 3, 3), dtype=np.uint8)
    reference = resolve_model(tiny, Precision.FP32, tmp_path)
    answers = [session(one.path).run(None, {"samples": images})[0] for one in (model, reference)]
    assert (answers[0] == answers[1]).mean() > 0.9
    assert len(set(answers[1].tolist())) > 1


def test_scores_that_overflow_are_no_answer(tiny, network, tmp_path):
    """In float16 an overflow would otherwise pass as a class with an infinite score."""
    put(tiny, tmp_path, network([[0, 30000, 0, 0]] * 3, softmax=False))
    images = np.full((1, 2, 3, 3), 255, np.uint8)
    assert session(resolve_model(tiny, Precision.FP32, tmp_path).path).run(None, {"samples": images})[0] == [0]
    options = onnxruntime.SessionOptions()  # optimised, ONNX Runtime computes float16 in float32 on a CPU
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    rounded = onnxruntime.InferenceSession(str(half(tiny, tmp_path).path), options)
    assert rounded.run(None, {"samples": images})[0] == [-1]


def test_a_weight_beyond_float16_is_named(tiny, network, tmp_path):
    put(tiny, tmp_path, network([[0, -70000.0, 0, 0]] * 3))
    wanted = r"^precision=fp16: weight w of the reference tiny network has -70000, beyond .* 65504; use precision=fp32"
    with pytest.raises(ConfigError, match=wanted):
        half(tiny, tmp_path)
    assert not list((tmp_path / "models").rglob("*fp16*"))


def test_a_bound_beyond_float16_bounds_nothing():
    """Exporters write the largest float32 where a Clip has no upper bound."""
    values = [helper.make_tensor_value_info(name, FLOAT, ["N", 4]) for name in "xy"]
    weights = [numpy_helper.from_array(np.array(bound, np.float32), name) for name, bound in (("low", 0), ("up", 3e38))]
    nodes = [helper.make_node("Clip", ["x", "low", "up"], ["y"], name="clip")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    converted = half_network(model, [], source="test", notes=[])
    bounds = {w.name: float(numpy_helper.to_array(w)) for w in converted.graph.initializer}
    assert bounds == {"low": 0.0, "up": 65504.0}


def test_what_cannot_be_converted_is_one_line(tiny, network, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("no\nsuch thing")

    monkeypatch.setattr("onnxruntime.transformers.float16.convert_float_to_float16", fail)
    put(tiny, tmp_path, network())
    with pytest.raises(
        ConfigError, match="the reference tiny network cannot be .*no such thing.*give a file"
    ) as caught:
        half(tiny, tmp_path)
    assert "\n" not in str(caught.value)


# A file of the user's own


def test_a_users_file_keeps_its_inputs_and_outputs(foreign, tmp_path):
    config = ModelConfig(name="mine", path=str(foreign / "torch_external.onnx"))
    model, before = half(config, tmp_path), resolve_model(config, Precision.FP32, tmp_path)
    assert (model.inputs, model.outputs, model.fixed_batch) == (before.inputs, before.outputs, before.fixed_batch)
    assert (model.number_format, [file.path for file in model.files]) == ("fp16", [str(model.path)])
    assert model.digest != before.digest
    images = np.random.default_rng(0).random((4, 3, 8, 8), np.float32)
    scores = [session(one.path).run(None, {"image": images})[0] for one in (model, before)]
    assert scores[0].dtype == np.float32
    np.testing.assert_allclose(*scores, rtol=0.02, atol=0.02)


def test_a_users_file_in_float16_is_used_as_it_is(tmp_path):
    values = [helper.make_tensor_value_info(name, HALF, ["N", 4]) for name in "xy"]
    weight = numpy_helper.from_array(np.ones(4, np.float16), "w")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "w"], ["y"])], "g", values[:1], values[1:], [weight])
    (tmp_path / "half.onnx").write_bytes(helper.make_model(graph, ir_version=8).SerializeToString())
    config = ModelConfig(name="mine", path=str(tmp_path / "half.onnx"))
    for precision in COMPUTED:
        model = resolve_model(config, precision, tmp_path / "cache")
        assert (model.path, model.number_format, model.calibration) == (tmp_path / "half.onnx", "fp16", None)


def test_a_users_file_that_is_too_large_is_said_to(foreign, tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.models.converted._LARGEST_BYTES", 100)
    config = ModelConfig(name="mine", path=str(foreign / "torch_inline.onnx"))
    with pytest.raises(ConfigError, match=r"^precision=fp16: .*torch_inline.onnx is too large .*convert it yourself"):
        half(config, tmp_path)


def test_another_version_of_the_converter_is_another_file(tiny, network, tmp_path, monkeypatch):
    put(tiny, tmp_path, network())
    first = half(tiny, tmp_path)
    monkeypatch.setattr(onnxruntime, "__version__", "99")
    second = half(tiny, tmp_path)
    assert (first.path, first.digest) != (second.path, second.digest)
    assert first.digest == second.digest  # of the same bytes here
    assert dataclasses.replace(first, path=second.path) == second
