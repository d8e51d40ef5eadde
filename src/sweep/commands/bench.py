"""Where the tests of one command are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sweep.config.build import Options
from sweep.store.records import Store
from sweep.study.measure import Bench
from sweep.study.rejection import Rejection
from sweep.trial.executor import Executor
from sweep.trial.gpu_meter import GpuMeters
from sweep.trial.interrupts import InterruptGate


@contextmanager
def open_bench(options: Options, gate: InterruptGate, say: Callable[[str], None]) -> Iterator[Bench]:
    """Yield the bench that a command's options ask for; its worker ends with the context."""
    with Executor(options.timeouts, GpuMeters(options.telemetry)) as executor:
        yield Bench(
            store=Store(options.outputs, say),
            executor=executor,
            gate=gate,
            resume=options.resume,
            rejection=Rejection.wanted(options.telemetry, say, options.busy),
            say=say,
            busy=options.busy,
        )
