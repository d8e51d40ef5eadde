"""What the doubles offer is what TensorRT offers: names, parameters, types."""

import inspect
import re

import pytest

from sweep.backends.trt.engine import TensorRTEngine
from sweep.backends.trt.files import CheckedFile
from sweep.backends.trt.flavours import RTX, Library

from . import doubles
from .doubles import Memory, World, engine_bytes

real = pytest.importorskip("tensorrt_rtx")

CLASSES = ("Runtime", "ICudaEngine", "IExecutionContext", "IRuntimeConfig", "IRuntimeCache", "ILogger")
TYPES = {
    "str": str,
    "typing.SupportsInt": int,
    "tuple": tuple,
    "typing_extensions.Buffer": bytes,
    "ExecutionContextAllocationStrategy": doubles.ExecutionContextAllocationStrategy,
    "IRuntimeConfig": doubles.IRuntimeConfig,
    "nvinfer1::IRuntimeCache": doubles.IRuntimeCache,
}


def _public(kind):
    return [name for name in vars(kind) if not name.startswith("_")]


def _overloads(kind, name):
    """Yield the parameters of a bound method, by name, with their documented types, from its docstring."""
    for line in (getattr(kind, name).__doc__ or "").splitlines():
        found = re.match(rf"\s*(?:\d+\. )?{name}\(self: [\w.]+(?:, (.*))?\) -> ", line)
        if found:
            pairs = re.findall(r"(?:^|, )(\w+): ([\w.:]+)", found[1] or "")
            yield {key: value.rpartition("tensorrt_rtx.")[2] for key, value in pairs}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in CLASSES for name in _public(getattr(doubles, kind))]
)
def test_every_name_of_a_double_is_a_name_of_tensorrt(kind, name):
    theirs = getattr(real, kind)
    assert hasattr(theirs, name)
    ours = getattr(doubles, kind).__dict__[name]
    if kind != "ILogger" and inspect.isfunction(ours):
        parameters = list(inspect.signature(ours).parameters)[1:]
        assert parameters in [list(overload) for overload in _overloads(theirs, name)]


@pytest.mark.parametrize(
    "name",
    [
        *("TensorIOMode.INPUT", "TensorIOMode.OUTPUT", "TensorLocation.DEVICE", "CudaGraphStrategy.DISABLED"),
        *("DynamicShapesKernelSpecializationStrategy.EAGER", "ExecutionContextAllocationStrategy.USER_MANAGED"),
        *("ICudaEngine.device_memory_size_v2", "ICudaEngine.num_optimization_profiles", "ILogger.Severity.WARNING"),
        "init_libnvinfer_plugins",
        *("IRuntimeConfig.cuda_graph_strategy", "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy"),
    ],
)
def test_what_is_read_without_a_call_is_there(name):
    found = real
    for part in name.split("."):
        found = getattr(found, part)


def test_every_argument_is_of_its_documented_type(tmp_path):
    """A call that pybind11 would refuse fails here, not on the first GPU."""
    world = World(compiles=True)
    library = Library(RTX, world.module, "1.7")
    data = engine_bytes(1, 4, 4, profiles=[[1, 4, 4], [5, 8, 8]])
    for _ in range(2):  # the second reads the kernels that the first has kept
        engine = TensorRTEngine(library, data, Memory(), {}, CheckedFile(tmp_path / "kernels"))
        launches = [engine.bind(count, {"samples": 256}, {"top1": 512}, 7) for count in (3, 8)]
        for launch in launches:
            launch.enqueue()
        assert engine.can_be_captured
        engine.facts()
        engine.close()
    assert set(world.names()) == set(_public(doubles.IExecutionContext))
    for kind, name, arguments in world.calls:
        overloads = list(_overloads(getattr(real, kind), name))
        assert overloads, f"{kind}.{name} has no documented signature"
        assert any(
            len(arguments) <= len(overload)
            and all(type(value) is TYPES[kind] for value, kind in zip(arguments, overload.values(), strict=False))
            for overload in overloads
        ), f"{kind}.{name}{arguments}: {overloads}"
