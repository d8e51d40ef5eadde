"""A comparison in words: the same rows for the terminal, Markdown and JUnit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sweep.compare.change import Change, Finding
from sweep.compare.estimate import Estimate, Metric
from sweep.compare.keys import ENVIRONMENT, Key, N
from sweep.compare.noise import Noise, Source
from sweep.compare.pairing import Comparison, Pair
from sweep.compare.points import Point
from sweep.report.words import ms

FIGURES = ("point", "figure", "before", "after", "change")
LIMITS, FINDING, NOTES = 5, 6, 7
"""Places of these columns in a row."""
_NAMED = ("model", "precision", "backend")
_QUIET = frozenset(
    {
        *("checks", "dataset_count", "max_duration_ms", "max_query_count", "performance_sample_count", "scenario"),
        *("algorithm", "confidence", "max", "min", "search", "seed", "step", "trials", ENVIRONMENT),
    }
)
"""Parts of a key that are told only where they tell points apart."""
_NOTHING = "-"
_FAR = 100.0
"""A change of so many times says nothing that a smaller one does not."""
_ENVIRONMENT_LETTERS = 6


class _Noisy(Protocol):
    """What has measured how far repeats differ."""

    @property
    def noise(self) -> Noise: ...

    @property
    def sees_sessions(self) -> bool: ...


@dataclass(frozen=True)
class Row:
    """A point, as people read it.

    Attributes:
        point: What it is a point of, without what all of them share.
        figure: What was compared.
        before: Its value on one side.
        after: On the other.
        change: By how much it has changed.
        limits: Between what that lies.
        finding: In one word; None where there is one side alone.
        notes: What is to be known beside that.
    """

    point: str
    figure: str
    before: str
    after: str
    change: str
    limits: str
    finding: Finding | None
    notes: str

    def cells(self) -> tuple[str, ...]:
        """Return the texts below `headings`."""
        return (
            *(self.point, self.figure, self.before, self.after, self.change, self.limits),
            *("" if self.finding is None else str(self.finding), self.notes),
        )


def headings(confidence: float) -> tuple[str, ...]:
    """Return the headings of a row's cells; its limits are those of the confidence."""
    return (*FIGURES, f"at {100 * confidence:g} %", "finding", "notes")


def rows(pairs: Sequence[Pair]) -> list[Row]:
    """Return a row for each pair, in order."""
    names = PointNames([pair.key for pair in pairs])
    return [row(names.of(pair.key), pair) for pair in pairs]


def row(name: str, pair: Pair) -> Row:
    """Return the row of one pair.

    Args:
        name: What it is a point of.
        pair: The two sides.
    """
    found = pair.change
    why = [found.why] if found.finding is Finding.UNKNOWN else []
    return Row(
        point=name,
        figure=figure_of(found.metric, pair.key),
        before=value_of(found.before),
        after=value_of(found.after),
        change=change_of(found),
        limits=_limits(found),
        finding=found.finding,
        notes="; ".join([*why, *pair.notes]),
    )


