"""Pooled responses carry the right ids, however they are written."""

import gc

import mlperf_loadgen as lg
import numpy as np
import pytest

from sweep.loadgen import responses
from sweep.loadgen.responses import ResponsePool


@pytest.mark.parametrize("direct", [True, False])
def test_ids_are_set_for_all_sizes_and_nothing_else_changes(direct):
    answers = np.zeros(300, np.float32)
    pool = ResponsePool(300, answers, direct=direct)
    random = np.random.default_rng(5)
    for count in (300, 1, 7, 299, 300):
        ids = [int(number) for number in random.integers(0, 2**63, count)]
        pool.set_ids(ids)
        gc.collect()
        given = pool.responses(count)
        assert [response.id for response in given] == ids
        assert [response.data for response in given] == [answers.ctypes.data + 4 * k for k in range(count)]
        assert {response.size for response in given} == {4}


def test_the_place_of_the_ids_is_found_on_linux():
    """Without it the pool still works, four times slower; LoadGen's binding has changed if this fails."""
    assert ResponsePool(8).direct


@pytest.mark.parametrize("missing", ["memory", "pointer", "value"])
def test_a_place_that_cannot_be_proven_is_not_used(monkeypatch, missing):
    if missing == "memory":
        monkeypatch.setattr(responses.os, "open", lambda *_: (_ for _ in ()).throw(OSError("no /proc")))
    elif missing == "pointer":
        monkeypatch.setattr(responses.os, "pread", lambda *_: (_ for _ in ()).throw(OSError("bad address")))
    else:
        monkeypatch.setattr(responses.os, "pread", lambda *_: bytes(24))
    pool = ResponsePool(4)
    assert not pool.direct
    pool.set_ids([5, 6, 7, 8])
    assert [response.id for response in pool.responses(4)] == [5, 6, 7, 8]


def test_the_ids_of_other_responses_are_left_alone():
    """Writing many ids at once spans memory that is not the pool's."""
    first = ResponsePool(64)
    others = [lg.QuerySampleResponse(k, 1, 2) for k in range(500)]
    second = ResponsePool(64)
    first.set_ids(range(1000, 1064))
    second.set_ids(range(2000, 2064))
    assert [other.id for other in others] == list(range(500))
    assert [response.id for response in first.responses(64)] == list(range(1000, 1064))


def test_an_empty_pool_is_harmless():
    ResponsePool(0).set_ids([])
