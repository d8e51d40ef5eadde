"""Command lines of subcommands: argparse, whose complaints become one line like every other error."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sweep.errors import ConfigError, Problem, choose
from sweep.paths import is_of_results


class Parser(argparse.ArgumentParser):
    """Raises a `ConfigError` where argparse would print its usage and exit; `--help` still does that.

    Flags are typed in full: a script that abbreviates them would change its meaning with the next flag.
    """

    def __init__(self, **keywords: Any) -> None:
        super().__init__(allow_abbrev=False, **keywords)

    def parse_args(  # type: ignore[override]  # the namespace is always a new one here
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        """Return the parsed arguments, words and flags in any order, words alone behind `--`; refuse unknown flags."""
        given = list(sys.argv[1:] if args is None else args)
        end = given.index("--") if "--" in given else len(given)
        # Intermixed, argparse forgets what was behind `--`. All such words are names of files: `-x` is `./-x`.
        words = [f"./{word}" if word.startswith("-") else word for word in given[end + 1 :]]
        options, unknown = self.parse_known_intermixed_args([*given[:end], *words], namespace)
        if unknown:
            raise ConfigError(self._unknown(unknown[0]))
        return options

    def error(self, message: str) -> NoReturn:
        """Raise what argparse has to say, in the words of sweep's own errors."""
        if missing := re.fullmatch(r"the following arguments are required: (.+)", message):
            raise ConfigError(Problem(self.prog, None, f"{missing[1]} must be given", self._see_help()))
        if wrong := re.fullmatch(r"argument ([^:]+): (.+)", message, re.DOTALL):
            raise ConfigError(Problem(wrong[1], None, wrong[2], self._see_help()))
        raise ConfigError(Problem(self.prog, None, message, self._see_help()))

    def _unknown(self, argument: str) -> Problem:
        if not argument.startswith("-"):
            return Problem(argument, None, f"{self.prog} takes no such argument", self._see_help())
        flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        flag = argument.partition("=")[0]
        return Problem(flag, None, "unknown flag", choose(flag, flags))

    def _see_help(self) -> str:
        return f"see python -m {self.prog} --help"


def check_not_a_record(path: Path, field: str) -> None:
    """Refuse a file to be written that is a part of results, or would lie among them.

    Args:
        path: The file.
        field: The argument that names it.

    Raises:
        ConfigError: It is.
    """
    if is_of_results(path):
        reason = "lies among the records of sweep, which nothing may overwrite"
        raise ConfigError(Problem(field, str(path), reason, "give a file in another folder"))


def one_of(field: str, choices: Iterable[str]) -> Callable[[str], str]:
    """Return the type of an argument that is one of `choices`: argparse's own would not say which is near."""
    names = tuple(choices)

    def check(text: str) -> str:
        if text not in names:
            raise ConfigError(Problem(field, text, "unknown", choose(text, names)))
        return text

    return check


def whole(field: str, low: int) -> Callable[[str], int]:
    """Return the type of an argument that is a whole number from `low`."""

    def convert(text: str) -> int:
        # The length first: converting a number of thousands of digits is an error of its own.
        if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) >= low):
            raise ConfigError(Problem(field, text, f"must be a whole number from {low}"))
        return int(text)

    return convert


def percent(field: str, low: float, high: float) -> Callable[[str], float]:
    """Return the type of an argument that is a number of percent from `low` to `high`; a `%` behind it is fine."""

    def convert(text: str) -> float:
        try:
            value = float(text.strip().removesuffix("%"))
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ConfigError(Problem(field, text, f"must be a number of percent from {low:g} to {high:g}"))
        return value

    return convert


def exists(path: Path) -> bool:
    """Return whether there is such a file or folder; a name that no file system takes is none."""
    try:
        return path.exists()
    except OSError:
        return False
