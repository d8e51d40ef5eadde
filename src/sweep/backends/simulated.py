"""A stand-in engine whose latency is a formula: for tests, teaching, and benchmarks of searches.

It computes nothing and says so in every record. LoadGen, the worker, the verdict and the records around it are
the real ones.
"""

from __future__ import annotations

import ctypes
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np

from sweep.backends.base import Array, Availability, Backend, EngineRequest
from sweep.backends.options import Option, validate
from sweep.errors import BackendError, EngineOutOfMemoryError
from sweep.vocabulary import COMPUTED, Precision

FAULTS = ("none", "throw", "hang", "crash", "nan", "late", "short", "cold")
"""What can be made to go wrong at query `fault_at`: `late` delays that query and all after it, `cold` those before."""

_SPIN_NS = 200_000  # time.sleep overshoots by about 0.1 ms; the rest of a latency is spun


def latency_ms(count: int, options: Mapping[str, Any]) -> float:
    """Return the noise-free latency in ms of a query of `count` samples.

    `base_ms + per_sample_ms * n`, where n is `count` rounded up to a multiple of `step` (the staircase of a GPU).
    """
    step = int(options["step"])
    return float(options["base_ms"] + options["per_sample_ms"] * step * math.ceil(count / step))


class SimulatedBackend(Backend):
    """Waits for `latency_ms(count)` times seeded noise, then answers class 0 for every sample."""

    name: ClassVar[str] = "simulated"
    runs_models: ClassVar[bool] = False
    engine_depends_on_query: ClassVar[bool] = True  # its noise is seeded by N

    reusable: ClassVar[bool] = False  # it counts its queries, and draws each one's noise after the last one's

    OPTIONS: ClassVar[Mapping[str, Option]] = {
        "base_ms": Option(0.2, float, 0, 1e6),
        "per_sample_ms": Option(0.3, float, 0, 1e6),
        "step": Option(1, int, 1, 1_000_000),
        "noise": Option(0.0, float, 0, 1),
        "outlier_rate": Option(0.0, float, 0, 1),
        "outlier_factor": Option(3.0, float, 1, 1e6),
        "drift_per_query": Option(0.0, float, -1, 1),
        "max_batch": Option(None, int, 1, optional=True),
        "seed": Option(0, int, 0, 2**32 - 1),
        "fault": Option("none", str, choices=FAULTS),
        "fault_at": Option(10, int, 0),
        "fault_batch": Option(None, int, 1, optional=True),
    }

    def __init__(self, request: EngineRequest) -> None:
        super().__init__(request)
        self._rng: np.random.Generator
        self._queries = 0
        self._noise: list[float] = []
        self._top1 = np.zeros(0, np.int32)

    @classmethod
    def availability(cls) -> Availability:
        """Available everywhere."""
        return Availability(available=True, detail="a stand-in: latency is a formula, nothing is computed")

    @classmethod
    def precisions(cls) -> tuple[Precision, ...]:
        """Return all of them: a formula has no number format."""
        return COMPUTED

    @classmethod
    def validate_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the formula's coefficients and the fault to inject."""
        return validate(options, cls.OPTIONS)

    def __enter__(self) -> Self:
        """Begin at query 0; refuse a query larger than `max_batch`, as a device out of memory would."""
        limit = self.request.options["max_batch"]
        if limit is not None and self.request.engine_batch > limit:
            raise EngineOutOfMemoryError(
                f"simulated device out of memory: engine batch {self.request.engine_batch}, room for {limit}"
            )
        self._rng = np.random.default_rng([int(self.request.options["seed"]), self.request.samples_per_query])
        self._queries, self._noise = 0, []
        self._top1 = np.zeros(self.request.samples_per_query, np.int32)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the answers."""
        self._top1 = np.zeros(0, np.int32)

    def load(self, samples: Mapping[str, Array]) -> None:
        """Do nothing: no sample is ever looked at."""

    def run(self, slot: int, count: int, meanwhile: Callable[[], None]) -> Sequence[Array]:
        """Take as long as the formula says."""
        del slot  # no sample is looked at
        begin = time.perf_counter_ns()
        options = self.request.options
        end = begin + int(latency_ms(count, options) * self._factor() * 1e6)
        top1 = self._top1[:count]
        before = self._queries < options["fault_at"]
        if options["fault"] != "none" and before == (options["fault"] == "cold") and self._fault_applies(count):
            end, top1 = self._inject(options["fault"], end, top1)
        self._queries += 1
        meanwhile()
        while (left := end - time.perf_counter_ns()) > 0:
            if left > 2 * _SPIN_NS:
                time.sleep((left - _SPIN_NS) / 1e9)
        return (top1,)

    def _fault_applies(self, count: int) -> bool:
        only = self.request.options["fault_batch"]
        return only is None or only == count

    def _factor(self) -> float:
        options = self.request.options
        if not self._noise:
            noise = 1 + options["noise"] * self._rng.standard_normal(1024)
            outlier = self._rng.random(1024) < options["outlier_rate"]
            self._noise = np.where(outlier, noise * options["outlier_factor"], noise).clip(0).tolist()
        drift = 1 + float(options["drift_per_query"]) * self._queries
        return max(self._noise.pop() * drift, 0.0)

    def _inject(self, fault: str, end: int, top1: Array) -> tuple[int, Array]:
        match fault:
            case "throw":
                raise BackendError("simulated fault: the engine threw in the middle of the test")
            case "crash":
                ctypes.string_at(0)  # a real segmentation fault, as a broken driver would cause
            case "hang":
                time.sleep(1e6)
            case "nan":
                return end, np.full_like(top1, -1)
            case "short":
                return end, top1[:-1]
            case "late":
                return end + 10**9, top1
            case "cold":
                return end + 9 * (end - time.perf_counter_ns()), top1
        os._exit(1)  # unreachable: FAULTS is closed
