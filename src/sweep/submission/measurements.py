"""The measurements file of a result: what was done to the weights, as far as a record knows it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sweep.paths import conf_dir
from sweep.submission.machine import NOT_STATED
from sweep.submission.rounds import MEASUREMENT_FIELDS
from sweep.trial.result import TrialResult
from sweep.vocabulary import Precision, Weights

FIELDS = (
    *("retraining", "input_data_types", "weight_data_types", "starting_weights_filename", "weight_transformations"),
)
"""In the order in which submissions have them; the same as `MEASUREMENT_FIELDS`."""

_SHIPPED = "{name}, a network that ships with sweep"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def model_key(result: TrialResult) -> str:
    """Return the name that a test's model has in a submission and in its system file."""
    return result.spec.model.name if result.imported is None else result.imported.benchmark


def measurements_of(result: TrialResult, said: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a measurements file; what nobody knows is `not stated`.

    Args:
        result: The performance test.
        said: What the user says of the model; empty values say nothing.
    """
    known = known_measurements(result) | {field: text for field, text in said.items() if text}
    return {field: known.get(field) or NOT_STATED for field in FIELDS if field in MEASUREMENT_FIELDS}


def known_measurements(result: TrialResult) -> dict[str, str]:
    """Return what a record knows; other fields are missing."""
    if result.imported is not None:
        return {field: text for field, text in result.imported.description.items() if field in FIELDS and text}
    spec = result.spec
    known = {
        "input_data_types": ", ".join(dict.fromkeys(one.dtype for one in spec.model.inputs)),
        "weight_data_types": spec.model.number_format,
        "weight_transformations": _transformations(result),
    }
    if spec.model.weights is Weights.REFERENCE:
        known |= {"retraining": "no", "starting_weights_filename": _reference(spec.model.name) or NOT_STATED}
    elif spec.model.weights is Weights.SHIPPED:
        known |= {"retraining": "yes", "starting_weights_filename": _SHIPPED.format(name=spec.model.name)}
    elif result.model_path is not None and spec.precision is Precision.FP32:
        known["starting_weights_filename"] = Path(result.model_path).name
    return known


def _transformations(result: TrialResult) -> str:
    spec = result.spec
    calibration = spec.model.calibration
    steps = []
    if spec.model.weights in (Weights.REFERENCE, Weights.SHIPPED):
        steps.append("image normalisation and the choice of the best class were put into the ONNX graph")
    if spec.model.number_format == Precision.FP16:
        steps.append("converted to fp16")
    if calibration is not None:
        steps.append(f"quantised to int8, calibrated with {calibration.get('count')} samples")
    if spec.backend.name == "tensorrt":
        steps.append("built as a TensorRT engine")
    return "; ".join(steps) or "none"


def _reference(model: str) -> str:
    """Return the file name under which the weights of one of sweep's own models are published; empty if unknown."""
    import yaml

    path = conf_dir() / "model" / f"{model}.yaml"
    if not _PLAIN_NAME.fullmatch(model) or not path.is_file():
        return ""
    url = yaml.safe_load(path.read_text(encoding="utf-8")).get("reference_url")
    return posixpath.basename(unquote(urlsplit(url).path)) if isinstance(url, str) else ""
