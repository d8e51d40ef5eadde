"""What a machine needs for its GPU, and ONNX Runtime's CUDA provider on a double of its session."""

import functools
import inspect
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.backends.wide import LIMIT, wide_model

from sweep.backends.base import EngineRequest
from sweep.backends.gpu import backend as gpu_backend
from sweep.backends.gpu.backend import gpu_availability
from sweep.backends.gpu.cuda import Cuda
from sweep.backends.onnxruntime_cuda import OnnxRuntimeCudaBackend, _spec
from sweep.backends.registry import backend_class
from sweep.errors import BackendError, ConfigError, EngineOutOfMemoryError
from sweep.gpus import Gpu
from sweep.models.base import TensorSpec
from sweep.models.ort import onnxruntime_build

from .doubles import NO_MEMORY, FakeRuntime


def _gpu(driver="580.65.06", capability="8.6"):
    return Gpu(0, "GPU-1", "RTX A6000", driver, "49140 MiB", capability)


class TestAvailability:
    def test_without_a_gpu_it_says_what_runs_on_the_cpu(self, monkeypatch):
        monkeypatch.setattr(gpu_backend, "usable_gpus", lambda: ())
        found = gpu_availability("cuda")
        assert (found.available, found.detail) == (False, "no NVIDIA GPU found")
        assert "backend=onnxruntime" in found.fix

    def test_without_cuda_python_it_says_what_to_install(self, monkeypatch):
        monkeypatch.setattr(gpu_backend, "usable_gpus", lambda: (_gpu(),))
        monkeypatch.setattr(gpu_backend.importlib.util, "find_spec", lambda name: None)
        found = gpu_availability("tensorrt")
        assert found.detail == "cuda-python is not installed"
        assert found.fix == "pip install 'mlperf-sweep[tensorrt]'"

    @pytest.mark.parametrize(("cuda", "driver", "able"), [("13.0.3", "535.1", False), ("12.9.0", "535.1", True)])
    def test_a_driver_must_be_new_enough_for_the_installed_cuda(self, monkeypatch, cuda, driver, able):
        monkeypatch.setattr(gpu_backend, "usable_gpus", lambda: (_gpu(driver),))
        monkeypatch.setattr(gpu_backend.importlib.util, "find_spec", lambda name: name)
        monkeypatch.setattr(gpu_backend, "version", lambda name: cuda)
        found = gpu_availability("cuda")
        assert found.available is able
        if not able:
            assert found.detail == "driver 535.1 is too old for CUDA 13, which needs 580 or newer"
            assert "cuda-python<13" in found.fix

    @pytest.mark.parametrize(
        ("onnxruntime_cuda", "bindings", "driver", "capability", "detail"),
        [
            ("13.0", "12.9", "550.54", "8.6", "driver 550.54 is too old for onnxruntime-gpu of CUDA 13"),
            ("12.8", "12.9", "550.54", "8.6", ""),
            ("13.0", "13.0", "580.65", "8.6", ""),
            ("13.0", "12.9", "580.65", "7.0", "onnxruntime-gpu of CUDA 13 does not support RTX A6000, of compute cap"),
            ("12.8", "12.9", "580.65", "7.0", ""),
            ("12.8", "13.0", "580.65", "6.1", "cuda-python of CUDA 13 does not support RTX A6000, of compute cap"),
        ],
    )
    def test_the_cuda_of_onnx_runtime_is_its_own(
        self, monkeypatch, tmp_path, onnxruntime_cuda, bindings, driver, capability, detail
    ):
        (tmp_path / "capi").mkdir()
        (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").touch()
        info = f"package_name = 'onnxruntime-gpu'\n__version__ = '1.31.1'\ncuda_version = '{onnxruntime_cuda}'\n"
        (tmp_path / "capi" / "build_and_package_info.py").write_text(info)
        found = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
        monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
        monkeypatch.setattr(gpu_backend, "usable_gpus", lambda: (_gpu(driver, capability),))
        monkeypatch.setattr(gpu_backend, "version", lambda name: bindings)
        availability = OnnxRuntimeCudaBackend.availability()
        assert availability.available is not bool(detail)
        assert availability.detail.startswith(detail or "RTX A6000")
        assert availability.available or "cuda-python<13" in availability.fix

    def test_onnxruntime_for_the_cpu_is_not_one_for_the_gpu(self, monkeypatch, tmp_path):
        """Whatever pip says is installed, and whatever library of the other build was left behind."""
        (tmp_path / "capi").mkdir()
        (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").touch()
        said = tmp_path / "capi" / "build_and_package_info.py"
        said.write_text("package_name = 'onnxruntime'\n__version__ = '1.32.0'\n")
        found = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
        monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
        without = OnnxRuntimeCudaBackend.availability()
        assert (without.available, without.detail) == (False, "onnxruntime is installed without CUDA")
        assert "--force-reinstall --no-deps onnxruntime-gpu" in without.fix
        for old in (_gpu("550.54"), _gpu(capability="7.0")):  # what that recipe brings would be refused in turn
            monkeypatch.setattr("sweep.backends.onnxruntime_cuda.usable_gpus", lambda old=old: (old,))
            assert "'onnxruntime-gpu<1.27'" in OnnxRuntimeCudaBackend.availability().fix
        said.write_text("package_name = 'onnxruntime-gpu'\n__version__ = '1.31.1'\ncuda_version = '13.0'\n")
        assert onnxruntime_build() == ("onnxruntime-gpu", "13.0")
        monkeypatch.setattr(gpu_backend, "usable_gpus", lambda: ())
        assert OnnxRuntimeCudaBackend.availability().detail == "no NVIDIA GPU found"


def test_on_a_gpu_rows_that_are_no_samples_are_refused():
    """The buffers hold a row a sample; more would be written beyond them."""
    output = SimpleNamespace(name="found", type="tensor(int64)", shape=["num_selected", 3])
    assert _spec(output).shape == (3,)
    with pytest.raises(BackendError, match=r"output found .*use backend=onnxruntime"):
        _spec(output, {1})


class Binding:
    """Stands in for `onnxruntime.IOBinding`."""

    def __init__(self, calls):
        self.calls = calls

    def bind_input(self, name, device_type, device_id, element_type, shape, buffer_ptr):
        self.calls.append(("bind_input", name, device_type, device_id, element_type, shape, buffer_ptr))

    def bind_output(self, name, device_type="cpu", device_id=0, element_type=None, shape=None, buffer_ptr=None):
        self.calls.append(("bind_output", name, device_type, device_id, element_type, shape, buffer_ptr))


class Session:
    """Stands in for `onnxruntime.InferenceSession`; answers with 7 for each sample."""

    def __init__(self, world, path, options, providers, disabled_optimizers):
        self.world = world
        world.sessions.append((path, options, providers))
        if (error := world.refuses(options, providers)) is not None:
            raise RuntimeError(error)

    def get_providers(self):
        return self.world.provides

    def get_inputs(self):
        return [SimpleNamespace(name="samples", type="tensor(uint8)", shape=["N", *self.world.shape])]

    def get_outputs(self):
        return [SimpleNamespace(name="top1", type="tensor(int32)", shape=["N"])]

    def io_binding(self):
        return Binding(self.world.calls)

    def run_with_iobinding(self, iobinding, run_options=None):
        self.world.calls.append(("run", run_options.entries))
        if self.world.run_error:
            raise RuntimeError(self.world.run_error)


class Options:
    def __init__(self):
        self.entries = {}

    def add_session_config_entry(self, key, value):
        self.entries[key] = value

    add_run_config_entry = add_session_config_entry


class World:
    """A machine with a GPU on which nothing is computed."""

    def __init__(self, monkeypatch):
        self.sessions, self.calls = [], []
        self.refuses = lambda options, providers: None
        self.provides = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        self.shape = [2]
        self.run_error = ""
        self.runtime = FakeRuntime()
        module = SimpleNamespace(
            __version__="1.99",
            SessionOptions=Options,
            RunOptions=Options,
            InferenceSession=functools.partial(Session, self),
            set_default_logger_severity=lambda severity: None,
        )
        monkeypatch.setattr("sweep.backends.onnxruntime_cuda.runtime", lambda: module)
        monkeypatch.setattr("sweep.backends.onnxruntime_cuda.for_cuda_provider", lambda path: None)
        monkeypatch.setattr(Cuda, "open", lambda: Cuda(self.runtime))

    def backend(self, n=4, engine_batch=4, precision="fp32", path="model.onnx", **options):
        complete = OnnxRuntimeCudaBackend.validate_options(options)
        inputs = (TensorSpec("samples", "uint8", (2,)),)
        return OnnxRuntimeCudaBackend(EngineRequest(path, inputs, True, n, engine_batch, complete, precision=precision))


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


SAMPLES = {"samples": np.zeros((8, 2), np.uint8)}


def test_the_session_works_on_the_pipelines_stream_and_waits_for_nothing(world):
    with world.backend(tf32=False, memory_limit_mib=100) as engine:
        engine.load(SAMPLES)
        engine.run(0, 4, lambda: None)
    path, options, [(name, provider)] = world.sessions[0][:3]
    assert path == "model.onnx"
    on_all_machines = {"session.disable_cpu_ep_fallback": "1", "session.disable_quant_qdq": "1"}
    assert options.entries.items() >= on_all_machines.items()
    assert name == "CUDAExecutionProvider"
    assert provider["user_compute_stream"] == str(int(world.runtime.streams[0]))
    assert provider["use_tf32"] == "0"
    assert provider["gpu_mem_limit"] == str(100 * 2**20)
    assert all(isinstance(value, str) for value in provider.values())
    assert ("run", {"disable_synchronize_execution_providers": "1", "gpu_graph_id": "1"}) in world.calls


def test_a_gpu_that_is_not_supported_is_refused_by_name_though_another_of_the_machine_is(world, monkeypatch):
    monkeypatch.setattr("sweep.backends.onnxruntime_cuda.usable_gpus", lambda: (_gpu(capability="7.0"),))
    monkeypatch.setattr("sweep.backends.onnxruntime_cuda.onnxruntime_build", lambda: ("onnxruntime-gpu", "13.0"))
    with pytest.raises(BackendError, match=r"CUDA 13 does not support RTX A6000.*'cuda-python<13'"), world.backend():
        pass
    assert not world.sessions


def test_inputs_and_outputs_are_addresses_on_the_device_and_all_launches_have_one_size(world):
    with world.backend(n=6, engine_batch=4) as engine:
        engine.load(SAMPLES)
        engine.run(0, 6, lambda: None)
        device = list(world.runtime.blocks)
    binds = [call for call in world.calls if call[0].startswith("bind")]
    assert binds == [
        ("bind_input", "samples", "cuda", 0, "uint8", (3, 2), device[0]),
        ("bind_output", "top1", "cuda", 0, "int32", (3,), device[1]),
        ("bind_input", "samples", "cuda", 0, "uint8", (3, 2), device[0] + 256),
        ("bind_output", "top1", "cuda", 0, "int32", (3,), device[1] + 256),
    ]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Binding.bind_input, onnxruntime.IOBinding.bind_input),
        (Binding.bind_output, onnxruntime.IOBinding.bind_output),
        (Session.run_with_iobinding, onnxruntime.InferenceSession.run_with_iobinding),
    ],
)
def test_the_double_takes_what_onnx_runtime_takes(ours, theirs):
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


