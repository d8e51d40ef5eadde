"""ONNX Runtime, imported in the one way that is safe: quiet, and leaving the process as it was."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sweep.environment import has_fast_int8
from sweep.errors import ConfigError, Problem
from sweep.gpus import FOR_CUDA_12, Gpu, outdated, unsupported

_CUDA_RECIPE = "pip install 'mlperf-sweep[cuda]', then pip install --force-reinstall --no-deps onnxruntime-gpu"
"""What makes ONNX Runtime one for CUDA, whatever was installed before.

sweep needs `onnxruntime`, which fills the same folder as `onnxruntime-gpu`: the one that pip wrote last is there.
"""

_CUDA_OF_RECIPE = 13
_WARNINGS, _ERRORS = 2, 3  # ONNX Runtime's levels of what it logs

EXACT_INT8 = "session.x64quantprecision"
"""The session option that asks for kernels without overflow on x86."""


def cuda_recipe(devices: Sequence[Gpu]) -> str:
    """Return what makes ONNX Runtime one for CUDA on these GPUs; of CUDA 12 where neither driver nor GPU takes 13."""
    too_new = [
        unsupported(gpu, "onnxruntime-gpu", cuda=_CUDA_OF_RECIPE)[0] or outdated(gpu.driver, "", _CUDA_OF_RECIPE)
        for gpu in devices
    ]
    return FOR_CUDA_12 if too_new and all(too_new) else _CUDA_RECIPE


def onnxruntime_build() -> tuple[str, str]:
    """Return the package whose ONNX Runtime is imported and the CUDA version that it was built for, empty for the CPU.

    Two empty words where ONNX Runtime is not installed. Its own build information decides: pip's, and libraries left
    behind, may be those of a package that another has overwritten.
    """
    found = importlib.util.find_spec("onnxruntime")
    for folder in () if found is None else found.submodule_search_locations or ():
        try:
            text = (Path(folder) / "capi" / "build_and_package_info.py").read_text(encoding="utf-8")
        except OSError:
            continue
        said = dict(re.findall(r"""^(\w+) *= *["'](.+)["']""", text, re.MULTILINE))
        return said.get("package_name", "onnxruntime"), said.get("cuda_version", "")
    return "" if found is None else "onnxruntime", ""


def runtime() -> Any:
    """Return the module `onnxruntime`, its telemetry off unless the user's environment says otherwise.

    It would send to the internet while a test is timed, and leave an identifier in the user's home.
    """
    # Read once, while it is imported: what can be called afterwards comes too late for both.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if "onnxruntime" in sys.modules:
        import onnxruntime
    else:
        with _no_standard_error():  # it warns of devices that it looks for and does not find
            import onnxruntime

    if os.environ["ORT_DISABLE_TELEMETRY"] == "1":
        onnxruntime.disable_telemetry_events()  # of versions that do not know the variable
    return onnxruntime


def session_options(ort: Any, *, warns: bool = False) -> Any:
    """Return options for a session: exact in int8, and quiet where nobody keeps what it says.

    x86 CPUs without VNNI have no instruction that multiplies uint8 by int8 and adds up in 32 bits. ONNX Runtime's fast
    kernels for them add in 16 bits, which overflow: of the 500 digits, 462 are right then, not 498. So they are asked
    for the exact ones (`session.x64quantprecision` in ONNX Runtime's list of session options). With VNNI the fast
    kernels are exact, and the others only slower.

    Args:
        ort: The module `onnxruntime`.
        warns: Whether it writes its warnings to the standard error, as a worker keeps them.
    """
    options = ort.SessionOptions()
    options.log_severity_level = _WARNINGS if warns else _ERRORS
    if not has_fast_int8():
        options.add_session_config_entry(EXACT_INT8, "1")
    return options


def tools_version(precision: str) -> str:
    """Return the versions of the libraries that convert models: another one may write another file.

    Raises:
        ConfigError: ONNX Runtime is not installed.
    """
    import onnx

    try:
        return f"onnxruntime {runtime().__version__}, onnx {onnx.__version__}"
    except ImportError as error:
        reason = f"converting the model needs ONNX Runtime, which cannot be imported ({error})"
        raise ConfigError(Problem("precision", precision, reason, "pip install onnxruntime")) from None


def quantization() -> Any:
    """Return the module `onnxruntime.quantization`."""
    return _tools()[0]


def float16() -> Any:
    """Return the module `onnxruntime.transformers.float16`."""
    return _tools()[1]


def _tools() -> tuple[Any, Any]:
    runtime()
    before = list(sys.path)
    try:  # both at once: the former finds modules of the latter's package only while that is in the path
        import onnxruntime.quantization
        import onnxruntime.transformers.float16
    finally:
        sys.path[:] = (
            before  # the package adds its own folder, with modules named `benchmark`, `io_binding_helper`, ...
        )
    return onnxruntime.quantization, onnxruntime.transformers.float16


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what ONNX Runtime and its tools print and log to themselves, what its C++ writes past Python included."""
    logger = logging.getLogger()
    before, handlers = logger.manager.disable, list(logger.handlers)
    logging.disable(logging.WARNING)
    try:
        with (
            open(os.devnull, "w", encoding="utf-8") as nowhere,  # noqa: PTH123
            contextlib.redirect_stdout(nowhere),
            _no_standard_error(),
        ):
            yield
    finally:
        logging.disable(before)
        logger.handlers[:] = handlers  # `logging.warning` adds one where there is none


@contextlib.contextmanager
def _no_standard_error() -> Iterator[None]:
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
