"""What a file of the user's own computes in: a record that says fp32 of something else would be compared with fp32."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from sweep.models import ModelConfig, resolve_model
from sweep.models.number_format import number_format
from sweep.vocabulary import Precision


def weight(name, dtype, count=1000):
    return numpy_helper.from_array(np.zeros(count, dtype), name)


def bfloat16(name, count=1000):
    return helper.make_tensor(name, TensorProto.BFLOAT16, [count], bytes(2 * count), raw=True)


def graph(*nodes, weights=(), kind=TensorProto.FLOAT):
    made = [helper.make_node(op, [*inputs], [output]) for op, inputs, output in nodes]
    made.append(helper.make_node("Identity", ["x"], ["y"]))
    values = [helper.make_tensor_value_info(name, kind, ["N", 4]) for name in ("x", "y")]
    body = helper.make_graph(made, "g", values[:1], values[1:], list(weights))
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


MUL = ("Mul", ("x", "w"), "z")


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (graph(), "fp32"),
        (graph(kind=TensorProto.FLOAT16), "fp16"),
        (graph(kind=TensorProto.INT64), "fp32"),
        (graph(MUL, weights=[weight("w", np.float32)]), "fp32"),
        (graph(MUL, weights=[weight("w", np.float16)]), "fp16"),
        (graph(MUL, weights=[weight("w", np.float64)]), "fp64"),
        (graph(MUL, weights=[bfloat16("w")]), "bf16"),
        (graph(MUL, weights=[weight("w", np.float16), weight("scale", np.float32, 10)]), "fp16"),
        (graph(MUL, weights=[weight("w", np.float32), weight("scale", np.float16, 10)]), "fp32"),
        (graph(MUL, weights=[weight("w", np.float32, 10), weight("ids", np.int64)]), "fp32"),
    ],
)
def test_most_bytes_of_weights_decide(model, found):
    assert number_format(model) == found


def test_weights_that_are_only_stored_in_less_compute_in_what_they_become():
    cast = helper.make_node("Cast", ["w"], ["wide"], to=TensorProto.FLOAT)
    model = graph(("Mul", ("x", "wide"), "z"), weights=[weight("w", np.float16)])
    model.graph.node.insert(0, cast)
    assert number_format(model) == "fp32"
    stored = graph(
        ("DequantizeLinear", ("w", "s"), "wide"), ("Mul", ("x", "wide"), "z"), weights=[weight("w", np.int8)]
    )
    assert number_format(stored) == "fp32"


@pytest.mark.parametrize(
    "nodes",
    [
        [("QLinearConv", ("x", "s", "p", "w", "s", "p", "s", "p"), "z")],
        [("DynamicQuantizeLinear", ("x",), "q"), ("MatMulInteger", ("q", "w"), "z")],
        [("QuantizeLinear", ("x", "s"), "q"), ("DequantizeLinear", ("w", "s"), "d"), ("Conv", ("q", "d"), "z")],
        [("QLinearAdd", ("x", "s", "p", "w", "s", "p"), "z")],
    ],
)
def test_quantised_files_are_int8(nodes):
    model = graph(*nodes, weights=[weight("w", np.int8), weight("s", np.float32, 1), weight("bias", np.float32, 10)])
    assert number_format(model) == "int8"


def test_weights_that_the_file_quantises_itself_are_int8():
    nodes = [("QuantizeLinear", ("w", "s"), "q"), ("DequantizeLinear", ("q", "s"), "d"), ("Conv", ("x", "d"), "z")]
    assert number_format(graph(*nodes, weights=[weight("w", np.float32), weight("s", np.float32, 1)])) == "int8"


def test_one_quantised_layer_does_not_make_a_model_int8():
    model = graph(("MatMulInteger", ("x", "w"), "z"), weights=[weight("w", np.int8, 100), weight("rest", np.float32)])
    assert number_format(model) == "fp32"


def test_weights_in_constant_nodes_and_in_control_flow_count():
    constant = helper.make_node("Constant", [], ["w"], value=weight("", np.float16))
    body = helper.make_graph([constant, helper.make_node("Identity", ["w"], ["out"])], "b", [], [])
    model = graph()
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body))
    assert number_format(model) == "fp16"


@pytest.mark.parametrize(("dtype", "name"), [(np.float32, "fp32"), (np.float16, "fp16")])
def test_a_users_file_says_what_it_computes_in(tmp_path, dtype, name):
    path = tmp_path / "mine.onnx"
    path.write_bytes(graph(MUL, weights=[weight("w", dtype)]).SerializeToString())
    model = resolve_model(ModelConfig(name="onnx", path=str(path)), Precision.FP32, tmp_path / "cache")
    assert model.number_format == name
