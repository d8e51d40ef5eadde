"""How far a build is: TensorRT times kernels for minutes, and says nothing unless it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sweep.backends.trt.messages import say


@dataclass(frozen=True)
class Progress:
    """One report of a running build.

    Attributes:
        phase: The innermost phase, in TensorRT's words.
        step: Steps of it that are done.
        steps: Its steps in all.
        seconds: Since the build began.
    """

    phase: str
    step: int
    steps: int
    seconds: float

    def __str__(self) -> str:
        return f"building the engine, {self.seconds:.0f} s: {self.phase} {self.step}/{self.steps}"


Report = Callable[[Progress], None]


def print_progress(progress: Progress) -> None:
    """Write a report to stderr, which is the worker's log."""
    say(str(progress))


class Reporter:
    """Passes on a build's phases, at most one report every `every_s` seconds. Thread-safe, as TensorRT wants it.

    Args:
        report: What to call.
        every_s: Least seconds between two reports.
        clock: Seconds, from any start.
    """

    def __init__(self, report: Report, every_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._every_s = every_s
        self._clock = clock
        self._begin = self._last = clock()
        self._steps: dict[str, int] = {}
        self._lock = threading.Lock()

    def start(self, phase: str, steps: int) -> None:
        """Take note that a phase begins."""
        with self._lock:
            self._steps[phase] = steps

    def finish(self, phase: str) -> None:
        """Take note that a phase has ended."""
        with self._lock:
            self._steps.pop(phase, None)

    def step(self, phase: str, done: int) -> None:
        """Report a step, if the last report is old enough. What the report raises is printed and forgotten."""
        with self._lock:
            now = self._clock()
            if now - self._last < self._every_s:
                return
            self._last = now
            progress = Progress(phase, done, self._steps.get(phase, done), now - self._begin)
        try:
            self._report(progress)
        except Exception as error:  # noqa: BLE001  (an exception must not pass through TensorRT)
            say(f"the report of progress failed: {error}")


def monitor(module: Any, reporter: Reporter) -> Any | None:
    """Return a progress monitor of a TensorRT module that feeds `reporter`; None where it has none."""
    if not hasattr(module, "IProgressMonitor"):
        return None

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]  # the module is known only now
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            del parent
            reporter.start(phase, int(steps))

        def phase_finish(self, phase: str) -> None:
            reporter.finish(phase)

        def step_complete(self, phase: str, step: int) -> bool:
            reporter.step(phase, int(step) + 1)
            return True  # False would stop the build

    return Monitor()
