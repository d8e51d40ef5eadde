"""The NVIDIA GPUs of this machine, as its driver names them; read without starting CUDA."""

from __future__ import annotations

import functools
import shutil
import subprocess
from dataclasses import dataclass

_FIELDS = ("index", "uuid", "name", "driver_version", "memory.total", "compute_cap")


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        index: Its number, in the order of the PCI bus.
        uuid: Its own identity (`GPU-...`), which CUDA_VISIBLE_DEVICES takes.
        name: Product name.
        driver: Version of the driver.
        memory: In all, with its unit.
        compute_capability: `9.0`; empty where an old driver does not tell.
    """

    index: int
    uuid: str
    name: str
    driver: str
    memory: str
    compute_capability: str


@functools.cache
def gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that the driver shows, in the order of their index; none without a driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader"]
    try:
        done = subprocess.run([tool, *query], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
    return tuple(
        Gpu(int(index), uuid, name, driver, memory, capability if capability[:1].isdigit() else "")
        for index, uuid, name, driver, memory, capability in (row for row in rows if len(row) == len(_FIELDS))
        if index.isdecimal()
    )
