"""Configuration files read one by one, for commands that compose nothing."""

from __future__ import annotations

from typing import Any

import yaml

from sweep.errors import ConfigError, Problem, choose
from sweep.paths import conf_dir


def choices(group: str) -> list[str]:
    """Return the names of a group's configurations (`model`: digits, mobilenet, ...)."""
    return sorted(path.stem if path.suffix == ".yaml" else path.name for path in (conf_dir() / group).glob("*.yaml"))


def load_choice(group: str, name: str) -> dict[str, Any]:
    """Return one configuration of a group as it is in its file.

    Raises:
        ConfigError: The group has no such configuration.
    """
    names = choices(group)
    if name not in names:
        raise ConfigError(Problem(group, name, f"unknown {group}", choose(name, names)))
    loaded: dict[str, Any] = yaml.safe_load((conf_dir() / group / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded
