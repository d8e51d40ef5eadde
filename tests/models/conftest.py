"""Models small enough to be made in a test, and the configurations that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from sweep.datasets.digits import training_digits
from sweep.models import Calibration, CalibrationMethod, ModelConfig, model_config
from sweep.paths import conf_dir

DATA = Path(__file__).resolve().parent.parent / "data" / "onnx"


@pytest.fixture(scope="session")
def conf():
    """Return a shipped model's configuration, with overrides."""

    def load(name: str, /, **overrides: Any) -> ModelConfig:
        mapping = yaml.safe_load((conf_dir() / "model" / f"{name}.yaml").read_text())
        return model_config({**mapping, **overrides})

    return load


@pytest.fixture(scope="session")
def calibration():
    """Return a maker of calibrations: the digits' training images, or seeded noise for any other shape."""

    def make(config: ModelConfig, count: int = 64, method: str = "percentile") -> Calibration:
        if config.name == "digits":
            images = training_digits()[0][:count]
        else:
            images = np.random.default_rng(0).integers(0, 256, (count, *config.sample_shape), dtype=np.uint8)

        def read(batch):
            for start in range(0, count, batch):
                yield {"samples": images[start : start + batch]}

        return Calibration("test", f"sha256:{config.name}", count, CalibrationMethod(method), read)

    return make


@pytest.fixture
def foreign():
    """Return the folder of files that another exporter made."""
    return DATA


@pytest.fixture
def tiny():
    """Return a configuration for `network`: 2x3 RGB images, 4 classes of which the first is background."""
    return ModelConfig(
        name="tiny",
        weights="reference",
        reference_url="https://example.invalid/files/tiny.onnx",
        input_name="in:0",
        scores_name="scores:0",
        class_offset=1,
        mean=(10.0, 20.0, 30.5),
        scale=(0.5, 1.0, 2.0),
        sample_shape=(2, 3, 3),
    )


@pytest.fixture
def network():
    """Return a maker of networks: per-channel mean of the image, times `weight` [3, 4], then softmax."""

    def make(weight: Any = None, *, opset: int = 13, batch: Any = "N", softmax: bool = True) -> onnx.ModelProto:
        if weight is None:
            weight = [[0, 0.3, -0.3, -0.2], [0, -0.15, 0.2, -0.2], [0, -0.05, -0.1, 0.1]]  # each class wins somewhere
        weight = np.asarray(weight, np.float32)
        nodes = [
            helper.make_node("GlobalAveragePool", ["in:0"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "w"], ["logits"]),
            helper.make_node("Softmax" if softmax else "Identity", ["logits"], ["scores:0"]),
            helper.make_node("ArgMax", ["scores:0"], ["ArgMax:0"], axis=1, keepdims=0),
            helper.make_node("Add", ["logits", "unused"], ["nowhere"]),
        ]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("in:0", TensorProto.FLOAT, [batch, 3, 2, 3])],
            [
                helper.make_tensor_value_info("ArgMax:0", TensorProto.INT64, [batch]),
                helper.make_tensor_value_info("scores:0", TensorProto.FLOAT, [batch, weight.shape[1]]),
            ],
            [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.ones(1, np.float32), "unused")],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)

    return make
