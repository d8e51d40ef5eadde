"""What NVML says becomes figures in units; what it does not say becomes None, and never a failure."""

import builtins
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.gpu_doubles import FakeNvml

from sweep.trial import nvml as nvml_module
from sweep.trial.nvml import (
    GpuProcess,
    GpuReading,
    NoNvmlError,
    NvmlGpu,
    open_gpu,
    others_of,
    own_processes,
    reasons_of,
)


def test_figures_come_in_their_units():
    gpu = NvmlGpu(FakeNvml(), None)
    reasons = ("sw_power_cap", "sw_thermal_slowdown")
    assert gpu.read() == GpuReading(1410, 1215, 412.345, 61, 5_000_000_000, reasons)
    assert (gpu.name, gpu.uuid, gpu.power_limit_w, gpu.energy_j()) == ("NVIDIA A100", "GPU-2", 400.0, 1234.567)


def test_older_drivers_and_versions_of_pynvml_will_do():
    gpu = NvmlGpu(FakeNvml(old=True), "GPU-2")
    assert gpu.name == "NVIDIA A100"
    assert gpu.read().throttle_reasons == ("sw_power_cap", "sw_thermal_slowdown")


@pytest.mark.parametrize(
    ("call", "figure"),
    [
        ("PowerUsage", "power_w"),
        ("Temperature", "temperature_c"),
        ("MemoryInfo", "memory_used_bytes"),
        ("ClockInfo", "sm_clock_mhz"),
        ("ClockInfo", "memory_clock_mhz"),
    ],
)
def test_what_is_not_supported_is_none_and_the_rest_is_there(call, figure):
    reading = NvmlGpu(FakeNvml({call}), None).read()
    assert getattr(reading, figure) is None
    assert reading.throttle_reasons is not None


def test_a_gpu_that_tells_nothing_fails_nothing():
    fake = FakeNvml()
    gpu = NvmlGpu(fake, None)
    fake.broken = {"all"}
    assert gpu.read() == GpuReading(None, None, None, None, None, None)
    assert (gpu.energy_j(), gpu.processes(), gpu.power_limit_w) == (None, None, None)
    gpu.close()


def test_processes_that_compute_or_draw_are_named_once():
    gpu = NvmlGpu(FakeNvml({"GraphicsRunningProcesses"}), None)
    assert [one.pid for one in gpu.processes()] == [11]
    assert [one.pid for one in NvmlGpu(FakeNvml(), None).processes()] == [11, 0]


def test_a_process_has_the_name_of_its_program():
    fake = FakeNvml()
    fake.computing, fake.drawing = [SimpleNamespace(pid=os.getpid())], [SimpleNamespace(pid=None)]
    own, hidden = NvmlGpu(fake, None).processes()
    assert own.pid == os.getpid()
    assert own.name
    assert hidden == GpuProcess(0, "")


@pytest.mark.parametrize("broken", [{"nvmlInit"}, {"HandleByIndex"}, {"all"}])
def test_nvml_that_does_not_start_says_why(broken):
    fake = FakeNvml(broken)
    with pytest.raises(NoNvmlError, match="Not Supported"):
        NvmlGpu(fake, None)
    assert fake.open == 0


def test_every_start_has_its_end():
    fake = FakeNvml()
    NvmlGpu(fake, None).close()
    assert fake.open == 0


def test_without_pynvml_the_message_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "pynvml":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NoNvmlError, match="pip install nvidia-ml-py"):
        open_gpu()


def test_bits_have_words_known_or_not():
    assert reasons_of(0) == ()
    assert reasons_of(0x1) == ("gpu_idle",)
    assert reasons_of(0x4 | 0x40 | 0x80) == ("sw_power_cap", "hw_thermal_slowdown", "hw_power_brake_slowdown")
    assert reasons_of(1 << 40) == ("bit_40",)


def test_the_words_are_those_of_the_real_bits():
    pynvml = pytest.importorskip("pynvml")
    bits = {
        "gpu_idle": pynvml.nvmlClocksEventReasonGpuIdle,
        "applications_clocks_setting": pynvml.nvmlClocksEventReasonApplicationsClocksSetting,
        "sw_power_cap": pynvml.nvmlClocksEventReasonSwPowerCap,
        "hw_slowdown": pynvml.nvmlClocksThrottleReasonHwSlowdown,
        "sync_boost": pynvml.nvmlClocksEventReasonSyncBoost,
        "sw_thermal_slowdown": pynvml.nvmlClocksEventReasonSwThermalSlowdown,
        "hw_thermal_slowdown": pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
        "hw_power_brake_slowdown": pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
        "display_clock_setting": pynvml.nvmlClocksEventReasonDisplayClockSetting,
    }
    assert {word: reasons_of(bit) for word, bit in bits.items()} == {word: (word,) for word in bits}


def test_every_name_that_is_called_exists_in_the_real_module():
    pynvml = pytest.importorskip("pynvml")
    source = Path(nvml_module.__file__).read_text(encoding="utf-8")
    names = set(re.findall(r"nvml\.(nvml\w+|NVML\w+)", source))
    assert len(names) > 10
    assert not [name for name in names if not hasattr(pynvml, name)]


OWN = frozenset({100, 101})
WORKER, PARENT = (101, "python"), (100, "python")
NEIGHBOUR = (77, "trainer")


@pytest.mark.parametrize(
    ("listings", "others"),
    [
        ([[WORKER]], ()),
        ([[WORKER, PARENT]], ()),
        ([[WORKER, NEIGHBOUR]], ("77 trainer",)),
        ([[WORKER], [WORKER, NEIGHBOUR], [WORKER]], ("77 trainer",)),
        ([[NEIGHBOUR], [WORKER]], ("77 trainer",)),  # it ended while the worker was there
        ([[WORKER, (77, "")], [WORKER, NEIGHBOUR]], ("77 trainer",)),
        ([[WORKER, (0, "")]], ("? unknown",)),  # the driver hides who it is, and it is not the worker
        # A container: the worker goes by a number of the host's, or is not shown.
        ([], None),
        ([[]], None),
        ([[(4711, "")]], None),
        ([[(0, "")]], None),
        ([[(0, ""), (0, "")]], None),
        ([[(4711, "")], [(4712, "")]], None),  # the worker, and then its successor
        ([[(4711, ""), (0, "")]], None),
        ([[(4711, ""), (4712, "")]], ("1 of another container",)),
        ([[(4711, "cron"), (4712, ""), (4713, "")]], ("2 of another container",)),
    ],
)
def test_nobody_is_accused_who_may_be_the_worker(listings, others):
    assert others_of([tuple(GpuProcess(*one) for one in listing) for listing in listings], OWN) == others


def test_children_are_a_part_of_this_program():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        time.sleep(0.1)
        assert own_processes() >= {os.getpid(), child.pid}
    finally:
        child.kill()
        child.wait()
