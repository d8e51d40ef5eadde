"""Errors of Hydra and OmegaConf in sweep's own words: the field, the value, what is wrong, and the fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationKeyError

from sweep.config.files import choices, groups, load_choice
from sweep.config.words import dotted_keys, meant, nearest, quoted
from sweep.errors import ConfigError, Problem, choose
from sweep.paths import conf_dir

_TEXTS = ("outputs", "model.path", "model.name", "dataset.path", "hydra.sweep.dir", "hydra.run.dir")
"""Keys whose values can hold any character."""


def translated(error: Exception, arguments: Sequence[str]) -> ConfigError:
    """Return the error to raise instead of one of Hydra's or OmegaConf's.

    Args:
        error: What was raised.
        arguments: The command line.
    """
    text = " ".join(str(error).split())
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and "/" in error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return ConfigError(Problem(group, name, f"unknown {group}", choose(name, error.options or choices(group))))
    if isinstance(error, OverrideParseException):
        return ConfigError(_unreadable(error.override))
    if isinstance(error, InterpolationKeyError):
        fix = "see all keys with --cfg job"
        return ConfigError(Problem(error.full_key or "configuration", None, str(error.msg).splitlines()[0], fix))
    for pattern, problem in _PATTERNS:
        if found := re.search(pattern, text):
            return ConfigError(problem(found, arguments))
    reason = text.partition(" See https://hydra.cc")[0] or type(error).__name__
    return ConfigError(Problem(getattr(error, "full_key", None) or "configuration", None, reason))


def damaged(error: yaml.YAMLError) -> ConfigError:
    """Return the error to raise for a configuration file that is no YAML."""
    mark = getattr(error, "problem_mark", None)
    where = "configuration file" if mark is None else f"{mark.name}:{mark.line + 1}"
    reason = getattr(error, "problem", None) or " ".join(str(error).split())
    return ConfigError(Problem(where, None, f"is not YAML: {reason}", "mend the file"))


def _ambiguous(found: re.Match[str], _: Sequence[str]) -> Problem:
    key, value = found[1], found[2]
    return Problem(key, value, "several values are a grid", f"add -m for one test of each: -m {key}={value}")


def _not_found(found: re.Match[str], _: Sequence[str]) -> Problem:
    return Problem(found[1], None, "no such configuration", "see the choices with --help")


def _no_primary(found: re.Match[str], _: Sequence[str]) -> Problem:
    return Problem("--config-name", found[1], "no such configuration", f"--config-dir DIR has it in {found[1]}.yaml")


def _not_removable(found: re.Match[str], _: Sequence[str]) -> Problem:
    return Problem(f"~{found[1]}", None, "cannot be removed", f"write {found[1]}=null for its default")


def _interval(_: re.Match[str], arguments: Sequence[str]) -> Problem:
    key, _equals, value = next((one for one in arguments if "interval(" in one), "interval(...)").partition("=")
    return Problem(key, value or None, "an interval has no list of values", "write range(FIRST,END,STEP)")


def _unreadable(override: str) -> Problem:
    key, equals, value = override.partition("=")
    if not equals:
        return Problem(override, None, "is not KEY=VALUE", "quote values with blanks in them")
    if not value:
        return Problem(key, None, "has no value", f"write {key}=VALUE, or {key}=null for its default")
    if key not in _TEXTS:
        fix = "write one value, or a list with commas after -m; other characters need quotes"
        return Problem(key, value, "cannot be read", fix)
    fix = f"quote it, for Hydra and for the shell: '{key}={quoted(value)}'"
    return Problem(key, value, "cannot be read", fix)


def _unknown_key(found: re.Match[str], arguments: Sequence[str]) -> Problem:
    key = found[1]
    keys = _known_keys(arguments)
    parent, _, name = key.rpartition(".")
    group, _, inner = key.partition(".")
    beside = sorted(known for known in keys if known.rpartition(".")[0] == parent)
    owners = [one for one in choices(group) if inner in dotted_keys(load_choice(group, one))]
    if owners:
        fix = f"it belongs to {group}={', '.join(owners)}"
        if set(beside) - {f"{group}.name"} and parent == group:
            fix += f"; choose one of: {', '.join(beside)}"
    elif not parent and (others := [other for other in meant(name) if other != name]):
        fix = f"did you mean {' or '.join(others)}? all keys: --help"
    else:
        fix = choose(key, beside or [known for known in keys if "." not in known])
        if (not beside or not fix.startswith("did you mean")) and (near := nearest(key)):
            fix = f"did you mean {' or '.join(near)}? {fix if beside else 'all keys: --help'}"
    return Problem(key, None, "unknown key", fix)


_PATTERNS: tuple[tuple[str, Callable[[re.Match[str], Sequence[str]], Problem]], ...] = (
    (r"Could not override '([^']+)'", _unknown_key),
    (r"Ambiguous value for argument '([^=]+)=(.*?)'(?: |$)", _ambiguous),
    (r"Could not find '([^']+)'", _not_found),
    (r"Could not delete from config\. '([^']+)'", _not_removable),
    (r"INTERVAL_SWEEP", _interval),
    (r"Sweep parameters '([^=]+)=(.*)' requires --multirun", _ambiguous),
    (r"Cannot find primary config '([^']+)'", _no_primary),
)


def _known_keys(arguments: Sequence[str]) -> list[str]:
    """Return all keys under the choices that the command line makes: `backend=simulated` has keys of its own."""
    given = {argument.removeprefix("+") for argument in arguments}
    made = {group: name for group in groups() for name in choices(group) if f"{group}={name}" in given}
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra.compose("config", [f"{group}={name}" for group, name in made.items()])
    plain = OmegaConf.to_container(config, resolve=False)
    return list(dotted_keys(plain))
