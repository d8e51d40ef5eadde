"""An int8 file of sweep's making, arranged so that ONNX Runtime computes it with integers on a CPU.

The file has its Q/DQ pairs where TensorRT wants them (`sweep.models.int8`). ONNX Runtime runs a convolution on integers
only where a pair stands right behind it, and on x86 its fast kernels want uint8 activations; where it finds neither it
computes in float32, slower than without any quantisation. So on the way into a session

- the pair behind a chain such as Conv, ReLU, MaxPool is repeated within the chain. ReLU, Clip and the others here
  commute with rounding to a grid that holds zero, so the results stay the same;
- int8 with zero point 0 becomes uint8 with zero point 128: the same grid, the same results;
- the pairs that were set aside before residual additions come back, at the scale they were calibrated to. This rounds
  once more than TensorRT does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.models.graphs import consumers, producers, sort_nodes
from sweep.models.int8 import SET_ASIDE

if TYPE_CHECKING:
    import onnx

_COMPUTES = frozenset({"Conv", "Gemm", "MatMul", "Add", "AveragePool", "GlobalAveragePool"})
_COMMUTES = frozenset({"Relu", "Clip", "MaxPool", "Flatten", "Reshape", "Squeeze", "Transpose"})
_TAIL_BYTES = 1 << 20
"""The metadata are behind the graph, so the mark of a file is within this from its end."""


def for_onnx_runtime(file: Path | bytes) -> bytes | None:
    """Return what ONNX Runtime should be given instead of a file; None where the file is right as it is.

    Args:
        file: Its path or its contents.

    Raises:
        OSError: The file cannot be read.
    """
    import onnx

    if SET_ASIDE.encode() not in _tail(file):
        return None
    model = onnx.load_from_string(file) if isinstance(file, bytes) else onnx.load(str(file))
    marks = {entry.key: entry.value for entry in model.metadata_props}
    if SET_ASIDE not in marks:
        return None
    arrange(model.graph, json.loads(marks[SET_ASIDE]))
    data: bytes = model.SerializeToString()
    return data


def _tail(file: Path | bytes) -> bytes:
    if isinstance(file, bytes):
        return file[-_TAIL_BYTES:]
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        opened.seek(max(0, size - _TAIL_BYTES))
        return opened.read()


def arrange(graph: onnx.GraphProto, set_aside: dict[str, float]) -> None:
    """Do to a graph what the module says.

    Args:
        graph: As `int8_graph` makes it; it is changed.
        set_aside: Scale by name of tensor, of the pairs to put back.
    """
    pairs = _Pairs(graph)
    for tensor, scale in set_aside.items():
        pairs.add(tensor, pairs.scale_of(tensor, scale))
    makers, readers = producers(graph), consumers(graph)
    for node in list(graph.node):
        data = node.input[:2] if node.op_type == "Add" else node.input[:1]
        dequantised = all(name in makers and makers[name].op_type == "DequantizeLinear" for name in data)
        if node.op_type in _COMPUTES and dequantised:
            chain, last = _chain(node.output[0], readers)
            if last is not None:
                for tensor in chain:
                    pairs.add(tensor, last.input[1])
    pairs.shift_to_uint8()
    sort_nodes(graph)


def _chain(tensor: str, readers: dict[str, list[onnx.NodeProto]]) -> tuple[list[str], onnx.NodeProto | None]:
    """Follow a tensor to where it is quantised.

    Returns:
        The tensors on the way, and the node that quantises the last thing made of them: None where there is none.
    """
    chain: list[str] = []
    while len(readers[tensor]) == 1:
        (reader,) = readers[tensor]
        if reader.op_type == "QuantizeLinear":
            return chain, reader
        if reader.op_type not in _COMMUTES or reader.input[0] != tensor:
            break
        chain.append(tensor)
        tensor = reader.output[0]
    return [], None


class _Pairs:
    """Puts Q/DQ pairs into a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._zero = ""

    def scale_of(self, tensor: str, scale: float) -> str:
        """Return the name of a constant with that scale."""
        import numpy as np
        from onnx import numpy_helper

        name = f"{tensor}/integer_kernels/scale"  # a network may well have a tensor called `{tensor}/scale`
        self._graph.initializer.append(numpy_helper.from_array(np.array(scale, np.float32), name))
        return name

    def add(self, tensor: str, scale: str) -> None:
        """Quantise a tensor on its way to whatever reads it."""
        from onnx import TensorProto, helper

        if not self._zero:
            self._zero = "integer_kernels/zero"
            self._graph.initializer.append(helper.make_tensor(self._zero, TensorProto.INT8, [], [0]))
        rounded, back = f"{tensor}/integer_kernels/quantised", f"{tensor}/integer_kernels/dequantised"
        for node in self._graph.node:
            node.input[:] = [back if name == tensor else name for name in node.input]
        self._graph.node.extend(
            (
                helper.make_node("QuantizeLinear", [tensor, scale, self._zero], [rounded], name=rounded),
                helper.make_node("DequantizeLinear", [rounded, scale, self._zero], [back], name=back),
            )
        )

    def shift_to_uint8(self) -> None:
        """Turn int8 activations with zero point 0 into uint8 ones with zero point 128."""
        from onnx import TensorProto, helper

        points = {node.input[2] for node in self._graph.node if node.op_type == "QuantizeLinear"}
        for constant in self._graph.initializer:
            if constant.name in points:
                constant.CopyFrom(helper.make_tensor(constant.name, TensorProto.UINT8, constant.dims, [128]))
