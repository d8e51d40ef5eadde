"""Sessions of ONNX Runtime on the CPU, and whether a converted file can be had in one."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
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
_REASON_CHARACTERS = 300
_NOT_LOADED, _LOADED = 1, 2
"""How the child exits whose model did not run."""
_LARGEST_BYTES = 2_000_000_000  # of a model that is handed over in memory


def open_session(
    file: Path | bytes, level: str, threads: int | None = None, *, integer_kernels: bool = True, warns: bool = False
) -> Any:
    """Return a session on the CPU.

    Args:
        file: The model's path, or its contents.
        level: One of LEVELS.
        threads: Of one operator; None for ONNX Runtime's own choice.
        integer_kernels: Whether an int8 file of sweep's making is arranged for them.
        warns: Whether it writes its warnings to the standard error.

    Raises:
        Exception: Of ONNX Runtime's classes: it cannot load the model.
    """
    ort = runtime()
    options = session_options(ort, warns=warns)
    ort.set_default_logger_severity(options.log_severity_level)  # of what is logged outside of any session
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
    """Return the highest level of graph optimisation at which ONNX Runtime runs a model, and why no higher one.

    A child process tries, with a sample of zeros, since a model can crash it. If that sample fails at every level, it
    is the sample that is at fault, and a level that loads the model will do. None means that no level loads it.

    Args:
        data: The model.
        precision: What it computes in, for an error.

    Raises:
        ConfigError: The child was killed, most likely because memory ran out.
    """
    faults: dict[str, Fault] = {}
    for level in LEVELS:
        fault = _fault(data, level, precision)
        if fault is None:
            return level, next((other.reason for other in faults.values()), "")
        faults[level] = fault
    loaded = next((level for level, fault in faults.items() if fault.is_loaded), None)
    return loaded, next(iter(faults.values())).reason


@dataclass(frozen=True)
class Fault:
    """Why a model did not run, in one line, and whether it was loaded at least."""

    reason: str
    is_loaded: bool = False


def _fault(data: bytes, level: str, precision: str) -> Fault | None:
    command = own_python("sweep.models.session", level)
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_LOADING_S, check=False)
    except subprocess.TimeoutExpired:
        return Fault(f"it takes more than {_LOADING_S:g} s")
    if done.returncode == -signal.SIGKILL:
        reason = "the process that tries the converted model was killed: memory has run out, most likely"
        raise ConfigError(Problem("precision", precision, reason, "free some memory, or use precision=fp32"))
    if done.returncode < 0:
        return Fault(f"it crashes ({signal.Signals(-done.returncode).name})")
    if done.returncode == 0:
        return None
    said = done.stdout.decode(errors="replace").split() or done.stderr.decode(errors="replace").split()[-40:]
    reason = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(said))
    return Fault(reason[:_REASON_CHARACTERS], is_loaded=done.returncode == _LOADED)


def main() -> None:
    """Run the model on the standard input once; say why that fails."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is an answer here, and leaves no file behind
    code = _NOT_LOADED
    try:
        session = open_session(sys.stdin.buffer.read(), sys.argv[1])
        code = _LOADED
        session.run(None, {one.name: _zeros(one) for one in session.get_inputs()})
    except Exception as error:  # noqa: BLE001  (of whatever class: the parent tells it)
        sys.stdout.write(" ".join(f"{error}".split()))
        sys.exit(code)


def _zeros(value: Any) -> Any:
    """Return one sample of zeros for an input of a session; axes without a size have one of 1."""
    import numpy as np

    kinds = {"float": "float32", "double": "float64"}
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    return np.zeros([one if isinstance(one, int) and one > 0 else 1 for one in value.shape], kinds.get(kind, kind))
