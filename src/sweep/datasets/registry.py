"""Datasets by name.

A third party's dataset is registered by `register_dataset`, as the built-in ones are, or, where every process must know
it, by an entry point in group `sweep.datasets` whose name is the dataset's and whose object is its opener.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from sweep.datasets.base import Dataset, DatasetConfig
from sweep.datasets.digits import DigitsDataset, fits_digits, open_digits, training_digits
from sweep.datasets.imagenet import fits_imagenet, has_store, open_imagenet, prepare_command, store_path
from sweep.datasets.synthetic import open_synthetic
from sweep.errors import ConfigError, MissingDependencyError, Problem, choose
from sweep.models.base import TensorSpec

GROUP = "sweep.datasets"

_REPEATABLE = "digits"
"""So few that rules which count samples are only met by taking them again; with any other set that would be a trick."""

Opener = Callable[[DatasetConfig, tuple[TensorSpec, ...], Path], Dataset]
"""Takes what `open_dataset` takes and raises what it raises."""

_openers: dict[str, Opener] = {}


def register_dataset(name: str, opener: Opener) -> None:
    """Make a dataset known by name, in this process.

    Raises:
        ValueError: The name is taken by another opener, or is `auto`.
    """
    if name == "auto" or _openers.get(name, opener) is not opener:
        raise ValueError(f"dataset name {name!r} is taken")
    _openers[name] = opener


def dataset_names() -> tuple[str, ...]:
    """Return the names of all registered datasets, sorted."""
    return tuple(sorted({*_openers, *_entry_points()}))


def open_dataset(config: DatasetConfig, inputs: tuple[TensorSpec, ...], cache: Path) -> Dataset:
    """Open the dataset that `config` names, to feed a model with `inputs`. Reads no sample yet.

    Args:
        config: What the user asked for. `auto` takes the digits for a model that takes them; prepared ImageNet, when
            there is some, for a model that takes such images; else generated samples.
        inputs: The model's inputs.
        cache: The cache folder, where prepared data is looked for.

    Raises:
        ConfigError: There is no such dataset, its data is missing or damaged, or its samples do not fit the model.
    """
    name, why = (config.name, "") if config.name != "auto" else _resolve(config, inputs, cache)
    if config.repeat != 1 and name != _REPEATABLE:
        reason = f"only {_REPEATABLE} can be taken more than once, and this is {name}"
        raise ConfigError(Problem("dataset.repeat", config.repeat, reason, "remove it"))
    dataset = dataset_opener(name)(config, inputs, cache)
    dataset.why = "; ".join(part for part in (why, dataset.why) if part)
    return dataset


def _resolve(config: DatasetConfig, inputs: tuple[TensorSpec, ...], cache: Path) -> tuple[str, str]:
    if fits_digits(inputs):
        return "digits", "the model takes digits"
    if fits_imagenet(inputs):
        folder = store_path(config, cache)
        # A folder that the user names is meant: that it is empty is an error, which opening it raises.
        if config.path is not None or has_store(folder, config.interpolation):
            return "imagenet", f"prepared images in {folder}"
        kind = f" ({config.interpolation})" if config.interpolation else ""
        return "synthetic", f"no prepared ImageNet{kind} in {folder}; to make it: {prepare_command(config)}"
    return "synthetic", "no other dataset fits the model's inputs"


def open_calibration(config: DatasetConfig, inputs: tuple[TensorSpec, ...], cache: Path) -> Dataset:
    """Open the dataset whose first samples calibrate a model that is to be tested with what `config` names.

    It does not depend on how many samples a test uses, nor on the seed of generated ones: one model, one calibration.
    Digits are those that the shipped network was trained with, never the held-out ones. In place of generated samples
    stands real data where there is some for the model.

    Args:
        config: The dataset of the test.
        inputs: The model's inputs.
        cache: The cache folder.

    Raises:
        ConfigError: As `open_dataset` does.
    """
    name = "auto" if config.name == "synthetic" else config.name
    interpolation = None if fits_digits(inputs) else config.interpolation
    whole = replace(config, name=name, count=None, seed=DatasetConfig.seed, interpolation=interpolation, repeat=1)
    dataset = open_dataset(whole, inputs, cache)
    if dataset.name == "digits":
        return DigitsDataset(*training_digits(), inputs)
    return dataset


def dataset_opener(name: str) -> Opener:
    """Return what opens the dataset of that name.

    Raises:
        ConfigError: There is no such dataset.
        MissingDependencyError: What is registered cannot be imported, or opens nothing.
    """
    if name not in _openers:
        point = _entry_points().get(name)
        if point is None:
            raise ConfigError(
                Problem("dataset.name", name, "unknown dataset", choose(name, ("auto", *dataset_names())))
            )
        try:
            opener = point.load()
        except (Exception, SystemExit) as error:  # it may be anybody's module, and raise anything
            reason = " ".join(f"cannot be imported ({type(error).__name__}: {error})".split())
            fix = f"mend or remove {point.value}"
            raise MissingDependencyError(Problem("dataset.name", name, reason, fix)) from error
        if not callable(opener):
            fix = f"mend or remove {point.value}"
            raise MissingDependencyError(Problem("dataset.name", name, "is not a function that opens one", fix))
        _openers[name] = opener
    return _openers[name]


@functools.cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


register_dataset("digits", open_digits)
register_dataset("imagenet", open_imagenet)
register_dataset("synthetic", open_synthetic)
