"""Grids on the GPUs of a machine, in real workers, and who watches them."""

import threading
from dataclasses import replace

from sweep.store.records import Store
from sweep.study.grid import run_grid
from sweep.study.measure import Bench
from sweep.study.points import GridPoint
from sweep.trial.executor import Executor, Timeouts
from sweep.trial.interrupts import InterruptGate
from sweep.trial.spec import BackendSpec


class Watcher:
    """Writes down what it is told, and from which thread."""

    def __init__(self, on_progress=None):
        self.began, self.done, self.said, self.threads, self.on_progress = [], [], [], set(), on_progress

    def started(self, number, spec):
        self.began.append(number)

    def progressed(self, number, progress):
        self.threads.add(threading.current_thread())
        if self.on_progress is not None:
            self.on_progress(number, progress)

    def finished(self, number, outcome):
        self.done.append(number)

    def say(self, line):
        self.threads.add(threading.current_thread())
        self.said.append(line)


class Pools:
    """Grids on the GPUs of a machine."""

    def __init__(self, simulated, request_for, root):
        self._simulated, self._request_for = simulated, request_for
        self.store = Store(root)
        self.gate = InterruptGate()
        self.watcher = Watcher()

    def point(self, gpus, backend="fake_gpu", exact=False, **changes):
        spec = self._simulated(**changes)
        spec = replace(spec, backend=BackendSpec(backend, spec.backend.options))
        return GridPoint(spec, self._request_for(spec).files, tuple(gpus), exact)

    def run(self, points, resume=True, meters=None, rejection=None, kept=None, on_progress=None):
        """Return outcomes by number, however it ended.

        Args:
            points: Of the grid.
            resume: Whether what was measured before is reused.
            meters: Of the GPUs; None reads none.
            rejection: Makes what measures again, from what tells the user; None leaves it at a mark.
            kept: Takes the outcomes in where the run is interrupted.
            on_progress: Called as the watcher is told, in the main thread.
        """
        self.watcher, outcomes = Watcher(on_progress), {} if kept is None else kept
        with Executor(Timeouts(30, 10), meters) as executor:
            again = None if rejection is None else rejection(self.watcher.say)
            bench = Bench(self.store, executor, self.gate, resume, again, say=self.watcher.say)
            outcomes.update(run_grid(points, bench, self.watcher))
        return outcomes


def gpu_of(outcome):
    (gpu,) = outcome.stored.result.environment["gpus"]
    return gpu["uuid"]


def no_thread_is_left():
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        thread.join(timeout=5)
        assert not thread.is_alive()
