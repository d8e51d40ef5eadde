"""`python -m sweep submission init`: the file in which a user says what no test can know."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from sweep.commands.arguments import Parser, check_not_a_record
from sweep.commands.damaged import say_damaged
from sweep.errors import ConfigError, Problem, unwritable
from sweep.paths import write_text
from sweep.submission.system_file import SYSTEM_FILE

_DESCRIPTION = """\
Write a small YAML file with every field that a submission wants of each system
and model among the results: filled in as far as tests know it. Fill in the
rest once, and give the file to sweep submission export.

DIR is an output folder or a part of one (default: outputs); KEY=VALUE chooses
tests, as in sweep ls."""


def main(arguments: Sequence[str]) -> int:
    """Write the file; return 0."""
    parser = Parser(
        prog="sweep submission init",
        usage="%(prog)s [-h] [DIR ...] [KEY=VALUE ...] [--out FILE]\n       [--submitter NAME]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="DIR or KEY=VALUE", nargs="*", help="where, and which tests")
    parser.add_argument("--out", metavar="FILE", default=SYSTEM_FILE, help="file to write (default: %(default)s)")
    parser.add_argument("--submitter", metavar="NAME", default="", help="who submits")
    options = parser.parse_args(arguments)

    from sweep.results.filters import split_words
    from sweep.results.selection import select
    from sweep.submission.machine import NOT_STATED
    from sweep.submission.system_file import name_problem
    from sweep.submission.template import system_file_text
    from sweep.vocabulary import TrialState, Weights

    folders, filters = split_words(options.words)
    if options.submitter and (problem := name_problem("--submitter", options.submitter)) is not None:
        raise ConfigError(problem)
    out = Path(options.out)
    check_not_a_record(out, "--out")
    if os.path.lexists(out):
        raise ConfigError(Problem("--out", options.out, "exists already", "choose another file with --out"))
    selection = select(folders or [Path("outputs")], filters)
    say_damaged(selection.damaged)
    done = [one for one in selection.trials if one.result.state is TrialState.COMPLETE]
    trials = [one for one in done if one.result.spec.model.weights is not Weights.NONE]
    if not trials:
        reason = "no test of a model was found" + (f" with {filters}" if filters else "")
        raise ConfigError(Problem("submission init", None, reason, "see python -m sweep ls"))
    text = system_file_text(trials, options.submitter)
    try:
        write_text(out, text)
    except OSError as error:
        raise unwritable(out, error, "--out") from error
    missing = text.count(f'"{NOT_STATED}"') - text.count(f'"{NOT_STATED}" is')
    print(f"{out}: written; {missing} fields are {NOT_STATED}")
    named = "" if str(out) == SYSTEM_FILE else f" --system-file {shlex.quote(str(out))}"
    print(f"next: fill them in, then python -m sweep submission export --round R --division D --submitter NAME{named}")
    return 0
