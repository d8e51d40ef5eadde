"""How long results take to be read: whole records, checked, as objects and as a DataFrame."""

import json
import statistics
import tempfile
import time
from pathlib import Path

from many import write_many

import sweep
from commands import run
from sweep.paths import AttemptPaths
from sweep.results.selection import select
from sweep.store.records import load_attempt

FEW, RECORDS = 300, 10_000
FEWEST_ROUNDS = 3


def measure(rounds):
    """Read the same records in each way in turn, once a round; return the table's lines.

    There are 10,000 records; in fewer rounds than three, which show no more than that it runs, a few.
    """
    count = RECORDS if rounds >= FEWEST_ROUNDS else FEW
    import pandas as pd  # half a second that is not the records'

    del pd
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder / "many"
        write_many(root, _one_record(folder), count)
        ways = {
            "`json.loads` alone": lambda: sum(1 for path in root.glob("trials/*/*/result.json") if _parsed(path)),
            "as objects (`select`)": lambda: len(select([root]).trials),
            "as a DataFrame (`sweep.load`)": lambda: len(sweep.load(root)),
        }
        seconds = {way: [] for way in ways}
        for _ in range(rounds):
            for way, read in ways.items():
                begin = time.perf_counter()
                found = read()
                seconds[way].append(time.perf_counter() - begin)
                if found != count:
                    raise RuntimeError(f"{way}: {found} of {count} records")
    return _table(seconds, count)


def _one_record(folder):
    """Return a record of a test that is run for it: a short one of digits."""
    run(["-m", "sweep", "model=digits", "run=quick", "batch=1", "target_latency_ms=1000"], folder)
    (path,) = folder.glob("outputs/trials/*/*/result.json")
    return load_attempt(AttemptPaths(path.parent)).result


def _parsed(path):
    return json.loads(path.read_text())


def _table(seconds, count):
    medians = {way: statistics.median(walls) for way, walls in seconds.items()}
    reference = next(iter(medians.values()))
    lines = [f"| {count} records | s | records/s | of `json.loads` | s for 10,000 |", "|---|---|---|---|---|"]
    for way, median_s in medians.items():
        ratio = f"{median_s / reference:.1f}"
        spread = f"{min(seconds[way]):.2f} to {max(seconds[way]):.2f}"
        each = 10_000 * median_s / count
        lines.append(f"| {way} | {median_s:.2f} ({spread}) | {count / median_s:.0f} | {ratio} | {each:.1f} |")
    return lines
