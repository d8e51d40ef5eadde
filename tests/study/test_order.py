"""The order of a grid: fewer engines, never other tests, and rows in the user's order where nothing is saved."""

from dataclasses import replace
from itertools import product

import pytest

from sweep.backends import registry
from sweep.backends.simulated import SimulatedBackend
from sweep.study import order
from sweep.study.order import engine_order, engines_made
from sweep.trial.spec import BackendSpec


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    """Backends by what their engines are like."""

    def kind(uses_gpu, reusable, per_query):
        members = {"uses_gpu": uses_gpu, "reusable": reusable, "engine_depends_on_query": per_query}
        return type("Kind", (SimulatedBackend,), members)

    known = {
        "gpu": kind(uses_gpu=True, reusable=True, per_query=False),
        "per_query": kind(uses_gpu=True, reusable=True, per_query=True),
        "cpu": kind(uses_gpu=False, reusable=True, per_query=False),
        "forgets": kind(uses_gpu=True, reusable=False, per_query=False),
    }
    monkeypatch.setattr(order, "backend_class", lambda name: known.get(name) or registry.backend_class(name))


@pytest.fixture
def grid(simulated):
    """Make the specs of a grid: `grid("gpu", batch=[...], base_ms=[...])`."""

    def make(backend, batch, base_ms=(0.1,), engine_batch=None):
        specs = [simulated(batch=n, base_ms=ms) for n, ms in product(batch, base_ms)]
        specs = [replace(one, backend=BackendSpec(backend, one.backend.options)) for one in specs]
        return [replace(one, engine_batch=min(engine_batch or one.engine_batch, one.engine_batch)) for one in specs]

    return make


def test_the_largest_query_makes_the_one_engine(grid):
    specs = grid("gpu", [8, 32, 16])
    assert engine_order(specs) == [1, 2, 0]
    assert engines_made(specs) == 2
    assert engines_made([specs[number] for number in [1, 2, 0]]) == 1


def test_engines_of_a_product_do_not_alternate(grid):
    specs = grid("gpu", [1, 2], base_ms=[0.1, 0.2])
    assert engine_order(specs) == [2, 0, 3, 1]
    assert engine_order(grid("cpu", [2, 1], base_ms=[0.1, 0.2])) == [0, 2, 1, 3]


def test_an_engine_for_one_query_size_runs_all_tests_of_it(grid, simulated):
    specs = grid("per_query", [4, 8]) + [replace(one, abort="never") for one in grid("per_query", [4, 8])]
    assert engine_order(specs) == [0, 2, 1, 3]


@pytest.mark.parametrize("kind", ["cpu", "per_query", "forgets"])
def test_a_plain_list_stays_as_typed_where_no_engine_is_saved(grid, kind):
    """On the CPU a larger N loads again, in a tenth of a second: rows in order are worth more."""
    specs = grid(kind, [8, 32, 16])
    assert engine_order(specs) == [0, 1, 2]
    assert engine_order(grid(kind, [32, 16, 8])) == [0, 1, 2]


def test_what_splits_alike_follows_each_other(grid):
    specs = [*grid("gpu", [4, 8], engine_batch=2), *grid("gpu", [4, 8])]
    mixed = [specs[number] for number in (0, 2, 1, 3)]
    assert engine_order(mixed) == [2, 0, 3, 1]
    assert engine_order([*specs[1::-1], *specs[:1:-1]]) == [0, 1, 2, 3]


def test_every_test_is_run_once(grid):
    specs = grid("gpu", [3, 1, 2], base_ms=[0.1, 0.3]) + grid("forgets", [3, 1]) + grid("cpu", [3, 1], base_ms=[1, 2])
    assert sorted(engine_order(specs)) == list(range(len(specs)))
    assert engine_order([]) == []
