"""The command line: the only place that prints results, catches errors, and decides the exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import sweep
from sweep.errors import SweepError

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

_COMMANDS = {
    "doctor": "sweep.commands.doctor",
    "fetch": "sweep.commands.fetch",
    "dataset": "sweep.commands.dataset",
}
"""Subcommands and the module with their `main(arguments) -> exit code`; imported when asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: Without the program's name; None takes those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(given)
    except SweepError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        goes_on = given[:1] in (["fetch"], ["dataset"])
        print("interrupted" + ("; the same command goes on where it stopped" * goes_on), file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left (`| head`); there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def _dispatch(given: list[str]) -> int:
    if given and given[0] in _COMMANDS:
        code: int = importlib.import_module(_COMMANDS[given[0]]).main(given[1:])
        return code
    if given and given[0].isalpha() and not _is_setting(given[0]):
        return _unknown_command(given[0])
    if "--version" in given:
        print(f"sweep {sweep.__version__}")
        return EXIT_OK
    from sweep.commands import help as help_text

    if help_text.wanted(given):
        return help_text.main(given)
    from sweep.commands.run import main as run

    return run(given)


def _is_setting(word: str) -> bool:
    """Return whether a word names a setting or a group of them, which its user forgot to give a value."""
    from sweep.config.arguments import setting_names

    return word in setting_names()


def _unknown_command(word: str) -> int:
    import difflib

    near = difflib.get_close_matches(word, _COMMANDS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    print(
        f"error: {word}: unknown command; {hint}commands: {', '.join(_COMMANDS)}; settings are KEY=VALUE (see --help)",
        file=sys.stderr,
    )
    return EXIT_BAD_INPUT
