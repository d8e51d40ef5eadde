"""Waits until a GPU is fit to be measured again."""

from __future__ import annotations

import time
from collections.abc import Callable

from sweep.trial.nvml import Gpu, others_of, own_processes
from sweep.trial.telemetry import BRAKES, HEAT, POWER_CAP

LOOK_S = 0.5
"""Time between two looks at the GPU."""

SETTLED_S = 5.0
"""A temperature that has reached no new low for so long has stopped falling: it is told in whole degrees."""


def cool_down(
    gpu: Gpu,
    limit_s: float,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until nothing holds a GPU's clock down, its temperature has stopped falling, and nobody else holds it.

    What the driver does not tell is not waited for. A KeyboardInterrupt ends it at once.

    Args:
        gpu: Which nothing of this program keeps at work meanwhile.
        limit_s: How long to wait at most.
        clock: Seconds.
        sleep: Waits for seconds.

    Returns:
        Whether it is fit; False when the limit has come first.
    """
    own = own_processes()
    begin = clock()
    coolest: int | None = None
    coolest_at = begin
    while True:
        now = clock()
        reading = gpu.read()
        if reading.temperature_c is not None and (coolest is None or reading.temperature_c < coolest):
            coolest, coolest_at = reading.temperature_c, now
        held = (HEAT | BRAKES | {POWER_CAP}).intersection(reading.throttle_reasons or ())
        shared = others_of([gpu.processes() or ()], own)
        settled = coolest is None or now - coolest_at >= SETTLED_S
        if settled and not held and not shared:
            return True
        if now - begin >= limit_s:
            return False
        sleep(min(LOOK_S, max(limit_s - (now - begin), 0.0)))
