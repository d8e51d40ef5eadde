"""What a dataset must do. One conformance suite (tests/datasets) holds every dataset to it."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sweep.errors import Problem
from sweep.models.base import TensorSpec

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class DatasetConfig:
    """A dataset as the user asked for it: `conf/dataset/NAME.yaml` plus overrides. No file was touched yet.

    Attributes:
        name: `auto`, or the name of a registered dataset.
        path: Folder of prepared data (`imagenet`); None for the default place under the cache folder.
        count: Samples in the dataset; None for all of them (`synthetic`: a default that depends on their size).
        seed: Seed of generated samples (`synthetic`).
        interpolation: How images were resized (`imagenet`): `area` or `linear`; None takes what is prepared, `area`
            first.
        repeat: How many times over the samples are taken (`digits`).
    """

    name: str = "auto"
    path: str | None = None
    count: int | None = None
    seed: int = 0
    interpolation: str | None = None
    repeat: int = 1


def unread_seed(config: DatasetConfig, samples: str) -> list[Problem]:
    """Return the problem with a seed that was set for `samples` (`digits`), which are not generated."""
    if config.seed == DatasetConfig.seed:
        return []
    fix = "remove it, or set dataset=synthetic"
    return [Problem("dataset.seed", config.seed, f"nothing reads it: {samples} are not generated", fix)]


class Dataset(ABC):
    """Samples by index. Keeps none of them in memory beyond what is small: they are the caller's, once.

    Args:
        name: Name of the dataset, `auto` resolved.
        digest: `sha256:<hex>` of the samples and labels, or of the recipe of generated ones.
        count: How many samples there are.
        inputs: The model's inputs, which every sample fits.
        labels: Class ids, integers [count]; None when the samples mean nothing.
        why: How `auto` was resolved, for people; empty when nothing had to be chosen.
    """

    def __init__(
        self,
        *,
        name: str,
        digest: str,
        count: int,
        inputs: tuple[TensorSpec, ...],
        labels: npt.NDArray[np.integer[Any]] | None = None,
        why: str = "",
    ) -> None:
        self.name = name
        self.digest = digest
        self.count = count
        self.inputs = inputs
        self.labels = labels
        self.why = why

    def read_into(self, indices: Sequence[int], out: Mapping[str, Array]) -> None:
        """Fill `out[input name][k]` with sample `indices[k]`, for every input.

        A sample's bytes depend on its index alone: not on the order of `indices`, nor on what else is in them.

        Args:
            indices: Sample indices, 0 to count - 1, in any order and with repeats.
            out: Per input name a writable C-contiguous array [len(indices), *shape] of the input's dtype.

        Raises:
            IndexError: An index is not in the dataset.
            ValueError: `out` does not fit.
            SweepError: The samples cannot be read.
        """
        wanted = [operator.index(index) for index in indices]
        for index in wanted:
            if not 0 <= index < self.count:
                raise IndexError(f"sample {index} is not in dataset {self.name}, which has {self.count}")
        for spec in self.inputs:
            _check_array(spec, out, len(wanted))
        if wanted:
            self._read(wanted, out)

    @abstractmethod
    def _read(self, indices: list[int], out: Mapping[str, Array]) -> None:
        """Do what `read_into` says; both arguments were checked."""


def _check_array(spec: TensorSpec, out: Mapping[str, Array], samples: int) -> None:
    array = out.get(spec.name)
    if array is None:
        raise ValueError(f"no array for input {spec.name}; there are arrays for: {', '.join(sorted(out)) or 'nothing'}")
    shape = (samples, *spec.shape)
    if array.dtype != np.dtype(spec.dtype) or array.shape != shape:
        raise ValueError(
            f"the array for input {spec.name} is {array.dtype}{list(array.shape)}; it must be {spec.dtype}{list(shape)}"
        )
    # A strided array would be filled through hidden copies.
    if not (array.flags.c_contiguous and array.flags.writeable):
        raise ValueError(f"the array for input {spec.name} must be writable and C-contiguous")


def describe(inputs: tuple[TensorSpec, ...]) -> str:
    """Return inputs for people: `input uint8[224, 224, 3]`."""
    return ", ".join(f"{spec.name} {spec.dtype}{list(spec.shape)}" for spec in inputs) or "no input"
