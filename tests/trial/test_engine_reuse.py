"""When a worker may keep its engine: asked by the worker, and by who orders the tests of a grid."""

from types import SimpleNamespace

import pytest

from sweep.trial.engine_reuse import engine_key, serves


def backend(reusable=True, per_query=False):
    return SimpleNamespace(reusable=reusable, engine_depends_on_query=per_query)


def sizes(n, engine_batch=None):
    return SimpleNamespace(samples_per_query=n, engine_batch=engine_batch or n)


@pytest.mark.parametrize(
    ("held", "wanted", "any_n", "per_query"),
    [
        (sizes(8), sizes(8), True, True),
        (sizes(8), sizes(4), True, False),
        (sizes(4), sizes(8), False, False),
        (sizes(8, 2), sizes(4, 2), True, False),
        (sizes(8, 2), sizes(8, 2), True, True),
        (sizes(8, 2), sizes(8, 4), False, False),
        (sizes(8, 2), sizes(8), False, False),
        (sizes(8), sizes(4, 2), False, False),
    ],
)
def test_a_larger_query_serves_a_smaller_one_split_alike(held, wanted, any_n, per_query):
    assert serves(backend(), held, wanted) is any_n
    assert serves(backend(per_query=True), held, wanted) is per_query
    assert not serves(backend(reusable=False), held, wanted)


def test_what_makes_another_engine(simulated):
    assert engine_key(simulated(batch=2)) == engine_key(simulated(batch=4, queries=9))
    assert engine_key(simulated(batch=2)) != engine_key(simulated(batch=2, base_ms=0.2))
