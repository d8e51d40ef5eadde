"""The command line: the only place that prints results, catches errors, and decides the exit code."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence

import sweep
from sweep.errors import SweepError
from sweep.vocabulary import ExitCode

_COMMANDS = {
    "doctor": "sweep.commands.doctor",
    "fetch": "sweep.commands.fetch",
    "dataset": "sweep.commands.dataset",
    "ls": "sweep.commands.ls",
    "show": "sweep.commands.show",
    "report": "sweep.commands.report",
    "compare": "sweep.commands.compare",
    "dashboard": "sweep.commands.dashboard",
    "gate": "sweep.commands.gate",
    "submission": "sweep.commands.submission",
    "pack": "sweep.commands.pack",
    "unpack": "sweep.commands.unpack",
    "import-ck": "sweep.commands.import_ck",
}
"""Subcommands and the module with their `main(arguments) -> exit code`; imported when asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: Without the program's name; None takes those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _open_standard_streams()
    try:
        code = _dispatch(given)
        sys.stdout.flush()
    except SweepError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        goes_on = given[:1] in (["fetch"], ["dataset"])
        print("interrupted" + ("; the same command goes on where it stopped" * goes_on), file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _give_up_stdout()  # whoever read the output has left (`| head`); there is nobody to tell
        return ExitCode.PIPE
    except OSError as error:
        if error.filename is not None or error.errno != errno.ENOSPC:
            raise
        _give_up_stdout()
        print(f"error: standard output cannot be written: {error.strerror}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    return code


def _open_standard_streams() -> None:
    """Open what the shell has closed (`>&-`): a file of ours under one of their numbers would be taken for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123  (for as long as we live)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


def _give_up_stdout() -> None:
    """Send what is still to be written nowhere, so that no second error comes when Python flushes it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _dispatch(given: list[str]) -> int:
    if given and given[0] in _COMMANDS:
        code: int = importlib.import_module(_COMMANDS[given[0]]).main(given[1:])
        return code
    if given and given[0].isalpha() and given not in (["help"], ["version"]) and not _is_setting(given[0]):
        return _unknown_command(given[0])
    if "--version" in given or given == ["version"]:
        print(f"sweep {sweep.__version__}")
        return ExitCode.OK
    from sweep.commands import help as help_text

    if help_text.wanted(given) or given == ["help"]:
        return help_text.main(given)
    from sweep.commands.run import main as run

    return run(given)


def _is_setting(word: str) -> bool:
    """Return whether a word names a setting or a group of them, which its user forgot to give a value."""
    from sweep.config.words import setting_names

    return word in setting_names()


def _unknown_command(word: str) -> int:
    import difflib

    near = difflib.get_close_matches(word, _COMMANDS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    print(
        f"error: {word}: unknown command; {hint}commands: {', '.join(_COMMANDS)}; settings are KEY=VALUE (see --help)",
        file=sys.stderr,
    )
    return ExitCode.BAD_INPUT
