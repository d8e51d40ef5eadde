"""A TensorRT whose engines sum the bytes of each sample, on a `FakeRuntime`; every call is kept.

Its classes, methods and parameters have the names of the real ones, which `test_api.py` holds them to.
"""

import ctypes
import enum
import json
from types import SimpleNamespace

import numpy as np

from sweep.backends.trt.build import Built
from sweep.errors import BackendError


def engine_bytes(smallest, best=None, largest=None, *, frozen=False, **changes):
    """Return a serialized engine of the double: what it is, as JSON."""
    profiles = [[smallest, best or smallest, largest or smallest]]
    about = {"profiles": profiles, "frozen": frozen, "shape": [3], "scratch": 4096, "input": "UINT8", "output": "INT32"}
    return json.dumps({**about, **changes}).encode()


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    Severity = Severity

    def log(self, severity, msg):
        raise NotImplementedError


class DataType(enum.Enum):
    FLOAT = 0
    HALF = 1
    BF16 = 7
    INT32 = 3
    INT64 = 8
    UINT8 = 5


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class TensorLocation(enum.Enum):
    DEVICE = 0
    HOST = 1


class ExecutionContextAllocationStrategy(enum.Enum):
    STATIC = 0
    USER_MANAGED = 2


class CudaGraphStrategy(enum.Enum):
    DISABLED = 0
    WHOLE_GRAPH_CAPTURE = 1


class DynamicShapesKernelSpecializationStrategy(enum.Enum):
    LAZY = 0
    EAGER = 1


class _Recorded:
    """Keeps each call of a method in the world's `calls`, as (class, method, arguments)."""

    def __init__(self, world):
        self._world = world

    def __getattribute__(self, name):
        found = object.__getattribute__(self, name)
        if name.startswith("_") or not callable(found):
            return found
        world = object.__getattribute__(self, "_world")

        def call(*arguments):
            world.calls.append((type(self).__name__, name, arguments))
            return found(*arguments)

        return call


class Runtime(_Recorded):
    engine_host_code_allowed = False

    def __init__(self, world, logger):
        super().__init__(world)
        world.logger = logger
        world.runtimes.append(self)
        if world.start_error:
            world.say(world.start_error)

    def deserialize_cuda_engine(self, serialized_engine):
        if (reason := self._world.refuses(serialized_engine)) is not None:
            self._world.say(reason)
            return None
        return ICudaEngine(self._world, json.loads(serialized_engine))


class ICudaEngine(_Recorded):
    num_io_tensors = 2
    num_layers = 7
    num_aux_streams = 0

    def __init__(self, world, about):
        super().__init__(world)
        self._about = about
        self.device_memory_size_v2 = about["scratch"]
        self.num_optimization_profiles = len(about["profiles"])
        world.live += 1

    def __del__(self):
        self._world.live -= 1
        assert not self._world.contexts, "an engine went before its contexts"

    def get_tensor_name(self, index):
        return ("samples", "top1")[index]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name == "samples" else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name):
        batch = self._about["profiles"][0][0] if self._about["frozen"] else -1
        return (batch, *self._about["shape"]) if name == "samples" else (batch,)

    def get_tensor_dtype(self, name):
        return DataType[self._about["input" if name == "samples" else "output"]]

    def get_tensor_location(self, name):
        return TensorLocation[self._about.get("location", "DEVICE")]

    def get_tensor_profile_shape(self, name, profile_index):
        return [(size, *self._about["shape"]) for size in self._about["profiles"][profile_index]]

    def create_execution_context(self, strategy):
        if self._world.context_error:
            self._world.say(self._world.context_error)
            return None
        return IExecutionContext(self._world, self._about)

    def create_runtime_config(self):
        return IRuntimeConfig(self._world)


class IRuntimeConfig(_Recorded):
    cuda_graph_strategy = None
    dynamic_shapes_kernel_specialization_strategy = None

    def __init__(self, world):
        super().__init__(world)
        world.configs.append(self)

    def set_execution_context_allocation_strategy(self, strategy):
        pass

    def create_runtime_cache(self):
        return IRuntimeCache(self._world)

    def set_runtime_cache(self, cache):
        return True


class IRuntimeCache(_Recorded):
    def serialize(self):
        return self._world.kernels

    def deserialize(self, blob):
        return blob == self._world.kernels


