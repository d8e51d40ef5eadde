"""What a result depends on besides its spec: the machine and the software. Read once, without touching a device."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

import sweep
from sweep.paths import PACKAGE

_PACKAGES = {
    "loadgen": "mlcommons-loadgen",
    "onnxruntime": "onnxruntime",
    "onnxruntime_gpu": "onnxruntime-gpu",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt_rtx",
    "cuda_python": "cuda-python",
    "numpy": "numpy",
}

_INFORMATION_ONLY = frozenset({"git", "hostname", "os", "memory_bytes", "python"})
"""Recorded, but two machines or moments that differ only here still make the same trial."""


@functools.cache
def fingerprint() -> dict[str, Any]:
    """Return hardware and software as plain JSON data."""
    return {
        "cpu": _cpu_model(),
        "cpu_cores": psutil.cpu_count(logical=False) or 0,
        "cpu_threads": psutil.cpu_count() or 0,
        "cpu_affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
        "cpu_quota": _cpu_quota(),
        "gpus": _gpus(),
        "git": _git_commit(),
        "hostname": platform.node(),
        "machine": platform.machine(),
        "memory_bytes": psutil.virtual_memory().total,
        "os": f"{platform.system()} {platform.release()}",
        "packages": {name: found for name, package in _PACKAGES.items() if (found := _version(package))},
        "python": platform.python_version(),
        "sweep": sweep.__version__,
    }


def fingerprint_digest(environment: dict[str, Any]) -> str:
    """Return SHA-256 (hex) over the part of a fingerprint that decides whether a result can be reused."""
    relevant = {key: value for key, value in environment.items() if key not in _INFORMATION_ONLY}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cpu_quota() -> float | None:
    """Return how many cores' time the control group grants (`docker run --cpus`); None without a limit or a group."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _gpus() -> list[dict[str, str]]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run([tool, *query], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
    return [{"name": row[0], "driver": row[1], "memory": row[2]} for row in rows if len(row) == 3]


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
