"""A network in float16: weights and activations, and as few casts as can be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweep.errors import ConfigError, Problem
from sweep.models.graphs import (
    bodies,
    consumers,
    drop_unused_weights,
    needed,
    plain,
    producers,
    reads,
    rename,
    replace_nodes,
    sort_nodes,
)
from sweep.models.ort import float16, quiet

if TYPE_CHECKING:
    import onnx

RECIPE = 3
"""Version of what `half_network` makes; part of the key of a cached file, so count it up with every change."""

_LARGEST = 65504.0  # of float16
_SMALLEST = 1e-7
"""What the converter makes of anything smaller than it, and not zero."""
_LIMITS = f"from {_SMALLEST:g} to {_LARGEST:g}"
_STAYS_FLOAT32 = ("Softmax", "LogSoftmax")
"""Operators at the end of a network, where float16 would make ties of scores that differ."""

_HANDS_ON = frozenset(
    (
        *("Abs", "Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Expand", "Flatten", "Gather"),
        *("Identity", "Max", "Min", "Mul", "Neg", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Sub", "Tile"),
        *("Transpose", "Trilu", "Unsqueeze", "Where"),
    )
)
"""Operators whose outputs can be as large as their inputs: the way from the constant of a mask to its softmax."""
_CONVERTERS = re.compile(r"_cast_to_fp(16|32)(_node)?$|^graph_(input|output)_cast_?\d+$")
"""Names that the converter makes."""
_WITH_BODIES = ("If", "Loop", "Scan")
_SHOWN = 4
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_SCALING = (*_LAYERS, "BatchNormalization", "Div", "Mul")
"""Operators to which a constant all of which is tiny matters; others add it, or keep off zero with it."""


def half_network(
    network: onnx.ModelProto, float32_tensors: Sequence[str], *, source: object, notes: list[str]
) -> onnx.ModelProto:
    """Return a float32 network in float16.

    A bound of Clip beyond what float16 holds becomes the largest float16: it bounds nothing there either. Any other
    operator that reads a constant beyond float16 stays in float32, and so does what it hands such numbers on to.

    Args:
        network: Float32; it is changed. Weights must be in it.
        float32_tensors: Inputs and outputs that keep their type; all other float inputs and outputs become float16.
        source: What to call the network in an error.
        notes: What stays in float32 is appended to them.

    Raises:
        ConfigError: No layer has weights that float16 holds, or the graph has what cannot be converted.
    """
    try:
        network = plain(network)
        _constants_as_tensors(network.graph)
        _names_apart(network.graph)
        with quiet():
            converter = float16()
            wide = _wide(network.graph, str(source), notes)
            blocked = [*converter.DEFAULT_OP_BLOCK_LIST, *_STAYS_FLOAT32]
            half: onnx.ModelProto = converter.convert_float_to_float16(
                network, keep_io_types=list(float32_tensors), op_block_list=blocked, node_block_list=list(wide)
            )
        sort_nodes(half.graph)
        _strip_cast_pairs(half.graph, wide)
        half.graph.ClearField("value_info")
    except ConfigError:
        raise
    except Exception as error:  # of whatever class the converter's helpers raise
        reason = " ".join(f"the {source} network cannot be converted ({type(error).__name__}: {error})".split())
        fix = "use precision=fp32, or give a file that is in fp16 already"
        raise ConfigError(Problem("precision", "fp16", reason, fix)) from error
    return half


def _names_apart(graph: onnx.GraphProto) -> None:
    """Rename what has a name that the converter may give to something of its own, as in a file that it made in part."""
    fixed = {value.name for value in (*graph.input, *graph.output)}
    used = {name for node in graph.node for name in (*reads(node), *node.output)} - fixed
    rename(graph, {name: f"{name}/before" for name in used if _CONVERTERS.search(name)})
    for node in graph.node:
        if _CONVERTERS.search(node.name):
            node.name += "/before"


def _constants_as_tensors(graph: onnx.GraphProto) -> None:
    """Write constants that are given as plain numbers as tensors: the converter sees no others."""
    import numpy as np
    from onnx import helper, numpy_helper

    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
                value = np.array(helper.get_attribute_value(attribute), np.float32)
                attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))


def _wide(graph: onnx.GraphProto, source: str, notes: list[str]) -> set[str]:
    """Return the names of the nodes that stay in float32, each a name of its own from now on.

    Raises:
        ConfigError: They are all that the network has of layers.
    """
    makers, readers = producers(graph), consumers(graph)
    found: set[str] = set()  # by their first outputs
    beyond = _beyond(graph, readers)
    waiting = [node for name in beyond for node in (*filter(None, [makers.get(name)]), *readers[name])]
    while waiting:
        node = waiting.pop()
        if _key(node) not in found and node.op_type not in (*_STAYS_FLOAT32, *_WITH_BODIES):
            found.add(_key(node))
            if node.op_type in _HANDS_ON:
                waiting += [reader for output in node.output for reader in readers[output]]
    layers = [node for node in graph.node if node.op_type in _LAYERS]
    if layers and all(_key(node) in found for node in layers):
        name = next((name for node in layers for name in node.input if name in beyond), next(iter(beyond)))
        reason = f"weight {name} of the {source} network has {beyond[name]:g}, beyond float16, {_LIMITS}"
        raise ConfigError(Problem("precision", "fp16", reason, "use precision=fp32, or int8"))
    named: set[str] = set()
    for index, node in enumerate(graph.node):
        if _key(node) in found:
            node.name = f"{node.name or node.op_type}/float32_{index}"
            named.add(node.name)
    if inner := _inside_bodies(graph):
        notes.append(
            f"fp16: constants beyond {_LARGEST:g} inside If, Loop or Scan become {_LARGEST:g}: {inner} of them"
        )
    if named:
        constants = ", ".join(f"{name} ({value:g})" for name, value in list(beyond.items())[:_SHOWN])
        more = f" and {len(beyond) - _SHOWN} more" if len(beyond) > _SHOWN else ""
        notes.append(
            f"fp16: {len(named)} of {len(graph.node)} operators stay in float32, because of constants "
            f"beyond float16, {_LIMITS}: {constants}{more}"
        )
    return named


def _key(node: onnx.NodeProto) -> str:
    return next(filter(None, node.output), "")


def _inside_bodies(graph: onnx.GraphProto) -> int:
    """Return how many constants beyond float16 the bodies of a graph have, or read from outside."""
    count = 0
    for node in graph.node:
        for body in bodies(node):
            count += len(_beyond(body, consumers(body))) + _inside_bodies(body)
    readers = consumers(graph)
    return count + sum(any(one.op_type in _WITH_BODIES for one in readers[name]) for name in _beyond(graph, readers))


def _beyond(graph: onnx.GraphProto, readers: dict[str, list[onnx.NodeProto]]) -> dict[str, float]:
    """Return, by tensor, the largest value of every float32 constant that is beyond float16, too large or too small.

    One that is but the bound of a Clip is none of them.
    """
    import numpy as np
    from onnx import TensorProto, numpy_helper

    constants = [(weight.name, weight) for weight in graph.initializer]
    for node in graph.node:
        if node.op_type in ("Constant", "ConstantOfShape"):
            constants += [(node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value"]
    found = {}
    for name, tensor in constants:
        if tensor.data_type != TensorProto.FLOAT or all(_bounds(node, name) for node in readers[name]):
            continue
        values = numpy_helper.to_array(tensor)
        finite = values[np.isfinite(values)]
        largest = float(np.abs(finite).max()) if finite.size else 0.0
        if largest > _LARGEST or (0 < largest < _SMALLEST and any(_scales(node, name) for node in readers[name])):
            found[name] = float(finite.flat[int(np.abs(finite).argmax())])
    return found


def _bounds(node: onnx.NodeProto, name: str) -> bool:
    """Return whether a node reads a constant as the bound of a Clip alone."""
    return bool(node.op_type == "Clip" and node.input[0] != name)


def _scales(node: onnx.NodeProto, name: str) -> bool:
    """Return whether a node multiplies or divides by a constant; the third and fourth inputs are what it adds."""
    return node.op_type in _SCALING and name in (*node.input[:2], *node.input[4:])


def _strip_cast_pairs(graph: onnx.GraphProto, wide: set[str]) -> None:
    """Let who reads a float32 tensor by way of float16 and back read the tensor itself.

    Args:
        graph: It is changed.
        wide: Names of nodes that stay in float32, besides those that always do.
    """
    from onnx import TensorProto

    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return  # the bodies of control flow read tensors by names that would change here
    makers = producers(graph)
    outputs = [value.name for value in graph.output]
    float32 = {value.name for value in graph.input if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    float32 |= {
        name for node in graph.node if node.op_type in _STAYS_FLOAT32 or node.name in wide for name in node.output
    }
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
        else:
            continue
        node.output[0] = ""  # its place is taken; nothing needs it any more
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    replace_nodes(graph, needed(graph.node, outputs))
    drop_unused_weights(graph)


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == kind for a in node.attribute)
