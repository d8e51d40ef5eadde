"""int8: where the Q/DQ pairs are, what they hold, what answers come out, and what a calibration decides."""

import dataclasses
import errno
import hashlib
import multiprocessing
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from sweep.datasets import DatasetConfig
from sweep.datasets.digits import open_digits
from sweep.errors import ConfigError
from sweep.models import Calibration, CalibrationMethod, ModelConfig, resolve_model
from sweep.models.graphs import consumers, producers
from sweep.models.ort import session_options
from sweep.models.reference import reference_path
from sweep.paths import cache_dir
from sweep.vocabulary import Precision

FLOAT, INT8 = TensorProto.FLOAT, TensorProto.INT8
WEIGHTED = {"Conv", "Gemm"}


@pytest.fixture(scope="module")
def cache():
    return cache_dir()


@pytest.fixture(scope="module")
def int8(conf, calibration):
    def run(name, cache, method="percentile", count=None, **overrides):
        config = conf(name, **overrides)
        count = count or (64 if name == "digits" else 8)
        return resolve_model(config, Precision.INT8, cache, calibration(config, count, method))

    return run


@pytest.fixture(scope="module", params=["digits", "mobilenet", "resnet"])
def graph(request, int8, cache):
    return onnx.load(str(int8(request.param, cache).path)).graph


def constants(graph):
    return {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}


# The graph


def test_weights_are_int8_and_biases_float(graph):
    makers, values = producers(graph), constants(graph)
    layers = [node for node in graph.node if node.op_type in WEIGHTED]
    assert len(layers) >= 4
    for node in layers:
        weight = makers[node.input[1]]
        assert weight.op_type == "DequantizeLinear"
        assert values[weight.input[0]].dtype == np.int8
        assert values[node.input[2]].dtype == np.float32
    serving = {name for name in values if name.startswith("serving/")}
    floats = {name for name, value in values.items() if value.dtype == np.float32 and value.ndim > 1}
    assert floats <= serving


def test_weights_have_a_scale_per_output_channel(graph):
    makers, values = producers(graph), constants(graph)
    for node in graph.node:
        if node.op_type in WEIGHTED:
            weight = makers[node.input[1]]
            (axis,) = [attribute.i for attribute in weight.attribute if attribute.name == "axis"]
            transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            assert axis == (1 if node.op_type == "Gemm" and not transposed else 0)
            assert values[weight.input[1]].shape == (values[weight.input[0]].shape[axis],)
            # The whole range is used in every channel, and never -128, which has no opposite.
            channels = np.moveaxis(values[weight.input[0]], axis, 0).reshape(values[weight.input[1]].size, -1)
            assert (np.abs(channels.astype(int)).max(axis=1) == 127).all()


def test_everything_is_symmetric(graph):
    """TensorRT refuses any other zero point."""
    values = constants(graph)
    pairs = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert {len(node.input) for node in pairs} == {3}
    assert {(values[node.input[2]].dtype.name, int(np.abs(values[node.input[2]]).max())) for node in pairs} == {
        ("int8", 0)
    }


def test_the_inputs_of_layers_are_quantised_and_their_outputs_are_not(graph):
    """A pair behind a convolution would keep its ReLU from being fused into it."""
    makers, readers = producers(graph), consumers(graph)
    for node in graph.node:
        if node.op_type in WEIGHTED | {"GlobalAveragePool"}:
            assert makers[node.input[0]].op_type == "DequantizeLinear"
        if node.op_type in WEIGHTED:
            after = {reader.op_type for reader in readers[node.output[0]]}
            assert after <= {"Relu", "Clip", "Add", "Softmax", "Flatten", "ArgMax", "Abs"} or after == {
                "QuantizeLinear"  # a projection shortcut: nothing comes between it and the addition
            }


def test_of_a_residual_addition_the_side_carried_over_is_quantised(int8, cache):
    graph = onnx.load(str(int8("resnet", cache).path)).graph
    makers = producers(graph)
    sides = Counter(
        tuple(makers[name].op_type for name in node.input)
        for node in graph.node
        if node.op_type == "Add" and not node.name.startswith("serving/")
    )
    assert sides == {("Conv", "DequantizeLinear"): 16}


def test_normalisation_and_the_choice_of_a_class_stay_float(graph):
    makers = producers(graph)
    for node in graph.node:
        if node.name.startswith("serving/"):
            kinds = {makers[name].op_type for name in node.input if name in makers}
            assert not kinds & {"DequantizeLinear", "QuantizeLinear"}, node.name


