"""Long lists of what was left out or found, put into a line for each reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sweep.report.words import count_of

LINES_MAX = 20
"""Lines of a list that is printed as it is."""

_VARYING = re.compile(r"'[^']*'|\b[0-9a-f]{6,}\b|\d[\w.,:]*")
"""What differs between two reasons that are one: figures, digests, quoted words."""


def by_reason(
    found: Sequence[tuple[str, Sequence[str]]], noun: str, *, list_all: bool = False, most: int = LINES_MAX
) -> Iterator[str]:
    """Yield a line for each place with its reasons and, where that is a long list, one for each reason instead.

    Args:
        found: Places, each with its reasons.
        noun: What a place is, for counting: `test`.
        list_all: List them however many they are, and sum up at the end.
        most: Lines that are no long list; 0 for the reasons alone, and no word of `--all`.
    """
    if list_all or len(found) <= most:
        yield from (f"{place}: {'; '.join(reasons)}" for place, reasons in found)
    if len(found) <= most:
        return
    of: dict[str, list[tuple[str, str]]] = {}
    for place, reasons in found:
        for kind, reason in {_VARYING.sub("#", reason): reason for reason in reasons}.items():
            of.setdefault(kind, []).append((place, reason))
    for group in sorted(of.values(), key=len, reverse=True):
        place, reason = group[0]
        yield f"{count_of(len(group), noun)}: {reason} (such as {place})"
    if most and not list_all:
        yield f"--all lists all {count_of(len(found), noun)}"
