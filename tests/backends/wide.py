"""A model with a tensor so large that a launch of many samples has more elements than GPU libraries count."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 2**20
LIMIT = (2**31 - 1) // (3 * WIDTH)


def wide_model(path, batch="N"):
    """Write a model of `samples` uint8 [batch, 3], each of which it spreads over `WIDTH` rows; return the path."""
    constants = {"axis": [1], "shape": [1, WIDTH, 3], "all": [1, 2]}
    nodes = [
        helper.make_node("Cast", ["samples"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["x", "axis"], ["row"]),
        helper.make_node("Expand", ["row", "shape"], ["wide"]),
        helper.make_node("ReduceSum", ["wide", "all"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["top1"], to=TensorProto.INT32),
    ]
    graph = helper.make_graph(
        nodes,
        "wide",
        [helper.make_tensor_value_info("samples", TensorProto.UINT8, [batch, 3])],
        [helper.make_tensor_value_info("top1", TensorProto.INT32, [batch])],
        [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
