"""A loaded engine: what it calls, in which order, and what it makes of each refusal."""

import gc

import pytest

from sweep.backends.trt.engine import EngineRefusedError, TensorRTEngine
from sweep.backends.trt.files import CheckedFile
from sweep.backends.trt.flavours import RTX, TENSORRT, Library
from sweep.errors import BackendError, EngineOutOfMemoryError
from sweep.models.base import TensorSpec

from .doubles import CudaGraphStrategy, DynamicShapesKernelSpecializationStrategy, Memory, World, engine_bytes

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")

OUT_OF_MEMORY = "IExecutionContext: Error Code 2: OutOfMemory (Requested size was 17936828 bytes.)"


@pytest.fixture
def world():
    return World()


def _open(world, data=None, flavour=TENSORRT, kernels=None, memory=None, **options):
    library = Library(flavour, world.module, "11.4.0")
    data = engine_bytes(4) if data is None else data
    return TensorRTEngine(library, data, memory or Memory(), {"from_cache": True}, kernels, **options)


def _bind(engine, count=4, stream=7, at=0):
    return engine.bind(count, {"samples": 0x100 + at}, {"top1": 0x200 + at}, stream)


def test_tensors_are_described_without_their_batch(world):
    engine = _open(world)
    assert engine.inputs == (TensorSpec("samples", "uint8", (3,)),)
    assert engine.outputs == (TensorSpec("top1", "int32", ()),)


@pytest.mark.parametrize(
    ("data", "fixed"),
    [
        (engine_bytes(4), 4),
        (engine_bytes(1, 8, 8), None),
        (engine_bytes(6, frozen=True), 6),
        (engine_bytes(1, profiles=[[4, 4, 4], [8, 8, 8]]), None),
    ],
)
def test_an_engine_for_one_number_of_samples_says_so(world, data, fixed):
    assert _open(world, data).fixed_batch == fixed


def test_shape_addresses_and_stream_are_set_once_and_a_launch_is_one_call(world):
    launch = _bind(_open(world))
    bound = len(world.calls)
    launch.enqueue()
    launch.enqueue()
    assert world.names() == [
        *("set_device_memory", "set_input_shape", "infer_shapes", "get_tensor_shape", "set_tensor_address"),
        *("set_tensor_address", "execute_async_v3", "execute_async_v3"),
    ]
    assert world.arguments("set_input_shape") == [("samples", (4, 3))]
    assert world.arguments("set_tensor_address") == [("samples", 0x100), ("top1", 0x200)]
    assert [call[1:] for call in world.calls[bound:]] == [("execute_async_v3", (7,))] * 2


def test_each_launch_has_its_own_context_and_a_streams_launches_share_scratch_memory(world):
    """A captured graph depends on its context; memory for each part of a query would not fit."""
    memory = Memory()
    engine = _open(world, memory=memory)
    launches = [_bind(engine, at=0), _bind(engine, at=256), _bind(engine, stream=8, at=512)]
    assert len(world.contexts) == 3
    first, second, third = (address for address, _ in world.arguments("set_device_memory"))
    assert first == second != third
    assert list(memory.held.values()) == [(4096, "scratch memory of the engine")] * 2
    del launches
    engine.close()
    assert memory.held == {}


def test_a_dropped_launch_frees_its_context(world):
    engine = _open(world)
    launch = _bind(engine)
    del launch
    assert not world.contexts
    engine.close()


def test_an_engine_that_needs_no_scratch_memory_is_given_none(world):
    memory = Memory()
    _bind(_open(world, engine_bytes(4, scratch=0), memory=memory)).enqueue()
    assert memory.held == {}
    assert "set_device_memory" not in world.names()


def test_contexts_go_before_the_engine_and_what_is_left_cannot_run(world):
    """TensorRT crashes where an engine is freed under its contexts; the double checks it."""
    engine = _open(world)
    launch = _bind(engine)
    engine.close()
    assert not world.contexts
    assert world.live == 0
    with pytest.raises(BackendError, match="closed"):
        launch.enqueue()
    engine.close()


