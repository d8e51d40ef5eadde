"""A network in float16: weights and activations, and as few casts as can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweep.errors import ConfigError, Problem
from sweep.models.graphs import consumers, drop_unused_weights, needed, producers, replace_nodes, sort_nodes
from sweep.models.ort import float16, quiet

if TYPE_CHECKING:
    import onnx

RECIPE = 1
"""Version of what `half_network` makes; part of the key of a cached file, so count it up with every change."""

_LARGEST = 65504.0  # of float16
_STAYS_FLOAT32 = ("Softmax", "LogSoftmax")
"""Operators at the end of a network, where float16 would make ties of scores that differ."""


def half_network(network: onnx.ModelProto, float32_tensors: Sequence[str], *, source: object) -> onnx.ModelProto:
    """Return a float32 network in float16.

    A bound of Clip beyond what float16 holds becomes the largest float16: it bounds nothing there either.

    Args:
        network: Float32; it is changed. Weights must be in it.
        float32_tensors: Inputs and outputs that keep their type; all other float inputs and outputs become float16.
        source: What to call the network in an error.

    Raises:
        ConfigError: A weight is too large for float16, or the graph has what cannot be converted.
    """
    from onnx import shape_inference

    if too_large := _too_large(network):
        name, value = too_large
        reason = f"weight {name} of the {source} network has {value:g}, beyond the largest float16, {_LARGEST:g}"
        raise ConfigError(Problem("precision", "fp16", reason, "use precision=fp32, or int8"))
    try:
        with quiet():
            converter = float16()
            blocked = [*converter.DEFAULT_OP_BLOCK_LIST, *_STAYS_FLOAT32]
            half: onnx.ModelProto = converter.convert_float_to_float16(
                network, keep_io_types=list(float32_tensors), op_block_list=blocked
            )
        sort_nodes(half.graph)
        _strip_cast_pairs(half.graph)
        half.graph.ClearField("value_info")
        shape_inference.infer_shapes(half, check_type=True, strict_mode=True)  # raises where types contradict
    except Exception as error:  # of whatever class the converter's helpers raise
        reason = " ".join(f"the {source} network cannot be converted ({type(error).__name__}: {error})".split())
        fix = "use precision=fp32, or give a file that is in fp16 already"
        raise ConfigError(Problem("precision", "fp16", reason, fix)) from error
    return half


def _too_large(network: onnx.ModelProto) -> tuple[str, float] | None:
    """Return the first float32 weight beyond float16, and its value."""
    import numpy as np
    from onnx import TensorProto, numpy_helper

    readers = consumers(network.graph)
    constants = {weight.name: weight for weight in network.graph.initializer}
    for node in network.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    constants[node.output[0]] = attribute.t
    for name, tensor in constants.items():
        if tensor.data_type != TensorProto.FLOAT:
            continue
        bounds_only = all(node.op_type == "Clip" and node.input[0] != name for node in readers[name])
        values = numpy_helper.to_array(tensor)
        finite = np.abs(values[np.isfinite(values)])
        if finite.size and not bounds_only and float(finite.max()) > _LARGEST:
            return name, float(values[np.isfinite(values)].flat[int(finite.argmax())])
    return None


def _strip_cast_pairs(graph: onnx.GraphProto) -> None:
    """Let who reads a float32 tensor by way of float16 and back read the tensor itself."""
    from onnx import TensorProto

    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return  # the bodies of control flow read tensors by names that would change here
    makers = producers(graph)
    outputs = [value.name for value in graph.output]
    float32 = {value.name for value in graph.input if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    float32 |= {name for node in graph.node if node.op_type in _STAYS_FLOAT32 for name in node.output}
    renamed: dict[str, str] = {}
    for node in graph.node:
        there = makers.get(node.input[0]) if _casts_to(node, TensorProto.FLOAT) else None
        if there is None or not _casts_to(there, TensorProto.FLOAT16) or there.input[0] not in float32:
            continue
        itself, copy = there.input[0], node.output[0]
        if copy not in outputs:
            renamed[copy] = itself
        elif itself in makers and itself not in outputs and itself not in renamed:
            renamed[itself] = copy
            node.output[0] = ""  # its place is taken; nothing needs it any more
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    replace_nodes(graph, needed(graph.node, outputs))
    drop_unused_weights(graph)


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == kind for a in node.attribute)
