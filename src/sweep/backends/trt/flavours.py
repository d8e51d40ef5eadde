"""The packages that carry TensorRT's Python API: which are here, which fits the GPU, and how one is loaded.

`sweep.gpus.SUPPORT` says which GPUs each runs on. `tensorrt_rtx` compiles its kernels on the GPU that runs them, so
that it builds anywhere; it refuses the data-centre GPUs of Hopper and Blackwell. `tensorrt_lean` runs engines that
`tensorrt` built with `version_compatible`, and builds none. What is called here has the same name in all three; what
one of them lacks is asked for with `hasattr` where it is used.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import functools
import importlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from sweep.backends.trt.messages import Messages
from sweep.errors import BackendError
from sweep.gpus import FOR_CUDA_12, NEWEST, Gpu, outdated, unsupported, usable_gpus

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

INT8_IS_SLOW = "fp16 is its fast precision: int8 is slower"
"""Of `tensorrt_rtx`, whose int8 convolutions write float32 for a second kernel to round (docs/measurements.md)."""

FLAVOURS = (TENSORRT, RTX, LEAN)
"""What `auto` tries, best first."""


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
        reason, fix = _obstacle(TENSORRT, gpu)
        if fix == TENSORRT.install and gpu is not None and not unsupported(gpu, RTX.name)[0]:
            fix += f", or {RTX.install}"
        return Choice(None, reason, fix)
    reasons, fixes = zip(*refused, strict=True)
    return Choice(None, "; ".join(reasons), "; ".join(dict.fromkeys(fixes)))


def _obstacle(flavour: Flavour, gpu: Gpu | None) -> tuple[str, str]:
    """Return why a flavour cannot be used and what to do about it; two empty words where it can."""
    misfit = _misfit(flavour, gpu)
    if not installed(flavour):
        return misfit if misfit[0] else (f"{flavour.name} is not installed", flavour.install)
    if not complete(flavour):
        reason = f"{flavour.name} is installed without its library lib{flavour.shared_library}"
        return reason, f"remove it, then {flavour.install} where NVIDIA's package index can be reached"
    mixed = mixture(flavour, gpu)
    return mixed if mixed[0] else misfit


def _misfit(flavour: Flavour, gpu: Gpu | None) -> tuple[str, str]:
    """Return why a flavour cannot be used on a GPU and what to do about it; two empty words where it can."""
    if gpu is None:
        return "", ""
    major = cuda_major(flavour)
    held = installed_version(flavour) if installed(flavour) else NEWEST
    reason, fix = unsupported(gpu, flavour.name, held, major)
    if reason:
        older = f"use backend=onnxruntime_cuda with packages for CUDA 12: {FOR_CUDA_12}"
        return reason, fix or (older if unsupported(gpu, TENSORRT.name, NEWEST)[0] else TENSORRT.install)
    if reason := outdated(gpu.driver, f"{flavour.name} of CUDA {major}", major):
        older = f"{_uninstall(flavour)}pip install {flavour.name.replace('_', '-')}-cu{major - 1}"
        return reason, f"update the driver, or use a flavour of an older CUDA: {older}"
    return "", ""


def mixture(flavour: Flavour, gpu: Gpu | None) -> tuple[str, str]:
    """Return what is wrong with builds of a flavour for several CUDA, and what to do; two empty words where it is one.

    Their files have the same names, so that which of them is loaded is what was installed last, file by file.
    """
    found = _distributions(flavour)
    majors = sorted(set(found.values()) - {0})
    if len(majors) < 2:
        return "", ""
    builds = " and ".join(f"{flavour.name.replace('_', '-')}-cu{major}" for major in majors)
    fits = gpu is None or not outdated(gpu.driver, "", majors[-1])
    install = flavour.install if fits else f"pip install {flavour.name.replace('_', '-')}-cu{majors[0]}"
    return f"{builds} lie in the same folders, and each overwrites the other", f"{_uninstall(flavour)}{install}"


def _uninstall(flavour: Flavour) -> str:
    """Return what comes before installing a flavour for another CUDA."""
    return f"pip uninstall -y {' '.join(sorted(_distributions(flavour)))}, then "


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
    """Return the version of an installed flavour without importing it; empty where its package does not say.

    That of the libraries comes first: a package that only asks for others may be older than they are.
    """
    for name in (*sorted(_distributions(flavour), key=len, reverse=True), flavour.name):
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return ""


def cuda_major(flavour: Flavour) -> int:
    """Return the major version of CUDA that an installed flavour was built for; 0 where its packages do not say."""
    return max(_distributions(flavour).values(), default=0)


def _distributions(flavour: Flavour) -> dict[str, int]:
    """Return the installed distributions of a flavour, each with the major version of CUDA in its name; 0 for none."""
    pattern = re.compile(rf"{flavour.name}(?:_cu(\d+))?(?:_bindings|_libs)?")
    found = {name: match for name in _names(distributions) if (match := pattern.fullmatch(name))}
    return {name.replace("_", "-"): int(match[1] or 0) for name, match in found.items()}


@functools.lru_cache(maxsize=1)
def _names(installed_ones: Callable[[], Iterable[Distribution]]) -> frozenset[str]:
    """Return the names of all distributions: looking takes 30 ms, and each point of a grid asks."""
    return frozenset(str(one.name or "").lower().replace("-", "_") for one in installed_ones())


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
