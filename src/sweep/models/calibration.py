"""The samples by which an int8 model's ranges are chosen: what they are, and how to read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    Batches = Callable[[int], Iterator[Mapping[str, npt.NDArray[Any]]]]

MIN_SAMPLES = 8
"""Fewer samples than this say too little about the range of a tensor."""


class CalibrationMethod(StrEnum):
    """How the range of a tensor follows from the values seen in it."""

    PERCENTILE = "percentile"
    """The 99.999th percentile of the magnitudes: what is rarer than one in 100,000 is clipped."""
    ENTROPY = "entropy"
    """The range whose int8 histogram is closest to that of the values (Kullback-Leibler divergence)."""
    MINMAX = "minmax"
    """The largest magnitude."""


@dataclass(frozen=True)
class Calibration:
    """What an int8 model is calibrated with.

    Attributes:
        dataset: Name of the dataset, for people.
        digest: `sha256:<hex>` of the dataset that the samples are the first of.
        count: How many samples, at least MIN_SAMPLES.
        method: How ranges follow from them.
        exclude: Names of the network's nodes that stay in float32.
        read: Yields all samples, in order, in batches of at most so many: per input name an array [n, ...] of the
            input's type.
    """

    dataset: str
    digest: str
    count: int
    method: CalibrationMethod
    read: Batches = field(compare=False, repr=False)
    exclude: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what identifies it, as plain JSON data."""
        said = {"dataset": self.dataset, "digest": self.digest, "count": self.count, "method": str(self.method)}
        return {**said, "exclude": list(self.exclude)} if self.exclude else said