class IExecutionContext(_Recorded):
    def __init__(self, world, about):
        super().__init__(world)
        self._about = about
        self._addresses = {}
        self._scratch = None
        self._shape = tuple(about["shape"])
        self._count = about["profiles"][0][0] if about["frozen"] else None
        world.contexts.add(id(self))

    def __del__(self):
        self._world.contexts.discard(id(self))

    def set_device_memory(self, memory, size):
        self._scratch = (memory, size)

    def set_optimization_profile_async(self, profile_index, stream_handle):
        return True

    def set_input_shape(self, name, shape):
        self._count = shape[0]
        return self._world.answer("set_input_shape")

    def infer_shapes(self):
        return self._world.unknown

    def get_tensor_shape(self, name):
        return (self._count * self._about.get("outputs_per_sample", 1),)

    def set_tensor_address(self, name, memory):
        self._addresses[name] = memory
        return memory % 256 == 0 and self._world.answer("set_tensor_address")

    def is_stream_capturable(self, stream):
        return self._world.capturable

    def execute_async_v3(self, stream_handle):
        world, count = self._world, self._count
        if not world.answer("execute_async_v3"):
            world.say("IExecutionContext::enqueueV3: Error Code 1: Cask (no kernel image)")
            return False
        assert self._scratch is not None or not self._about["scratch"]
        source, to = self._addresses["samples"], self._addresses["top1"]
        size = int(np.prod(self._shape))

        def work():
            data = np.frombuffer(ctypes.string_at(source, count * size), np.uint8)
            sums = data.reshape(count, -1).sum(axis=1).astype(np.int32)
            ctypes.memmove(to, sums.ctypes.data, sums.nbytes)

        if world.device is not None:
            world.device.enqueue(world.device.stream_of(stream_handle), ("launch", count), work)
        return True


class World:
    """A process with TensorRT.

    Args:
        device: Where work is enqueued; None to enqueue none.
        compiles: Whether the flavour compiles kernels as it runs, as TensorRT for RTX does.
    """

    def __init__(self, device=None, *, compiles=False):
        self.device = device
        self.calls = []
        self.contexts = set()
        self.live = 0  # engines
        self.logger = None
        self.runtimes, self.configs = [], []
        self.refuses = lambda data: None
        self.start_error = self.context_error = ""
        self.unknown = []
        self.capturable = True
        self.kernels = b"kernels"
        self.false = set()  # methods that answer False
        self.builds = 0
        self.row = 3  # elements of the largest tensor of one sample
        self.module = SimpleNamespace(
            __name__="tensorrt",
            __version__="11.4.0",
            ILogger=ILogger,
            BuilderFlag=SimpleNamespace(TF32=1),
            TensorIOMode=TensorIOMode,
            TensorLocation=TensorLocation,
            ExecutionContextAllocationStrategy=ExecutionContextAllocationStrategy,
            Runtime=lambda logger: Runtime(self, logger),
        )
        self.plugins = []  # namespaces whose plug-ins were made known, as many as there were engines then
        self.module.init_libnvinfer_plugins = self._init_plugins
        if compiles:
            self.module.IRuntimeCache = IRuntimeCache
            self.module.CudaGraphStrategy = CudaGraphStrategy
            self.module.DynamicShapesKernelSpecializationStrategy = DynamicShapesKernelSpecializationStrategy

    def _init_plugins(self, logger, namespace):
        self.plugins.append((namespace, self.live))
        return True

    def answer(self, name):
        return name not in self.false

    def say(self, text, severity=Severity.ERROR):
        self.logger.log(severity, text)

    def names(self, kind="IExecutionContext"):
        return [name for who, name, _ in self.calls if who == kind]

    def arguments(self, name):
        return [arguments for _, called, arguments in self.calls if called == name]

    def build(self, library, path, settings, **_):
        """Stand in for `sweep.backends.trt.build.build`."""
        self.builds += 1
        profile = settings.profile
        if profile.largest * self.row > 2**31 - 1:
            raise BackendError("Could not find any implementation for node conv1 (its output is too large)")
        return Built(engine_bytes(profile.smallest, profile.best, profile.largest, number=self.builds), 1.5)


class Memory:
    """Scratch memory, as `Cuda` gives it."""

    def __init__(self):
        self.held, self.next = {}, 0x7000

    def allocate(self, size, what):
        self.next += 0x1000
        self.held[self.next] = (size, what)
        return self.next

    def free(self, address):
        del self.held[address]