def test_the_profile_that_takes_the_count_is_chosen_on_the_launchs_stream(world):
    engine = _open(world, engine_bytes(1, profiles=[[1, 4, 4], [5, 8, 8]]))
    _bind(engine, 3)
    assert world.arguments("set_optimization_profile_async") == []
    _bind(engine, 6, stream=9)
    assert world.arguments("set_optimization_profile_async") == [(1, 9)]
    with pytest.raises(BackendError, match="takes 1 to 4 or 5 to 8 samples at a time, not 9; set engine_batch"):
        _bind(engine, 9)


@pytest.mark.parametrize(
    ("method", "message"),
    [("set_input_shape", "refuses 4 samples of samples"), ("set_tensor_address", "refuses an address for samples")],
)
def test_a_refused_setting_names_what_was_refused(world, method, message):
    world.false.add(method)
    with pytest.raises(BackendError, match=f"tensorrt 11.4.0 {message}: it gave no reason"):
        _bind(_open(world))


def test_a_launch_that_is_refused_says_tensorrts_reason(world):
    launch = _bind(_open(world))
    world.false.add("execute_async_v3")
    with pytest.raises(BackendError, match=r"cannot run 4 samples: IExecutionContext::enqueueV3.*no kernel image"):
        launch.enqueue()


def test_shapes_that_stay_open_are_an_error(world):
    world.unknown = ["hidden"]
    with pytest.raises(BackendError, match="does not know the shapes of hidden"):
        _bind(_open(world))


