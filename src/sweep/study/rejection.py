"""Which tests a disturbance has spoilt, and what is waited for before they are measured again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sweep.trial.cooldown import cool_down
from sweep.trial.gpu_meter import TelemetryOptions
from sweep.trial.idle import BusyOptions, wait_for_idle
from sweep.trial.machine_load import BUSY
from sweep.trial.nvml import NoNvmlError, open_gpu
from sweep.trial.result import TrialResult
from sweep.trial.telemetry import SHARED, THROTTLED
from sweep.vocabulary import TestMode, TrialState

KEPT = "taken all the same"
"""How the note of a disturbed test begins that stands because no try was better."""


@dataclass(frozen=True)
class Demand:
    """What a group of keys asks of every test.

    Attributes:
        group: Its name on the command line.
        kinds: Disturbances that a test must not have.
        retries: How often one test is measured again for that.
        wait_s: How long the machine may take to be fit again before each of them.
    """

    group: str
    kinds: frozenset[str]
    retries: int
    wait_s: float

    @property
    def waiting(self) -> str:
        """What is done before a test is measured again."""
        return "waiting for an idle machine" if BUSY in self.kinds else "cooling the GPU down"

    def is_broken_by(self, result: TrialResult) -> bool:
        """Say whether a test has such a disturbance, and has not stood as the last of its tries."""
        stands = any(note.startswith(KEPT) and f"{self.group}.retries=" in note for note in result.notes)
        return not stands and not self.kinds.isdisjoint(result.disturbances)


@dataclass(frozen=True)
class Rejection:
    """Measures tests again that others, a throttled or a shared GPU have disturbed.

    Attributes:
        demands: What is asked of them.
        say: Told, in one line, what is waited for.
    """

    demands: tuple[Demand, ...]
    say: Callable[[str], None]

    @classmethod
    def wanted(
        cls, telemetry: TelemetryOptions, say: Callable[[str], None], busy: BusyOptions | None = None
    ) -> Rejection | None:
        """Return what the options ask for; None where disturbed tests are marked and no more."""
        busy = busy or BusyOptions()
        gpu = Demand("telemetry", frozenset({THROTTLED, SHARED}), telemetry.retries, telemetry.cooldown_s)
        machine = Demand("busy", frozenset({BUSY}), busy.retries, busy.retry_wait_s)
        demands = (*([gpu] if telemetry.reject else []), *([machine] if busy.reject else []))
        return cls(demands, say) if demands else None

    def broken(self, result: TrialResult) -> tuple[Demand, ...]:
        """Return the demands that a test does not meet.

        A FAILED test shows nothing of the machine's speed, nor does one of accuracy.
        """
        if result.state is not TrialState.COMPLETE or result.spec.mode is not TestMode.PERFORMANCE:
            return ()
        return tuple(demand for demand in self.demands if demand.is_broken_by(result))

    def refuses(self, result: TrialResult) -> bool:
        """Say whether a test is to be measured again."""
        return bool(self.broken(result))

    def retry(self, result: TrialResult, spent: Mapping[str, int]) -> tuple[Demand, ...]:
        """Return the demands for which a test is to be measured again; none where it stands, met or not.

        Args:
            result: The test.
            spent: How often it was measured again for each group of keys.
        """
        return tuple(demand for demand in self.broken(result) if spent.get(demand.group, 0) < demand.retries)

    def standing(self, result: TrialResult, tries: int) -> TrialResult:
        """Return a disturbed test as one that stands: the last of its tries."""
        why = "its only try was disturbed" if tries == 1 else f"each of its {tries} tries was disturbed"
        told = ", ".join(f"{demand.group}.retries={demand.retries}" for demand in self.broken(result))
        return replace(result, notes=(*result.notes, f"{KEPT}: {why} ({told})"))

    def wait(
        self, result: TrialResult, demand: Demand, retry: int, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Wait until what disturbed a test is over; a KeyboardInterrupt ends that.

        Args:
            result: The test.
            demand: What it did not meet.
            retry: How often it will have been measured again for that, this time included.
            sleep: Waits for seconds, and raises a KeyboardInterrupt that came meanwhile.
        """
        is_machine = BUSY in demand.kinds
        fit = "the machine is idle" if is_machine else "the GPU is cool and free"
        notes = [note.partition("; measure again")[0] for note in result.notes if note.startswith(tuple(demand.kinds))]
        self.say(
            f"{'; '.join(notes)}: measured again ({retry} of {demand.retries}) once {fit}, "
            f"after {demand.wait_s:g} s at most"
        )
        if is_machine:
            wait_for_idle(demand.wait_s, self.say, sleep)
        elif result.telemetry is not None:
            self._cool(result.telemetry.uuid or None, demand.wait_s, sleep)

    def _cool(self, uuid: str | None, limit_s: float, sleep: Callable[[float], None]) -> None:
        try:
            gpu = open_gpu(uuid)
        except NoNvmlError as error:
            self.say(f"whether it is cannot be told: {error}")
            return
        try:
            if not cool_down(gpu, limit_s, sleep=sleep):
                self.say(f"the GPU is not, after {limit_s:g} s (telemetry.cooldown_s)")
        finally:
            gpu.close()
