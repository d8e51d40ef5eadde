"""The part of the CUDA runtime that sweep uses, each call checked: the only importer of cuda-python's runtime."""

from __future__ import annotations

from typing import Any, Self

from sweep.errors import BackendError, EngineOutOfMemoryError

Handle = Any
"""A stream, event or graph, as cuda-python gives it; `int(stream)` is the address that engines take."""


class Cuda:
    """CUDA on device 0 of this process.

    Every method raises BackendError with CUDA's own name for what went wrong, and EngineOutOfMemoryError where the
    device, or memory that can be page-locked, is exhausted. After most other errors the process's context is of no use
    any more.

    Args:
        runtime: The module `cuda.bindings.runtime`.
    """

    def __init__(self, runtime: Any) -> None:
        self._rt = runtime
        self._ok = runtime.cudaError_t.cudaSuccess
        self._to_device = runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._to_host = runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._on_device = runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice

    @classmethod
    def open(cls) -> Self:
        """Start CUDA on device 0, with a host that spins while it waits: sleeping would cost each query a wake-up.

        Raises:
            BackendError: cuda-python is missing, or CUDA finds no device that it can use.
        """
        try:
            from cuda.bindings import runtime
        except ImportError as error:
            raise BackendError(f"cuda-python cannot be imported: {error}; pip install 'mlperf-sweep[cuda]'") from error
        cuda = cls(runtime)
        try:
            cuda._call("start", runtime.cudaSetDeviceFlags(runtime.cudaDeviceScheduleSpin))
            cuda._call("start", runtime.cudaSetDevice(0))
            cuda._call("start", runtime.cudaFree(0))
        except RuntimeError as error:  # cuda-python found no libcudart or libcuda
            raise BackendError(f"CUDA does not start: {' '.join(str(error).split())}") from error
        return cuda

    def _call(self, what: str, result: tuple[Any, ...]) -> Any:
        """Return what a call gave besides its error code."""
        if result[0] != self._ok:
            raise self._error(what, result[0])
        return result[1] if len(result) > 1 else None

    def _error(self, what: str, code: Any) -> BackendError:
        _, text = self._rt.cudaGetErrorString(code)
        words = text.decode() if isinstance(text, bytes) else str(text)
        self._rt.cudaGetLastError()  # or the next call would be told of it once more
        message = f"CUDA cannot {what}: {words} ({code.name})"
        if code == self._rt.cudaError_t.cudaErrorMemoryAllocation:
            return EngineOutOfMemoryError(f"{message}; {self.memory()}")
        if code == self._rt.cudaError_t.cudaErrorInsufficientDriver:
            return BackendError(f"{message}; update the NVIDIA driver, or install packages for an older CUDA")
        return BackendError(message)

    def memory(self) -> str:
        """Return what is free on the device, in words."""
        code, *sizes = self._rt.cudaMemGetInfo()
        if code != self._ok:
            return "how much is free is not known"
        return f"{sizes[0] / 2**20:,.0f} MiB of {sizes[1] / 2**20:,.0f} MiB are free on the device"

    def versions(self) -> tuple[int, int]:
        """Return the newest CUDA of the driver, and that of the runtime, each as 1000 * major + 10 * minor."""
        driver = self._call("ask the driver", self._rt.cudaDriverGetVersion())
        return int(driver), int(self._call("ask the runtime", self._rt.cudaRuntimeGetVersion()))

    def allocate(self, size: int, what: str) -> int:
        """Return the address of `size` bytes on the device, for `what`."""
        doing = f"allocate {size / 2**20:,.1f} MiB on the device for {what}"
        return int(self._call(doing, self._rt.cudaMalloc(max(size, 1))))

    def free(self, address: int) -> None:
        """Free what `allocate` gave."""
        self._call("free memory", self._rt.cudaFree(address))

    def zero(self, address: int, size: int, stream: Handle) -> None:
        """Enqueue that bytes on the device are set to 0."""
        self._call("clear memory", self._rt.cudaMemsetAsync(address, 0, size, stream))

    def allocate_pinned(self, size: int) -> int:
        """Return the address of `size` bytes of page-locked host memory."""
        doing = f"allocate {size / 2**20:,.1f} MiB of page-locked memory"
        return int(self._call(doing, self._rt.cudaHostAlloc(max(size, 1), self._rt.cudaHostAllocDefault)))

    def free_pinned(self, address: int) -> None:
        """Free what `allocate_pinned` gave."""
        self._call("free page-locked memory", self._rt.cudaFreeHost(address))

    def pin(self, address: int, size: int) -> None:
        """Page-lock host memory in place."""
        doing = f"page-lock {size / 2**20:,.1f} MiB of samples"
        self._call(doing, self._rt.cudaHostRegister(address, size, self._rt.cudaHostRegisterDefault))

    def unpin(self, address: int) -> None:
        """Undo `pin`; before the memory moves or is freed."""
        self._call("release page-locked samples", self._rt.cudaHostUnregister(address))

    def stream(self) -> Handle:
        """Return a new stream that does not wait for the default stream."""
        return self._call("make a stream", self._rt.cudaStreamCreateWithFlags(self._rt.cudaStreamNonBlocking))

    def destroy_stream(self, stream: Handle) -> None:
        """Destroy a stream."""
        self._call("destroy a stream", self._rt.cudaStreamDestroy(stream))

    def event(self, *, timed: bool) -> Handle:
        """Return a new event; one that is not timed costs the device less."""
        flags = self._rt.cudaEventDefault if timed else self._rt.cudaEventDisableTiming
        return self._call("make an event", self._rt.cudaEventCreateWithFlags(flags))

    def destroy_event(self, event: Handle) -> None:
        """Destroy an event."""
        self._call("destroy an event", self._rt.cudaEventDestroy(event))

    def record(self, event: Handle, stream: Handle) -> None:
        """Have the event happen when the stream has come this far."""
        self._call("record an event", self._rt.cudaEventRecord(event, stream))

    def wait(self, stream: Handle, event: Handle) -> None:
        """Have the stream wait for the event; the host does not."""
        self._call("wait for an event", self._rt.cudaStreamWaitEvent(stream, event, 0))

    def finish(self, event: Handle) -> None:
        """Return when the event has happened, and report what went wrong on the device before it."""
        self._call("finish its work", self._rt.cudaEventSynchronize(event))

    def finish_stream(self, stream: Handle) -> None:
        """Return when the stream has nothing left to do."""
        self._call("finish its work", self._rt.cudaStreamSynchronize(stream))

    def elapsed_ns(self, start: Handle, end: Handle) -> int:
        """Return the device's time between two timed events that have happened; CUDA gives it to half a microsecond."""
        return round(float(self._call("read its clock", self._rt.cudaEventElapsedTime(start, end))) * 1e6)

    def copy_to_device(self, to: int, source: int, size: int, stream: Handle) -> None:
        """Enqueue a copy from the host; from memory that is not page-locked it may return only when it is done."""
        self._call("copy to the device", self._rt.cudaMemcpyAsync(to, source, size, self._to_device, stream))

    def copy_to_host(self, to: int, source: int, size: int, stream: Handle) -> None:
        """Enqueue a copy to page-locked host memory."""
        self._call("copy from the device", self._rt.cudaMemcpyAsync(to, source, size, self._to_host, stream))

    def copy_on_device(self, to: int, source: int, size: int, stream: Handle) -> None:
        """Enqueue a copy within the device."""
        self._call("copy on the device", self._rt.cudaMemcpyAsync(to, source, size, self._on_device, stream))

    def begin_capture(self, stream: Handle) -> None:
        """Collect what this thread enqueues on the stream in a graph instead of running it."""
        mode = self._rt.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("capture a graph", self._rt.cudaStreamBeginCapture(stream, mode))

    def end_capture(self, stream: Handle) -> Handle:
        """Return the collected graph, ready to be launched."""
        graph = self._call("capture a graph", self._rt.cudaStreamEndCapture(stream))
        try:
            return self._call("instantiate a graph", self._rt.cudaGraphInstantiate(graph, 0))
        finally:
            self._rt.cudaGraphDestroy(graph)

    def abandon_capture(self, stream: Handle) -> None:
        """End a capture in which something failed, whatever state it is in."""
        _, *graph = self._rt.cudaStreamEndCapture(stream)
        if graph and graph[0] is not None and int(graph[0]):
            self._rt.cudaGraphDestroy(graph[0])
        self._rt.cudaGetLastError()

    def launch(self, graph: Handle, stream: Handle) -> None:
        """Enqueue a graph."""
        self._call("launch a graph", self._rt.cudaGraphLaunch(graph, stream))

    def destroy_graph(self, graph: Handle) -> None:
        """Destroy what `end_capture` gave."""
        self._call("destroy a graph", self._rt.cudaGraphExecDestroy(graph))