def test_ranges_are_what_was_seen(int8, cache, tmp_path):
    graph = onnx.load(str(int8("digits", tmp_path, "minmax").path)).graph
    values = constants(graph)
    scale = next(values[node.input[1]] for node in graph.node if node.op_type == "QuantizeLinear")
    assert float(scale) == pytest.approx(1 / 127)  # digits are 0..16, and the graph divides by 16


# Answers


def held_out(model):
    data = open_digits(DatasetConfig(), model.inputs, Path("unused"))
    images = np.empty((500, 8, 8, 1), np.uint8)
    data.read_into(range(500), {"samples": images})
    return images, data.labels


def session(model):
    return onnxruntime.InferenceSession(model if isinstance(model, bytes) else str(model), session_options(onnxruntime))


@pytest.mark.parametrize("method", CalibrationMethod)
def test_digits_lose_less_than_a_point(conf, int8, cache, method):
    model = int8("digits", cache, method)
    images, labels = held_out(model)
    reference = session(resolve_model(conf("digits"), Precision.FP32, cache).path).run(None, {"samples": images})[0]
    answers = session(model.path).run(None, {"samples": images})[0]
    assert (reference == labels).sum() == 498
    assert (answers == labels).sum() >= 493
    assert (answers != reference).sum() <= 5


def test_scores_are_close_to_float32(conf, int8, cache):
    scores = []
    for model in (resolve_model(conf("digits"), Precision.FP32, cache), int8("digits", cache)):
        images, _ = held_out(model)
        loaded = onnx.load(str(model.path))
        loaded.graph.output.append(helper.make_tensor_value_info("scores", FLOAT, None))
        scores.append(session(loaded.SerializeToString()).run(["scores"], {"samples": images})[0])
    noise = np.square(scores[0] - scores[1]).sum() / np.square(scores[0]).sum()
    assert 0 < noise < 1e-3  # 30 dB


# What a file depends on


def test_two_builds_are_alike_to_the_byte(int8, cache, tmp_path):
    """A digest that changes from build to build would measure everything again."""
    assert int8("digits", tmp_path).digest == int8("digits", cache).digest
    assert int8("mobilenet", tmp_path).digest == int8("mobilenet", cache).digest


def test_a_calibration_is_part_of_what_a_model_is(int8, cache):
    models = [int8("digits", cache, method, count) for method in ("percentile", "minmax") for count in (32, 64)]
    assert len({model.digest for model in models}) == len({model.path for model in models}) == 4
    assert models[0].calibration == {
        "dataset": "test",
        "digest": "sha256:digits",
        "count": 32,
        "method": "percentile",
    }


def test_other_samples_are_another_file(conf, calibration, cache):
    config = conf("digits")
    one = calibration(config)
    other = dataclasses.replace(one, digest="sha256:other")
    paths = {resolve_model(config, Precision.INT8, cache, made).path for made in (one, other)}
    assert len(paths) == 2


def test_all_samples_are_read_and_no_more(conf, calibration, tmp_path):
    """Ranges from some of them would be recorded as ranges from all."""
    config, seen = conf("digits"), []
    plain = calibration(config, 100)

    def read(batch):
        for arrays in plain.read(batch):
            seen.append((batch, len(arrays["samples"])))
            yield arrays

    resolve_model(config, Precision.INT8, tmp_path, dataclasses.replace(plain, read=read))
    assert seen == [(1, 1), (64, 64), (64, 36)]  # the first to see how large they are


def test_without_a_calibration_there_is_no_int8(conf, tmp_path):
    with pytest.raises(ValueError, match="needs a calibration"):
        resolve_model(conf("digits"), Precision.INT8, tmp_path)


def _resolve_in_process(config, cache, answers):
    from tests.models.test_int8 import noise

    answers.put(resolve_model(config, Precision.INT8, cache, noise(config)))


def noise(config, count=16):
    images = np.random.default_rng(0).integers(0, 17, (count, *config.sample_shape), dtype=np.uint8)

    def read(batch):
        for start in range(0, count, batch):
            yield {"samples": images[start : start + batch]}

    return Calibration("noise", "sha256:noise", count, CalibrationMethod.MINMAX, read)


