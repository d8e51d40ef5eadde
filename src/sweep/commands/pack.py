"""`python -m sweep pack OUT.zip [DIR ...] [KEY=VALUE ...]`: results in one file, to move them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sweep.commands.arguments import Parser, check_not_a_record
from sweep.commands.damaged import say_damaged, say_notes
from sweep.report.words import count_of
from sweep.results.archive import pack
from sweep.results.filters import split_words
from sweep.results.selection import select
from sweep.trial.interrupts import InterruptGate
from sweep.vocabulary import SIGNAL_EXIT, ExitCode


def main(arguments: Sequence[str]) -> int:
    """Pack records and sweeps into an archive; return 0 when it is complete, 130 for Ctrl-C."""
    parser = Parser(
        prog="sweep pack",
        usage="%(prog)s [-h] [--force] OUT.zip [DIR ...] [KEY=VALUE ...]",
        description=(
            "Pack results into one file, for `sweep unpack` on another machine: every selected record with all files "
            "of its folder, and every sweep whose records are all among them."
        ),
        epilog=(
            "Damaged records and unfinished tests are left out. So is Optuna's journal (studies.log): it names folders "
            "of this machine; there, the same search command makes its study again from the records, without measuring."
        ),
    )
    parser.add_argument("out", metavar="OUT.zip", type=Path, help="file to make")
    parser.add_argument(
        "words",
        metavar="DIR or KEY=VALUE",
        nargs="*",
        default=[],
        help="what holds results (default: outputs), and filters of records, such as model=resnet result=VALID",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT.zip if it exists")
    options = parser.parse_args(arguments)
    check_not_a_record(options.out, "OUT.zip")
    places, filters = split_words(options.words)
    selection = select(places or [Path("outputs")], filters)
    say_damaged(selection.damaged)

    from sweep.terminal import progress_bar

    with InterruptGate() as gate:
        gate.open()
        try:
            with progress_bar("pack") as progress:
                packed = pack(selection, options.out, force=options.force, progress=progress)
        except KeyboardInterrupt:
            print("interrupted: no archive was made", file=sys.stderr)
            return SIGNAL_EXIT + gate.signal
    say_notes(packed.notes)
    print(
        f"{options.out}: {count_of(packed.attempts, 'attempt')}, {count_of(packed.sweeps, 'sweep')}, "
        f"{count_of(packed.files, 'file')}; {packed.data_bytes} bytes in {packed.archive_bytes}"
    )
    return ExitCode.OK
