"""The ranges of a network's tensors over calibration samples, by ONNX Runtime's tools and around their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sweep.models.calibration import CalibrationMethod
from sweep.models.ort import quantization

QUANTISED = ("Conv", "Gemm", "MatMul", "Add", "MaxPool", "AveragePool", "GlobalAveragePool")
"""Operators whose inputs are quantised, so that their tensors are calibrated."""

_MORE_BINS_MAX = 1_000_000
_SHOWN = 4


@dataclass(frozen=True)
class Ranges:
    """What was seen in the tensors.

    Attributes:
        of_tensors: ONNX Runtime's `TensorsData`, of those whose values were all finite.
        endless: Names of the others, such as a mask with -inf.
    """

    of_tensors: Any
    endless: frozenset[str]


def calibrated(
    model: Path,
    work: Path,
    samples: Any,
    method: CalibrationMethod,
    names: Mapping[str, str],
    notes: list[str],
) -> Ranges:
    """Return the ranges of the tensors that may be quantised.

    Args:
        model: File of the network, in float32.
        work: A file that the calibration may write.
        samples: What reads them, as ONNX Runtime's `CalibrationDataReader`.
        method: How a range follows from values. One that fails on a tensor is replaced by `minmax` there.
        names: What to call a tensor in a note, where that is not its name.
        notes: Tensors with another method are named in them.
    """
    tools = quantization()
    kind = {
        CalibrationMethod.PERCENTILE: tools.CalibrationMethod.Percentile,
        CalibrationMethod.ENTROPY: tools.CalibrationMethod.Entropy,
        CalibrationMethod.MINMAX: tools.CalibrationMethod.MinMax,
    }[method]
    calibrator = tools.create_calibrator(model, list(QUANTISED), augmented_model_path=str(work), calibrate_method=kind)
    collector = None
    if method is not CalibrationMethod.MINMAX:
        options = ("method", "symmetric", "num_bins", "num_quantized_bins", "percentile", "scenario")
        histograms = tools.calibrate.HistogramCollector(**{name: getattr(calibrator, name) for name in options})
        collector = calibrator.collector = _Collector(histograms)
    for start in range(len(samples)):  # not all samples first: their tensors would fill the memory
        samples.set_range(start_index=start, end_index=start + 1)
        calibrator.collect_data(samples)
    ranges = calibrator.compute_data()
    endless = {name for name, one in ranges.items() if not all(np.isfinite(end).all() for end in one.range_value)}
    if collector is not None:
        endless |= collector.endless
        if flat := sorted(names.get(name, name) for name in collector.plain):
            more = f" and {len(flat) - _SHOWN} more" if len(flat) > _SHOWN else ""
            notes.append(
                f"int8: range by minmax, not {method}, of nearly constant tensors: {', '.join(flat[:_SHOWN])}{more}"
            )
    for name in endless & set(ranges.keys()):
        del ranges.data[name]
    return Ranges(ranges, frozenset(endless))


class _Collector:
    """Stands in for ONNX Runtime's collector of histograms, and hands it the tensors that it can take.

    Attributes:
        plain: Tensors that it cannot, since the bins of a histogram over nearly equal values would have no width.
        endless: Those with values that are not finite.
    """

    def __init__(self, histograms: Any) -> None:
        self._histograms = histograms
        self._extremes: dict[str, tuple[Any, Any]] = {}
        self.plain: set[str] = set()
        self.endless: set[str] = set()

    def collect(self, arrays: Mapping[str, Sequence[npt.NDArray[Any]]]) -> None:
        """Take the values of all tensors in a batch of samples."""
        for name, batches in arrays.items():
            values = np.concatenate([batch.ravel() for batch in batches])
            if name in self.endless or not np.isfinite(values).all():
                self.endless.add(name)
                continue
            low, high = self._extremes.get(name, (np.inf, -np.inf))
            if values.size:
                self._extremes[name] = min(low, values.min()), max(high, values.max())
            if name in self.plain or self._too_fine(name, values):
                self.plain.add(name)
                continue
            try:
                with np.errstate(all="ignore"):
                    self._histograms.collect({name: batches})
            except ValueError:
                self.plain.add(name)

    def _too_fine(self, name: str, values: npt.NDArray[Any]) -> bool:
        """Return whether a tensor's bins are so fine that its new values would need far too many more."""
        if name not in self._histograms.histogram_dict or not values.size:
            return False
        edges = self._histograms.histogram_dict[name][1]
        width = float(edges[1] - edges[0])
        return width <= 0 or (float(np.abs(values).max()) - float(edges[-1])) / width > _MORE_BINS_MAX

    def compute_collection_result(self) -> dict[str, Any]:
        """Return the range of every tensor whose values were all finite."""
        histograms = self._histograms.histogram_dict
        for name in self.plain | self.endless:
            histograms.pop(name, None)
        found = dict(self._histograms.compute_collection_result()) if histograms else {}
        make = quantization().calibrate.TensorData
        for name in self.plain - self.endless:
            low, high = self._extremes[name]
            found[name] = make(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
        return found
