"""What full tests have settled, for searchers that go by verdicts alone."""

from __future__ import annotations

from collections.abc import Iterable

from sweep.search.base import Observation, Shown

ATTEMPTS = 2
"""A test that FAILED says nothing about N, so it is run once more before it counts."""


def settled(seen: Iterable[Observation]) -> dict[int, bool]:
    """Return each N that needs no other test, and whether it is VALID.

    Full tests come before short ones, and later ones before earlier ones. A short test proves nothing VALID, but its
    INVALID or its lack of memory holds.
    """
    full: dict[int, bool] = {}
    short: dict[int, bool] = {}
    failures: dict[int, int] = {}
    for one in seen:
        n = one.samples_per_query
        if one.shown is Shown.FAILED:
            failures[n] = failures.get(n, 0) + one.is_full
        elif one.is_full:
            full[n] = one.shown is Shown.VALID
        elif one.shown is not Shown.VALID:
            short[n] = False
    failed = {n: False for n, count in failures.items() if count >= ATTEMPTS}
    return failed | short | full


def largest_valid(verdicts: dict[int, bool]) -> int | None:
    """Return the largest N that is VALID; None when there is none."""
    return max((n for n, valid in verdicts.items() if valid), default=None)
