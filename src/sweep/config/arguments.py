"""Command lines as users type them: checked, and put in the order that Hydra can read.

Hydra's parsers answer what they cannot read with their whole usage, or in terms of their grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sweep.config.words import meant, nearest, quoted, word_problems
from sweep.errors import ConfigError, Problem, choose, closest
from sweep.paths import expanded


@dataclass(frozen=True)
class _Flag:
    """A flag of Hydra's: its names, what its value is called, and the values it may have."""

    names: tuple[str, ...]
    value: str = ""
    choices: tuple[str, ...] = ()


_SHOWN = ("job", "hydra", "all")
_INFO_TOPICS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_INFO = _Flag(("--info", "-i"))
_CFG = _Flag(("--cfg", "-c"), "WHAT", _SHOWN)
_MULTIRUN = _Flag(("--multirun", "-m"))
_RUN = _Flag(("--run", "-r"))
_COMPLETION = _Flag(("--shell-completion", "-sc"))
_FLAGS = (
    _INFO,
    _CFG,
    _MULTIRUN,
    _RUN,
    _COMPLETION,
    _Flag(("--help", "-h")),
    _Flag(("--hydra-help",)),
    _Flag(("--version",)),
    _Flag(("--resolve",)),
    _Flag(("--package", "-p"), "PACKAGE"),
    _Flag(("--config-path", "-cp"), "DIR"),
    _Flag(("--config-name", "-cn"), "NAME"),
    _Flag(("--config-dir", "-cd"), "DIR"),
    _Flag(("--experimental-rerun",), "FILE"),
)
_ONE_OF_THESE = (_RUN, _MULTIRUN, _CFG, _INFO, _COMPLETION)

_PATHS = ("outputs", "model.path", "dataset.path", "hydra.sweep.dir", "hydra.run.dir", "backend.engine")
_ADDS_SWEEP = "+sweeps="
"""As named sweeps are asked for where no default list has a place for one; sweep's own has."""
_BARE = re.compile(r"[\w./:@%+,-]+")


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse what is not a command line.

    Raises:
        ConfigError: Naming the argument, and what to write instead.
    """
    given = list(arguments)
    end = given.index("--") if "--" in given else len(given)
    problem = next(_flag_problems(given[:end]), None) or next(word_problems(_split(given)[1]), None)
    if problem is not None:
        raise ConfigError(problem)


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with flags, and the values that belong to them, in front of the overrides.

    Hydra 1.3 takes its overrides as one run of positional arguments, so `a=1 -m b=2` fails there (argparse gives the
    second run to nobody). The order among flags, and among overrides, is kept; everything after `--` is an override.
    A path that begins with `~` is expanded: no shell does that behind `=`, and Hydra cannot read it. `+sweeps=NAME`
    means `sweeps=NAME`.
    """
    flags, overrides = _split(arguments)
    return [*flags, *overrides]


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    flags: list[str] = []
    overrides: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            overrides += [_expanded(one) for one in rest]
            break
        if not argument.startswith("-") or argument == "-":
            overrides.append(_expanded(argument))
            continue
        flags.append(argument)
        flag = _known_flag(argument)
        if flag is _INFO and "=" not in argument:
            # Its topic is optional: spelled out, or argparse would take the first override for it.
            flags.append(rest.pop(0) if rest and rest[0] in _INFO_TOPICS else "all")
        elif flag is not None and flag.value and rest and argument in flag.names:
            flags.append(rest.pop(0))
    return flags, overrides


def _known_flag(argument: str) -> _Flag | None:
    """Return the flag that an argument is or begins with, as argparse reads them: `--multi`, `--cfg=job`, `-cjob`."""
    name = argument.partition("=")[0]
    exact = next((flag for flag in _FLAGS if name in flag.names), None)
    if exact is not None:
        return exact
    if name.startswith("--"):
        fitting = [flag for flag in _FLAGS if any(known.startswith(name) for known in flag.names)]
        return fitting[0] if len(fitting) == 1 else None
    glued = [flag for flag in _FLAGS if flag.value and name.startswith(flag.names[-1]) and flag.names[-1] != "--"]
    return glued[0] if glued and not name.startswith("--") else None


def _flag_problems(arguments: Sequence[str]) -> Iterator[Problem]:
    rest = list(arguments)
    seen: list[_Flag] = []
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-") or argument == "-":
            continue
        name, equals, value = argument.partition("=")
        flag = _known_flag(argument)
        if flag is None:
            yield _unknown_flag(name, value if equals else next(iter(rest), ""))
            return
        seen.append(flag)
        if flag.value:
            value = value if equals or argument not in flag.names else rest.pop(0) if rest else ""
            yield from _value_problems(flag, name, value, spelled=argument in flag.names or bool(equals))
        elif flag is _INFO:
            if equals and value not in _INFO_TOPICS:
                yield Problem(name, value, "unknown", choose(value, _INFO_TOPICS))
        elif equals:
            yield Problem(name, value, "takes no value", f"write {name}, and settings as KEY=VALUE")
    actions = [flag for flag in _ONE_OF_THESE if flag in seen]
    if len(actions) > 1:
        first, second = (flag.names[0] for flag in reversed(actions[:2]))
        fix = "leave one of them out"
        if _MULTIRUN in actions and _RUN not in actions:
            fix = f"{first} is about one point: leave out -m, and give each key one value"
        yield Problem(f"{first} and {second}", None, "cannot be combined", fix)


def _value_problems(flag: _Flag, name: str, value: str, *, spelled: bool) -> Iterator[Problem]:
    if not spelled:
        return
    if not value or value.startswith("-"):
        yield Problem(name, None, "needs a value", f"write {name} {'|'.join(flag.choices) or flag.value}")
    elif flag.choices and value not in flag.choices:
        yield Problem(name, value, "unknown", choose(value, flag.choices))


def _unknown_flag(name: str, value: str) -> Problem:
    key = name.lstrip("-").replace("-", "_")
    if keys := meant(key):
        return Problem(name, None, "is a setting, not a flag", f"write {' or '.join(keys)}={value or 'VALUE'}")
    if name == "--dry-run":
        return Problem(name, None, "unknown flag", "--cfg job shows what a command line composes to")
    long = name.startswith("--")
    names = [known for flag in _FLAGS for known in flag.names if known.startswith("--") == long]
    settings = "" if long else "settings are KEY=VALUE, such as batch=8; "
    if long and not closest(name, names) and (near := nearest(key)):
        settings = f"did you mean the setting {' or '.join(near)}={value or 'VALUE'}? "
    return Problem(name, None, "unknown flag", f"{settings}{choose(name, names)}")


def _expanded(argument: str) -> str:
    if argument.startswith(_ADDS_SWEEP):
        return argument[1:]
    key, equals, value = argument.partition("=")
    if key in _PATHS and re.match(r"~[^'\"]*$", value):
        path = str(expanded(value, key))
        return f"{key}={path if _BARE.fullmatch(path) else quoted(path)}"
    if equals and not value.isascii() and not re.search(r"[\"'\[{(\\$=]", value):
        # Hydra reads letters of other alphabets, and bytes that are none, in quotes alone.
        return f"{key}={','.join(item if item.isascii() else quoted(item) for item in value.split(','))}"
    return argument
