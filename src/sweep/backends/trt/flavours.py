"""The packages that carry TensorRT's Python API: which are here, which fits the GPU, and how one is loaded.

`tensorrt` builds and runs on every GPU. `tensorrt_rtx` compiles its kernels on the GPU that runs them, so that it
builds anywhere; it refuses the data-centre GPUs of Hopper and Blackwell. `tensorrt_lean` runs engines that `tensorrt`
built with `version_compatible`, and builds none. What is called here has the same name in all three; what one of them
lacks is asked for with `hasattr` where it is used.
"""

from __future__ import annotations

import ctypes.util
import functools
import importlib
import importlib.util
import os
import re
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from sweep.backends.trt.messages import Messages
from sweep.errors import BackendError
from sweep.gpus import OLDEST_DRIVER, Gpu, usable_gpus

AUTO = "auto"


@dataclass(frozen=True)
class Flavour:
    """One of the packages.

    Attributes:
        name: Its module, and what `backend.flavour` calls it.
        install: The command that installs it.
        shared_library: What its module needs where it does not bring it, without `lib` and `.so`.
        can_build: Whether it has a builder.
    """

    name: str
    install: str
    shared_library: str
    can_build: bool = True


TENSORRT = Flavour("tensorrt", "pip install 'mlperf-sweep[tensorrt]'", "nvinfer")
RTX = Flavour("tensorrt_rtx", "pip install 'mlperf-sweep[tensorrt-rtx]'", "tensorrt_rtx")
LEAN = Flavour("tensorrt_lean", "pip install tensorrt-lean", "nvinfer_lean", can_build=False)

FLAVOURS = (TENSORRT, RTX, LEAN)
"""What `auto` tries, best first."""

_RTX_CAPABILITIES = ((8, 0), (8, 6), (8, 9), (12, 0), (12, 1))
_RTX_FROM = (12, 0)
"""TensorRT for RTX 1.7 names these when it refuses a GPU, and takes what is newer than the second."""


@dataclass(frozen=True)
class Choice:
    """The flavour to use, or why there is none.

    Attributes:
        flavour: None where none can be used.
        reason: Why not, in one clause.
        fix: What to do about it.
    """

    flavour: Flavour | None
    reason: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Library:
    """A flavour that was loaded.

    Attributes:
        flavour: Which.
        module: The module itself.
        version: Its version, as it says.
        messages: What it says. All its objects have one logger, since it ignores a second while any of them is alive.
    """

    flavour: Flavour
    module: Any
    version: str
    messages: Messages = field(default_factory=Messages)

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.flavour.name} {self.version}"


def choose(name: str, gpu: Gpu | None) -> Choice:
    """Return the flavour that `backend.flavour` means on this machine. Nothing is imported.

    Args:
        name: `auto` or the name of a flavour.
        gpu: The GPU to run on; None where it is not known, which rules nothing out.
    """
    wanted = [flavour for flavour in FLAVOURS if name in {AUTO, flavour.name}]
    refused = []
    for flavour in wanted:
        reason, fix = _obstacle(flavour, gpu)
        if not reason:
            return Choice(flavour)
        if installed(flavour) or len(wanted) == 1:
            refused.append((reason, fix))
    if not refused:
        wants_rtx = gpu is not None and supports(RTX, gpu.compute_capability)
        fix = f"{TENSORRT.install}, or {RTX.install}" if wants_rtx else TENSORRT.install
        return Choice(None, "tensorrt is not installed", fix)
    reasons, fixes = zip(*refused, strict=True)
    return Choice(None, "; ".join(reasons), "; ".join(dict.fromkeys(fixes)))


def _obstacle(flavour: Flavour, gpu: Gpu | None) -> tuple[str, str]:
    """Return why a flavour cannot be used and what to do about it; two empty words where it can."""
    if not installed(flavour):
        return f"{flavour.name} is not installed", flavour.install
    if not complete(flavour):
        reason = f"{flavour.name} is installed without its library lib{flavour.shared_library}"
        return reason, f"remove it, then {flavour.install} where NVIDIA's package index can be reached"
    if gpu is None:
        return "", ""
    if not supports(flavour, gpu.compute_capability):
        reason = f"{flavour.name} does not support {gpu.name}, of compute capability {gpu.compute_capability}"
        return reason, TENSORRT.install
    major = cuda_major(flavour)
    oldest, first = OLDEST_DRIVER.get(major, 0), gpu.driver.partition(".")[0]
    if first.isdecimal() and int(first) < oldest:
        reason = f"driver {gpu.driver} is too old for {flavour.name} of CUDA {major}, which needs {oldest} or newer"
        older = f"{flavour.name.replace('_', '-')}-cu{major - 1}"
        return reason, f"update the driver, or use a flavour of an older CUDA: pip install {older}"
    return "", ""


def supports(flavour: Flavour, capability: str) -> bool:
    """Say whether a flavour runs on GPUs of a compute capability (`8.6`; empty where it is not known: it may)."""
    match = re.fullmatch(r"(\d+)\.(\d+)", capability)
    if flavour is not RTX or match is None:
        return True
    number = int(match[1]), int(match[2])
    return number in _RTX_CAPABILITIES or number > _RTX_FROM


def installed(flavour: Flavour) -> bool:
    """Say whether the flavour's module can be found."""
    return _folder(flavour.name) is not None


def complete(flavour: Flavour) -> bool:
    """Say whether an installed flavour has what it needs to be imported, as far as can be told without doing so.

    From PyPI, `tensorrt` may be a stub: its wheels come from NVIDIA's own index, while it is installed.
    """
    folder = _folder(flavour.name)
    if folder is None:
        return False
    bindings = _folder(f"{flavour.name}_bindings")
    if bindings is None and not any(folder.rglob("*.so")):  # system packages keep the bindings inside
        return False
    return _folder(f"{flavour.name}_libs") is not None or _on_system(flavour.shared_library)


def installed_version(flavour: Flavour) -> str:
    """Return the version of an installed flavour without importing it; empty where its package does not say."""
    try:
        return version(flavour.name)
    except PackageNotFoundError:
        return ""


def cuda_major(flavour: Flavour) -> int:
    """Return the major version of CUDA that an installed flavour was built for; 0 where its packages do not say."""
    pattern = re.compile(rf"{flavour.name}_cu(\d+)(_bindings|_libs)?")
    names = (str(distribution.name or "").lower().replace("-", "_") for distribution in distributions())
    return max((int(match[1]) for match in map(pattern.fullmatch, names) if match), default=0)


@functools.cache
def load(flavour: Flavour) -> Library:
    """Import a flavour; there is one `Library` of each in a process.

    Raises:
        BackendError: It cannot be imported.
    """
    try:
        module = importlib.import_module(flavour.name)
        return Library(flavour, module, str(module.__version__))
    except Exception as error:  # a stub, a missing library, one of another CUDA
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BackendError(f"{flavour.name} cannot be imported ({reason}); {flavour.install}") from error


def visible_gpu() -> Gpu | None:
    """Return the GPU that an engine is for; None where there is none, or it is not known which of several kinds.

    In a worker it is the only one that the process sees; outside one, any of those that `device` may name.
    """
    found = usable_gpus()
    return found[0] if found and len({gpu.compute_capability for gpu in found}) == 1 else None


def _folder(module: str) -> Path | None:
    """Return the folder of a package without importing it or its parents."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # half removed, or put into sys.modules by hand
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


@functools.cache
def _on_system(library: str) -> bool:
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    return any(any(Path(folder).glob(f"lib{library}.so*")) for folder in folders if folder) or bool(
        ctypes.util.find_library(library)
    )
