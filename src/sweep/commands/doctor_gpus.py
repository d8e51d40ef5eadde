"""What `sweep doctor` says of GPUs: each card, its driver, and the packages that make use of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires

from sweep.backends.trt.flavours import FLAVOURS, INT8_IS_SLOW, RTX, TENSORRT, Flavour, cuda_major, mixture
from sweep.commands.findings import Finding, installed_version
from sweep.gpus import NEWEST, OLDEST_DRIVER, VISIBLE, Gpu, driver_major, gpus, unsupported, usable_gpus
from sweep.models.ort import cuda_recipe, onnxruntime_build

_OWN = "mlperf-sweep"

_CUDA = (12, 13)
"""Those that packages are built for."""

_EXTRAS = ("tensorrt", "tensorrt-rtx", "cuda")

_REQUIREMENT = re.compile(r"""^([\w.-]+)\s*(?:\[([^]]*)])?[^;]*(?:;.*extra\s*==\s*['"]([^'"]+)['"])?""")


def examine_gpus() -> Iterator[Finding]:
    """Yield what there is to say about the GPUs of this machine."""
    cards, usable = gpus(), usable_gpus()
    if not cards:
        yield Finding("machine", "gpu", fine=False, detail="no NVIDIA GPU found", fix="the CPU is used")
    for gpu in usable:
        yield Finding("gpu", str(gpu.index), fine=True, detail=_described(gpu))
    if cards and VISIBLE in os.environ:
        detail = f"{VISIBLE}={os.environ[VISIBLE]} shows {len(usable)} of {len(cards)}"
        yield Finding("gpu", "visible", bool(usable), detail, "" if usable else f"unset {VISIBLE}")
    if cards:
        yield _driver(cards[0].driver)
    for extra in _EXTRAS:
        yield _extra(extra, usable)
    yield from _packages(usable)


def _described(gpu: Gpu) -> str:
    capability = gpu.compute_capability and f"compute capability {gpu.compute_capability}"
    limit = gpu.power_limit and f"power limit {gpu.power_limit}"
    return ", ".join(filter(None, (gpu.name, f"driver {gpu.driver}", gpu.memory, capability, limit)))


def _driver(driver: str) -> Finding:
    major = driver_major(driver)
    if major is None:
        return Finding("gpu", "driver", fine=False, detail=f"{driver}: no version that says what it can run")
    runs = [f"CUDA {cuda}" for cuda in _CUDA if major >= OLDEST_DRIVER[cuda]]
    late = [f"CUDA {cuda}, which needs {OLDEST_DRIVER[cuda]}" for cuda in _CUDA if major < OLDEST_DRIVER[cuda]]
    parts = [f"runs {' and '.join(runs)}"] * bool(runs) + [f"is too old for {' and '.join(late)}"] * bool(late)
    return Finding("gpu", "driver", bool(runs), f"{driver} {', '.join(parts)}", "update it" if late else "")


def _extra(extra: str, usable: Sequence[Gpu]) -> Finding:
    wanted = _requirements(extra)
    if not wanted:
        detail = "this installation of sweep does not know it"
        return Finding("extra", extra, fine=False, detail=detail, fix="install sweep again to read its pyproject.toml")
    found = {name: " ".join(_installed(name) or ()) for name in wanted}
    there = [words for words in found.values() if words]
    missing = [name for name, words in found.items() if not words]
    gives, instead = _gives(extra, usable)
    parts = [*there, *([f"{', '.join(missing)} missing"] if missing else []), gives]
    recipe = cuda_recipe(usable) if extra == "cuda" else f"pip install '{_OWN}[{extra}]'"
    install = recipe if missing else ""
    return Finding("extra", extra, not missing, "; ".join(parts), install if instead is None else instead)


def _installed(name: str) -> tuple[str, str] | None:
    """Return an installed distribution, or its build for one CUDA, and its version; None where there is neither."""
    for one in (name, *(f"{name}-cu{cuda}" for cuda in reversed(_CUDA))):
        if (version := installed_version(one)) is not None:
            return one, version
    return None


def _gives(extra: str, usable: Sequence[Gpu]) -> tuple[str, str | None]:
    """Return what an extra is good for on this machine, and what to do instead of installing it; None for nothing."""
    if extra == "tensorrt-rtx":
        fit = [gpu for gpu in usable if gpu.compute_capability and not _refuses(RTX, gpu)[0]]
        if fit:
            return f"builds engines and runs them on {_numbers(fit)}; {INT8_IS_SLOW}", None
        why = "there is no GPU" if not usable else f"it runs on no GPU of compute capability {_capabilities(usable)}"
        return f"builds engines, which cannot be run here: {why}", None
    if not usable:
        return "of no use without a GPU", None
    if extra == "cuda":
        _, cuda = onnxruntime_build()
        major = int(cuda.partition(".")[0]) if cuda else _CUDA[-1]  # what an installation would bring
        refusals = [unsupported(gpu, "onnxruntime-gpu", cuda=major) for gpu in usable]
        what = "runs ONNX Runtime"
    else:
        what, refusals = "builds TensorRT engines and runs them", [_refuses(TENSORRT, gpu) for gpu in usable]
    fit = [gpu for gpu, (reason, _) in zip(usable, refusals, strict=True) if not reason]
    return (f"{what} on {_numbers(fit)}", None) if fit else refusals[0]


def _refuses(flavour: Flavour, gpu: Gpu) -> tuple[str, str]:
    """Return why a flavour does not run on a GPU, and what to do about it; two empty words where it does."""
    name, version = _installed(flavour.name.replace("_", "-")) or ("", NEWEST)
    cuda = int(name.rpartition("-cu")[2]) if "-cu" in name else cuda_major(flavour)
    return unsupported(gpu, flavour.name, version, cuda)


def _numbers(usable: Sequence[Gpu]) -> str:
    return f"GPU {', '.join(str(gpu.index) for gpu in usable)}"


def _capabilities(usable: Sequence[Gpu]) -> str:
    return ", ".join(dict.fromkeys(gpu.compute_capability or "unknown" for gpu in usable))


def _requirements(extra: str) -> list[str]:
    """Return the distributions that an extra of sweep asks for, those of the extras that it contains among them."""
    try:
        lines = requires(_OWN) or []
    except PackageNotFoundError:
        return []
    found: dict[str, None] = {}
    for line in lines:
        parsed = _REQUIREMENT.match(line)
        if parsed is None or parsed[3] != extra:
            continue
        if parsed[1].lower().replace("_", "-") == _OWN:
            inner = [name.strip() for name in (parsed[2] or "").split(",")]
            found |= dict.fromkeys(one for name in inner if name != extra for one in _requirements(name))
        else:
            found[parsed[1]] = None
    return list(found)


def _packages(usable: Sequence[Gpu]) -> Iterator[Finding]:
    for module, distributions, purpose in (
        ("pynvml", ("nvidia-ml-py",), "reads clocks, power and heat of a GPU during a test"),
        ("cuda", ("cuda-python", "cuda-bindings"), "is how GPU backends speak to CUDA"),
    ):
        versions = [f"{name} {version}" for name in distributions if (version := installed_version(name))]
        detail = versions[0] if versions else f"{distributions[0]} is not installed"
        fix = "" if versions else f"pip install {distributions[0]}"
        yield Finding("package", module, bool(versions), f"{detail} ({purpose})", fix)
    for flavour in FLAVOURS:
        reason, fix = mixture(flavour, next(iter(usable), None))
        if reason:
            yield Finding("package", flavour.name, fine=False, detail=reason, fix=fix)
    (package, cuda), gpu = onnxruntime_build(), installed_version("onnxruntime-gpu")
    if gpu and not cuda:
        found = f"the files are those of {package}, without CUDA" if package else "ONNX Runtime is not there"
        yield Finding(
            "package", "onnxruntime", False, f"onnxruntime-gpu {gpu} is installed, but {found}", cuda_recipe(usable)
        )
