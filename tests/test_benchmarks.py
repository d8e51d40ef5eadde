"""The benchmarks run: a figure that nobody can measure again is none. What they measure is in docs/measurements.md."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.mark.parametrize(
    ("name", "rows"),
    [("sut", 4), ("sweep", 2), ("start", 5), ("memory", 5), ("load", 3), ("search", 64), ("compare", 22), ("int8", 2)],
)
def test_a_benchmark_gives_its_table(name, rows):
    done = subprocess.run(
        [sys.executable, BENCHMARKS, name, "--rounds", "1"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(table) == rows + 2
