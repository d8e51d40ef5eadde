"""Networks as they were met in the wild, recreated small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from sweep.models import Calibration, CalibrationMethod, ModelConfig, ResolvedModel, resolve_model
from sweep.models.session import open_session
from sweep.vocabulary import Precision

F32 = np.float32


class Net:
    """Builds a graph node by node; constants are drawn from a fixed seed, or given."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(0)

    def const(self, value: Any, name: str = "") -> str:
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def ints(self, *values: int) -> str:
        return self.const(np.array(values, np.int64))

    def weight(self, *shape: int, name: str = "") -> str:
        fan = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        return self.const((self._rng.normal(size=shape) / np.sqrt(fan)).astype(F32), name)

    def op(self, kind: str, *inputs: str, to_: str = "", **attributes: Any) -> str:
        output = to_ or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"n{len(self.nodes)}", **attributes))
        return output

    def model(
        self, shape: Sequence[int], out: Sequence[int] | None, kind: int = TensorProto.FLOAT, functions: Any = ()
    ) -> onnx.ModelProto:
        """Return the model: input `x` [N, *shape]; its last node makes the output `y`."""
        last = self.nodes[-1].output[0]
        self.nodes[-1].output[0] = "y"
        for node in self.nodes:
            node.input[:] = ["y" if name == last else name for name in node.input]
        x = helper.make_tensor_value_info("x", kind, ["N", *shape])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None if out is None else ["N", *out])
        graph = helper.make_graph(self.nodes, "g", [x], [y], self.constants)
        opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid("local", 1)] if functions else [])]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)


def shared_weight() -> onnx.ModelProto:
    """Two convolutions with one weight."""
    net = Net()
    weight = net.weight(4, 4, 3, 3)
    middle = net.op("Relu", net.op("Conv", "x", weight, pads=[1] * 4))
    net.op("Conv", middle, weight, pads=[1] * 4)
    return net.model([4, 8, 8], [4, 8, 8])


def names_that_clash() -> onnx.ModelProto:
    """A tensor has the name that the quantiser gives the copy of a shared bias."""
    net = Net()
    bias = net.weight(4, name="b")
    net.op("Sigmoid", net.op("Gemm", "x", net.weight(4, 4), bias), to_="b0")
    net.op("Gemm", "b0", net.weight(4, 4), bias)
    return net.model([4], [4])


def names_that_clash_with_pairs() -> onnx.ModelProto:
    """Tensors have the names that the quantiser gives the scale and the pair of another, outputs included."""
    net = Net()
    h = net.op("Relu", net.op("Gemm", "x", net.weight(4, 4)), to_="x_scale")
    h = net.op("Relu", net.op("Gemm", h, net.weight(4, 4)), to_="x_QuantizeLinear_Output")
    net.op("Gemm", h, net.weight(4, 4))
    return net.model([4], [4])


def names_of_the_converter() -> onnx.ModelProto:
    """Tensors and nodes have the names that the converter to float16 gives to its casts."""
    net = Net()
    h = net.op("MatMul", "x", net.weight(4, 4), to_="graph_input_cast_0")
    h = net.op("Softmax", h, to_="h", axis=-1)
    h = net.op("Relu", net.op("Softmax", h, axis=-1), to_="h_cast_to_fp16")
    h = net.op("MatMul", h, net.weight(4, 4), to_="h_cast_to_fp32")
    net.op("Mul", h, "h")
    net.nodes[0].name, net.nodes[3].name = "graph_input_cast0", "h_cast_to_fp32_node"
    return net.model([4], [4])


def names_like_ours() -> onnx.ModelProto:
    """Residual additions in a network whose tensors are called as sweep might call its own."""
    net = Net()
    a = net.op("Relu", net.op("Conv", "x", net.weight(4, 4, 3, 3), pads=[1] * 4), to_="a")
    b = net.op("Conv", a, net.weight(4, 4, 3, 3), to_="a/quantised", pads=[1] * 4)
    c = net.op("Relu", net.op("Add", b, a), to_="a/quantised/scale")
    net.op("Conv", c, net.weight(4, 4, 3, 3), pads=[1] * 4)
    return net.model([4, 8, 8], [4, 8, 8])


