"""TensorRT behind the GPU pipeline: an engine built for this model, this GPU and these numbers of samples."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sweep.backends.base import Availability
from sweep.backends.gpu.backend import GpuBackend, gpu_availability
from sweep.backends.gpu.cuda import Cuda, Handle
from sweep.backends.options import Option
from sweep.backends.trt.cache import limit_bytes
from sweep.backends.trt.engine import TensorRTEngine
from sweep.backends.trt.flavours import AUTO, FLAVOURS, RTX, TENSORRT, Flavour, choose, installed_version, visible_gpu
from sweep.backends.trt.loading import no_builder, open_engine
from sweep.backends.trt.settings import EXACT, RANGE
from sweep.errors import ConfigError, Problem
from sweep.gpus import usable_gpus
from sweep.models.base import FileState
from sweep.models.cache import take_stamp
from sweep.paths import expanded


class TensorRTBackend(GpuBackend):
    """Runs an ONNX file as a TensorRT engine, by whichever of TensorRT's flavours is there."""

    name: ClassVar[str] = "tensorrt"
    engine_depends_on_query: ClassVar[bool] = True

    BUILD_OPTIONS: ClassVar[Mapping[str, Option]] = {
        "profile": Option(EXACT, str, choices=(EXACT, RANGE)),
        "profile_max": Option(None, int, 1, 2**20, optional=True),
        "tf32": Option(True, bool),
        "workspace_mib": Option(None, int, 1, 2**20, optional=True),
        "optimization_level": Option(None, int, 0, 5, optional=True),
        "version_compatible": Option(False, bool),
        "aux_streams": Option(None, int, 0, 128, optional=True),
    }
    """Those that a builder reads; an engine that the user brings was built without them."""

    OPTIONS: ClassVar[Mapping[str, Option]] = {
        "flavour": Option(AUTO, str, choices=(AUTO, *(flavour.name for flavour in FLAVOURS))),
        **BUILD_OPTIONS,
        "engine": Option(None, str, optional=True),
        "engine_digest": Option(None, str, optional=True),
    }
    """`engine_digest` is not for users: `validate_options` takes it of the file `engine`, whose contents a trial's
    identity must cover."""

    @classmethod
    def availability(cls) -> Availability:
        """Say whether there is a GPU, and a flavour of TensorRT that supports it. Imports none."""
        if not usable_gpus():
            return gpu_availability(_extra(TENSORRT))
        choice = choose(AUTO, visible_gpu())
        if choice.flavour is None:
            return Availability(available=False, detail=choice.reason, fix=choice.fix)
        machine = gpu_availability(_extra(choice.flavour))
        if not machine.available:
            return machine
        found = f"{choice.flavour.name} {installed_version(choice.flavour)}".rstrip()
        limits = "" if choice.flavour.can_build else f"; {no_builder(choice.flavour)}"
        return Availability(available=True, detail=f"{found}, {machine.detail}{limits}")

    @classmethod
    def suits_auto(cls) -> bool:
        """Say whether there is a builder: without one the user must bring an engine."""
        flavour = choose(AUTO, visible_gpu()).flavour
        return flavour is not None and flavour.can_build

    @classmethod
    def validate_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of engine and pipeline, with the digest of the user's engine file."""
        complete = super().validate_options(options)
        problems = [*cls._flavour_problems(complete), *cls._profile_problems(complete)]
        if complete["engine"] is None:
            try:
                limit_bytes()
            except ConfigError as error:
                problems += error.problems
            if complete["engine_digest"] is not None:
                problems.append(Problem("backend.engine_digest", complete["engine_digest"], "is set without an engine"))
        else:
            problems += cls._unread_problems(complete)
            problems += cls._take_engine(complete)
        if problems:
            raise ConfigError(problems)
        return complete

    @classmethod
    def search_space(cls, cores: int) -> Mapping[str, Sequence[Any]]:
        """Return engine batches, and what may change how fast the engine is."""
        return {
            **super().search_space(cores),
            "backend.profile": (EXACT, RANGE),
            "backend.tf32": (True, False),
            "backend.optimization_level": (None, 5),
            "backend.aux_streams": (None, 0),
        }

    def open_engine(self, cuda: Cuda, stream: Handle) -> TensorRTEngine:
        """Load the engine, built first where the cache does not have it."""
        del stream  # a launch is told its own
        return open_engine(self.launch_request, visible_gpu(), cuda)

    @classmethod
    def _flavour_problems(cls, options: Mapping[str, Any]) -> Iterator[Problem]:
        choice = choose(options["flavour"], visible_gpu())
        if choice.flavour is None:
            if options["flavour"] != AUTO:  # of `auto`, `availability` says it
                yield Problem("backend.flavour", options["flavour"], choice.reason, choice.fix)
            return
        if options["engine"] is None and not choice.flavour.can_build:
            yield Problem("backend.engine", None, no_builder(choice.flavour))
        if options["version_compatible"] and choice.flavour is RTX:
            reason = f"is not possible with {RTX.name}, whose engines run on the version that built them"
            yield Problem("backend.version_compatible", value=True, reason=reason, fix=TENSORRT.install)

    @classmethod
    def _profile_problems(cls, options: Mapping[str, Any]) -> Iterator[Problem]:
        if options["profile_max"] is not None and options["profile"] != RANGE:
            reason, fix = "is not read with backend.profile=exact", "leave it out, or set backend.profile=range"
            yield Problem("backend.profile_max", options["profile_max"], reason, fix)

    @classmethod
    def _unread_problems(cls, options: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what was set for a build where nothing is built; it would be in the record, and not in the engine."""
        for key, option in cls.BUILD_OPTIONS.items():
            if options[key] != option.default:
                yield Problem(f"backend.{key}", options[key], "is not read with backend.engine", "leave it out")

    @classmethod
    def _take_engine(cls, options: dict[str, Any]) -> Iterator[Problem]:
        """Put the path and digest of the user's engine file into the options."""
        path = expanded(options["engine"], "backend.engine")
        try:
            digest = f"sha256:{_sha256(FileState.of(path, path.stat()))}"
        except OSError as error:
            yield Problem("backend.engine", path, f"cannot be read: {error.strerror or error}")
            return
        if options["engine_digest"] not in {None, digest}:
            yield Problem("backend.engine", path, "is not the file any more whose digest is backend.engine_digest")
        options.update(engine=str(path), engine_digest=digest)


def _extra(flavour: Flavour) -> str:
    """Return the extra of pyproject.toml that brings a flavour."""
    return "tensorrt-rtx" if flavour is RTX else "tensorrt"


@functools.lru_cache(maxsize=8)
def _sha256(state: FileState) -> str:
    """Return the digest of a file in a known state: a grid asks for each of its points."""
    return take_stamp(Path(state.path)).sha256
