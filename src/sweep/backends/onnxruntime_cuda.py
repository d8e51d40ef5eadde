"""ONNX Runtime's CUDA provider behind the GPU pipeline: any CUDA GPU, no engine to build."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

from sweep.backends.base import Availability
from sweep.backends.gpu.backend import GpuBackend, gpu_availability
from sweep.backends.gpu.cuda import Cuda, Handle
from sweep.backends.gpu.engine import Launch
from sweep.backends.onnxruntime import translated
from sweep.backends.options import Option
from sweep.errors import BackendError, EngineOutOfMemoryError
from sweep.gpus import unsupported, usable_gpus
from sweep.models.base import TensorSpec
from sweep.models.ort import cuda_recipe, onnxruntime_build, runtime, session_options
from sweep.models.split_bias import for_cuda_provider
from sweep.paths import in_utf8
from sweep.vocabulary import Precision

_PROVIDER = "CUDAExecutionProvider"
_NOT_ALL_ON_DEVICE = ("assigned to the default CPU EP", "graph capture feature", "CUDA Graph feature")
"""What ONNX Runtime says when it was told to leave nothing to the CPU, or to capture graphs, and cannot."""

_DTYPES = {
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class OnnxRuntimeCudaBackend(GpuBackend):
    """Runs an ONNX file with the CUDA execution provider, bound to the pipeline's buffers and stream."""

    name: ClassVar[str] = "onnxruntime_cuda"

    OPTIONS: ClassVar[Mapping[str, Option]] = {
        "tf32": Option(True, bool),
        "nhwc": Option(True, bool),
        "fuse_bias": Option(True, bool),
        "conv_algorithms": Option("exhaustive", str, choices=("exhaustive", "heuristic", "default")),
        "memory_limit_mib": Option(None, int, 1, optional=True),
    }

    @classmethod
    def availability(cls) -> Availability:
        """Say whether there is a GPU, and an ONNX Runtime that was built for one."""
        package, cuda = onnxruntime_build()
        if not cuda:
            detail = f"{package} is installed without CUDA" if package else "onnxruntime is not installed"
            return Availability(available=False, detail=detail, fix=cuda_recipe(usable_gpus()))
        return gpu_availability("cuda", package, int(cuda.partition(".")[0]))

    def open_engine(self, cuda: Cuda, stream: Handle) -> OnnxRuntimeCudaEngine:
        """Create the session on the pipeline's stream, once the GPU is known to be one that its CUDA supports."""
        package, version = onnxruntime_build()
        for gpu in usable_gpus()[:1]:  # `availability` asks for one that fits among all of the machine
            reason, fix = unsupported(gpu, package, cuda=int(version.partition(".")[0] or 0))
            if reason:
                raise BackendError(f"{reason}; {fix}")
        path, options = Path(str(self.request.model_path)), dict(self.request.options)
        if self.request.precision == Precision.INT8:
            # The provider has no int8 kernels: it computes in float32 between the Q/DQ pairs, and with them its change
            # of layouts goes wrong (ONNX Runtime 1.31: the channels of a convolution no longer fit its weights).
            options.update(nhwc=False, fuse_bias=False)
        return OnnxRuntimeCudaEngine(path, options, cuda, stream)


