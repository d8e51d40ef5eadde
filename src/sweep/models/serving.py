"""The serving graph: what an engine loads for a model that classifies.

Around a reference network, which takes normalised float images and gives class scores, it puts what every
measurement needs done alike: uint8 samples in, normalisation inside, one class id per sample out. Samples then take a
quarter of the memory, and all backends run the same arithmetic. Every operator used here is one that both ONNX Runtime
and TensorRT's parser know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sweep.errors import ConfigError, Problem
from sweep.models.base import ModelConfig, TensorSpec
from sweep.models.graphs import drop_unused_weights, needed, replace_nodes

if TYPE_CHECKING:
    import onnx

RECIPE = 2
"""Version of what `serving_graph` makes; part of the key of a cached file, so count it up with every change."""

SAMPLES = "samples"
TOP1 = "top1"
NOT_FINITE = -1

_OLDEST_OPSET = 11
_REDUCE_SUM_TAKES_AXES_AS_INPUT = 13
_OLDEST_IR = 4  # before it, every weight had to be an input too


def serving_specs(config: ModelConfig) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return the inputs and the outputs of a serving graph: `samples` uint8 [N, H, W, C], `top1` int32 [N]."""
    return (TensorSpec(SAMPLES, "uint8", config.sample_shape),), (TensorSpec(TOP1, "int32", ()),)


def serving_graph(network: onnx.ModelProto, config: ModelConfig, *, field: str, source: object) -> onnx.ModelProto:
    """Return the serving graph around a network.

    `top1` is the id of the class with the highest score: its index less `class_offset`. An index below the offset
    (background) becomes a number past the last class, which no label has. Where any score of a sample is not
    finite, `top1` is -1.

    Args:
        network: Any graph with an input `config.input_name`, float32 or float16 [N, C, H, W], and a tensor
            `config.scores_name`, [N, classes], opset 11 or newer. It is changed: other outputs are dropped.
        config: Names, shapes and normalisation.
        field: What the user can change when the network does not fit (`model.weights`).
        source: What to call the network in an error.

    Raises:
        ConfigError: The network lacks a tensor or an operator set that this needs.
    """
    from onnx import TensorProto, helper

    graph = network.graph
    opset = _opset(network, field, source)
    half = _input_type(graph, config, field, source) == TensorProto.FLOAT16
    classes, scores_type = _scores(graph, config, field, source)
    for name in (SAMPLES, TOP1):
        if name in _tensor_names(graph):
            raise _unfit(field, source, f"the network already has a tensor named {name}")

    parts = _Parts()
    before = parts.normalisation(config, half=half)
    after = parts.top1(config, classes, opset, cast=scores_type != TensorProto.FLOAT)

    replace_nodes(graph, needed([*before, *graph.node, *after], [TOP1]))
    for field_name in ("input", "output", "value_info"):
        graph.ClearField(field_name)
    graph.name = f"{graph.name}_serving"
    graph.input.append(helper.make_tensor_value_info(SAMPLES, TensorProto.UINT8, ["N", *config.sample_shape]))
    graph.output.append(helper.make_tensor_value_info(TOP1, TensorProto.INT32, ["N"]))
    graph.initializer.extend(parts.constants)
    drop_unused_weights(graph)
    network.ir_version = max(network.ir_version, _OLDEST_IR)
    return network


