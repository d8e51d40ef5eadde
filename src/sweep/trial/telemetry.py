"""What a GPU reported while a test ran: a clock that fell or a neighbour decides a p99."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


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
    """The GPU of one test, from warm-up to end; what the driver does not report is None.

    Attributes:
        gpu: Its name.
        uuid: Which one it was.
        readings: How many there were; the series is in `telemetry.csv` beside the record.
        sm_clock_mhz: Clock of the multiprocessors.
        memory_clock_mhz: Clock of the memory.
        power_w: Power drawn.
        temperature_c: Of the chip.
        memory_used_bytes: On the device, by everybody, at most.
        throttle_reasons: Why its clock was held down, each with the share of readings in which it was.
        throttled: Whether it was held down, by heat or power, long enough to decide a percentile; None where that is
            not known.
        other_processes: Processes of others that used the GPU: pid and name.
        energy_j: Drawn during the test, warm-up aside.
        energy_per_sample_j: The same over the samples of its queries.
    """

    gpu: str
    uuid: str
    readings: int
    sm_clock_mhz: Spread | None
    memory_clock_mhz: Spread | None
    power_w: Spread | None
    temperature_c: Spread | None
    memory_used_bytes: int | None
    throttle_reasons: Mapping[str, float]
    throttled: bool | None
    other_processes: tuple[str, ...]
    energy_j: float | None
    energy_per_sample_j: float | None

    @property
    def disturbed(self) -> bool:
        """Whether the GPU was throttled or shared, so that the test says less about it than it should."""
        return bool(self.throttled or self.other_processes)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `dataclasses.asdict` of one."""
        spreads = ("sm_clock_mhz", "memory_clock_mhz", "power_w", "temperature_c")
        typed = {key: None if data[key] is None else Spread(**data[key]) for key in spreads}
        return cls(**{**data, **typed, "other_processes": tuple(data["other_processes"])})
