"""What a result depends on besides its spec: the machine and the software. Read once, without touching a device."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from importlib.metadata import distributions, entry_points
from pathlib import Path
from typing import Any

import psutil

import sweep
from sweep.gpus import Gpu, gpus
from sweep.paths import PACKAGE

_PACKAGES = ("cuda-python", "mlcommons-loadgen", "numpy", "onnxruntime*", "tensorrt*")
"""Distributions that a result depends on; with a star, all of that family (`onnxruntime-gpu`, `tensorrt-cu12`)."""

_GPU_PACKAGES = ("cuda-bindings", "nvidia-cublas*", "nvidia-cuda-runtime*", "nvidia-cudnn*", "nvidia-cuda-nvrtc*")
"""Those that only a result on a GPU depends on: the libraries that do its work."""

_NOT_OF_CPUS = ("cuda-python", "onnxruntime-extensions", "onnxruntime-genai*", "tensorrt*")
"""Of the former, those that do nothing in a test on the CPU."""

_TF32 = "NVIDIA_TF32_OVERRIDE"
"""With it NVIDIA's libraries compute fp32 in TF32, or do not, whatever they are asked for."""

_OWN = "mlperf-sweep"

_PLUGIN_GROUPS = ("sweep.backends", "sweep.datasets")
"""Entry points through which other distributions take part in a measurement."""

_CGROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

_VECTOR_FEATURES = {"flags": ("amx", "avx", "f16c", "fma", "sse4"), "Features": ("asimd", "bf16", "i8mm", "sme", "sve")}
"""How the names of vector instructions begin, on x86 and on Arm, by the field of `/proc/cpuinfo` that lists them."""

INFORMATION_ONLY = frozenset({"git", "hostname", "loadgen", "os", "memory_bytes", "python"})
"""Recorded, but two machines or moments that differ only here still make the same trial.

`loadgen` is what the log of an imported trial says, which one of accuracy may lack; sweep's own is among its packages.
"""

GPU_INFORMATION_ONLY = frozenset({"index", "persistence", "uuid"})
"""The same for each entry of `gpus`: which one of several like cards it was changes nothing."""


@functools.cache
def fingerprint() -> dict[str, Any]:
    """Return hardware and software as plain JSON data."""
    return {
        "cpu": _cpu_model(),
        "cpu_cores": psutil.cpu_count(logical=False) or 0,
        "cpu_threads": psutil.cpu_count() or 0,
        "cpu_version": _cpu_version(_cpuinfo()),
        "cpu_features": _cpu_features(_cpuinfo()),
        "cpu_affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
        "cpu_quota": _cpu_quota(),
        "gpus": _gpus(),
        "git": _git_commit(),
        "hostname": platform.node(),
        "machine": platform.machine(),
        "memory_bytes": psutil.virtual_memory().total,
        "os": f"{platform.system()} {platform.release()}",
        "packages": _packages(),
        "python": platform.python_version(),
        "sweep": sweep.__version__,
    }


def environment_on(gpu: Gpu | None) -> dict[str, Any]:
    """Return the fingerprint of a trial: with what it may depend on alone.

    On a GPU that is this GPU and how it is set. A lowered power limit, ECC and MIG change what a GPU can do, so they
    are among what decides. Its clocks, which change by themselves, are for the telemetry. On the CPU there is no GPU,
    and no package that only tests on GPUs use: installing or updating one makes no other trial.

    Args:
        gpu: What the trial runs on; None for the CPU.
    """
    if gpu is None:
        used = {name: v for name, v in fingerprint()["packages"].items() if not _is_one_of(name, _NOT_OF_CPUS)}
        return {**fingerprint(), "gpus": [], "packages": used}
    own = {"gpus": [asdict(gpu)], "gpu_packages": _packages(_GPU_PACKAGES)}
    if (tf32 := os.environ.get(_TF32)) is not None:
        own["tf32_override"] = tf32
    return {**fingerprint(), **own}


def fingerprint_digest(environment: dict[str, Any]) -> str:
    """Return SHA-256 (hex) over the part of a fingerprint that decides whether a result can be reused."""
    relevant = {key: value for key, value in environment.items() if key not in INFORMATION_ONLY}
    if isinstance(cards := relevant.get("gpus"), list):
        relevant["gpus"] = [{k: v for k, v in card.items() if k not in GPU_INFORMATION_ONLY} for card in cards]
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def environment_digest(gpu: Gpu | None) -> str:
    """Return the digest of the fingerprint of a trial.

    Args:
        gpu: What the trial runs on; None for the CPU.
    """
    return fingerprint_digest(environment_on(gpu))


def environment_digests(gpu: Gpu | None) -> tuple[str, ...]:
    """Return the digests under which records of a trial here may be found, the one that it is stored under first.

    Up to version 0.1 a trial on the CPU had all GPUs of the machine, and what only they use, in its environment.

    Args:
        gpu: What the trial runs on; None for the CPU.
    """
    own = environment_digest(gpu)
    return (own,) if gpu is not None else tuple(dict.fromkeys((own, fingerprint_digest(fingerprint()))))


