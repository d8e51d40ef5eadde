"""From a network to a serialized engine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sweep.backends.trt.flavours import RTX, TENSORRT, Library
from sweep.backends.trt.messages import Messages
from sweep.backends.trt.parser import Parsed, parse
from sweep.backends.trt.progress import Report, Reporter, monitor, print_progress
from sweep.backends.trt.settings import BuildSettings, Profile
from sweep.errors import BackendError, EngineOutOfMemoryError

_NO_FP32_GEMM = "FP32 GEMM is not supported"
"""TensorRT for RTX has no matrix product in fp32 for Turing, which the builder finds: some models have none."""

RECIPE = 1
"""Version of this module's way to build: raised when the same settings make another engine."""


class TimingStore(Protocol):
    """Where measured times of kernels are kept between builds."""

    def read(self) -> bytes:
        """Return what was kept; empty when there is nothing."""

    def merge(self, config: Any) -> None:
        """Keep what the build with this configuration has measured."""


@dataclass(frozen=True)
class Built:
    """An engine as it came from the builder.

    Attributes:
        data: The serialized engine.
        seconds: How long parsing and building took.
    """

    data: bytes
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A network that is ready to be built.

    Attributes:
        parsed: The network.
        config: TensorRT's builder configuration.
        profile: TensorRT's optimization profile; None where the file is frozen at one batch.
        monitor: Its progress monitor, which must outlive the build.
    """

    parsed: Parsed
    config: Any
    profile: Any | None
    monitor: Any | None


def build(
    library: Library,
    path: Path,
    settings: BuildSettings,
    *,
    targets: Sequence[str] = (),
    timings: TimingStore | None = None,
    report: Report = print_progress,
) -> Built:
    """Build an engine from an ONNX file.

    Args:
        library: A flavour that can build.
        path: The file.
        settings: What to build.
        targets: Compute capabilities (`8.6`) to build for, where the flavour builds for other GPUs than this machine's;
            none for the GPU of this process.
        timings: Kept between builds, where the flavour times kernels while it builds.
        report: Told how far the build is, every few seconds.

    Raises:
        BackendError: The file or the settings cannot be built.
        EngineOutOfMemoryError: Memory ran out.
    """
    begin = time.perf_counter()
    plan = prepare(parse(library, path), settings, targets=targets, timings=timings, report=report)
    messages = library.messages
    messages.clear()
    data = plan.parsed.builder.build_serialized_network(plan.parsed.network, plan.config)
    if data is None:
        message = f"{library.title} cannot build {path}: {messages.reason()}"
        if _NO_FP32_GEMM in message:
            raise BackendError(f"{message}; set precision=fp16, or backend.flavour=tensorrt")
        if settings.workspace_mib is not None:
            raise BackendError(f"{message}; if memory is short, raise backend.workspace_mib={settings.workspace_mib}")
        raise EngineOutOfMemoryError(message) if messages.out_of_memory else BackendError(message)
    if timings is not None and library.flavour is TENSORRT:
        timings.merge(plan.config)
    return Built(bytes(data), time.perf_counter() - begin)


def prepare(
    parsed: Parsed,
    settings: BuildSettings,
    *,
    targets: Sequence[str] = (),
    timings: TimingStore | None = None,
    report: Report = print_progress,
) -> Plan:
    """Return a network with its configuration and profile; see `build`.

    Raises:
        BackendError: The settings do not fit the flavour or the network.
    """
    module, flavour = parsed.library.module, parsed.library.flavour
    config = parsed.builder.create_builder_config()
    _set_flag(module, config, "TF32", on=settings.tf32)
    if settings.version_compatible:
        if flavour is not TENSORRT:
            raise BackendError(f"{flavour.name} builds no version-compatible engines; set backend.flavour=tensorrt")
        _set_flag(module, config, "VERSION_COMPATIBLE", on=True)
    if settings.workspace_mib is not None:
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    if settings.optimization_level is not None:
        config.builder_optimization_level = settings.optimization_level
    if settings.aux_streams is not None:
        config.max_aux_streams = settings.aux_streams
    if flavour is RTX:
        _set_flag(module, config, "REQUIRE_USER_ALLOCATION", on=True)  # or it might not be captured in a graph
        _set_targets(module, config, targets)
    if timings is not None and flavour is TENSORRT:
        _use_timings(config, timings.read(), parsed.library.messages)
    watch = monitor(module, Reporter(report))
    if watch is not None:
        config.progress_monitor = watch
    return Plan(parsed, config, _add_profile(parsed, config, settings.profile), watch)


def tf32_of(library: Library, settings: BuildSettings) -> bool | None:
    """Return whether an engine may use TF32; None where the flavour leaves no choice."""
    return settings.tf32 if hasattr(library.module.BuilderFlag, "TF32") else None


def _set_flag(module: Any, config: Any, name: str, *, on: bool) -> None:
    flag = getattr(module.BuilderFlag, name, None)
    if flag is not None:
        (config.set_flag if on else config.clear_flag)(flag)


def _set_targets(module: Any, config: Any, targets: Sequence[str]) -> None:
    """Name the GPUs to build for. What the flavour has no name for, being newer, is the GPU of this process."""
    known = module.ComputeCapability.__members__
    names = [f"SM{target.replace('.', '')}" for target in targets]
    chosen = [known[name] for name in names if name in known]
    if len(chosen) != len(names) or not chosen:
        return  # its default: kernels are compiled for whichever GPU runs the engine
    config.num_compute_capabilities = len(chosen)
    for index, capability in enumerate(chosen):
        if not config.set_compute_capability(capability, index):
            raise BackendError(f"{module.__name__} cannot build for {', '.join(targets)}")


def _use_timings(config: Any, data: bytes, messages: Messages) -> None:
    cache = config.create_timing_cache(data)
    if cache is None or not config.set_timing_cache(cache, False):
        messages.add("the timing cache does not fit this GPU or version; it is begun anew", error=False)
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _add_profile(parsed: Parsed, config: Any, profile: Profile) -> Any | None:
    """Give every input the numbers of samples of `profile`; a file frozen at one batch needs none."""
    network, messages = parsed.network, parsed.library.messages
    shapes = {}
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(int(extent) for extent in tensor.shape)
        if not shape or min(shape[1:], default=1) < 0:
            raise BackendError(f"input {tensor.name} has shape {shape}: only axis 0, the batch, may be open")
        if shape[0] < 0:
            shapes[tensor.name] = shape[1:]
    if not shapes:
        return None
    made = parsed.builder.create_optimization_profile()
    messages.clear()
    for name, shape in shapes.items():
        made.set_shape(name, *((size, *shape) for size in (profile.smallest, profile.best, profile.largest)))
    if config.add_optimization_profile(made) < 0:
        raise BackendError(f"{parsed.library.title} refuses a profile of {profile}: {messages.reason()}")
    return made
