"""A test on a throttled or shared GPU is known as one, and a GPU at its power limit is not called throttled for it."""

import csv
import io
import json
from dataclasses import asdict, replace

import pytest
from tests.gpu_doubles import COOL, HOT

from sweep.trial.nvml import GpuReading
from sweep.trial.plain import read_plain
from sweep.trial.telemetry import (
    COLUMNS,
    SHARED,
    THROTTLED,
    Seen,
    Spread,
    Telemetry,
    TimedReading,
    series_csv,
    summarised,
    throttled_share,
)

CAPPED = replace(COOL, sm_clock_mhz=1380, throttle_reasons=("sw_power_cap",))
UNKNOWN = GpuReading(None, None, None, None, None, None)


def seen(readings, others=(), counted=(None, None), warmup=()):
    series = [TimedReading(-1.0 + k / 10, one) for k, one in enumerate(warmup)]
    series += [TimedReading(k / 10, one) for k, one in enumerate(readings)]
    return Seen("NVIDIA H100 80GB HBM3", "GPU-1", 700.0, tuple(series), others, counted)


def test_figures_are_of_the_test_alone():
    readings = [replace(COOL, power_w=300.0), replace(COOL, power_w=500.0, temperature_c=54, sm_clock_mhz=1800)]
    told = summarised(seen(readings, warmup=[HOT] * 3), samples=100)
    assert told.readings == 2
    assert told.sm_clock_mhz == Spread(1755, 1777.5, 1800)
    assert told.power_w == Spread(300.0, 400.0, 500.0)
    assert told.temperature_c == Spread(50, 52.0, 54)
    assert told.memory_clock_mhz == Spread(2619, 2619.0, 2619)
    assert (told.memory_used_bytes, told.power_limit_w) == (4_000_000_000, 700.0)
    assert (told.throttled, told.throttle_reasons, told.disturbed) == (False, {}, False)


def test_what_is_not_reported_is_none():
    told = summarised(seen([UNKNOWN, UNKNOWN], others=None), samples=100)
    spreads = (told.sm_clock_mhz, told.memory_clock_mhz, told.power_w, told.temperature_c)
    assert spreads == (None,) * 4
    assert (told.throttled, told.energy_j, told.energy_source, told.other_processes) == (None,) * 4
    assert not told.disturbed
    assert told.disturbances == ()


@pytest.mark.parametrize(
    ("readings", "throttled"),
    [
        ([COOL] * 100, False),
        ([COOL] * 99 + [HOT], True),  # a tenth of a second of ten: the slowest hundredth of the queries
        ([COOL] * 399 + [HOT], False),
        ([replace(COOL, throttle_reasons=("hw_power_brake_slowdown",))] * 3, True),
        ([replace(COOL, throttle_reasons=("sw_thermal_slowdown",))] * 3, True),
        ([CAPPED] * 100, False),  # its own power limit, which is how this machine is
        ([COOL] * 5 + [CAPPED] * 95, False),
        ([CAPPED] * 97 + [replace(CAPPED, sm_clock_mhz=900)] * 3, True),
        ([CAPPED] * 97 + [replace(COOL, sm_clock_mhz=345, throttle_reasons=("gpu_idle",))] * 3, False),
        ([replace(COOL, sm_clock_mhz=900, throttle_reasons=("applications_clocks_setting",))] * 50, False),
        ([replace(CAPPED, sm_clock_mhz=None)] * 50, False),
        ([UNKNOWN] * 9 + [HOT], True),
        ([UNKNOWN] * 10, None),
        ([], None),
    ],
)
def test_heat_and_brakes_throttle_and_a_power_cap_only_where_it_takes_the_clock_away(readings, throttled):
    share = throttled_share(readings)
    assert summarised(seen(readings), samples=1).throttled is throttled
    assert (share is None) == (throttled is None)


def test_reasons_have_their_share_of_the_time():
    told = summarised(seen([CAPPED] * 3 + [HOT]), samples=1)
    assert told.throttle_reasons == {"hw_slowdown": 0.25, "hw_thermal_slowdown": 0.25, "sw_power_cap": 0.75}


def test_disturbances_are_said_in_words():
    told = summarised(seen([COOL] * 3 + [HOT], others=("77 trainer", "? unknown")), samples=1)
    throttled, shared = told.disturbances
    assert throttled.startswith(THROTTLED)
    assert "hw_slowdown 25 %, hw_thermal_slowdown 25 % of the time; SM clock 1616 MHz, down to 1200" in throttled
    assert shared == f"{SHARED}: held by process 77 trainer, ? unknown as well"


def test_energy_is_the_counters_difference_over_the_samples():
    told = summarised(seen([COOL] * 11, counted=(5000.0, 5250.0)), samples=1000)
    assert (told.energy_j, told.energy_source, told.energy_per_sample_j) == (250.0, "counter", 0.25)


@pytest.mark.parametrize("counted", [(None, None), (5000.0, 5000.0), (5000.0, 10.0), (None, 10.0)])
def test_without_a_counter_power_is_integrated(counted):
    readings = [replace(COOL, power_w=200.0 + 10 * k) for k in range(11)]
    told = summarised(seen(readings, counted=counted, warmup=[COOL]), samples=500)
    assert told.energy_j == pytest.approx(250.0)  # one second at 250 W in the mean
    assert told.energy_source == "power"
    assert told.energy_per_sample_j == pytest.approx(0.5)


def test_no_samples_have_no_energy_each():
    assert summarised(seen([COOL] * 3, counted=(1.0, 2.0)), samples=0).energy_per_sample_j is None
    assert summarised(seen([COOL]), samples=5).energy_j is None


def test_telemetry_survives_json():
    for others in ((), ("77 trainer",), None):
        told = summarised(seen([COOL, HOT], others=others), samples=3)
        assert read_plain(Telemetry, json.loads(json.dumps(asdict(told)))) == told
    told = summarised(seen([UNKNOWN, UNKNOWN]), samples=3)
    assert read_plain(Telemetry, json.loads(json.dumps(asdict(told)))) == told


def test_the_series_is_csv_with_units_and_gaps():
    text = series_csv([TimedReading(-0.5, COOL), TimedReading(0.0, HOT), TimedReading(0.1004, UNKNOWN)])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["time_s"] == "-0.500"
    assert (rows[0]["sm_clock_mhz"], rows[0]["throttle_reasons"]) == ("1755", "none")
    assert rows[1]["throttle_reasons"] == "hw_slowdown+hw_thermal_slowdown"
    assert list(rows[2].values()) == ["0.100", *[""] * 6]
