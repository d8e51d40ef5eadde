"""What a point of a grid costs beyond LoadGen's own test: everything between one record and the next."""

import statistics
from itertools import pairwise

from commands import empty_folder, records, run

GRIDS = {
    "simulated": ["backend=simulated", "backend.base_ms=0.5", "backend.per_sample_ms=0.01"],
    "digits": ["model=digits"],
}
_BATCHES = "batch=range(1,12)"


def measure(rounds):
    """Run each grid `rounds` times; return the table's lines."""
    lines = [
        "| grid of 11 points | LoadGen's test, s | beyond it, s a point | of which warm-up, s | slowest, s |",
        "|---|---|---|---|---|",
    ]
    for name, grid in GRIDS.items():
        tests, beyond, warmups = [], [], []
        for _ in range(rounds):
            with empty_folder() as folder:
                run(["-m", "sweep", *grid, "run=quick", "resume=false", "-m", _BATCHES], folder)
                done = records(folder)
            # The first point starts the worker; the others find it warm.
            for (before_s, _), (after_s, record) in pairwise(done):
                test_s = record["timing"]["test_ns"] / 1e9
                tests.append(test_s)
                beyond.append(after_s - before_s - test_s)
                warmups.append(record["timing"]["warmup_ns"] / 1e9)
        median = statistics.median
        lines.append(
            f"| {name} | {median(tests):.3f} | {median(beyond):.3f} | {median(warmups):.3f} | {max(beyond):.3f} |"
        )
    return lines