def _opset(network: onnx.ModelProto, field: str, source: object) -> int:
    versions = [entry.version for entry in network.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or versions[0] < _OLDEST_OPSET:
        found = f"opset {versions[0]}" if versions else "no opset"
        raise _unfit(field, source, f"the network uses {found}; opset {_OLDEST_OPSET} or newer is needed")
    return int(versions[0])


def _input_type(graph: onnx.GraphProto, config: ModelConfig, field: str, source: object) -> int:
    """Return the element type of the network's one input, after checking that it is what a serving graph can feed."""
    from onnx import TensorProto

    weights = {weight.name for weight in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in weights}
    if set(inputs) != {config.input_name}:
        names = ", ".join(sorted(inputs)) or "none"
        raise _unfit(field, source, f"the network's one input should be {config.input_name}; its inputs are: {names}")
    value = inputs[str(config.input_name)]
    height, width, channels = config.sample_shape
    dims = value.type.tensor_type.shape.dim
    wanted = (channels, height, width)
    fits = len(dims) == 4 and all(
        not dim.dim_value or dim.dim_value == size for dim, size in zip(list(dims)[1:], wanted, strict=True)
    )
    kind = int(value.type.tensor_type.elem_type)
    if kind not in (TensorProto.FLOAT, TensorProto.FLOAT16) or not fits:
        shape = ", ".join(map(str, wanted))
        raise _unfit(field, source, f"input {config.input_name} should be float32 [N, {shape}]")
    if dims[0].dim_value > 0:
        raise _unfit(field, source, f"the network is frozen at batch {dims[0].dim_value}; its batch axis must be free")
    return kind


def _scores(graph: onnx.GraphProto, config: ModelConfig, field: str, source: object) -> tuple[int | None, int]:
    """Return the number of classes (None when the file does not say) and the element type of the scores."""
    name = config.scores_name
    if not any(name in node.output for node in graph.node):
        outputs = ", ".join(value.name for value in graph.output) or "none"
        raise _unfit(field, source, f"the network has no tensor {name}; its outputs are: {outputs}")
    from onnx import TensorProto

    for value in [*graph.output, *graph.value_info]:
        if value.name == name and value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            if len(dims) != 2:
                raise _unfit(field, source, f"{name} should be [N, classes]; it has {len(dims)} axes")
            return int(dims[1].dim_value) or None, int(value.type.tensor_type.elem_type)
    return None, int(TensorProto.UNDEFINED)


def _unfit(field: str, source: object, reason: str) -> ConfigError:
    fix = "use the file that the model's configuration was written for"
    return ConfigError(Problem(field, source, reason, fix))


def _tensor_names(graph: onnx.GraphProto) -> set[str]:
    names = {weight.name for weight in graph.initializer} | {value.name for value in graph.input}
    for node in graph.node:
        names.update(node.output)
    return names


class _Parts:
    """Makes the nodes before and after a network, and the constants they read."""

    _PREFIX = "serving/"

    def __init__(self) -> None:
        self.constants: list[onnx.TensorProto] = []

    def _constant(self, name: str, values: Any) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(values, self._PREFIX + name))
        return self._PREFIX + name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        from onnx import helper

        return helper.make_node(
            kind, inputs, [output], name=f"{self._PREFIX}{output.removeprefix(self._PREFIX)}", **attributes
        )

    def normalisation(self, config: ModelConfig, *, half: bool) -> list[onnx.NodeProto]:
        """(sample - mean) * scale as float32, to float16 for a network that takes it, then NHWC to NCHW."""
        import numpy as np
        from onnx import TensorProto

        # The cast comes first: TensorRT takes uint8 at its inputs, and there it can only be cast.
        steps: list[tuple[str, list[str], dict[str, Any]]] = [("Cast", [], {"to": TensorProto.FLOAT})]
        if any(config.mean):
            steps.append(("Sub", [self._constant("mean", np.array(config.mean, np.float32))], {}))
        if any(factor != 1 for factor in config.scale):
            steps.append(("Mul", [self._constant("scale", np.array(config.scale, np.float32))], {}))
        if half:
            steps.append(("Cast", [], {"to": TensorProto.FLOAT16}))
        steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}))
        nodes: list[onnx.NodeProto] = []
        tensor = SAMPLES
        for kind, constants, attributes in steps:
            name = f"{self._PREFIX}half" if kind == "Cast" and nodes else f"{self._PREFIX}{kind.lower()}"
            output = str(config.input_name) if kind == "Transpose" else name
            node = self._node(kind, [tensor, *constants], output, **attributes)
            node.name = name
            nodes.append(node)
            tensor = output
        return nodes

    def top1(self, config: ModelConfig, classes: int | None, opset: int, *, cast: bool) -> list[onnx.NodeProto]:
        """Class id of the highest score; -1 where a score is not finite."""
        import numpy as np
        from onnx import TensorProto

        prefix, nodes, scores = self._PREFIX, [], str(config.scores_name)
        if cast:
            nodes.append(self._node("Cast", [scores], prefix + "scores", to=TensorProto.FLOAT))
            scores = prefix + "scores"
        nodes += [
            self._node("ArgMax", [scores], prefix + "argmax", axis=1, keepdims=0),
            self._node("Cast", [prefix + "argmax"], prefix + "index", to=TensorProto.INT32),
        ]
        best = prefix + "index"
        if config.class_offset:
            # One number past the last class when the file does not say how many there are.
            past = classes or np.iinfo(np.int32).max // 2
            nodes += [
                self._node(
                    "Sub",
                    [best, self._constant("offset", np.array([config.class_offset], np.int32))],
                    prefix + "shifted",
                ),
                self._node(
                    "Less", [prefix + "shifted", self._constant("zero", np.array([0], np.int32))], prefix + "background"
                ),
                self._node(
                    "Add", [prefix + "shifted", self._constant("past", np.array([past], np.int32))], prefix + "wrapped"
                ),
                self._node("Where", [prefix + "background", prefix + "wrapped", prefix + "shifted"], prefix + "class"),
            ]
            best = prefix + "class"
        # A sum is NaN or infinite as soon as one of its terms is, and a maximum may not be: it can skip NaN.
        nodes.append(self._node("Abs", [scores], prefix + "magnitudes"))
        if opset >= _REDUCE_SUM_TAKES_AXES_AS_INPUT:
            axes = self._constant("axes", np.array([1], np.int64))
            nodes.append(self._node("ReduceSum", [prefix + "magnitudes", axes], prefix + "sum", keepdims=0))
        else:
            nodes.append(self._node("ReduceSum", [prefix + "magnitudes"], prefix + "sum", axes=[1], keepdims=0))
        # True for finite sums alone: NaN is not less than anything. (IsInf is missing from older TensorRT parsers.)
        largest = self._constant("largest", np.array([np.finfo(np.float32).max], np.float32))
        not_finite = self._constant("not_finite", np.array([NOT_FINITE], np.int32))
        nodes += [
            self._node("Less", [prefix + "sum", largest], prefix + "finite"),
            self._node("Where", [prefix + "finite", best, not_finite], TOP1),
        ]
        return nodes
