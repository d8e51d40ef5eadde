"""What other processes did to the machine while a test ran: a neighbour can quadruple a CPU latency."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import psutil

BUSY_CORES = 0.25
"""Other processes using more than this many cores on average make a test one taken on a busy machine."""

BUSY_STEAL = 0.05
"""The same for the share of time that a hypervisor gave this machine's cores to somebody else."""


@dataclass(frozen=True)
class MachineLoad:
    """The load that other processes put on the machine during a test.

    Attributes:
        other_cpu_cores: Cores that processes other than worker and parent used, on average; None where it could
            not be read.
        steal_fraction: Share of all core time that the hypervisor took away; None where it is not reported.
        load_average_before: The one-minute load average when the test began.
        cores: Logical cores of the machine.
        busy: Whether the test was disturbed by more than `BUSY_CORES` or `BUSY_STEAL`.
    """

    other_cpu_cores: float | None
    steal_fraction: float | None
    load_average_before: float
    cores: int
    busy: bool

    def __str__(self) -> str:
        parts = []
        if self.other_cpu_cores is not None and self.other_cpu_cores > BUSY_CORES:
            parts.append(f"other processes used {self.other_cpu_cores:.1f} of {self.cores} cores")
        if self.steal_fraction is not None and self.steal_fraction > BUSY_STEAL:
            parts.append(f"the hypervisor took {100 * self.steal_fraction:.0f} % of the CPU time")
        return "; ".join(parts) or "idle but for this test"


class LoadMeter:
    """Measures from its construction to `finish`.

    Args:
        own_pids: Processes whose work is this test's own: worker and parent.
    """

    def __init__(self, own_pids: tuple[int, ...]) -> None:
        self._processes = [psutil.Process(pid) for pid in own_pids]
        self._load_average = os.getloadavg()[0]
        self._begin = self._read()

    def finish(self) -> MachineLoad:
        """Return the load since construction; the processes may have ended meanwhile."""
        elapsed, busy, steal, own = (now - then for now, then in zip(self._read(), self._begin, strict=True))
        cores = psutil.cpu_count() or 1
        others = None if elapsed <= 0 or own < 0 else max(0.0, (busy - own) / elapsed)
        stolen = None if elapsed <= 0 else max(0.0, steal / (elapsed * cores))
        # The kernel counts in ticks of 10 ms: over a test of a few of them the difference is mostly rounding.
        long_enough = elapsed > 0.5
        return MachineLoad(
            other_cpu_cores=None if others is None else round(others, 3),
            steal_fraction=None if stolen is None else round(stolen, 4),
            load_average_before=round(self._load_average, 2),
            cores=cores,
            busy=long_enough and ((others or 0) > BUSY_CORES or (stolen or 0) > BUSY_STEAL),
        )

    def _read(self) -> tuple[float, float, float, float]:
        times = psutil.cpu_times()
        busy = times.user + times.system + getattr(times, "irq", 0.0) + getattr(times, "softirq", 0.0)
        own = 0.0
        for process in self._processes:
            try:
                spent = process.cpu_times()
            except psutil.Error:
                return time.perf_counter(), busy, getattr(times, "steal", 0.0), float("-inf")
            own += spent.user + spent.system
        return time.perf_counter(), busy, getattr(times, "steal", 0.0), own
