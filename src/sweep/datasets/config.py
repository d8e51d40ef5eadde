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
from sweep.paths import expanded

SEED_MAX = 2**32 - 1
COUNT_MAX = 1_000_000_000
"""LoadGen lists every sample of a dataset, in eight bytes each."""


REPEAT_MAX = 1000

_NUMBERS = (("seed", 0, 0, SEED_MAX, "a seed"), ("repeat", 1, 1, REPEAT_MAX, "a number of times"))
"""Whole numbers that every dataset has: key, default, least, most, and what they are."""


def dataset_config(mapping: Mapping[str, Any]) -> DatasetConfig:
    """Return `mapping` as a config; keys that are absent take their defaults.

    A relative path becomes absolute here: the worker that opens the dataset works in another folder.

    Raises:
        ConfigError: With one problem per wrong value.
    """
    if not isinstance(mapping, Mapping):
        shown = "null" if mapping is None else mapping
        raise ConfigError(Problem("dataset", shown, "is not a configuration", choose("", ("auto", *dataset_names()))))
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
            values["path"] = str(expanded(str(path), "dataset.path"))
        else:
            problems.append(Problem("dataset.path", path, "is not a folder name", "give a folder, or null"))
    if (count := values.get("count")) is not None:
        values["count"] = _whole(count)
        if values["count"] is None or not 1 <= values["count"] <= COUNT_MAX:
            fix = f"give 1 to {COUNT_MAX}, or null"
            problems.append(Problem("dataset.count", count, "is not a number of samples", fix))
    problems += _read_numbers(values)
    interpolation = values.get("interpolation")
    if interpolation is not None and interpolation not in INTERPOLATIONS:
        fix = f"{choose(str(interpolation), INTERPOLATIONS)}, or null"
        problems.append(Problem("dataset.interpolation", interpolation, "unknown interpolation", fix))
    if problems:
        raise ConfigError(problems)
    return DatasetConfig(**values)


def _read_numbers(values: dict[str, Any]) -> list[Problem]:
    """Put the whole numbers of `_NUMBERS` in their places; return what is wrong with them."""
    problems = []
    for key, default, least, most, what in _NUMBERS:
        given = values.get(key, default)
        number = values[key] = _whole(given)
        if number is None or not least <= number <= most:
            fix = f"give a whole number from {least} to {most}"
            problems.append(Problem(f"dataset.{key}", given, f"is not {what}", fix))
    return problems


def unread_settings(mapping: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with settings that the dataset named in `mapping` never reads.

    Openers refuse such settings themselves. What they cannot tell is whether an interpolation is the user's or the
    model's own, which is filled in later; so this takes what the user typed.
    """
    interpolation = mapping.get("interpolation")
    if mapping.get("name") != "synthetic" or interpolation is None:
        return []
    reason, fix = "nothing reads it: generated samples are not resized", "remove it, or set dataset=imagenet"
    return [Problem("dataset.interpolation", interpolation, reason, fix)]


def _whole(value: Any) -> int | None:
    """Return a whole number (1e3 is one too), or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None
