"""Which tests of a search a disturbed machine has spoilt, and how often they are run again."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.search.base import Observation, Shown
from sweep.study.measure import Outcome
from sweep.study.rejection import KEPT

TRIES = 3
"""Tests of one N that a call runs, at most, while a disturbed machine spoils them."""

_VERDICTS = (Shown.VALID, Shown.INVALID)


def is_spoilt(tries: Sequence[tuple[Observation, Outcome]]) -> bool:
    """Say whether nothing but a disturbed machine has said what a test says: a full one that it is INVALID.

    Args:
        tries: All that were told of the test, in order.
    """
    judged = [seen for seen, _ in tries if seen.shown in _VERDICTS]
    last = tries[-1][0]
    is_sound = last.is_full and all(seen.shown is Shown.VALID for seen in judged)
    return last.shown in _VERDICTS and all(seen.busy for seen in judged) and not is_sound


def is_worth_a_try(tries: Sequence[tuple[Observation, Outcome]], *, is_busy: bool | None) -> bool:
    """Say whether a spoilt test is to be measured again by this call, whose records are used up.

    Args:
        tries: As above.
        is_busy: Whether the last test that this call has measured was disturbed; None before the first.
    """
    fresh = [outcome for seen, outcome in tries if seen.shown in _VERDICTS and not outcome.reused]
    stored = sum(seen.shown in _VERDICTS and outcome.reused for seen, outcome in tries)
    if not tries[-1][0].is_full:  # it decides nothing: again if it is of another call, on a machine that may be idle
        return not fresh and is_busy is not True
    if fresh and any(note.startswith(KEPT) for note in fresh[-1].stored.result.notes):
        return False  # it is the last of several tries already
    return len(fresh) < max(TRIES - stored, 1)
