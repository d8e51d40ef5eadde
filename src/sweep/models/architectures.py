"""Network graphs with seeded random weights: the real layers and the real cost, with nothing downloaded.

The layers are those of the reference files: batch norm is folded into each convolution (a weight and a bias),
images are float32 NCHW, and the scores are a softmax over 1001 classes of which class 0 is "background". What such
a network answers means nothing; how long it takes to answer is what the reference network takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

    Build = Callable[[int, str, str], onnx.ModelProto]

CLASSES = 1001
_OPSET = 13
_IR_VERSION = 8  # written out, or the installed onnx would choose, and the digest with it

RESNET50_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Per stage: channels of the 3x3 convolutions, blocks, stride of the first block."""

MOBILENET_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
"""Per depthwise-separable block: output channels, stride."""


def resnet50_v1_5(seed: int, input_name: str, scores_name: str) -> onnx.ModelProto:
    """Return ResNet-50 v1.5: the stride of a block is in its 3x3 convolution.

    Layers from K. He et al., "Deep Residual Learning for Image Recognition" (2015), table 1.

    Args:
        seed: Seed of the weights.
        input_name: Name to give the input, float32 [N, 3, 224, 224] in -128..255 or so.
        scores_name: Name to give the output, float32 [N, 1001].
    """
    net = _Network(seed, input_name, scores_name)
    # Pixels minus their mean are some 64 wide; dividing by that keeps every activation near 1.
    x = net.conv(input_name, 3, 64, kernel=7, stride=2, pads=3, gain=1 / 64)
    x = net.node("MaxPool", [net.relu(x)], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    channels = 64
    for width, blocks, first_stride in RESNET50_STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            shortcut = net.conv(x, channels, 4 * width, kernel=1, stride=stride) if block == 0 else x
            y = net.relu(net.conv(x, channels, width, kernel=1))
            y = net.relu(net.conv(y, width, width, kernel=3, stride=stride, pads=1))
            # 16 blocks add up: each branch adds a little, or the sum would grow past what float16 holds.
            y = net.conv(y, width, 4 * width, kernel=1, gain=0.25)
            x = net.relu(net.node("Add", [y, shortcut]))
            channels = 4 * width
    x = net.node("Flatten", [net.node("GlobalAveragePool", [x])], axis=1)
    weight = net.weights((channels, CLASSES), fan_in=channels, gain=2.0)
    x = net.node("Gemm", [x, weight, net.weights((CLASSES,), fan_in=channels)])
    return net.finish("resnet50_v1.5", x)


def mobilenet_v1(seed: int, input_name: str, scores_name: str) -> onnx.ModelProto:
    """Return MobileNet v1, width 1.0, 224x224: one convolution and 13 depthwise-separable blocks, all with ReLU6.

    Layers from A. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
    Applications" (2017), table 1.

    Args:
        seed: Seed of the weights.
        input_name: Name to give the input, float32 [N, 3, 224, 224] in -1..1.
        scores_name: Name to give the output, float32 [N, 1001].
    """
    net = _Network(seed, input_name, scores_name)
    # Where a stride halves an even side, "same" padding is uneven: nothing before, one row after.
    halving = [0, 0, 1, 1]
    x = net.relu6(net.conv(input_name, 3, 32, kernel=3, stride=2, pads=halving))
    channels = 32
    for width, stride in MOBILENET_BLOCKS:
        pads = halving if stride == 2 else 1
        x = net.relu6(net.conv(x, channels, channels, kernel=3, stride=stride, pads=pads, groups=channels))
        x = net.relu6(net.conv(x, channels, width, kernel=1))
        channels = width
    x = net.node("GlobalAveragePool", [x])
    x = net.node("Flatten", [net.conv(x, channels, CLASSES, kernel=1, gain=2.0)], axis=1)
    return net.finish("mobilenet_v1_1.0_224", x)


ARCHITECTURES: Mapping[str, Build] = {"resnet50_v1.5": resnet50_v1_5, "mobilenet_v1_1.0_224": mobilenet_v1}
"""Builders by the name that `model.architecture` gives them."""


class _Network:
    """Collects nodes and weights; a layer takes and returns tensor names."""

    def __init__(self, seed: int, input_name: str, scores_name: str) -> None:
        import numpy as np

        self._bits = np.random.PCG64(seed)
        self._input_name = input_name
        self._scores_name = scores_name
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._limits: list[str] = []

    def node(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind.lower()}{len(self._nodes)}"
        output = output or name
        self._nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def weights(self, shape: tuple[int, ...], *, fan_in: int, gain: float = 1.0) -> str:
        """Add float32 weights, uniform with variance 2 * gain^2 / fan_in: a ReLU network keeps its scale.

        They are made of the generator's raw bits and correctly rounded operations alone, so that every machine and
        NumPy version makes the same file; library functions for normal deviates promise neither.
        """
        import numpy as np
        from onnx import numpy_helper

        count = math.prod(shape)
        bits = self._bits.random_raw((count + 1) // 2).astype("<u8").view("<u4")[:count]
        values = (bits >> 8).astype("<f4")
        values *= np.float32(2.0**-23)
        values -= np.float32(1.0)
        values *= np.float32(gain * math.sqrt(6 / fan_in))
        name = f"weights{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values.reshape(shape), name))
        return name

    def conv(
        self,
        x: str,
        channels: int,
        width: int,
        *,
        kernel: int,
        stride: int = 1,
        pads: int | list[int] = 0,
        groups: int = 1,
        gain: float = 1.0,
    ) -> str:
        fan_in = channels // groups * kernel * kernel
        weight = self.weights((width, channels // groups, kernel, kernel), fan_in=fan_in, gain=gain)
        bias = self.weights((width,), fan_in=600)  # within 0.1 of 0
        return self.node(
            "Conv",
            [x, weight, bias],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pads] * 4 if isinstance(pads, int) else pads,
            group=groups,
        )

    def relu(self, x: str) -> str:
        return self.node("Relu", [x])

    def relu6(self, x: str) -> str:
        if not self._limits:
            from onnx import TensorProto, helper

            for value in (0.0, 6.0):
                self._limits.append(f"limit{value:g}")
                self._weights.append(helper.make_tensor(self._limits[-1], TensorProto.FLOAT, [], [value]))
        return self.node("Clip", [x, *self._limits])

    def finish(self, name: str, logits: str) -> onnx.ModelProto:
        from onnx import TensorProto, helper

        self.node("Softmax", [logits], self._scores_name, axis=1)
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(self._input_name, TensorProto.FLOAT, ["N", 3, 224, 224])],
            [helper.make_tensor_value_info(self._scores_name, TensorProto.FLOAT, ["N", CLASSES])],
            self._weights,
        )
        opset = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="sweep")
