"""From one composed configuration to one trial: every key is read, and checked against the others."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweep.backends.base import Backend
from sweep.backends.registry import available_backend
from sweep.config.calibration import KEYS as CALIBRATION_KEYS
from sweep.config.calibration import CalibrationSettings, calibration_for, read_calibration
from sweep.config.device import read_device
from sweep.config.fields import Fields
from sweep.config.files import choices, load_choice
from sweep.config.hydra_app import Composed
from sweep.config.rules import (
    SAMPLES_PER_QUERY_MAX,
    check_official,
    edition_batch,
    models_as_shipped,
    read_rules,
    read_run,
    read_seeds,
    shown,
)
from sweep.datasets import Dataset, DatasetConfig, dataset_config, open_dataset, unread_settings
from sweep.environment import available_memory_bytes, fingerprint
from sweep.errors import ConfigError, Problem
from sweep.gpus import Gpu
from sweep.models import Calibration, model_config, resolve_model
from sweep.models.base import ModelConfig, ResolvedModel, TensorSpec
from sweep.models.cache import describe
from sweep.paths import cache_dir
from sweep.trial.messages import TrialFiles
from sweep.trial.spec import SHIPPED, BackendSpec, DatasetSpec, ModelSpec, TrialSpec
from sweep.vocabulary import COMPUTED, AbortRule, Precision, RunClass, Scenario, TestMode, Weights

_PRECISIONS = {str(one): one for one in COMPUTED}
_MODES = {"performance": TestMode.PERFORMANCE, "accuracy": TestMode.ACCURACY}
_MAKES_THE_MODEL = ("architecture", "input_name", "scores_name", "class_offset", "mean", "scale", "sample_shape")
_UNREAD_IN_ACCURACY_MODE = (
    *("target_latency_ms", "percentile", "min_query_count", "max_query_count", "min_duration_ms", "max_duration_ms"),
)
_STAND_IN_INPUTS = (TensorSpec("samples", "uint8", (1,)),)
"""What a backend that runs no model is fed with: it looks at none of it."""


_KEYS = {
    "": (
        *("model", "backend", "dataset", "rules", "batch", "engine_batch", "precision", "mode", "scenario", "run"),
        *("target_latency_ms", "percentile", "min_query_count", "max_query_count", "min_duration_ms"),
        *("max_duration_ms", "performance_sample_count", "abort", "resume", "outputs", "timeout", "search", "study"),
        *("calibration", "int8", "telemetry", "busy", "device", "seeds"),
    ),
    "rules": ("edition", "bounded", "percentile", "checks", "samples_per_query", "run_classes"),
    "timeout": ("load_s", "query_s"),
    "calibration": CALIBRATION_KEYS,
    "int8": ("exclude",),
    "telemetry": ("enabled", "interval_ms", "reject", "cooldown_s", "retries"),
    "busy": ("wait_s", "reject", "retries", "lock"),
}
"""Every key there is outside model, backend, dataset and search, which check their own."""


@dataclass(frozen=True)
class Point:
    """One trial of a sweep, ready to run.

    Attributes:
        spec: What to measure.
        files: Where its parts lie on this machine.
        label: What sets it apart from the other points of its grid, for tables.
        notes: What was chosen for the user, in words.
        gpus: On any of which it may run; none for a backend that needs none.
    """

    spec: TrialSpec
    files: TrialFiles
    label: dict[str, str]
    notes: tuple[str, ...]
    gpus: tuple[Gpu, ...] = ()


class PointBuilder:
    """Builds one point; problems pile up and are raised together.

    Args:
        composed: Its configuration.
        in_search: Whether a search asks for it, so that its N is no choice of the user's.
    """

    def __init__(self, composed: Composed, *, in_search: bool = False) -> None:
        self._composed = composed
        self._in_search = in_search
        self._fields = Fields(composed.config)
        self._notes: list[str] = []

    def frozen_batch(self) -> int | None:
        """Return the batch that the model file is frozen at; None where it is not, or where there is no model yet."""
        precision = self._fields.member("precision", Precision, _PRECISIONS)
        backend, _ = self._backend(precision)
        model = None if backend is None else self._model(backend, Precision.FP32, CalibrationSettings())
        return None if model is None else model.fixed_batch

    def backend_options(self) -> tuple[type[Backend] | None, dict[str, Any]]:
        """Return the backend and its options in full, those for one N aside; None where they cannot be had."""
        return self._backend(self._fields.member("precision", Precision, _PRECISIONS))

    def point(self) -> Point:
        """Return the trial.

        Raises:
            ConfigError: With every problem there is.
        """
        fields = self._fields
        self._check_keys()
        mode = fields.member("mode", TestMode, _MODES)
        scenario = fields.member("scenario", Scenario, {"MultiStream": Scenario.MULTI_STREAM})
        precision = fields.member("precision", Precision, _PRECISIONS)
        abort = fields.member("abort", AbortRule)
        batch = fields.whole("batch", 1, SAMPLES_PER_QUERY_MAX, edition_batch(fields))
        rules = read_rules(fields)
        run = read_run(fields)
        seeds = read_seeds(fields)
        backend, backend_options = self._backend(precision)
        gpus = () if backend is None else read_device(fields, backend, self._composed.overrides, self._notes)
        calibration = read_calibration(fields)
        model = None if backend is None else self._model(backend, precision, calibration)
        engine_batch = self._engine_batch(batch, model)
        inputs = _STAND_IN_INPUTS if model is None else model.inputs
        dataset_choice = self._dataset_choice(stand_in=model is None)
        dataset = None if dataset_choice is None or fields.problems else self._dataset(dataset_choice, inputs)
        if dataset is not None:
            self._check_memory(batch, inputs, dataset)
            if mode is TestMode.ACCURACY:
                self._check_accuracy_mode(model, dataset)
                for key in _UNREAD_IN_ACCURACY_MODE:
                    if (unread := fields.get(key)) is not None:
                        self._notes.append(f"{key}={unread} is not read: mode=accuracy runs each sample once")
        held = None if dataset is None else self._held(dataset)
        if run.run_class is RunClass.OFFICIAL and rules.edition not in SHIPPED:
            run = replace(run, run_class=RunClass.CUSTOM)
            why = f"rules {rules.edition} are not sweep's own ({', '.join(SHIPPED)})"
            self._notes.append(f"run=official: {why}, so that it is a custom run, whatever its length")
        elif run.run_class is RunClass.OFFICIAL:
            shipped = models_as_shipped(self._named_model(), self._composed.choices.get("model", ""))
            check_official(fields, shipped, rules, run, batch, held, backend_options)
        if fields.problems or held is None or backend is None or dataset is None or dataset_choice is None:
            raise ConfigError(fields.problems)
        kernels = ""
        if model is not None:
            backend_options, kernels = backend.options_for_model(backend_options, model), backend.kernels(model)
        spec = TrialSpec(
            scenario=scenario,
            mode=mode,
            model=self._model_spec(model),
            precision=precision,
            backend=BackendSpec(backend.name, backend.options_for_trial(backend_options, batch), kernels),
            dataset=DatasetSpec(dataset.name, dataset.digest, dataset.count, held),
            samples_per_query=batch,
            engine_batch=engine_batch,
            rules=rules,
            run=run,
            abort=abort,
            seeds=seeds,
        )
        choice = replace(dataset_choice, name=dataset.name)  # the worker must not resolve `auto` once more
        files = TrialFiles(None, choice, str(cache_dir()))
        if model is not None:
            files = replace(files, model_path=str(model.path), model_files=model.files, model_notes=model.notes)
        return Point(spec, files, self._composed.label, tuple(self._notes), gpus)

    def _check_keys(self) -> None:
        given = [override.partition("=")[0] for override in self._composed.overrides]
        for key in sorted({key for key in given if given.count(key) > 1}):
            self._notes.append(f"{key} is given {given.count(key)} times: the last counts")
        for parent, known in _KEYS.items():
            self._fields.only(parent, known)
        if self._in_search:
            return
        self._fields.only("search", ("name",))
        if (study := self._fields.get("study")) is not None:
            fix = "add search=max_streams, or leave it out"
            self._fields.problems.append(Problem("study", study, "names a search, and there is none", fix))

    def _model_spec(self, model: ResolvedModel | None) -> ModelSpec:
        name = self._fields.get("model.name")
        if model is None:
            return ModelSpec(
                str(name), Weights.NONE, "none", _STAND_IN_INPUTS, predicts_class=True, number_format="", changed=()
            )
        parts = (model.name, model.weights, model.digest, model.inputs, model.predicts_class, model.number_format)
        return ModelSpec(*parts, tuple(self._changes()), model.calibration)

    def _changes(self) -> Iterator[str]:
        """Yield what of sweep's own model is not as it ships."""
        choice = self._composed.choices.get("model", "")
        known = load_choice("model", choice) if choice in choices("model") else {}
        for key in _MAKES_THE_MODEL:
            if (value := self._fields.get(f"model.{key}")) != known.get(key) and known:
                yield f"{key}={shown(value)}"

    def _backend(self, precision: Precision) -> tuple[type[Backend] | None, dict[str, Any]]:
        given = self._fields.get("backend")
        if not isinstance(given, dict) or not isinstance(given.get("name"), str):
            self._fields.problems.append(Problem("backend", given, "must be a configuration with a name"))
            return None, {}
        try:
            backend = available_backend(given["name"])
            options = backend.validate_options(_options_of(given, backend))
        except ConfigError as error:
            self._fields.problems.extend(error.problems)
            return None, {}
        threads, cores = options.get("threads"), len(fingerprint()["cpu_affinity"])
        if isinstance(threads, int) and threads > cores > 0:
            self._notes.append(f"backend.threads={threads}: more than the {cores} cores that this process may use")
        if precision not in backend.precisions():
            choices = ", ".join(backend.precisions())
            reason = f"backend {backend.name} cannot run it on this machine"
            self._fields.problems.append(Problem("precision", precision, reason, f"choose one of: {choices}"))
            return None, {}
        return backend, options

    def _model(
        self, backend: type[Backend], precision: Precision, settings: CalibrationSettings
    ) -> ResolvedModel | None:
        try:
            config = model_config(self._named_model())
        except ConfigError as error:
            self._fields.problems.extend(error.problems)
            return None
        if not backend.runs_models:
            for key in ("model.path", "dataset.path", "dataset.interpolation"):
                if (given := self._fields.get(key)) is not None:
                    self._notes.append(f"{key}={given} is not read: backend {backend.name} computes nothing")
            return None
        try:
            model = self._resolved(config, precision, settings)
        except ConfigError as error:
            self._fields.problems.extend(error.problems)
            return None
        if model is None:
            return None
        if model.calibration is None and settings != CalibrationSettings():
            self._notes.append(f"calibration is not read: model {model.name} in precision={precision} needs none")
        if model.why:
            self._notes.append(f"{model.name}: {model.weights} weights ({model.why})")
        self._notes += [f"{model.name}: {note}" for note in model.notes]
        return model

    def _resolved(
        self, config: ModelConfig, precision: Precision, settings: CalibrationSettings
    ) -> ResolvedModel | None:
        """Return the model; None where it must be calibrated and the dataset to do that with is not to be had."""
        if precision is not Precision.INT8:
            return _resolved_model(config, precision, None)
        if self._fields.problems:  # nothing will be measured: they are told before a calibration, not after it
            return _resolved_model(config, Precision.FP32, None)
        model = _resolved_model(config, Precision.FP32, None)
        if model.number_format != Precision.FP32:
            return model
        choice = self._dataset_choice(stand_in=False)
        if choice is None:
            return None
        return _resolved_model(config, precision, _calibration(settings, choice, model.inputs))

    def _named_model(self) -> dict[str, Any]:
        """Return the model's configuration; a file of the user's goes by its own name, if it was given no other."""
        given = self._mapping("model")
        path = given.get("path")
        if given.get("name") != "onnx" or not isinstance(path, str):
            return given
        stem = Path(path).stem
        plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
        name = re.sub(r"[^\w.-]", "-", plain, flags=re.ASCII).strip("-._") or "onnx"
        # Names in other alphabets would be one otherwise.
        return {**given, "name": name if stem.isascii() else f"{name}-{describe(stem)[:6]}"}

    def _engine_batch(self, batch: int, model: ResolvedModel | None) -> int:
        fixed = None if model is None else model.fixed_batch
        wanted = self._fields.whole("engine_batch", 1, SAMPLES_PER_QUERY_MAX, fixed or batch)
        if wanted > batch and fixed is None and not self._in_search:
            self._notes.append(f"engine_batch={wanted}: a query of batch={batch} is one launch")
        engine_batch = min(wanted, batch)
        # A search asks for larger queries later, which such an engine batch would fit no more than this one's.
        splits_wrongly = engine_batch != fixed or (self._in_search and wanted != fixed)
        if fixed is not None and (splits_wrongly or batch % fixed):
            field, value = ("batch", batch) if batch % fixed else ("engine_batch", wanted)
            fix = f"use a multiple of {fixed}" if batch % fixed else f"set engine_batch={fixed}, or leave it out"
            self._fields.problems.append(frozen_problem(field, value, fixed, fix))
        elif fixed is not None and batch > fixed and not self._in_search:
            self._notes.append(f"the model file is frozen at batch {fixed}: a query is {batch // fixed} launches")
        return engine_batch

    def _dataset_choice(self, *, stand_in: bool) -> DatasetConfig | None:
        given = dict(self._mapping("dataset"))
        if stand_in:
            given.update(name="synthetic", path=None, interpolation=None)
        self._fields.problems.extend(unread_settings(given))
        if given.get("name", "auto") == "auto":
            given["name"] = self._fields.get("model.dataset") or "auto"
        if given.get("interpolation") is None:
            given["interpolation"] = self._fields.get("model.interpolation")
        try:
            return dataset_config(given)
        except ConfigError as error:
            self._fields.problems.extend(error.problems)
            return None

    def _dataset(self, choice: DatasetConfig, inputs: tuple[TensorSpec, ...]) -> Dataset | None:
        try:
            dataset = _opened_dataset(choice, inputs)
        except ConfigError as error:
            self._fields.problems.extend(error.problems)
            return None
        if dataset.why:
            self._notes.append(f"dataset {dataset.name}: {dataset.why}")
        return dataset

    def _held(self, dataset: Dataset) -> int:
        usual = self._fields.whole("model.performance_sample_count", 1, 10_000_000, 1024)
        wanted = self._fields.whole("performance_sample_count", 1, 10_000_000, usual)
        if wanted > dataset.count and self._fields.get("performance_sample_count") is not None:
            self._notes.append(f"performance_sample_count={wanted}: dataset {dataset.name} has {dataset.count} samples")
        return min(wanted, dataset.count)

    def _check_memory(self, batch: int, inputs: tuple[TensorSpec, ...], dataset: Dataset) -> None:
        sample_bytes = sum(_bytes(spec) for spec in inputs)
        needed = (self._held(dataset) + batch) * sample_bytes
        available = available_memory_bytes()
        if needed > available:
            self._fields.problems.append(
                Problem(
                    "batch",
                    batch,
                    f"its samples need {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are available",
                    "lower batch or performance_sample_count",
                )
            )

    def _check_accuracy_mode(self, model: ResolvedModel | None, dataset: Dataset) -> None:
        if model is None:
            reason, fix = "the simulated backend computes nothing, so there is no accuracy", "choose another backend"
        elif model.weights is Weights.SYNTHETIC:
            reason = f"{model.name} has synthetic weights, whose accuracy means nothing"
            fix = f"get the reference file: python -m sweep fetch {model.name}"
        elif not model.predicts_class:
            reason, fix = f"model {model.name} does not answer with classes", "accuracy mode scores classifiers only"
        elif dataset.labels is None:
            reason, fix = f"dataset {dataset.name} has no labels", "choose a dataset with labels, such as imagenet"
        else:
            return
        self._fields.problems.append(Problem("mode", "accuracy", reason, fix))

    def _mapping(self, key: str) -> dict[str, Any]:
        value = self._fields.get(key)
        return value if isinstance(value, dict) else {}


