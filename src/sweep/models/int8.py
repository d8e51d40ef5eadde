"""A network in int8: quantised where it is worth it, by Q/DQ pairs that engines know how to fuse.

The placement is the one that TensorRT's guide asks for ("Working with Quantized Types", Q/DQ layer-placement
recommendations). The inputs of convolutions, of matrix products and of pools are quantised; what comes out of them is
not, so that bias, ReLU and the addition of a residual are fused into them. Of the two inputs of such an addition the
one that is carried over is quantised, the one computed last is not. Weights are quantised per output channel,
activations per tensor, both symmetrically; biases stay float, and so do normalisation and the choice of a class.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.errors import ConfigError, Problem, SweepError, choose
from sweep.models.calibration import Calibration
from sweep.models.graphs import consumers, drop_unused_weights, inside, plain, producers, rename, replace_nodes
from sweep.models.ort import quantization, quiet
from sweep.models.ranges import QUANTISED, calibrated

if TYPE_CHECKING:
    import onnx

RECIPE = 3
"""Version of what `int8_graph` makes; part of the key of a cached file, so count it up with every change."""

SET_ASIDE = "sweep.int8.set_aside"
"""Key of the file's metadata: scale by name of tensor, as JSON, of the pairs that were taken out. It marks the file."""


_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
_QUANTISERS_TENSOR = re.compile(r"_(quantized|scale|zero_point|ReduceM(ax|in)|(Dequantize|Quantize)Linear)(_.*)?")
"""What the quantiser and its calibration add to the name of a tensor."""
_QUANTISERS_NODE = re.compile(r"_(Dequantize|Quantize)Linear(_.*)?$")
"""How the names of the nodes end that the quantiser adds."""
_PER_CHANNEL_OPSET = 13
_BATCH_BYTES = 1 << 19
_BATCH_MAX = 64
"""Samples per run of the network while calibrating, as every tensor of it is then in memory: at most these."""


def int8_graph(
    model: onnx.ModelProto, calibration: Calibration, *, batch: int | None, source: object, notes: list[str]
) -> onnx.ModelProto:
    """Return a float32 model in int8.

    Args:
        model: Float32, its weights in it; any inputs and outputs, which stay as they are. It is changed.
        calibration: Chooses the ranges of activations, and names the nodes that stay in float32.
        batch: The batch that the model is frozen at; None where any will do.
        source: What to call the model in an error.
        notes: What stays in float32 and was not asked to, and ranges by another method, are appended to them.

    Raises:
        ConfigError: The model has nothing to quantise, or what cannot be.
        SweepError: The samples cannot be read.
    """
    if batch is not None and calibration.count < batch:
        reason = f"is less than the batch that the model file is frozen at, {batch}"
        fix = f"set calibration.count={batch} or more"
        raise ConfigError(Problem("calibration.count", calibration.count, reason, fix))
    try:
        model = _recent(plain(model))
        _check_layers(model.graph, source, notes)
        _name_nodes(model.graph)
        _check_excluded(model.graph, calibration.exclude, source)
        _scale_biases(model.graph)
        apart = _names_apart(model.graph)
        rename(model.graph, apart)
        quantised = _quantised(model, calibration, batch, apart, notes)
        rename(quantised.graph, {new: old for old, new in apart.items()})
    except SweepError:
        raise
    except OSError as error:
        reason = f"cannot quantise the {source} network in {tempfile.gettempdir()}: {error.strerror or error}"
        fix = "free some space, or set TMPDIR to a folder with more"
        raise ConfigError(Problem("precision", "int8", reason, fix)) from error
    except Exception as error:  # of whatever class the quantiser's helpers raise
        raise _unfit(source, " ".join(f"{type(error).__name__}: {error}".split())) from error
    if not any(node.op_type == "QuantizeLinear" for node in quantised.graph.node):
        raise _unfit(source, "; ".join(("nothing of it can be quantised", *notes)))
    kept = _set_residuals_aside(quantised.graph)
    quantised.graph.ClearField("value_info")
    quantised.ClearField("metadata_props")
    quantised.metadata_props.add(key=SET_ASIDE, value=json.dumps(kept, sort_keys=True))
    quantised.producer_name, quantised.producer_version = "sweep", ""
    return quantised


def _unfit(source: object, reason: str) -> ConfigError:
    fix = "use precision=fp32 or fp16, or give a file that is in int8 already"
    return ConfigError(Problem("precision", "int8", f"the {source} network cannot be quantised: {reason}", fix))


