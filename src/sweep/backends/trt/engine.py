"""A loaded TensorRT engine, as the pipeline wants it."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Protocol

from sweep.backends.trt.files import CheckedFile, InUse
from sweep.backends.trt.flavours import Library
from sweep.backends.trt.messages import one_line
from sweep.backends.trt.settings import Profile
from sweep.errors import BackendError, EngineOutOfMemoryError
from sweep.models.base import TensorSpec

_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
    "UINT8": "uint8",
}
"""TensorRT's types that NumPy has, by TensorRT's names."""


class EngineRefusedError(BackendError):
    """TensorRT does not load an engine: it was built by another version, or for another GPU."""


class DeviceMemory(Protocol):
    """Where scratch memory comes from."""

    def allocate(self, size: int, what: str) -> int:
        """Return the address of `size` bytes on the device, for `what`; raises EngineOutOfMemoryError."""

    def free(self, address: int) -> None:
        """Free what `allocate` gave."""


class TensorRTLaunch:
    """One number of samples at fixed addresses on a stream; made by `TensorRTEngine.bind`.

    It owns its execution context: a captured graph depends on the state of the context that it was captured from.
    """

    captured = False
    """The flavours that could capture graphs of their own are told not to."""

    def __init__(self, engine: TensorRTEngine, context: Any, count: int, stream: int) -> None:
        self._context = context  # first, since attributes are dropped in this order
        self._engine = engine
        self._count = count
        self._stream = stream

    def enqueue(self) -> None:
        """Put the engine's work on its stream and return at once; it may be called while the stream is captured.

        Raises:
            BackendError: TensorRT refused; EngineOutOfMemoryError where the device has no room.
        """
        if self._context is None:
            raise BackendError("the engine of this launch is closed")
        if not self._context.execute_async_v3(self._stream):
            raise self._engine.failure(f"cannot run {self._count} samples")

    @property
    def can_be_captured(self) -> bool:
        """Whether it may be captured on its stream, as far as the flavour tells."""
        asked = getattr(self._context, "is_stream_capturable", None)
        return asked is None or bool(asked(self._stream))

    def drop(self) -> None:
        """Free the context, which must go before the engine does."""
        self._context = None


class TensorRTEngine:
    """An engine on the device of this process; see `DeviceEngine`.

    Args:
        library: The flavour that runs it.
        data: The serialized engine.
        memory: Gives scratch memory.
        facts: What is known of it beforehand, for records.
        kernels: Where kernels are kept that the flavour compiles when it runs; None to keep none.
        host_code: Whether it may bring code for the host, as version-compatible engines do.
        in_use: Keeps the engine's file in the cache, until `close`.

    Raises:
        EngineRefusedError: TensorRT does not load it.
        EngineOutOfMemoryError: The device has no room for its weights.
        BackendError: It has inputs or outputs that a pipeline cannot serve.
    """

    keeps_one_size = False

    def __init__(
        self,
        library: Library,
        data: bytes,
        memory: DeviceMemory,
        facts: Mapping[str, Any],
        kernels: CheckedFile | None = None,
        *,
        host_code: bool = False,
        in_use: InUse | None = None,
    ) -> None:
        self._module = library.module
        self._title = library.title
        self._messages = messages = library.messages
        self._facts = dict(facts)
        self._kernels_file = kernels
        self._in_use = in_use
        self._kernels_fit = False
        self._memory = memory
        self._scratch: dict[int, int] = {}  # stream, address
        self._launches: weakref.WeakSet[TensorRTLaunch] = weakref.WeakSet()
        self._runtime: Any = messages.create(self._module, "Runtime", self._title)
        if host_code and hasattr(self._runtime, "engine_host_code_allowed"):
            self._runtime.engine_host_code_allowed = True
        self._engine: Any = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            message = f"{self._title} cannot load the engine of {len(data) / 2**20:,.1f} MiB: {messages.reason()}"
            raise EngineOutOfMemoryError(message) if messages.out_of_memory else EngineRefusedError(message)
        self._inputs, self._outputs = self._tensors()
        self._profiles = self._read_profiles()
        self._runtime_config, self._kernels = self._configure()

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes: name, NumPy dtype and shape of one sample."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives, likewise."""
        return self._outputs

    @property
    def fixed_batch(self) -> int | None:
        """The only number of samples that it takes; None where it takes several."""
        smallest = min(profile.smallest for profile in self._profiles)
        return smallest if smallest == max(profile.largest for profile in self._profiles) else None

    @property
    def can_be_captured(self) -> bool:
        """Whether the launches there are may be captured in a CUDA graph; to be asked when they have run once."""
        return all(launch.can_be_captured for launch in self._launches)

    def bind(self, count: int, inputs: Mapping[str, int], outputs: Mapping[str, int], stream: int) -> TensorRTLaunch:
        """Return a launch of `count` samples. Launches on one stream share scratch memory: it runs one after another.

        Raises:
            BackendError: It was not built for so many; EngineOutOfMemoryError where the device has no room.
        """
        context = self._new_context(count, stream)
        for name, address in (*inputs.items(), *outputs.items()):
            if not context.set_tensor_address(name, address):
                raise self.failure(f"refuses an address for {name}")
        launch = TensorRTLaunch(self, context, count, stream)
        self._launches.add(launch)
        return launch

    def facts(self) -> Mapping[str, Any]:
        """Return what a record should say of it, and keep the kernels compiled so far: the warm-up has just ended."""
        self._keep_kernels()
        engine = self._engine
        profile = self._profiles[0]
        return {
            **self._facts,
            "profile": {"min": profile.smallest, "opt": profile.best, "max": profile.largest},
            "layers": int(engine.num_layers),
            "aux_streams": int(getattr(engine, "num_aux_streams", 0)),
            "scratch_bytes": self._scratch_bytes(),
        }

    def close(self) -> None:
        """Free contexts, engine and runtime, in this order. Launches that are left can no longer be enqueued."""
        if self._engine is not None:
            self._keep_kernels()
        for launch in list(self._launches):
            launch.drop()
        self._runtime_config = self._kernels = self._engine = self._runtime = None
        while self._scratch:
            self._memory.free(self._scratch.popitem()[1])
        if self._in_use is not None:
            self._in_use.release()

    def failure(self, what: str) -> BackendError:
        """Return the error for something that TensorRT has just refused, with its reason."""
        message = f"{self._title} {what}: {self._messages.reason()}"
        if not self._messages.out_of_memory:
            return BackendError(message)
        return EngineOutOfMemoryError(f"{message}; it needs {self._scratch_bytes() / 2**20:,.1f} MiB of scratch memory")

    def _tensors(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        engine, module = self._engine, self._module
        inputs: list[TensorSpec] = []
        outputs: list[TensorSpec] = []
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            shape = tuple(int(extent) for extent in engine.get_tensor_shape(name))
            dtype = engine.get_tensor_dtype(name).name
            if dtype not in _DTYPES:
                raise BackendError(f"tensor {name} of the engine is {dtype}, a type that NumPy does not have")
            if not shape or min(shape[1:], default=1) < 0:
                raise BackendError(
                    f"tensor {name} of the engine has shape {shape}: only axis 0, the batch, may be open"
                )
            if engine.get_tensor_location(name) != module.TensorLocation.DEVICE:
                raise BackendError(f"tensor {name} of the engine is read on the host, which sweep does not support")
            is_input = engine.get_tensor_mode(name) == module.TensorIOMode.INPUT
            (inputs if is_input else outputs).append(TensorSpec(name, _DTYPES[dtype], shape[1:]))
        if not inputs or not outputs:
            raise BackendError(f"the engine has {len(inputs)} inputs and {len(outputs)} outputs; it needs one of each")
        return tuple(inputs), tuple(outputs)

    def _read_profiles(self) -> tuple[Profile, ...]:
        """Return the numbers of samples of each profile; a frozen engine's has but one."""
        name = self._inputs[0].name
        frozen = int(self._engine.get_tensor_shape(name)[0])
        if frozen >= 0:
            return (Profile(frozen, frozen, frozen),)
        profiles = []
        for index in range(self._engine.num_optimization_profiles):
            smallest, best, largest = (int(shape[0]) for shape in self._engine.get_tensor_profile_shape(name, index))
            profiles.append(Profile(smallest, best, largest))
        return tuple(profiles)

    def _configure(self) -> tuple[Any, Any]:
        """Return a runtime configuration and a cache of kernels, where the flavour compiles kernels as it runs.

        The pipeline captures graphs itself, so the flavour must not; and a kernel that arrives in the middle of a test
        would change the latency, so each is compiled when its shape is first seen.
        """
        module = self._module
        if not hasattr(module, "IRuntimeCache"):
            return None, None
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(module.ExecutionContextAllocationStrategy.USER_MANAGED)
        config.cuda_graph_strategy = module.CudaGraphStrategy.DISABLED
        config.dynamic_shapes_kernel_specialization_strategy = module.DynamicShapesKernelSpecializationStrategy.EAGER
        if self._kernels_file is None:
            return config, None
        kernels = config.create_runtime_cache()
        kept = self._kernels_file.read()
        self._facts["kernels_from_cache"] = self._kernels_fit = bool(kept) and bool(kernels.deserialize(kept))
        return config, kernels if config.set_runtime_cache(kernels) else None

    def _new_context(self, count: int, stream: int) -> Any:
        fits = [index for index, span in enumerate(self._profiles) if span.smallest <= count <= span.largest]
        if not fits:
            spans = " or ".join(f"{span.smallest} to {span.largest}" for span in self._profiles)
            raise BackendError(f"the engine takes {spans} samples at a time, not {count}; set engine_batch")
        self._messages.clear()
        strategy = self._module.ExecutionContextAllocationStrategy.USER_MANAGED
        config = self._runtime_config
        context = self._engine.create_execution_context(strategy if config is None else config)
        if context is None:
            raise self.failure("cannot make an execution context")
        if size := self._scratch_bytes():
            if stream not in self._scratch:
                self._scratch[stream] = self._memory.allocate(size, "scratch memory of the engine")
            context.set_device_memory(self._scratch[stream], size)
        if fits[0] != 0 and not context.set_optimization_profile_async(fits[0], stream):
            raise self.failure(f"refuses profile {fits[0]}")
        for spec in self._inputs:
            if not context.set_input_shape(spec.name, (count, *spec.shape)):
                raise self.failure(f"refuses {count} samples of {spec.name}")
        self._check_shapes(context, count)
        return context

    def _check_shapes(self, context: Any, count: int) -> None:
        """Refuse an engine whose outputs are not `count` samples: they would be written beyond their buffers."""
        try:
            unknown = context.infer_shapes()
        except RuntimeError as error:
            raise self.failure(f"cannot infer shapes ({one_line(str(error))})") from error
        if unknown:
            raise self.failure(f"does not know the shapes of {', '.join(unknown)}")
        for spec in self._outputs:
            shape = tuple(int(extent) for extent in context.get_tensor_shape(spec.name))
            if shape != (count, *spec.shape):
                raise BackendError(
                    f"output {spec.name} has shape {shape} for {count} samples: axis 0 must be the batch"
                )

    def _scratch_bytes(self) -> int:
        return int(self._engine.device_memory_size_v2)

    def _keep_kernels(self) -> None:
        kernels, file = self._kernels, self._kernels_file
        if kernels is None or file is None:
            return
        compiled = kernels.serialize()
        if compiled is None:
            return
        data, fits = bytes(compiled), self._kernels_fit
        file.update(lambda kept: kept if fits and len(kept) >= len(data) else data)
        self._kernels_fit = True
