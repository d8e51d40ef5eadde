"""What an engine must do. One conformance suite (tests/backends) holds every backend to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy.typing as npt

from sweep.models.base import ResolvedModel, TensorSpec
from sweep.vocabulary import Precision

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Availability:
    """Whether a backend can run on this machine and, if not, why and what to install."""

    available: bool
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class EngineRequest:
    """Everything a backend needs to build an engine.

    Attributes:
        model_path: The ONNX file; None for a backend that runs no model.
        inputs: The model's inputs; samples arrive in these shapes and types.
        predicts_class: Whether the model answers with one class id per sample.
        samples_per_query: The largest `count` that `run` will be called with.
        engine_batch: Samples per engine launch; `run` splits larger counts.
        options: The backend's own options, as `validate_options` returned them.
        model_digest: `sha256:<hex>` of the file and its external data; empty where there is no file.
        precision: What the file was prepared in: `fp32`, `fp16` or `int8`.
        cache: Folder for what takes long to build; None for a backend that builds nothing.
        is_unchanged: Says whether the file is still the one of that digest. What is built of it and kept must be asked
            for after it was read.
        launch_limit: The most samples for which no tensor of the model is too large to be counted; None for no limit.
    """

    model_path: Path | None
    inputs: tuple[TensorSpec, ...]
    predicts_class: bool
    samples_per_query: int
    engine_batch: int
    options: Mapping[str, Any]
    model_digest: str = ""
    precision: str = "fp32"
    cache: Path | None = None
    is_unchanged: Callable[[], bool] = lambda: True
    launch_limit: int | None = None


class Backend(ABC):
    """An engine as a context manager: nothing is allocated, loaded or launched before `__enter__`.

    Life of a backend: `__enter__`, then `load` and any number of `run`, `load` again when the samples change,
    `__exit__`. It is used from one thread. The caller owns the sample arrays and keeps them alive and in place
    until `unload`, the next `load` or `__exit__`; the backend owns the output arrays, which stay valid until the
    next `run`.
    """

    name: ClassVar[str]
    runs_models: ClassVar[bool] = True
    """False for a stand-in that computes nothing; records say so."""
    engine_depends_on_query: ClassVar[bool] = False
    """Whether an engine is built for one N (optimization profiles), so that another N needs another engine."""
    uses_gpu: ClassVar[bool] = False
    """Whether it runs on a CUDA GPU. Its process then sees one GPU only, the one that the test is for, as device 0."""
    counts_answers: ClassVar[bool] = False
    """Whether `run` itself counts the answers of a model that predicts no class. Its outputs are those of all launches
    then, one after the other: their extents need not fit, and nobody reads them."""
    reusable: ClassVar[bool] = True
    """False where an engine remembers its earlier queries, so that each trial needs a new one: what a trial shows
    must not depend on the trials before it."""

    def __init__(self, request: EngineRequest) -> None:
        self.request = request

    @classmethod
    @abstractmethod
    def availability(cls) -> Availability:
        """Say whether this machine can run the backend. Imports no accelerator library that is not needed to know."""

    @classmethod
    def suits_auto(cls) -> bool:
        """Say whether an available backend runs any model with no option set, so that `backend=auto` may take it."""
        return True

    @classmethod
    @abstractmethod
    def precisions(cls) -> tuple[Precision, ...]:
        """Return the precisions that the backend can run on this machine."""

    @classmethod
    @abstractmethod
    def validate_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options in full, defaults filled in.

        Raises:
            ConfigError: An option is unknown or has a wrong value; every problem is collected.
        """

    @classmethod
    def options_for_trial(cls, options: Mapping[str, Any], samples_per_query: int) -> dict[str, Any]:
        """Return the options that matter for this trial alone; a seed per N belongs here."""
        del samples_per_query
        return dict(options)

    @classmethod
    def options_for_model(cls, options: Mapping[str, Any], model: ResolvedModel) -> dict[str, Any]:
        """Return the options that a model can run with."""
        del model
        return dict(options)

    @classmethod
    def kernels(cls, model: ResolvedModel) -> str:
        """Return a name for what computes a model here, where an older version would have taken something else.

        It is part of a trial's identity, so that no older record of the same options is taken for a newer one.
        """
        del model
        return ""

    @classmethod
    def search_space(cls, cores: int) -> Mapping[str, Sequence[Any]]:
        """Return what a search over settings may try, by the key that users type, the default first.

        Args:
            cores: Physical cores that the process may use.

        Returns:
            Values of `engine_batch` (null is the whole query) and of the backend's own options (`backend.KEY`); each
            validates.
        """
        del cores
        return {"engine_batch": (None, 8, 32)}

    @abstractmethod
    def __enter__(self) -> Self:
        """Build the engine.

        Raises:
            BackendError: It cannot be built; the message says what to do.
        """

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free everything that `__enter__` took."""

    @abstractmethod
    def load(self, samples: Mapping[str, Array]) -> None:
        """Take the sample store: per input one C-contiguous array [slots, *sample shape]."""

    def unload(self) -> None:  # noqa: B027  (most backends keep nothing that would have to go)
        """Let go of the samples: their memory is about to move. `load` follows before the next `run`."""

    @abstractmethod
    def run(self, slot: int, count: int, meanwhile: Callable[[], None]) -> Sequence[Array]:
        """Run the samples at slots `slot` to `slot + count - 1` and return when the answers are there.

        Args:
            slot: First slot of the query in the sample store.
            count: Samples in the query, from 1 to `samples_per_query`.
            meanwhile: Host work to overlap with the engine; called exactly once, finished before `run` returns.

        Returns:
            The outputs, each [count, ...]; a model that predicts classes has one, int32 [count], and -1 there
            means that the scores of that sample were not finite. See `counts_answers` for other models.

        Raises:
            BackendError: The engine failed.
        """

    def device_ns(self) -> int | None:
        """Return how long the device worked on the last query, first copy to last, in ns; None where nobody knows."""
        return None

    def facts(self) -> Mapping[str, Any]:
        """Return what a record should say of the engine, as plain JSON data: its version, how and when it was built.

        Asked once per trial, between the warm-up and the test.
        """
        return {}
