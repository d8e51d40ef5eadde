"""What errors say: text that steers no terminal, and memory that ran out, whatever Python calls it."""

import errno

import pytest

from sweep.errors import EngineOutOfMemoryError, Problem, is_out_of_memory, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain: é 模 \t\n", "plain: é 模 \t\n"),
        ("\x1b[2J\x07\x9b1m\x7f", "\\x1b[2J\\x07\\x9b1m\\x7f"),
        ("a\rb\r\n", "a\\x0db\r\n"),
        ("\u202ecod.exe\u2066", "\\u202ecod.exe\\u2066"),
        ("caf\udce9 \ud800", "caf\\xe9 \\ud800"),
    ],
)
def test_text_of_others_is_printable(text, shown):
    assert printable(text) == shown


def test_names_for_a_program_keep_their_bytes():
    assert printable("caf\udce9\x1b", keep_bytes=True) == "caf\udce9\\x1b"


def test_a_problem_is_one_line():
    assert str(Problem("a\nerror: b", "c\nd", "e\u2028f", "g\x85h")).splitlines() == ["a error: b=c d: e f; g h"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        EngineOutOfMemoryError("N is too large"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libx.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        ImportError("Exception caught: std::bad_alloc"),
    ],
    ids=repr,
)
def test_memory_that_ran_out_has_many_names(error):
    outer = ValueError("something else")
    outer.__cause__ = error
    assert is_out_of_memory(error)
    assert is_out_of_memory(outer)
    assert not is_out_of_memory(ValueError("something else"))
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))
