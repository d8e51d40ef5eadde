"""`python -m sweep compare A B`: two sides of results, point by point."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.commands.arguments import Parser, exists, one_of, percent
from sweep.errors import ConfigError, Problem

if TYPE_CHECKING:
    from sweep.results.selection import Selection

_DESCRIPTION = """\
Put two sides of results side by side: max streams, latency at equal N, accuracy; each with its change, between what
that lies, and whether there is evidence for it: better, worse, or no evidence.

A side is a folder (an output folder, one of its sweeps, trials or certificates), or filters on the records in outputs
(commit=abc123, precision=int8, host=one), or both in quotes: "nightly/outputs commit=abc123*". KEY=VALUE after
the two sides filters both. Whatever has one value on each side, and not the same, is what is compared; everything else
must be equal. The findings hold for all points together: two identical sides show "no evidence" everywhere with the
confidence."""

_FORMATS = ("table", "md", "json")


def main(arguments: Sequence[str]) -> int:
    """Compare two sides and print what has changed; return 0 whatever was found."""
    parser = Parser(
        prog="sweep compare", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", metavar="A", nargs="?", help="one side")
    parser.add_argument("after", metavar="B", nargs="?", help="the other")
    parser.add_argument("filters", metavar="KEY=VALUE", nargs="*", help="filters of both sides")
    parser.add_argument(
        "--confidence",
        metavar="PERCENT",
        type=percent("--confidence", 50, 99.99),
        default=95.0,
        help="that two identical sides show no evidence anywhere (default 95)",
    )
    parser.add_argument(
        "--noise",
        metavar="PERCENT",
        type=percent("--noise", 0, 50),
        help="how far the latency of sessions differs (standard deviation), if known; else repeats are asked",
    )
    parser.add_argument("--format", type=one_of("--format", _FORMATS), default="table", help=", ".join(_FORMATS))
    options = parser.parse_args(arguments)
    if options.after is None:
        raise ConfigError(Problem("compare", None, "needs two sides, A and B", "see python -m sweep compare --help"))

    from sweep.commands.damaged import say_damaged
    from sweep.compare.pairing import compare
    from sweep.compare.points import points_of

    sides = [_select(words, options.filters) for words in (options.before, options.after)]
    say_damaged([error for side in sides for error in side.damaged])
    points = [points_of(side) for side in sides]
    empty = [words for words, own in zip((options.before, options.after), points, strict=True) if not own]
    if empty:
        raise ConfigError(
            [Problem(words, None, "holds nothing to compare", "see python -m sweep ls") for words in empty]
        )
    noise = None if options.noise is None else options.noise / 100
    comparison = compare(points[0], points[1], noise, options.confidence / 100)
    notes = _shared(sides)
    if options.format == "json":
        from sweep.compare.files import comparison_json

        print(json.dumps({"notes": notes, **comparison_json(comparison)}, indent=2, allow_nan=False))
        return 0
    if options.format == "md":
        from sweep.compare.files import comparison_markdown

        print(comparison_markdown(comparison, (options.before, options.after), notes))
        return 0
    from sweep.terminal import console
    from sweep.terminal.comparison import show_comparison

    out = console()
    for name, words, own in zip(("before", "after"), (options.before, options.after), sides, strict=True):
        out.print(f"{name}: {words} ({_size(own)})", markup=False, highlight=False)
    for note in notes:
        out.print(f"note: {note}", markup=False, highlight=False)
    show_comparison(out, comparison)
    return 0


def _select(words: str, more: Sequence[str]) -> Selection:
    from sweep.results.filters import is_filter, parse_filters, split_words
    from sweep.results.selection import select

    try:
        parts = [words] if exists(Path(words)) else shlex.split(words)
    except ValueError as error:
        raise ConfigError(Problem(words, None, f"cannot be read: {error}", "close the quotes")) from error
    folders, _ = split_words(parts)
    filters = parse_filters([*(part for part in parts if is_filter(part)), *more])
    return select(folders or [Path("outputs")], filters, whole_searches=True, with_latencies=True)


def _size(selection: Selection) -> str:
    trials, searches = len(selection.trials), len(selection.searches)
    return f"{trials} {'record' if trials == 1 else 'records'}, {searches} {'search' if searches == 1 else 'searches'}"


def _shared(sides: Sequence[Selection]) -> list[str]:
    """Return the note that both sides hold the same records, which cannot differ from themselves."""
    from sweep.compare.points import measurement

    kept = [{measurement(one) for one in side.trials} for side in sides]
    both = len(kept[0] & kept[1])
    if not both:
        return []
    return [f"{both} {'record is' if both == 1 else 'records are'} on both sides, and cannot differ from themselves"]
