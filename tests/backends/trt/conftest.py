"""TensorRT for RTX, which builds engines on machines without a GPU, and ONNX files that it does not take."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sweep.backends.trt.flavours import RTX, load
from sweep.config.files import load_choice
from sweep.models import Calibration, CalibrationMethod, model_config, resolve_model
from sweep.models.calibration import MIN_SAMPLES
from sweep.paths import cache_dir


@pytest.fixture(scope="session")
def rtx():
    pytest.importorskip("tensorrt_rtx")
    return load(RTX)


@pytest.fixture(scope="session")
def resolved():
    """Return a shipped model's file in a precision; an int8 one is calibrated with noise."""

    def resolve(name, precision):
        config = model_config(load_choice("model", name))
        shape = config.sample_shape
        noise = np.random.default_rng(0).integers(0, 256, (MIN_SAMPLES, *shape), dtype=np.uint8)

        def read(batch):
            for start in range(0, MIN_SAMPLES, batch):
                yield {"samples": noise[start : start + batch]}

        calibration = Calibration("noise", "sha256:noise", MIN_SAMPLES, CalibrationMethod.MINMAX, read)
        return resolve_model(config, precision, cache_dir(), calibration)

    return resolve


@pytest.fixture
def onnx_file(tmp_path):
    """Write a graph of x [batch, 4] to y with nodes and initializers, and return its path."""

    def write(*nodes, initializers=(), batch="N", x=TensorProto.FLOAT, **how):
        graph = helper.make_graph(
            list(nodes),
            "graph",
            [helper.make_tensor_value_info("x", x, [batch, 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 4])],
            list(initializers),
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
        path = tmp_path / "model.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path, **how)
        return path

    return write


@pytest.fixture
def weights():
    return numpy_helper.from_array(np.ones((1, 4), np.float32), "w")
