"""`python -m sweep KEY=VALUE ... [-m ...]`: compose, check, measure, show."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweep.config.hydra_app import Composition, run_hydra

if TYPE_CHECKING:
    from sweep.commands.manifest import Manifest
    from sweep.config.build import Options
    from sweep.config.point import Point
    from sweep.errors import SweepError
    from sweep.paths import SweepPaths
    from sweep.study.measure import Outcome
    from sweep.trial.interrupts import InterruptGate


def main(arguments: Sequence[str]) -> int:
    """Run a test or a grid of tests; return 0 when every point was measured, 1 when one FAILED, 130 for Ctrl-C."""

    def handle(composition: Composition) -> int:
        from sweep.config.search_settings import asks_for_search

        return (_search if asks_for_search(composition.points) else _measure)(composition, arguments)

    return run_hydra(arguments, handle)


def _search(composition: Composition, arguments: Sequence[str]) -> int:
    from sweep.commands.search import run_searches
    from sweep.config.search import build_searches

    searches, options = build_searches(composition.points)
    return run_searches(searches, options, composition, arguments)


def _measure(composition: Composition, arguments: Sequence[str]) -> int:
    # Imported here: `--help`, `--cfg` and their like need none of it.
    from sweep.commands.manifest import Manifest
    from sweep.config.build import build, prepare_outputs
    from sweep.paths import SweepPaths
    from sweep.trial.interrupts import InterruptGate
    from sweep.vocabulary import SIGNAL_EXIT, ExitCode, TrialState

    paths = SweepPaths(composition.directory)
    points, options = build(composition.points)
    prepare_outputs(options.outputs)
    for note in dict.fromkeys(note for point in points for note in point.notes):
        print(f"note: {note}", file=sys.stderr)
    manifest = Manifest(composition, arguments, planned=len(points))
    manifest.write(())

    stopped: KeyboardInterrupt | SweepError | None = None
    outcomes: dict[int, Outcome] = {}
    gate = InterruptGate()
    try:
        # Until its table is written and shown, a finished sweep is not to be interrupted.
        with gate:
            stopped = _run(points, options, manifest, outcomes, gate)
            if outcomes:
                done = [points[number] for number in sorted(outcomes)]
                _show(done, _in_order(outcomes), paths if manifest.has_tables else None, is_grid=composition.is_grid)
    except KeyboardInterrupt as late:
        stopped = stopped or late
    if isinstance(stopped, Exception):
        raise stopped
    if stopped is not None:
        by = "" if gate.signal is signal.SIGINT else f" by {gate.signal.name}"
        print(f"interrupted{by}: {_what_is_left(len(outcomes), len(points), resume=options.resume)}", file=sys.stderr)
        return SIGNAL_EXIT + gate.signal
    failed = any(outcome.stored.result.state is TrialState.FAILED for outcome in outcomes.values())
    return ExitCode.FAILED if failed else ExitCode.OK


def _run(
    points: Sequence[Point], options: Options, manifest: Manifest, outcomes: dict[int, Outcome], gate: InterruptGate
) -> KeyboardInterrupt | SweepError | None:
    """Measure the points into `outcomes`, by number; return what stopped that early, or kept tables off the disk."""
    from sweep.commands.bench import open_bench
    from sweep.errors import SweepError
    from sweep.study.grid import run_grid
    from sweep.study.points import GridPoint
    from sweep.terminal import Watcher

    stopped: KeyboardInterrupt | SweepError | None = None
    grid = [GridPoint(point.spec, point.files, point.gpus, exact="device" in point.label) for point in points]
    with Watcher(points) as watcher, open_bench(options, gate, watcher.say) as bench:
        try:
            outcomes.update(run_grid(grid, bench, watcher))
        except (KeyboardInterrupt, SweepError) as reason:
            stopped = reason
        finally:
            gate.close()
            try:
                if outcomes:  # before anything is shown, which may fail
                    manifest.write(_in_order(outcomes))
            except SweepError as error:
                stopped = stopped or error
    return stopped


def _in_order(outcomes: dict[int, Outcome]) -> list[Outcome]:
    return [outcomes[number] for number in sorted(outcomes)]


def _show(points: Sequence[Point], outcomes: Sequence[Outcome], kept: SweepPaths | None, *, is_grid: bool) -> None:
    from sweep.terminal import console, show_grid, show_single

    out = console()
    if is_grid:
        show_grid(out, points, outcomes)
    else:
        show_single(out, outcomes[0])
    if kept is not None:
        out.print(f"table: {kept.csv}", markup=False, highlight=False)


def _what_is_left(done: int, planned: int, *, resume: bool) -> str:
    if done == 0:
        return f"none of {planned} points was finished"
    command = "the same command" if resume else "the same command without resume=false"
    return f"{done} of {planned} points are measured and kept" + (f"; {command} measures the rest" * (done < planned))
