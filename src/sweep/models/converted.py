"""Files in another number format, made of float32 ones and kept in the cache."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.errors import ConfigError, Problem
from sweep.models.base import ResolvedModel
from sweep.models.cache import Made, describe, prepared, state_of
from sweep.models.calibration import Calibration
from sweep.models.ort import tools_version
from sweep.paths import in_utf8
from sweep.vocabulary import Precision, Weights

if TYPE_CHECKING:
    import onnx

_LARGEST_BYTES = 1_500_000_000
"""A file in the ONNX format ends at 2 GB, and a conversion holds several copies in memory."""


def int8_model(model: ResolvedModel, calibration: Calibration | None, cache: Path) -> ResolvedModel:
    """Return a float32 model in int8.

    Raises:
        ConfigError: It cannot be quantised.
        SweepError: The samples cannot be read.
        ValueError: There is no calibration.
    """
    from sweep.models import int8

    if calibration is None:
        raise ValueError("a model in int8 needs a calibration")

    def build(notes: list[str]) -> onnx.ModelProto:
        source = _loaded(model, Precision.INT8)
        return int8.int8_graph(source, calibration, batch=model.fixed_batch, source=_what(model), notes=notes)

    matters = {"recipe": int8.RECIPE, "calibration": calibration.to_json()}
    converted = _converted(model, Precision.INT8, matters, build, cache)
    return dataclasses.replace(converted, calibration=calibration.to_json(), has_int8=True)


def half_model(model: ResolvedModel, cache: Path) -> ResolvedModel:
    """Return a float32 model of the user's own in float16; its inputs and outputs stay as they are.

    Raises:
        ConfigError: It cannot be converted.
    """
    from sweep.models import half

    def build(notes: list[str]) -> onnx.ModelProto:
        source = _loaded(model, Precision.FP16)
        keep = [spec.name for spec in (*model.inputs, *model.outputs)]
        return half.half_network(source, keep, source=_what(model), notes=notes)

    return _converted(model, Precision.FP16, {"recipe": half.RECIPE}, build, cache)


def _converted(
    model: ResolvedModel,
    precision: Precision,
    matters: dict[str, Any],
    build: Callable[[list[str]], onnx.ModelProto],
    cache: Path,
) -> ResolvedModel:
    """Return the model with another file, which is built when it is not in the cache."""
    key = describe({**matters, "source": model.digest, "tools": tools_version(precision)})
    path = cache / "models" / "converted" / f"{model.name}-{model.weights}-{precision}-{key}.onnx"

    def made() -> Made:
        notes: list[str] = []
        return loadable(build(notes), precision, lambda: _loaded(model, precision), notes, source=_what(model))

    stamp = prepared(path, made)
    return dataclasses.replace(
        model,
        path=path,
        digest=f"sha256:{stamp.sha256}",
        number_format=str(precision),
        files=state_of(path),
        calibration=None,
        level=stamp.level,
        notes=tuple(stamp.notes),
    )


def loadable(
    converted: onnx.ModelProto,
    precision: Precision,
    original: Callable[[], onnx.ModelProto],
    notes: list[str],
    *,
    source: object,
) -> Made:
    """Return a converted model for the cache, after ONNX Runtime has loaded it once.

    A model with operators that ONNX Runtime does not have is for another engine: it says nothing about those.

    Args:
        converted: The model.
        precision: What it was converted to.
        original: Returns the model that it was made of.
        notes: On how it was made.
        source: What to call the model in an error.

    Raises:
        ConfigError: ONNX Runtime loads the original and not this.
    """
    from sweep.models.session import LEVELS, highest_level

    data: bytes = converted.SerializeToString(deterministic=True)
    level, why = highest_level(data, precision)
    if level is not None:
        if level != (top := next(iter(LEVELS))):
            at_most = f"ONNX Runtime runs the {precision} file at graph_optimization={level} at most"
            notes.append(f"{at_most}: at {top}, {why}")
        return Made(data, level, tuple(notes))
    if highest_level(original().SerializeToString(), precision)[0] is None:
        return Made(data, next(iter(LEVELS)), tuple(notes))
    reason = f"the {source} network in {precision} cannot be loaded: {why}"
    others = [other for other in ("fp32", "fp16", "int8") if other != precision]
    raise ConfigError(Problem("precision", str(precision), reason, f"use precision={others[0]} or {others[1]}"))


def _what(model: ResolvedModel) -> str:
    return model.path.name if model.weights is Weights.USER else f"{model.weights} {model.name}"


def _loaded(model: ResolvedModel, precision: Precision) -> onnx.ModelProto:
    """Return the model with its weights, also those in other files."""
    import onnx

    size = sum(file.size for file in model.files)
    if size > _LARGEST_BYTES:
        reason = f"{model.path} is too large to be converted: {size / 1e9:.1f} GB, at most {_LARGEST_BYTES / 1e9:g}"
        fix = f"convert it yourself and give that file, or use precision={model.number_format}"
        raise ConfigError(Problem("precision", str(precision), reason, fix))
    with in_utf8(model.path) as path:
        return onnx.load(path)
