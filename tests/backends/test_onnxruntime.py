import os
import subprocess
import sys

import numpy as np
import pytest

from sweep.backends.base import EngineRequest
from sweep.backends.onnxruntime import OnnxRuntimeBackend
from sweep.config.files import load_choice
from sweep.errors import BackendError, ConfigError
from sweep.models import model_config, resolve_model
from sweep.paths import cache_dir
from sweep.vocabulary import Precision

from .conformance import BackendConformance


@pytest.fixture(scope="module")
def digits():
    return resolve_model(model_config(load_choice("model", "digits")), Precision.FP32, cache_dir())


@pytest.fixture
def make_request(digits):
    def make(samples_per_query=4, engine_batch=None, **options):
        complete = OnnxRuntimeBackend.validate_options(options)
        return EngineRequest(
            digits.path, digits.inputs, True, samples_per_query, engine_batch or samples_per_query, complete
        )

    return make


class TestConformance(BackendConformance):
    @pytest.fixture
    def backend(self):
        return OnnxRuntimeBackend

    @pytest.fixture
    def request_of(self, make_request):
        return make_request


def test_nothing_is_left_in_the_users_home(digits, tmp_path):
    """ONNX Runtime writes an identifier and a database there, and sends, unless it is told not to before it begins."""
    code = f"""if True:
        from pathlib import Path
        from sweep.backends.base import EngineRequest
        from sweep.backends.onnxruntime import OnnxRuntimeBackend as Backend
        options = Backend.validate_options({{}})
        with Backend(EngineRequest(Path({str(digits.path)!r}), (), True, 1, 1, options)):
            pass
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    subprocess.run([sys.executable, "-c", code], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_samples_that_would_be_copied_are_refused(make_request):
    with OnnxRuntimeBackend(make_request()) as engine, pytest.raises(ValueError, match="C-contiguous"):
        engine.load({"samples": np.zeros((8, 8, 1, 12), np.uint8).transpose(3, 0, 1, 2)})


def test_a_file_that_is_no_model_is_named(tmp_path, make_request):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    request = make_request()
    wrong = EngineRequest(broken, request.inputs, True, 4, 4, request.options)
    with pytest.raises(BackendError, match="broken.onnx"):
        OnnxRuntimeBackend(wrong).__enter__()


def test_threads_left_out_become_the_cores_of_this_machine():
    assert OnnxRuntimeBackend.validate_options({})["threads"] >= 1
    assert OnnxRuntimeBackend.validate_options({"threads": 1})["threads"] == 1


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": "many"}, {"graph_optimization": "some"}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigError, match=f"backend.{next(iter(options))}"):
        OnnxRuntimeBackend.validate_options(options)
