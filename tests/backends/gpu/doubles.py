"""A CUDA runtime that keeps its promises and no more: what no event orders happens in any order, at the last moment."""

import ctypes
import random
from types import SimpleNamespace

import numpy as np

from sweep.errors import BackendError
from sweep.models.base import TensorSpec


class _Stream:
    def __init__(self, number):
        self.number = number
        self.queue = []

    def __int__(self):
        return self.number


class _Event:
    def __init__(self, timed):
        self.timed = timed
        self.pending = 0  # recordings that have not happened yet
        self.at = None


class _Code:
    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return isinstance(other, _Code) and self.name == other.name

    def __hash__(self):
        return hash(self.name)


SUCCESS, NO_MEMORY, LOST = _Code("cudaSuccess"), _Code("cudaErrorMemoryAllocation"), _Code("cudaErrorIllegalAddress")


class FakeRuntime:
    """Stands in for the module `cuda.bindings.runtime`; addresses are real ones, of host memory.

    Every call is kept in `calls`, as (name, arguments). Work on a stream is done only when somebody waits for it, and
    then in an order that is drawn anew each time, within what streams and events promise.

    Args:
        seed: Of that order.
        memory: Bytes of the device.
    """

    cudaError_t = SimpleNamespace(
        cudaSuccess=SUCCESS, cudaErrorMemoryAllocation=NO_MEMORY, cudaErrorInsufficientDriver=_Code("old")
    )
    cudaMemcpyKind = SimpleNamespace(
        cudaMemcpyHostToDevice="H2D", cudaMemcpyDeviceToHost="D2H", cudaMemcpyDeviceToDevice="D2D"
    )
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="thread local")
    cudaDeviceScheduleSpin = 1
    cudaStreamNonBlocking = 1
    cudaEventDefault = 0
    cudaEventDisableTiming = 2
    cudaHostAllocDefault = 0
    cudaHostRegisterDefault = 0

    def __init__(self, seed=0, memory=1 << 30):
        self.calls = []
        self.draw = random.Random(seed)
        self.memory = memory
        self.blocks = {}  # address: buffer, of the device
        self.host_blocks = {}
        self.pinned = {}
        self.live = {"stream": set(), "event": set(), "graph": set()}
        self.streams = []
        self.capturing = None
        self.clock = 0
        self.fail_next = {}  # name of a call: the code that it gives once

    def __getattribute__(self, name):
        found = object.__getattribute__(self, name)
        if not name.startswith("cuda") or not callable(found):
            return found

        def call(*arguments):
            self.calls.append((name, arguments))
            code = self.fail_next.pop(name, None)
            return (code, None) if code is not None else found(*arguments)

        return call

    # Device and memory

    def cudaSetDeviceFlags(self, flags):
        return (SUCCESS,)

    def cudaSetDevice(self, device):
        return (SUCCESS,)

    def cudaGetLastError(self):
        return (SUCCESS,)

    def cudaGetErrorString(self, code):
        return SUCCESS, f"words for {code.name}".encode()

    def cudaDriverGetVersion(self):
        return SUCCESS, 13000

    def cudaRuntimeGetVersion(self):
        return SUCCESS, 13000

    def used(self):
        return sum(len(buffer) for buffer in self.blocks.values())

    def cudaMemGetInfo(self):
        return SUCCESS, self.memory - self.used(), self.memory

    def cudaMalloc(self, size):
        if self.used() + size > self.memory:
            return NO_MEMORY, None
        whole = (ctypes.c_byte * (size + 256))()
        buffer = (ctypes.c_byte * size).from_buffer(whole, -ctypes.addressof(whole) % 256)
        ctypes.memset(buffer, 0x55, size)
        self.blocks[ctypes.addressof(buffer)] = buffer
        return SUCCESS, ctypes.addressof(buffer)

    def cudaFree(self, address):
        if address:
            del self.blocks[address]
        return (SUCCESS,)

    def cudaMemsetAsync(self, address, value, size, stream):
        self.enqueue(stream, ("set", address, size), lambda: ctypes.memset(address, value, size))
        return (SUCCESS,)

    def cudaHostAlloc(self, size, flags):
        buffer = (ctypes.c_byte * size)()
        self.host_blocks[ctypes.addressof(buffer)] = buffer
        return SUCCESS, ctypes.addressof(buffer)

    def cudaFreeHost(self, address):
        del self.host_blocks[address]
        return (SUCCESS,)

    def cudaHostRegister(self, address, size, flags):
        assert address not in self.pinned, "registered twice"
        self.pinned[address] = size
        return (SUCCESS,)

    def cudaHostUnregister(self, address):
        del self.pinned[address]
        return (SUCCESS,)

    def cudaMemcpyAsync(self, to, source, size, kind, stream):
        def copy():
            ctypes.memmove(to, source, size)

        self.enqueue(stream, ("copy", kind, to, source, size), copy)
        return (SUCCESS,)

    # Streams, events, graphs

    def cudaStreamCreateWithFlags(self, flags):
        stream = _Stream(1000 + len(self.streams))
        self.streams.append(stream)
        self.live["stream"].add(stream)
        return SUCCESS, stream

    def cudaStreamDestroy(self, stream):
        self.live["stream"].remove(stream)
        return (SUCCESS,)

    def cudaEventCreateWithFlags(self, flags):
        event = _Event(timed=flags != self.cudaEventDisableTiming)
        self.live["event"].add(event)
        return SUCCESS, event

    def cudaEventDestroy(self, event):
        self.live["event"].remove(event)
        return (SUCCESS,)

    def cudaEventRecord(self, event, stream):
        event.pending += 1

        def happen():
            event.pending -= 1
            event.at = self.clock

        self.enqueue(stream, ("record", event), happen)
        return (SUCCESS,)

    def cudaStreamWaitEvent(self, stream, event, flags):
        self.enqueue(stream, ("wait", event), lambda: None, ready=lambda: event.pending == 0)
        return (SUCCESS,)

    def cudaEventSynchronize(self, event):
        self._work_until(lambda: event.pending == 0)
        return (SUCCESS,)

    def cudaStreamSynchronize(self, stream):
        self._work_until(lambda: not stream.queue)
        return (SUCCESS,)

    def cudaEventElapsedTime(self, start, end):
        assert start.timed
        assert end.timed
        assert start.pending == end.pending == 0, "read before it happened"
        return SUCCESS, float(end.at - start.at)  # a step of work takes a millisecond

    def cudaStreamBeginCapture(self, stream, mode):
        assert self.capturing is None
        self.capturing = (stream, [])
        return (SUCCESS,)

    def cudaStreamEndCapture(self, stream):
        (captured_on, graph), self.capturing = self.capturing, None
        assert captured_on is stream
        return SUCCESS, _Graph(graph)

    def cudaGraphInstantiate(self, graph, flags):
        executable = _Graph(graph.steps)
        self.live["graph"].add(executable)
        return SUCCESS, executable

    def cudaGraphDestroy(self, graph):
        return (SUCCESS,)

    def cudaGraphExecDestroy(self, graph):
        self.live["graph"].remove(graph)
        return (SUCCESS,)

    def cudaGraphLaunch(self, graph, stream):
        for what, work in graph.steps:
            self.enqueue(stream, what, work)
        return (SUCCESS,)

    def enqueue(self, stream, what, work, ready=lambda: True):
        """Put work on a stream, or into the graph that is captured there."""
        if self.capturing is not None and self.capturing[0] is stream:
            self.capturing[1].append((what, work))
            return
        stream.queue.append((what, work, ready))

    def stream_of(self, handle):
        return next(stream for stream in self.streams if int(stream) == handle)

    def _work_until(self, done):
        while not done():
            able = [stream for stream in self.streams if stream.queue and stream.queue[0][2]()]
            assert able, "every stream waits for something that never happens"
            _, work, _ = self.draw.choice(able).queue.pop(0)
            self.clock += 1
            work()

    def names(self, *wanted):
        """Return the names of the calls so far, or of those that are wanted."""
        return [name for name, _ in self.calls if not wanted or name in wanted]


