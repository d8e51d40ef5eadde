"""Synthetic networks cost what the reference networks cost, and are the same file everywhere."""

import hashlib
import math

import numpy as np
import onnx
import onnxruntime
import pytest

from sweep.models.architectures import ARCHITECTURES

# Parameters: torchvision's ResNet-50 has 25,557,032 and 1000 classes; batch norm's 2 x 26,560 fold into 26,560 biases,
# and class 1001 adds 2049. MobileNet v1 likewise: 4,231,976, less 10,944, and 1025.
EXPECTED = {
    "resnet50_v1.5": (25_557_032 - 26_560 + 2049, 4.09e9, 53),
    "mobilenet_v1_1.0_224": (4_231_976 - 10_944 + 1025, 0.569e9, 28),
}
GOLDEN = {
    "resnet50_v1.5": "28d27faea456c4a8f19be78d6aa36c1a3f086c2c7aafe5a64d531bb5f4056566",
    "mobilenet_v1_1.0_224": "97401aa6e170cce310bb28484a60a4b7196e7b36d2ca54e3acb705f036c6bfd4",
}


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name):
    return ARCHITECTURES[name](0, "in", "out")


def sha256(model):
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def test_parameters_and_multiplications_are_those_of_the_papers(name, model):
    parameters, expected_macs, convolutions = EXPECTED[name]
    shapes = {weight.name: list(weight.dims) for weight in model.graph.initializer}
    assert sum(math.prod(shape) for shape in shapes.values() if shape) == parameters

    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    extents = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]]
        for value in [*inferred.graph.value_info, *inferred.graph.output]
    }
    macs = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            macs += math.prod(extents[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type == "Gemm":
            macs += math.prod(shapes[node.input[1]])
    assert macs == pytest.approx(expected_macs, rel=0.005)
    assert sum(node.op_type == "Conv" for node in model.graph.node) == convolutions


def test_the_stride_of_resnet_v1_5_is_in_its_3x3_convolutions():
    """In v1 it is in the 1x1 before it: 3.9 instead of 4.1 G multiplications."""
    model = ARCHITECTURES["resnet50_v1.5"](0, "in", "out")
    strided = [
        next(list(a.ints) for a in node.attribute if a.name == "kernel_shape")
        for node in model.graph.node
        if node.op_type == "Conv" and any(a.name == "strides" and a.ints[0] == 2 for a in node.attribute)
    ]
    assert sorted(strided) == [[1, 1]] * 3 + [[3, 3]] * 3 + [[7, 7]]  # shortcuts, blocks, the first layer


def test_the_same_seed_makes_the_same_file_everywhere(name, model):
    """The digest names the model in every record; a NumPy that drew other numbers would split one model in two."""
    assert sha256(model) == GOLDEN[name]


def test_another_seed_makes_other_weights(name, model):
    other = ARCHITECTURES[name](1, "in", "out")
    assert sha256(other) != sha256(model)
    assert other.graph.node == model.graph.node


def test_scores_are_a_distribution_and_activations_stay_small(name, model):
    """float16 ends at 65504, and int8 ranges come from what calibration sees."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    watched = [node.output[0] for node in probe.graph.node if node.op_type in ("Conv", "Add", "Gemm")]
    for tensor in watched:
        probe.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(probe.SerializeToString())
    images = np.random.default_rng(0).uniform(-128, 151, (2, 3, 224, 224)).astype(np.float32)
    scores, *activations = session.run(None, {"in": images if name.startswith("resnet") else images / 151})
    assert scores.shape == (2, 1001)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-4)
    assert max(float(np.abs(a).max()) for a in activations) < 1000
    assert min(float(a.std()) for a in activations) > 1e-3
