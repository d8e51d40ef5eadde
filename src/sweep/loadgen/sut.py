"""The system under test: queries go to the engine, answers go back, with as little in between as Python allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import mlperf_loadgen as lg
import numpy as np
import numpy.typing as npt

from sweep.loadgen.qsl import SampleStore
from sweep.loadgen.responses import ResponsePool

Array = npt.NDArray[Any]
RunQuery = Callable[[int, int, Callable[[], None]], Sequence[Array]]
"""`Backend.run`: (slot, count, meanwhile) to outputs."""
DeviceTime = Callable[[], int | None]
"""`Backend.device_ns`: of the last query."""


class QueryLog(Protocol):
    """Where the latency of each finished query goes."""

    def start(self) -> None:
        """Learn that the first query has begun."""

    def record(self, latency_ns: int, device_ns: int | None) -> None:
        """Take the latency of the query that has just been completed, and the device's part of it where it is known."""

    def flushed(self) -> None:
        """Learn that LoadGen sends no more queries for now."""


class EngineFaultError(Exception):
    """The engine broke its contract in the middle of a test, so that nothing this test measured can be believed."""


class SystemUnderTest:
    """Serves MultiStream queries from a sample store through a backend.

    The responses of a query are pooled, and get their ids while the engine works. What can be checked after the
    answer is given (which samples the slice held, whether the answers are finite) is checked then: in a closed loop
    that lies between two queries and in no query's latency.

    Args:
        run_query: The engine.
        store: The loaded samples.
        samples_per_query: N; no query is larger.
        answers: Whether responses carry the class ids (accuracy mode), as one float32 per sample.
        predicts_class: Whether the engine's one output is int32 [N] class ids.
        log: Receives each query's latency: from LoadGen's call to the moment before responding, so never more
            than what LoadGen measures.
        on_fault: Called with the reason when the engine breaks; must not return, since LoadGen cannot unwind.
        device_ns: Tells how long the device worked on the last query. Asked after the answer is given.
    """

    def __init__(
        self,
        run_query: RunQuery,
        store: SampleStore,
        samples_per_query: int,
        *,
        answers: bool,
        predicts_class: bool,
        log: QueryLog,
        on_fault: Callable[[BaseException], None],
        device_ns: DeviceTime = lambda: None,
        counted: bool = False,
    ) -> None:
        self._run_query = run_query
        self._device_ns = device_ns
        self._store = store
        self._predicts_class = predicts_class
        self._counted = counted
        self._log = log
        self._on_fault = on_fault
        self._answers = np.zeros(samples_per_query, np.float32) if answers else None
        self._pool = ResponsePool(samples_per_query, self._answers)
        self.query_count = 0

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Run one query; LoadGen's issue callback for `ConstructFastSUT`."""
        begin = time.perf_counter_ns()
        if not self.query_count:
            self._log.start()
        count = len(ids)
        responses = self._pool.responses(count)

        prepared = False

        def prepare() -> None:
            nonlocal prepared
            self._pool.set_ids(ids)
            prepared = True

        try:
            slot = self._store.slot_of[indices[0]]
            outputs = self._run_query(slot, count, prepare)
            if self._answers is not None:
                self._answers[:count] = outputs[0]
        except BaseException as error:  # noqa: BLE001  (an exception through LoadGen ends the process without a word)
            self._on_fault(error)
            return
        if not prepared:  # the responses still have the ids of the query before
            self._on_fault(EngineFaultError("the backend broke its contract: it did not call `meanwhile`"))
            return
        latency_ns = time.perf_counter_ns() - begin
        lg.QuerySamplesComplete(responses)
        self.query_count += 1
        try:
            self._log.record(latency_ns, self._device_ns())
            self._verify(slot, indices, outputs)
        except Exception as fault:  # noqa: BLE001  (likewise)
            self._on_fault(fault)

    def flush(self) -> None:
        """Note that the queries are over for now; every one of them was answered before `issue` returned."""
        self._log.flushed()

    def _verify(self, slot: int, indices: list[int], outputs: Sequence[Array]) -> None:
        if self._store.indices[slot : slot + len(indices)] != indices:
            raise EngineFaultError(
                f"query {self.query_count} asked for samples that do not lie side by side in memory "
                f"(first index {indices[0]}, {len(indices)} samples): this LoadGen loads samples in another order"
            )
        check_answers(
            outputs, len(indices), self.query_count, predicts_class=self._predicts_class, counted=self._counted
        )


def check_answers(
    outputs: Sequence[Array], count: int, query: int, *, predicts_class: bool, counted: bool = False
) -> None:
    """Refuse answers that no working engine gives.

    Args:
        outputs: The engine's outputs, each [count, ...].
        count: Samples in the query.
        query: Number of the query, for the message; -1 in the warm-up.
        predicts_class: Whether the one output is class ids, with -1 for scores that were not finite.
        counted: Whether the backend has counted them, if they are no classes (`Backend.counts_answers`).

    Raises:
        EngineFaultError: An output is missing samples, or holds NaN or infinity.
    """
    name = f"query {query}" if query >= 0 else "warm-up"
    for number, output in enumerate(outputs):
        answered = output.shape[0] if output.ndim else 0
        whole = answered == count or (answered > 0 and answered % count == 0 and not predicts_class)
        if not whole and (predicts_class or not counted):
            raise EngineFaultError(f"{name}: the engine answered {answered} of {count} samples (output {number})")
        if predicts_class:
            if int(output.min()) < 0:
                bad = int((output < 0).sum())
                raise EngineFaultError(f"{name}: the engine's scores were NaN or infinite for {bad} of {count} samples")
        elif output.dtype.kind == "f" and not _is_finite(output):
            raise EngineFaultError(f"{name}: output {number} of the engine holds NaN or infinite values")


def _is_finite(output: Array) -> bool:
    # A sum is the cheapest scan; it can overflow without any bad value, so it only prompts the exact check.
    with np.errstate(all="ignore"):
        return bool(np.isfinite(output.sum()) or np.isfinite(output).all())
