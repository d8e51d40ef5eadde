"""What a GPU did is one line, whatever it does not tell."""

from dataclasses import replace

from tests.gpu_doubles import COOL

from sweep.terminal.words import joules, telemetry_line
from sweep.trial.nvml import GpuReading
from sweep.trial.telemetry import Seen, TimedReading, summarised

UNKNOWN = GpuReading(None, None, None, None, None, None)


def _told(*readings, counted=(None, None)):
    series = tuple(TimedReading(k / 10, one) for k, one in enumerate(readings))
    return summarised(Seen("NVIDIA H100", "GPU-1", 700.0, series, (), counted), 1000)


def test_all_figures_on_one_line():
    capped = replace(COOL, sm_clock_mhz=1380, power_w=698.0, throttle_reasons=("sw_power_cap",))
    assert telemetry_line(_told(COOL, capped, capped, counted=(0.0, 824.0))) == (
        "NVIDIA H100: SM clock 1505 MHz (1380 to 1755), memory 2619 MHz, 565 W of 700 W at most, up to 50 °C, "
        "824 mJ per sample, clock held by sw_power_cap 67 %"
    )


def test_what_is_not_told_is_left_out():
    assert telemetry_line(replace(_told(UNKNOWN), power_limit_w=None)) == "NVIDIA H100: it reports nothing"
    assert telemetry_line(_told(replace(UNKNOWN, temperature_c=40))) == "NVIDIA H100: up to 40 °C"


def test_an_idle_gpu_is_not_held():
    assert "held" not in telemetry_line(_told(replace(COOL, throttle_reasons=("gpu_idle",))))


def test_energies_have_three_digits():
    assert [joules(one) for one in (12.345, 1.0, 0.01234, 0.0000456)] == ["12.3 J", "1 J", "12.3 mJ", "0.0456 mJ"]
