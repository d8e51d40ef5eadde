"""Where commands run: in an empty folder, in this process or in one of their own."""

import os
import subprocess
import sys

import pytest

WITH_CTRL_C = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('sweep', run_name='__main__', alter_sys=True)"
)
"""`python -m sweep`; children ignore Ctrl-C where the tests run in the background of a script."""


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """Be in an empty folder, with an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def start(tmp_path):
    """Start `python -m sweep` in an empty folder, and let it run."""
    processes = []

    def run(*arguments, **variables):
        process = subprocess.Popen(
            [sys.executable, "-c", WITH_CTRL_C, *arguments],
            cwd=tmp_path,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()
