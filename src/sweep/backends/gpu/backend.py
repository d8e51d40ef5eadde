"""What every backend on a CUDA GPU shares: its options, what the machine needs, and the pipeline."""

from __future__ import annotations

import functools
import importlib.util
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from sweep.backends.base import Array, Availability, Backend, EngineRequest
from sweep.backends.gpu.cuda import Cuda, Handle
from sweep.backends.gpu.engine import DeviceEngine
from sweep.backends.gpu.parts import split_evenly
from sweep.backends.gpu.pipeline import DEVICE, HOST, PAGEABLE, PINNED, Pipeline, PipelineSettings
from sweep.backends.options import Option, validate
from sweep.gpus import FOR_CUDA_12, VISIBLE, gpus, outdated, unsupported, usable_gpus
from sweep.models.launch_limit import launch_limit
from sweep.vocabulary import COMPUTED, Precision

_ON_A_CPU = "backend=onnxruntime runs on the CPU"


class GpuBackend(Backend):
    """Runs queries on device 0 of its process, through one pipeline whatever the engine.

    A subclass says which packages it needs (`availability`) and opens its engine (`open_engine`).
    """

    uses_gpu: ClassVar[bool] = True

    PIPELINE_OPTIONS: ClassVar[Mapping[str, Option]] = {
        "cuda_graphs": Option(True, bool),
        "copy_stream": Option(True, bool),
        "samples": Option(HOST, str, choices=(HOST, DEVICE)),
        "host_memory": Option(PINNED, str, choices=(PINNED, PAGEABLE)),
    }
    OPTIONS: ClassVar[Mapping[str, Option]] = {}
    """The engine's own options."""

    def __init__(self, request: EngineRequest) -> None:
        super().__init__(request)
        self._pipeline: Pipeline | None = None

    @classmethod
    def precisions(cls) -> tuple[Precision, ...]:
        """Return all of them: the model's file says what is computed in."""
        return COMPUTED

    @classmethod
    def validate_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of engine and pipeline."""
        return validate(options, {**cls.OPTIONS, **cls.PIPELINE_OPTIONS})

    @classmethod
    def search_space(cls, cores: int) -> Mapping[str, Sequence[Any]]:
        """Return engine batches that let copies overlap launches."""
        del cores
        return {"engine_batch": (None, 512, 256, 128, 64, 32)}

    @functools.cached_property
    def launch_request(self) -> EngineRequest:
        """The request with the launches that the model allows: GPU libraries count a tensor's elements in 32 bits.

        An engine that is built for one N takes its parts in one size, so as not to compute on padding. Any other takes
        as many as it can, so that how it cuts a query does not depend on those that it was made for.
        """
        request = self.request
        limit = None if request.model_path is None else launch_limit(Path(request.model_path))
        batch, count = request.engine_batch, request.samples_per_query
        if limit is not None and min(batch, count) > limit:
            batch = split_evenly(count, limit)[0].size if self.engine_depends_on_query else limit
        return replace(request, launch_limit=limit, engine_batch=batch)

    @abstractmethod
    def open_engine(self, cuda: Cuda, stream: Handle) -> DeviceEngine:
        """Return the engine, ready to be bound.

        Args:
            cuda: The device.
            stream: On which it will be asked to work.

        Raises:
            BackendError: It cannot be built or loaded; the message says what to do.
        """

    def __enter__(self) -> Self:
        """Start CUDA, open the engine and allocate what queries need."""
        cuda = Cuda.open()
        stream = cuda.stream()
        try:
            engine = self.open_engine(cuda, stream)
        except BaseException:
            cuda.destroy_stream(stream)
            raise
        settings = PipelineSettings(**{key: self.request.options[key] for key in self.PIPELINE_OPTIONS})
        launch = self.launch_request.engine_batch
        launch = min(launch, engine.fixed_batch or launch)
        self._pipeline = Pipeline(cuda, stream, engine, settings, self.request.samples_per_query, launch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the device."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.close()

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline between `__enter__` and `__exit__`."""
        if self._pipeline is None:
            raise ValueError(f"backend {self.name} is not entered")
        return self._pipeline

    def load(self, samples: Mapping[str, Array]) -> None:
        """Page-lock the samples in place; a query is a copy from its slice."""
        self.pipeline.load(samples)

    def unload(self) -> None:
        """Let go of the samples."""
        if self._pipeline is not None:
            self._pipeline.unload()

    def run(self, slot: int, count: int, meanwhile: Callable[[], None]) -> Sequence[Array]:
        """Run one query; `meanwhile` runs in the shadow of the device."""
        return self.pipeline.run(slot, count, meanwhile)

    def device_ns(self) -> int | None:
        """Return the device's time of the last query, by its own clock."""
        return self.pipeline.device_ns()

    def facts(self) -> Mapping[str, Any]:
        """Return what engine and pipeline say of themselves."""
        facts, limit = self.pipeline.facts(), self.launch_request.launch_limit
        if limit is not None and self.request.engine_batch > limit and facts["launches_per_query"] > 1:
            reason = f"a launch takes at most {limit} samples of this model, or a tensor has over 2^31-1 elements"
            facts["notes"].append(f"{reason}: each query is {facts['launches_per_query']} launches")
        return facts


def gpu_availability(extra: str, engine: str = "", engine_cuda: int = 0) -> Availability:
    """Say whether this machine has a GPU that cuda-python, and an engine, can use; without starting CUDA.

    Args:
        extra: The extra of pyproject.toml that would install what is missing.
        engine: Package of the engine, where that brings a CUDA of its own.
        engine_cuda: Major version of that CUDA; 0 where it is not known.
    """
    devices = usable_gpus()
    if not devices:
        detail = f"{VISIBLE} shows no GPU" if gpus() else "no NVIDIA GPU found"
        return Availability(available=False, detail=detail, fix=_ON_A_CPU)
    install = f"pip install 'mlperf-sweep[{extra}]'"
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        return Availability(available=False, detail="cuda-python is not installed", fix=install)
    bindings = _cuda_major()
    for package, major, older in (
        ("cuda-python", bindings, f"pip install 'cuda-python<{bindings}'"),
        (engine, engine_cuda, FOR_CUDA_12),
    ):
        what = f"{package} of CUDA {major}" if package == engine else f"CUDA {major}"
        if reason := outdated(devices[0].driver, what, major):
            return Availability(False, reason, f"update the driver, or install packages for an older CUDA ({older})")
        reasons = [unsupported(gpu, package, cuda=major) for gpu in devices]
        if all(reason for reason, _ in reasons):
            return Availability(False, *reasons[0])
    names = ", ".join(dict.fromkeys(f"{gpu.name} (driver {gpu.driver})" for gpu in devices))
    return Availability(available=True, detail=names)


def _cuda_major() -> int:
    """Return the major version of CUDA that cuda-python is for; 0 where its version is not known."""
    try:
        return int(version("cuda-bindings").partition(".")[0])
    except (PackageNotFoundError, ValueError):
        return 0
