"""The latencies that lie beside a record: read by the letter, and held against what the record says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sweep.errors import RecordError
from sweep.paths import AttemptPaths, read_bytes
from sweep.trial.query_log import CAPACITY
from sweep.trial.result import TrialResult
from sweep.vocabulary import TrialState

_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '<i8', 'fortran_order': False, 'shape': \((\d{1,12}),\), \} *\n", re.DOTALL
)
"""How NumPy writes a row of int64 (numpy.lib.format, version 1.0). Its own reader evaluates whatever a header says."""


_LATENCY_NS_MAX = 2**53
"""A hundred days: beyond it a float is no whole number of ns."""


def read_latencies(directory: Path) -> npt.NDArray[np.int64] | None:
    """Return the latencies (int64 [queries], ns) that lie in the folder of a test; None where it has no such file.

    Raises:
        RecordError: The file cannot be read or is damaged; the message names it.
    """
    path = AttemptPaths(directory).latencies
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from error
    header = _HEADER.match(data)
    if header is None or len(data) != header.end() + 8 * int(header[1]):
        raise RecordError(f"{path}: damaged: not a row of int64 as sweep writes it")
    latencies = np.frombuffer(data, np.dtype("<i8"), offset=header.end())
    if latencies.size and not 0 < latencies.min() <= latencies.max() < _LATENCY_NS_MAX:
        raise RecordError(f"{path}: damaged: a query that took {latencies.min()} ns, or {latencies.max()} ns")
    return latencies


def check_latencies(result: TrialResult, directory: Path) -> None:
    """Hold the latencies beside a record against it: it says how many there are.

    Raises:
        RecordError: They are not those of this record; the message names the file. That it is gone is no damage.
    """
    latencies = read_latencies(directory)
    if latencies is None or result.state is not TrialState.COMPLETE or result.imported is not None:
        return
    path, known = AttemptPaths(directory).latencies, min(result.query_count, CAPACITY)
    if latencies.size != known:
        raise RecordError(f"{path}: damaged: {latencies.size} latencies, and the record has {known}")
