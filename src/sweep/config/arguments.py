"""Command lines as users type them, put in the order that Hydra's argument parser can read."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.errors import ConfigError, Problem, choose

_TAKES_VALUE = frozenset(
    {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}
    | {"--experimental-rerun"}
)
_INFO = frozenset({"--info", "-i"})
_INFO_TOPICS = frozenset({"all", "config", "defaults", "defaults-tree", "plugins", "searchpath"})

_FLAGS = ("--help", "--hydra-help", "--version", "--resolve", "--run", "--multirun", "--shell-completion")
_LONG = (*_FLAGS, *(flag for flag in _TAKES_VALUE | _INFO if flag.startswith("--")))
_SHORT = ("-h", "-r", "-m", "-sc", *(flag for flag in _TAKES_VALUE | _INFO if not flag.startswith("--")))


def check_flags(arguments: Sequence[str]) -> None:
    """Refuse a flag that Hydra does not know, which would otherwise answer with its whole usage.

    Raises:
        ConfigError: Naming it, and the nearest one there is.
    """
    for argument in arguments[: list(arguments).index("--")] if "--" in arguments else arguments:
        flag = argument.partition("=")[0]
        long = flag.startswith("--")
        known = any(name.startswith(flag) for name in _LONG) if long else flag.startswith(_SHORT)
        if flag.startswith("-") and flag != "-" and not known:
            raise ConfigError(Problem(flag, None, "unknown flag", choose(flag, _LONG if long else _SHORT)))


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with flags, and the values that belong to them, in front of the overrides.

    Hydra 1.3 takes its overrides as one run of positional arguments, so `a=1 -m b=2` fails there (argparse gives the
    second run to nobody). The order among flags, and among overrides, is kept; everything after `--` is an override.
    """
    flags: list[str] = []
    overrides: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*flags, *overrides, *rest]
        if not argument.startswith("-") or argument == "-":
            overrides.append(argument)
            continue
        flags.append(argument)
        if argument in _INFO:
            # Its topic is optional: spelled out, or argparse would take the first override for it.
            flags.append(rest.pop(0) if rest and rest[0] in _INFO_TOPICS else "all")
        elif argument in _TAKES_VALUE and rest:
            flags.append(rest.pop(0))
    return [*flags, *overrides]
