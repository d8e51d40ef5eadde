"""Composes one point or a whole grid with Hydra, and hands them over as plain data.

With `hydra_errors` and the sweeper plug-in the only importer of Hydra.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from sweep.config.arguments import check_arguments, flags_first
from sweep.config.files import unreadable
from sweep.config.hydra_errors import damaged, translated
from sweep.errors import ConfigError, Problem, SweepError
from sweep.paths import conf_dir, expanded


@dataclass(frozen=True)
class Composed:
    """One composed configuration.

    Attributes:
        config: All keys, interpolations resolved, as plain dicts and lists.
        overrides: What the command line set for this point, as `key=value`.
        label: The part of it that differs between the points of a grid, as key to value.
        choices: The choice made of each group (`model` to `resnet`).
    """

    config: dict[str, Any]
    overrides: tuple[str, ...]
    label: dict[str, str]
    choices: dict[str, str]


@dataclass(frozen=True)
class Composition:
    """What a command line composed to.

    Attributes:
        points: One, or a whole grid.
        directory: Folder for this run's summary files, as Hydra's `sweep.dir` says, or a `run.dir` other than `.`.
        is_grid: Whether it came from a multirun.
        folder_key: Which of the two says so.
    """

    points: tuple[Composed, ...]
    directory: Path
    is_grid: bool
    folder_key: str = "hydra.sweep.dir"


Handler = Callable[[Composition], int]


class _Task:
    """Hydra's task function for one point; the grid sweeper calls `grid` instead, once, with all of them."""

    def __init__(self, handler: Handler, arguments: Sequence[str]) -> None:
        self._handler = handler
        self._arguments = arguments
        self.exit_code = 0
        self.error: Exception | None = None
        self.reached = False

    def __call__(self, config: DictConfig) -> None:
        """Handle a single run."""
        hydra_config = HydraConfig.get()

        def compose() -> Composition:
            if hydra_config.mode is RunMode.MULTIRUN:
                _refuse("hydra/sweeper", "the grid is sweep's own, and made as a whole")
            # As typed: what `${...}` in them means is for the task's configuration to say.
            typed = OmegaConf.to_container(hydra_config.overrides.task, resolve=False)
            overrides = [str(override) for override in typed] if isinstance(typed, list) else []
            choices = _choices(hydra_config.runtime.choices)
            point = _composed(config, overrides, (), choices)
            own = _folder(hydra_config.run, "hydra.run.dir")
            if own != Path():
                return Composition((point,), own, False, "hydra.run.dir")
            return Composition((point,), _folder(hydra_config.sweep, "hydra.sweep.dir"), False)

        self._handle(compose)

    def grid(self, master: DictConfig, points: Sequence[tuple[DictConfig, list[str]]], varied: Sequence[str]) -> None:
        """Handle a multirun."""

        def compose() -> Composition:
            if _choices(master.hydra.runtime.choices).get("hydra/launcher", "basic") != "basic":
                _refuse("hydra/launcher", "trials run in sweep's own workers")  # by a configuration file
            if problems := list(_environment_problems(master.hydra.sweeper, "hydra.sweeper.")):
                raise ConfigError(problems)  # its `params` have become values of the points
            composed = tuple(
                _composed(config, overrides, varied, {**_choices(master.hydra.runtime.choices), **_made(overrides)})
                for config, overrides in points
            )
            # The folder may depend on keys of the task (`outputs`), which only a composed point knows.
            directory = _folder(points[0][0].hydra.sweep, "hydra.sweep.dir") if points else Path.cwd()
            return Composition(composed, directory, True)

        self._handle(compose)

    def _handle(self, compose: Callable[[], Composition]) -> None:
        self.reached = True
        # Hydra would print a user's error its own way; kept here, it is raised again once Hydra has returned.
        try:
            composition = compose()
        except OmegaConfBaseException as error:
            self.error = translated(error, self._arguments)
        except SweepError as error:
            self.error = error
        else:
            self._run(composition)

    def _run(self, composition: Composition) -> None:
        try:
            self.exit_code = self._handler(composition)
        except Exception as error:  # noqa: BLE001  (raised again, once Hydra has nothing to add to it)
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
    check_arguments(arguments)
    task = _Task(handler, arguments)
    # Hydra prints errors of its own and exits; asked for the full error, it raises them instead.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    token = functools.cache(lambda: secrets.token_hex(2))
    OmegaConf.register_new_resolver("sweep_token", lambda *_: token(), replace=True)
    OmegaConf.register_new_resolver("oc.env", _environment, replace=True)
    before = sys.argv
    sys.argv = ["sweep", *flags_first(arguments)]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)()
    except (HydraException, OmegaConfBaseException) as error:
        raise translated(error, arguments) from error
    except (ValueError, TypeError, RuntimeError, AttributeError, AssertionError) as error:
        # Hydra's own, for what it does not foresee (`model=null`); once the points are composed it would be a bug.
        if task.reached:
            raise
        raise _not_composed(error, arguments) from error
    except yaml.YAMLError as error:
        if task.reached:
            raise
        raise damaged(error) from error
    except OSError as error:
        # One without a file is of OmegaConf, for a file that holds a number; or of a pipe or a disk that is full.
        if task.reached or (error.filename is None and unreadable(arguments) is None):
            raise
        raise _not_made(error) if error.filename is not None else _not_composed(error, arguments) from error
    finally:
        sys.argv = before
        GlobalHydra.instance().clear()

    if task.error is not None:
        raise task.error
    return task.exit_code