class PointNames:
    """Short names of points: model, precision and backend, and whatever else is not the same for all.

    Args:
        keys: Of all points that are named together.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        every = [dict(key) for key in keys]
        values: dict[str, set[str]] = {}
        alike: dict[tuple[tuple[str | None, ...], str], set[str]] = {}
        for key in every:
            named = tuple(key.get(name) for name in _NAMED)
            for name, value in key.items():
                values.setdefault(name, set()).add(value)
                alike.setdefault((named, name), set()).add(value)
        # What goes with the model or the precision (a calibration with int8) says nothing that they do not.
        self._varied = {name for (_, name), seen in alike.items() if len(seen) > 1 and name not in (*_NAMED, N)}
        single = {name: next(iter(seen)) for name, seen in values.items() if len(seen) == 1}
        self._shared = {name: value for name, value in single.items() if name not in (*_NAMED, N)}

    @property
    def shared(self) -> str:
        """What all points have in common and a person would ask for, in one line."""
        return ", ".join(f"{name}={value}" for name, value in self._shared.items() if value and name not in _QUIET)

    def of(self, key: Key) -> str:
        """Return the name of a point, without its N."""
        values = dict(key)
        named = " ".join(values[name] for name in _NAMED if values.get(name))
        more = [_part(name, value) for name, value in key if name in self._varied and value]
        return " ".join([named, *more]).strip()


def _part(name: str, value: str) -> str:
    return f"{name}={value[:_ENVIRONMENT_LETTERS] if name == ENVIRONMENT else value}"


def figure_of(metric: Metric, key: Key) -> str:
    """Return the name of a figure: `max streams`, `p99 at N=8`, `accuracy`."""
    values = dict(key)
    if metric is Metric.LATENCY:
        return f"p{values.get('percentile', '99')} at N={values[N]}"
    return str(metric)


def value_of(estimate: Estimate) -> str:
    """Return a figure with its unit; one that is only bounded says so."""
    if estimate.value is None:
        return _NOTHING
    if estimate.metric is Metric.LATENCY:
        return f"{'> ' * (estimate.high is None)}{ms(round(estimate.value))} ms"
    if estimate.metric is Metric.ACCURACY:
        return f"{estimate.value:.2f} %"
    value = "none" if estimate.value == 0 else f"{estimate.value:.5g}"
    if estimate.high is None:
        return f"{value} or more"
    return value if estimate.high == estimate.low else f"{value} (to {estimate.high:.5g})"


def change_of(found: Change) -> str:
    """Return by how much a figure has changed: relative or, for accuracy, in points of a percent."""
    if found.metric is Metric.ACCURACY and found.before.value is not None and found.after.value is not None:
        return f"{found.after.value - found.before.value:+.2f} points"
    if found.relative is None or (found.metric is Metric.LATENCY and found.before.high is None):
        return _NOTHING
    more = " or more" if found.metric is Metric.LATENCY and found.after.high is None else ""
    return f"{_percent(found.relative, 2)}{more}"


def _percent(share: float, digits: int) -> str:
    return f"{100 * share:+.{digits}f} %" if share < _FAR else f"> {100 * _FAR:g} %"


def _limits(found: Change) -> str:
    if found.low is None and found.high is None:
        return _NOTHING
    ends = [_NOTHING if end is None else _end(found, end) for end in (found.low, found.high)]
    return " to ".join(ends)


def _end(found: Change, end: float) -> str:
    if found.metric is Metric.ACCURACY and found.before.value is not None:
        return f"{end * found.before.value:+.2f}"
    return _percent(end, 1)


def summary(pairs: Sequence[Pair]) -> str:
    """Return how many points are better, worse, ... in one line."""
    counts = {finding: sum(pair.change.finding is finding for pair in pairs) for finding in Finding}
    said = {Finding.NO_EVIDENCE: "without evidence of a change", Finding.UNKNOWN: "not to be compared"}
    parts = [f"{count} {said.get(finding, str(finding))}" for finding, count in counts.items() if count]
    return ", ".join(parts) or "nothing to compare"


def apart(comparison: Comparison) -> list[str]:
    """Return what sets the two sides apart, a line each; never none."""
    lines = [
        f"{name}: {before or 'none'} -> {after or 'none'}"
        for name, (before, after) in comparison.compared.items()
        if name != ENVIRONMENT
    ]
    lines += [f"environment: {line}" for line in comparison.environments]
    if ENVIRONMENT in comparison.compared and not comparison.environments:
        lines.append("environment: the fingerprints differ")
    if lines:
        return lines
    if comparison.only_before or comparison.only_after:
        return ["no one setting; each has points that the other has not"]
    return ["nothing but when they were measured"]


def noise_of(result: _Noisy) -> str:
    """Return how far repeats differ, and whether that says how far sessions do, in one line."""
    if result.noise.source is not Source.MEASURED or result.sees_sessions:
        return str(result.noise)
    return f"{result.noise}, all within one session: how far sessions differ is not known"


def unmatched(points: Sequence[Point], others: Sequence[Point] = ()) -> list[str]:
    """Return points that have no partner, by names that tell them from those of the other side too."""
    names = PointNames([point.key for point in (*points, *others)])
    return [f"{names.of(point.key)}: {figure_of(point.metric, point.key)}" for point in points]


def table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    every = [list(headings), ["---"] * len(headings), *(list(line) for line in lines)]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in every)


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
