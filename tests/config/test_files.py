"""A user's own configuration that is none is named, whatever lies in its place."""

import pickle

import pytest
from tests.misfits import as_folder, as_loop, as_pipe

from sweep.cli import main

GOOD = "edition: mine\nchecks: [no_errors]\npercentile: 99\nsamples_per_query: 8\nbounded: false\n"


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_text(GOOD[:35]),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "pickled": lambda path: path.write_bytes(pickle.dumps({"edition": "mine"})),
    "UTF-16": lambda path: path.write_text(GOOD, encoding="utf-16"),
    "a number": lambda path: path.write_text("7"),
    "a text": lambda path: path.write_text("edition"),
    "a list": lambda path: path.write_text("[1, 2]"),
    "null": lambda path: path.write_text("null"),
    "nested deep": lambda path: path.write_text("[" * 20_000 + "]" * 20_000),
    "a number of 5000 digits": lambda path: path.write_text(f"edition: {'9' * 5000}"),
    "a tag": lambda path: path.write_text("!!python/object/apply:os.getcwd []"),
    "a folder": as_folder,
    "a loop": as_loop,
    "a pipe": as_pipe,
}


@pytest.mark.parametrize("name", ["rules/mine.yaml", "mine.yaml"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_configuration_that_is_none_is_bad_input(tmp_path, monkeypatch, capsys, kind, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own" / name
    path.parent.mkdir(parents=True)
    path.write_text(GOOD)
    DAMAGES[kind](path)
    choice = ["-cn", "mine"] if name == "mine.yaml" else ["rules=mine"]
    assert main(["--config-dir", "own", *choice, "backend=simulated", "run=quick", "batch=1"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("error: ") for line in lines)
    if kind in ("binary", "pickled", "a number", "nested deep", "a number of 5000 digits"):
        assert f"own/{name}: " in lines[0]