class _Graph:
    def __init__(self, steps):
        self.steps = list(steps)

    def __int__(self):
        return 1


class SummingEngine:
    """A device engine on a `FakeRuntime` that answers the sum of each sample's bytes, and refuses as TensorRT does.

    Args:
        runtime: Where work is enqueued.
        fixed_batch: As in `DeviceEngine`.
        can_be_captured: Likewise.
        keeps_one_size: Likewise; a launch that is lost fails.
        inputs: Shapes of uint8 inputs `samples`, `samples1`, ...
        outputs: Shapes and types of outputs; number k answers the sum plus k, everywhere.
    """

    def __init__(
        self,
        runtime,
        *,
        fixed_batch=None,
        can_be_captured=True,
        keeps_one_size=False,
        inputs=((3,),),
        outputs=(("int32", ()),),
    ):
        self.runtime = runtime
        self.keeps_one_size = keeps_one_size
        self.fixed_batch = fixed_batch
        self.can_be_captured = can_be_captured
        self.inputs = tuple(TensorSpec(f"samples{k or ''}", "uint8", shape) for k, shape in enumerate(inputs))
        self.outputs = tuple(TensorSpec(f"top{k + 1}", dtype, shape) for k, (dtype, shape) in enumerate(outputs))
        self.bound = []
        self.closed = False
        self.fails_in_capture = None

    def bind(self, count, inputs, outputs, stream):
        assert self.fixed_batch in (None, count)
        for name, address in (*inputs.items(), *outputs.items()):
            if address % 256:
                raise BackendError(f"refuses an address for {name}")
        launch = _SumLaunch(self, count, inputs, outputs, self.runtime.stream_of(stream))
        self.bound.append(launch)
        return launch

    def facts(self):
        return {"engine": "sums", "notes": []}

    def close(self):
        self.closed = True


class _SumLaunch:
    captured = False

    def __init__(self, engine, count, inputs, outputs, stream):
        self.engine, self.count, self.inputs, self.outputs, self.stream = engine, count, inputs, outputs, stream

    def enqueue(self):
        engine = self.engine
        if engine.fails_in_capture and engine.runtime.capturing is not None:
            raise BackendError(engine.fails_in_capture)

        def work():
            if engine.keeps_one_size and engine.bound[-1].count != self.count:
                raise AssertionError(f"kernels for {self.count} samples are gone")
            sums = np.zeros(self.count, np.int64)
            for spec in engine.inputs:
                data = ctypes.string_at(self.inputs[spec.name], self.count * int(np.prod(spec.shape)))
                sums += np.frombuffer(data, np.uint8).reshape(self.count, -1).sum(axis=1, dtype=int)
            for number, spec in enumerate(engine.outputs):
                rows = np.repeat(sums + number, int(np.prod(spec.shape))).astype(spec.dtype)
                ctypes.memmove(self.outputs[spec.name], rows.ctypes.data, rows.nbytes)

        engine.runtime.enqueue(self.stream, ("launch", self.count), work)
