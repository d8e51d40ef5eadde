"""The query sample library: LoadGen's samples in memory, contiguous in the order in which it will ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sweep.datasets.base import Dataset
from sweep.models.base import TensorSpec

Array = npt.NDArray[Any]


class SampleStore:
    """Holds loaded samples, per input one array [slots, *sample shape], slot k holding the k-th index loaded.

    LoadGen hands a list that is longer than the performance set: its first N-1 indices again at the end, so that
    every query of N is one slice. An index can therefore sit at two slots; `slot_of` gives the first. Samples stay
    in memory when LoadGen unloads them, and a later test that asks for the same list, or a longer one, reuses them.
    """

    def __init__(
        self, dataset: Dataset, on_load: Callable[[Mapping[str, Array]], None], on_move: Callable[[], None]
    ) -> None:
        self._dataset = dataset
        self._on_load = on_load
        self._on_move = on_move
        self._arrays: dict[str, Array] = {}
        self.indices: list[int] = []
        self.slot_of: dict[int, int] = {}

    def load(self, indices: Sequence[int]) -> None:
        """Bring the samples of `indices` into slots 0, 1, 2, ...; reads only what is not there yet."""
        wanted = list(indices)
        if not self.indices or self.indices[: len(wanted)] != wanted:
            kept = len(self.indices) if wanted[: len(self.indices)] == self.indices else 0
            self.indices = []  # should reading fail, nothing half-read is taken for loaded
            self._read(wanted, kept)
            self.indices = wanted
            self.slot_of = {}
            for slot, index in enumerate(wanted):
                self.slot_of.setdefault(index, slot)
        self._on_load(self._arrays)

    def _read(self, wanted: list[int], kept: int) -> None:
        self._on_move()
        for spec in self._dataset.inputs:
            self._resize(spec, len(wanted))
        self._dataset.read_into(wanted[kept:], {name: array[kept:] for name, array in self._arrays.items()})

    def _resize(self, spec: TensorSpec, slots: int) -> None:
        array = self._arrays.get(spec.name)
        if array is None:
            self._arrays[spec.name] = np.empty((slots, *spec.shape), dtype=spec.dtype)
        else:
            # In place: a second copy of the samples must never exist. Whoever holds a pointer was told by on_move.
            array.resize((slots, *spec.shape), refcheck=False)
