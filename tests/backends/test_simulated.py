import time

import numpy as np
import pytest

from sweep.backends.base import EngineRequest
from sweep.backends.simulated import SimulatedBackend, latency_ms
from sweep.errors import BackendError, ConfigError, EngineOutOfMemoryError
from sweep.models.base import TensorSpec

from .conformance import BackendConformance


def request(samples_per_query=4, engine_batch=None, **options):
    complete = SimulatedBackend.validate_options({"base_ms": 0, "per_sample_ms": 0, **options})
    inputs = (TensorSpec("samples", "uint8", (1,)),)
    return EngineRequest(None, inputs, True, samples_per_query, engine_batch or samples_per_query, complete)


class TestConformance(BackendConformance):
    @pytest.fixture
    def backend(self):
        return SimulatedBackend

    @pytest.fixture
    def request_of(self):
        return request


def run(engine, count, queries=1):
    latencies = []
    for _ in range(queries):
        begin = time.perf_counter_ns()
        engine.run(0, count, lambda: None)
        latencies.append((time.perf_counter_ns() - begin) / 1e6)
    return latencies


def test_latency_formula():
    options = {"base_ms": 2.0, "per_sample_ms": 0.5, "step": 8}
    assert [latency_ms(n, options) for n in (1, 8, 9, 16)] == [6.0, 6.0, 10.0, 10.0]


def test_takes_at_least_the_time_of_the_formula():
    with SimulatedBackend(request(base_ms=1, per_sample_ms=1)) as engine:
        assert min(run(engine, 4, 5)) >= 5.0


def test_noise_is_seeded():
    def factors(seed):
        with SimulatedBackend(request(noise=0.1, seed=seed)) as engine:
            return [engine._factor() for _ in range(20)]

    assert factors(1) == factors(1)
    assert factors(1) != factors(2)
    assert np.std(factors(1)) > 0.01


def test_every_trial_begins_with_the_same_noise_and_at_query_0():
    """`fault_at`, drift and noise count from the first query of a trial, whatever a warm worker ran before it."""
    assert not SimulatedBackend.reusable, "an engine that serves another trial goes on where it was"
    engine = SimulatedBackend(request(noise=0.1, fault="throw", fault_at=2))
    seen = []
    for _ in range(2):
        with engine:
            seen.append(engine._factor())
            run(engine, 4, 2)
            with pytest.raises(BackendError):
                run(engine, 4)
    assert seen[0] == seen[1]


def test_too_large_a_batch_is_out_of_memory():
    with pytest.raises(EngineOutOfMemoryError, match="engine batch 4, room for 3"):
        SimulatedBackend(request(max_batch=3)).__enter__()


def test_fault_throw():
    with SimulatedBackend(request(fault="throw", fault_at=1)) as engine:
        engine.run(0, 4, lambda: None)
        with pytest.raises(BackendError, match="simulated fault"):
            engine.run(0, 4, lambda: None)


@pytest.mark.parametrize(
    "options",
    [
        {"noise": -1},
        {"noise": "loud"},
        {"step": 0},
        {"step": 1.5},
        {"fault": "boom"},
        {"seed": None},
        {"base_ms": True},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigError, match=f"backend.{next(iter(options))}"):
        SimulatedBackend.validate_options(options)
