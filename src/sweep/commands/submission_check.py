"""`python -m sweep submission check DIR`: a tree, held against the rules of its round."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.commands.arguments import Parser, one_of
from sweep.errors import one_line
from sweep.report.words import count_of
from sweep.trial.interrupts import InterruptGate
from sweep.vocabulary import SIGNAL_EXIT, ExitCode

if TYPE_CHECKING:
    from sweep.submission.check import Checked
    from sweep.submission.official_checker import OfficialReport

_DESCRIPTION = """\
Check a submission tree, one's own or anybody's, against the public rules of
its round. Each finding says what is wrong and why that matters;
docs/submission-checks.md lists all checks.

With --checker the official checker runs too, from your own checkout of
mlcommons/inference, and its findings follow."""


def main(arguments: Sequence[str]) -> int:
    """Print findings; return 0 without errors, 1 with some."""
    from sweep.submission.rounds import DIVISIONS, ROUNDS

    options = _parser(tuple(ROUNDS), DIVISIONS).parse_args(arguments)

    from sweep.submission.check import check_tree
    from sweep.submission.findings import Severity
    from sweep.submission.official_checker import run_official_checker

    root = Path(options.tree)
    checked = check_tree(root, options.round, options.division)
    official = None
    if options.checker is not None:
        with InterruptGate() as gate:
            gate.open()
            try:
                official = run_official_checker(Path(options.checker), root, checked.rules.name)
            except KeyboardInterrupt:
                print("interrupted: the official checker was ended", file=sys.stderr)
                return SIGNAL_EXIT + gate.signal
    _show(checked, verbose=options.list, list_all=options.all)
    if official is not None:
        _show_official(official)
    failed = checked.count(Severity.ERROR) or not checked.tree.results or (official is not None and not official.passed)
    return ExitCode.FAILED if failed else ExitCode.OK


def _parser(rounds: Sequence[str], divisions: Sequence[str]) -> Parser:
    parser = Parser(
        prog="sweep submission check",
        usage="%(prog)s [-h] DIR [--round R] [--division D]\n       [--checker PATH] [--list] [--all]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit codes: 0 no errors, 1 errors, 2 bad input.",
    )
    parser.add_argument("tree", metavar="DIR", help="the folder that holds closed or open")
    parser.add_argument(
        "--round",
        metavar="R",
        type=one_of("--round", rounds),
        help=f"{', '.join(rounds)}; default: whose random seeds its tests were drawn with",
    )
    parser.add_argument("--division", metavar="D", type=one_of("--division", divisions), help="default: both")
    parser.add_argument("--checker", metavar="PATH", help="your checkout of mlcommons/inference, or the checker's file")
    parser.add_argument("--list", action="store_true", help="list the rules that were checked, too, where they apply")
    parser.add_argument("--all", action="store_true", help="list all findings, however many, by place")
    return parser


def _show(checked: Checked, *, verbose: bool, list_all: bool) -> None:
    from sweep.report.reasons import LINES_MAX, by_reason
    from sweep.submission.check import ALL_CHECKS
    from sweep.submission.findings import Severity

    guessed = ", as the random seeds of its tests tell" if checked.guessed else ""
    print(
        f"{one_line(str(checked.tree.root))}: {count_of(len(checked.tree.results), 'result')}, "
        f"rules of {checked.rules.name}{guessed}"
    )
    if verbose:
        for check in ALL_CHECKS:
            print(f"  rule: {check.name}: {check.demands}")
    is_long = len(checked.findings) > LINES_MAX
    for place, findings in groupby(checked.findings, key=lambda one: one.place) if list_all or not is_long else ():
        print(one_line(place))
        for one in findings:
            print(f"  {one.found.severity}: {one.check.name}: {one_line(one.found.what)}")
            print(f"      rule: {one.check.demands}; why: {one.check.why}")
    for severity in Severity if is_long else ():
        of = [one for one in checked.findings if one.found.severity is severity]
        found = [(one.place, (f"{one.check.name}: {one.found.what}",)) for one in of]
        for line in by_reason(found, "place", most=0):
            print(f"{severity}: {one_line(line)}")
    if is_long and not list_all:
        print(f"--all lists all {len(checked.findings)} findings by place, each with its rule")
    counts = [
        count_of(checked.count(Severity.ERROR), "error"),
        count_of(checked.count(Severity.WARNING), "warning"),
        f"{checked.count(Severity.NOT_CHECKED)} not checked",
    ]
    if not checked.tree.results:
        counts.insert(0, "no result in it")
    print(f"sweep's own {len(ALL_CHECKS)} checks: {', '.join(counts)}")


def _show_official(report: OfficialReport) -> None:
    print(f"official checker: {' '.join(report.command)}")
    for one in report.findings:
        print(f"  {one.severity}: official: {one.text}")
    if report.failure:
        print(f"official checker: could not check: {report.failure}")
    else:
        print(f"official checker: {report.summary} (exit code {report.exit_code})")