def attention(mask: str, value: float) -> onnx.ModelProto:
    """Attention of 6 tokens over each other and those before, by a mask that is made in one of several ways."""
    net, tokens, width = Net(), 6, 8
    q, k, v = (net.op("MatMul", "x", net.weight(width, width)) for _ in range(3))
    scores = net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1]))
    seen = np.tril(np.ones((tokens, tokens), bool))
    if mask == "constant":
        scores = net.op("Add", scores, net.const(np.where(seen, 0, value).astype(F32), "mask"))
    elif mask == "computed":
        made = net.op("Where", net.const(seen), net.const(F32(0)), net.const(F32(value)), to_="mask")
        scores = net.op("Add", scores, made)
    elif mask == "where":
        scores = net.op("Where", net.const(seen), scores, net.const(F32(value), "mask"))
    elif mask == "filled":
        fill = helper.make_tensor("value", TensorProto.FLOAT, [1], [value])
        full = net.op("ConstantOfShape", net.ints(tokens, tokens), to_="mask", value=fill)
        scores = net.op("Add", scores, net.op("Trilu", full, net.ints(1), upper=1))
    elif mask == "scaled":  # 1 where a token is hidden, times a large number that is a node's plain attribute
        net.nodes.append(helper.make_node("Constant", [], ["mask"], name="large", value_float=value))
        scores = net.op("Add", scores, net.op("Mul", net.const((~seen).astype(F32)), "mask"))
    net.op("MatMul", net.op("Softmax", scores, axis=-1), v)
    return net.model([tokens, width], [tokens, width])


def attention_that_crashes() -> onnx.ModelProto:
    """Attention as PyTorch exports it, tokens first: ONNX Runtime 1.32 crashes on its float16 at level `all`."""
    net, tokens, width, heads = Net(), 4, 8, 2
    each = width // heads
    y = net.op("MatMul", net.op("Transpose", "x", perm=[1, 0, 2]), net.weight(width, 3 * width))
    y = net.op("Reshape", y, net.ints(tokens, -1, 3, width))
    y = net.op("Transpose", net.op("Unsqueeze", y, net.ints(0)), perm=[3, 1, 2, 0, 4])
    y = net.op("Squeeze", y, net.ints(3))
    parts = []
    for index in range(3):
        part = net.op("Gather", y, net.const(np.int64(index)), axis=0)
        part = net.op("Transpose", net.op("Reshape", part, net.ints(tokens, -1, each)), perm=[1, 0, 2])
        parts.append(net.op("Reshape", part, net.ints(-1, heads, tokens, each)))
    q, k, v = parts
    scale = net.const(F32(each**-0.25))
    k = net.op("Mul", net.op("Transpose", k, perm=[0, 1, 3, 2]), scale)
    seen = net.op("MatMul", net.op("Softmax", net.op("MatMul", net.op("Mul", q, scale), k), axis=-1), v)
    y = net.op("Reshape", net.op("Transpose", seen, perm=[2, 0, 1, 3]), net.ints(-1, width))
    y = net.op("Gemm", y, net.weight(width, width), net.weight(width), transB=1)
    net.op("Transpose", net.op("Reshape", y, net.ints(tokens, -1, width)), perm=[1, 0, 2])
    return net.model([tokens, width], [tokens, width])


def wide_batch_norm() -> onnx.ModelProto:
    """Variances beyond float16 between two convolutions."""
    net = Net()
    y = net.op("Mul", net.op("Conv", "x", net.weight(4, 4, 3, 3), pads=[1] * 4), net.const(F32(300)))
    ones, zeros = net.const(np.ones(4, F32)), net.const(np.zeros(4, F32))
    y = net.op("BatchNormalization", y, ones, zeros, zeros, net.const(np.array([7e4, 9e4, 1e5, 50], F32), "variance"))
    net.op("Conv", net.op("Relu", y), net.weight(4, 4, 3, 3), pads=[1] * 4)
    return net.model([4, 8, 8], [4, 8, 8])


