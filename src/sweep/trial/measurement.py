"""What an executor tells of one trial: how far it is, and in the end what was seen of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sweep.gpus import Gpu
from sweep.trial.abort import Abort
from sweep.trial.machine_load import MachineLoad
from sweep.trial.messages import Warmup
from sweep.trial.result import Failure
from sweep.trial.telemetry import Telemetry, TimedReading


@dataclass(frozen=True)
class Progress:
    """How far a running trial is.

    Attributes:
        phase: `engine`, `warm-up` or `test`.
        query_count: Queries finished.
        planned_query_count: Queries of the whole test, at least.
        over_latency_count: Finished queries over the bound; None without a bound.
        percentile_ns: Running latency at the percentile of the rules; None before the first query.
        remaining_s: Estimated; None before there is anything to estimate from.
    """

    phase: str
    query_count: int
    planned_query_count: int
    over_latency_count: int | None
    percentile_ns: int | None
    remaining_s: float | None


@dataclass
class Measurement:
    """What was seen of one trial, before it is judged; `failure` is None when LoadGen ran to its end or was aborted.

    `gpu` is what it ran on, None for the CPU; `gpus_under_test` counts all that sweeps of this machine held meanwhile.
    """

    latencies_ns: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    device_ns: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    query_count: int = 0
    warmup: Warmup | None = None
    expected_latency_ns: int | None = None
    engine_ns: int = 0
    engine: Mapping[str, Any] = field(default_factory=dict)
    test_ns: int = 0
    machine_load: MachineLoad | None = None
    telemetry: Telemetry | None = None
    telemetry_series: tuple[TimedReading, ...] = ()
    no_telemetry: str = ""
    abort: Abort | None = None
    failure: Failure | None = None
    worker_was_warm: bool = False
    gpu: Gpu | None = None
    gpus_under_test: int = 0
