"""What an ONNX graph computes in, whatever precision was asked for: read from its weights and operators."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sweep.models.graphs import inside

if TYPE_CHECKING:
    import onnx

_QUANTISERS = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
_INTEGER_KERNELS = frozenset({"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QGemm"})
_CONTRIBUTED = ("QLinear", "DynamicQuantize", "QAttention", "QMoE", "QEmbedLayer", "QOrdered")
"""How the names of ONNX Runtime's own integer operators begin."""


def number_format(model: onnx.ModelProto) -> str:
    """Return `fp32`, `fp16`, `bf16`, `fp64` or `int8`: the format of most bytes of weights; `fp32` where none says.

    A few constants of another format, such as a scale in fp16, decide nothing. Weights that are cast count as what they
    are cast to. Those that a quantised operator reads count as int8, also where the file has them as floats and
    quantises them itself. Integer weights that are only ever dequantised are a way to store floats.
    """
    nodes = _nodes(model)
    read_as = _read_as(nodes)
    bytes_of: Counter[str] = Counter()
    for name, tensor in _constants(model.graph, nodes):
        found = read_as.get(name) or _names().get(tensor.data_type, "")
        if found:
            bytes_of[found] += math.prod(tensor.dims) * _width(tensor.data_type)
    if not bytes_of:  # a graph without weights computes in what it is given
        bytes_of.update(_names().get(value.type.tensor_type.elem_type, "fp32") for value in model.graph.input)
    return max(bytes_of, key=lambda name: (bytes_of[name], name == "fp32"), default="fp32")


def has_int8(model: onnx.ModelProto) -> bool:
    """Return whether any part of a graph is computed with int8, or may be."""
    return any(_quantises(node) for node in _nodes(model))


def _nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [*inside(model.graph.node), *(node for function in model.functions for node in inside(function.node))]


def _read_as(nodes: Sequence[onnx.NodeProto]) -> dict[str, str]:
    """Return the format in which tensors are read, where that is not their own."""
    formats: dict[str, str] = {}
    quantised = any(_quantises(node) for node in nodes)
    for node in nodes:
        if quantised and (_quantises(node) or node.op_type == "DequantizeLinear"):
            formats.update(dict.fromkeys(node.input, "int8"))
        elif node.op_type == "Cast":
            target = next((attribute.i for attribute in node.attribute if attribute.name == "to"), 0)
            formats.update(dict.fromkeys(node.input, _names().get(target, "")))
    return formats


@functools.cache
def _names() -> dict[int, str]:
    from onnx import TensorProto

    return {
        TensorProto.FLOAT: "fp32",
        TensorProto.FLOAT16: "fp16",
        TensorProto.BFLOAT16: "bf16",
        TensorProto.DOUBLE: "fp64",
    }


def _width(data_type: int) -> int:
    """Return the bytes of an element; one for the integers, which count only where they are quantised weights."""
    return {"fp64": 8, "fp32": 4, "fp16": 2, "bf16": 2}.get(_names().get(data_type, ""), 1)


def _quantises(node: onnx.NodeProto) -> bool:
    """Whether a node computes with integers, or makes them of what it is given."""
    return node.op_type in _QUANTISERS | _INTEGER_KERNELS or node.op_type.startswith(_CONTRIBUTED)


def _constants(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Yield every constant tensor by the name under which nodes read it."""
    yield from ((tensor.name, tensor) for tensor in graph.initializer)
    yield from ((sparse.values.name, sparse.values) for sparse in graph.sparse_initializer)
    for node in nodes:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value" and node.output:
                yield node.output[0], attribute.t
            for body in (attribute.g, *attribute.graphs):
                yield from ((tensor.name, tensor) for tensor in body.initializer)
