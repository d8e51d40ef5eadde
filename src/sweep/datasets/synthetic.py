"""Generated samples for any model: they exercise an engine, and mean nothing."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sweep.datasets.base import Array, Dataset, DatasetConfig, describe
from sweep.errors import ConfigError, Problem
from sweep.models.base import TensorSpec

GENERATOR_VERSION = 1
"""Part of the digest: to be raised when the same recipe begins to give other samples."""
DEFAULT_COUNT = 1024
DEFAULT_BYTES = 1 << 30
"""Without a count there are as many samples as fit in this, at most DEFAULT_COUNT."""
BLOCK_WORDS = 1 << 15
"""64-bit random words made at a time: what generation needs in memory beside the caller's array."""


class SyntheticDataset(Dataset):
    """Samples made when they are asked for, each from its own random stream.

    uint8 is uniform in 0..255; floats are uniform in [0, 1); other integers and booleans are 0 or 1, which every model
    takes as token ids, masks and lengths. There are no labels.

    The random words come straight from NumPy's SFC64 bit generator, whose stream is fixed for a seed; NumPy's
    distributions are not used because their streams may change between versions, and the digest would not say so.
    """

    def __init__(self, inputs: tuple[TensorSpec, ...], count: int, seed: int, why: str = "") -> None:
        recipe = {
            "generator": f"synthetic {GENERATOR_VERSION}",
            "inputs": [[spec.name, spec.dtype, list(spec.shape)] for spec in inputs],
            "count": count,
            "seed": seed,
        }
        digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        super().__init__(name="synthetic", digest=f"sha256:{digest}", count=count, inputs=inputs, why=why)
        self.seed = seed

    def _read(self, indices: list[int], out: Mapping[str, Array]) -> None:
        for position, spec in enumerate(self.inputs):
            rows = out[spec.name].reshape(len(indices), -1)
            for row, index in zip(rows, indices, strict=True):
                _fill(row, np.random.SFC64((self.seed, position, index)))


def open_synthetic(config: DatasetConfig, inputs: tuple[TensorSpec, ...], cache: Path) -> Dataset:
    """Return generated samples for `inputs`.

    Raises:
        ConfigError: The model has no inputs, or one that nothing can be generated for.
    """
    del cache
    problems = [
        Problem("dataset", "synthetic", f"the model's input {describe((spec,))} {reason}", "give the model real data")
        for spec in inputs
        if (reason := _unfit(spec))
    ]
    if not inputs:
        problems.append(Problem("dataset", "synthetic", "the model has no inputs to generate samples for"))
    if config.path is not None:
        problems.append(
            Problem(
                "dataset.path", config.path, "generated samples have no folder", "remove it, or set dataset=imagenet"
            )
        )
    if problems:
        raise ConfigError(problems)
    count = config.count
    if count is None:
        sample_bytes = sum(np.dtype(spec.dtype).itemsize * math.prod(spec.shape) for spec in inputs)
        count = max(1, min(DEFAULT_COUNT, DEFAULT_BYTES // sample_bytes))
    return SyntheticDataset(inputs, count, config.seed)


def _unfit(spec: TensorSpec) -> str:
    try:
        known = np.dtype(spec.dtype).kind in "uifb"
    except TypeError:
        known = False
    if not known:
        return "is of a type that cannot be generated"
    if any(size < 1 for size in spec.shape):
        return "has a dimension of unknown size"
    return ""


def _fill(row: Array, stream: np.random.BitGenerator) -> None:
    """Fill a contiguous vector [elements], block by block."""
    bits, convert = _conversion(row.dtype)
    step = BLOCK_WORDS * 8 // bits.itemsize
    for begin in range(0, row.size, step):
        part = row[begin : begin + step]
        words = stream.random_raw(-(-part.size * bits.itemsize // 8))
        convert(words.view(bits)[: part.size], part)


def _conversion(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], Any]:
    """Return how many random bits an element takes, as an unsigned type, and what turns them into elements."""
    if dtype == np.uint8:
        return np.dtype(np.uint8), _copy
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return np.dtype(f"u{dtype.itemsize}"), _to_unit_interval
    if dtype.kind == "f":
        return np.dtype(np.uint64), _to_unit_interval
    return np.dtype(np.uint8), _to_bit


def _copy(bits: npt.NDArray[Any], part: Array) -> None:
    part[:] = bits


def _to_bit(bits: npt.NDArray[Any], part: Array) -> None:
    np.bitwise_and(bits, 1, out=bits)
    part[:] = bits


def _to_unit_interval(bits: npt.NDArray[Any], part: Array) -> None:
    # Only as many bits as the significand holds: a division that rounds could otherwise give 1.0.
    significand = min(np.finfo(part.dtype).nmant + 1, bits.itemsize * 8)
    np.right_shift(bits, bits.itemsize * 8 - significand, out=bits)
    np.multiply(bits, part.dtype.type(2.0**-significand), out=part, casting="unsafe")
