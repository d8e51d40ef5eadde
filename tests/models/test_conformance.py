"""What every model that classifies must hold to, whatever its weights come from."""

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest

from sweep.models import TensorSpec, resolve_model
from sweep.models.number_format import number_format
from sweep.paths import cache_dir
from sweep.vocabulary import COMPUTED, Precision, Weights

MODELS = {"digits": Weights.SHIPPED, "resnet": Weights.SYNTHETIC, "mobilenet": Weights.SYNTHETIC}


@pytest.fixture(scope="module")
def cache():
    return cache_dir()


@pytest.fixture(scope="module")
def resolve(conf, cache, calibration):
    def run(name, precision):
        config = conf(name)
        count = 64 if name == "digits" else 8
        return resolve_model(config, precision, cache, calibration(config, count))

    return run


@pytest.fixture(
    scope="module",
    params=[(name, precision) for name in sorted(MODELS) for precision in COMPUTED],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def resolved(request, resolve):
    return resolve(*request.param)


@pytest.fixture(scope="module")
def session(resolved):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(resolved.path), options)


def test_says_where_the_weights_come_from(resolved):
    assert resolved.weights is MODELS[resolved.name]
    assert ("python -m sweep fetch" in resolved.why) == (resolved.weights is Weights.SYNTHETIC)


def test_takes_uint8_images_and_answers_with_int32_classes(resolved, session):
    (samples,) = resolved.inputs
    assert resolved.outputs == (TensorSpec("top1", "int32", ()),)
    assert resolved.predicts_class
    assert resolved.fixed_batch is None
    assert (samples.name, samples.dtype) == ("samples", "uint8")
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("samples", "tensor(uint8)", ["N", *samples.shape])
    (answer,) = session.get_outputs()
    assert (answer.name, answer.type, answer.shape) == ("top1", "tensor(int32)", ["N"])


def test_one_sample_is_answered_alike_in_every_batch(resolved, session):
    """If the batch axis leaked into the answers, N would change accuracy."""
    images = np.random.default_rng(0).integers(0, 17, (8, *resolved.inputs[0].shape), dtype=np.uint8)
    images *= 15 if resolved.name != "digits" else 1
    alone = [int(session.run(None, {"samples": images[i : i + 1]})[0][0]) for i in range(8)]
    assert session.run(None, {"samples": images[:3]})[0].tolist() == alone[:3]
    assert session.run(None, {"samples": images})[0].tolist() == alone
    assert -1 not in alone


def test_the_file_is_valid_onnx_with_one_opset(resolved):
    onnx.checker.check_model(str(resolved.path), full_check=True)  # types of all tensors too
    model = onnx.load(str(resolved.path))
    assert [entry.domain for entry in model.opset_import] == [""]


def test_every_operator_is_one_that_all_engines_know(resolved):
    """As TensorRT's parser lists them: an unknown one fails on the GPU machine only, long after it was written."""
    network = {"Add", "Clip", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "MaxPool", "Relu", "Softmax"}
    around = {"Abs", "Add", "ArgMax", "Cast", "Less", "Mul", "ReduceSum", "Sub", "Transpose", "Where"}
    if resolved.number_format == "int8":
        around |= {"QuantizeLinear", "DequantizeLinear"}
    model = onnx.load(str(resolved.path))
    assert {node.op_type for node in model.graph.node} <= network | around
    assert next(node for node in model.graph.node if "samples" in node.input).op_type == "Cast"


def test_the_digest_is_that_of_the_file(resolved):
    assert resolved.digest == f"sha256:{hashlib.sha256(resolved.path.read_bytes()).hexdigest()}"


def test_the_number_format_is_the_precision_that_was_asked_for(resolved):
    assert number_format(onnx.load(str(resolved.path))) == resolved.number_format
    assert (resolved.calibration is not None) == (resolved.number_format == "int8")


def test_asking_again_reads_and_writes_nothing(resolved, resolve, cache, monkeypatch):
    """A sweep asks once per point: 100 MB hashed, or calibrated, each time would be seconds of nothing."""
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    for name in ("registry.serving_graph", "registry.half_network", "int8.int8_graph"):
        monkeypatch.setattr(f"sweep.models.{name}", None)
    assert resolve(resolved.name, Precision(resolved.number_format)) == resolved
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_nothing_is_left_beside_the_file(resolved):
    beside = {path.name for path in resolved.path.parent.iterdir()}
    assert {f"{name}.json" for name in beside if name.endswith(".onnx")} == {n for n in beside if n.endswith(".json")}
    assert all(name.endswith((".onnx", ".onnx.json")) for name in beside)