def test_processes_that_quantise_at_once_agree(conf, tmp_path):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    arguments = (conf("digits"), tmp_path, answers)
    processes = [context.Process(target=_resolve_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    resolved = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert resolved[0] == resolved[1]
    digest = hashlib.sha256(resolved[0].path.read_bytes()).hexdigest()
    assert resolved[0].digest == f"sha256:{digest}"
    assert not list(tmp_path.rglob("*.tmp"))


def test_nothing_is_printed_and_the_process_stays_as_it_was(conf, tmp_path, capfd):
    import logging
    import sys

    before = list(sys.path), list(logging.getLogger().handlers), logging.root.manager.disable
    resolve_model(conf("digits"), Precision.INT8, tmp_path, noise(conf("digits"), 64))
    assert (list(sys.path), list(logging.getLogger().handlers), logging.root.manager.disable) == before
    assert capfd.readouterr() == ("", "")


# Networks of others


def put(config, cache, model):
    path = reference_path(config, cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("opset", [11, 12, 13, 17])
def test_reference_networks_of_any_opset(tiny, network, tmp_path, opset):
    """Those of MLPerf are of opset 11, which has no scales per channel."""
    put(tiny, tmp_path, network(opset=opset))
    model = resolve_model(tiny, Precision.INT8, tmp_path, noise(tiny))
    onnx.checker.check_model(str(model.path), full_check=True)
    graph = onnx.load(str(model.path)).graph
    weights = [value for name, value in constants(graph).items() if name.startswith("w_")]
    assert any(value.dtype == np.int8 and value.shape == (3, 4) for value in weights)
    images = np.random.default_rng(0).integers(0, 17, (64, 2, 3, 3), dtype=np.uint8)
    reference = resolve_model(tiny, Precision.FP32, tmp_path)
    answers = [session(one.path).run(None, {"samples": images})[0] for one in (model, reference)]
    assert (answers[0] == answers[1]).mean() > 0.8


def test_a_bias_that_is_added_stays_float(tmp_path):
    """TensorFlow's exporter writes the bias of the last layer as an addition."""
    w, b = np.eye(4, dtype=np.float32), np.full(4, 0.001, np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
    values = [helper.make_tensor_value_info(name, FLOAT, ["N", 4]) for name in "xy"]
    weights = [numpy_helper.from_array(value, name) for name, value in (("w", w), ("b", b))]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    model = users_int8(tmp_path, graph)
    (add,) = [node for node in onnx.load(str(model.path)).graph.node if node.op_type == "Add"]
    assert list(add.input) == ["m", "b"]


def users_int8(folder, graph, count=16):
    (folder / "mine.onnx").write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    )
    shape = [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim][1:]
    samples = np.random.default_rng(0).random((count, *shape), np.float32)

    def read(batch):
        for start in range(0, count, batch):
            yield {graph.input[0].name: samples[start : start + batch]}

    made = Calibration("noise", "sha256:noise", count, CalibrationMethod.MINMAX, read)
    config = ModelConfig(name="mine", path=str(folder / "mine.onnx"))
    return resolve_model(config, Precision.INT8, folder / "cache", made)


def frozen(batch, kind="MatMul"):
    values = [helper.make_tensor_value_info(name, FLOAT, [batch, 4]) for name in "xy"]
    weights = [numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")]
    return helper.make_graph([helper.make_node(kind, ["x", "w"], ["y"])], "g", values[:1], values[1:], weights)


def test_a_users_file_keeps_its_inputs_and_outputs(tmp_path):
    model = users_int8(tmp_path, frozen(3))
    assert (model.number_format, model.fixed_batch) == ("int8", 3)
    assert [file.path for file in model.files] == [str(model.path)]
    x = np.random.default_rng(1).random((3, 4), np.float32)
    np.testing.assert_allclose(session(model.path).run(None, {"x": x})[0], x, atol=0.01)


def test_fewer_samples_than_a_frozen_batch_are_refused(tmp_path):
    wanted = r"^calibration.count=8: is less than the batch .* frozen at, 16; set calibration.count=16 or more$"
    with pytest.raises(ConfigError, match=wanted):
        users_int8(tmp_path, frozen(16), count=8)


def test_a_network_without_anything_to_quantise_is_said_to(tmp_path):
    wanted = r"^precision=int8: the mine.onnx network cannot be quantised: it has no convolution .*; use precision=fp32"
    with pytest.raises(ConfigError, match=wanted):
        users_int8(tmp_path, frozen("N", "Mul"))


def test_a_full_disk_is_not_blamed_on_the_network(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("onnxruntime.quantization.QDQQuantizer", fail)
    with pytest.raises(ConfigError, match=r"^precision=int8: .* in /.*: No space left on device; .* set TMPDIR"):
        users_int8(tmp_path, frozen("N"))


def test_what_cannot_be_quantised_is_one_line(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("no\nsuch thing")

    monkeypatch.setattr("onnxruntime.quantization.QDQQuantizer", fail)
    with pytest.raises(ConfigError, match="cannot be quantised: ValueError: no such thing; use") as caught:
        users_int8(tmp_path, frozen("N"))
    assert "\n" not in str(caught.value)
