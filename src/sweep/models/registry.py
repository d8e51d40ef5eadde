"""From what the user asked for to a file that an engine can load."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.errors import ConfigError, Problem, choose
from sweep.models.base import ModelConfig, ResolvedModel
from sweep.models.cache import Made, Stamp, describe, prepared, stamp_path, state_of, take_stamp, unwritable
from sweep.models.calibration import Calibration
from sweep.models.converted import half_model, int8_model, loadable
from sweep.models.half import RECIPE as HALF_RECIPE
from sweep.models.half import half_network
from sweep.models.onnx_file import NotOnnxError, parse_onnx
from sweep.models.ort import tools_version
from sweep.models.reference import fetch_command, reference_path, verified_reference
from sweep.models.serving import RECIPE, serving_graph, serving_specs
from sweep.vocabulary import Precision, Weights

if TYPE_CHECKING:
    import onnx

AUTO = "auto"

_SHIPPED = Path(__file__).resolve().parent / "data"


def weights_offered(config: ModelConfig) -> tuple[Weights, ...]:
    """Return the weights that a model can have, the best first."""
    if config.input_name is None:
        return (Weights.USER,)
    offered = []
    if config.reference_url is not None:
        offered.append(Weights.REFERENCE)
    if config.architecture is not None:
        offered.append(Weights.SYNTHETIC)
    return tuple(offered) or (Weights.SHIPPED,)


def resolve_model(
    config: ModelConfig, precision: Precision, cache: Path, calibration: Calibration | None = None
) -> ResolvedModel:
    """Find or prepare the file of a model, and say what it is.

    A file is built once and kept in the cache; later calls neither build nor read it. Several processes may do this at
    once. A file of the user's own is converted where it is in fp32, and used as it is where it is in anything else.

    Args:
        config: The model asked for.
        precision: The number format asked for.
        cache: Root of the cache folder; it is made when it is missing.
        calibration: What an int8 model is calibrated with; not read in any other precision.

    Raises:
        ConfigError: The model is not to be had like that; the fix says how it is.
        SweepError: The samples to calibrate with cannot be read.
        ValueError: The file must be made int8 and there is no calibration.
    """
    weights, why = _choose_weights(config, cache)
    if weights is Weights.USER:
        from sweep.models.user import user_model

        model = user_model(config, cache)
        if model.number_format == Precision.FP32 and precision is Precision.FP16:
            return half_model(model, cache)
    else:
        model = _serving_model(config, weights, why, cache, half=precision is Precision.FP16)
    if model.number_format == Precision.FP32 and precision is Precision.INT8:
        return int8_model(model, calibration, cache)
    return model


def _serving_model(config: ModelConfig, weights: Weights, why: str, cache: Path, *, half: bool) -> ResolvedModel:
    path, stamp = _serving_file(config, weights, cache, half=half)
    inputs, outputs = serving_specs(config)
    return ResolvedModel(
        name=config.name,
        weights=weights,
        path=path,
        digest=f"sha256:{stamp.sha256}",
        inputs=inputs,
        outputs=outputs,
        fixed_batch=None,
        predicts_class=True,
        number_format=str(Precision.FP16 if half else Precision.FP32),
        why=why,
        files=state_of(path),
        level=stamp.level or "all",
        notes=tuple(stamp.notes),
    )


def _choose_weights(config: ModelConfig, cache: Path) -> tuple[Weights, str]:
    offered = weights_offered(config)
    if config.path is not None and Weights.USER not in offered:
        reason = f"model {config.name} brings its own file"
        fix = f"to run yours, ask for model=onnx model.path={config.path}"
        raise ConfigError(Problem("model.path", config.path, reason, fix))
    if config.weights != AUTO:
        if config.weights not in offered:
            reason = f"model {config.name} has no such weights"
            raise ConfigError(
                Problem("model.weights", config.weights, reason, choose(config.weights, (AUTO, *offered)))
            )
        return Weights(config.weights), ""
    if len(offered) == 1:
        return offered[0], ""
    try:
        there = reference_path(config, cache).exists()
    except OSError as error:
        raise unwritable(cache, error) from error
    if there:
        return Weights.REFERENCE, "the reference file is in the cache"
    return Weights.SYNTHETIC, f"no reference file in the cache; run `{fetch_command(config)}` for the real weights"


def _serving_file(config: ModelConfig, weights: Weights, cache: Path, *, half: bool) -> tuple[Path, Stamp]:
    """Return the serving graph's file in the cache and its stamp, building it when it is not there."""
    source, network = _network(config, weights, cache)
    matters = {**dataclasses.asdict(config), "weights": str(weights), "recipe": RECIPE, "source": source}
    for key in ("path", "reference_url", "reference_md5", "architecture", "seed"):
        del matters[key]  # `source` says them, as far as they matter
    kind = str(weights)
    if half:
        matters.update(half=HALF_RECIPE, tools=tools_version(Precision.FP16))
        kind += "-fp16"
    path = cache / "models" / "serving" / f"{config.name}-{kind}-{describe(matters)}.onnx"

    def graph(notes: list[str] | None) -> onnx.ModelProto:
        inner, named = network(), f"{weights} {config.name}"
        if notes is not None:
            inner = half_network(inner, [str(config.scores_name)], source=named, notes=notes)
        return serving_graph(inner, config, field="model.weights", source=weights)

    def build() -> Made:
        notes: list[str] = []
        if half:
            made = graph(notes)
            return loadable(made, Precision.FP16, lambda: graph(None), notes, source=f"{weights} {config.name}")
        return Made(graph(None).SerializeToString(deterministic=True))

    return path, prepared(path, build)


def _network(config: ModelConfig, weights: Weights, cache: Path) -> tuple[str, Callable[[], onnx.ModelProto]]:
    """Return what identifies the network inside a serving graph, and how to get it."""
    if weights is Weights.SYNTHETIC:
        from sweep.models.architectures import ARCHITECTURES

        known = config.architecture or ""
        if known not in ARCHITECTURES:
            fix = choose(known, ARCHITECTURES)
            raise ConfigError(Problem("model.architecture", known, "unknown architecture", fix))
        build, names = ARCHITECTURES[known], (str(config.input_name), str(config.scores_name))
        return f"{known}, seed {config.seed}", lambda: build(config.seed, *names)
    if weights is Weights.REFERENCE:
        file, digest = verified_reference(config, cache)
        fix = f"delete it and {stamp_path(file).name}, then run `{fetch_command(config)}`"
        return f"sha256:{digest}", lambda: _read(file, "model.weights", fix)
    file = _SHIPPED / f"{config.name}.onnx"
    try:
        digest = take_stamp(file).sha256
    except OSError:
        names_known = sorted(path.stem for path in _SHIPPED.glob("*.onnx"))
        fix = choose(config.name, (*names_known, "onnx"))
        raise ConfigError(Problem("model", config.name, "no such model ships with sweep", fix)) from None
    return f"sha256:{digest}", lambda: _read(file, "model", "install sweep again")


def _read(file: Path, field: str, fix: str) -> onnx.ModelProto:
    try:
        return parse_onnx(file.read_bytes())
    except OSError as error:
        raise ConfigError(Problem(field, None, f"{file} cannot be read: {error.strerror or error}", fix)) from error
    except NotOnnxError as error:
        raise ConfigError(Problem(field, None, f"{file} {error}", fix)) from error
