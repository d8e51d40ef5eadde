"""The largest N that tests have shown VALID: one rule for grids, reports and the dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sweep.trial.result import TrialResult
from sweep.vocabulary import DISTURBED, Verdict


@dataclass(frozen=True)
class Verdicts:
    """What the full tests of one N have shown, without those that are set aside.

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
    """Return the `id` of full tests that do not count, by the rule of `search.evidence.pools`.

    Disturbed ones of an N of which one was INVALID, once an undisturbed one has a verdict: VALID ones go with it.
    """
    judged = [one for one in results if one.result is not None]
    idle = {one.spec.samples_per_query for one in judged if not one.disturbances}
    disturbed = [one for one in judged if one.disturbances]
    blamed = {one.spec.samples_per_query for one in disturbed if one.result is Verdict.INVALID}
    return {id(one) for one in disturbed if one.spec.samples_per_query in idle & blamed}


def shown_by_n(results: Sequence[TrialResult]) -> dict[int, Verdicts]:
    """Return what full tests of one setting have shown, by N, ascending; those without a verdict show nothing."""
    gone, found = set_aside(results), {}
    for n in sorted({one.spec.samples_per_query for one in results}):
        own = [one.result for one in results if one.spec.samples_per_query == n and id(one) not in gone]
        found[n] = Verdicts(own.count(Verdict.VALID), own.count(Verdict.INVALID))
    return found


def mark_of(results: Sequence[TrialResult], largest: int | None) -> str:
    """Return `, disturbed` where no undisturbed full test of a setting shows its answer, else nothing.

    That is: VALID at the answer, or INVALID at an N that bounds it from above, up to the first that was never VALID.

    Args:
        results: Of full tests.
        largest: The answer; None where no N is VALID.
    """
    gone, least = set_aside(results), largest or 0
    counting = [one for one in results if id(one) not in gone]
    invalid = [one for one in counting if one.result is Verdict.INVALID and one.spec.samples_per_query > least]
    valid = {one.spec.samples_per_query for one in counting if one.result is Verdict.VALID}
    whole = {one.spec.samples_per_query for one in invalid} - (valid if largest is not None else set())
    bound = min(whole, default=None)
    groups: dict[int, list[bool]] = {}
    for one in counting:
        n = one.spec.samples_per_query
        is_bounding = one in invalid and (bound is None or n <= bound)
        if is_bounding or (n == largest and one.result is Verdict.VALID):
            groups.setdefault(n, []).append(bool(one.disturbances))
    return f", {DISTURBED}" if any(map(all, groups.values())) else ""