def _recent(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model in an opset that has scales per channel."""
    from onnx import version_converter

    version = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    return model if version >= _PER_CHANNEL_OPSET else version_converter.convert_version(model, _PER_CHANNEL_OPSET)


def _check_layers(graph: onnx.GraphProto, source: object, notes: list[str]) -> None:
    """Refuse a graph without layers to quantise, and say of those where the quantiser does not look."""
    found = [node for node in graph.node if node.op_type in _WEIGHTED]
    deeper = sum(node.op_type in _WEIGHTED for node in inside(graph.node)) - len(found)
    if deeper and found:
        notes.append(f"int8: {deeper} layers inside If, Loop or Scan stay in float32")
    if not found:
        where = "; those inside If, Loop or Scan are not quantised" if deeper else ""
        raise _unfit(source, f"it has no convolution and no matrix product{where}")


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own that the quantiser would not choose: it goes by names."""
    seen: set[str] = set()
    for index, node in enumerate(graph.node):
        if not node.name or node.name in seen or _QUANTISERS_NODE.search(node.name):
            node.name = f"{node.name or node.op_type}_{index}"
        seen.add(node.name)


def _check_excluded(graph: onnx.GraphProto, exclude: Sequence[str], source: object) -> None:
    names = [node.name for node in graph.node if node.op_type in QUANTISED]
    unknown = [name for name in exclude if name not in {node.name for node in graph.node}]
    problems = [
        Problem("int8.exclude", name, f"the {source} network has no such operator", choose(name, names))
        for name in unknown
    ]
    if problems:
        raise ConfigError(problems)


def _scale_biases(graph: onnx.GraphProto) -> None:
    """Multiply the bias of each Gemm by `beta` in a node of its own: the quantiser takes every `beta` for 1."""
    from onnx import TensorProto, helper

    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        beta = next((attribute for attribute in node.attribute if attribute.name == "beta"), None)
        if node.op_type == "Gemm" and beta is not None and beta.f != 1 and "".join(node.input[2:]):
            scaled = f"{node.name}/bias*beta"  # the bias itself may well be called `{node.name}/bias`
            factor = f"{scaled}/beta"
            graph.initializer.append(helper.make_tensor(factor, TensorProto.FLOAT, [], [beta.f]))
            nodes.append(helper.make_node("Mul", [node.input[2], factor], [scaled], name=scaled))
            node.input[2], beta.f = scaled, 1.0
        nodes.append(node)
    replace_nodes(graph, nodes)


def _names_apart(graph: onnx.GraphProto) -> dict[str, str]:
    """Return other names of all tensors where one of them is a name that the quantiser would make of another.

    It makes names by adding to the end of those that it finds, a number where two layers share a bias.
    """
    used = Counter(name for node in graph.node for name in (*node.input, *node.output) if name)
    shared = {weight.name for weight in graph.initializer if used[weight.name] > 1}
    clashes = any(
        (name[:length] in used and _QUANTISERS_TENSOR.fullmatch(name[length:]))
        or (name[:length] in shared and name[length:].isdecimal())
        for name in used
        for length in range(1, len(name))
    )
    return {name: f"{name}/{number}/" for number, name in enumerate(used)} if clashes else {}


def _stay_float(graph: onnx.GraphProto) -> list[str]:
    """Return the names of nodes that are quantised in general and not here: additions that add no residual."""
    makers = producers(graph)
    names = []
    for node in graph.node:
        if node.op_type == "Add":
            computed = [makers[name].op_type for name in node.input if name in makers]
            if len(computed) < 2 or not _WEIGHTED.intersection(computed):
                names.append(node.name)
    return names


def _quantised(
    model: onnx.ModelProto, calibration: Calibration, batch: int | None, renamed: Mapping[str, str], notes: list[str]
) -> onnx.ModelProto:
    import onnx

    tools = quantization()
    with tempfile.TemporaryDirectory(prefix="sweep-int8-") as folder, quiet():
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(model.SerializeToString(deterministic=True))
        samples = _Samples(calibration, batch, renamed)
        names = {new: old for old, new in renamed.items()}
        ranges = calibrated(before, Path(folder) / "calibrated.onnx", samples, calibration.method, names, notes)
        stay = {*_stay_float(model.graph), *calibration.exclude}
        for node in model.graph.node:
            endless = [names.get(name, name) for name in node.input if name in ranges.endless]
            if node.op_type in QUANTISED and endless and node.name not in stay:
                stay.add(node.name)
                notes.append(f"int8: {node.name} stays in float32, since its input {endless[0]} is not finite")
        quantizer = tools.QDQQuantizer(
            tools.quant_utils.load_model_with_shape_infer(before),
            per_channel=True,
            reduce_range=False,
            weight_qType=tools.QuantType.QInt8,
            activation_qType=tools.QuantType.QInt8,
            tensors_range=ranges.of_tensors,
            nodes_to_quantize=[],
            nodes_to_exclude=sorted(stay),
            op_types_to_quantize=list(QUANTISED),
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,  # int32 biases are refused by TensorRT's parser
                "QDQDisableWeightAdjustForInt32Bias": True,  # fails on those of Gemm that are not of one axis
                "OpTypesToExcludeOutputQuantization": list(QUANTISED),
            },
        )
        quantizer.quantize_model()
        quantizer.model.save_model_to_file(str(after))
        quantised = onnx.load(str(after))
    layers = [node for node in quantised.graph.node if node.op_type in _WEIGHTED and node.name not in stay]
    makers = producers(quantised.graph)
    left = [one.name for one in layers if makers.get(one.input[0], one).op_type != "DequantizeLinear"]
    if left:
        more = ", ..." if len(left) > 1 else ""
        notes.append(
            f"int8: {len(left)} of {len(layers)} layers stay in float32, which the quantiser left out: {left[0]}{more}"
        )
    return quantised


