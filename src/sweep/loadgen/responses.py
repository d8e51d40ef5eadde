"""Pooled responses: made once, given new ids for each query.

Setting one id through LoadGen's Python binding costs about a quarter of a microsecond, more than everything else that
a sample costs between LoadGen and the engine. So the ids of a query are written together, by NumPy, to where the
binding keeps them. That place is proven, not assumed: see `_addresses`. Where it cannot be, ids are set one by one.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import struct
from collections import deque
from collections.abc import Sequence
from itertools import starmap

import mlperf_loadgen as lg
import numpy as np
import numpy.typing as npt

_WORD = 8


class ResponsePool:
    """The responses of one query at a time; their buffers never move, only their ids change.

    Args:
        size: Samples of the largest query.
        answers: float32 [size], whose k-th element is the k-th response's answer; None for responses without data.
        direct: Whether to write ids where the binding keeps them; False sets them one by one.
    """

    def __init__(self, size: int, answers: npt.NDArray[np.float32] | None = None, *, direct: bool = True) -> None:
        self._answers = answers  # LoadGen reads it: it lives as long as the responses
        address = 0 if answers is None else answers.ctypes.data
        item = 0 if answers is None else answers.itemsize
        self._responses = [lg.QuerySampleResponse(0, address + item * k, item) for k in range(size)]
        # `starmap` over the bare setter of the property: half of what `response.id = id` costs in a loop.
        setter = lg.QuerySampleResponse.id.fset
        self._set_id = getattr(setter, "__func__", setter)
        self._consume = deque[None](maxlen=0).extend
        self._words: npt.NDArray[np.uint64] | None = None
        self._positions = np.zeros(0, np.intp)
        if direct:
            self._find_ids()

    @property
    def direct(self) -> bool:
        """Whether the ids of a query are written together."""
        return self._words is not None

    def responses(self, count: int) -> list[lg.QuerySampleResponse]:
        """Return the first `count` responses: the pool's own, good until the next `set_ids`."""
        return self._responses if count == len(self._responses) else self._responses[:count]

    def set_ids(self, ids: Sequence[int]) -> None:
        """Give the k-th response the k-th id."""
        if self._words is None:
            self._consume(starmap(self._set_id, zip(self._responses, ids, strict=False)))
        else:
            count = len(ids)
            self._words[self._positions[:count]] = np.fromiter(ids, np.uint64, count)

    def _find_ids(self) -> None:
        addresses = _addresses(self._responses)
        if addresses is None:
            return
        base = int(addresses.min())
        count = (int(addresses.max()) - base) // _WORD + 1
        # Spans whatever else lies between the responses; only the words at `positions` are ever touched.
        words: npt.NDArray[np.uint64] = np.ctypeslib.as_array((ctypes.c_uint64 * count).from_address(base))
        self._positions = ((addresses - base) // _WORD).astype(np.intp)
        self._words = words


def _addresses(responses: Sequence[lg.QuerySampleResponse]) -> npt.NDArray[np.int64] | None:
    """Return where the id of each response lies in memory, or None when that cannot be proven.

    A pybind11 object holds a pointer to its C++ value behind the Python header, and LoadGen's `QuerySampleResponse`
    begins with its id (`query_sample.h`). Each response gets a random 63-bit id through the binding, which must then
    be found, with the response's data and size behind it, where the pointer leads. The memory is read through
    `/proc/self/mem`, where a wrong pointer is an error and no crash.
    """
    header = object.__basicsize__
    if (
        not responses
        or lg.QuerySampleResponse.__basicsize__ < header + _WORD
        or ctypes.sizeof(ctypes.c_void_p) != _WORD
    ):
        return None
    found = []
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY)
    except OSError:
        return None
    try:
        for response in responses:
            response.id = secrets.randbits(63)
            address = ctypes.c_uint64.from_address(id(response) + header).value
            expected = struct.pack("QQQ", response.id, response.data, response.size)
            if address % _WORD or os.pread(memory, len(expected), address) != expected:
                return None
            found.append(address)
    except (OSError, OverflowError):
        return None
    finally:
        os.close(memory)
    return np.array(found, np.int64)