def test_an_output_that_is_not_one_row_per_sample_is_refused(world):
    """It would be written beyond the end of its buffer."""
    with pytest.raises(BackendError, match=r"output top1 has shape \(8,\) for 4 samples"):
        _bind(_open(world, engine_bytes(4, outputs_per_sample=2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": "BF16"}, "tensor samples of the engine is BF16, a type that NumPy does not have"),
        ({"shape": [3, -1]}, r"tensor samples of the engine has shape \(-1, 3, -1\)"),
        ({"location": "HOST"}, "tensor samples of the engine is read on the host"),
    ],
)
def test_tensors_that_no_pipeline_can_serve_are_named(world, change, message):
    with pytest.raises(BackendError, match=message):
        _open(world, engine_bytes(4, **change))
    gc.collect()
    assert world.live == 0


def test_no_room_for_a_context_is_out_of_memory_with_sizes(world):
    world.context_error = OUT_OF_MEMORY
    with pytest.raises(EngineOutOfMemoryError, match=r"OutOfMemory.*; it needs 0.0 MiB of scratch memory"):
        _bind(_open(world))


def test_a_context_that_fails_for_another_reason_is_not_out_of_memory(world):
    world.context_error = "IRuntime: Error Code 6: API Usage Error (no such strategy)"
    with pytest.raises(BackendError, match="cannot make an execution context: .*no such strategy") as raised:
        _bind(_open(world))
    assert not isinstance(raised.value, EngineOutOfMemoryError)


def test_a_refused_engine_is_told_from_one_that_does_not_fit(world):
    world.refuses = lambda data: "The engine cannot run on this GPU, which has compute capability 9.0."
    with pytest.raises(EngineRefusedError, match="cannot load the engine of .* MiB: The engine cannot run on this GPU"):
        _open(world)
    world.refuses = lambda data: "Error Code 1: Cuda Runtime (out of memory)"
    with pytest.raises(EngineOutOfMemoryError, match="out of memory"):
        _open(world)


def test_a_runtime_that_cannot_start_is_not_touched(world):
    """TensorRT 11 gives one without CUDA that crashes the process."""
    world.start_error = "createInferRuntime: Error Code 6: API Usage Error (CUDA initialization failure with error: 35)"
    with pytest.raises(BackendError, match=r"tensorrt 11.4.0 does not start: createInferRuntime.*error: 35"):
        _open(world)
    assert world.names("Runtime") == []


def test_the_standard_plug_ins_are_known_before_an_engine_is_loaded(world):
    """Else «Plugin not found»: engines of detectors hold NMS as one of them."""
    world.refuses = lambda data: None if world.plugins else "IRuntime::deserializeCudaEngine: Plugin not found"
    _open(world)
    assert world.plugins == [("", 0)]


def test_a_flavour_without_plug_ins_is_asked_for_none(world):
    del world.module.init_libnvinfer_plugins
    _open(world)


def test_a_runtime_that_is_not_made_is_one_line(world):
    def fail(logger):
        raise TypeError("pybind11::init(): factory function\nreturned nullptr")

    world.module.Runtime = fail
    with pytest.raises(BackendError, match=r"does not start: pybind11::init\(\): factory function returned nullptr$"):
        _open(world)


def test_only_an_engine_that_may_bring_host_code_is_allowed_to(world):
    _open(world)
    _open(world, host_code=True)
    assert [runtime.engine_host_code_allowed for runtime in world.runtimes] == [False, True]


def test_whether_it_can_be_captured_is_asked_of_its_context(world):
    engine = _open(world)
    launch = _bind(engine)
    assert engine.can_be_captured
    world.capturable = False
    assert not engine.can_be_captured
    assert world.arguments("is_stream_capturable") == [(7,)] * 2
    assert not launch.captured


def test_facts_are_plain_and_say_where_it_came_from(world):
    facts = _open(world, engine_bytes(1, 4, 8)).facts()
    assert facts == {
        "from_cache": True,
        "profile": {"min": 1, "opt": 4, "max": 8},
        "layers": 7,
        "aux_streams": 0,
        "scratch_bytes": 4096,
    }


class TestFlavourThatCompilesKernelsAsItRuns:
    @pytest.fixture
    def world(self):
        return World(compiles=True)

    def test_it_captures_no_graphs_itself_and_compiles_nothing_in_mid_test(self, world):
        _open(world, flavour=RTX)
        (config,) = world.configs
        assert config.cuda_graph_strategy is CudaGraphStrategy.DISABLED
        assert config.dynamic_shapes_kernel_specialization_strategy is DynamicShapesKernelSpecializationStrategy.EAGER

    def test_kernels_are_kept_after_the_warm_up_and_used_by_the_next_engine(self, world, tmp_path):
        """A test may be ended by ending the worker, so that nothing is closed."""
        kernels = CheckedFile(tmp_path / "kernels")
        engine = _open(world, flavour=RTX, kernels=kernels)
        assert engine.facts()["kernels_from_cache"] is False
        assert kernels.read() == b"kernels"
        engine.close()
        assert _open(world, flavour=RTX, kernels=kernels).facts()["kernels_from_cache"] is True

    def test_fewer_kernels_never_replace_more(self, world, tmp_path):
        kernels = CheckedFile(tmp_path / "kernels")
        kernels.update(lambda kept: b"kernels")
        engine = _open(world, flavour=RTX, kernels=kernels)
        kernels.update(lambda kept: b"those of another process")
        engine.close()
        assert kernels.read() == b"those of another process"

    def test_kernels_that_do_not_fit_any_more_are_replaced(self, world, tmp_path):
        """As after a new driver: they would be refused each time, and compiled each time."""
        kernels = CheckedFile(tmp_path / "kernels")
        kernels.update(lambda kept: b"many kernels of another driver")
        _open(world, flavour=RTX, kernels=kernels).close()
        assert kernels.read() == b"kernels"

    def test_damaged_kernels_are_not_given_to_tensorrt(self, world, tmp_path, capsys):
        kernels = CheckedFile(tmp_path / "kernels")
        _open(world, flavour=RTX, kernels=kernels).close()
        kernels.path.write_bytes(kernels.path.read_bytes()[:-1])
        assert _open(world, flavour=RTX, kernels=kernels).facts()["kernels_from_cache"] is False
        assert "damaged" in capsys.readouterr().err
        assert world.arguments("deserialize") == []
