"""Checks on what users type for `dataset.*`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from sweep.datasets.base import DatasetConfig
from sweep.datasets.imagenet import INTERPOLATIONS
from sweep.datasets.registry import dataset_names
from sweep.errors import ConfigError, Problem, choose

SEED_MAX = 2**32 - 1


def dataset_config(mapping: Mapping[str, Any]) -> DatasetConfig:
    """Return `mapping` as a config; keys that are absent take their defaults.

    A relative path becomes absolute here: the worker that opens the dataset works in another folder.

    Raises:
        ConfigError: With one problem per wrong value.
    """
    known = [field.name for field in fields(DatasetConfig)]
    problems = [
        Problem(f"dataset.{key}", value, "unknown setting", choose(str(key), known))
        for key, value in mapping.items()
        if key not in known
    ]
    values = {key: mapping[key] for key in known if key in mapping}

    name = values.setdefault("name", "auto")
    names = ("auto", *dataset_names())
    if name not in names:
        problems.append(Problem("dataset.name", name, "unknown dataset", choose(str(name), names)))
    path = values.get("path")
    if path is not None:
        if isinstance(path, (str, Path)) and str(path).strip():
            values["path"] = str(Path(path).expanduser().absolute())
        else:
            problems.append(Problem("dataset.path", path, "is not a folder name", "give a folder, or null"))
    if (count := values.get("count")) is not None:
        values["count"] = _whole(count)
        if values["count"] is None or values["count"] < 1:
            problems.append(Problem("dataset.count", count, "is not a number of samples", "give 1 or more, or null"))
    seed = values.get("seed", 0)
    values["seed"] = _whole(seed)
    if values["seed"] is None or not 0 <= values["seed"] <= SEED_MAX:
        problems.append(Problem("dataset.seed", seed, "is not a seed", f"give a whole number from 0 to {SEED_MAX}"))
    interpolation = values.get("interpolation")
    if interpolation is not None and interpolation not in INTERPOLATIONS:
        fix = f"{choose(str(interpolation), INTERPOLATIONS)}, or null"
        problems.append(Problem("dataset.interpolation", interpolation, "unknown interpolation", fix))
    if problems:
        raise ConfigError(problems)
    return DatasetConfig(**values)


def _whole(value: Any) -> int | None:
    """Return a whole number (1e3 is one too), or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None