def usable_cores() -> int:
    """Return the physical cores that this process may run on, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(affinity, psutil.cpu_count(logical=False) or affinity))


def has_fast_int8() -> bool:
    """Return whether the CPU multiplies int8 fast without overflow: all but x86 ones without VNNI."""
    return not is_x86() or has_vnni()


def is_x86() -> bool:
    """Return whether the CPU is one of x86's 64-bit kind."""
    return str(fingerprint()["machine"]).lower() in ("x86_64", "amd64")


def has_vnni() -> bool:
    """Return whether the CPU says that it has VNNI, as AVX-512 or as AVX."""
    return any("vnni" in name for name in fingerprint()["cpu_features"])


def available_memory_bytes() -> int:
    """Return how much memory this process could still take: the machine's, or what its control group leaves."""
    available: int = psutil.virtual_memory().available
    for folder in _control_groups():
        limit, used = _number(folder / "memory.max"), _number(folder / "memory.current")
        if limit is not None and used is not None:
            # Cached files count as used, and go when their memory is wanted.
            available = min(available, max(limit - used + _cached(folder), 0))
    return available


def _packages(names: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """Return the versions of what a result depends on, plug-ins included, by distribution name."""
    points = (point for group in _PLUGIN_GROUPS for point in entry_points(group=group))
    plugins = {point.dist.name for point in points if point.dist is not None and point.dist.name}
    wanted = frozenset(_normalized(name) for name in (*names, *plugins) if name != _OWN)
    found: dict[str, str] = {}
    for distribution in distributions():
        if not distribution.name:  # what a broken upgrade leaves behind
            continue
        name = _normalized(distribution.name)
        if _is_one_of(name, wanted):
            found.setdefault(name, distribution.version)  # the first on the path is the one that is imported
    return dict(sorted(found.items()))


def _is_one_of(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def _cpu_model() -> str:
    text = _cpuinfo()
    try:
        board = Path("/proc/device-tree/model").read_text().strip("\0\n ")
    except OSError:
        board = ""
    return _cpu_name(text, board) or platform.processor() or platform.machine()


def _cpu_name(cpuinfo: str, board: str) -> str:
    """Return the processor's name; on Arm, which gives none, the numbers of its cores and the name of the board."""
    cores: dict[str, None] = {}
    values: dict[str, str] = {}
    for line in (*cpuinfo.splitlines(), ""):
        key, colon, value = (part.strip() for part in line.partition(":"))
        if key == "model name":
            return value
        if colon:
            values[key] = value
        elif values:
            parts = [values.get(f"CPU {name}", "") for name in ("implementer", "part", "variant", "revision")]
            if any(parts):
                cores["/".join(parts)] = None
            values = {}
    return ", ".join(filter(None, (board, *cores)))


def _cpu_version(cpuinfo: str) -> str:
    """Return family, model and stepping of an x86 CPU, whose name a virtual machine may hide; empty on others."""
    values = _first_cpu(cpuinfo)
    parts = [values.get(key, "") for key in ("cpu family", "model", "stepping")]
    return "/".join(parts) if all(parts) else ""


def _cpu_features(cpuinfo: str) -> list[str]:
    """Return the vector instructions of a CPU, by Linux's names: they decide which kernels an engine has."""
    values = _first_cpu(cpuinfo)
    known = _VECTOR_FEATURES.items()
    return sorted(name for field, begins in known for name in values.get(field, "").split() if name.startswith(begins))


def _first_cpu(cpuinfo: str) -> dict[str, str]:
    """Return the fields of the first processor in `/proc/cpuinfo`."""
    first = cpuinfo.partition("\n\n")[0]
    parts = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in parts}


def _cpu_quota() -> float | None:
    """Return how many cores' time the control groups grant (`docker run --cpus`); None without a limit or a group."""
    quotas = []
    for folder in _control_groups():
        try:
            quota, period = (folder / "cpu.max").read_text().split()
            quotas.append(int(quota) / int(period))
        except (OSError, ValueError):  # no such limit, or `max`
            continue
    for folder in _control_groups("cpu"):
        quota_us, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota_us is not None and quota_us > 0 and period_us:
            quotas.append(quota_us / period_us)
    return min(quotas, default=None)


def _control_groups(controller: str = "") -> Iterator[Path]:
    """Yield the folders of the control groups that this process is in, innermost first.

    Args:
        controller: Of version 1 of them, where each has a tree of its own; empty for version 2.
    """
    try:
        lines = [line.split(":", 2) for line in _OWN_GROUPS.read_text().splitlines()]
    except OSError:
        return
    own = next((parts[2] for parts in lines if len(parts) == 3 and controller in parts[1].split(",")), None)
    if own is None:
        return
    top = _CGROUPS / controller
    folder = top / own.lstrip("/")
    while folder.is_relative_to(top):
        yield folder
        folder = folder.parent


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or `max`
        return None


def _cached(folder: Path) -> int:
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)


def _gpus() -> list[dict[str, str]]:
    return [{"name": gpu.name, "driver": gpu.driver, "memory": gpu.memory} for gpu in gpus()]


def _git_commit() -> str | None:
    """Return the commit of sweep's own checkout, marked when it has local changes; None for an installed wheel."""
    checkout = PACKAGE.parent.parent
    if not (checkout / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
