"""How a query is cut into launches, and where in a buffer each of them lies: pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

ALIGNMENT = 256
"""Bytes that the address of every tensor of a launch is a multiple of. TensorRT refuses any other (`NvInferRuntime.h`,
`IExecutionContext::setTensorAddress`); CUDA's own allocations are."""


@dataclass(frozen=True)
class Part:
    """What one launch takes of a query.

    Attributes:
        start: Its first sample, counted in the query.
        count: Samples of the query.
        slot: Where its samples and answers lie: the places of a buffer are as long as a full launch.
        size: Samples that the engine is launched with; what is more than `count` is padding, whose answers are dropped.
    """

    start: int
    count: int
    slot: int
    size: int


@dataclass(frozen=True)
class Layout:
    """Where the parts of a query lie in one tensor's buffer, in bytes. Parts lie in the order of the query.

    Attributes:
        sample: One sample.
        stride: From one part to the next: at least a full launch, and a multiple of `ALIGNMENT`.
    """

    sample: int
    stride: int

    @classmethod
    def of(cls, sample: int, launch: int) -> Layout:
        """Return the layout of a tensor whose samples have `sample` bytes, and that takes `launch` of them at most."""
        return cls(sample, -(-launch * sample // ALIGNMENT) * ALIGNMENT)

    def room(self, parts: tuple[Part, ...]) -> int:
        """Return the bytes that a buffer needs for them."""
        return max(part.slot * self.stride + part.size * self.sample for part in parts)

    def used(self, parts: tuple[Part, ...]) -> int:
        """Return the bytes from the first sample of the query to the last, with the gaps between them."""
        return max(part.slot * self.stride + part.count * self.sample for part in parts)


def split(count: int, engine_batch: int, fixed_batch: int | None) -> tuple[Part, ...]:
    """Return the launches of a query, in the order in which they run.

    What does not fill a launch is the end of the query, and runs first: no copy overlaps the first launch's, so that
    one should be the smallest.

    Args:
        count: Samples in the query.
        engine_batch: The most that one launch takes.
        fixed_batch: The only number that the engine takes; smaller parts are padded to it.

    Raises:
        ValueError: Nothing to do, or an engine that takes fewer than it would be given.
    """
    if count < 1 or engine_batch < 1 or (fixed_batch is not None and fixed_batch < min(engine_batch, count)):
        raise ValueError(f"{count} samples in launches of {engine_batch} to an engine that takes {fixed_batch}")
    full, rest = divmod(count, engine_batch)
    counts = [(full, rest)] * (rest > 0) + [(slot, engine_batch) for slot in range(full)]
    return tuple(Part(slot * engine_batch, taken, slot, fixed_batch or taken) for slot, taken in counts)


def split_evenly(count: int, engine_batch: int) -> tuple[Part, ...]:
    """Return as few launches as `split` does, all of one size; less padding than one sample for each fills the last.

    Raises:
        ValueError: Nothing to do.
    """
    size = -(-count // -(-count // engine_batch))
    return split(count, size, size)
