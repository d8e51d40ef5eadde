"""Points on several GPUs at once: each has a thread and a worker, and takes the next point when it is free."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from sweep.gpus import Gpu
from sweep.study.measure import Bench, Outcome
from sweep.study.points import GridPoint, Observer
from sweep.trial.engine_reuse import engine_key
from sweep.trial.interrupts import LaneGate
from sweep.trial.measurement import Progress

_LOOK_S = 0.1
"""How often the main thread looks whether it was interrupted: a signal raises nothing while it may hold an outcome."""


@dataclass(frozen=True)
class _Ended:
    """A lane is over.

    Attributes:
        error: What ended it, if it was not to end.
    """

    error: BaseException | None


_Event = tuple[int, None] | tuple[int, Progress] | tuple[int, Outcome] | str | _Ended
"""What a lane tells: a point begins, moves on, is done; something to say; its end."""


class Pool:
    """Runs points of a grid, each GPU one at a time.

    The lanes talk to the main thread alone, which tells the observer. Ctrl-C makes them drop their tests; a test that
    was over by then reaches the disk, and its outcome the caller.

    Args:
        points: Of the grid.
        bench: Where records are looked up and kept; its executor and gate stay the main thread's.
        observer: Told of everything, from the thread that calls `run`.
    """

    def __init__(self, points: Sequence[GridPoint], bench: Bench, observer: Observer) -> None:
        self._points = points
        self._bench = bench
        self._observer = observer
        # Not a SimpleQueue: its `get` forgets its timeout where a signal's handler ends after it (CPython 3.11).
        self._events: queue.Queue[_Event] = queue.Queue()
        self._stop = threading.Event()
        self._todo: list[int] = []
        self._engines: dict[Gpu, object] = {}
        self._choosing = threading.Lock()

    def run(self, numbers: Sequence[int]) -> Generator[tuple[int, Outcome], None, frozenset[int]]:
        """Yield number and outcome of some points as they are stored.

        Args:
            numbers: Of the points, in the order to begin them.

        Returns:
            Those that are the same trial as another one, whose record will be theirs.

        Raises:
            KeyboardInterrupt: It was interrupted; all outcomes there are were yielded before.
        """
        same: set[int] = set()
        seen: set[object] = set()
        for number in numbers:
            point = self._points[number]
            self._bench.pause()
            outcome = self._bench.on(point.gpus, exact=point.exact).newest(point.spec)
            if outcome is not None:
                self._observer.finished(number, outcome)
                yield number, outcome
                continue
            key = (point.spec.digest, point.gpus if point.exact else None)
            (same.add if key in seen else self._todo.append)(number)
            seen.add(key)
        yield from self._measure()
        return frozenset(same)

    def _measure(self) -> Generator[tuple[int, Outcome], None, None]:
        gpus = dict.fromkeys(gpu for number in self._todo for gpu in self._points[number].gpus)
        for gpu in gpus:
            threading.Thread(target=self._lane, args=(gpu,), name=str(gpu), daemon=True).start()
        running, error = len(gpus), None
        try:
            while running:
                if self._bench.gate.has_arrived:
                    self._stop.set()
                try:
                    event = self._events.get(timeout=_LOOK_S)
                except queue.Empty:
                    continue
                if isinstance(event, _Ended):
                    running -= 1
                    if event.error is not None:
                        error = error or event.error
                        self._stop.set()
                elif isinstance(event, str):
                    self._observer.say(event)
                elif isinstance(done := self._told(*event), Outcome):
                    yield event[0], done
        finally:
            self._stop.set()
        if error is not None:
            raise error
        self._bench.pause()

    def _told(self, number: int, event: Progress | Outcome | None) -> Outcome | None:
        """Tell the observer of a point; return its outcome, if it is done."""
        if event is None:
            self._observer.started(number, self._points[number].spec)
        elif isinstance(event, Progress):
            self._observer.progressed(number, event)
        else:
            self._observer.finished(number, event)
            return event
        return None

    def _lane(self, gpu: Gpu) -> None:
        """Measure on one GPU until nothing is left for it. Runs in a thread of its own."""
        error: BaseException | None = None
        try:
            with self._bench.executor.another() as executor:
                rejection = self._bench.rejection
                if rejection is not None:
                    rejection = replace(rejection, say=lambda line: self._events.put(f"{gpu}: {line}"))
                gate = LaneGate(self._stop)
                own = replace(self._bench, executor=executor, gate=gate, rejection=rejection, say=self._events.put)
                self._measure_on(gpu, own.on((gpu,)))
        except KeyboardInterrupt:  # it was told to stop
            pass
        except BaseException as reason:  # noqa: BLE001  (raised again, where somebody sees it)
            error = reason
        self._events.put(_Ended(error))

    def _measure_on(self, gpu: Gpu, bench: Bench) -> None:
        # The GPU first and then a point: none waits for a GPU that others have while another one is free.
        while not self._stop.is_set() and bench.reserve(functools.partial(self._has_more, gpu)):
            number = self._take(gpu)
            if number is None:
                return
            point = self._points[number]
            # The sweep that it waited for may have measured it.
            outcome = bench.on(point.gpus, exact=point.exact).newest(point.spec)
            if outcome is None:
                self._events.put((number, None))
                outcome = bench.measure(point.spec, point.files, functools.partial(self._progressed, number))
            self._events.put((number, outcome))

    def _progressed(self, number: int, progress: Progress) -> None:
        self._events.put((number, progress))

    def _has_more(self, gpu: Gpu) -> bool:
        with self._choosing:
            return any(gpu in self._points[number].gpus for number in self._todo)

    def _take(self, gpu: Gpu) -> int | None:
        """Return the next point for a GPU: one for the engine that it has, else one for an engine that no other has."""
        with self._choosing:
            fit = [number for number in self._todo if gpu in self._points[number].gpus]
            if not fit:
                return None
            own = self._engines.get(gpu)
            others = {engine for other, engine in self._engines.items() if other != gpu}
            keys = {number: engine_key(self._points[number].spec) for number in fit}
            number = min(fit, key=lambda n: (keys[n] != own, keys[n] in others))  # the first of them
            self._todo.remove(number)
            self._engines[gpu] = keys[number]
            return number
