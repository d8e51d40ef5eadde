"""Start-up stays light: asking for help must not load ONNX."""

import subprocess
import sys

import pytest

HEAVY = ("numpy", "onnx", "onnxruntime", "google.protobuf", "torch", "urllib.request", "ssl")


@pytest.mark.parametrize("module", ["sweep.models", "sweep.models.architectures", "sweep.models.user"])
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
