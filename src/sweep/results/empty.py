"""Why filters found nothing: which of them, and what there is instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweep.results.filters import Condition, Filters
from sweep.store.records import StoredTrial

_SHOWN = 12


def why_empty(filters: Filters, trials: Sequence[StoredTrial]) -> tuple[str, ...]:
    """Return, in a few lines, why no record passes filters.

    Args:
        filters: That let none pass.
        trials: All that there are.
    """
    if not trials:
        return ("no test was finished here yet",)
    return tuple(_lines(filters, trials))


def _lines(filters: Filters, trials: Sequence[StoredTrial]) -> Iterator[str]:
    alone = {one: sum(one.holds(one.column.get(trial)) for trial in trials) for one in filters.conditions}
    for one, count in alone.items():
        if not count:
            yield f"{one.text} finds none of {len(trials)} records; {one.key} has: {_values(one, trials)}"
    if all(alone.values()):
        yield f"none of {len(trials)} records passes all filters; alone {_counts(alone)}"


def _counts(alone: dict[Condition, int]) -> str:
    return ", ".join(f"{one.text} finds {count}" for one, count in alone.items())


def _values(condition: Condition, trials: Sequence[StoredTrial]) -> str:
    """Return what a column holds: the range of many numbers, else each value."""
    values = {condition.column.get(trial) for trial in trials}
    known = sorted(value for value in values if value is not None)
    missing = ["none"] * (None in values)
    if known and not isinstance(known[0], str | bool):
        figures = [f"{value / condition.factor:.10g}" for value in known]
        shown = figures if len(figures) <= _SHOWN else [f"{figures[0]} to {figures[-1]}"]
        return ", ".join([*shown, *missing])
    texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in known]
    more = [f"... and {len(texts) - _SHOWN} more"] * (len(texts) > _SHOWN)
    return ", ".join([*texts[:_SHOWN], *more, *missing])
