"""Sessions of ONNX Runtime on the CPU, and whether a converted file can be had in one."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from sweep.environment import has_fast_int8
from sweep.errors import ConfigError, Problem
from sweep.models.graphs import unshare_int8
from sweep.models.integer_kernels import for_onnx_runtime
from sweep.models.ort import runtime, session_options
from sweep.paths import own_python

LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "disabled": "ORT_DISABLE_ALL",
}
"""Levels of graph optimisation, highest first, and their names in ONNX Runtime."""

_LOADING_S = 600.0
_LARGEST_BYTES = 2_000_000_000  # of a model that is handed over in memory


def open_session(file: Path | bytes, level: str, threads: int | None = None, *, integer_kernels: bool = True) -> Any:
    """Return a session on the CPU.

    Args:
        file: The model's path, or its contents.
        level: One of LEVELS.
        threads: Of one operator; None for ONNX Runtime's own choice.
        integer_kernels: Whether an int8 file of sweep's making is arranged for them.

    Raises:
        Exception: Of ONNX Runtime's classes: it cannot load the model.
    """
    ort = runtime()
    options = session_options(ort)
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, LEVELS[level])
    options.inter_op_num_threads = 1
    if threads is not None:
        options.intra_op_num_threads = threads
    given: Any = (for_onnx_runtime(file) if integer_kernels else None) or (
        file if isinstance(file, bytes) else str(file)
    )
    try:
        return ort.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except Exception:
        # For its exact kernels ONNX Runtime rewrites int8 weights, and fails on one that it meets a second time.
        if has_fast_int8() or (apart := _unshared(given)) is None:
            raise
        return ort.InferenceSession(apart, options, providers=["CPUExecutionProvider"])


def _unshared(given: str | bytes) -> bytes | None:
    """Return a model in which no two nodes share an int8 weight; None where none did, or it is too large."""
    import onnx

    model = onnx.load_from_string(given) if isinstance(given, bytes) else onnx.load(given, load_external_data=False)
    if not unshare_int8(model.graph):
        return None
    if isinstance(given, str):
        onnx.load_external_data_for_model(model, str(Path(given).parent))
    if model.ByteSize() > _LARGEST_BYTES:
        return None
    data: bytes = model.SerializeToString()
    return data


def highest_level(data: bytes, precision: str) -> tuple[str | None, str]:
    """Return the highest level of graph optimisation at which ONNX Runtime loads a model, and why no higher one.

    A child process tries, since a model can crash it. No level means that none of them loads it.

    Args:
        data: The model.
        precision: What it computes in, for an error.

    Raises:
        ConfigError: The child was killed, most likely because memory ran out.
    """
    why = ""
    for level in LEVELS:
        if not (reason := _fault(data, level, precision)):
            return level, why
        why = why or reason
    return None, why


def _fault(data: bytes, level: str, precision: str) -> str:
    """Return why a session at a level is not to be had, in one line; nothing where it is."""
    command = own_python("sweep.models.session", level)
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_LOADING_S, check=False)
    except subprocess.TimeoutExpired:
        return f"it takes more than {_LOADING_S:g} s"
    if done.returncode == -signal.SIGKILL:
        reason = "the process that loads the converted model was killed: memory has run out, most likely"
        raise ConfigError(Problem("precision", precision, reason, "free some memory, or use precision=fp32"))
    if done.returncode < 0:
        return f"it crashes ({signal.Signals(-done.returncode).name})"
    if done.returncode:
        said = done.stdout.decode(errors="replace").split() or done.stderr.decode(errors="replace").split()[-40:]
        return " ".join(said)
    return ""


def main() -> None:
    """Load the model on the standard input; say why that fails, and exit with 1."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is an answer here, and leaves no file behind
    try:
        open_session(sys.stdin.buffer.read(), sys.argv[1])
    except Exception as error:  # noqa: BLE001  (of whatever class: the parent tells it)
        sys.stdout.write(" ".join(f"{error}".split()))
        sys.exit(1)
