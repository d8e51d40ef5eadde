"""`python -m sweep report [DIR...] [KEY=VALUE...]`: what was measured, as a page, a table, or a picture."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from sweep.commands.arguments import Parser, check_not_a_record, one_of
from sweep.commands.damaged import say_damaged
from sweep.errors import ConfigError, Problem, unwritable
from sweep.paths import OutputPaths, real, write_bytes

_FORMATS = ("html", "md", "csv", "json", "png")
_CHOICES = "html, md, csv, json or png"
_STDOUT = "-"
_PART_MAX = 100
"""Characters of a file's name that tell which part it reports."""


def main(arguments: Sequence[str]) -> int:
    """Write a report and print where it lies; return 0."""
    parser = Parser(
        prog="sweep report",
        usage="%(prog)s [-h] [DIR ...] [KEY=VALUE ...] [--format FORMAT] [--out FILE]",
        description=(
            "Write a report of what was measured: answers, latency against samples per query, distributions, checks, "
            "machines. DIR is an output folder (outputs), or a sweep, a trial, or a certificate in one. "
            "KEY=VALUE chooses tests by any column of the results: model=resnet result=VALID p99_ms<50."
        ),
    )
    parser.add_argument("words", nargs="*", metavar="DIR or KEY=VALUE", help="where, and which tests")
    parser.add_argument(
        "--format",
        type=one_of("--format", _FORMATS),
        metavar="FORMAT",
        help="html (default: one file, plots, opens offline), md (a summary), csv (every column), json, png; else as "
        "the name of --out ends",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="where to write it; - is standard output; default: OUTPUTS/report.FORMAT, and of "
        "a part of it OUTPUTS/report-PART.FORMAT",
    )
    options = parser.parse_args(arguments)

    from sweep.report.write import FOR_FILES, document
    from sweep.results.filters import split_words
    from sweep.results.selection import output_root, select

    folders, filters = split_words(options.words)
    places = folders or [Path("outputs")]
    options.format = options.format or _format_of(options.out)
    default = OutputPaths(output_root(places[0])).report(options.format, _part(places, str(filters)))
    if options.out == _STDOUT and options.format in FOR_FILES:
        raise ConfigError(Problem("--out", _STDOUT, f"{options.format} is no text", "give a file"))
    path = Path.cwd() / "report" if options.out == _STDOUT else Path(options.out or default)
    if options.out != _STDOUT:
        check_not_a_record(path, "--out")
    selection = select(places, filters, with_latencies=True)
    say_damaged(selection.damaged)
    if not selection.trials and not selection.searches:
        which = f"no test passes {filters}" if filters else "there is no test that can be read"
        raise ConfigError(Problem(" ".join(map(str, places)), None, which, "give other folders, or other filters"))
    data = document(options.format, selection, places, filters, path.parent)
    if options.out == _STDOUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)  # UTF-8, as a file would hold, whatever the locale of the terminal
        return 0
    if os.path.isdir(path):  # noqa: PTH112  (of a name that is too long for a path, pathlib makes an error)
        raise ConfigError(Problem("--out", str(path), "is a folder", "give a file"))
    try:
        write_bytes(path, data)
    except OSError as error:
        raise unwritable(path, error, "--out") from error
    print(path)
    return 0


def _format_of(out: str | None) -> str:
    """Return the format that a file's name asks for; HTML where there is none."""
    suffix = "" if out is None or out == _STDOUT else Path(out).suffix
    if not suffix:
        return _FORMATS[0]
    name = {"htm": "html", "markdown": "md"}.get(suffix[1:].lower(), suffix[1:].lower())
    if name not in _FORMATS:
        raise ConfigError(Problem("--out", out, f"{suffix} is no format of a report", f"add --format {_CHOICES}"))
    return name


def _part(places: Sequence[Path], filters: str) -> str:
    """Return a name for a part of an output folder: the report of a part is not to replace that of the whole."""
    from sweep.results.selection import output_root

    parts = [place.name for place in places if real(place) != real(output_root(place))]
    text = " ".join([*parts, filters])
    return re.sub(r"[^A-Za-z0-9_.=-]+", "_", text.strip())[:_PART_MAX]
