"""The command line: the only place that prints results, catches errors, and decides the exit code."""

from __future__ import annotations

import codecs
import errno
import importlib
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, cast

import sweep
from sweep.errors import SweepError, closest, is_out_of_memory, printable
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
    with _printable_streams():
        return _run(given)


def _run(given: list[str]) -> int:
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
    except (MemoryError, ImportError, OSError, RuntimeError) as error:
        if is_out_of_memory(error):
            print(
                "error: out of memory: this process may take no more (ulimit -v, or the memory of its container); "
                "raise the limit, or ask for less at a time",
                file=sys.stderr,
            )
            return ExitCode.BAD_INPUT
        if not isinstance(error, OSError) or error.filename is not None or error.errno != errno.ENOSPC:
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


class _PrintableStream:
    """A standard stream through which no text steers the terminal, wherever that text is from.

    Attributes:
        raw_stream: The stream itself, for what makes text printable on its own and writes colours: rich's consoles.
    """

    def __init__(self, stream: TextIO, *, keep_bytes: bool) -> None:
        self.raw_stream = stream
        self._keep_bytes = keep_bytes

    def write(self, text: str) -> int:
        self.raw_stream.write(printable(text, keep_bytes=self._keep_bytes))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw_stream, name)


@contextmanager
def _printable_streams() -> Iterator[None]:
    """Make what is printed printable, in the encoding of the streams too; names for a program keep their bytes."""
    before = sys.stdout, sys.stderr
    codecs.register_error("sweep", _encoded)
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="sweep")
    sys.stdout = cast("TextIO", _PrintableStream(before[0], keep_bytes=not before[0].isatty()))
    sys.stderr = cast("TextIO", _PrintableStream(before[1], keep_bytes=False))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _encoded(error: UnicodeError) -> tuple[bytes | str, int]:
    """Return what is written for a character that the encoding of a stream lacks: a byte of a file's name, or `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    return b"".join(bytes([ord(c) - 0xDC00]) if 0xDC80 <= ord(c) <= 0xDCFF else b"?" for c in part), error.end


def _give_up_stdout() -> None:
    """Send what is still to be written nowhere, so that no second error comes when Python flushes it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _dispatch(given: list[str]) -> int:
    if given and given[0] in _COMMANDS:
        code: int = importlib.import_module(_COMMANDS[given[0]]).main(given[1:])
        return code
    if given and _WORD.fullmatch(given[0]) and given not in (["help"], ["version"]) and _is_no_setting(given[0]):
        return _unknown_command(given[0])
    if "--version" in given or given == ["version"]:
        print(f"sweep {sweep.__version__}")
        return ExitCode.OK
    from sweep.commands import help as help_text

    if help_text.wanted(given) or given in ([], ["help"]):
        return help_text.main(given or ["--help"])
    if given[:1] in (["-sc"], ["--shell-completion"]) and _completed_without_hydra():
        return ExitCode.OK
    from sweep.commands.run import main as run

    return run(given)


def _completed_without_hydra() -> bool:
    """Answer the Tab key where a command is typed, which Hydra knows nothing of; return whether that is all.

    A shell that gets no answer completes names of files, which is what most arguments of commands are.
    """
    line = re.sub(r"^\S*python[\d.]* -m sweep\b", "sweep", os.environ.get("COMP_LINE", ""))
    os.environ["COMP_LINE"] = line  # for Hydra
    words = line[: int(os.environ.get("COMP_POINT") or len(line))].split(" ")[1:]
    if len(words) == 1 and (fitting := [name for name in _COMMANDS if name.startswith(words[0])]):
        print("\n".join(fitting))
        return bool(words[0])
    return bool(words) and words[0] in _COMMANDS


_WORD = re.compile(r"[a-z]+([-_][a-z]+)*", re.IGNORECASE)


def _is_no_setting(word: str) -> bool:
    """Return whether a word names neither a setting, nor a choice, which its user forgot to write as KEY=VALUE."""
    from sweep.config.files import choices, groups
    from sweep.config.words import setting_names

    return word not in setting_names() and not any(word in choices(group) for group in groups())


def _unknown_command(word: str) -> int:
    from sweep.config.files import choices
    from sweep.config.words import setting_names

    settings = {name: f"{name}={'|'.join(choices(name)) or 'VALUE'}" for name in setting_names()}
    known = {**settings, **{name: name for name in _COMMANDS}}
    near = closest(word.lower().replace("_", "-"), known, most=2)
    hint = f"did you mean {' or '.join(known[name] for name in near)}? " if near else ""
    print(
        f"error: {word}: unknown command; {hint}commands: {', '.join(_COMMANDS)}; settings are KEY=VALUE (see --help)",
        file=sys.stderr,
    )
    return ExitCode.BAD_INPUT
