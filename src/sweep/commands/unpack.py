"""`python -m sweep unpack IN.zip`: the results of another machine, among those of this one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sweep.commands.arguments import Parser, whole
from sweep.commands.damaged import say_notes
from sweep.paths import STAGING_PREFIX
from sweep.report.words import count_of
from sweep.results.archive_format import MAX_BYTES
from sweep.results.merge import Unpacked, unpack
from sweep.trial.interrupts import InterruptGate
from sweep.vocabulary import SIGNAL_EXIT, ExitCode


def main(arguments: Sequence[str]) -> int:
    """Merge an archive into an output folder; return 0 when all of it is there, 130 for Ctrl-C."""
    parser = Parser(
        prog="sweep unpack",
        usage="%(prog)s [-h] [--outputs DIR] [--max-bytes N] IN.zip",
        description=(
            "Bring results that `sweep pack` has packed into an output folder. Everything is checked before anything "
            "lands; nothing is overwritten, and doing it again changes nothing. A sweep may be running there."
        ),
    )
    parser.add_argument("archive", metavar="IN.zip", type=Path, help="made by sweep pack")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), metavar="DIR", help="default: outputs")
    parser.add_argument(
        "--max-bytes",
        type=whole("--max-bytes", 1),
        default=MAX_BYTES,
        metavar="N",
        help=f"refuse an archive that holds more, unpacked; default: {MAX_BYTES}",
    )
    options = parser.parse_args(arguments)

    from sweep.terminal import progress_bar

    with InterruptGate() as gate:
        gate.open()
        try:
            with progress_bar("check") as progress:
                unpacked = unpack(options.archive, options.outputs, options.max_bytes, progress)
        except KeyboardInterrupt:
            print("interrupted: what has landed is whole; the same command unpacks the rest", file=sys.stderr)
            return SIGNAL_EXIT + gate.signal
    say_notes([f"{line}; left out" for line in unpacked.left_out])
    left = sorted(options.outputs.glob(f"{STAGING_PREFIX}*"))
    say_notes([f"{folder}: left by an unpack that was killed, unless one is running; remove it" for folder in left])
    print(_summary(unpacked, options.outputs))
    return ExitCode.OK


def _summary(done: Unpacked, outputs: Path) -> str:
    attempts = [
        count_of(done.attempts, "new attempt"),
        *([f"{done.renumbered} of them under another number"] if done.renumbered else []),
        *([f"{done.attempts_here} here already"] if done.attempts_here else []),
    ]
    sweeps = [
        count_of(done.sweeps, "new sweep"),
        *([f"renamed: {', '.join(done.renamed)}"] if done.renamed else []),
        *([f"{done.sweeps_here} here already"] if done.sweeps_here else []),
    ]
    return f"{outputs}: {', '.join(attempts)}; {', '.join(sweeps)}"
