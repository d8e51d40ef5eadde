"""A comparison as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweep.compare.pairing import Comparison, Pair
from sweep.compare.points import Point
from sweep.compare.words import PointNames, apart, headings, noise_of, rows, summary, table, unmatched
from sweep.report.markdown import escaped

SCHEMA_VERSION = 1


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain JSON data, with the schema version."""
    return {
        "schema_version": SCHEMA_VERSION,
        "confidence": comparison.confidence,
        "noise": {
            "relative": comparison.noise.relative,
            "freedom": comparison.noise.freedom,
            "source": str(comparison.noise.source),
        },
        "compared": {name: list(values) for name, values in comparison.compared.items()},
        "environments": list(comparison.environments),
        "pairs": [pair_json(pair) for pair in comparison.pairs],
        "only_before": [_point_json(point) for point in comparison.only_before],
        "only_after": [_point_json(point) for point in comparison.only_after],
    }


def pair_json(pair: Pair) -> dict[str, Any]:
    """Return one pair as plain JSON data; `relative`, `low` and `high` are shares, 0.05 for 5 %."""
    found = pair.change
    return {
        "key": dict(pair.key),
        "metric": str(found.metric),
        "before": found.before.to_json(),
        "after": found.after.to_json(),
        "relative": found.relative,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "finding": str(found.finding),
        "why": found.why,
        "notes": list(pair.notes),
    }


def comparison_markdown(comparison: Comparison, names: tuple[str, str], notes: Sequence[str] = ()) -> str:
    """Return a comparison as Markdown.

    Args:
        comparison: Of two sides.
        names: Of the sides.
        notes: What else is to be said first.
    """
    parts = [f"## {summary(comparison.pairs)}", f"before: `{names[0]}`, after: `{names[1]}`"]
    parts += [f"note: {escaped(note)}" for note in notes]
    parts.append("What sets them apart:\n\n" + "\n".join(f"- {escaped(line)}" for line in apart(comparison)))
    if comparison.pairs:
        if shared := PointNames([pair.key for pair in comparison.pairs]).shared:
            parts.append(f"All points: {escaped(shared)}")
        parts += [
            table(headings(comparison.confidence), [row.cells() for row in rows(comparison.pairs)]),
            f"Noise: {escaped(noise_of(comparison))}.",
        ]
    before, after = comparison.only_before, comparison.only_after
    for side, points, others in (("before", before, after), ("after", after, before)):
        if points:
            parts.append(f"Only {side}:\n\n" + "\n".join(f"- {escaped(name)}" for name in unmatched(points, others)))
    return "\n\n".join(parts)


def _point_json(point: Point) -> dict[str, Any]:
    return {
        "key": dict(point.key),
        "metric": str(point.metric),
        "estimate": point.estimate.to_json(),
        "environment_digest": point.environment_digest,
        "result": point.result,
    }
