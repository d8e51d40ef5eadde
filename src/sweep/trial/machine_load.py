"""What other processes did to the machine while a test ran: a neighbour can quadruple a CPU latency."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from sweep.trial.worker_process import worker_pids

BUSY_CORES = 0.25
"""Other processes using more than this many cores make a second a busy one."""

BUSY_STEAL = 0.05
"""The same for the share of time that a hypervisor gave this machine's cores to somebody else."""

BUSY_TIME = 0.005
"""A test is taken on a busy machine when busy seconds are more than this share of its time.

A percentile of 99 asks about the slowest hundredth of the queries: half of that, in bursts, can decide it.
"""

BUSY = "busy machine"
"""How the note of a test on a busy machine begins."""

WINDOW_S = 1.0
"""Over how long the load is averaged: a burst in a long test would vanish in its mean."""

_ROUNDING_S = 0.03
"""By how much a difference of the kernel's counters may be off: they count in ticks of 10 ms, each by itself."""

_SHORT = 0.1
"""Share of the time that may be too short to tell without making the whole so."""


@dataclass(frozen=True)
class MachineLoad:
    """The load that other processes put on the machine during warm-up and test.

    Attributes:
        other_cpu_cores: Cores that processes other than worker and parent used, on average; None where it could
            not be read.
        peak_cpu_cores: The same in the busiest second; None likewise.
        steal_fraction: Share of all core time that the hypervisor took away; None where it is not reported.
        busy_fraction: Share of the time that lies in busy seconds; None where that cannot be told.
        load_average_before: The one-minute load average when the warm-up began.
        cores: Logical cores of the machine.
        busy: Whether that share is more than `BUSY_TIME`; None where it cannot be told: the test was too short for the
            kernel's clock, or the load could not be read.
    """

    other_cpu_cores: float | None
    peak_cpu_cores: float | None
    steal_fraction: float | None
    busy_fraction: float | None
    load_average_before: float
    cores: int
    busy: bool | None

    def __str__(self) -> str:
        parts = []
        if self.peak_cpu_cores is not None and self.peak_cpu_cores > BUSY_CORES:
            parts.append(f"other processes used up to {self.peak_cpu_cores:.1f} of {self.cores} cores")
        if self.steal_fraction is not None and self.steal_fraction > BUSY_STEAL:
            parts.append(f"the hypervisor took {100 * self.steal_fraction:.0f} % of the CPU time")
        percent = 100 * (self.busy_fraction or 0.0)
        share = f" in {percent:.0f} % of the time" if percent >= 1 else f" in {percent:.2g} % of the time"
        return "; ".join(parts) + share if parts else "idle but for this test"


@dataclass(frozen=True)
class Window:
    """Some seconds of a machine.

    Attributes:
        elapsed_s: Wall time.
        others_s: CPU time of other processes meanwhile; None where it is not known.
        steal_s: Core time that the hypervisor took.
    """

    elapsed_s: float
    others_s: float | None
    steal_s: float

    def busy(self, cores: int) -> bool | None:
        """Return whether it was busy; None where the rounding of the counters could decide that."""
        whole = self.elapsed_s >= WINDOW_S
        # A tick or two of steal are everywhere: they leave no doubt.
        signs = [_over(self.steal_s, BUSY_STEAL * self.elapsed_s * cores, whole=True)]
        signs.append(None if self.others_s is None else _over(self.others_s, BUSY_CORES * self.elapsed_s, whole=whole))
        return True if True in signs else None if None in signs else False