def _options_of(given: Mapping[str, Any], backend: type[Backend]) -> dict[str, Any]:
    """Return what a configuration sets for a backend.

    `backend=auto` has the options of the embedded default: what was not set to something else does not concern another.
    """
    options = {key: value for key, value in given.items() if key != "name"}
    if given["name"] != "auto":
        return options
    usual, known = load_choice("backend", "auto"), backend.validate_options({})
    return {key: value for key, value in options.items() if key in known or value != usual.get(key)}


def frozen_problem(field: str, value: object, frozen: int, fix: str) -> Problem:
    """Return the problem with a value that a model file of one batch cannot have."""
    return Problem(
        field, value, f"the model file is frozen at batch {frozen}", f"{fix}, or export a dynamic batch axis"
    )


def _bytes(spec: TensorSpec) -> int:
    import numpy as np

    size = np.dtype(spec.dtype).itemsize
    for extent in spec.shape:
        size *= extent
    return size


@functools.cache
def _resolved_model(config: ModelConfig, precision: Precision, calibration: Calibration | None) -> ResolvedModel:
    return resolve_model(config, precision, cache_dir(), calibration)


@functools.cache
def _calibration(settings: CalibrationSettings, choice: DatasetConfig, inputs: tuple[TensorSpec, ...]) -> Calibration:
    return calibration_for(settings, choice, inputs)


@functools.cache
def _opened_dataset(config: DatasetConfig, inputs: tuple[TensorSpec, ...]) -> Dataset:
    return open_dataset(config, inputs, cache_dir())
