"""What a killed write leaves is removed at the next start; what is being written is not."""

import subprocess
import sys

import pytest

from sweep.cli import main
from sweep.paths import new_file, write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from sweep.paths import new_file
with new_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def kill_a_write(tmp_path):
    def run(path):
        subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
        (left,) = path.parent.glob(f".{path.name}.*.tmp")
        return left

    return run


def test_the_next_start_removes_what_killed_writes_left(tmp_path, monkeypatch, kill_a_write):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))
    places = (
        "outputs/a.html",
        "outputs/sweeps/1/sweep.json",
        "outputs/trials/x/001/result.json",
        "cache/models/a.onnx",
    )
    left = [kill_a_write(tmp_path / place) for place in places]
    kept = tmp_path / "outputs" / ".mine.tmp.txt"
    kept.write_text("")
    with new_file(tmp_path / "outputs" / "trials" / "x" / "001" / "spec.json") as being_written:
        being_written.write(b"whole")
        assert main(["backend=simulated", "run=quick", "batch=1"]) == 0
    assert not any(path.exists() for path in left)
    assert kept.exists()
    assert (tmp_path / "outputs" / "trials" / "x" / "001" / "spec.json").read_bytes() == b"whole"


def test_the_same_write_again_leaves_nothing(tmp_path, kill_a_write):
    left = kill_a_write(tmp_path / "out.zip")
    write_text(tmp_path / "out.zip", "whole")
    assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out.zip"]
