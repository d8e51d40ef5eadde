"""How a query is cut into launches: pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """What one launch takes of a query.

    Attributes:
        start: Its first sample, counted in the query.
        count: Samples of the query.
        place: Where on the device its samples and answers begin, counted in samples.
        size: Samples that the engine is launched with; what is more than `count` is padding, whose answers are dropped.
    """

    start: int
    count: int
    place: int
    size: int


@dataclass(frozen=True)
class Run:
    """Answers that lie side by side on the device and on the host.

    Attributes:
        start: The first, counted in the query.
        place: Where it lies on the device, counted in samples.
        count: How many.
    """

    start: int
    place: int
    count: int


def split(count: int, engine_batch: int, fixed_batch: int | None) -> tuple[Part, ...]:
    """Return the launches of a query, in order.

    What does not fill a launch comes first: no copy overlaps the first launch's, so that one should be the smallest.

    Args:
        count: Samples in the query.
        engine_batch: The most that one launch takes.
        fixed_batch: The only number that the engine takes; smaller parts are padded to it.

    Raises:
        ValueError: Nothing to do, or an engine that takes fewer than it would be given.
    """
    if count < 1 or engine_batch < 1 or (fixed_batch is not None and fixed_batch < min(engine_batch, count)):
        raise ValueError(f"{count} samples in launches of {engine_batch} to an engine that takes {fixed_batch}")
    rest = count % engine_batch
    counts = [rest] * (rest > 0) + [engine_batch] * (count // engine_batch)
    parts, start, place = [], 0, 0
    for taken in counts:
        size = fixed_batch or taken
        parts.append(Part(start, taken, place, size))
        start, place = start + taken, place + size
    return tuple(parts)


def room(parts: Sequence[Part]) -> int:
    """Return the samples for which the device needs room."""
    return parts[-1].place + parts[-1].size


def answers(parts: Sequence[Part]) -> Iterator[Run]:
    """Yield what is to be copied back, with as few copies as padding allows."""
    run: Run | None = None
    for part in parts:
        if run is not None and part.place == run.place + run.count:
            run = Run(run.start, run.place, run.count + part.count)
            continue
        if run is not None:
            yield run
        run = Run(part.start, part.place, part.count)
    if run is not None:
        yield run
