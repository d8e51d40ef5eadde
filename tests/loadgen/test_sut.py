"""The system under test with LoadGen's completion call replaced by a recorder: what is answered, what is refused."""

import time

import numpy as np
import pytest

lg = pytest.importorskip("mlperf_loadgen")

from sweep.loadgen import sut as sut_module  # noqa: E402
from sweep.loadgen.sut import EngineFaultError, SystemUnderTest, check_answers  # noqa: E402


class Store:
    def __init__(self, indices):
        self.indices = indices
        self.slot_of = {index: slot for slot, index in reversed(list(enumerate(indices)))}


class Log:
    def __init__(self):
        self.latencies = []
        self.starts = 0
        self.flushes = 0

    def start(self):
        self.starts += 1

    def flushed(self):
        self.flushes += 1

    def record(self, latency_ns, device_ns):
        self.latencies.append(latency_ns)


@pytest.fixture
def completed(monkeypatch):
    seen = []
    monkeypatch.setattr(
        sut_module.lg,
        "QuerySamplesComplete",
        lambda responses: seen.append([(r.id, r.data, r.size) for r in responses]),
    )
    return seen


@pytest.fixture
def faults():
    return []


def make(run, faults, indices=(5, 6, 7, 8, 5, 6), count=3, answers=False, predicts_class=True):
    return SystemUnderTest(
        run,
        Store(list(indices)),
        count,
        answers=answers,
        predicts_class=predicts_class,
        log=Log(),
        on_fault=faults.append,
    )


def engine(slot, count, meanwhile):
    meanwhile()
    return [np.arange(slot, slot + count, dtype=np.int32)]


def test_every_sample_is_answered_once_under_its_own_id(completed, faults):
    sut = make(engine, faults)
    sut.issue([101, 102, 103], [6, 7, 8])
    sut.issue([201, 202, 203], [8, 5, 6])
    assert [[r[0] for r in query] for query in completed] == [[101, 102, 103], [201, 202, 203]]
    assert not faults
    assert len(sut._log.latencies) == sut.query_count == 2
    assert sut._log.starts == 1


@pytest.mark.parametrize("predicts_class", [True, False])
def test_no_answer_at_all_is_refused(predicts_class):
    """Nothing is finite, and nothing divides everything."""
    empty = np.zeros(0, np.int32 if predicts_class else np.float32)
    with pytest.raises(EngineFaultError, match="answered 0 of 3"):
        check_answers([empty], 3, 1, predicts_class=predicts_class)
    with pytest.raises(EngineFaultError, match="warm-up: "):
        check_answers([empty], 3, -1, predicts_class=predicts_class)


def test_loadgens_own_work_is_told(faults):
    sut = make(engine, faults)
    sut.flush()
    assert sut._log.flushes == 1


def test_a_backend_that_leaves_the_old_ids_is_refused(completed, faults):
    make(lambda slot, count, meanwhile: [np.zeros(count, np.int32)], faults).issue([1, 2, 3], [6, 7, 8])
    assert "meanwhile" in str(faults[0])
    assert not completed


def test_accuracy_mode_hands_out_float32_class_ids(monkeypatch, faults):
    import ctypes

    answers = []

    def complete(responses):
        answers.extend(ctypes.cast(r.data, ctypes.POINTER(ctypes.c_float)).contents.value for r in responses)
        assert all(r.size == 4 for r in responses)

    monkeypatch.setattr(sut_module.lg, "QuerySamplesComplete", complete)
    make(engine, faults, answers=True).issue([1, 2, 3], [6, 7, 8])
    assert answers == [1.0, 2.0, 3.0]
    assert not faults


def test_a_shorter_query_is_answered_in_part(completed, faults):
    make(engine, faults).issue([1, 2], [5, 6])
    assert [r[0] for r in completed[0]] == [1, 2]
    assert not faults


def test_latency_includes_the_engine_and_the_preparation(completed, faults):
    def slow(slot, count, meanwhile):
        meanwhile()
        time.sleep(0.02)
        return engine(slot, count, lambda: None)

    sut = make(slow, faults)
    sut.issue([1, 2, 3], [5, 6, 7])
    assert sut._log.latencies[0] >= 20_000_000


def test_samples_that_do_not_lie_side_by_side_are_a_fault(completed, faults):
    make(engine, faults).issue([1, 2, 3], [5, 7, 8])
    assert isinstance(faults[0], EngineFaultError)
    assert "side by side" in str(faults[0])


def test_an_engine_that_throws_is_a_fault_and_answers_nothing(completed, faults):
    def broken(slot, count, meanwhile):
        raise RuntimeError("engine broke")

    make(broken, faults).issue([1, 2, 3], [5, 6, 7])
    assert "engine broke" in str(faults[0])
    assert not completed


def test_an_unknown_sample_is_a_fault(completed, faults):
    make(engine, faults).issue([1, 2, 3], [99, 6, 7])
    assert isinstance(faults[0], KeyError)
    assert not completed


@pytest.mark.parametrize(
    ("output", "predicts_class", "words"),
    [
        (np.array([1, -1, 2], np.int32), True, "NaN or infinite for 1 of 3"),
        (np.array([1, 2], np.int32), True, "answered 2 of 3"),
        (np.array([1, 2, 3, 4, 5, 6], np.int32), True, "answered 6 of 3"),
        (np.array([[1.0], [np.nan], [2.0]]), False, "NaN"),
        (np.array([[1.0], [np.inf], [2.0]]), False, "NaN or infinite"),
        (np.zeros((2, 4)), False, "answered 2 of 3"),
        (np.float32(1.0), False, "answered 0 of 3"),
    ],
)
def test_answers_that_no_working_engine_gives_are_refused(output, predicts_class, words):
    with pytest.raises(EngineFaultError, match=words):
        check_answers([np.asarray(output)], 3, 0, predicts_class=predicts_class)


@pytest.mark.parametrize(
    ("output", "predicts_class"),
    [
        (np.array([0, 1, 9], np.int32), True),
        (np.full((3, 5), 3e38, np.float32), False),  # the sum overflows, no value is infinite
        (np.zeros((6, 2)), False),  # several rows a sample
        (np.array([[1], [2], [3]]), False),
        (np.array(["a", "b", "c"], object), False),
    ],
)
def test_answers_of_a_working_engine_pass(output, predicts_class):
    check_answers([output], 3, 0, predicts_class=predicts_class)
