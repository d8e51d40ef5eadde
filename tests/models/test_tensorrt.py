"""TensorRT's own parser and builder take every file, without a GPU."""

import pytest

from sweep.models import resolve_model
from sweep.paths import cache_dir
from sweep.vocabulary import COMPUTED

trt = pytest.importorskip("tensorrt_rtx")

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("mobilenet", "resnet")]


@pytest.mark.parametrize("precision", COMPUTED)
@pytest.mark.parametrize("name", ["digits", *SLOW])
def test_an_engine_is_built(conf, calibration, name, precision):
    config = conf(name)
    model = resolve_model(config, precision, cache_dir(), calibration(config, 8))
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(model.path.read_bytes())
    assert parsed, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    samples, top1 = network.get_input(0), network.get_output(0)
    assert (samples.dtype, top1.dtype) == (trt.DataType.UINT8, trt.DataType.INT32)

    options = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    shape = model.inputs[0].shape
    profile.set_shape("samples", (1, *shape), (8, *shape), (16, *shape))
    options.add_optimization_profile(profile)
    options.num_compute_capabilities = 1
    options.set_compute_capability(trt.ComputeCapability.SM86, 0)
    engine = builder.build_serialized_network(network, options)
    assert engine is not None
    assert engine.nbytes > 10_000
