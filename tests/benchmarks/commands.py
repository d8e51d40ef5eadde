"""Runs `python -m sweep` for the benchmarks, in a folder of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def empty_folder():
    """Yield a new folder; removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def run(arguments, folder):
    """Run the interpreter with `arguments`; return its wall time in s and the peak memory, in bytes, of its tree."""
    begin = time.perf_counter()
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen([sys.executable, *arguments], cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - begin
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError((folder / "output.txt").read_text())
    # Of the largest process of the tree: the worker's, when there is one. Linux counts in KiB.
    return wall_s, usage.ru_maxrss * 1024


def records(folder):
    """Return (when it was written in s, record) of each trial, in that order."""
    paths = folder.glob("outputs/trials/*/*/result.json")
    return sorted(((path.stat().st_mtime, json.loads(path.read_text())) for path in paths), key=lambda pair: pair[0])
