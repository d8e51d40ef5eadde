"""A GPU that reports what it is told to, and NVML itself the same way."""

from dataclasses import replace
from types import SimpleNamespace

from sweep.trial.nvml import GpuProcess, GpuReading

COOL = GpuReading(1755, 2619, 300.0, 50, 4_000_000_000, ())
HOT = replace(COOL, sm_clock_mhz=1200, temperature_c=88, throttle_reasons=("hw_slowdown", "hw_thermal_slowdown"))


class FakeGpu:
    """Gives its readings one after the other, the last one for ever; draws what it reads, and counts it if asked to."""

    name, power_limit_w = "NVIDIA H100 80GB HBM3", 700.0

    def __init__(self, readings=(COOL,), processes=(), clock=None, counts_energy=True, uuid="GPU-1"):
        self.uuid = uuid
        self.readings = list(readings)
        self.listed = processes
        self.clock = clock
        self.counts_energy = counts_energy
        self.closed = 0
        self.asked = 0

    def read(self):
        self.asked += 1
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]

    def energy_j(self):
        return 1000.0 + 250.0 * (self.clock() if self.clock else self.asked) if self.counts_energy else None

    def processes(self):
        listed = self.listed() if callable(self.listed) else self.listed
        return None if listed is None else tuple(GpuProcess(*one) for one in listed)

    def close(self):
        self.closed += 1


class NvmlError(Exception):
    """As NVML's own: no support, no right, a GPU that is lost."""


class FakeNvml:
    """The functions of pynvml that are called. What is in `broken` raises; `old` lacks the names of newer drivers."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, broken=(), *, old=False):
        self.broken = broken
        self.old = old
        self.open = 0
        self.bits = 0x24
        self.computing = [SimpleNamespace(pid=11, usedGpuMemory=None)]
        self.drawing = [SimpleNamespace(pid=11, usedGpuMemory=1), SimpleNamespace(pid=0, usedGpuMemory=1)]

    def __getattr__(self, name):
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def call(*arguments):
            if "all" in self.broken or name.removeprefix("nvmlDeviceGet") in self.broken:
                raise NvmlError("Not Supported")
            return self._answer(name.removeprefix("nvmlDeviceGet"), arguments)

        return call

    def _answer(self, name, arguments):  # noqa: PLR0911
        match name:
            case "nvmlInit" | "nvmlShutdown":
                self.open += 1 if name == "nvmlInit" else -1
                return None
            case "HandleByIndex" | "HandleByUUID":
                return arguments[0]
            case "Name":
                return b"NVIDIA A100" if self.old else "NVIDIA A100"
            case "CurrentClocksEventReasons" if self.old:
                raise AttributeError(name)
            case "CurrentClocksEventReasons" | "CurrentClocksThrottleReasons":
                return self.bits
            case "ClockInfo":
                return {1: 1410, 2: 1215}[arguments[1]]
            case "MemoryInfo":
                return SimpleNamespace(used=5_000_000_000)
            case "ComputeRunningProcesses":
                return self.computing
            case "GraphicsRunningProcesses":
                return self.drawing
        return {
            "UUID": "GPU-2",
            "PowerUsage": 412_345,
            "EnforcedPowerLimit": 400_000,
            "Temperature": 61,
            "TotalEnergyConsumption": 1_234_567,
        }[name]
