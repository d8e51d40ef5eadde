"""`python -m sweep import-ck PATH|ZIP ...`: tests of the 2020 workflow, among those of sweep."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sweep.commands.arguments import Parser, exists
from sweep.errors import ConfigError, Problem
from sweep.vocabulary import ExitCode

_DESCRIPTION = """\
Bring entries of CK's experiment module into an output folder: every point, and
every run of it, becomes a trial that says where it comes from, with LoadGen's
logs as they were and a verdict that is formed anew from them.

PATH is the folder of an entry or of a repository of several; ZIP is one of
either. What cannot be imported is named, a line each, and the rest is
imported. Importing the same again changes nothing."""


def main(arguments: Sequence[str]) -> int:
    """Import entries; return 0 when all is there, 1 when a part was left out, 2 when there was nothing to import."""
    parser = Parser(
        prog="sweep import-ck",
        usage="%(prog)s [-h] [--outputs DIR] [--all] PATH|ZIP ...",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 all of it is there, 1 a part was left out,\n2 nothing could be imported, or bad input.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", metavar="PATH|ZIP", nargs="+", help="what holds entries of CK")
    parser.add_argument("--outputs", default="outputs", metavar="DIR", help="default: outputs")
    parser.add_argument("--all", action="store_true", help="name all that is left out, however much")
    options = parser.parse_args(arguments)
    if "" in options.places:
        raise ConfigError(Problem("PATH|ZIP", "''", "is no name", "give a folder or a zip"))
    if not options.outputs:
        raise ConfigError(Problem("--outputs", "''", "is no name", "give a folder"))
    places, outputs = [Path(place) for place in options.places], Path(options.outputs)
    if exists(outputs) and not outputs.is_dir():
        raise ConfigError(Problem("--outputs", str(outputs), "is no folder", "give a folder"))

    from sweep.imports.ck import import_ck
    from sweep.report.reasons import by_reason
    from sweep.report.words import count_of
    from sweep.store.records import StoredTrial
    from sweep.terminal.words import headline

    def say(stored: StoredTrial) -> None:
        spec = stored.result.spec
        print(f"{stored.directory.parent.name}/{stored.directory.name}: {spec.scenario}, {headline(stored.result)}")

    done = import_ck(places, outputs, say)
    for line in done.known:
        print(f"skipped: {line}")
    for line in done.notes:
        print(f"note: {line}", file=sys.stderr)
    left_out = [(place, (reason,)) for place, _, reason in (line.partition(": ") for line in done.problems)]
    for line in by_reason(left_out, "point", list_all=options.all):
        print(f"left out: {line}", file=sys.stderr)
    parts = [count_of(len(done.stored), "new trial")]
    parts += [f"{len(done.known)} here already"] if done.known else []
    parts += [f"{len(done.problems)} left out"] if done.problems else []
    print(f"{outputs}: {', '.join(parts)} of {done.entries} {'entry' if done.entries == 1 else 'entries'} of CK")
    if not done.problems:
        return ExitCode.OK
    return ExitCode.FAILED if done.stored or done.known else ExitCode.BAD_INPUT
