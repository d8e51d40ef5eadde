"""How many samples of a model one launch on a GPU can take, whatever memory there is."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.models.graphs import all_bodies, plain

if TYPE_CHECKING:
    import onnx

LARGEST_TENSOR = 2**31 - 1
"""Elements of the largest tensor: TensorRT has no convolution for a larger one, and kernels count in 32 bits."""

_LARGEST_SHAPE = 1024
"""Elements of a weight beyond which it cannot be the shape that a node asks for."""


def launch_limit(path: Path) -> int | None:
    """Return the most samples for which no tensor of a model has more than `LARGEST_TENSOR` elements.

    Shapes are inferred for one sample and for two; a tensor grows by the difference with each more. What cannot be
    inferred limits nothing.

    Args:
        path: An ONNX file.

    Returns:
        At least 1; None where nothing grows, the file is frozen at one batch, or it cannot be read here.
    """
    import onnx

    try:
        model = plain(onnx.load(str(path), load_external_data=False))
        axes = _open_axes(model.graph)
        _forget(model.graph)
        one, two = (dict(_sizes(model, axes, batch)) for batch in (1, 2))
    except Exception:  # noqa: BLE001  (of protobuf, or of inference: the engine has the better words for it)
        return None
    growing = [(two[name] - size, size) for name, size in one.items() if two.get(name, 0) > size]
    return max(1, min(1 + (LARGEST_TENSOR - size) // step for step, size in growing)) if growing else None


def _open_axes(graph: onnx.GraphProto) -> list[onnx.TensorShapeProto.Dimension]:
    """Return the batch axis of each input that takes any number of samples."""
    weights = {tensor.name for tensor in graph.initializer}
    shapes = [value.type.tensor_type.shape.dim for value in graph.input if value.name not in weights]
    return [shape[0] for shape in shapes if shape and not shape[0].HasField("dim_value")]


def _forget(graph: onnx.GraphProto) -> None:
    """Drop large weights, whose shapes suffice, and shapes that speak of an open batch."""
    for tensor in graph.initializer:
        if prod(tensor.dims) > _LARGEST_SHAPE:
            for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
                tensor.ClearField(field)
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def _sizes(
    model: onnx.ModelProto, axes: list[onnx.TensorShapeProto.Dimension], batch: int
) -> Iterator[tuple[str, int]]:
    """Yield each tensor whose shape is known for a batch, with its elements; those in control flow by their place."""
    from onnx import shape_inference

    for axis in axes:
        axis.dim_value = batch
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    for place, part in enumerate((graph, *all_bodies(graph.node))):
        for value in (*part.input, *part.value_info, *part.output):
            shape = value.type.tensor_type.shape.dim
            if shape and all(axis.HasField("dim_value") for axis in shape):
                yield f"{place}/{value.name}", prod(axis.dim_value for axis in shape)
