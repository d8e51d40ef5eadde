"""Scripts for the shell say what they mean."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    path
    for folder in (".ci", "tools", "docker")
    for path in sorted((ROOT / folder).iterdir())
    if path.is_file()
    and path.read_text(encoding="utf-8").startswith(("#!/usr/bin/env bash", "#!/bin/bash", "#!/bin/sh"))
]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(path):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_stops_at_the_first_thing_that_goes_wrong(path):
    assert "\nset -euo pipefail\n" in path.read_text(encoding="utf-8")
