"""ONNX Runtime on the CPU: real models on any machine, nothing else to install."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np

from sweep.backends.base import Array, Availability, Backend, EngineRequest
from sweep.backends.options import Option, validate
from sweep.environment import has_fast_int8, has_vnni, is_x86, usable_cores
from sweep.errors import BackendError, EngineOutOfMemoryError
from sweep.models.base import ResolvedModel
from sweep.models.session import LEVELS, open_session
from sweep.paths import in_utf8
from sweep.vocabulary import COMPUTED, Precision

_STANDARD_ERROR = 2
"""The worker's log, for a library in C++."""

_OUT_OF_MEMORY = (
    *("bad_alloc", "Failed to allocate memory", "Available memory of"),
    *("CUDA failure 2:", "out of memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED"),
)
"""What ONNX Runtime's messages hold when memory is exhausted, the host's or the device's."""


class OnnxRuntimeBackend(Backend):
    """Runs an ONNX file with the CPU execution provider; a query is passed as one slice, without a copy."""

    name: ClassVar[str] = "onnxruntime"
    counts_answers: ClassVar[bool] = True

    OPTIONS: ClassVar[Mapping[str, Option]] = {
        "threads": Option(None, int, 1, 1024, optional=True),
        "graph_optimization": Option("all", str, choices=tuple(LEVELS)),
    }

    def __init__(self, request: EngineRequest) -> None:
        super().__init__(request)
        self._session: Any = None
        self._answer = self._first
        self._samples: list[tuple[str, Array]] = []
        self._output_names: list[str] = []
        self._rows_each: dict[str, int] = {}
        self._one_sample = False

    @classmethod
    def availability(cls) -> Availability:
        """Say whether ONNX Runtime is installed."""
        if importlib.util.find_spec("onnxruntime") is None:
            return Availability(available=False, detail="onnxruntime is not installed", fix="pip install onnxruntime")
        slow = "" if has_fast_int8() else "; without VNNI, so int8 is no faster than fp32"
        return Availability(available=True, detail=f"CPU execution provider, {usable_cores()} cores{slow}")

    @classmethod
    def precisions(cls) -> tuple[Precision, ...]:
        """Return all; what float16 kernels are missing on a CPU, ONNX Runtime computes in float32 between casts."""
        return COMPUTED

    @classmethod
    def validate_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return `threads` (null becomes this machine's usable cores) and `graph_optimization`."""
        complete = validate(options, cls.OPTIONS)
        complete["threads"] = complete["threads"] or usable_cores()
        return complete

    @classmethod
    def options_for_model(cls, options: Mapping[str, Any], model: ResolvedModel) -> dict[str, Any]:
        """Return the options, with graph optimisation no higher than a file of sweep's making can be loaded at."""
        levels = tuple(LEVELS)
        level = max(options["graph_optimization"], model.level, key=levels.index)
        return {**options, "graph_optimization": level}

    @classmethod
    def kernels(cls, model: ResolvedModel) -> str:
        """Return `vnni` for int8 on x86 with it: before, the kernels of CPUs without it computed that too, slower."""
        return "vnni" if model.has_int8 and is_x86() and has_vnni() else ""

    @classmethod
    def search_space(cls, cores: int) -> Mapping[str, Sequence[Any]]:
        """Return threads in powers of two up to all cores, levels of graph optimisation, and engine batches."""
        threads = sorted({cores, *(2**power for power in range(cores.bit_length()))}, reverse=True)
        return {
            **super().search_space(cores),
            "backend.threads": tuple(threads),
            "backend.graph_optimization": ("all", "extended", "basic"),
        }

    def __enter__(self) -> Self:
        """Create the session."""
        self._session = self._open(warns=True)
        self._output_names = [output.name for output in self._session.get_outputs()]
        # A launch of a file that is frozen at one sample answers that one, however many rows it has to say about it.
        self._one_sample = all(value.shape and value.shape[0] == 1 for value in self._session.get_inputs())
        return self

    def _open(self, *, warns: bool) -> Any:
        path, options = Path(str(self.request.model_path)), self.request.options
        arranged = self.request.precision == Precision.INT8
        try:
            with in_utf8(path) as name:
                return open_session(
                    Path(name),
                    options["graph_optimization"],
                    options["threads"],
                    integer_kernels=arranged,
                    warns=warns,
                )
        except Exception as error:
            raise translated(error, f"ONNX Runtime cannot load {self.request.model_path}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the session and the samples."""
        self._session = None
        self._samples = []

    def load(self, samples: Mapping[str, Array]) -> None:
        """Keep references to the sample arrays; a query reads its slice in place."""
        for name, array in samples.items():
            if not array.flags.c_contiguous:
                raise ValueError(f"samples of {name} must be C-contiguous, or every query would copy them")
        self._samples = list(samples.items())

    def run(self, slot: int, count: int, meanwhile: Callable[[], None]) -> Sequence[Array]:
        """Run one query, in launches of `engine_batch` samples."""
        # First, not on a second thread: the engine uses all cores, and no gain was measured (docs/measurements.md).
        meanwhile()
        return self._answer(slot, count)

    def _first(self, slot: int, count: int) -> Sequence[Array]:
        """Run the first query, of the warm-up; a session that warns of queries is replaced by one that does not.

        It would warn of each of them while it is timed, and what a session logs is settled when it is made. The other
        runs the query again: a session's first one allocates, and the warm-up may end here.
        """
        before = os.fstat(_STANDARD_ERROR).st_size
        answers = self._launches(slot, count)
        self._answer = self._launches
        if os.fstat(_STANDARD_ERROR).st_size == before:
            return answers
        del answers
        self._session = None  # before the next, or there would have to be room for two
        self._session = self._open(warns=False)
        return self._launches(slot, count)

    def _launches(self, slot: int, count: int) -> Sequence[Array]:
        batch = self.request.engine_batch
        if count <= batch:
            return self._launch(slot, slot + count)
        end = slot + count
        parts = [self._launch(start, min(start + batch, end)) for start in range(slot, end, batch)]
        if not self.request.predicts_class:
            return [output for part in parts for output in part]
        return [np.concatenate(output) for output in zip(*parts, strict=True)]

    def _launch(self, start: int, stop: int) -> Sequence[Array]:
        feed = {name: array[start:stop] for name, array in self._samples}
        try:
            outputs: Sequence[Array] = self._session.run(self._output_names, feed)
        except Exception as error:
            raise translated(error, f"ONNX Runtime failed on {stop - start} samples") from error
        if not self.request.predicts_class and not self._one_sample:
            self._count_answers(outputs, stop - start)
        return outputs

    def _count_answers(self, outputs: Sequence[Array], count: int) -> None:
        """Refuse outputs whose rows are not those of the samples: as many for each sample, in every launch."""
        for name, output in zip(self._output_names, outputs, strict=True):
            rows = output.shape[0] if output.ndim else 0
            if rows != count * self._rows_each.setdefault(name, rows // count) or not rows:
                (shape,) = (value.shape for value in self._session.get_outputs() if value.name == name)
                called = f", {shape[0]}," if shape and isinstance(shape[0], str) else ""
                raise BackendError(
                    f"output {name}: axis 0{called} is not the batch: {count} samples gave {rows} rows; export the "
                    "model frozen at batch 1, where any number of rows is one sample's answer, or without this output"
                )


def translated(error: Exception, what: str) -> BackendError:
    """Return what ONNX Runtime raised as an error of sweep's, and what ran out of memory as that."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY):
        return EngineOutOfMemoryError(f"{what}: out of memory: {text}")
    return BackendError(f"{what}: {text}")
