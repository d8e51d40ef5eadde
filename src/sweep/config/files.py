"""Configuration files read one by one, for commands that compose nothing."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sweep.errors import ConfigError, Problem, choose
from sweep.paths import conf_dir, read_bytes


def choices(group: str, folder: Path | None = None) -> list[str]:
    """Return the names of a group's configurations (`model`: digits, mobilenet, ...), of sweep's own or a folder's."""
    return sorted(path.stem for path in ((folder or conf_dir()) / group).glob("*.yaml"))


def groups(folder: Path | None = None) -> list[str]:
    """Return the groups that hold any configuration (`backend`, `model`, ...), of sweep's own or a folder's."""
    folders = (path for path in (folder or conf_dir()).glob("*") if path.is_dir() and path.name != "hydra")
    return sorted(path.name for path in folders if choices(path.name, folder))


@functools.cache
def _parsed(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def load_file(path: Path) -> dict[str, Any]:
    """Return a configuration as it is in its file, its interpolations untouched."""
    return copy.deepcopy(_parsed(path))


def load_choice(group: str, name: str) -> dict[str, Any]:
    """Return one configuration of a group as it is in its file.

    Raises:
        ConfigError: The group has no such configuration.
    """
    names = choices(group)
    if name not in names:
        raise ConfigError(Problem(group, name, f"unknown {group}", choose(name, names)))
    return load_file(conf_dir() / group / f"{name}.yaml")


def config_dirs(arguments: Sequence[str]) -> list[Path]:
    """Return the user's own folders of configurations, of a command line."""
    folders = []
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if flag in {"--config-dir", "-cd"}:
            folders.append(Path(value))
        elif flag.startswith(("--config-dir=", "-cd=")):
            folders.append(Path(flag.partition("=")[2]))
    return folders


def unreadable(arguments: Sequence[str]) -> Problem | None:
    """Return what is wrong with the first file in the user's own folders that is no configuration; None if all are."""
    for path in (path for folder in config_dirs(arguments) for path in sorted(folder.rglob("*.yaml"))):
        try:
            loaded = yaml.safe_load(read_bytes(path).decode())
            reason = "" if isinstance(loaded, dict | None) else f"holds a {type(loaded).__name__}, and no keys"
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
        except UnicodeDecodeError:
            reason = "is not text in UTF-8"
        except RecursionError:
            reason = "is nested too deep"
        except (yaml.YAMLError, ValueError) as error:
            reason = f"is not YAML: {' '.join(str(error).split())}"
        if reason:
            return Problem(str(path), None, reason, "mend the file, or take it out of --config-dir")
    return None