class OnnxRuntimeCudaEngine:
    """A session whose inputs and outputs are addresses on the device.

    Args:
        path: The ONNX file.
        options: Of the backend.
        cuda: The device.
        stream: The session's one stream.
    """

    fixed_batch: int | None = None
    can_be_captured = False  # a run asks the device things that a capture does not allow; the session makes its own
    keeps_one_size = True
    """A convolution keeps the kernels that cuDNN generated for one number of samples. Those of another take their
    place, and graphs that hold the ones before them hang or fail (seen with onnxruntime-gpu 1.31 on an H200)."""

    def __init__(self, path: Path, options: Mapping[str, Any], cuda: Cuda, stream: Handle) -> None:
        self._ort = runtime()
        self._cuda = cuda
        self._stream = stream
        self._options = options
        self._graphs = itertools.count(1)
        self._ort.set_default_logger_severity(3)  # it warns of plug-ins that nobody asked for
        _load_cuda_libraries(self._ort)
        begin = time.perf_counter()
        self.all_on_device = True
        try:
            self._session = self._open(path, all_on_device=True)
        except BackendError as error:
            if not any(sign in str(error) for sign in _NOT_ALL_ON_DEVICE):
                raise
            self.all_on_device = False
            self._session = self._open(path, all_on_device=False)
        self._seconds = time.perf_counter() - begin
        if self._session.get_providers()[0] != _PROVIDER:
            raise BackendError(
                "ONNX Runtime did not load its CUDA provider, most likely because CUDA or cuDNN libraries are missing "
                f"(its own words are in the worker's log); {cuda_recipe(usable_gpus())}"
            )
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        frozen = {value.shape[0] for value in inputs if value.shape and isinstance(value.shape[0], int)}
        self.inputs = tuple(_spec(value) for value in inputs)
        self.outputs = tuple(_spec(value, frozen) for value in outputs)

    @property
    def makes_graphs(self) -> bool:
        """Whether each launch is captured and replayed, by the session itself."""
        return self.all_on_device and bool(self._options["cuda_graphs"])

    def _open(self, path: Path, *, all_on_device: bool) -> Any:
        ort, options = self._ort, self._options
        session = session_options(ort, warns=True)
        # Or it would quantise biases, to int32, which it can only read on the CPU.
        session.add_session_config_entry("session.disable_quant_qdq", "1")
        provider = {
            "device_id": "0",
            "user_compute_stream": str(int(self._stream)),
            "do_copy_in_default_stream": "1",
            "use_tf32": str(int(options["tf32"])),
            "prefer_nhwc": str(int(options["nhwc"])),
            "fuse_conv_bias": str(int(self._fuses_bias)),
            "cudnn_conv_algo_search": options["conv_algorithms"].upper(),
            "cudnn_conv_use_max_workspace": "1",
            "arena_extend_strategy": "kSameAsRequested",
            "enable_cuda_graph": str(int(all_on_device and options["cuda_graphs"])),
        }
        if options["memory_limit_mib"] is not None:
            provider["gpu_mem_limit"] = str(options["memory_limit_mib"] * 2**20)
        providers: list[Any] = [(_PROVIDER, provider)]
        if all_on_device:
            session.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        else:
            providers.append("CPUExecutionProvider")
        try:
            arranged = for_cuda_provider(path) if self._fuses_bias else None
            # Or what was taken apart would be put together again.
            apart = ["ConvAddFusion"] if arranged else None
            with in_utf8(path) as name:
                return ort.InferenceSession(arranged or name, session, providers, disabled_optimizers=apart)
        except Exception as error:
            raise self._translated(error, f"ONNX Runtime cannot load {path} on the GPU") from error

    @property
    def _fuses_bias(self) -> bool:
        # Without NHWC cuDNN has no kernel for the two together.
        return bool(self._options["fuse_bias"] and self._options["nhwc"])

    def bind(self, count: int, inputs: Mapping[str, int], outputs: Mapping[str, int], stream: int) -> Launch:
        """Return a launch on the session's own stream."""
        if stream != int(self._stream):
            raise ValueError("this session works on the stream that it was made for")
        binding = self._session.io_binding()
        for spec in self.inputs:
            binding.bind_input(spec.name, "cuda", 0, spec.dtype, (count, *spec.shape), inputs[spec.name])
        for spec in self.outputs:
            binding.bind_output(spec.name, "cuda", 0, spec.dtype, (count, *spec.shape), outputs[spec.name])
        options = self._ort.RunOptions()
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        if self.makes_graphs:
            options.add_run_config_entry("gpu_graph_id", str(next(self._graphs)))
        return _BoundSession(self, binding, options, count)

    def launch(self, binding: Any, options: Any, count: int) -> None:
        """Enqueue a bound run."""
        try:
            self._session.run_with_iobinding(binding, options)
        except Exception as error:
            raise self._translated(error, f"ONNX Runtime failed on {count} samples on the GPU") from error

    def _translated(self, error: Exception, what: str) -> BackendError:
        problem = translated(error, what)
        if isinstance(problem, EngineOutOfMemoryError):
            return EngineOutOfMemoryError(f"{problem}; {self._cuda.memory()}")
        return problem

    def facts(self) -> Mapping[str, Any]:
        """Return ONNX Runtime's version, what it computes with, and whether parts of the model run on the CPU."""
        notes = ["parts of the model run on the CPU, since ONNX Runtime has no CUDA kernel for them"]
        return {
            "engine": "ONNX Runtime, CUDA execution provider",
            "version": self._ort.__version__,
            "cuda": onnxruntime_build()[1] or None,
            "tf32": self._options["tf32"],
            "nhwc": self._options["nhwc"],
            "fuse_bias": self._fuses_bias,
            "session_seconds": round(self._seconds, 3),
            "notes": [] if self.all_on_device else notes,
        }

    def close(self) -> None:
        """Release the session."""
        self._session = None


class _BoundSession:
    """See `Launch`."""

    def __init__(self, engine: OnnxRuntimeCudaEngine, binding: Any, options: Any, count: int) -> None:
        self._engine, self._binding, self._options, self._count = engine, binding, options, count
        self.captured = engine.makes_graphs

    def enqueue(self) -> None:
        self._engine.launch(self._binding, self._options, self._count)


def _spec(value: Any, frozen: Collection[int] = ()) -> TensorSpec:
    """Return an input or output of a session; its own batch axis is left out.

    Args:
        value: ONNX Runtime's description of it.
        frozen: The batch that the file is frozen at, which an output must have too; empty for a free one.
    """
    dtype = _DTYPES.get(value.type)
    if frozen and value.shape and value.shape[0] not in frozen:
        raise BackendError(
            f"output {value.name} is {value.type} {value.shape}: on a GPU axis 0 must be the batch, which is frozen at "
            f"{next(iter(frozen))}; use backend=onnxruntime"
        )
    extents = list(value.shape)[1:]
    if dtype is None or not value.shape or not all(isinstance(extent, int) and extent > 0 for extent in extents):
        raise BackendError(
            f"tensor {value.name} is {value.type} {value.shape}: on a GPU every extent but the batch must be known; "
            "export the model with fixed sizes there, or use backend=onnxruntime"
        )
    return TensorSpec(value.name, dtype, tuple(extents))


def _load_cuda_libraries(ort: Any) -> None:
    """Have ONNX Runtime find the CUDA and cuDNN that pip installed, where the system has none."""
    preload = getattr(ort, "preload_dlls", None)
    if preload is not None:
        preload()
