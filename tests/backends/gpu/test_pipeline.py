"""The pipeline without CUDA: on a runtime that does everything as late, and in as wild an order, as CUDA may."""

import numpy as np
import pytest

from sweep.backends.gpu.cuda import Cuda
from sweep.backends.gpu.pipeline import Pipeline, PipelineSettings
from sweep.errors import BackendError, EngineOutOfMemoryError

from .doubles import LOST, NO_MEMORY, FakeRuntime, SummingEngine

SLOTS = 40


def _nothing():
    pass


class Bench:
    """A pipeline on a fake runtime."""

    def __init__(self, seed=0, n=10, engine_batch=10, memory=1 << 30, engine=None, slots=SLOTS, **settings):
        self.runtime = FakeRuntime(seed, memory)
        self.cuda = Cuda(self.runtime)
        self.engine = SummingEngine(self.runtime, **(engine or {}))
        draw = np.random.default_rng(seed)
        self.stores = {
            spec.name: draw.integers(0, 256, (slots, *spec.shape)).astype(np.uint8) for spec in self.engine.inputs
        }
        self.samples = self.stores["samples"]
        stream = self.cuda.stream()
        self.pipeline = Pipeline(self.cuda, stream, self.engine, PipelineSettings(**settings), n, engine_batch)

    def load(self):
        self.pipeline.load({**self.stores, "samples": self.samples})
        return self

    def answers(self, slot, count, meanwhile=_nothing):
        (top1,) = self.pipeline.run(slot, count, meanwhile)
        return top1

    def expected(self, slot, count):
        stores = {**self.stores, "samples": self.samples}.values()
        return sum(store[slot : slot + count].reshape(count, -1).sum(axis=1, dtype=int) for store in stores)

    def left(self):
        """What was not freed."""
        runtime = self.runtime
        held = [runtime.blocks, runtime.host_blocks, runtime.pinned, *runtime.live.values()]
        return [len(each) for each in held]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("settings", [{}, {"cuda_graphs": False}, {"copy_stream": False}, {"samples": "device"}])
@pytest.mark.parametrize("fixed", [None, 4])
def test_answers_are_right_in_whatever_order_the_device_works(seed, settings, fixed):
    """Fails where an event is missing: a launch before its copy, an answer before its launch."""
    bench = Bench(seed, n=10, engine_batch=4, engine={"fixed_batch": fixed}, **settings).load()
    for slot, count in ((0, 10), (30, 10), (7, 3), (1, 10), (0, 4), (39, 1), (2, 10)):
        assert (bench.answers(slot, count) == bench.expected(slot, count)).all()
    bench.pipeline.close()
    assert bench.left() == [0] * 6


def test_an_event_that_is_not_waited_for_gives_wrong_answers():
    """The runtime of these tests can tell: without the waits, some order of the device's work is wrong."""
    wrong = 0
    for seed in range(20):
        bench = Bench(seed, n=10, engine_batch=4, cuda_graphs=False).load()
        bench.cuda.wait = lambda stream, event: None
        bench.answers(0, 10)
        wrong += not (bench.answers(20, 10) == bench.expected(20, 10)).all()
    assert wrong


def test_copies_run_one_part_ahead_of_launches():
    bench = Bench(n=10, engine_batch=4).load()
    bench.answers(0, 10)
    del bench.runtime.calls[:]
    bench.answers(5, 10)
    order = bench.runtime.names("cudaMemcpyAsync", "cudaGraphLaunch")
    words = {"cudaMemcpyAsync": "copy", "cudaGraphLaunch": "launch"}
    assert [words[name] for name in order] == ["copy", "copy", "launch", "copy", "launch", "launch", "copy"]


