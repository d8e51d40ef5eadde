"""The largest N that tests have shown VALID: one rule for grids, reports and the dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sweep.trial.result import TrialResult
from sweep.vocabulary import Verdict


@dataclass(frozen=True)
class Shown:
    """What the full tests of one N have shown, without INVALID ones that are set aside.

    Attributes:
        valid: How many were VALID.
        invalid: How many were INVALID.
    """

    valid: int
    invalid: int

    @property
    def is_valid(self) -> bool:
        """Whether N was VALID and never INVALID: no other N is an answer."""
        return self.valid > 0 and self.invalid == 0

    @property
    def is_mixed(self) -> bool:
        """Whether it was both."""
        return self.valid > 0 and self.invalid > 0

    def __str__(self) -> str:
        both = self.valid + self.invalid
        return f"VALID in {self.valid} of its {both} test{'s' * (both > 1)}"


def set_aside(results: Iterable[TrialResult]) -> set[int]:
    """Return the `id` of INVALID tests that do not count: disturbed, where an undisturbed one of its N was VALID."""
    every = list(results)
    idle = {one.spec.samples_per_query for one in every if one.result is Verdict.VALID and not one.disturbances}
    invalid = (one for one in every if one.result is Verdict.INVALID and one.disturbances)
    return {id(one) for one in invalid if one.spec.samples_per_query in idle}


def shown_by_n(results: Sequence[TrialResult]) -> dict[int, Shown]:
    """Return what full tests of one setting have shown, by N, ascending; those without a verdict show nothing."""
    gone, found = set_aside(results), {}
    for n in sorted({one.spec.samples_per_query for one in results}):
        own = [one.result for one in results if one.spec.samples_per_query == n and id(one) not in gone]
        found[n] = Shown(own.count(Verdict.VALID), own.count(Verdict.INVALID))
    return found
