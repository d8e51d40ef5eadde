"""What every dataset must do. A new dataset's tests subclass `DatasetConformance` and override two fixtures."""

from collections.abc import Callable

import numpy as np
import pytest

from sweep.datasets import Dataset, DatasetConfig, open_dataset
from sweep.datasets.imagenet_prepare import prepare_imagenet
from sweep.models.base import TensorSpec


class DatasetConformance:
    @pytest.fixture
    def opener(self) -> Callable[[], Dataset]:
        """A function that opens a dataset of at least four different samples anew at every call."""
        raise NotImplementedError

    @pytest.fixture
    def other(self) -> Dataset:
        """A dataset of the same kind with other content."""
        raise NotImplementedError

    @pytest.fixture
    def dataset(self, opener) -> Dataset:
        return opener()

    @staticmethod
    def read(dataset, indices, fill=0):
        out = {spec.name: np.full((len(indices), *spec.shape), fill, dtype=spec.dtype) for spec in dataset.inputs}
        dataset.read_into(indices, out)
        return out

    def test_says_what_it_is(self, dataset):
        """A record of a trial names its data by these."""
        assert dataset.name
        assert dataset.count >= 4
        assert dataset.inputs
        assert isinstance(dataset.why, str)
        algorithm, _, value = dataset.digest.partition(":")
        assert algorithm == "sha256"
        assert len(bytes.fromhex(value)) == 32

    def test_labels_are_one_integer_per_sample(self, dataset):
        if dataset.labels is not None:
            assert dataset.labels.shape == (dataset.count,)
            assert dataset.labels.dtype.kind in "iu"

    def test_samples_differ(self, dataset):
        """If every sample were the same, caches would make an engine look faster than it is."""
        out = self.read(dataset, range(4))
        assert len({b"".join(array[k].tobytes() for array in out.values()) for k in range(4)}) == 4

    def test_every_byte_is_written(self, dataset):
        """What was in the caller's array before must not be in a sample after."""
        indices = range(dataset.count)
        one, two = self.read(dataset, indices, fill=0), self.read(dataset, indices, fill=1)
        assert all(np.array_equal(one[name], two[name]) for name in one)

    def test_a_sample_depends_on_its_index_alone(self, opener):
        """LoadGen loads samples in any order and number: accuracy would be of other samples than the labels'."""
        dataset = opener()
        whole = self.read(dataset, range(dataset.count))
        last = dataset.count - 1
        for indices in ([2, 0, 3, 1], [3], [1, 1, last, 1], np.array([last, 0])):
            part = self.read(dataset, indices)
            again = self.read(opener(), indices)
            for name in whole:
                assert np.array_equal(part[name], whole[name][list(indices)])
                assert np.array_equal(part[name], again[name])

    def test_part_of_an_array_can_be_filled(self, dataset):
        """A longer list than the last one is read behind what is there already."""
        whole = self.read(dataset, range(4))
        arrays = {spec.name: np.zeros((4, *spec.shape), dtype=spec.dtype) for spec in dataset.inputs}
        dataset.read_into([2, 3], {name: array[2:] for name, array in arrays.items()})
        for name, array in arrays.items():
            assert not array[:2].any()
            assert np.array_equal(array[2:], whole[name][2:])

    def test_no_index_reads_nothing(self, dataset):
        self.read(dataset, [])

    def test_an_index_outside_is_refused(self, dataset):
        for index in (-1, dataset.count):
            with pytest.raises(IndexError, match=str(index)):
                self.read(dataset, [0, index])

    def test_an_array_that_does_not_fit_is_refused(self, dataset):
        """A silent conversion would put a second copy of the samples into memory, or cut them off."""
        spec = dataset.inputs[0]
        shape = tuple(spec.shape)
        wrong = {
            "shape": np.zeros((3, *shape), dtype=spec.dtype),
            "dtype": np.zeros((2, *shape), dtype="complex64"),
            "strided": np.zeros((4, *shape), dtype=spec.dtype)[::2],
            "read-only": np.zeros((2, *shape), dtype=spec.dtype),
        }
        wrong["read-only"].flags.writeable = False
        for array in wrong.values():
            others = {s.name: np.zeros((2, *s.shape), dtype=s.dtype) for s in dataset.inputs[1:]}
            with pytest.raises(ValueError, match=spec.name):
                dataset.read_into([0, 1], {**others, spec.name: array})
        with pytest.raises(ValueError, match=spec.name):
            dataset.read_into([0, 1], {})

    def test_digest_is_of_the_content(self, opener, other):
        """Trials are taken for the same by digest."""
        assert opener().digest == opener().digest
        assert opener().digest != other.digest


class TestDigits(DatasetConformance):
    inputs = (TensorSpec("image", "uint8", (8, 8, 1)),)

    @pytest.fixture
    def opener(self, tmp_path):
        return lambda: open_dataset(DatasetConfig("digits"), self.inputs, tmp_path)

    @pytest.fixture
    def other(self, tmp_path):
        return open_dataset(DatasetConfig("digits", count=400), self.inputs, tmp_path)


class TestSynthetic(DatasetConformance):
    inputs = (
        TensorSpec("image", "uint8", (3, 5, 7)),
        TensorSpec("scale", "float32", (11,)),
        TensorSpec("mask", "bool", (70,)),
        TensorSpec("tokens", "int64", (70,)),
    )

    @pytest.fixture
    def opener(self, tmp_path):
        return lambda: open_dataset(DatasetConfig("synthetic", count=9), self.inputs, tmp_path)

    @pytest.fixture
    def other(self, tmp_path):
        return open_dataset(DatasetConfig("synthetic", count=9, seed=1), self.inputs, tmp_path)


class TestImagenet(DatasetConformance):
    inputs = (TensorSpec("input", "uint8", (32, 32, 3)),)

    @pytest.fixture
    def opener(self, tmp_path, image_list):
        prepare_imagenet(*image_list(6), tmp_path / "store", workers=1, side=32)
        return lambda: open_dataset(DatasetConfig("imagenet", str(tmp_path / "store")), self.inputs, tmp_path)

    @pytest.fixture
    def other(self, tmp_path, opener):
        return open_dataset(
            DatasetConfig("imagenet", str(tmp_path / "store"), interpolation="linear"), self.inputs, tmp_path
        )
