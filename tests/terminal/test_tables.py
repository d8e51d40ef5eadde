"""The console for results."""

import io

import pytest

from sweep.terminal.tables import console


class _Closed(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_a_reader_that_has_left_is_told_to_the_command_line(monkeypatch):
    """rich would exit with 1 by itself; `ls | head -1` has to end with 141 like every other command."""
    monkeypatch.setattr("sys.stdout", _Closed())
    with pytest.raises(BrokenPipeError):
        console().print("a row")
