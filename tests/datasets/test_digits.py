import numpy as np
import pytest

from sweep.datasets import DatasetConfig, digits, open_dataset
from sweep.datasets.digits import training_digits
from sweep.errors import ConfigError, SweepError
from sweep.models.base import TensorSpec

INPUTS = (TensorSpec("image", "uint8", (8, 8, 1)),)


def held_out(tmp_path, count=None):
    dataset = open_dataset(DatasetConfig("digits", count=count), INPUTS, tmp_path)
    out = np.empty((dataset.count, 8, 8, 1), dtype=np.uint8)
    dataset.read_into(range(dataset.count), {"image": out})
    return dataset, out


def test_the_parts_are_all_digits_and_share_none(tmp_path):
    """Accuracy on images that the network was trained with would be no accuracy."""
    images, labels = training_digits()
    dataset, out = held_out(tmp_path)
    assert (len(images), len(out)) == (1297, 500)
    assert images.shape == (1297, 8, 8, 1)
    assert labels.shape == (1297,)
    assert set(labels) == set(dataset.labels) == set(range(10))
    assert not {image.tobytes() for image in images} & {image.tobytes() for image in out}


def test_a_count_takes_the_first(tmp_path):
    everything, out = held_out(tmp_path)
    part, first = held_out(tmp_path, 10)
    assert part.count == 10
    assert np.array_equal(first, out[:10])
    assert np.array_equal(part.labels, everything.labels[:10])


def test_what_does_not_fit_is_named_on_both_sides(tmp_path):
    with pytest.raises(ConfigError) as caught:
        open_dataset(
            DatasetConfig("digits", path="/d", count=501), (TensorSpec("input", "float32", (3, 224, 224)),), tmp_path
        )
    text = str(caught.value)
    assert "uint8[8, 8, 1]" in text
    assert "input float32[3, 224, 224]" in text
    assert "dataset.count=501" in text
    assert "dataset.path=/d" in text


def test_a_held_out_part_can_be_a_list_of_indices(tmp_path, monkeypatch):
    path = tmp_path / "digits.npz"
    images = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8, 1)
    np.savez(path, images=images, labels=np.arange(4), holdout=np.array([3, 1]))
    monkeypatch.setattr(digits, "FILE", path)
    dataset, out = held_out(tmp_path)
    assert list(dataset.labels) == [1, 3]
    assert np.array_equal(out, images[[1, 3]])
    assert list(training_digits()[1]) == [0, 2]


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "FILE", tmp_path / "digits.npz")
    with pytest.raises(SweepError, match=r"digits\.npz.*reinstall"):
        held_out(tmp_path)


def test_digits_taken_again_are_the_same_digits(tmp_path):
    """Rules that count samples are met without a sample that was not there before, and the name of the set says so."""
    everything, out = held_out(tmp_path)
    repeated = open_dataset(DatasetConfig("digits", repeat=3), INPUTS, tmp_path)
    again = np.empty((1500, 8, 8, 1), dtype=np.uint8)
    repeated.read_into(range(1500), {"image": again})
    assert repeated.count == 1500
    assert np.array_equal(again, np.concatenate([out, out, out]))
    assert np.array_equal(repeated.labels, np.tile(everything.labels, 3))
    assert repeated.digest != everything.digest
    assert "500 images, 3 times over" in repeated.why


def test_nothing_but_digits_is_taken_more_than_once(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset\.repeat=2: only digits can be taken more than once"):
        open_dataset(DatasetConfig("synthetic", repeat=2), INPUTS, tmp_path)
