"""The network and the data that ship."""

import numpy as np
import onnx
import onnxruntime
import pytest

from sweep.models import resolve_model
from sweep.paths import PACKAGE
from sweep.vocabulary import Precision


@pytest.fixture(scope="module")
def digits():
    with np.load(PACKAGE / "datasets" / "data" / "digits.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_the_data_is_the_set_with_its_last_500_held_out(digits):
    assert (digits["images"].dtype, digits["images"].shape) == (np.uint8, (1797, 8, 8, 1))
    assert (digits["images"].min(), digits["images"].max()) == (0, 16)
    assert (digits["labels"].dtype, digits["labels"].shape) == (np.int64, (1797,))
    assert np.bincount(digits["labels"]).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.flatnonzero(digits["holdout"]).tolist() == list(range(1297, 1797))


def test_held_out_accuracy_is_what_training_saw(digits, conf, tmp_path):
    model = resolve_model(conf("digits"), Precision.FP32, tmp_path)
    session = onnxruntime.InferenceSession(str(model.path))
    right = session.run(None, {"samples": digits["images"]})[0] == digits["labels"]
    assert int(right[digits["holdout"]].sum()) == 498
    assert right[~digits["holdout"]].all()


def test_the_network_is_small_plain_float32():
    file = PACKAGE / "models" / "data" / "digits.onnx"
    assert file.stat().st_size < 1_000_000
    model = onnx.load(str(file))
    assert {weight.data_type for weight in model.graph.initializer} == {onnx.TensorProto.FLOAT}
    assert [node.op_type for node in model.graph.node] == [
        *("Conv", "Relu"),
        *("Conv", "Relu", "MaxPool") * 2,
        *("Flatten", "Gemm"),
    ]
