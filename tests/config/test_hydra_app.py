"""What Hydra composes, and what is handed over as plain data."""

import sys

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sweep.config.hydra_app import run_hydra


def composed(*arguments):
    """Return the composition of a command line."""
    seen = []
    run_hydra(arguments, lambda composition: seen.append(composition) or 0)
    return seen[0]


GRIDS = [
    ["backend=simulated", "batch=1,2,3", "backend.base_ms=0.5,1"],
    ["model=digits,resnet", "batch=1,8", "rules.checks=[no_errors]"],
    ["batch=1,2", "outputs=x", "model.path='a b'", "target_latency_ms=null"],
    ["+extra.deep={a:1}", "batch=1,2", "~timeout.query_s"],
    ["outputs=${model.name}/o", "batch=1,2", "min_query_count=${batch}"],
    ["rules.run_classes={quick:{min_query_count:7}}", "batch=1,2"],
    ["timeout={load_s:1},{query_s:2}", "batch=1"],
    ["batch=1,2", "+note=${hydra:runtime.cwd}"],
    ["batch=1,2", "+note=${hydra.job.name}"],
    ["model.mean=[1,2]", "batch=range(1,4)", "run=quick,official"],
]


@pytest.mark.parametrize("grid", GRIDS, ids=" ".join)
def test_a_point_of_a_grid_is_what_hydra_composes_for_it(grid, monkeypatch):
    """Points are composed by setting values, not anew from the files; that must make no difference."""
    points = composed("-m", *grid).points
    real = OmegaConf.update

    def refuse(*given, **named):
        if sys._getframe(1).f_code.co_name == "compose":  # Hydra sets values with it, too
            raise OmegaConfBaseException("composed anew then")
        real(*given, **named)

    monkeypatch.setattr(OmegaConf, "update", refuse)
    by_hydra = composed("-m", *grid).points
    assert len(points) == len(by_hydra) > 1
    assert points == by_hydra


def test_each_point_has_a_configuration_of_its_own():
    points = composed("-m", "batch=1,2,3").points
    assert [point.config["batch"] for point in points] == [1, 2, 3]
    points[1].config["timeout"]["load_s"] = -1
    assert points[2].config["timeout"]["load_s"] == 900


def test_a_grid_of_hundreds_is_composed_from_the_files_once(monkeypatch):
    """Hydra takes a tenth of a second a point when it reads its files anew."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    calls = []
    real = ConfigLoaderImpl.load_sweep_config
    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", lambda *given: calls.append(given) or real(*given))
    assert len(composed("-m", "batch=range(1,201)", "backend=auto,simulated").points) == 400
    assert len(calls) == 3  # the first point, and each backend


def test_labels_are_what_differs():
    assert [point.label for point in composed("run=quick", "-m", "batch=1,2", "model=digits").points] == [
        {"batch": "1"},
        {"batch": "2"},
    ]
