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

_ROUNDING_S = 0.03
"""By how much a difference of the kernel's counters may be off: they count in ticks of 10 ms, each by itself."""


@dataclass(frozen=True)
class MachineLoad:
    """The load that other processes put on the machine during warm-up and test.

    Attributes:
        other_cpu_cores: Cores that processes other than worker and parent used, on average; None where it could
            not be read.
        steal_fraction: Share of all core time that the hypervisor took away; None where it is not reported.
        load_average_before: The one-minute load average when the warm-up began.
        cores: Logical cores of the machine.
        busy: Whether the test was disturbed by more than `BUSY_CORES` or `BUSY_STEAL`; None where that cannot be told:
            the time was too short for the kernel's clock, or the load could not be read.
    """

    other_cpu_cores: float | None
    steal_fraction: float | None
    load_average_before: float
    cores: int
    busy: bool | None

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
        """Return the load since construction; where a process has ended meanwhile, the others' part is not known."""
        elapsed, used, steal, own = (now - then for now, then in zip(self._read(), self._begin, strict=True))
        return machine_load(
            elapsed, None if own < 0 else used - own, steal, psutil.cpu_count() or 1, self._load_average
        )

    def _read(self) -> tuple[float, float, float, float]:
        times = psutil.cpu_times()
        used = times.user + times.system + getattr(times, "irq", 0.0) + getattr(times, "softirq", 0.0)
        own = 0.0
        for process in self._processes:
            try:
                spent = process.cpu_times()
            except psutil.Error:
                own = float("-inf")
                break
            own += spent.user + spent.system
        return time.perf_counter(), used, getattr(times, "steal", 0.0), own


def machine_load(
    elapsed_s: float, others_s: float | None, steal_s: float, cores: int, load_average: float
) -> MachineLoad:
    """Return the load on a machine of `cores` over `elapsed_s`.

    Args:
        elapsed_s: Wall time, in seconds.
        others_s: CPU time of other processes meanwhile; None where it is not known.
        steal_s: Core time that the hypervisor took.
        cores: Logical cores.
        load_average: The one-minute load average at the beginning.
    """
    signs = [_over(steal_s, BUSY_STEAL * elapsed_s * cores)]
    signs.append(None if others_s is None else _over(others_s, BUSY_CORES * elapsed_s))
    known = elapsed_s > 0
    return MachineLoad(
        other_cpu_cores=round(max(others_s, 0.0) / elapsed_s, 3) if known and others_s is not None else None,
        steal_fraction=round(max(steal_s, 0.0) / (elapsed_s * cores), 4) if known else None,
        load_average_before=round(load_average, 2),
        cores=cores,
        busy=True if True in signs else None if None in signs else False,
    )


def _over(spent_s: float, limit_s: float) -> bool | None:
    """Return whether a time is over a limit, None where the rounding of the counters could decide it."""
    if spent_s - _ROUNDING_S > limit_s:
        return True
    # Where the limit dwarfs the rounding, what is seen counts.
    if spent_s > limit_s > 10 * _ROUNDING_S:
        return True
    return False if spent_s + _ROUNDING_S <= limit_s or limit_s > 10 * _ROUNDING_S else None