class _Samples:
    """Calibration samples as ONNX Runtime's tools ask for them: batch by batch, the ranges counted in batches.

    Only ever read forwards, which is how the tools do it.
    """

    def __init__(self, calibration: Calibration, batch: int | None, renamed: Mapping[str, str]) -> None:
        first = next(calibration.read(1))
        size = sum(array.nbytes for array in first.values())
        self._batch = batch or max(1, min(_BATCH_MAX, _BATCH_BYTES // max(size, 1)))
        whole = calibration.count // self._batch
        self._count = whole if batch is not None else -(-calibration.count // self._batch)
        self._batches: Iterator[Mapping[str, Any]] = calibration.read(self._batch)
        self._renamed = renamed
        self._left = 0

    def __len__(self) -> int:
        return self._count

    def set_range(self, start_index: int, end_index: int) -> None:
        """Let the next so many batches be read."""
        self._left = end_index - start_index

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch; None behind the last of the range."""
        if not self._left:
            return None
        self._left -= 1
        return {self._renamed.get(name, name): array for name, array in next(self._batches).items()}


def _set_residuals_aside(graph: onnx.GraphProto) -> dict[str, float]:
    """Take out the pair before a residual addition on the side that is computed last.

    An engine can then add while it still holds what a convolution has computed, in full precision.

    Returns:
        The scales of what was taken out, by the name of the tensor that was quantised.
    """
    from onnx import numpy_helper

    makers, readers = producers(graph), consumers(graph)
    position = {node.name: index for index, node in enumerate(graph.node)}
    scales = {weight.name: weight for weight in graph.initializer}
    kept: dict[str, float] = {}
    gone: set[str] = set()
    for node in graph.node:
        if node.op_type != "Add" or len(set(node.input)) < 2:  # twice the same is carried over and computed at once
            continue
        computed = []
        for index, name in enumerate(node.input):
            with contextlib.suppress(KeyError, IndexError):
                dequantise = makers[name]
                quantise = makers[dequantise.input[0]]
                origin = makers[quantise.input[0]]
                alone = [len(readers[one]) for one in (name, dequantise.input[0], quantise.input[0])] == [1, 1, 1]
                kinds = (dequantise.op_type, quantise.op_type)
                if alone and kinds == ("DequantizeLinear", "QuantizeLinear") and origin.op_type in _WEIGHTED:
                    computed.append((position[origin.name], index, quantise, dequantise))
        if computed:
            _, index, quantise, dequantise = max(computed, key=lambda one: one[:2])
            node.input[index] = quantise.input[0]
            kept[quantise.input[0]] = float(numpy_helper.to_array(scales[quantise.input[1]]))
            gone.update((quantise.name, dequantise.name))
    replace_nodes(graph, [node for node in graph.node if node.name not in gone])
    drop_unused_weights(graph)
    return kept