def tiny_factors() -> onnx.ModelProto:
    """Factors too small for float16, beside a number and a bias that are as small, and added."""
    net = Net()
    y = net.op("Mul", net.op("Gemm", "x", net.weight(4, 4)), net.const(F32(1e-20), "small"))
    y = net.op("Mul", y, net.const(F32(1e20), "large"))
    y = net.op("Add", net.op("Gemm", y, net.weight(4, 4)), net.const(F32(1e-12), "epsilon"))
    net.op("Gemm", y, net.weight(4, 4), net.const(np.full(4, 1e-20, F32), "bias"))
    return net.model([4], [4])


def gemms(*bias: int, beta: float = 1.0, computed: bool = False) -> onnx.ModelProto:
    """A Gemm before another, its bias of some shape, which counts `beta` times, and called as exporters call it."""
    net = Net()
    added = net.op("MatMul", "x", net.weight(8, 8)) if computed else net.const(np.full(bias, 2, F32), "n0/bias")
    y = net.op("Gemm", "x", net.weight(8, 8), added, alpha=0.5, beta=beta)
    net.op("Gemm", y, net.weight(8, 8))
    return net.model([8], [8])


def doubled() -> onnx.ModelProto:
    """What a convolution computes is added to itself."""
    net = Net()
    y = net.op("Conv", "x", net.weight(4, 4, 3, 3), pads=[1] * 4)
    net.op("Conv", net.op("Add", y, y), net.weight(4, 4, 3, 3), pads=[1] * 4)
    return net.model([4, 8, 8], [4, 8, 8])


def nearly_constant() -> onnx.ModelProto:
    """Between two layers lies a tensor whose values are all but equal."""
    net = Net()
    y = net.op("Add", net.op("Mul", net.op("Gemm", "x", net.weight(4, 4)), net.const(F32(1e-7))), net.const(F32(1)))
    net.op("Gemm", net.op("Identity", y, to_="close"), net.weight(4, 4))
    return net.model([4], [4])


def spectrum() -> onnx.ModelProto:
    """STFT without `onesided`, whose default ONNX's shape inference gets wrong, before layers and a softmax."""
    net = Net()
    window, step = net.const(np.hanning(16).astype(F32)), net.const(np.int64(8))
    signal = net.op("Unsqueeze", "x", net.ints(2))
    y = net.op("STFT", signal, step, window, net.const(np.int64(16)))
    y = net.op("ReduceSum", net.op("Mul", y, y), net.ints(3), keepdims=0)
    y = net.op("Softmax", net.op("MatMul", y, net.weight(9, 4)), axis=-1)
    net.op("MatMul", net.op("Add", y, net.const(np.full(4, -1e9, F32))), net.weight(4, 4))
    net.nodes[-2].op_type = "Max"  # reads a number beyond float16, and something whose type must be known
    return net.model([64], [7, 4])


def functions() -> onnx.ModelProto:
    """All layers are in a function of the model's own."""
    body = [helper.make_node("MatMul", ["a", "w"], ["t"]), helper.make_node("Relu", ["t"], ["o"])]
    block = helper.make_function("local", "Block", ["a", "w"], ["o"], body, [helper.make_opsetid("", 17)])
    net = Net()
    first = net.op("Block", "x", net.weight(8, 8), domain="local")
    net.op("Block", first, net.weight(8, 8), domain="local")
    return net.model([8], [8], functions=[block])


def layers_in_bodies(*, outside: bool = True) -> onnx.ModelProto:
    """Layers in both bodies of an If, and one before it."""
    net = Net()
    first = net.op("MatMul", "x", net.weight(8, 8)) if outside else net.op("Relu", "x")
    bodies = {}
    for name in ("then_branch", "else_branch"):
        made = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        node = helper.make_node("MatMul", [first, net.weight(8, 8)], [name])
        bodies[name] = helper.make_graph([node], name, [], [made])
    total = net.op("ReduceSum", "x", keepdims=0)
    net.op("If", net.op("Greater", total, net.const(F32(0))), **bodies)
    return net.model([8], [8])


