"""Machines and software in words: what one is, and how two differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sweep.environment import GPU_INFORMATION_ONLY, INFORMATION_ONLY

_ABSENT = "none"
_HARDWARE = ("machine", "cpu", "cpu_version", "cpu_features", "cpu_cores", "cpu_threads", "cpu_affinity", "cpu_quota")
_GPU_HARDWARE = ("name", "memory", "compute_capability", "power_limit", "ecc", "mig")


def describe(environment: Mapping[str, Any]) -> str:
    """Return a machine in one line: processor, cores, GPUs, and the versions that decide a result.

    Of an imported trial the system's name comes first, and what is not known is left out.
    """
    used = [gpu for gpu in environment.get("gpus") or () if isinstance(gpu, Mapping)]
    names = [str(gpu.get("name", "GPU")) for gpu in used]
    cores = environment.get("cpu_cores")
    packages = environment.get("packages") or {}
    if platform := environment.get("platform"):
        software = (f"{name} {version or ''}".strip() for name, version in packages.items())
        loadgen = f"LoadGen {environment['loadgen']}" if environment.get("loadgen") else ""
        known = (platform, environment.get("cpu"), *names, *software, loadgen, environment.get("os"))
        return ", ".join(str(one) for one in known if one)
    parts = [
        str(environment.get("cpu") or environment.get("machine") or "unknown CPU"),
        f"{cores} cores" if cores else "",
        *names,
        *(f"{name} {version}" for name, version in packages.items()),
        f"sweep {environment.get('sweep', '')}".strip(),
        f"commit {environment['git']}" if environment.get("git") else "",
    ]
    return ", ".join(part for part in parts if part)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how two fingerprints differ, a line per field; those first that make two results incomparable.

    What is recorded for information alone (commit, host, kernel, memory, Python) follows, and says so.
    """
    old, new = dict(_flat(before)), dict(_flat(after))
    changed = [key for key in dict.fromkeys([*old, *new]) if _text(old, key) != _text(new, key)]
    deciding = [key for key in changed if not _is_information(key)]
    lines = [f"{key}: {_text(old, key)} -> {_text(new, key)}" for key in deciding]
    noted = [f"{key}: {_text(old, key)} -> {_text(new, key)} (noted)" for key in changed if key not in deciding]
    return (*lines, *noted)


def hardware(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a fingerprint that no installation changes: processor, limits, GPUs used, their settings.

    Older tests on the CPU list all GPUs there were, without their identity, as other tools list those that they used.
    """
    is_imported = bool(environment.get("platform"))
    known = (gpu for gpu in environment.get("gpus") or () if isinstance(gpu, Mapping))
    gpus = [gpu for gpu in known if is_imported or "uuid" in gpu]
    own = {name: environment.get(name) for name in _HARDWARE}
    return {**own, "gpus": [{name: gpu.get(name) for name in _GPU_HARDWARE} for gpu in gpus]}


def _is_information(key: str) -> bool:
    first, _, rest = key.partition(".")
    return first in INFORMATION_ONLY or (first == "gpus" and rest.rpartition(".")[2] in GPU_INFORMATION_ONLY)


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, one in value.items():
        name = f"{prefix}{key}"
        if isinstance(one, Mapping):
            yield from _flat(one, f"{name}.")
        elif isinstance(one, list) and any(isinstance(part, Mapping) for part in one):
            for number, part in enumerate(one):
                yield from _flat(part if isinstance(part, Mapping) else {"": part}, f"{name}.{number}.")
        elif isinstance(one, list):
            yield name, " ".join(str(part) for part in one)
        else:
            yield name, one


def _text(flat: Mapping[str, Any], key: str) -> str:
    value = flat.get(key)
    return _ABSENT if value is None or value == "" else str(value)
