"""What a GPU reported while a test ran: a clock that fell or a neighbour decides a p99."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

from sweep.trial.nvml import GpuReading

THROTTLED = "throttled GPU"
"""How the note of a test begins whose GPU was held down."""

SHARED = "shared GPU"
"""How the note of a test begins whose GPU had other users."""

HEAT = frozenset({"sw_thermal_slowdown", "hw_thermal_slowdown"})
BRAKES = frozenset({"hw_slowdown", "hw_power_brake_slowdown"})
POWER_CAP = "sw_power_cap"

THROTTLED_TIME = 0.005
"""A GPU is throttled when it was held down in more than this share of a test's readings.

As for a busy machine: a percentile of 99 asks about the slowest hundredth of the queries, half of which can decide it.
"""

CAPPED_CLOCK = 0.8
"""A power cap disturbs where it takes the clock below this part of the test's own median.

A large GPU under full load runs at its power limit all the time, test after test, at a clock that is the machine's own.
"""

COLUMNS = (
    "time_s",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "power_w",
    "temperature_c",
    "memory_used_bytes",
    "throttle_reasons",
)
"""Of the series."""


@dataclass(frozen=True)
class TimedReading:
    """A reading and when it was taken: seconds since the test began, negative in the warm-up."""

    time_s: float
    reading: GpuReading


@dataclass(frozen=True)
class Spread:
    """A figure over the readings of one test.

    Attributes:
        min: Smallest.
        mean: Mean.
        max: Largest.
    """

    min: float
    mean: float
    max: float


@dataclass(frozen=True)
class Telemetry:
    """The GPU of one test, warm-up aside; what the driver does not report is None.

    The test is what LoadGen ran, its own work before the first query and after the last one included.

    Attributes:
        gpu: Its name.
        uuid: Which one it was.
        readings: How many there were; the series, warm-up included, is in `telemetry.csv` beside the record.
        sm_clock_mhz: Clock of the multiprocessors.
        memory_clock_mhz: Clock of the memory.
        power_w: Power drawn.
        power_limit_w: The power limit in force.
        temperature_c: Of the chip.
        memory_used_bytes: On the device, by everybody, at most.
        throttle_reasons: Why its clock was held down, each with the share of readings in which it was.
        throttled: Whether it was held down, by heat or power, long enough to decide a percentile (`throttled_share`);
            None where that is not known.
        other_processes: Processes of others that held the GPU: pid and name; None where that is not known, as in many
            a container.
        energy_j: Drawn during the test.
        energy_source: `counter` of the device, or `power`: the readings of it, integrated.
        energy_per_sample_j: The energy over the samples of the queries that were finished.
    """

    gpu: str
    uuid: str
    readings: int
    sm_clock_mhz: Spread | None
    memory_clock_mhz: Spread | None
    power_w: Spread | None
    power_limit_w: float | None
    temperature_c: Spread | None
    memory_used_bytes: int | None
    throttle_reasons: Mapping[str, float]
    throttled: bool | None
    other_processes: tuple[str, ...] | None
    energy_j: float | None
    energy_source: str | None
    energy_per_sample_j: float | None

    @property
    def disturbed(self) -> bool:
        """Whether the GPU was throttled or shared, so that the test says less about it than it should."""
        return bool(self.throttled or self.other_processes)

    @property
    def disturbances(self) -> tuple[str, ...]:
        """How it was disturbed, in words, each beginning with `THROTTLED` or `SHARED`."""
        words = []
        if self.throttled:
            held = HEAT | BRAKES | {POWER_CAP}
            reasons = ", ".join(f"{name} {share_of(s)}" for name, s in self.throttle_reasons.items() if name in held)
            clock = self.sm_clock_mhz
            down = "" if clock is None else f"; SM clock {clock.mean:.0f} MHz, down to {clock.min:.0f}"
            words.append(f"{THROTTLED}: {reasons} of the time{down}")
        if self.other_processes:
            words.append(f"{SHARED}: held by process {', '.join(self.other_processes)} as well")
        return tuple(words)


@dataclass(frozen=True)
class Seen:
    """What was read of a GPU around one test.

    Attributes:
        gpu: Its name.
        uuid: Which one it was.
        power_limit_w: The power limit in force.
        series: All readings, in order; the test's first one is at 0 s, its last one at its end.
        other_processes: As in `Telemetry`.
        counted_j: The device's own counter of energy at the test's begin and end; None where it has none.
    """

    gpu: str
    uuid: str
    power_limit_w: float | None
    series: tuple[TimedReading, ...]
    other_processes: tuple[str, ...] | None
    counted_j: tuple[float | None, float | None]


def summarised(seen: Seen, samples: int) -> Telemetry:
    """Return the telemetry of a test.

    Args:
        seen: What was read.
        samples: Of the queries that were finished in it.
    """
    test = [one for one in seen.series if one.time_s >= 0]
    readings = [one.reading for one in test]
    memory = [one.memory_used_bytes for one in readings if one.memory_used_bytes is not None]
    energy_j, source = _energy(test, seen.counted_j)
    return Telemetry(
        gpu=seen.gpu,
        uuid=seen.uuid,
        readings=len(readings),
        sm_clock_mhz=_spread([one.sm_clock_mhz for one in readings]),
        memory_clock_mhz=_spread([one.memory_clock_mhz for one in readings]),
        power_w=_spread([one.power_w for one in readings]),
        power_limit_w=seen.power_limit_w,
        temperature_c=_spread([one.temperature_c for one in readings]),
        memory_used_bytes=max(memory, default=None),
        throttle_reasons=_shares(readings),
        throttled=None if (share := throttled_share(readings)) is None else share > THROTTLED_TIME,
        other_processes=seen.other_processes,
        energy_j=None if energy_j is None else round(energy_j, 3),
        energy_source=source,
        energy_per_sample_j=None if energy_j is None or samples <= 0 else round(energy_j / samples, 9),
    )


def throttled_share(readings: Sequence[GpuReading]) -> float | None:
    """Return the share of readings in which a GPU was held down so that a test says less of it than it should.

    That is so where heat or the hardware's own brakes hold it, and where a power cap takes the clock below
    `CAPPED_CLOCK` of its median over these readings. A power cap by itself is no disturbance: a GPU whose load asks for
    more than its power limit is at that limit always, and its clock then is what this machine does. Nor are an idle
    GPU, and a clock that somebody has set.

    Args:
        readings: Of one test.

    Returns:
        None where no reading has reasons.
    """
    told = [one for one in readings if one.throttle_reasons is not None]
    if not told:
        return None
    clocks = [one.sm_clock_mhz for one in told if one.sm_clock_mhz is not None]
    low = CAPPED_CLOCK * median(clocks) if clocks else 0.0
    return sum(_is_held(one, low) for one in told) / len(told)


def _is_held(reading: GpuReading, low_mhz: float) -> bool:
    reasons = reading.throttle_reasons or ()
    clock = reading.sm_clock_mhz
    return bool((HEAT | BRAKES).intersection(reasons)) or (
        POWER_CAP in reasons and clock is not None and clock < low_mhz
    )


def series_csv(series: Sequence[TimedReading]) -> str:
    """Return a series as CSV: the columns of `COLUMNS`, empty where there is no figure; reasons are joined by `+`."""
    lines = [",".join(COLUMNS)]
    for one in series:
        reading, reasons = one.reading, one.reading.throttle_reasons
        figures = (
            f"{one.time_s:.3f}",
            reading.sm_clock_mhz,
            reading.memory_clock_mhz,
            reading.power_w,
            reading.temperature_c,
            reading.memory_used_bytes,
            None if reasons is None else "+".join(reasons) or "none",
        )
        lines.append(",".join("" if figure is None else str(figure) for figure in figures))
    return "\n".join(lines) + "\n"


def share_of(share: float) -> str:
    """Return a share in percent, for people."""
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def _spread(figures: Sequence[float | None]) -> Spread | None:
    known = [figure for figure in figures if figure is not None]
    return Spread(min(known), round(fmean(known), 2), max(known)) if known else None


def _shares(readings: Sequence[GpuReading]) -> dict[str, float]:
    told = [one.throttle_reasons for one in readings if one.throttle_reasons is not None]
    counts = Counter(reason for reasons in told for reason in reasons)
    return {reason: round(count / len(told), 4) for reason, count in sorted(counts.items())}


def _energy(
    test: Sequence[TimedReading], counted_j: tuple[float | None, float | None]
) -> tuple[float | None, str | None]:
    """Return the energy (J) from the first reading to the last one, and where that is from.

    A counter that stood still (it moves in steps of a tenth of a second) or fell (the driver was loaded anew) tells
    nothing.
    """
    before, after = counted_j
    if before is not None and after is not None and after > before:
        return after - before, "counter"
    known = [(one.time_s, one.reading.power_w) for one in test if one.reading.power_w is not None]
    if len(known) < 2:
        return None, None
    steps = pairwise(known)
    return sum((end - begin) * (old + new) / 2 for (begin, old), (end, new) in steps), "power"
