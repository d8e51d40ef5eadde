"""The commands in a submission's README."""

import shlex

import pytest

from sweep.config.build import build
from sweep.config.hydra_app import run_hydra
from sweep.submission.reproduce import command_of


def spec_of(*words):
    """Return the spec of the one test that a command line asks for."""
    found = []
    run_hydra(list(words), lambda composition: found.extend(build(composition.points)[0]) or 0)
    return found[0].spec


@pytest.mark.parametrize(
    "words",
    [
        "rules=current run=official dataset.repeat=100 performance_sample_count=1024 seeds=v5.1",
        "mode=accuracy dataset.repeat=100 backend.threads=1",
        "precision=int8 calibration.count=64 batch=5 engine_batch=2 run=official target_latency_ms=9.5 abort=never",
        "dataset.count=100 max_query_count=2000 backend.graph_optimization=basic",
    ],
)
def test_the_command_of_a_test_measures_the_same_again(words):
    spec = spec_of("model=digits", *words.split())
    python, flag, program, *again = shlex.split(command_of(spec))
    assert (python, flag, program) == ("python", "-m", "sweep")
    assert spec_of(*again).to_json() == spec.to_json()
