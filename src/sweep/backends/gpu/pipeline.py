"""From samples on the host to answers on the host, with the GPU as the only thing that is waited for.

    copy stream     H2D part 0 | H2D part 1 | H2D part 2 |
    compute stream             | part 0           | part 1           | part 2           | D2H answers |
    host            enqueues, prepares the responses, waits for the last event

Copies run one part ahead of the launches, so that the first launch waits for nothing but the first part.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sweep.backends.base import Array
from sweep.backends.gpu.cuda import Cuda, Handle
from sweep.backends.gpu.engine import DeviceEngine, Launch, device_bytes
from sweep.backends.gpu.parts import Layout, Part, split, split_evenly
from sweep.errors import BackendError, EngineOutOfMemoryError
from sweep.models.base import TensorSpec

HOST, DEVICE = "host", "device"
PINNED, PAGEABLE = "pinned", "pageable"

_PLANS = 4
"""Numbers of samples for which launches are kept: a test has two, N and what is left at the end of an accuracy run."""


@dataclass(frozen=True)
class PipelineSettings:
    """What a user can choose.

    Attributes:
        samples: Where queries find their samples: `host`, or `device` (copied there beforehand, so that no query pays
            for the way: not what the closed division measures).
        host_memory: `pinned` (page-locked), or `pageable`.
        copy_stream: Whether copies have a stream of their own, so that they overlap launches.
        cuda_graphs: Whether each launch is captured once and replayed.
    """

    samples: str = HOST
    host_memory: str = PINNED
    copy_stream: bool = True
    cuda_graphs: bool = True


@dataclass(frozen=True)
class _Tensor:
    """An input or output of the engine.

    Attributes:
        spec: What it is.
        layout: Where the parts of a query lie in its buffers.
        device: Address of its buffer on the device.
        host: Address of that on the host, page-locked, where answers come back; 0 for an input.
        answers: The same as an array of bytes; empty for an input.
        packed: Where answers lie one behind the other when there are gaps between the parts; empty for an input.
    """

    spec: TensorSpec
    layout: Layout
    device: int
    host: int = 0
    answers: Array = field(default_factory=lambda: np.empty(0, np.uint8))
    packed: Array = field(default_factory=lambda: np.empty(0, np.uint8))


@dataclass(frozen=True)
class _Step:
    """One part of a query, ready to go.

    Attributes:
        part: Which part.
        copied: Happens when its samples are on the device.
        bound: The engine's launch; a graph reads what it holds, so it stays.
        graph: The same, captured; None where it is not.
    """

    part: Part
    copied: Handle
    bound: Launch
    graph: Handle | None


@dataclass(frozen=True)
class _Plan:
    """Everything for queries of one size."""

    steps: tuple[_Step, ...]
    parts: tuple[Part, ...]
    graphs_refused: str = ""


class Pipeline:
    """Runs queries through a device engine. It allocates when it is made; `close` frees everything.

    Args:
        cuda: The device.
        compute: The stream on which the engine works; the pipeline destroys it.
        engine: Runs one part; the pipeline closes it.
        settings: What the user chose.
        samples_per_query: The largest query.
        engine_batch: Samples per launch.

    Raises:
        EngineOutOfMemoryError: The device has no room for the samples of one query.
    """

    def __init__(
        self,
        cuda: Cuda,
        compute: Handle,
        engine: DeviceEngine,
        settings: PipelineSettings,
        samples_per_query: int,
        engine_batch: int,
    ) -> None:
        self._cuda = cuda
        self._compute = compute
        self._engine = engine
        self._settings = settings
        self._engine_batch = min(engine_batch, samples_per_query)
        self._undo: list[Callable[[], None]] = [lambda: cuda.destroy_stream(compute), engine.close]
        self._inputs: list[_Tensor] = []
        self._outputs: list[_Tensor] = []
        self._plans: dict[int, _Plan] = {}
        self._last: _Plan | None = None
        self._samples: dict[str, Array] = {}
        self._sources: list[tuple[_Tensor, int]] = []  # input, address of slot 0
        self._pinned: list[int] = []
        self._resident: dict[str, tuple[int, int]] = {}  # address, size
        self._graphs_refused = ""  # why, of the plan that is being made
        try:
            self._allocate(samples_per_query)
        except BaseException:
            self.close()
            raise

    def _allocate(self, samples_per_query: int) -> None:
        cuda, undo = self._cuda, self._undo
        self._copies = self._compute
        if self._settings.copy_stream:
            self._copies = stream = cuda.stream()
            undo.append(lambda: cuda.destroy_stream(stream))
        self._begin, self._end = cuda.event(timed=True), cuda.event(timed=True)
        undo += [lambda: cuda.destroy_event(self._begin), lambda: cuda.destroy_event(self._end)]
        # A smaller query may be cut into launches that are larger, but never than this.
        full = self._engine_batch if self._engine.keeps_one_size else self._engine.fixed_batch
        parts = split(samples_per_query, self._engine_batch, full)
        self._inputs = [self._on_device(spec, parts, "input") for spec in self._engine.inputs]
        for spec in self._engine.outputs:
            tensor = self._on_device(spec, parts, "output")
            size = tensor.layout.room(parts)
            host = cuda.allocate_pinned(size)
            undo.append(functools.partial(cuda.free_pinned, host))
            packed = np.empty(samples_per_query * tensor.layout.sample if len(parts) > 1 else 0, np.uint8)
            self._outputs.append(replace(tensor, host=host, answers=_view(host, size), packed=packed))
        cuda.finish_stream(self._compute)

    def _on_device(self, spec: TensorSpec, parts: tuple[Part, ...], what: str) -> _Tensor:
        layout = Layout.of(device_bytes([spec]), self._engine.fixed_batch or self._engine_batch)
        size, samples = layout.room(parts), sum(part.size for part in parts)
        address = self._cuda.allocate(size, f"{what} {spec.name} of {samples} samples")
        self._undo.append(functools.partial(self._cuda.free, address))
        # Padding must hold something that an engine can read; later it may be samples of earlier queries.
        self._cuda.zero(address, size, self._compute)
        return _Tensor(spec, layout, address)

    def close(self) -> None:
        """Free everything, also after an error of the device, in whose wake each of these fails too."""
        undo, self._undo = self._undo, []
        self._drop_plans()
        self.unload()
        for step in reversed(undo):
            _quietly(step)

    def load(self, samples: Mapping[str, Array]) -> None:
        """Take the sample store: page-lock it in place or, for `samples=device`, copy it.

        Args:
            samples: Per input one C-contiguous array [slots, *sample shape]; it must not move until `unload`.

        Raises:
            EngineOutOfMemoryError: It cannot be page-locked, or does not fit on the device.
        """
        arrays = {spec.name: samples[spec.name] for spec in self._engine.inputs}
        for name, array in arrays.items():
            if not array.flags.c_contiguous:
                raise ValueError(f"samples of {name} must be C-contiguous")
        places = {name: (array.ctypes.data, array.nbytes) for name, array in arrays.items()}
        if places != {name: (array.ctypes.data, array.nbytes) for name, array in self._samples.items()}:
            self.unload()
            if self._settings.host_memory == PINNED:
                for address, size in places.values():
                    self._cuda.pin(address, size)
                    self._pinned.append(address)
            self._samples = arrays
        if self._settings.samples == DEVICE:
            for name, (address, size) in places.items():
                places[name] = self._resident_copy(name, address, size), size
        self._sources = [(tensor, places[tensor.spec.name][0]) for tensor in self._inputs]

    def _resident_copy(self, name: str, address: int, size: int) -> int:
        """Return where on the device a copy of all samples lies."""
        if name not in self._resident:
            self._resident[name] = self._cuda.allocate(size, f"all samples of {name} (backend.samples=device)"), size
        to, _ = self._resident[name]
        self._cuda.copy_to_device(to, address, size, self._copies)
        self._cuda.finish_stream(self._copies)
        return to

    def unload(self) -> None:
        """Let go of the sample store: its memory is about to move."""
        for address in self._pinned:
            _quietly(functools.partial(self._cuda.unpin, address))
        for address, _ in self._resident.values():
            _quietly(functools.partial(self._cuda.free, address))
        self._pinned, self._resident, self._samples, self._sources = [], {}, {}, []

    def run(self, slot: int, count: int, meanwhile: Callable[[], None]) -> Sequence[Array]:
        """Run the samples at slots `slot` to `slot + count - 1`; see `Backend.run`."""
        plan = self._plans.get(count) or self._prepare(count)
        cuda, steps, compute, copies = self._cuda, plan.steps, self._compute, self._copies
        cuda.record(self._begin, copies)
        self._copy(steps[0], slot)
        for number, step in enumerate(steps, start=1):
            if number < len(steps):
                self._copy(steps[number], slot)
            if copies is not compute:
                cuda.wait(compute, step.copied)
            if step.graph is None:
                step.bound.enqueue()
            else:
                cuda.launch(step.graph, compute)
        for tensor in self._outputs:  # all parts at once, with the gaps between them
            cuda.copy_to_host(tensor.host, tensor.device, tensor.layout.used(plan.parts), compute)
        cuda.record(self._end, compute)
        meanwhile()
        cuda.finish(self._end)
        self._last = plan
        return [_answers(tensor, plan.parts, count) for tensor in self._outputs]

    def _copy(self, step: _Step, slot: int) -> None:
        part, cuda, copies = step.part, self._cuda, self._copies
        enqueue = cuda.copy_on_device if self._settings.samples == DEVICE else cuda.copy_to_device
        for tensor, source in self._sources:
            to, size = tensor.device + part.slot * tensor.layout.stride, tensor.layout.sample
            enqueue(to, source + (slot + part.start) * size, part.count * size, copies)
        if copies is not self._compute:
            cuda.record(step.copied, copies)

    def device_ns(self) -> int | None:
        """Return the device's time from the first copy of the last query to its last; None before the first."""
        return None if self._last is None else self._cuda.elapsed_ns(self._begin, self._end)

    def facts(self) -> dict[str, Any]:
        """Return what a record should say of the way that the last query took."""
        settings, engine = self._settings, self._engine.facts()
        steps = () if self._last is None else self._last.steps
        notes = list(engine.get("notes", ()))
        if settings.cuda_graphs and self._last is not None and self._last.graphs_refused:
            notes.append(f"no CUDA graphs: {self._last.graphs_refused}")
        if settings.samples == DEVICE:
            notes.append("samples resident on the device: not a setup of the closed division")
        if padding := sum(step.part.size - step.part.count for step in steps):
            size = steps[0].part.size
            notes.append(f"each query is padded by {padding} samples, since the engine takes {size} at a time")
        return {
            **engine,
            "launches_per_query": len(steps),
            "cuda_graphs": bool(steps) and all(step.graph is not None or step.bound.captured for step in steps),
            "copy_stream": settings.copy_stream,
            "samples": settings.samples,
            "host_memory": settings.host_memory,
            "notes": notes,
        }

    def _prepare(self, count: int) -> _Plan:
        """Bind the launches of a query of `count` samples, run each once, and capture them."""
        while len(self._plans) >= _PLANS:
            self._drop(self._plans.pop(next(iter(self._plans))))
        if self._engine.keeps_one_size:
            self._drop_plans()
            parts = split_evenly(count, self._engine_batch)
        else:
            parts = split(count, self._engine_batch, self._engine.fixed_batch)
        steps: list[_Step] = []
        self._graphs_refused = ""
        try:
            for part in parts:
                bound = self._bind(part)
                graph = self._captured(bound) if self._settings.cuda_graphs and not self._graphs_refused else None
                steps.append(_Step(part, self._cuda.event(timed=False), bound, graph))
        except BaseException:
            self._drop(_Plan(tuple(steps), ()))
            raise
        plan = self._plans[count] = _Plan(tuple(steps), parts, self._graphs_refused)
        return plan

    def _bind(self, part: Part) -> Launch:
        inputs, outputs = (
            {tensor.spec.name: tensor.device + part.slot * tensor.layout.stride for tensor in tensors}
            for tensors in (self._inputs, self._outputs)
        )
        bound = self._engine.bind(part.size, inputs, outputs, int(self._compute))
        bound.enqueue()  # chooses algorithms and allocates, neither of which a capture allows
        self._cuda.finish_stream(self._compute)
        return bound

    def _captured(self, bound: Launch) -> Handle | None:
        """Return the launch as a graph; None where the engine makes its own, or allows none."""
        if bound.captured:
            return None
        if not self._engine.can_be_captured:
            self._graphs_refused = "the engine does not allow them"
            return None
        try:
            self._cuda.begin_capture(self._compute)
            try:
                bound.enqueue()
            except BaseException:
                self._cuda.abandon_capture(self._compute)
                raise
            return self._cuda.end_capture(self._compute)
        except EngineOutOfMemoryError:
            raise
        except BackendError as error:
            self._graphs_refused = str(error)
            return None

    def _drop_plans(self) -> None:
        for plan in self._plans.values():
            self._drop(plan)
        self._plans, self._last = {}, None

    def _drop(self, plan: _Plan) -> None:
        for step in plan.steps:
            if step.graph is not None:
                _quietly(functools.partial(self._cuda.destroy_graph, step.graph))
            _quietly(functools.partial(self._cuda.destroy_event, step.copied))


def _view(address: int, size: int) -> Array:
    """Return page-locked memory as an array of bytes."""
    memory = memoryview((ctypes.c_byte * size).from_address(address)).cast("B")
    array: Array = np.frombuffer(memory, dtype=np.uint8)
    return array


def _answers(tensor: _Tensor, parts: tuple[Part, ...], count: int) -> Array:
    """Return the answers of a query, [count, *shape]; they are copied only where there are gaps between its parts."""
    found, layout = tensor.answers, tensor.layout
    size, row = count * layout.sample, max(part.count for part in parts) * layout.sample
    if len(parts) > 1 and row != layout.stride:
        full, rest = divmod(size, row)
        rows = np.lib.stride_tricks.as_strided(found, (full, row), (layout.stride, 1))
        tensor.packed[: size - rest].reshape(full, row)[:] = rows
        tensor.packed[size - rest : size] = found[full * layout.stride :][:rest]
        found = tensor.packed
    answers: Array = found[:size].view(tensor.spec.dtype).reshape(count, *tensor.spec.shape)
    return answers


def _quietly(step: Callable[[], None]) -> None:
    """Free something; where that fails, the device is lost and says so to whoever uses it next."""
    try:
        step()
    except BackendError:
        return
