"""From a composed mapping, in which a user may have typed anything, to a `ModelConfig`."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sweep.errors import ConfigError, Problem, choose
from sweep.models.base import ModelConfig
from sweep.models.registry import AUTO, weights_offered
from sweep.vocabulary import Weights

OTHER_KEYS = frozenset({"target_latency_ms", "performance_sample_count", "dataset", "reference_top1", "interpolation"})
"""Keys of `conf/model/NAME.yaml` that other layers read."""


def model_config(mapping: Mapping[str, Any]) -> ModelConfig:
    """Return the model that a composed configuration asks for.

    Args:
        mapping: The `model` node of the configuration, overrides applied, as plain Python values.

    Raises:
        ConfigError: With one problem per wrong or unknown key.
    """
    if not isinstance(mapping, Mapping):
        shown = "null" if mapping is None else mapping
        raise ConfigError(Problem("model", shown, "is not a configuration", "choose one with model=NAME"))
    known = {field.name: field for field in dataclasses.fields(ModelConfig)}
    problems = [
        Problem(f"model.{key}", value, "unknown key", choose(str(key), {*known, *OTHER_KEYS}))
        for key, value in mapping.items()
        if key not in known and key not in OTHER_KEYS
    ]
    values: dict[str, Any] = {}
    for key, convert in _CONVERT.items():
        if key in mapping:
            try:
                values[key] = convert(mapping[key])
            except ValueError as error:
                problems.append(Problem(f"model.{key}", mapping[key], str(error)))
        elif known[key].default is dataclasses.MISSING:
            problems.append(Problem(f"model.{key}", None, "is not set"))
    problems += _wrong_others(mapping)
    if problems:
        raise ConfigError(problems)
    config = ModelConfig(**values)
    problems = [*_wrong_weights(config), *_wrong_normalisation(config)]
    if problems:
        raise ConfigError(problems)
    return config


def _wrong_others(mapping: Mapping[str, Any]) -> list[Problem]:
    """Check what no other layer does; null is a value of all of these."""
    given = {key: mapping[key] for key in OTHER_KEYS if mapping.get(key) is not None}
    problems = []
    top1 = given.get("reference_top1", 0)
    if not _is_number(top1) or not 0 <= top1 <= 100:
        problems.append(Problem("model.reference_top1", top1, "must be a percentage", "give 0 to 100, or null"))
    problems += [
        Problem(f"model.{key}", given[key], "must be a name")
        for key in ("dataset", "interpolation")
        if not isinstance(given.get(key, ""), str)
    ]
    return problems


def _wrong_weights(config: ModelConfig) -> list[Problem]:
    offered = (AUTO, *weights_offered(config))
    if config.weights in offered:
        return []
    known = config.weights in tuple(Weights)
    reason = f"model {config.name} has no such weights" if known else "unknown weights"
    return [Problem("model.weights", config.weights, reason, choose(config.weights, offered))]


def _wrong_normalisation(config: ModelConfig) -> list[Problem]:
    """Check what must fit together in a model that classifies."""
    if config.input_name is None:
        return []
    problems = []
    if config.scores_name is None:
        problems.append(Problem("model.scores_name", None, "is not set", "name the tensor of the class scores"))
    if len(config.sample_shape) != 3:
        fix = "give height, width and channels"
        problems.append(Problem("model.sample_shape", list(config.sample_shape), "is not the shape of an image", fix))
        return problems
    channels = config.sample_shape[-1]
    for key, per_channel in (("mean", config.mean), ("scale", config.scale)):
        if len(per_channel) != channels:
            reason = f"has {len(per_channel)} values, the image has {channels} channels"
            problems.append(Problem(f"model.{key}", list(per_channel), reason, "give one value per channel"))
    return problems


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text; quote it if it looks like a number")
    return value


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _name(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name := _text(value)):
        raise ValueError("must be made of letters, digits, dots, dashes and underscores")
    return name


def _md5(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{32}", value):
        raise ValueError("must be 32 hexadecimal digits")
    return value.lower()


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1 or value < 0:
        raise ValueError("must be a whole number from 0")
    return int(value)


def _numbers(value: Any) -> tuple[float, ...]:
    if not _is_list(value) or not all(_is_number(item) for item in value):
        raise ValueError("must be a list of numbers")
    return tuple(float(item) for item in value)


def _shape(value: Any) -> tuple[int, ...]:
    if not _is_list(value) or not all(_is_number(item) and item == item // 1 and item > 0 for item in value):
        raise ValueError("must be a list of whole numbers from 1")
    return tuple(int(item) for item in value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # not so for NaN


_CONVERT: Mapping[str, Callable[[Any], Any]] = {
    "name": _name,
    "weights": _text,
    "path": _optional_text,
    "architecture": _optional_text,
    "reference_url": _optional_text,
    "reference_md5": _md5,
    "input_name": _optional_text,
    "scores_name": _optional_text,
    "class_offset": _count,
    "mean": _numbers,
    "scale": _numbers,
    "sample_shape": _shape,
    "seed": _count,
}
"""How each field of `ModelConfig` is read."""
