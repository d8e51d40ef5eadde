"""A model arranged so that ONNX Runtime's CUDA provider runs its convolutions on fast kernels.

The provider adds a bias in a kernel of its own, or has cuDNN generate one for convolution and bias together. That is
the faster way by far, but for a convolution over an image's three channels: no generated kernel is made for channels
that fill no vector, while there is a ready one without a bias. So those few convolutions get their bias as a node of
its own; the sum is the same, rounded once more.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

VECTOR = 8
"""Channels that a tensor core's load takes together in fp16; cuDNN wants multiples of it."""


def for_cuda_provider(path: Path) -> bytes | None:
    """Return what the provider should be given instead of a file; None where the file is right as it is.

    A file with external data is left as it is: the bytes alone would not find them.

    Raises:
        OSError: The file cannot be read.
    """
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    external = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer)
    if external or not split_bias(model.graph):
        return None
    data: bytes = model.SerializeToString()
    return data


def split_bias(graph: onnx.GraphProto) -> int:
    """Give each convolution over few channels its bias as a node of its own; return how many there were.

    Args:
        graph: It is changed. Convolutions whose weights are computed are left alone.
    """
    from onnx import helper, numpy_helper

    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes, count = [], 0
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "Conv" or len(node.input) != 3:
            continue
        kernel, bias = weights.get(node.input[1]), weights.get(node.input[2])
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        if kernel is None or bias is None or groups != 1 or kernel.dims[1] % VECTOR == 0:
            continue
        values = numpy_helper.to_array(bias)
        name = f"{bias.name}/split{count}"
        spatial = len(kernel.dims) - 2
        graph.initializer.append(numpy_helper.from_array(values.reshape(1, -1, *[1] * spatial), name))
        result = node.output[0]
        node.output[0] = f"{result}/no_bias"
        del node.input[2]
        nodes.append(helper.make_node("Add", [node.output[0], name], [result], name=f"{node.name}/bias"))
        count += 1
    if count:
        del graph.node[:]
        graph.node.extend(nodes)
    return count
