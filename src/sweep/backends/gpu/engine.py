"""What the GPU pipeline needs of an engine, whoever built it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sweep.models.base import TensorSpec


class Launch(Protocol):
    """An engine bound to one number of samples, to addresses and to a stream, ready to be enqueued again and again."""

    @property
    def captured(self) -> bool:
        """Whether what is enqueued is a CUDA graph that the engine has captured itself, from the second time on."""

    def enqueue(self) -> None:
        """Put the engine's work on its stream and return at once; it may be called while the stream is captured.

        Raises:
            BackendError: The engine refused; EngineOutOfMemoryError where the device has no room.
        """


class DeviceEngine(Protocol):
    """An engine whose tensors lie on the device, and whose axis 0 is the batch everywhere.

    It is used from one thread, and is closed by whoever made it, after every launch was dropped.
    """

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes: name, NumPy dtype and shape of one sample."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives, likewise; every extent is known."""

    @property
    def fixed_batch(self) -> int | None:
        """The only number of samples that it takes; None where it takes any from 1 to what it was built for."""

    @property
    def can_be_captured(self) -> bool:
        """Whether a launch of it may be captured in a CUDA graph by others."""

    @property
    def keeps_one_size(self) -> bool:
        """Whether its launches are lost once it is bound for another number of samples."""

    def bind(self, count: int, inputs: Mapping[str, int], outputs: Mapping[str, int], stream: int) -> Launch:
        """Return a launch of `count` samples.

        Args:
            count: Samples; `fixed_batch` where there is one.
            inputs: Device address of each input, [count, *shape], contiguous; a multiple of `parts.ALIGNMENT`.
            outputs: Device address of each output, likewise.
            stream: CUDA stream handle, as an integer.

        Raises:
            BackendError: It cannot run so many; EngineOutOfMemoryError where the device has no room.
        """

    def facts(self) -> Mapping[str, Any]:
        """Return what a record should say of it, as plain JSON data."""

    def close(self) -> None:
        """Free what it holds on the device."""


def device_bytes(specs: Sequence[TensorSpec]) -> int:
    """Return the bytes of one sample of some tensors."""
    import numpy as np

    return sum(int(np.dtype(spec.dtype).itemsize * np.prod(spec.shape, dtype=np.int64)) for spec in specs)
