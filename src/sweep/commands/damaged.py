"""What is said of records that cannot be read."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sweep.errors import RecordError

_SHOWN = 10


def say_damaged(damaged: Sequence[RecordError]) -> None:
    """Name each record that cannot be read once, as `say_notes` does."""
    say_notes(list(dict.fromkeys(map(str, damaged))))


def say_notes(notes: Sequence[str]) -> None:
    """Print a line for each on standard error; of many, the first ones and how many more."""
    for note in notes[:_SHOWN]:
        print(f"note: {note}", file=sys.stderr)
    if len(notes) > _SHOWN:
        print(f"note: ... and {len(notes) - _SHOWN} more", file=sys.stderr)
