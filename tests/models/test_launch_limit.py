"""How many samples one launch takes before a tensor has too many elements to be counted."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.backends.wide import LIMIT, wide_model
from tests.models import wild

from sweep.config.files import load_choice
from sweep.models import model_config, resolve_model
from sweep.models.launch_limit import LARGEST_TENSOR, launch_limit
from sweep.paths import cache_dir
from sweep.vocabulary import Precision


@pytest.mark.parametrize(
    ("name", "limit"),
    [("digits", None), *(pytest.param(name, 2674, marks=pytest.mark.slow) for name in ("resnet", "mobilenet"))],
)
def test_the_largest_tensor_of_a_shipped_model_decides(name, limit):
    """The first layer of ResNet-50 and MobileNet's second are [N, 64, 112, 112]."""
    found = launch_limit(resolve_model(model_config(load_choice("model", name)), Precision.FP32, cache_dir()).path)
    assert found > 100_000 if limit is None else found == limit


def test_one_more_sample_would_be_too_many(tmp_path):
    assert launch_limit(wide_model(tmp_path / "m.onnx")) == LIMIT
    assert LIMIT * 3 * 2**20 <= LARGEST_TENSOR < (LIMIT + 1) * 3 * 2**20


def test_a_file_that_is_frozen_has_its_own_limit(tmp_path):
    assert launch_limit(wide_model(tmp_path / "m.onnx", batch=4)) is None


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_what_cannot_be_read_limits_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "m.onnx").write_bytes(content)
    assert launch_limit(tmp_path / "m.onnx") is None


def test_shapes_behind_an_operator_that_nobody_knows_limit_nothing(tmp_path):
    nodes = [
        helper.make_node("Mine", ["x"], ["a"], domain="mine"),
        helper.make_node("Relu", ["a"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "m.onnx")
    assert launch_limit(tmp_path / "m.onnx") == LARGEST_TENSOR // 4  # x's own


def test_a_weight_and_a_second_input_that_do_not_grow_are_left_out(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Add", ["a", "fixed"], ["y"])]
    shapes = {"x": ["N", 4], "fixed": [1, 5000], "y": ["N", 5000]}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    weight = numpy_helper.from_array(np.ones((4, 5000), np.float32), "w")
    graph = helper.make_graph(nodes, "g", values[:2], values[2:], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    assert launch_limit(tmp_path / "m.onnx") == LARGEST_TENSOR // 5000


@pytest.mark.parametrize("where", ["function", "branch"])
def test_layers_of_functions_and_branches_count(tmp_path, where):
    """What is between them is the largest of the network, and no tensor of its outermost graph."""
    net = wild.Net()
    wide, narrow = net.const(np.ones((8, 5000), np.float32)), net.const(np.ones((5000, 8), np.float32))
    nodes = [helper.make_node("MatMul", ["x", wide], ["t"]), helper.make_node("MatMul", ["t", narrow], ["o"])]
    functions = []
    if where == "function":
        opsets = [helper.make_opsetid("", 17)]
        functions = [helper.make_function("local", "Block", ["x", wide, narrow], ["o"], nodes, opsets)]
        net.op("Block", "x", wide, narrow, domain="local")
    else:
        bodies = {}
        for branch in ("then_branch", "else_branch"):
            made = [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)]
            bodies[branch] = helper.make_graph(nodes, branch, [], made)
        net.op("If", net.op("Greater", net.op("ReduceSum", "x", keepdims=0), net.const(np.float32(0))), **bodies)
    onnx.save(net.model([8], [8], functions=functions), tmp_path / "m.onnx")
    assert launch_limit(tmp_path / "m.onnx") == LARGEST_TENSOR // 5000