def integers(*, kind: str) -> onnx.ModelProto:
    """A file that is in int8 already: two layers with one weight, one zero point, or one of both dequantised."""
    net = Net()
    weights = [np.random.default_rng(seed).integers(-127, 127, (4, 4, 3, 3)).astype(np.int8) for seed in (0, 1)]
    scale, middle, zero = net.const(F32(0.05)), net.const(np.uint8(128)), net.const(np.int8(0))

    def pair(tensor: str) -> str:
        return net.op("DequantizeLinear", net.op("QuantizeLinear", tensor, scale, middle), scale, middle)

    names = [net.const(weights[0]), net.const(weights[1])] if kind == "zero point" else [net.const(weights[0])] * 2
    zeros = [zero, zero if kind != "weight" else net.const(np.int8(0))]
    if kind == "operators":
        y = net.op("QuantizeLinear", "x", scale, middle)
        for name in names:
            y = net.op("QLinearConv", y, scale, middle, name, scale, zero, scale, middle, pads=[1] * 4)
        net.op("DequantizeLinear", y, scale, middle)
        return net.model([4, 8, 8], [4, 8, 8])
    read = [net.op("DequantizeLinear", name, scale, one) for name, one in zip(names, zeros, strict=True)]
    if kind == "pair":
        read[1] = read[0]
    y = pair(net.op("Conv", pair("x"), read[0], pads=[1] * 4))
    pair(net.op("Conv", y, read[1], pads=[1] * 4))
    return net.model([4, 8, 8], [4, 8, 8])


def means_of_nothing() -> onnx.ModelProto:
    """The mean of what was normalised is next to nothing: too small for ONNX Runtime's kernel of an int8 mean."""
    net = Net()
    y = net.op("Conv", "x", net.weight(4, 4, 3, 3), pads=[1] * 4)
    y = net.op("InstanceNormalization", y, net.const(np.ones(4, F32)), net.const(np.zeros(4, F32)))
    y = net.op("Gemm", net.op("Flatten", net.op("GlobalAveragePool", y)), net.weight(4, 4), net.const(np.ones(4, F32)))
    return net.model([4, 8, 8], [4])


def mask_in_bodies() -> onnx.ModelProto:
    """A mask of large numbers is added in both bodies of an If, one of them its own."""
    net = Net()
    first, outer = net.op("MatMul", "x", net.weight(8, 8)), net.const(np.full(8, -1e9, F32), "outer")
    own = numpy_helper.from_array(np.where(np.arange(8) < 4, 0, -1e9).astype(F32), "own")
    bodies = {}
    for name, mask, constants in (("then_branch", "own", [own]), ("else_branch", outer, [])):
        made = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        node = helper.make_node("Add", [first, mask], [name])
        bodies[name] = helper.make_graph([node], name, [], [made], constants)
    total = net.op("ReduceSum", "x", keepdims=0)
    net.op("Tanh", net.op("If", net.op("Greater", total, net.const(F32(-1e6))), **bodies))
    return net.model([8], [8])


def samples_of(model: onnx.ModelProto, count: int = 16) -> np.ndarray:
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:]
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(F32)


def saved(folder: Path, model: onnx.ModelProto) -> ModelConfig:
    path = folder / "mine.onnx"
    path.write_bytes(model.SerializeToString())
    return ModelConfig(name="mine", path=str(path))


def convert(
    folder: Path,
    model: onnx.ModelProto,
    precision: Precision,
    method: str = "minmax",
    exclude: tuple[str, ...] = (),
    samples: np.ndarray | None = None,
) -> ResolvedModel:
    """Return what becomes of a user's file."""
    samples = samples_of(model) if samples is None else samples

    def read(batch: int) -> Any:
        for start in range(0, len(samples), batch):
            yield {"x": samples[start : start + batch]}

    made = Calibration("noise", "sha256:noise", len(samples), CalibrationMethod(method), read, exclude)
    return resolve_model(saved(folder, model), precision, folder / "cache", made)


def error_of(converted: ResolvedModel, original: onnx.ModelProto) -> float:
    """Return how far a conversion's answers are from those of the original, as a share of the largest."""
    feed = {"x": samples_of(original, 8)}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    right = onnxruntime.InferenceSession(original.SerializeToString(), options).run(None, feed)[0]
    answers = open_session(converted.path, converted.level, 1).run(None, feed)[0]
    assert np.isfinite(answers).all()
    return float(np.abs(answers - right).max() / np.abs(right).max())
