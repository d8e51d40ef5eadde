"""Latencies of a running test, in memory that parent and worker share: they survive a worker that crashes."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt

CAPACITY = 50_000_000
"""Queries whose latency is kept; later ones are only counted. Untouched pages cost no memory."""

_ITEM = 8
_COUNT, _STARTED, _FLUSHED, _FIRST = range(4)
"""Where in the memory, in items: queries finished, whether the first has begun, 1 + queries finished when LoadGen last
said that no more would come for now, and the latencies themselves."""
_DEVICE = _FIRST + CAPACITY
"""Where the device times begin: one for each latency, 0 where it is not known."""
_SIZE = _ITEM * (_FIRST + 2 * CAPACITY)


class QueryLogReader:
    """The parent's end: owns the memory, hands its descriptor to a worker, reads what the worker records."""

    def __init__(self) -> None:
        self.descriptor = _anonymous_file()
        os.ftruncate(self.descriptor, _SIZE)
        self._map = mmap.mmap(self.descriptor, _SIZE)
        self._values: npt.NDArray[np.int64] = np.frombuffer(self._map, np.int64)
        self._read = 0

    def reset(self) -> None:
        """Forget all latencies. Only while no test runs."""
        os.ftruncate(self.descriptor, 0)
        os.ftruncate(self.descriptor, _SIZE)
        self._read = 0

    @property
    def query_count(self) -> int:
        """Queries finished so far, kept or not."""
        return int(self._values[_COUNT])

    @property
    def started(self) -> bool:
        """Whether the first query has begun: until then LoadGen loads samples and prepares queries."""
        return bool(self._values[_STARTED])

    @property
    def between_queries(self) -> bool:
        """Whether LoadGen has sent all queries for now, and is at its own work: loading samples, writing its logs."""
        return int(self._values[_FLUSHED]) == self.query_count + 1

    def fresh(self) -> npt.NDArray[np.int64]:
        """Return the latencies (ns) recorded since the last call."""
        stop = min(self.query_count, CAPACITY)
        start, self._read = self._read, stop
        return self._values[_FIRST + start : _FIRST + stop].copy()

    def latencies_ns(self) -> npt.NDArray[np.int64]:
        """Return all latencies kept so far, in query order."""
        return self._values[_FIRST : _FIRST + min(self.query_count, CAPACITY)].copy()

    def device_ns(self) -> npt.NDArray[np.int64]:
        """Return the device times (ns) of the latencies kept so far, in query order; 0 where one is not known."""
        return self._values[_DEVICE : _DEVICE + min(self.query_count, CAPACITY)].copy()

    def close(self) -> None:
        """Release the memory."""
        self._values = np.zeros(_FIRST, np.int64)
        self._map.close()
        os.close(self.descriptor)


class QueryLogWriter:
    """The worker's end."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, _SIZE)
        self._values: memoryview[Any] = memoryview(self._map).cast("q")
        self._count = 0

    def reset(self) -> None:
        """Start a new test; the parent has cleared the memory."""
        self._count = 0

    def start(self) -> None:
        """Say that the first query has begun."""
        self._values[_STARTED] = 1

    def flushed(self) -> None:
        """Say that LoadGen sends no more queries for now."""
        self._values[_FLUSHED] = self._count + 1

    def record(self, latency_ns: int, device_ns: int | None = None) -> None:
        """Append one latency; the count moves last, so that the parent never reads a hole.

        Args:
            latency_ns: Of the query, as the system under test saw it.
            device_ns: How long the device worked on it; None where nobody knows.
        """
        count = self._count
        if count < CAPACITY:
            self._values[_FIRST + count] = latency_ns
            if device_ns is not None:
                self._values[_DEVICE + count] = device_ns
        self._count = self._values[_COUNT] = count + 1


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sweep-query-log")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
