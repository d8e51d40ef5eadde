"""Reads the GPU of a running test, from the process that waits for it: the worker's own is on the path of a query."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sweep.backends.registry import backend_class
from sweep.trial.nvml import Gpu, GpuProcess, NoNvmlError, open_gpu, others_of, own_processes
from sweep.trial.spec import TrialSpec
from sweep.trial.telemetry import Seen, TimedReading

_PROCESSES_S = 1.0
"""Time between two questions for the processes of a GPU, which change seldom."""

_READING_COST = 20
"""Time between two readings, at least, in times that a reading takes: asking costs a twentieth of a core at most."""


@dataclass(frozen=True)
class TelemetryOptions:
    """What is asked of the GPUs of tests, and what becomes of tests that they disturbed.

    Attributes:
        enabled: Whether GPUs are read at all.
        interval_s: Time between two readings, at least.
        reject: Whether a test that was disturbed is measured again.
        cooldown_s: How long it waits before that, at most.
        retries: How often one test is measured again.
    """

    enabled: bool
    interval_s: float
    reject: bool
    cooldown_s: float
    retries: int


class GpuMeter:
    """Reads one GPU around one test: from the warm-up on, with a reading at the test's begin and one at its end.

    Args:
        gpu: To be read; None where there is none to read, and nothing is known in the end.
        interval_s: Time between two readings, at least.
        clock: Seconds.
    """

    def __init__(
        self, gpu: Gpu | None = None, interval_s: float = 0.1, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._gpu = gpu
        self._interval_s = interval_s
        self._clock = clock
        self._is_on = False
        self._due = self._processes_due = float("-inf")
        self._test_begin: float | None = None
        self._readings: list[TimedReading] = []
        self._processes: list[tuple[GpuProcess, ...]] = []
        self._own: frozenset[int] = frozenset()
        self._energy_before_j: float | None = None

    def warm_up(self) -> None:
        """Begin to read: an engine that is being built would only fill the series."""
        self._is_on = self._gpu is not None

    def sample(self) -> None:
        """Read, if it is time; to be called now and then."""
        if self._is_on and self._clock() >= self._due:
            self._read()

    def begin_test(self) -> None:
        """Read: the test begins now."""
        if self._gpu is None:
            return
        self._is_on = True
        self._test_begin = self._processes_due = self._clock()
        self._energy_before_j = self._gpu.energy_j()
        self._read()
        self._own = own_processes()

    def finish(self) -> Seen | None:
        """Read a last time and return what was seen; None where no test had begun."""
        gpu, begin = self._gpu, self._test_begin
        if gpu is None or begin is None:
            return None
        counted_j = self._energy_before_j, gpu.energy_j()
        self._processes_due = begin
        self._read()
        self._is_on = False
        # As exact as the series is written, so that both count the same readings as the test's; never -0.0.
        series = tuple(TimedReading(round(one.time_s - begin, 3) + 0.0, one.reading) for one in self._readings)
        return Seen(gpu.name, gpu.uuid, gpu.power_limit_w, series, others_of(self._processes, self._own), counted_j)

    def _read(self) -> None:
        if self._gpu is None:
            return
        now = self._clock()
        self._readings.append(TimedReading(now, self._gpu.read()))
        if self._test_begin is not None and now >= self._processes_due:
            self._processes_due = now + _PROCESSES_S
            if (processes := self._gpu.processes()) is not None:
                self._processes.append(processes)
        self._due = now + max(self._interval_s, _READING_COST * (self._clock() - now))


class GpuMeters:
    """Makes the meter of each test, and opens the GPU for the first one that needs it. Used from one thread.

    Args:
        options: What is asked of GPUs.
        opener: Opens one; None is NVML's own.
    """

    def __init__(self, options: TelemetryOptions, opener: Callable[[str | None], Gpu] | None = None) -> None:
        self._options = options
        self._opener = opener or open_gpu
        self._gpu: Gpu | None = None
        self._uuid: str | None = None
        self._why_not: dict[str | None, str] = {}

    def another(self) -> GpuMeters:
        """Return one more like it, for another thread."""
        return GpuMeters(self._options, self._opener)

    def meter(self, spec: TrialSpec, uuid: str | None) -> tuple[GpuMeter | None, str]:
        """Return the meter of a test; where there is none although it was asked for, why.

        Args:
            spec: Of the test; where its backend uses no GPU, none is read.
            uuid: Of the GPU that it runs on; None for the first of the machine.
        """
        if not self._options.enabled or not backend_class(spec.backend.name).uses_gpu:
            return None, ""
        if self._gpu is not None and self._uuid != uuid:
            self.close()
        if self._gpu is None and uuid not in self._why_not:
            try:
                self._gpu, self._uuid = self._opener(uuid), uuid
            except NoNvmlError as error:
                self._why_not[uuid] = str(error)
        if self._gpu is None:
            return None, self._why_not[uuid]
        return GpuMeter(self._gpu, self._options.interval_s), ""

    def close(self) -> None:
        """Let the GPU go."""
        gpu, self._gpu = self._gpu, None
        if gpu is not None:
            gpu.close()
