"""The only importer of Hydra: composes one point or a whole grid and hands them over as plain data."""

from __future__ import annotations

import functools
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sweep.config.arguments import check_flags, flags_first
from sweep.config.files import choices, groups
from sweep.errors import ConfigError, Problem, SweepError, choose
from sweep.paths import conf_dir


@dataclass(frozen=True)
class Composed:
    """One composed configuration.

    Attributes:
        config: All keys, interpolations resolved, as plain dicts and lists.
        overrides: What the command line set for this point, as `key=value`.
        label: The part of it that differs between the points of a grid, as key to value.
    """

    config: dict[str, Any]
    overrides: tuple[str, ...]
    label: dict[str, str]


@dataclass(frozen=True)
class Composition:
    """What a command line composed to.

    Attributes:
        points: One, or a whole grid.
        directory: Folder for this run's summary files, as Hydra's `sweep.dir` says, or a `run.dir` other than `.`.
        is_grid: Whether it came from a multirun.
    """

    points: tuple[Composed, ...]
    directory: Path
    is_grid: bool


Handler = Callable[[Composition], int]


class _Task:
    """Hydra's task function for one point; the grid sweeper calls `grid` instead, once, with all of them."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.exit_code = 0
        self.error: SweepError | None = None
        self.reached = False

    def __call__(self, config: DictConfig) -> None:
        """Handle a single run."""
        hydra_config = HydraConfig.get()
        overrides = tuple(hydra_config.overrides.task)
        own = Path(hydra_config.run.dir)
        directory = Path(hydra_config.sweep.dir) if own == Path() else own
        self._handle(lambda: Composition((_composed(config, overrides, ()),), directory, False))

    def grid(self, master: DictConfig, points: Sequence[tuple[DictConfig, list[str]]], varied: Sequence[str]) -> None:
        """Handle a multirun."""

        def compose() -> Composition:
            _refuse_launchers(master)
            composed = tuple(_composed(config, overrides, varied) for config, overrides in points)
            # The folder may depend on keys of the task (`outputs`), which only a composed point knows.
            directory = Path(str(points[0][0].hydra.sweep.dir)) if points else Path.cwd()
            return Composition(composed, directory, True)

        self._handle(compose)

    def _handle(self, compose: Callable[[], Composition]) -> None:
        self.reached = True
        # Hydra would print a user's error its own way; kept here, it is raised again once Hydra has returned.
        try:
            self.exit_code = self._handler(compose())
        except SweepError as error:
            self.error = error


def run_hydra(arguments: Sequence[str], handler: Handler) -> int:
    """Run the command line: Hydra's own flags act as Hydra has them, anything else composes and calls `handler`.

    Args:
        arguments: Without the program's name.
        handler: Receives the composition; returns the exit code.

    Returns:
        The handler's exit code, or 0 when a flag (`--cfg`, `--info`, ...) was all there was to do.

    Raises:
        SweepError: The command line does not compose, or the handler raised it.
    """
    check_flags(arguments)
    task = _Task(handler)
    # Hydra prints errors of its own and exits; asked for the full error, it raises them instead.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    token = functools.cache(lambda: secrets.token_hex(2))
    OmegaConf.register_new_resolver("sweep_token", lambda *_: token(), replace=True)
    before = sys.argv
    sys.argv = ["sweep", *flags_first(arguments)]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)()
    except (HydraException, OmegaConfBaseException) as error:
        raise _translated(error, arguments) from error
    except OSError as error:
        if task.reached:
            raise
        reason = f"cannot be made: {error.strerror}"
        raise ConfigError(Problem("hydra.run.dir", error.filename, reason, "choose another folder")) from error
    finally:
        sys.argv = before
        GlobalHydra.instance().clear()
    if task.error is not None:
        raise task.error
    return task.exit_code


def _composed(config: DictConfig, overrides: Sequence[str], varied: Sequence[str]) -> Composed:
    plain = OmegaConf.to_container(config, resolve=True)
    if not isinstance(plain, dict):
        raise TypeError("a Hydra configuration is a mapping")
    plain.pop("hydra", None)
    values = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
    label = {key: values[key] for key in varied if key in values}
    return Composed({str(key): value for key, value in plain.items()}, tuple(overrides), label)


def _refuse_launchers(master: DictConfig) -> None:
    launcher = master.hydra.runtime.choices.get("hydra/launcher", "basic")
    if launcher != "basic":
        raise ConfigError(
            Problem("hydra/launcher", launcher, "trials run in sweep's own workers, one at a time", "leave it out")
        )


def _translated(error: Exception, arguments: Sequence[str]) -> SweepError:
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and "/" in error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        fix = choose(name, error.options or ())
        return ConfigError(Problem(group, name, f"unknown {group}", fix))
    if found := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(found[1], arguments)
    if found := re.search(r"Ambiguous value for argument '([^=]+)=(.*)'", text):
        return ConfigError(
            Problem(
                found[1],
                found[2],
                "several values are a grid",
                f"add -m for one test of each: -m {found[1]}={found[2]}",
            )
        )
    if found := re.search(r"Could not find '([^']+)'", text):
        return ConfigError(Problem(found[1], None, "no such configuration", "see the choices with --help"))
    if found := re.search(r"(?s)^(.*?)\n?See https://hydra.cc", text):
        return ConfigError(
            Problem("command line", None, " ".join(found[1].split()), "write KEY=VALUE, quoted if need be")
        )
    return ConfigError(Problem("configuration", None, " ".join(text.split())))


def _unknown_key(key: str, arguments: Sequence[str]) -> ConfigError:
    keys = _known_keys(arguments)
    parent = key.rpartition(".")[0]
    siblings = [known for known in keys if known.rpartition(".")[0] == parent] or [k for k in keys if "." not in k]
    return ConfigError(Problem(key, None, "unknown key", choose(key, siblings)))


def _known_keys(arguments: Sequence[str]) -> list[str]:
    """Return all keys under the choices that the command line makes: `backend=simulated` has keys of its own."""
    made = {group: name for group in groups() for name in choices(group) if f"{group}={name}" in arguments}
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra.compose("config", [f"{group}={name}" for group, name in made.items()])
    plain = OmegaConf.to_container(config, resolve=False)
    return list(_paths(plain, "")) if isinstance(plain, dict) else []


def _paths(node: dict[Any, Any], prefix: str) -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")
