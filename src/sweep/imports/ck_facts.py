"""What a CK entry and a point of it say of the test beside LoadGen's logs: program, model, system, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.imports.ck_entry import Entry
from sweep.imports.ck_json import inside, mapping, plain, word
from sweep.loadgen.conf import Conf
from sweep.loadgen.logs import Detail
from sweep.vocabulary import Precision

_DESCRIPTION = {
    "retraining": ("ML_MODEL_RETRAINING",),
    "input_data_types": ("ML_MODEL_INPUT_DATA_TYPES", "ML_MODEL_INPUT_DATA_TYPE"),
    "weight_data_types": ("ML_MODEL_WEIGHT_DATA_TYPES", "ML_MODEL_WEIGHTS_DATA_TYPES", "ML_MODEL_DATA_TYPE"),
    "starting_weights_filename": ("ML_MODEL_STARTING_WEIGHTS_FILENAME",),
    "weight_transformations": ("ML_MODEL_WEIGHT_TRANSFORMATIONS", "ML_MODEL_WEIGHTS_TRANSFORMATIONS"),
}
"""Keys of a submission's measurements file, and the variables of CK's `weights` dependency that hold them."""

_PRECISIONS = {
    **dict.fromkeys(("fp32", "float32", "float"), Precision.FP32),
    **dict.fromkeys(("fp16", "float16", "half"), Precision.FP16),
    **dict.fromkeys(("int8", "uint8"), Precision.INT8),
}
_DATASETS = {"image-classification": "imagenet", "object-detection": "coco"}
"""What MLPerf measures these tasks with (mlcommons/inference, the benchmarks of v0.5 to v1.0)."""

_ELSEWHERE = frozenset(
    {
        "CK_BATCH_SIZE",
        "CK_LOADGEN_COUNT_OVERRIDE",
        "CK_LOADGEN_DATASET_SIZE",
        "CK_LOADGEN_MODE",
        "CK_LOADGEN_MULTISTREAMNESS",
        "CK_LOADGEN_SCENARIO",
        "CK_SILENT_MODE",
        "CK_VERBOSE",
    }
)
"""Settings that other fields of a spec hold as LoadGen used them, or that change what is printed alone."""

_NOT_SOFTWARE = re.compile(r"weights|model|dataset|images|labels|annotations|config|aux", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What is known of a test beside its logs; what is not known is empty.

    Attributes:
        settings: `choices.env`, whole.
        program: That ran the test.
        benchmark: Name of the model.
        library: That computed it.
        precision: What it computed in, as far as the entry says.
        number_format: What its weights are in, likewise.
        precision_from: Where that is said.
        dataset: Name of the dataset.
        description: For a measurements file.
        system_name: Full name of the system.
        loadgen_model: The model's name for LoadGen, by which it finds settings in its files.
        environment: Fingerprint of machine and software, as far as they are known.
        options: Settings that can change the result and that no other field holds.
    """

    settings: Mapping[str, Any]
    program: str
    benchmark: str
    library: str
    precision: Precision
    number_format: str
    precision_from: str
    dataset: str
    description: Mapping[str, str]
    system_name: str
    loadgen_model: str
    environment: Mapping[str, Any]
    options: Mapping[str, str]

    def setting(self, name: str) -> str:
        """Return a setting as text; empty where it was not set."""
        return word(self.settings, name)


def read_facts(entry: Entry, point: Mapping[str, Any], confs: Sequence[Conf], detail: Detail | None) -> Facts:
    """Return what an entry and a point of it say.

    Args:
        entry: The entry.
        point: The point's file, or what its extract holds of it.
        confs: LoadGen's settings, user.conf last, whose keys begin with the model's name.
        detail: LoadGen's detail log, which tells LoadGen's version.
    """
    choices = mapping(point, "choices")
    weights = _weights(entry.pipeline)
    description = dict(_described(weights))
    precision, number_format, said_in = _precision(entry, description)
    platform = mapping(point, "features", "platform", "features")
    system_name = word(platform, "platform", "name")
    own = confs[-1].models
    only = next(iter(own)) if len(own) == 1 else ""
    benchmark = entry.named.benchmark or plain(only)
    # Of user.conf where that is about one model, and no file about the benchmark.
    configured = benchmark if any(benchmark in conf.models for conf in confs) else only or benchmark
    return Facts(
        settings=mapping(choices, "env"),
        program=word(choices, "data_uoa") or word(entry.pipeline, "choices", "data_uoa"),
        benchmark=benchmark,
        library=entry.named.library,
        precision=precision,
        number_format=number_format,
        precision_from=said_in,
        dataset=_DATASETS.get(entry.named.task, entry.named.task),
        description=description,
        system_name=system_name,
        loadgen_model=word(weights, "ML_MODEL_MODEL_NAME") or configured,
        environment=_environment(entry, platform, system_name, detail),
        options=dict(_options(mapping(choices, "env"))),
    )


def _weights(pipeline: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the variables of the model's package: CK keeps them in one of two places, or in both."""
    weights = mapping(pipeline, "dependencies", "weights")
    return {**mapping(weights, "cus", "install_env"), **mapping(weights, "dict", "env")}


def _described(weights: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, names in _DESCRIPTION.items():
        if value := next((text for name in names if (text := word(weights, name))), ""):
            yield key, value


def _precision(entry: Entry, description: Mapping[str, str]) -> tuple[Precision, str, str]:
    """Return what was computed in, the format of the weights, and where that is said."""
    for key in ("weight_data_types", "input_data_types"):
        text = description.get(key, "").lower()
        if text in _PRECISIONS:
            return _PRECISIONS[text], text, f"the {key.replace('_', ' ')} of its model"
    words = re.split(r"[^a-z0-9]+", f"{entry.named.library} {entry.named.benchmark} {entry.named.rest}".lower())
    found = {_PRECISIONS[one] for one in words if one in _PRECISIONS}
    if len(found) == 1:
        return found.pop(), "", "the name of its entry"
    return Precision.UNKNOWN, "", ""


def _options(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in sorted(settings):
        if name not in _ELSEWHERE and (value := word(settings, name)):
            yield plain(name), value


def _environment(entry: Entry, platform: Mapping[str, Any], system_name: str, detail: Detail | None) -> dict[str, Any]:
    """Return what is known of machine and software; nothing of what is not."""
    versions = {name: version for name, version in _software(entry.pipeline) if version}
    if entry.named.library:
        library = re.sub(r"-v?\d[\w.]*", "", entry.named.library) or entry.named.library
        if entry.named.library_version or not any(library in name for name in versions):
            versions.setdefault(library, entry.named.library_version)
    gpu = word(platform, "gpu", "name")
    known: dict[str, Any] = {
        "platform": system_name or entry.named.platform or "unknown system",
        "cpu": word(platform, "cpu", "name"),
        "gpus": [{"name": gpu}] if gpu else [],
        "os": word(platform, "os", "name") or word(platform, "os", "ck_os_uoa"),
        "loadgen": plain(detail.loadgen_version) if detail is not None and detail.loadgen_version else "",
        "packages": dict(sorted(versions.items())),
    }
    return {key: value for key, value in known.items() if value}


def _software(pipeline: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the versions of what the program was built with, by the names of the entry's dependencies."""
    for name, one in sorted(mapping(pipeline, "dependencies").items()):
        if not _NOT_SOFTWARE.search(name):
            places = (("ver",), ("cus", "version"), ("dict", "customize", "version"))
            version = next((text for place in places if (text := word(inside(one, *place)))), "")
            yield plain(name), version
