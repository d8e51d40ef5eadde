"""Handwritten digits that travel inside the package: real data, with nothing to download.

The 1797 images of 8x8 pixels and ten classes come from the UCI Machine Learning Repository's "Optical Recognition of
Handwritten Digits" (CC BY 4.0). The shipped network was trained without the held-out part.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sweep.datasets.base import Array, Dataset, DatasetConfig, describe, unread_seed
from sweep.errors import ConfigError, Problem, SweepError
from sweep.models.base import TensorSpec
from sweep.paths import PACKAGE

FILE = PACKAGE / "datasets" / "data" / "digits.npz"
SAMPLE_SHAPE = (8, 8, 1)
NAME = "digits"

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


class DigitsDataset(Dataset):
    """Part of the digits, 64 bytes a sample, held in memory.

    Args:
        images: uint8 [count, 8, 8, 1].
        labels: Classes 0..9, [count].
        inputs: The model's one input.
        repeat: How many times over they are taken: sample k is image k modulo count.
    """

    def __init__(self, images: Images, labels: Labels, inputs: tuple[TensorSpec, ...], repeat: int = 1) -> None:
        times = "" if repeat == 1 else f" {repeat} times"  # digests of the plain ones stay as they were
        digest = hashlib.sha256(f"digits {images.shape} {images.dtype} {labels.dtype.str}{times}\n".encode())
        digest.update(images.tobytes())
        digest.update(labels.tobytes())
        super().__init__(
            name=NAME,
            digest=f"sha256:{digest.hexdigest()}",
            count=repeat * len(images),
            inputs=inputs,
            labels=np.tile(labels, repeat),
            why="" if repeat == 1 else f"{len(images)} images, {repeat} times over",
        )
        self._images = images

    def _read(self, indices: list[int], out: Mapping[str, Array]) -> None:
        np.take(self._images, indices, axis=0, mode="wrap", out=out[self.inputs[0].name])


def fits_digits(inputs: tuple[TensorSpec, ...]) -> bool:
    """Whether a model takes digits: one uint8 input [8, 8, 1]."""
    return len(inputs) == 1 and inputs[0].dtype == "uint8" and inputs[0].shape == SAMPLE_SHAPE


def open_digits(config: DatasetConfig, inputs: tuple[TensorSpec, ...], cache: Path) -> Dataset:
    """Return the held-out digits, which the shipped network has never seen: its accuracy on them is honest.

    Raises:
        ConfigError: The model takes something else, more samples were asked for than there are, or a setting is not
            for digits.
    """
    del cache
    problems = []
    if not fits_digits(inputs):
        takes = describe(inputs)
        problems.append(
            Problem(
                "dataset",
                "digits",
                f"its samples are uint8{list(SAMPLE_SHAPE)} but the model takes {takes}",
                "use dataset=auto, or model=digits",
            )
        )
    if config.path is not None:
        problems.append(
            Problem(
                "dataset.path", config.path, "digits travel inside the package", "remove it, or set dataset=imagenet"
            )
        )
    problems += unread_seed(config, "digits")
    # For a model that takes images it may be the model's own, and what is wrong is the model.
    if config.interpolation is not None and fits_digits(inputs):
        reason, fix = "nothing reads it: digits are used at their own size", "remove it"
        problems.append(Problem("dataset.interpolation", config.interpolation, reason, fix))
    images, labels = _load(held_out=True)
    if config.count is not None and config.count > len(images):
        problems.append(
            Problem("dataset.count", config.count, f"there are {len(images)} held-out digits", f"at most {len(images)}")
        )
    if problems:
        raise ConfigError(problems)
    return DigitsDataset(images[: config.count], labels[: config.count], inputs, config.repeat)


@functools.cache
def held_out_count() -> int:
    """Return how many digits are held out, which is how many there are to test with."""
    return len(_load(held_out=True)[0])


def times_over(name: str, count: int) -> tuple[int, int]:
    """Return how many samples a set of `count` really has, and how many times over they are taken.

    Args:
        name: Of the dataset; nothing but digits is taken more than once.
        count: Samples it counts.
    """
    if name == NAME and count > held_out_count():
        times, rest = divmod(count, held_out_count())
        if not rest:
            return held_out_count(), times
    return count, 1


def times_over_text(name: str, count: int) -> str:
    """Return the same in words (`500 images, 100 times over`); empty for a set that is taken once."""
    images, times = times_over(name, count)
    return "" if times == 1 else f"{images} images, {times} times over"


def training_digits() -> tuple[Images, Labels]:
    """Return the digits that are not held out, to train and calibrate with: images uint8 [n, 8, 8, 1], labels [n]."""
    return _load(held_out=False)


def _load(*, held_out: bool) -> tuple[Images, Labels]:
    try:
        with np.load(FILE) as arrays:
            images, labels, holdout = arrays["images"], arrays["labels"], arrays["holdout"]
    except (OSError, KeyError, ValueError) as error:
        raise SweepError(f"{FILE}: the shipped digits cannot be read ({error}); reinstall the package") from error
    chosen = np.zeros(len(images), dtype=bool)
    chosen[holdout] = True
    if not held_out:
        chosen = ~chosen
    return np.ascontiguousarray(images[chosen], dtype=np.uint8), np.ascontiguousarray(labels[chosen], dtype="<i8")