def test_a_launch_is_no_larger_than_its_tensors_may_be(world, tmp_path):
    """Nor does how a query is cut depend on the one that the engine was made for: a record must not show it."""
    path = wide_model(tmp_path / "wide.onnx")
    world.shape = [3]
    cut = {}
    for made_for in (3 * LIMIT, 3 * LIMIT - 10):
        del world.calls[:]
        with world.backend(made_for, made_for, path=path) as engine:
            engine.load({"samples": np.zeros((made_for, 3), np.uint8)})
            engine.run(0, 3 * LIMIT - 10, lambda: None)
            facts = engine.facts()
        cut[made_for] = [call[5][0] for call in world.calls if call[0] == "bind_input"]
        assert facts["launches_per_query"] == 3
        assert any("2^31-1" in note for note in facts["notes"])
    assert cut[3 * LIMIT] == cut[3 * LIMIT - 10] == [LIMIT - 3] * 3


def test_a_convolution_that_was_taken_from_its_bias_is_not_put_together_again(tmp_path):
    """Fails where ONNX Runtime does not know the optimizer's name any more, or takes it in another way."""
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Add", ["c", "b"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, 4, 4])],
        [
            numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w"),
            numpy_helper.from_array(np.ones((1, 2, 1, 1), np.float32), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    kinds = []
    for apart in (None, ["ConvAddFusion"]):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"], disabled_optimizers=apart)
        kinds.append([node.op_type for node in onnx.load(str(tmp_path / "optimized.onnx")).graph.node])
    assert kinds == [["Conv"], ["Conv", "Add"]]


@pytest.mark.parametrize("name", ["add_run_config_entry"])
def test_run_options_take_entries(name):
    getattr(onnxruntime.RunOptions(), name)("disable_synchronize_execution_providers", "1")


def test_each_launch_has_a_graph_of_its_own_which_the_session_captures(world):
    """A graph holds the addresses that it was captured with."""
    with world.backend(n=6, engine_batch=4) as engine:
        engine.load(SAMPLES)
        for _ in range(2):
            engine.run(0, 6, lambda: None)
        facts = engine.facts()
    ids = [entries["gpu_graph_id"] for name, *(entries,) in (call for call in world.calls if call[0] == "run")]
    assert ids == ["1", "2", "1", "2", "1", "2"]  # each once to be made, then twice
    assert world.sessions[0][2][0][1]["enable_cuda_graph"] == "1"
    assert facts["cuda_graphs"] is True
    assert not world.runtime.names("cudaStreamBeginCapture")


def test_without_graphs_the_session_captures_none(world):
    with world.backend(cuda_graphs=False) as engine:
        engine.load(SAMPLES)
        engine.run(0, 4, lambda: None)
        facts = engine.facts()
    assert world.sessions[0][2][0][1]["enable_cuda_graph"] == "0"
    assert facts["cuda_graphs"] is False
    assert facts["notes"] == []


@pytest.mark.parametrize(
    ("precision", "options", "nhwc", "fused"),
    [
        ("fp16", {}, "1", "1"),
        ("fp16", {"nhwc": False}, "0", "0"),  # cuDNN has no such kernel
        ("fp16", {"fuse_bias": False}, "1", "0"),
        ("int8", {}, "0", "0"),  # what the provider makes of it is wrong
    ],
)
def test_layout_and_fusion_are_what_works(world, precision, options, nhwc, fused):
    with world.backend(precision=precision, **options) as engine:
        facts = engine.facts()
    provider = world.sessions[0][2][0][1]
    assert (provider["prefer_nhwc"], provider["fuse_conv_bias"]) == (nhwc, fused)
    assert (facts["nhwc"], facts["fuse_bias"]) == (nhwc == "1", fused == "1")


def test_nodes_that_only_the_cpu_can_run_are_let_there_and_said(world):
    strict = "session.disable_cpu_ep_fallback"
    said = "This session contains graph nodes that are assigned to the default CPU EP"
    world.refuses = lambda options, providers: said if strict in options.entries else None
    with world.backend() as engine:
        engine.load(SAMPLES)
        engine.run(0, 4, lambda: None)
        facts = engine.facts()
    assert [provider for provider in world.sessions[1][2] if provider == "CPUExecutionProvider"]
    assert facts["cuda_graphs"] is False
    assert any("run on the CPU" in note for note in facts["notes"])
    assert any("no CUDA graphs" in note for note in facts["notes"])


def test_a_session_that_fell_back_to_the_cpu_is_never_taken_for_one_on_the_gpu(world):
    world.provides = ["CPUExecutionProvider"]
    with pytest.raises(BackendError, match="did not load its CUDA provider"), world.backend():
        pass
    assert not world.runtime.live["stream"]


def test_a_model_that_cannot_be_loaded_is_one_line(world):
    world.refuses = lambda options, providers: "[ONNXRuntimeError] : 10 : INVALID_GRAPH :\n Load failed"
    with pytest.raises(BackendError) as raised, world.backend():
        pass
    assert str(raised.value).startswith("ONNX Runtime cannot load model.onnx on the GPU: [ONNXRuntimeError]")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "words",
    ["CUDA failure 2: out of memory ; GPU=0", "Available memory of 10 is smaller than requested bytes of 20"],
)
def test_memory_that_runs_out_is_said_with_sizes(world, words):
    world.run_error = words
    with world.backend() as engine:
        engine.load(SAMPLES)
        with pytest.raises(EngineOutOfMemoryError, match=r"on 4 samples.*MiB of .* MiB are free on the device"):
            engine.run(0, 4, lambda: None)


def test_samples_that_the_device_has_no_room_for_are_out_of_memory(world):
    world.runtime.fail_next["cudaMalloc"] = NO_MEMORY
    with pytest.raises(EngineOutOfMemoryError, match="for input samples of 4 samples"), world.backend():
        pass


def test_extents_that_only_running_tells_are_refused_by_name(world):
    world.shape = ["length"]
    with pytest.raises(BackendError, match=r"tensor samples is tensor\(uint8\) \['N', 'length'\]"), world.backend():
        pass


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"samples": "disk"}, "backend.samples"),
        ({"host_memory": "locked"}, "backend.host_memory"),
        ({"cuda_graphs": "yes"}, "backend.cuda_graphs"),
        ({"tf32": 1}, "backend.tf32"),
        ({"memory_limit_mib": 0}, "backend.memory_limit_mib"),
        ({"threads": 2}, "backend.threads"),
    ],
)
def test_wrong_options_are_named(options, field):
    with pytest.raises(ConfigError, match=field):
        OnnxRuntimeCudaBackend.validate_options(options)


def test_every_value_of_the_search_space_validates():
    for key, values in OnnxRuntimeCudaBackend.search_space(8).items():
        for value in values:
            if key != "engine_batch":
                OnnxRuntimeCudaBackend.validate_options({key.partition(".")[2]: value})


def test_the_backend_is_found_by_name_without_its_libraries():
    assert backend_class("onnxruntime_cuda") is OnnxRuntimeCudaBackend


def test_what_is_asked_before_it_is_entered_is_a_bug_that_says_so(world):
    with pytest.raises(ValueError, match="not entered"):
        world.backend().run(0, 1, lambda: None)
