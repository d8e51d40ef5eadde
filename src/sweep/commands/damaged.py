"""What is said of records that cannot be read."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sweep.errors import RecordError

_SHOWN = 10


def say_damaged(damaged: Sequence[RecordError]) -> None:
    """Name each record that cannot be read once, on standard error; of many, the first ones and how many more."""
    lines = list(dict.fromkeys(str(error) for error in damaged))
    for line in lines[:_SHOWN]:
        print(f"note: {line}", file=sys.stderr)
    if len(lines) > _SHOWN:
        print(f"note: ... and {len(lines) - _SHOWN} more", file=sys.stderr)
