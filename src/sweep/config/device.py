"""The key `device`: which of the GPUs that this process may use a test runs on."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from sweep.backends.base import Backend
from sweep.config.fields import Fields
from sweep.config.rules import shown
from sweep.errors import Problem
from sweep.gpus import VISIBLE, Gpu, usable_gpus

ALL = "all"
_EXAMPLES = "for example device=0, device=[0,1] or device=all"
_SEVERAL = re.compile(r"\d+(?:\s*[,;:\s]\s*\d+)+")


def read_device(fields: Fields, backend: type[Backend], overrides: Sequence[str], notes: list[str]) -> tuple[Gpu, ...]:
    """Return the GPUs that `device` names, in its order; what is wrong with it is among the problems of `fields`.

    They are numbered in the order of the PCI bus; where CUDA_VISIBLE_DEVICES is set, by their place in it.

    Args:
        fields: The configuration.
        backend: One for the CPU runs on none, whatever the key says.
        overrides: What the command line sets.
        notes: Told where the command line sets what is not read.
    """
    value = fields.get("device")
    if not backend.uses_gpu:
        if any(override.lstrip("+").startswith("device=") for override in overrides):
            notes.append(f"device={shown(value)} is not read: backend {backend.name} runs on the CPU")
        return ()
    known = usable_gpus()
    if not known:
        fields.problems.append(_no_gpu(value))
        return ()
    if value == ALL:
        return known
    wanted = value if isinstance(value, list) else [value]
    problem = _problem(wanted, known)
    if problem is not None:
        reason, fix = problem
        fields.problems.append(Problem("device", shown(value), reason, fix))
        return ()
    return tuple(known[int(index)] for index in wanted)


def _problem(wanted: Sequence[object], known: Sequence[Gpu]) -> tuple[str, str] | None:
    """Return what is wrong with some indices, and what to do."""
    if not wanted:
        return "names no GPU", _EXAMPLES
    for index in wanted:
        if not isinstance(index, int) or isinstance(index, bool):
            listed = isinstance(index, str) and _SEVERAL.fullmatch(index)
            reason = "must be the number of a GPU, a list of numbers, or all"
            return reason, f"a list is device=[{','.join(re.findall('[0-9]+', str(index)))}]" if listed else _EXAMPLES
        if not 0 <= index < len(known):
            named = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in known)
            limits = f"; {VISIBLE} shows no more" if VISIBLE in os.environ else ""
            return f"there is no GPU {index}{limits}", f"choose one of: {named}"
    twice = next((index for index in wanted if wanted.count(index) > 1), None)
    return None if twice is None else (f"names GPU {twice} more than once", "name each one once")


def _no_gpu(value: object) -> Problem:
    if VISIBLE in os.environ:
        reason = f"{VISIBLE}={os.environ[VISIBLE]} shows no GPU"
        return Problem("device", shown(value), reason, "unset it, or name GPUs of nvidia-smi -L in it")
    return Problem("device", shown(value), "nvidia-smi shows no GPU", "a backend for the CPU needs none")


def pinned(gpus: Sequence[Gpu], label: Mapping[str, str]) -> dict[str, str]:
    """Return what sets a search apart that is pinned to a GPU, to be compared with others: which one it is."""
    return {"gpu": gpus[0].uuid} if gpus and "device" in label else {}


def notes_on_search(gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """Return what a user should know who gave a search several GPUs."""
    if len(gpus) < 2:
        return ()
    return (f"a search runs one test after the other, and searches one after the other: all of them on {gpus[0]}",)
