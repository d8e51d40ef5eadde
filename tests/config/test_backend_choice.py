"""`backend=auto`: the options of the embedded default, whatever it turns out to be."""

import pytest

from sweep.backends import registry
from sweep.backends.base import Availability
from sweep.backends.onnxruntime_cuda import OnnxRuntimeCudaBackend
from sweep.config.point import _options_of

AUTO = {"name": "auto", "threads": None, "graph_optimization": "all"}


def test_options_of_another_backend_do_not_concern_a_gpu():
    assert _options_of(AUTO, OnnxRuntimeCudaBackend) == {}


def test_an_option_that_was_set_is_not_dropped_in_silence():
    assert _options_of({**AUTO, "threads": 2}, OnnxRuntimeCudaBackend) == {"threads": 2}
    assert _options_of({**AUTO, "name": "onnxruntime_cuda"}, OnnxRuntimeCudaBackend) == {
        "threads": None,
        "graph_optimization": "all",
    }


@pytest.mark.parametrize(("there", "chosen"), [(True, "onnxruntime_cuda"), (False, "onnxruntime")])
def test_auto_takes_the_gpu_where_there_is_one(monkeypatch, there, chosen):
    monkeypatch.setattr(OnnxRuntimeCudaBackend, "availability", lambda: Availability(there, "a GPU"))
    monkeypatch.setattr(registry, "AUTO_ORDER", ("onnxruntime_cuda", "onnxruntime"))
    assert registry.available_backend("auto").name == chosen
