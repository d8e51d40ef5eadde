"""`python -m sweep show TRIAL`: all that is known of one test, one command or one search."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.commands.arguments import Parser, one_of
from sweep.errors import ConfigError, Problem, RecordError
from sweep.vocabulary import ExitCode

if TYPE_CHECKING:
    from sweep.store.records import StoredTrial

_DESCRIPTION = """\
Show one result in full: what was measured, the verdict with each check and its evidence, latencies, the GPU, the
machine, notes, other attempts, and where the logs are.

TRIAL is a name as sweep ls prints it, whole or as far as only one begins so, the beginning of a spec's digest, or a
path. Of a trial without a number the newest attempt is shown. Names of commands (ls --sweeps) and of searches
(ls --searches), and the paths of their folders and certificates, work too. DIR is where names are looked up
(default: outputs)."""

_FORMATS = ("text", "json")


def main(arguments: Sequence[str]) -> int:
    """Show one result; return 0."""
    parser = Parser(
        prog="sweep show",
        usage="%(prog)s [-h] TRIAL [DIR ...] [--format FORMAT]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trial", metavar="TRIAL", nargs="?", help="what to show")
    parser.add_argument("places", metavar="DIR", nargs="*", type=Path, help="where names are looked up")
    parser.add_argument(
        "--format",
        type=one_of("--format", _FORMATS),
        default="text",
        metavar="FORMAT",
        help="text (default), or json: the record as it was written",
    )
    options = parser.parse_args(arguments)
    if options.trial is None:
        raise ConfigError(Problem("TRIAL", None, "must be given", "python -m sweep ls lists their names"))

    from sweep.paths import MANIFEST, RESULT, AttemptPaths, SweepPaths
    from sweep.results.names import find_named

    path = find_named(options.trial, options.places or [Path("outputs")])
    as_json = options.format == "json"
    if path.name in ("", ".."):
        path = path.resolve()
    if path.name in (RESULT, MANIFEST):
        path = path.parent
    if path.is_file():
        return _show_search(path, as_json=as_json)
    if SweepPaths(path).manifest.exists():
        return _show_sweep(path, as_json=as_json)
    if AttemptPaths(path).result.exists() or path.name.isdecimal():
        return _show_attempt(path, as_json=as_json)
    return _show_trial(path, as_json=as_json)


def _show_trial(folder: Path, *, as_json: bool) -> int:
    """Show the newest attempt at a trial that can be read."""
    from sweep.paths import OutputPaths

    try:
        attempts = OutputPaths(folder.parent.parent).attempts(folder)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise ConfigError(Problem(str(folder), None, reason, "see python -m sweep ls")) from error
    finished = [paths for _, paths in attempts if paths.result.exists()]
    if not attempts:
        fix = "see python -m sweep ls"
        raise ConfigError(Problem(str(folder), None, "is no trial, no command and no certificate", fix))
    return _show_attempt((finished or [paths for _, paths in attempts])[-1].directory, as_json=as_json)


def _show_attempt(directory: Path, *, as_json: bool) -> int:
    from sweep.paths import AttemptPaths
    from sweep.store.records import load_attempt

    paths = AttemptPaths(directory)
    stored = load_attempt(paths)
    if stored is None:
        log = f"what its worker said: {paths.worker_log}" if paths.worker_log.exists() else "measure it again"
        raise ConfigError(Problem(str(directory), None, "was not finished, there is no result", log))
    if as_json:
        print(paths.result.read_text(encoding="utf-8").rstrip())
        return ExitCode.OK

    from sweep.terminal import console
    from sweep.terminal.attempt import show_attempt

    others, unreadable = _others(stored)
    show_attempt(console(), stored, others, unreadable)
    return ExitCode.OK


def _others(stored: StoredTrial) -> tuple[list[StoredTrial], list[str]]:
    """Return the other attempts at a trial, and a line for each that cannot be read or was not finished."""
    from sweep.paths import OutputPaths
    from sweep.store.records import load_attempt

    others, unreadable = [], []
    trial = stored.directory.absolute().parent
    try:
        attempts = OutputPaths(trial.parent.parent).attempts(trial)
    except OSError:  # of a record in a folder of somebody else's
        attempts = []
    for number, paths in attempts:
        if paths.directory.name == stored.directory.name:
            continue
        try:
            other = load_attempt(paths)
        except RecordError as error:
            unreadable.append(str(error))
            continue
        if other is None:
            unreadable.append(f"attempt {number} was not finished")
        else:
            others.append(other)
    return others, unreadable


def _show_sweep(folder: Path, *, as_json: bool) -> int:
    from sweep.commands.damaged import say_damaged
    from sweep.paths import SweepPaths
    from sweep.results.selection import select

    selection = select([folder])
    if not selection.sweeps:
        raise selection.damaged[0]
    if as_json:
        print(SweepPaths(folder).manifest.read_text(encoding="utf-8").rstrip())
        return ExitCode.OK

    from sweep.terminal import console
    from sweep.terminal.attempt import show_sweep

    say_damaged(selection.damaged)
    show_sweep(console(), selection.sweeps[0])
    return ExitCode.OK


def _show_search(path: Path, *, as_json: bool) -> int:
    from sweep.commands.damaged import say_damaged
    from sweep.results.selection import select

    selection = select([path])
    if not selection.searches:
        raise selection.damaged[0]
    if as_json:
        print(path.read_text(encoding="utf-8").rstrip())
        return ExitCode.OK

    from sweep.terminal import console, show_search

    say_damaged(selection.damaged)
    show_search(console(), selection.searches[0].outcome())
    return ExitCode.OK
