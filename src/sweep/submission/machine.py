"""What a submission says of a system, as far as the fingerprint of a test knows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sweep.submission.rounds import ROUNDS
from sweep.trial.result import TrialResult

NOT_STATED = "not stated"
"""What stands for a fact that no program can know, until the user says it."""

GIVEN_BY_COMMAND = ("division", "submitter")
"""Fields of a system's description that the command line gives."""

NO_ACCELERATOR = "N/A"

_GIB = 2**30
_NAME_MAX = 60
_ENGINES = {"onnxruntime": "ONNX Runtime", "onnxruntime_cuda": "ONNX Runtime", "tensorrt": "TensorRT"}
_FLAVOURS = {"tensorrt_rtx": "TensorRT for RTX"}
_PACKAGES = {"onnxruntime": ("onnxruntime",), "onnxruntime_cuda": ("onnxruntime-gpu", "onnxruntime")}
"""Distributions whose version is the engine's, by backend, the best first."""


def system_fields() -> tuple[str, ...]:
    """Return what the user may say of a system: the fields of all rounds, in their order."""
    fields = (field for rules in ROUNDS.values() for field in rules.system_fields)
    return tuple(field for field in dict.fromkeys(fields) if field not in GIVEN_BY_COMMAND)


def may_be_empty(field: str) -> bool:
    """Return whether no round needs a field to say anything."""
    return all(field not in rules.meaningful for rules in ROUNDS.values())


def known_facts(result: TrialResult) -> dict[str, str]:
    """Return every field of `system_fields`: what a test knows, `not stated`, or nothing where that will do.

    Args:
        result: A test of the system.
    """
    facts = {field: "" if may_be_empty(field) else NOT_STATED for field in system_fields()}
    facts |= {"status": "available", "system_type": "edge", "number_of_nodes": "1"}
    environment, imported = result.environment, result.imported
    memory = environment.get("memory_bytes")
    cores = environment.get("cpu_cores")
    facts |= {
        "system_name": _system_name(environment),
        "host_processor_model_name": str(environment.get("cpu") or NOT_STATED),
        "host_processor_core_count": str(cores) if cores else NOT_STATED,
        "host_memory_capacity": f"{memory / _GIB:.1f} GiB" if isinstance(memory, int) else NOT_STATED,
        "framework": _framework(result) or NOT_STATED,
        "operating_system": str(environment.get("os") or NOT_STATED),
        "other_software_stack": _software(environment) or NOT_STATED,
        "sw_notes": _sweep(environment),
    }
    if imported is not None:  # which accelerator it had, the environment of an imported test does not say
        return facts | {"system_name": imported.system_name or imported.system or NOT_STATED}
    return facts | _accelerators(environment)


def default_name(result: TrialResult) -> str:
    """Return a readable name for a test's system: processor or GPU, how many, and the engine."""
    if result.imported is not None:
        return slug(f"{result.imported.system} {result.spec.backend.name}")
    used = used_gpus(result.environment)
    if used:
        what = f"{used[0].get('name', 'gpu')} x{len(used)}"
    else:
        cores = result.environment.get("cpu_cores")
        what = f"{result.environment.get('cpu') or 'cpu'} {f'{cores} cores' if cores else ''}"
    return slug(f"{what} {result.spec.backend.name}")


def slug(text: str) -> str:
    """Return a text as a name of files: lower-case ASCII letters, digits, dots, `_` and `-`."""
    name = re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-.")
    return name[-_NAME_MAX:].strip("-.") or "system"


def used_gpus(environment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the GPUs that a test ran on: that of a test on the CPU lists all there are, without their identities."""
    gpus = environment.get("gpus")
    listed = gpus if isinstance(gpus, list) else []
    return [gpu for gpu in listed if isinstance(gpu, Mapping) and "uuid" in gpu]


def packages_of(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of what a test depended on, by distribution."""
    packages = environment.get("packages")
    return {str(name): str(version) for name, version in packages.items()} if isinstance(packages, Mapping) else {}


def _system_name(environment: Mapping[str, Any]) -> str:
    used = used_gpus(environment)
    cores = environment.get("cpu_cores")
    parts = [
        str(environment.get("cpu") or ""),
        f"{cores} cores" if cores else "",
        f"{len(used)}x {used[0].get('name', 'GPU')}" if used else "",
    ]
    return ", ".join(part for part in parts if part) or NOT_STATED


def _framework(result: TrialResult) -> str:
    """Return engine and version; the engine's name alone where the version is not known."""
    backend = result.spec.backend
    name = _ENGINES.get(backend.name, backend.name)
    if backend.name == "tensorrt" and result.engine.get("version"):  # of which there are two, and it says which
        return f"{_FLAVOURS.get(str(result.engine.get('engine')), name)} {result.engine['version']}"
    packages = packages_of(result.environment)
    version = next((packages[one] for one in _PACKAGES.get(backend.name, ()) if one in packages), "")
    return f"{name} {version}".strip()


def _software(environment: Mapping[str, Any]) -> str:
    packages = packages_of(environment)
    loadgen = packages.get("mlcommons-loadgen")
    parts = [
        f"Python {environment['python']}" if environment.get("python") else "",
        f"LoadGen {loadgen}" if loadgen else "",
        f"NumPy {packages['numpy']}" if "numpy" in packages else "",
        *(f"driver {gpu['driver']}" for gpu in used_gpus(environment)[:1] if gpu.get("driver")),
    ]
    own = environment.get("gpu_packages")
    if isinstance(own, Mapping):
        parts += [f"{name} {version}" for name, version in own.items()]
    return ", ".join(part for part in parts if part)


def _sweep(environment: Mapping[str, Any]) -> str:
    commit = f", commit {environment['git']}" if environment.get("git") else ""
    return f"measured with sweep {environment['sweep']}{commit}" if environment.get("sweep") else ""


def _accelerators(environment: Mapping[str, Any]) -> dict[str, str]:
    used = used_gpus(environment)
    if not used:
        fields = ("model_name", "memory_capacity", "memory_configuration", "host_interconnect", "interconnect")
        return {"accelerators_per_node": "0", **{f"accelerator_{field}": NO_ACCELERATOR for field in fields}}
    gpu = used[0]
    return {
        "accelerators_per_node": str(len(used)),
        "accelerator_model_name": str(gpu.get("name") or NOT_STATED),
        "accelerator_memory_capacity": str(gpu.get("memory") or NOT_STATED),
        **({"accelerator_interconnect": NO_ACCELERATOR} if len(used) == 1 else {}),
    }