def test_each_copy_reads_its_own_slice_of_the_samples_and_nothing_is_copied_on_the_host():
    bench = Bench(n=10, engine_batch=4).load()
    bench.answers(0, 10)
    del bench.runtime.calls[:]
    bench.answers(5, 10)
    base = bench.samples.ctypes.data
    copies = [arguments for name, arguments in bench.runtime.calls if name == "cudaMemcpyAsync"]
    assert [((source - base) // 3, size // 3) for _, source, size, kind, _ in copies if kind == "H2D"] == [
        (13, 2),
        (5, 4),
        (9, 4),
    ]
    assert len([kind for *_, kind, _ in copies if kind == "D2H"]) == 1


@pytest.mark.parametrize("takes", ["as many as there are", "fixed", "one size"])
@pytest.mark.parametrize(
    ("n", "engine_batch"), [(64, 32), (70, 32), (20, 8), (300, 136), (448, 224), (17, 5), (9, 1), (100, 99), (3, 64)]
)
@pytest.mark.parametrize(
    "engine",
    [
        {"inputs": [(28, 28)]},
        {"inputs": [(224, 3)], "outputs": [("int32", ()), ("float32", (5, 7)), ("uint8", (3,))]},
        {"inputs": [(1,), (63,), (64,)], "outputs": [("float16", (3,)), ("int64", ())]},
        {"inputs": [(256,)], "outputs": [("float32", (64,))]},
    ],
    ids=["28x28", "three outputs", "three inputs", "aligned by itself"],
)
def test_every_tensor_of_every_launch_is_where_tensorrt_takes_it(engine, n, engine_batch, takes):
    """TensorRT refuses an address that is no multiple of 256: no split query would run on it."""
    fixed = min(engine_batch, n) if takes == "fixed" else None
    engine = {**engine, "fixed_batch": fixed, "keeps_one_size": takes == "one size"}
    bench = Bench(n=n, engine_batch=engine_batch, engine=engine, slots=n + 3)
    bench.load()
    for slot, count in ((0, n), (3, n), (1, n - 1), (0, 1), (2, n)):
        expected = bench.expected(slot, count)
        answers = bench.pipeline.run(slot, count, _nothing)
        assert len(answers) == len(bench.engine.outputs)
        for number, (found, spec) in enumerate(zip(answers, bench.engine.outputs, strict=True)):
            assert (found.shape, found.dtype) == ((count, *spec.shape), spec.dtype)
            rows = (expected + number).astype(spec.dtype)
            assert (found == rows.reshape(count, *[1] * len(spec.shape))).all()
    bench.pipeline.close()
    assert bench.left() == [0] * 6


def test_the_answers_of_all_launches_come_back_at_once():
    bench = Bench(n=30, engine_batch=7, engine={"fixed_batch": 7}).load()
    bench.answers(0, 30)
    del bench.runtime.calls[:]
    bench.answers(5, 30)
    copies = [arguments[3] for name, arguments in bench.runtime.calls if name == "cudaMemcpyAsync"]
    assert copies.count("H2D") == 5
    assert copies.count("D2H") == 1


def test_the_responses_are_prepared_while_the_device_works():
    bench = Bench().load()
    bench.answers(0, 10)
    seen = []
    compute = bench.runtime.streams[0]
    bench.answers(3, 10, lambda: seen.append(len(compute.queue)))
    assert seen[0] > 0, "everything was done already when the host had time"


def test_a_graph_is_captured_once_per_shape_and_then_replayed():
    bench = Bench(n=10, engine_batch=4).load()
    bench.answers(0, 10)
    assert bench.runtime.names("cudaGraphInstantiate") == ["cudaGraphInstantiate"] * 3
    for slot in range(5):
        bench.answers(slot, 10)
    assert len(bench.runtime.names("cudaGraphInstantiate")) == 3
    assert bench.pipeline.facts()["cuda_graphs"] is True


def test_without_graphs_each_launch_is_enqueued_by_the_engine():
    bench = Bench(cuda_graphs=False).load()
    bench.answers(0, 10)
    assert not bench.runtime.names("cudaStreamBeginCapture")
    assert bench.pipeline.facts()["cuda_graphs"] is False


def test_an_engine_that_refuses_to_be_captured_runs_without_and_the_record_says_so():
    bench = Bench().load()
    bench.engine.fails_in_capture = "operation not permitted when stream is capturing"
    assert (bench.answers(0, 10) == bench.expected(0, 10)).all()
    facts = bench.pipeline.facts()
    assert facts["cuda_graphs"] is False
    assert facts["notes"] == ["no CUDA graphs: operation not permitted when stream is capturing"]
    assert bench.runtime.capturing is None


def test_graphs_that_one_query_did_without_are_tried_again_for_the_next_size():
    """What a trial shows must not depend on those before it."""
    bench = Bench().load()
    bench.engine.fails_in_capture = "not now"
    bench.answers(0, 10)
    bench.engine.fails_in_capture = None
    bench.answers(0, 9)
    facts = bench.pipeline.facts()
    assert (facts["cuda_graphs"], facts["notes"]) == (True, [])


def test_what_is_not_the_rule_is_said():
    bench = Bench(n=10, engine_batch=4, engine={"fixed_batch": 4}, samples="device").load()
    bench.answers(0, 10)
    notes = bench.pipeline.facts()["notes"]
    assert notes[0].startswith("samples resident on the device: not a setup of the closed division")
    assert notes[1] == "each query is padded by 2 samples, since the engine takes 4 at a time"


def test_resident_samples_are_copied_again_when_they_are_loaded_again():
    """LoadGen loads other samples into the same memory in accuracy mode."""
    bench = Bench(samples="device").load()
    bench.answers(0, 10)
    bench.samples[:] = bench.samples[::-1]
    bench.load()
    assert (bench.answers(0, 10) == bench.expected(0, 10)).all()


def test_samples_are_page_locked_once_and_let_go_before_they_move():
    bench = Bench().load()
    bench.load()
    assert bench.runtime.names("cudaHostRegister") == ["cudaHostRegister"]
    assert bench.runtime.pinned == {bench.samples.ctypes.data: bench.samples.nbytes}
    bench.pipeline.unload()
    assert not bench.runtime.pinned
    bench.samples = np.concatenate([bench.samples, bench.samples])
    bench.load()
    assert bench.runtime.pinned == {bench.samples.ctypes.data: bench.samples.nbytes}


def test_pageable_samples_are_left_as_they_are():
    bench = Bench(host_memory="pageable").load()
    assert (bench.answers(0, 10) == bench.expected(0, 10)).all()
    assert not bench.runtime.names("cudaHostRegister")


def test_device_time_is_from_the_first_copy_to_the_last():
    bench = Bench(n=10, engine_batch=10).load()
    assert bench.pipeline.device_ns() is None
    bench.answers(0, 10)
    # A copy, its event, the wait for that, the launch, the copy back, the last event: a millisecond each.
    assert bench.pipeline.device_ns() == 6_000_000


def test_launches_of_few_sizes_are_kept():
    """A worker that serves a search meets many N."""
    bench = Bench(n=10).load()
    for count in range(1, 11):
        assert (bench.answers(0, count) == bench.expected(0, count)).all()
    assert len(bench.runtime.live["graph"]) == 4
    bench.pipeline.close()
    assert bench.left() == [0] * 6


@pytest.mark.parametrize("graphs", [True, False])
def test_launches_that_another_size_has_replaced_are_made_anew(graphs):
    """ONNX Runtime's graphs of one size hang once it has run another: a search that comes back to an N would too."""
    bench = Bench(n=10, engine_batch=4, engine={"keeps_one_size": True}, cuda_graphs=graphs).load()
    for count in (10, 3, 10, 9, 3, 10):
        assert (bench.answers(1, count) == bench.expected(1, count)).all()
    assert bench.pipeline.facts()["launches_per_query"] == 3
    bench.pipeline.close()
    assert bench.left() == [0] * 6


def test_too_large_a_query_says_what_there_is_no_room_for():
    with pytest.raises(EngineOutOfMemoryError) as raised:
        Bench(n=1000, memory=2000)
    assert "for input samples of 1000 samples" in str(raised.value)
    assert "are free on the device" in str(raised.value)


def test_a_pipeline_that_cannot_be_made_leaves_nothing_behind():
    runtime = FakeRuntime(memory=3500)
    cuda = Cuda(runtime)
    engine = SummingEngine(runtime)
    with pytest.raises(EngineOutOfMemoryError, match="for output top1"):
        Pipeline(cuda, cuda.stream(), engine, PipelineSettings(), 1000, 1000)
    assert engine.closed
    assert not runtime.blocks
    assert not any(runtime.live.values())


def test_memory_that_runs_out_in_a_capture_is_no_refusal_of_graphs():
    bench = Bench().load()
    bench.runtime.fail_next["cudaGraphInstantiate"] = NO_MEMORY
    with pytest.raises(EngineOutOfMemoryError):
        bench.answers(0, 10)


def test_an_error_of_the_device_comes_out_with_its_name():
    bench = Bench().load()
    bench.answers(0, 10)
    bench.runtime.fail_next["cudaEventSynchronize"] = LOST
    with pytest.raises(BackendError, match="words for cudaErrorIllegalAddress"):
        bench.answers(0, 10)


def test_samples_in_another_order_of_axes_are_refused():
    bench = Bench()
    with pytest.raises(ValueError, match="C-contiguous"):
        bench.pipeline.load({"samples": np.asfortranarray(bench.samples)})
