"""`python -m sweep gate`: hold results against a baseline, for CI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.commands.arguments import Parser, check_not_a_record, exists, percent
from sweep.commands.damaged import say_damaged
from sweep.errors import ConfigError, Problem, unwritable
from sweep.paths import write_bytes, write_text
from sweep.vocabulary import ExitCode

if TYPE_CHECKING:
    from sweep.compare.baseline import Baseline
    from sweep.compare.gate import GateReport
    from sweep.compare.points import Point
    from sweep.results.filters import Filters

_DESCRIPTION = """\
Hold results against a baseline: exit code 1 when max streams, the margin that a p99 leaves to its bound, or an accuracy
has fallen by more than noise and the tolerance, when a point could not be measured, and when one is missing.

DIR is an output folder or one of its sweeps (default: outputs); KEY=VALUE filters records. The baseline is a file that
--update writes: figures and their uncertainty, per machine, small enough to commit. Results of a machine are held
against those of the same hardware; what is installed on it may change, which is said. A baseline made of several
sweeps (--update with several DIR) knows how far sessions differ, and guards better than one of a single night."""


def main(arguments: Sequence[str]) -> int:
    """Run the gate; return 0 when it is open, 1 when something has fallen or is missing."""
    options = _parser().parse_args(arguments)
    if options.baseline is None:
        raise ConfigError(Problem("--baseline", None, "must be given", "--baseline FILE"))

    from sweep.compare.baseline import Baseline, read_baseline
    from sweep.compare.gate import Tolerances, run_gate
    from sweep.compare.points import points_of
    from sweep.results.filters import split_words
    from sweep.results.selection import select

    path, folders, filters = Path(options.baseline), *split_words(options.words)
    is_first = not exists(path)
    if problems := list(_contradictions(options, filters, is_first=is_first)):
        raise ConfigError(problems)
    for field, given in (("--baseline", path), ("--junit", options.junit), ("--summary", options.summary)):
        if given is not None:
            check_not_a_record(Path(given), field)
    baseline = Baseline() if is_first else read_baseline(path)
    # An update of several folders takes all that they hold, as repeats; else what each point's last command measured.
    is_pooled = options.update and len(folders) > 1
    selection = select(folders or [Path("outputs")], filters, whole_searches=True, with_latencies=True)
    say_damaged(selection.damaged)
    points = points_of(selection, newest=not is_pooled)
    tolerances = Tolerances(options.tolerance, options.accuracy_tolerance)
    noise = None if options.noise is None else options.noise / 100
    report = run_gate(baseline.only(filters), points, tolerances, noise, options.confidence / 100)
    headline = _headline(report, is_first=is_first)
    note = _update(baseline, points, report, path, prune=options.prune) if options.update else ""
    _write(options, report, headline, note)
    _show(report, headline, note)
    if options.update:
        return ExitCode.FAILED if not points or any(_is_unmeasured(point) for point in points) else ExitCode.OK
    return ExitCode.OK if report.is_open else ExitCode.FAILED


def _contradictions(options: argparse.Namespace, filters: Filters, *, is_first: bool) -> Iterator[Problem]:
    if is_first and not options.update:
        yield Problem("--baseline", options.baseline, "does not exist", "write it with --update from a good run")
    if options.prune and not options.update:
        yield Problem("--prune", None, "needs --update", "without it no baseline is written")
    if options.prune and filters:
        yield Problem("--prune", None, f"would drop whatever {filters} leaves out", "leave out the filters")


def _is_unmeasured(point: Point) -> bool:
    return point.is_asked and point.estimate.value is None and not point.is_cut_short


def _parser() -> Parser:
    from sweep.compare.gate import TOLERANCE_PERCENT, TOLERANCE_POINTS

    parser = Parser(prog="sweep gate", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", metavar="DIR|KEY=VALUE", nargs="*", help="folders of results, and filters")
    parser.add_argument("--baseline", metavar="FILE", help="what to hold the results against")
    parser.add_argument(
        "--update",
        action="store_true",
        help="write what was measured into the baseline; exit code 0 if all of it could be",
    )
    parser.add_argument("--prune", action="store_true", help="with --update: drop what this machine no longer measures")
    parser.add_argument(
        "--tolerance",
        metavar="PERCENT",
        type=percent("--tolerance", 0, 100),
        default=TOLERANCE_PERCENT,
        help="how far max streams may fall, and a p99 rise in percent of its bound (default %(default)g)",
    )
    parser.add_argument(
        "--accuracy-tolerance",
        metavar="POINTS",
        type=percent("--accuracy-tolerance", 0, 100),
        default=TOLERANCE_POINTS,
        help="how far an accuracy may fall, in points of a percent (default %(default)g)",
    )
    parser.add_argument(
        "--noise",
        metavar="PERCENT",
        type=percent("--noise", 0, 50),
        help="how far the latency of sessions differs (standard deviation), if known; else repeats are asked",
    )
    parser.add_argument(
        "--confidence",
        metavar="PERCENT",
        type=percent("--confidence", 50, 99.99),
        default=95.0,
        help="that nothing fails where nothing has changed (default 95)",
    )
    parser.add_argument("--junit", metavar="FILE", help="write a test case for each point")
    parser.add_argument("--summary", metavar="FILE", help="write the outcome as Markdown")
    return parser


def _headline(report: GateReport, *, is_first: bool) -> str:
    from sweep.compare.gate import Outcome

    if not report.items:
        return "gate: nothing was measured"
    if is_first:
        return f"gate: first run, {len(report.items)} points, nothing to hold them against"
    counts = {outcome: sum(item.outcome is outcome for item in report.items) for outcome in Outcome}
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    return f"gate {'open' if report.is_open else 'shut'}: {said}"


def _update(baseline: Baseline, points: Sequence[Point], report: GateReport, path: Path, *, prune: bool) -> str:
    """Write the baseline; return what was done, in one line."""
    from sweep.compare.baseline import machine_of
    from sweep.compare.gate import Outcome

    usable = [point for point in points if not (point.estimate.value is None and not point.is_cut_short)]
    if not usable:
        return f"baseline {path} stays as it is: nothing was measured"
    at_work = {machine_of(point) for point in points}
    gone = [item.point for item in report.items if item.outcome is Outcome.MISSING]
    missing = [point for point in gone if machine_of(point) in at_work]  # --prune leaves other machines alone
    updated = (baseline.without(missing) if prune else baseline).updated(usable)
    try:
        updated.write(path)
    except OSError as error:
        raise unwritable(path, error, "--baseline") from error
    kept = f"; {len(missing)} that were not measured {'are dropped' if prune else 'stay'}" if missing else ""
    unusable = sum(_is_unmeasured(point) for point in points)
    left = f"; {unusable} could not be measured, so that it has no new figure of them" if unusable else ""
    fallen = sum(item.outcome is Outcome.FAILED and item.pair is not None for item in report.items)
    accepted = f"; {fallen} that had fallen are accepted" if fallen else ""
    disturbed = sum(point.disturbed > 0 for point in updated.points)
    busy = f"; {disturbed} of disturbed tests: one from an idle machine guards better" if disturbed else ""
    return f"baseline {path} written: {len(updated.points)} points{accepted}{kept}{left}{busy}"


def _write(options: argparse.Namespace, report: GateReport, headline: str, note: str) -> None:
    from sweep.compare.gate_files import gate_markdown, junit

    for field, given in (("--junit", options.junit), ("--summary", options.summary)):
        if given is None:
            continue
        try:
            if field == "--junit":
                write_bytes(Path(given), junit(report, note))
            else:
                write_text(Path(given), gate_markdown(report, headline) + (f"\n{note}\n" if note else ""))
        except OSError as error:
            raise unwritable(given, error, field) from error


def _show(report: GateReport, headline: str, note: str) -> None:
    from sweep.terminal import console
    from sweep.terminal.comparison import show_gate

    out = console()
    show_gate(out, report)
    out.print(headline, style="bold green" if report.is_open else "bold red", markup=False, highlight=False)
    if note:
        print(note)
    sys.stdout.flush()