class LoadMeter:
    """Measures a test, in windows, the first of which may have begun up to a second before it.

    A test can be over before the kernel's clock has ticked often enough to tell anything. The work of this process's
    other workers, which test on other GPUs, is nobody else's either.

    Args:
        own_pids: Processes whose work is this test's own: worker and parent.
        before: The meter of the test before this one, of which the open window goes on.
    """

    def __init__(self, own_pids: tuple[int, ...], before: LoadMeter | None = None) -> None:
        self.own_pids = own_pids
        self._processes = [psutil.Process(pid) for pid in own_pids]
        self._load_average = os.getloadavg()[0]
        self._windows: list[Window] = []
        self.window_begin = self._read()
        if (
            before is not None
            and before.own_pids == own_pids
            and self.window_begin[0] - before.window_begin[0] < 2 * WINDOW_S
        ):
            self.window_begin = before.window_begin

    def begin(self) -> None:
        """Begin to measure: what went before counts no more, but for the open window."""
        self._windows = []

    def sample(self) -> None:
        """Close a window, if it is time; to be called now and then."""
        if time.perf_counter() - self.window_begin[0] >= WINDOW_S:
            now = self._read()
            self._windows.append(self._window(now))
            self.window_begin = now

    def finish(self) -> MachineLoad:
        """Return the load until now; where a process has ended meanwhile, the others' part is not known."""
        windows = [*self._windows, self._window(self._read())]
        return machine_load(windows, psutil.cpu_count() or 1, self._load_average)

    def _window(self, now: tuple[float, ...]) -> Window:
        elapsed, used, steal, own = (new - old for new, old in zip(now, self.window_begin, strict=True))
        return Window(elapsed, used - own if math.isfinite(own) and own >= 0 else None, steal)

    def _read(self) -> tuple[float, float, float, float]:
        times = psutil.cpu_times()
        used = times.user + times.system + getattr(times, "irq", 0.0) + getattr(times, "softirq", 0.0)
        try:
            own = self._own_s()
        except psutil.Error:
            own = float("-inf")
        return time.perf_counter(), used, getattr(times, "steal", 0.0), own

    def _own_s(self) -> float:
        """Return the CPU time of all that is our own. A worker of ours that has ended is in its parent's books.

        Raises:
            psutil.Error: One of them has just ended.
        """
        own = 0.0
        for process in self._processes:
            spent = process.cpu_times()
            own += spent.user + spent.system
            if process.pid == os.getpid():
                own += spent.children_user + spent.children_system
        for pid in worker_pids().difference(self.own_pids):
            spent = psutil.Process(pid).cpu_times()
            own += spent.user + spent.system
        return own


def machine_load(windows: Sequence[Window], cores: int, load_average: float) -> MachineLoad:
    """Return the load on a machine of `cores` over some windows.

    Args:
        windows: One after the other; all but the last are `WINDOW_S` long or a little longer.
        cores: Logical cores.
        load_average: The one-minute load average at the beginning.
    """
    # A worker that has ended leaves the last window without its part: the others still tell.
    windows = [window for window in windows if window.others_s is not None] or windows
    elapsed = sum(window.elapsed_s for window in windows)
    others = [window.others_s for window in windows if window.others_s is not None]
    known = elapsed > 0 and len(others) == len(windows)
    # The rounding of a short last window would be a peak.
    long = [window for window in windows if window.elapsed_s >= WINDOW_S / 2] or list(windows)
    signs = [(window.elapsed_s, window.busy(cores)) for window in windows]
    busy = sum(seconds for seconds, sign in signs if sign)
    unknown = sum(seconds for seconds, sign in signs if sign is None)
    is_busy = None if elapsed <= 0 else True if busy > BUSY_TIME * elapsed else False if not unknown else None
    if is_busy is None and unknown <= _SHORT * elapsed and known:
        is_busy = False  # what is left of a window at the end of a long test
    peak = max((window.others_s or 0.0) / window.elapsed_s for window in long) if known else 0.0
    return MachineLoad(
        other_cpu_cores=round(max(sum(others), 0.0) / elapsed, 3) if known else None,
        peak_cpu_cores=round(max(peak, 0.0), 3) if known else None,
        steal_fraction=round(max(sum(w.steal_s for w in windows), 0.0) / (elapsed * cores), 4) if elapsed > 0 else None,
        busy_fraction=None if is_busy is None else round(busy / elapsed, 4),
        load_average_before=round(load_average, 2),
        cores=cores,
        busy=is_busy,
    )


def _over(spent_s: float, limit_s: float, *, whole: bool) -> bool | None:
    """Return whether a time is over a limit; None where, in a part of a window, rounding could decide it."""
    if spent_s - _ROUNDING_S > limit_s:
        return True
    return False if whole or spent_s + _ROUNDING_S <= limit_s else None
