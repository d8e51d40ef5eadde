"""What ONNX Runtime is given instead of an int8 file: the same answers, computed with integers."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest

from sweep.models import resolve_model
from sweep.models.integer_kernels import for_onnx_runtime
from sweep.models.ort import session_options
from sweep.paths import cache_dir
from sweep.vocabulary import Precision


@pytest.fixture(scope="module")
def int8(conf, calibration):
    cache = cache_dir()

    def run(name):
        config = conf(name)
        return resolve_model(config, Precision.INT8, cache, calibration(config, 64 if name == "digits" else 8))

    return run


def run(model, images, optimised=None):
    options = session_options(onnxruntime)
    if optimised:
        options.optimized_model_filepath = str(optimised)
    return onnxruntime.InferenceSession(model, options).run(None, {"samples": images})[0]


def test_digits_get_the_same_answers(int8):
    model = int8("digits")
    images = np.random.default_rng(0).integers(0, 17, (500, 8, 8, 1), dtype=np.uint8)
    plain, arranged = run(str(model.path), images), run(for_onnx_runtime(model.path), images)
    # Rounding in float32 and with integers can differ where a value lies between two steps.
    assert (plain == arranged).mean() > 0.98


@pytest.mark.parametrize(("name", "layers"), [("digits", 3), ("mobilenet", 27), ("resnet", 53)])
def test_convolutions_are_computed_with_integers(int8, tmp_path, name, layers):
    """In float32, with the weights dequantised, int8 would be slower than fp32."""
    model = int8(name)
    images = np.zeros((1, *model.inputs[0].shape), np.uint8)
    run(for_onnx_runtime(model.path), images, tmp_path / "optimised.onnx")
    kinds = Counter(node.op_type for node in onnx.load(str(tmp_path / "optimised.onnx")).graph.node)
    assert kinds["QLinearConv"] == layers
    assert kinds["QLinearAdd"] == (16 if name == "resnet" else 0)


def test_activations_are_uint8_around_128(int8):
    """ONNX Runtime's kernels for int8 activations are many times slower on x86."""
    graph = onnx.load_from_string(for_onnx_runtime(int8("resnet").path)).graph
    values = {weight.name: onnx.numpy_helper.to_array(weight) for weight in graph.initializer}
    points = [values[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {(point.dtype.name, int(point)) for point in points} == {("uint8", 128)}


def test_the_arranged_graph_is_valid(int8):
    onnx.checker.check_model(onnx.load_from_string(for_onnx_runtime(int8("resnet").path)), full_check=True)


def test_other_files_are_left_alone(conf, foreign, tmp_path):
    for model in (resolve_model(conf("digits"), precision, tmp_path).path for precision in ("fp32", Precision.FP16)):
        assert for_onnx_runtime(model) is None
    assert for_onnx_runtime(foreign / "torch_inline.onnx") is None