def _composed(config: DictConfig, overrides: Sequence[str], varied: Sequence[str], choices: dict[str, str]) -> Composed:
    _variables_read.clear()
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:
        _refuse_environment(config)  # a variable that is not set
        raise
    _refuse_environment(config)
    if not isinstance(plain, dict):
        raise TypeError("a Hydra configuration is a mapping")
    plain.pop("hydra", None)
    values = _made(overrides)
    label = {key: values[key] for key in varied if key in values}
    return Composed({str(key): value for key, value in plain.items()}, tuple(overrides), label, choices)


_variables_read: list[str] = []
"""Names of environment variables that `${oc.env:...}` has looked up since this was cleared."""

_NOT_RECORDED = ("hydra", "dataset.path")
"""Keys whose values no record holds."""


def _environment(*arguments: Any) -> Any:
    """Resolve `oc.env`, and remember that it was asked."""
    _variables_read.append(str(arguments[0]))
    return oc.env(*arguments)


def _folder(node: Any, key: str) -> Path:
    """Return where a run leaves its files; its name is recorded too."""
    _variables_read.clear()
    folder = str(node.dir)
    if _variables_read:
        raw: Any = OmegaConf.to_container(node, resolve=False)
        raise ConfigError(_from_environment(key, raw["dir"]))
    return expanded(folder, key) if folder.startswith("~") else Path(folder)


def _refuse_environment(config: DictConfig) -> None:
    """Refuse values that environment variables give, directly or by way of other keys: they may be secrets.

    Somebody else's configuration could put them into records, which are made to be published.
    """
    if _variables_read and (problems := list(_environment_problems(config, ""))):
        raise ConfigError(problems)


def _environment_problems(node: Any, prefix: str) -> Iterator[Problem]:
    raw: Any = OmegaConf.to_container(node, resolve=False)
    for key in raw if isinstance(raw, dict) else range(len(raw)):
        name = f"{prefix}{key}"
        if name in _NOT_RECORDED or OmegaConf.is_missing(node, key):
            continue
        _variables_read.clear()
        value = None
        with contextlib.suppress(OmegaConfBaseException):
            value = node[key]
        if _variables_read:
            yield _from_environment(name, raw[key])
        elif isinstance(value, (DictConfig, ListConfig)):
            yield from _environment_problems(value, f"{name}.")


def _from_environment(key: str, written: object) -> Problem:
    reason = "comes from the environment, and no record may hold what does"
    return Problem(key, written, reason, f'write the value itself; in a shell {key}="${_variables_read[-1]}" does')


def _not_made(error: OSError) -> ConfigError:
    reason = f"cannot be made: {error.strerror}"
    return ConfigError(Problem("hydra.run.dir", error.filename, reason, "choose another folder"))


def _not_composed(error: Exception, arguments: Sequence[str]) -> ConfigError:
    """Return the error to raise for what Hydra does not foresee: the user's file that is to blame, if there is one."""
    return ConfigError(unreadable(arguments) or Problem("command line", None, f"cannot be composed: {error}"))


def _made(overrides: Sequence[str]) -> dict[str, str]:
    """Return overrides as key to value."""
    return dict(override.lstrip("+").partition("=")[::2] for override in overrides)


def _choices(made: Mapping[str, object]) -> dict[str, str]:
    return {str(group): str(name) for group, name in made.items()}


def _refuse(key: str, reason: str) -> NoReturn:
    raise ConfigError(Problem(key, None, f"cannot be chosen: {reason}", "leave it out"))
