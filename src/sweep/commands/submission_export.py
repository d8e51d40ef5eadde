"""`python -m sweep submission export`: the tree of a round, from stored results."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.commands.arguments import Parser, check_not_a_record, one_of
from sweep.commands.damaged import say_damaged
from sweep.errors import ConfigError, Problem, one_line
from sweep.trial.interrupts import InterruptGate
from sweep.vocabulary import SIGNAL_EXIT, ExitCode, TestMode

if TYPE_CHECKING:
    from sweep.submission.plan import Plan
    from sweep.submission.system_file import SystemFile

_DESCRIPTION = """\
Write the tree of an MLPerf Inference round: for each system, benchmark and
scenario the best VALID official test and its accuracy test, judged by their
own logs. What is left out is listed with the reason. Nothing is overwritten,
and nothing half-written stays.

DIR is an output folder or a part of one (default: outputs); KEY=VALUE chooses
tests, as in sweep ls."""


def main(arguments: Sequence[str]) -> int:
    """Write a submission; return 0, and 130 for Ctrl-C."""
    from sweep.submission.rounds import DIVISIONS, ROUNDS

    options = _parser(tuple(ROUNDS), DIVISIONS).parse_args(arguments)

    from sweep.results.filters import split_words
    from sweep.results.selection import select
    from sweep.submission.export import check_free, write_tree
    from sweep.submission.plan import make_plan
    from sweep.submission.system_file import SYSTEM_FILE, SystemFile, read_system_file

    given = {"--round": (options.round, ROUNDS), "--division": (options.division, DIVISIONS)}
    problems = [
        Problem(name, None, "must be given", f"choose one of: {', '.join(choices)}")
        for name, (value, choices) in given.items()
        if value is None
    ]
    folders, filters = split_words(options.words)
    if options.system_file is None and Path(SYSTEM_FILE).is_file():
        options.system_file = SYSTEM_FILE
    file = SystemFile() if options.system_file is None else read_system_file(Path(options.system_file))
    submitter, problem = _submitter(options.submitter, file)
    if problem is not None:
        problems.append(problem)
    if problems:
        raise ConfigError(problems)
    out = Path(options.out or f"submission-{options.round}")
    check_not_a_record(out, "--out")
    check_free(out)
    places = folders or [Path("outputs")]
    selection = select(places, filters)
    say_damaged(selection.damaged)
    if filters and not selection.trials:
        fix = "see python -m sweep ls"
        raise ConfigError(Problem("submission export", None, f"no test passes {filters}", fix))
    # Filters choose what is exported; the accuracy that belongs to it need not pass them.
    others = select(places).trials if filters else ()
    passed = {one.directory for one in selection.trials}
    accuracy = [one for one in others if one.result.spec.mode is TestMode.ACCURACY and one.directory not in passed]
    with InterruptGate() as gate:
        gate.open()
        try:
            trials = [*selection.trials, *accuracy]
            rules = ROUNDS[options.round]
            plan = make_plan(trials, rules, options.division, submitter, file, list_all=options.all)
            write_tree(plan, out)
        except KeyboardInterrupt:
            print("interrupted: nothing was written", file=sys.stderr)
            return SIGNAL_EXIT + gate.signal
    if file.origin:
        print(f"with {file.origin}")
    _show(plan, out, list_all=options.all)
    return ExitCode.OK


def _parser(rounds: Sequence[str], divisions: Sequence[str]) -> Parser:
    parser = Parser(
        prog="sweep submission export",
        usage="%(prog)s [-h] [DIR ...] [KEY=VALUE ...] --round R\n"
        "       --division D --submitter NAME [--system-file FILE] [--out DIR] [--all]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="DIR or KEY=VALUE", nargs="*", help="where, and which tests")
    parser.add_argument("--round", metavar="R", type=one_of("--round", rounds), help=", ".join(rounds))
    parser.add_argument("--division", metavar="D", type=one_of("--division", divisions), help=", ".join(divisions))
    parser.add_argument("--submitter", metavar="NAME", help="who submits, unless the system file says so")
    parser.add_argument(
        "--system-file",
        metavar="FILE",
        help="what sweep submission init wrote, filled in (default: submission.yaml, if it is here)",
    )
    parser.add_argument("--out", metavar="DIR", help="folder to make (default: submission-R)")
    parser.add_argument("--all", action="store_true", help="name all tests that are left out, however many")
    return parser


def _submitter(given: str | None, file: SystemFile) -> tuple[str, Problem | None]:
    """Return who submits, and what is wrong with that."""
    from sweep.submission.system_file import name_problem

    if given is None and not file.submitter:
        return "", Problem("--submitter", None, "must be given", "--submitter NAME, or say it in the system file")
    if given is not None and file.submitter and given != file.submitter:
        fix = "leave out the one, or change the other"
        return "", Problem("--submitter", given, f"{file.origin} says submitter: {file.submitter}", fix)
    name = file.submitter if given is None else given
    return name, name_problem("--submitter", name)


def _show(plan: Plan, out: Path, *, list_all: bool) -> None:
    from sweep.submission.advice import left_out_lines

    for one in plan.results:
        score = one.accuracy.result.accuracy
        percent = "" if score is None else f", accuracy {score.accuracy:.3f} %"
        where = f"{plan.division}/{plan.submitter}: {one.system}, {one.folder}, {one.result.spec.scenario}"
        print(f"exported {where}: {one.metric}{percent}")
        print(f"         of {one.performance.stored.directory} and {one.accuracy.directory}")
    for line in left_out_lines(plan.left_out, list_all=list_all):
        print(f"left out {one_line(line)}")
    for note in plan.notes:
        print(f"note: {one_line(note)}")
    print(f"{one_line(str(out))}: written, for {plan.rules.name}")
    print(f"next: python -m sweep submission check {one_line(shlex.quote(str(out)))} --round {plan.rules.name}")
