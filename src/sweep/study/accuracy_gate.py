"""The accuracy of an engine, measured before any time is spent on its latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sweep.study.measure import Bench, Outcome
from sweep.study.search import TrialPoint
from sweep.trial.measurement import Progress


class AccuracyTests(Protocol):
    """Makes the tests that the gate asks for."""

    def accuracy_point(self) -> TrialPoint:
        """Return the test of the engine's accuracy."""

    def reference_point(self) -> TrialPoint:
        """Return the test of the accuracy that it is held against."""


@dataclass(frozen=True)
class GateResult:
    """What the gate has found.

    Attributes:
        holds: Whether the engine is accurate enough.
        words: Accuracy, reference and demand in one line; why it could not be measured when it could not.
        failed: Whether it could not be measured.
    """

    holds: bool
    words: str
    failed: bool


def check_accuracy(
    tests: AccuracyTests,
    bench: Bench,
    min_accuracy: float,
    reference_accuracy: float | None,
    on_progress: Callable[[Progress], None],
) -> GateResult:
    """Measure an engine's accuracy, or look it up, and hold it against the reference.

    Args:
        tests: Makes the tests.
        bench: Where they are measured.
        min_accuracy: Share of the reference that is demanded, as MLPerf demands 99 % of a model's fp32 accuracy.
        reference_accuracy: The reference in percent; None to measure it.
        on_progress: Told of both tests.
    """
    own = _measured(tests.accuracy_point(), bench, on_progress)
    if own.stored.result.accuracy is None:
        return _not_measured("the engine", own)
    accuracy = own.stored.result.accuracy.accuracy
    if reference_accuracy is None:
        reference = _measured(tests.reference_point(), bench, on_progress)
        if reference.stored.result.accuracy is None:
            return _not_measured("the fp32 reference", reference)
        reference_accuracy = reference.stored.result.accuracy.accuracy
        source = "of fp32, measured"
    else:
        source = "as search.reference_accuracy says"
    demanded = min_accuracy * reference_accuracy
    holds = accuracy >= demanded
    words = (
        f"{accuracy:.3f} %, {'enough' if holds else 'too low'}: {100 * min_accuracy:g} % of {reference_accuracy:.3f} % "
        f"({source}) is {demanded:.3f} %"
    )
    return GateResult(holds=holds, words=words, failed=False)


def _measured(point: TrialPoint, bench: Bench, on_progress: Callable[[Progress], None]) -> Outcome:
    bench.pause()
    return bench.newest(point.spec) or bench.measure(point.spec, point.files, on_progress)


def _not_measured(whose: str, outcome: Outcome) -> GateResult:
    failure = outcome.stored.result.failure
    reason = "none in its record" if failure is None else f"{failure.kind}: {failure.message}"
    return GateResult(holds=False, words=f"the accuracy of {whose} could not be measured: {reason}", failed=True)
