"""Which tests a disturbed GPU has spoilt, and what is waited for before they are measured again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sweep.trial.cooldown import cool_down
from sweep.trial.gpu_meter import TelemetryOptions
from sweep.trial.nvml import NoNvmlError, open_gpu
from sweep.trial.result import TrialResult
from sweep.vocabulary import TestMode, TrialState

KEPT = "taken all the same"
"""How the note of a disturbed test begins that stands because no try was better."""


@dataclass(frozen=True)
class Rejection:
    """Measures tests again that a throttled or a shared GPU has disturbed.

    Attributes:
        retries: How often one test is measured again.
        cooldown_s: How long the GPU may take to be fit again before each of them.
        say: Told, in one line, what is waited for.
    """

    retries: int
    cooldown_s: float
    say: Callable[[str], None]

    @classmethod
    def wanted(cls, options: TelemetryOptions, say: Callable[[str], None]) -> Rejection | None:
        """Return what the options ask for; None where disturbed tests are marked and no more."""
        return cls(options.retries, options.cooldown_s, say) if options.reject else None

    def refuses(self, result: TrialResult) -> bool:
        """Say whether a test is to be measured again: it was disturbed, and did not stand as the last of its tries.

        A FAILED test shows nothing of the GPU's speed, nor does one of accuracy.
        """
        is_disturbed = result.telemetry is not None and result.telemetry.disturbed
        is_measured = result.state is TrialState.COMPLETE and result.spec.mode is TestMode.PERFORMANCE
        return is_disturbed and is_measured and not any(note.startswith(KEPT) for note in result.notes)

    def standing(self, result: TrialResult) -> TrialResult:
        """Return a disturbed test as one that stands: the last of its tries."""
        tries = self.retries + 1
        why = "its only try was disturbed" if tries == 1 else f"each of its {tries} tries was disturbed"
        return replace(result, notes=(*result.notes, f"{KEPT}: {why} (telemetry.retries={self.retries})"))

    def wait(self, result: TrialResult, retry: int, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait until the GPU of a disturbed test is fit again; a KeyboardInterrupt ends that.

        Args:
            result: The test.
            retry: How often it will have been measured again, this time included.
            sleep: Waits for seconds, and raises a KeyboardInterrupt that came meanwhile.
        """
        telemetry = result.telemetry
        if telemetry is None:
            return
        self.say(
            f"{'; '.join(telemetry.disturbances)}: measured again ({retry} of {self.retries}) once the GPU is cool "
            f"and free, after {self.cooldown_s:g} s at most"
        )
        try:
            gpu = open_gpu(telemetry.uuid or None)
        except NoNvmlError as error:
            self.say(f"whether it is cannot be told: {error}")
            return
        try:
            if not cool_down(gpu, self.cooldown_s, sleep=sleep):
                self.say(f"the GPU is not, after {self.cooldown_s:g} s (telemetry.cooldown_s)")
        finally:
            gpu.close()
