"""What sweep calls of the CUDA runtime exists there, and takes what it is given."""

import inspect

import pytest

from sweep.backends.gpu import cuda as module
from sweep.backends.gpu.cuda import Cuda
from sweep.errors import BackendError

from .doubles import FakeRuntime

runtime = pytest.importorskip("cuda.bindings.runtime", reason="cuda-python is not installed")

DOUBLES = sorted(name for name, value in vars(FakeRuntime).items() if name.startswith("cuda") and callable(value))


def _parameters(name):
    """Parameters as the first line of the documentation has them: `cudaFree(devPtr)`."""
    line = getattr(runtime, name).__doc__.splitlines()[0]
    inside = line.partition("(")[2].rpartition(")")[0]
    return [part for part in inside.split(",") if part.strip()]


@pytest.mark.parametrize("name", DOUBLES)
def test_the_double_takes_what_the_runtime_takes(name):
    assert len(inspect.signature(vars(FakeRuntime)[name]).parameters) - 1 == len(_parameters(name))


def test_everything_that_is_used_is_in_the_runtime_and_in_the_double():
    source = inspect.getsource(module)
    used = {
        word.split("(")[0].split(")")[0] for word in source.replace("self._rt.", " rt.").split() if "rt.cuda" in word
    }
    used = {word.partition("rt.")[2].partition(".")[0].strip(",:") for word in used}
    assert len(used) > 20
    for name in used:
        assert hasattr(runtime, name), name
        assert hasattr(FakeRuntime, name) or hasattr(FakeRuntime(), name), name


@pytest.mark.parametrize("kind", ["cudaMemcpyKind", "cudaStreamCaptureMode"])
def test_the_doubles_constants_are_the_runtimes(kind):
    assert all(hasattr(getattr(runtime, kind), name) for name in vars(getattr(FakeRuntime, kind)))


def test_a_machine_without_a_driver_gets_one_line():
    try:
        Cuda.open()
    except BackendError as error:
        assert "CUDA" in str(error)
        assert "\n" not in str(error)
    else:
        pytest.skip("this machine has a GPU")
