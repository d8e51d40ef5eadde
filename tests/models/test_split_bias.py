"""The bias of a convolution over few channels apart: nothing else of the model changes."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from sweep.models.split_bias import for_cuda_provider, split_bias


def _model(channels, groups=1, bias=True):
    draw = np.random.default_rng(0)
    weights = draw.normal(size=(8, channels // groups, 3, 3)).astype(np.float32)
    constants = [numpy_helper.from_array(weights, "w")]
    if bias:
        constants.append(numpy_helper.from_array(draw.normal(size=8).astype(np.float32), "b"))
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w", *["b"] * bias], ["c"], name="first", group=groups, pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", channels, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8, 6, 6])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _answers(model, x):
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def test_the_answers_stay_the_same(tmp_path):
    model = _model(3)
    onnx.save(model, tmp_path / "m.onnx")
    arranged = for_cuda_provider(tmp_path / "m.onnx")
    x = np.random.default_rng(1).normal(size=(2, 3, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(_answers(arranged, x), _answers(model, x), rtol=1e-5, atol=1e-6)
    assert [node.op_type for node in onnx.load_from_string(arranged).graph.node] == ["Conv", "Add", "Relu"]


@pytest.mark.parametrize("model", [_model(16), _model(8, groups=8), _model(3, bias=False)])
def test_other_convolutions_are_left_alone(model, tmp_path):
    onnx.save(model, tmp_path / "m.onnx")
    assert split_bias(model.graph) == 0
    assert for_cuda_provider(tmp_path / "m.onnx") is None


def test_a_file_with_external_data_is_left_as_it_is(tmp_path):
    onnx.save(_model(3), tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0)
    assert for_cuda_provider(tmp_path / "m.onnx") is None
