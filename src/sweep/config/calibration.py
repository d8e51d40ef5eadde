"""Which samples an int8 model is calibrated with, from what the user typed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sweep.config.fields import Fields
from sweep.datasets import Dataset, DatasetConfig, open_calibration
from sweep.errors import ConfigError, Problem
from sweep.models import Calibration, CalibrationMethod, TensorSpec
from sweep.models.calibration import MIN_SAMPLES
from sweep.paths import cache_dir

KEYS = ("count", "method")
COUNT_MAX = 1_000_000
_SMALL_BYTES = 4096
_DEFAULT_SMALL = 512
_DEFAULT = 64
"""Samples where the user says nothing: many of those up to _SMALL_BYTES, fewer images, each of which takes a while."""


@dataclass(frozen=True)
class CalibrationSettings:
    """What the user asked for.

    Attributes:
        count: Samples; None for the default.
        method: How ranges follow from them.
        exclude: Names of nodes that stay in float32.
    """

    count: int | None = None
    method: CalibrationMethod = CalibrationMethod.PERCENTILE
    exclude: tuple[str, ...] = ()


def read_calibration(fields: Fields) -> CalibrationSettings:
    """Return the settings; what is wrong with them is among the problems of `fields`."""
    given = fields.get("calibration")
    if not isinstance(given, dict):
        fix = "write calibration.count=NUMBER or calibration.method=NAME"
        fields.problems.append(Problem("calibration", given, "is a group of two settings", fix))
        return CalibrationSettings()
    count = None
    if given.get("count") is not None:
        count = fields.whole("calibration.count", MIN_SAMPLES, COUNT_MAX, _DEFAULT)
    return CalibrationSettings(count, fields.member("calibration.method", CalibrationMethod), _excluded(fields))


def _excluded(fields: Fields) -> tuple[str, ...]:
    """Return the nodes that stay in float32, each once and in the order of names, which changes nothing."""
    given = fields.get("int8.exclude")
    names = given if isinstance(given, list) else [given]
    if given is not None and all(isinstance(name, str) and name for name in names):
        return tuple(sorted(set(names)))
    fix = "int8.exclude=[NAME,...], as the model file names its nodes; [] for none"
    fields.problems.append(Problem("int8.exclude", "null" if given is None else given, "must be names", fix))
    return ()


def calibration_for(
    settings: CalibrationSettings, choice: DatasetConfig, inputs: tuple[TensorSpec, ...]
) -> Calibration:
    """Return what a model is calibrated with.

    Args:
        settings: What the user asked for.
        choice: The dataset of the test.
        inputs: The model's inputs.

    Raises:
        ConfigError: There are not enough samples.
    """
    dataset = open_calibration(choice, inputs, cache_dir())
    if dataset.count < MIN_SAMPLES:
        reason = f"dataset {dataset.name} has {dataset.count} samples, and a calibration needs {MIN_SAMPLES} or more"
        raise ConfigError(Problem("precision", "int8", reason, "use another dataset, or precision=fp16"))
    if settings.count is not None and settings.count > dataset.count:
        reason = f"there are {dataset.count} samples to calibrate with in dataset {dataset.name}"
        raise ConfigError(Problem("calibration.count", settings.count, reason, f"at most {dataset.count}"))
    small = sum(np.dtype(spec.dtype).itemsize * math.prod(spec.shape) for spec in inputs) <= _SMALL_BYTES
    count = settings.count or min(_DEFAULT_SMALL if small else _DEFAULT, dataset.count)
    return Calibration(
        dataset=dataset.name,
        digest=dataset.digest,
        count=count,
        method=settings.method,
        exclude=settings.exclude,
        read=lambda batch: _batches(dataset, count, batch),
    )


def _batches(dataset: Dataset, count: int, batch: int) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    """Yield the first `count` samples of a dataset."""
    for start in range(0, count, batch):
        indices = range(start, min(start + batch, count))
        arrays = {spec.name: np.empty((len(indices), *spec.shape), spec.dtype) for spec in dataset.inputs}
        dataset.read_into(indices, arrays)
        yield arrays
