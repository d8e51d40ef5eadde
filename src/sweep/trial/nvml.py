"""One GPU as NVML, the driver's library of management, reports it. The only importer of pynvml, and only when asked.

Whatever the driver or this process's rights do not give is None: a figure is missing then, and no test fails for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import psutil

from sweep.errors import SweepError

_Figure = TypeVar("_Figure")

REASONS: tuple[str, ...] = (
    "gpu_idle",
    "applications_clocks_setting",  # or a clock that the user locked: NVML has one bit for both
    "sw_power_cap",
    "hw_slowdown",
    "sync_boost",
    "sw_thermal_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
    "display_clock_setting",
    "board_limit",
    "reliability",
)
"""Words for the bits of nvmlClocksEventReasons, the lowest first (nvml.h; the last two are of drivers before 530)."""


class NoNvmlError(SweepError):
    """There is no NVML to ask, or it does not know the GPU; the message says why, and what to install."""


@dataclass(frozen=True)
class GpuReading:
    """What a GPU reports at one moment; None for what it does not.

    Attributes:
        sm_clock_mhz: Clock of the multiprocessors.
        memory_clock_mhz: Clock of the memory.
        power_w: Power drawn; many a GPU gives its mean over the last second.
        temperature_c: Of the chip.
        memory_used_bytes: On the device, by everybody.
        throttle_reasons: Why the clock is held down, in the words of `REASONS`; empty where nothing does.
    """

    sm_clock_mhz: int | None
    memory_clock_mhz: int | None
    power_w: float | None
    temperature_c: int | None
    memory_used_bytes: int | None
    throttle_reasons: tuple[str, ...] | None


@dataclass(frozen=True)
class GpuProcess:
    """A process that holds the GPU, as NVML names it.

    Attributes:
        pid: Its id; 0 where the driver hides it. In a container it may be one of the host's, which means nothing here.
        name: Of its program; empty where this machine shows no process of that id.
    """

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.pid or '?'} {self.name or 'unknown'}"


class Gpu(Protocol):
    """One GPU that can be asked about itself. Nothing that it is asked raises."""

    @property
    def name(self) -> str:
        """Product name."""

    @property
    def uuid(self) -> str:
        """Its own identity, `GPU-...`."""

    @property
    def power_limit_w(self) -> float | None:
        """The power limit in force; None where it is not told."""

    def read(self) -> GpuReading:
        """Return what it reports now."""

    def energy_j(self) -> float | None:
        """Return what it has drawn since its driver was loaded; None where it does not count.

        Not a part of each reading: it costs several ms, a hundred times what all of that costs (H100, driver 580).
        """

    def processes(self) -> tuple[GpuProcess, ...] | None:
        """Return who holds it now, for computing or for graphics; None where that is not told."""

    def close(self) -> None:
        """Take leave of NVML."""


class NvmlGpu:
    """A GPU behind NVML.

    Args:
        nvml: The module `pynvml`; initialised here, shut down by `close`.
        uuid: Which GPU; None for the first, in the order of the PCI bus.

    Raises:
        NoNvmlError: NVML cannot be used, or there is no such GPU.
    """

    def __init__(self, nvml: Any, uuid: str | None) -> None:
        self._nvml = nvml
        try:
            nvml.nvmlInit()
        except Exception as error:
            raise NoNvmlError(f"NVML does not start: {_words(error)}") from error
        try:
            self._handle = nvml.nvmlDeviceGetHandleByIndex(0) if uuid is None else nvml.nvmlDeviceGetHandleByUUID(uuid)
        except Exception as error:
            self.close()
            raise NoNvmlError(f"NVML finds no GPU {uuid or 0}: {_words(error)}") from error
        self._name = _text(self._ask(lambda: nvml.nvmlDeviceGetName(self._handle)) or "unknown GPU")
        self._uuid = _text(self._ask(lambda: nvml.nvmlDeviceGetUUID(self._handle)) or uuid or "")

    @property
    def name(self) -> str:
        """Product name."""
        return self._name

    @property
    def uuid(self) -> str:
        """Its own identity, `GPU-...`."""
        return self._uuid

    @property
    def power_limit_w(self) -> float | None:
        """The power limit in force; None where it is not told."""
        return _thousandth(self._ask(lambda: self._nvml.nvmlDeviceGetEnforcedPowerLimit(self._handle)))

    def read(self) -> GpuReading:
        """Return what it reports now."""
        nvml, handle, ask = self._nvml, self._handle, self._ask
        bits = ask(lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
        if bits is None:  # its name before driver 535
            bits = ask(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        return GpuReading(
            sm_clock_mhz=ask(lambda: int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))),
            memory_clock_mhz=ask(lambda: int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM))),
            power_w=_thousandth(ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))),
            temperature_c=ask(lambda: int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
            memory_used_bytes=ask(lambda: int(nvml.nvmlDeviceGetMemoryInfo(handle).used)),
            throttle_reasons=None if bits is None else reasons_of(bits),
        )

    def energy_j(self) -> float | None:
        """Return what it has drawn since its driver was loaded; None where it does not count."""
        return _thousandth(self._ask(lambda: self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)))

    def processes(self) -> tuple[GpuProcess, ...] | None:
        """Return who holds it now, for computing or for graphics; None where that is not told."""
        nvml, handle = self._nvml, self._handle
        computing = self._ask(lambda: list(nvml.nvmlDeviceGetComputeRunningProcesses(handle)))
        drawing = self._ask(lambda: list(nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)))
        if computing is None and drawing is None:
            return None
        pids: Iterable[int] = (int(one.pid or 0) for one in (*(computing or ()), *(drawing or ())))
        return tuple(GpuProcess(pid, _process_name(pid)) for pid in dict.fromkeys(pids))

    def close(self) -> None:
        """Take leave of NVML, which counts how often it was initialised."""
        with suppress(Exception):
            self._nvml.nvmlShutdown()

    @staticmethod
    def _ask(question: Callable[[], _Figure]) -> _Figure | None:
        """Return an answer; None where there is none, whatever the reason: no support, no right, a GPU that is lost."""
        try:
            return question()
        except Exception:  # noqa: BLE001  (a figure is missing, and the test goes on)
            return None


def open_gpu(uuid: str | None = None) -> Gpu:
    """Return a GPU to be asked about itself.

    Args:
        uuid: Which; None for the first, in the order of the PCI bus.

    Raises:
        NoNvmlError: pynvml, the driver or the GPU is missing; the message says which.
    """
    try:
        import pynvml
    except ImportError as error:
        raise NoNvmlError("pynvml is missing: pip install nvidia-ml-py") from error
    return NvmlGpu(pynvml, uuid)


def reasons_of(bits: int) -> tuple[str, ...]:
    """Return nvmlClocksEventReasons in words; a bit that has none is `bit_<number>`."""
    names = (*REASONS, *(f"bit_{number}" for number in range(len(REASONS), 64)))
    return tuple(name for number, name in enumerate(names) if bits >> number & 1)


def own_processes() -> frozenset[int]:
    """Return the ids of this process and all that it has started: their work on a GPU is no disturbance."""
    own = {os.getpid()}
    with suppress(psutil.Error):
        own.update(child.pid for child in psutil.Process().children(recursive=True))
    return frozenset(own)


def others_of(seen: Iterable[tuple[GpuProcess, ...]], own: frozenset[int]) -> tuple[str, ...] | None:
    """Return who else used a GPU while a worker of this program did, as far as that can be told.

    In a container the driver may name nobody, or name processes by the host's numbers. Whether its numbers mean
    something here shows in the worker: when it is among those named, all others are others. When it is not, one of
    those named may be the worker under another number, so that one fewer than were named together are surely others,
    and nobody knows who. Hidden numbers (0) prove nothing by themselves.

    Args:
        seen: Who was named, each time the driver was asked.
        own: Process ids of this program, the worker among them.

    Returns:
        An id and a name for each other process, or how many there were; None where it cannot be told.
    """
    times = list(seen)
    names: dict[int, str] = {}
    for process in (process for time in times for process in time):
        names[process.pid] = names.get(process.pid) or process.name
    if own & names.keys():
        return tuple(str(GpuProcess(pid, name)) for pid, name in names.items() if pid not in own)
    surely = max((sum(process.pid != 0 for process in time) for time in times), default=0) - 1
    return (f"{surely} of another container",) if surely > 0 else None


def _process_name(pid: int) -> str:
    try:
        return psutil.Process(pid).name() if pid else ""
    except (psutil.Error, ValueError):
        return ""


def _thousandth(value: float | None) -> float | None:
    """Return mW as W, mJ as J."""
    return None if value is None else value / 1000


def _text(value: str | bytes) -> str:
    """Return a text, which older versions of pynvml give as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
