"""Scores a log of answers once more, where the labels of its samples are at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sweep.datasets import DatasetConfig, open_dataset
from sweep.datasets.digits import times_over
from sweep.datasets.imagenet import INTERPOLATIONS
from sweep.errors import SweepError
from sweep.loadgen.accuracy import Accuracy, score_top1
from sweep.paths import cache_dir
from sweep.trial.spec import TrialSpec


def scored_again(path: Path, spec: TrialSpec) -> Accuracy | None:
    """Return the score of a log of answers; None where the labels of its samples are not on this machine.

    Args:
        path: The log.
        spec: Of its test.

    Raises:
        LogError: It is damaged, or lacks samples.
    """
    labels = labels_of(spec)
    return None if labels is None else score_top1(path, labels)


def labels_of(spec: TrialSpec) -> Sequence[int] | None:
    """Return the labels of the samples of a test, by their digest; None where they are not on this machine."""
    for config in _candidates(spec):
        try:
            dataset = open_dataset(config, spec.model.inputs, cache_dir())
        except SweepError:
            continue
        if dataset.digest == spec.dataset.digest and dataset.labels is not None:
            return [int(label) for label in dataset.labels]
    return None


def _candidates(spec: TrialSpec) -> Iterator[DatasetConfig]:
    count, times = times_over(spec.dataset.name, spec.dataset.count)
    if spec.dataset.name == "digits":
        yield DatasetConfig("digits", count=count, repeat=times)
    elif spec.dataset.name == "imagenet":
        for interpolation in INTERPOLATIONS:
            yield DatasetConfig("imagenet", count=count, interpolation=interpolation)
