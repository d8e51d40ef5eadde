"""Runs a grid of trials: what is measured already is reused, a failed point never stops the rest."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence

from sweep.study.measure import Bench, Outcome
from sweep.study.order import engine_order
from sweep.study.points import GridPoint, Observer
from sweep.study.pool import Pool


def run_grid(points: Sequence[GridPoint], bench: Bench, observer: Observer) -> Iterator[tuple[int, Outcome]]:
    """Yield the number and outcome of each point as soon as it is stored.

    Points are run in an order that saves engines; those of several GPUs at once, a GPU taking the next one when it is
    free, and those of the CPU, which would disturb them, after that.

    Args:
        points: What to measure.
        bench: Where, but for the GPU.
        observer: Told of everything.
    """
    order = engine_order([point.spec for point in points])
    if len({gpu for point in points for gpu in point.gpus}) < 2:
        yield from run_in_turn(order, points, bench, observer)
        return
    pooled = [number for number in order if points[number].gpus]
    left = yield from Pool(points, bench, observer).run(pooled)
    rest = [number for number in order if not points[number].gpus or number in left]
    yield from run_in_turn(rest, points, bench, observer)


def run_in_turn(
    numbers: Iterable[int], points: Sequence[GridPoint], bench: Bench, observer: Observer
) -> Iterator[tuple[int, Outcome]]:
    """Yield the number and outcome of some points, measured one after the other."""
    for number in numbers:
        point = points[number]
        bench.pause()
        own = bench.on(point.gpus, exact=point.exact)
        outcome = own.newest(point.spec)
        if outcome is None and not own.is_reserved:
            own.reserve()
            outcome = own.newest(point.spec)  # the sweep that it waited for may have measured it
        if outcome is None:
            observer.started(number, point.spec)
            outcome = own.measure(point.spec, point.files, functools.partial(observer.progressed, number))
        observer.finished(number, outcome)
        yield number, outcome
