"""From what the user asked for to a file that an engine can load."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.errors import ConfigError, Problem, choose
from sweep.models.base import ModelConfig, ResolvedModel
from sweep.models.cache import describe, prepared
from sweep.models.reference import fetch_command, reference_path, verified_reference
from sweep.models.serving import RECIPE, serving_graph, serving_specs
from sweep.vocabulary import Precision, Weights

if TYPE_CHECKING:
    import onnx

AUTO = "auto"
PRECISIONS = (Precision.FP32,)
"""What a model can be prepared in."""

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


def resolve_model(config: ModelConfig, precision: Precision, cache: Path) -> ResolvedModel:
    """Find or prepare the file of a model, and say what it is.

    A serving graph is built once and kept in the cache; later calls neither build nor read it. Several processes may
    do this at once.

    Args:
        config: The model asked for.
        precision: The number format asked for.
        cache: Root of the cache folder; it is made when it is missing.

    Raises:
        ConfigError: The model is not to be had like that; the fix says how it is.
    """
    if precision not in PRECISIONS:
        reason = f"is not available for model {config.name} in this version"
        raise ConfigError(Problem("precision", str(precision), reason, choose(str(precision), PRECISIONS)))
    weights, why = _choose_weights(config, cache)
    if weights is Weights.USER:
        from sweep.models.user import user_model

        return user_model(config, cache)
    path, digest = _serving_file(config, weights, cache)
    inputs, outputs = serving_specs(config)
    return ResolvedModel(
        name=config.name,
        weights=weights,
        path=path,
        digest=f"sha256:{digest}",
        inputs=inputs,
        outputs=outputs,
        fixed_batch=None,
        predicts_class=True,
        why=why,
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
    if reference_path(config, cache).exists():
        return Weights.REFERENCE, "the reference file is in the cache"
    return Weights.SYNTHETIC, f"no reference file in the cache; run `{fetch_command(config)}` for the real weights"


def _serving_file(config: ModelConfig, weights: Weights, cache: Path) -> tuple[Path, str]:
    """Return the serving graph's file in the cache and its SHA-256, building it when it is not there."""
    match weights:
        case Weights.SYNTHETIC:
            source = f"{config.architecture}, seed {config.seed}"
            known = config.architecture or ""
            from sweep.models.architectures import ARCHITECTURES

            if known not in ARCHITECTURES:
                reason, fix = "unknown architecture", choose(known, ARCHITECTURES)
                raise ConfigError(Problem("model.architecture", known, reason, fix))

            def network() -> onnx.ModelProto:
                return ARCHITECTURES[known](config.seed, str(config.input_name), str(config.scores_name))

        case Weights.REFERENCE:
            file, digest = verified_reference(config, cache)
            source = f"sha256:{digest}"

            def network() -> onnx.ModelProto:
                return _read(file, "model.weights")

        case _:
            file = _SHIPPED / f"{config.name}.onnx"
            try:
                source = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
            except OSError:
                names = sorted(path.stem for path in _SHIPPED.glob("*.onnx"))
                fix = choose(config.name, (*names, "onnx"))
                raise ConfigError(Problem("model", config.name, "no such model ships with sweep", fix)) from None

            def network() -> onnx.ModelProto:
                return _read(file, "model")

    wanted = {**dataclasses.asdict(config), "weights": str(weights), "recipe": RECIPE, "source": source}
    for key in ("path", "reference_url", "reference_md5", "architecture", "seed"):
        del wanted[key]  # said by `source`, as far as they matter
    path = cache / "models" / "serving" / f"{_file_name(config.name)}-{weights}-{describe(wanted)}.onnx"

    def build() -> bytes:
        field = "model" if weights is Weights.SHIPPED else "model.weights"
        graph = serving_graph(network(), config, field=field, source=weights)
        data: bytes = graph.SerializeToString(deterministic=True)
        return data

    return path, prepared(path, build)


def _read(file: Path, field: str) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(str(file), load_external_data=False)
    except (OSError, DecodeError, ValueError) as error:
        raise ConfigError(Problem(field, file, f"cannot be read as ONNX: {error}")) from error


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name)
