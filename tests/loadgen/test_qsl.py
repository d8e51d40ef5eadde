import numpy as np
import pytest

from sweep.datasets.base import Dataset
from sweep.loadgen.qsl import SampleStore
from sweep.models.base import TensorSpec


class Counting(Dataset):
    """Sample k is the number k, twice; counts how many samples were ever read."""

    def __init__(self, count=10):
        super().__init__(name="counting", digest="sha256:0", count=count, inputs=(TensorSpec("x", "int64", (2,)),))
        self.read = []
        self.fail = False

    def _read(self, indices, out):
        if self.fail:
            raise OSError("disk gone")
        self.read.extend(indices)
        out["x"][:] = np.array(indices)[:, None]


@pytest.fixture
def loaded():
    return []


@pytest.fixture
def store(loaded):
    return SampleStore(Counting(), lambda arrays: loaded.append(arrays["x"]), lambda: None)


def test_samples_lie_in_the_order_they_were_asked_for(store, loaded):
    store.load([3, 1, 2])
    assert loaded[-1][:, 0].tolist() == [3, 1, 2]
    assert store.indices == [3, 1, 2]


def test_an_index_at_two_slots_is_found_at_the_first(store):
    """LoadGen repeats its first N-1 indices at the end; a query that starts with one of them starts at the front."""
    store.load([3, 1, 2, 3, 1])
    assert store.slot_of == {3: 0, 1: 1, 2: 2}


def test_the_same_list_is_not_read_again(store):
    store.load([3, 1, 2])
    store.load([3, 1, 2])
    assert store._dataset.read == [3, 1, 2]


def test_a_longer_padding_reads_only_what_is_new(store, loaded):
    store.load([3, 1, 2, 3])
    store.load([3, 1, 2, 3, 1, 2])
    assert store._dataset.read == [3, 1, 2, 3, 1, 2]
    assert loaded[-1][:, 0].tolist() == [3, 1, 2, 3, 1, 2]


def test_a_shorter_padding_reads_nothing(store, loaded):
    store.load([3, 1, 2, 3, 1])
    store.load([3, 1, 2])
    assert store._dataset.read == [3, 1, 2, 3, 1]
    assert loaded[-1][:3, 0].tolist() == [3, 1, 2]


def test_another_list_replaces_everything(store, loaded):
    store.load([3, 1, 2])
    store.load([4, 5])
    assert loaded[-1][:, 0].tolist() == [4, 5]
    assert store.slot_of == {4: 0, 5: 1}


def test_a_read_that_fails_leaves_nothing_that_looks_loaded(store):
    store.load([3, 1, 2])
    store._dataset.fail = True
    with pytest.raises(OSError, match="disk gone"):
        store.load([3, 1, 2, 3])
    store._dataset.fail = False
    store.load([3, 1, 2])
    assert store._dataset.read == [3, 1, 2, 3, 1, 2]


def test_the_array_handed_over_is_contiguous(store, loaded):
    store.load(list(range(10)))
    assert loaded[-1].flags.c_contiguous
