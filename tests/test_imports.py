"""Start-up stays light, and a machine that lacks a library lacks only what that library does."""

import json
import subprocess
import sys

NEED_LOADGEN = {
    "sweep.loadgen.qsl",
    "sweep.loadgen.responses",
    "sweep.loadgen.sut",
    "sweep.loadgen.runner",
    "sweep.trial.worker",
}
"""What wraps LoadGen, and the worker's program, which runs it."""

IMPORT_ALL = """
import importlib, json, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LIBRARIES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import sweep, hydra_plugins
failed = {}
modules = [m.name for m in pkgutil.walk_packages(sweep.__path__, "sweep.")] + ["hydra_plugins.sweep_grid"]
for name in modules:
    if name == "sweep.__main__":
        continue
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        failed[name] = error.name.partition(".")[0]
print(json.dumps([len(modules), failed]))
"""


def _python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def _import_all_without(*libraries):
    count, failed = json.loads(_python(f"LIBRARIES = {libraries!r}\n{IMPORT_ALL}"))
    assert count > 50
    return failed


def test_without_engines_and_slow_libraries_every_module_imports():
    engines = ("onnxruntime", "onnx", "tensorrt", "tensorrt_rtx", "cuda", "torch", "pynvml")
    assert (
        _import_all_without(
            *engines, "optuna", "pandas", "pyarrow", "PIL", "cv2", "matplotlib", "plotext", "plotly", "jinja2"
        )
        == {}
    )


def test_without_loadgen_only_what_runs_it_is_lost():
    lost = _import_all_without("mlperf_loadgen")
    assert set(lost.values()) <= {"mlperf_loadgen"}
    assert set(lost) <= NEED_LOADGEN


def test_start_up_imports_no_engine_and_nothing_slow():
    heavy = (
        "onnx",
        "onnxruntime",
        "mlperf_loadgen",
        "optuna",
        "pandas",
        "pyarrow",
        "torch",
        "tensorrt",
        "cuda",
        "pynvml",
        "rich",
        "matplotlib",
        "plotext",
        "plotly",
        "jinja2",
    )
    code = f"""
import sys, json
from sweep.cli import main
assert main(["--cfg", "job"]) == 0
print("loaded:", json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""
    assert _python(code).splitlines()[-1] == "loaded: []"


def test_models_describe_themselves_without_numpy_or_onnx():
    heavy = ("numpy", "onnx", "onnxruntime", "google.protobuf", "torch", "urllib.request", "ssl")
    code = f"""
import sys, json, sweep.models, sweep.models.architectures, sweep.models.user
print(json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""
    assert json.loads(_python(code)) == []
