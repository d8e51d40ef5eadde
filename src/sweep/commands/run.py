"""`python -m sweep KEY=VALUE ... [-m ...]`: compose, check, measure, show."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweep.config.hydra_app import Composition, run_hydra

if TYPE_CHECKING:
    from sweep.paths import SweepPaths
    from sweep.study.grid import Outcome

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run a test or a grid of tests; return 0 when every point was measured, 1 when one FAILED, 130 for Ctrl-C."""
    return run_hydra(arguments, lambda composition: _measure(composition, arguments))


def _measure(composition: Composition, arguments: Sequence[str]) -> int:
    # Imported here: `--help`, `--cfg` and their like need none of it.
    from sweep.config.build import build, check_outputs
    from sweep.errors import SweepError, unwritable
    from sweep.paths import SweepPaths
    from sweep.store.records import Store
    from sweep.study.grid import run_grid
    from sweep.terminal import Watcher, console, show_grid, show_single
    from sweep.trial.executor import Executor
    from sweep.vocabulary import TrialState

    paths = SweepPaths(composition.directory)
    points, options = build(composition.points)
    check_outputs(options.outputs)
    for note in dict.fromkeys(note for point in points for note in point.notes):
        print(f"note: {note}", file=sys.stderr)

    outcomes: list[Outcome] = []
    stopped: KeyboardInterrupt | SweepError | None = None
    store = Store(options.outputs)
    grid = [(point.spec, point.files) for point in points]
    with Watcher(points) as watcher, Executor(options.timeouts) as executor:
        try:
            outcomes.extend(run_grid(grid, store, executor, watcher, resume=options.resume))
        except (KeyboardInterrupt, SweepError) as reason:
            stopped = reason  # told below what was measured until then

    if outcomes:
        out = console()
        if composition.is_grid:
            show_grid(out, points, outcomes)
        else:
            show_single(out, outcomes[0])
        try:
            _keep(paths, outcomes, planned=len(points), arguments=arguments)
        except OSError as error:
            raise unwritable(paths.directory, error) from error
        out.print(f"table: {paths.csv}", markup=False, highlight=False)
    if isinstance(stopped, SweepError):
        raise stopped
    if stopped is not None:
        print(
            f"interrupted: {len(outcomes)} of {len(points)} points are measured and kept; "
            "the same command measures the rest",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    failed = any(outcome.stored.result.state is TrialState.FAILED for outcome in outcomes)
    return EXIT_FAILED if failed else 0


def _keep(paths: SweepPaths, outcomes: Sequence[Outcome], *, planned: int, arguments: Sequence[str]) -> None:
    """Write the sweep's tables and its manifest."""
    from sweep.paths import write_json
    from sweep.store.table import write_tables

    paths.directory.mkdir(parents=True, exist_ok=True)
    write_tables([outcome.stored for outcome in outcomes], paths)
    manifest = {
        "schema_version": 1,
        "arguments": list(arguments),
        "finished_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "planned": planned,
        "trials": [str(outcome.stored.directory) for outcome in outcomes],
    }
    write_json(paths.manifest, manifest)
