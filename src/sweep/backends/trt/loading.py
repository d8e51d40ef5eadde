"""From a request to a loaded engine: flavour, cache, a build where needed, another where a kept engine is refused."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from sweep.backends.base import EngineRequest
from sweep.backends.trt.build import RECIPE, Built, build, tf32_of
from sweep.backends.trt.cache import CachedEngine, EngineCache, Timings
from sweep.backends.trt.engine import DeviceMemory, EngineRefusedError, TensorRTEngine
from sweep.backends.trt.flavours import INT8_IS_SLOW, RTX, Flavour, Library, choose, load
from sweep.backends.trt.messages import say
from sweep.backends.trt.progress import Report, print_progress
from sweep.backends.trt.settings import BuildSettings
from sweep.errors import BackendError
from sweep.gpus import Gpu
from sweep.models.base import TensorSpec
from sweep.vocabulary import Precision

_SAID_ELSEWHERE = ("profile", "tf32")
"""Settings that a record has in the words of the engine."""

_CLASS_IDS = ("int32", ())
"""Dtype and sample shape of the one output of a model that predicts classes."""


def open_engine(
    request: EngineRequest, gpu: Gpu | None, memory: DeviceMemory, report: Report = print_progress
) -> TensorRTEngine:
    """Return the engine of a request, loaded on the device of this process.

    Args:
        request: With options as `TensorRTBackend.validate_options` returns them.
        gpu: That device; None where it is not known.
        memory: Gives scratch memory.
        report: Told how far a build is.

    Raises:
        BackendError: There is no flavour, or the engine cannot be built or loaded, or is not of this model.
        ConfigError: The cache cannot be used.
    """
    choice = choose(request.options["flavour"], gpu)
    if choice.flavour is None:
        raise BackendError(f"{choice.reason}; {choice.fix}")
    library = load(choice.flavour)
    file = request.options["engine"]
    engine = (
        _of_file(library, request, Path(file), memory) if file else _of_model(library, request, gpu, memory, report)
    )
    try:
        _check(engine, request)
    except BaseException:
        engine.close()
        raise
    return engine


def identity(library: Library, request: EngineRequest, settings: BuildSettings, gpu: Gpu | None) -> dict[str, Any]:
    """Return what an engine depends on. A batch that the file is frozen at is covered by the model's digest.

    Neither the GPU's own number nor its driver is in it: an engine that they do not fit is refused when it is loaded.
    """
    return {
        "recipe": RECIPE,
        "flavour": library.flavour.name,
        "flavour_version": library.version,
        "gpu": gpu.name if gpu else "",
        "compute_capability": gpu.compute_capability if gpu else "",
        "model": request.model_digest,
        "precision": str(request.precision),
        **dataclasses.asdict(settings),
    }


def _of_model(
    library: Library, request: EngineRequest, gpu: Gpu | None, memory: DeviceMemory, report: Report
) -> TensorRTEngine:
    if request.model_path is None or request.cache is None:
        raise ValueError("TensorRT needs a model file and a cache folder")
    if not library.flavour.can_build:
        raise BackendError(no_builder(library.flavour))
    batch = min(request.engine_batch, request.samples_per_query)
    one_size = library.flavour is not RTX
    settings = BuildSettings.of(request.options, batch, limit=request.launch_limit, one_size=one_size)
    key = identity(library, request, settings, gpu)
    cache = EngineCache(request.cache)
    path, timings = request.model_path, Timings(request.cache, library.flavour.name, library.version, _words(gpu))

    def make() -> Built:
        targets = [gpu.compute_capability] if gpu and gpu.compute_capability else []
        built = build(library, path, settings, targets=targets, timings=timings, report=report)
        if not request.is_unchanged():  # or the engine of another file would be kept under this one's digest
            raise BackendError(f"model file {path} has changed since the sweep began; run the command again")
        return built

    def loaded(found: CachedEngine) -> TensorRTEngine:
        facts = {
            **_library_facts(library, request),
            "engine_sha256": found.sha256,
            "engine_file": found.path.name,
            "from_cache": found.from_cache,
            "build_s": found.build_s,
            "tf32": tf32_of(library, settings),
            "options": {
                key: value for key, value in dataclasses.asdict(settings).items() if key not in _SAID_ELSEWHERE
            },
        }
        kernels = cache.kernels(key) if library.flavour is RTX else None
        host_code = settings.version_compatible
        in_use = found.in_use
        return TensorRTEngine(library, found.data, memory, facts, kernels, host_code=host_code, in_use=in_use)

    found = cache.get(key, make)
    try:
        return loaded(found)
    except EngineRefusedError as error:
        if not found.from_cache:
            raise
        say(f"{found.path} is built again: {error}")
        return loaded(cache.get(key, make, refused=found.sha256))


def _of_file(library: Library, request: EngineRequest, file: Path, memory: DeviceMemory) -> TensorRTEngine:
    """Load an engine that the user built; it may bring host code, as version-compatible ones do."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BackendError(f"backend.engine={file} cannot be read: {error.strerror or error}") from error
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if digest != request.options["engine_digest"]:
        raise BackendError(f"backend.engine={file} has changed since the sweep began; run the command again")
    known = _library_facts(library, request)
    by_user = "engine built by the user: nothing shows that it is of this model, or of this precision"
    facts = {
        **known,
        "engine_sha256": digest.removeprefix("sha256:"),
        "engine_file": file.name,
        "from_cache": False,
        "build_s": None,
        "notes": [by_user, *known["notes"]],
    }
    try:
        return TensorRTEngine(library, data, memory, facts, host_code=True)
    except EngineRefusedError as error:
        raise EngineRefusedError(f"backend.engine={file}: {error}") from error


def no_builder(flavour: Flavour) -> str:
    """Return why a flavour that only loads engines cannot build one, and what to do."""
    fix = "set backend.engine=FILE to one that tensorrt built with backend.version_compatible=true"
    return f"{flavour.name} loads engines but builds none; {fix}"


def _library_facts(library: Library, request: EngineRequest) -> dict[str, Any]:
    slow = library.flavour is RTX and request.precision == Precision.INT8
    notes = [f"{RTX.name}: {INT8_IS_SLOW} (try precision=fp16, or the full tensorrt)"] if slow else []
    return {"engine": library.flavour.name, "version": library.version, "notes": notes}


def _words(gpu: Gpu | None) -> str:
    return f"{gpu.name}-{gpu.compute_capability}" if gpu else "unknown"


def _check(engine: TensorRTEngine, request: EngineRequest) -> None:
    """Refuse an engine that is not of this model: it would read samples as something else."""
    if set(engine.inputs) != set(request.inputs):
        raise BackendError(f"the engine takes {_listed(engine.inputs)}, and the model {_listed(request.inputs)}")
    answers = [(output.dtype, output.shape) for output in engine.outputs]
    if request.predicts_class and answers != [_CLASS_IDS]:
        raise BackendError(f"the engine gives {_listed(engine.outputs)}, not one int32 class id for each sample")


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} ({spec.dtype} {list(spec.shape)})" for spec in sorted(specs, key=lambda s: s.name))
