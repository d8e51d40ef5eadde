"""Whether other processes keep the machine busy now, which ones, and waiting until they do not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import psutil

from sweep.trial.machine_load import WINDOW_S, LoadMeter
from sweep.trial.worker_process import worker_pids

_LOOK_S = 0.3
_NAMED = 3
_NAMED_CORES = 0.05


class BusyLock(StrEnum):
    """What becomes of a test on the CPU while another sweep has one."""

    WAIT = "wait"
    IGNORE = "ignore"


@dataclass(frozen=True)
class BusyOptions:
    """What is done about others on the machine.

    Attributes:
        wait_s: How long a test waits for an idle machine, at most; None where nobody has said.
        reject: Whether a test that a busy machine has disturbed is measured again.
        retries: How often one test is.
        lock: Whether a test on the CPU waits for other sweeps to end theirs.
    """

    wait_s: float | None = None
    reject: bool = False
    retries: int = 2
    lock: BusyLock = BusyLock.WAIT

    @property
    def retry_wait_s(self) -> float:
        """How long to wait before a test is measured again; a minute where nobody has said."""
        return 60.0 if self.wait_s is None else self.wait_s


class Neighbours:
    """Says who else is on the machine, each thing once. Threads may share it."""

    def __init__(self) -> None:
        self._has_looked = False
        self._said: set[str] = set()
        self._own_turn = threading.Lock()

    def look(self, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
        """Say, at the first call, that the machine is busy now, if it is; later ones do nothing.

        Args:
            say: Told, in one line.
            sleep: Waits for the third of a second that it takes to see.
        """
        with self._own_turn:
            has_looked, self._has_looked = self._has_looked, True
        if not has_looked and (words := _busy_words(_LOOK_S, sleep)):
            say(f"note: the machine is busy: {words}; busy.wait_s=SECONDS waits until it is idle")

    def say_once(self, line: str, say: Callable[[str], None]) -> None:
        """Say a line that was not said before."""
        with self._own_turn:
            is_new = line not in self._said
            self._said.add(line)
        if is_new:
            say(line)


def wait_for_idle(limit_s: float, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait until a second has passed in which the machine was idle, or the limit has come.

    Args:
        limit_s: How long to wait at most; 0 does not even look.
        say: Told, once each, for whom it waits and that it has given up.
        sleep: Waits for seconds, and raises a KeyboardInterrupt that came meanwhile.
    """
    begin, said = time.perf_counter(), False
    while limit_s > 0:
        words = _busy_words(WINDOW_S, sleep)
        if not words:
            return
        if not said:
            said = True
            say(f"waiting for an idle machine, {limit_s:g} s at most: {words}")
        if time.perf_counter() - begin >= limit_s:
            say(f"the machine is still busy after {limit_s:g} s (busy.wait_s)")
            return


def _busy_words(seconds: float, sleep: Callable[[float], None]) -> str:
    """Look for some seconds; return what others do to the machine and who they are, empty when it is not busy."""
    meter, before = LoadMeter((os.getpid(),)), _spent_s()
    sleep(seconds)
    load = meter.finish()
    if not load.busy:
        return ""
    own = {os.getpid(), *worker_pids()}
    used = [(spent - before.get(pid, (0.0, ""))[0], name, pid) for pid, (spent, name) in _spent_s().items()]
    most = sorted((one for one in used if one[2] not in own), reverse=True)[:_NAMED]
    names = [f"{name} {s / seconds:.1f}, process {pid}" for s, name, pid in most if s >= _NAMED_CORES * seconds]
    what = f"others use {load.other_cpu_cores:.1f} of {load.cores} cores" if load.other_cpu_cores else str(load)
    return f"{what} ({'; '.join(names)})" if names else what


def _spent_s() -> dict[int, tuple[float, str]]:
    """Return the CPU time and the name of each process that can be seen, by id."""
    spent = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        with suppress(AttributeError):  # it is nobody's business
            times = process.info["cpu_times"]
            spent[process.pid] = (times.user + times.system, str(process.info["name"]))
    return spent
