"""Real engines, built by TensorRT for RTX for GPUs that are not here.

Such an engine can be loaded only on a GPU, so that what is checked is the network and profile that went into it.
"""

import hashlib
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sweep.backends.tensorrt import TensorRTBackend
from sweep.backends.trt.build import build, prepare, tf32_of
from sweep.backends.trt.cache import Timings
from sweep.backends.trt.flavours import TENSORRT, Library
from sweep.backends.trt.parser import parse
from sweep.backends.trt.progress import Progress, Reporter, monitor, print_progress
from sweep.backends.trt.settings import BuildSettings, Profile
from sweep.errors import BackendError, EngineOutOfMemoryError
from sweep.vocabulary import COMPUTED, Precision

GPUS = ("8.6", "8.9", "12.0")
EXACT = BuildSettings(Profile.of("exact", 8, None))
RELU = helper.make_node("Relu", ["x"], ["y"])


def _shapes(plan, name):
    return [tuple(shape) for shape in plan.profile.get_shape(name)]


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("mobilenet", "resnet")]


@pytest.fixture(scope="module", params=["digits", *SLOW])
def name(request):
    return request.param


@pytest.fixture(scope="module", params=COMPUTED)
def model(request, name, resolved):
    return resolved(name, request.param)


@pytest.mark.parametrize(
    ("kind", "largest", "profile"), [("exact", None, (8, 8, 8)), ("range", None, (1, 8, 8)), ("range", 12, (1, 12, 12))]
)
def test_bytes_go_in_and_class_ids_come_out(rtx, model, kind, largest, profile):
    """A cast before the engine, or one after it, would be work that no one times."""
    plan = prepare(parse(rtx, model.path), BuildSettings(Profile.of(kind, 8, largest)))
    network, (spec,) = plan.parsed.network, model.inputs
    given, answer = network.get_input(0), network.get_output(0)
    assert (network.num_inputs, network.num_outputs) == (1, 1)
    assert (given.name, given.dtype.name, tuple(given.shape)) == (spec.name, "UINT8", (-1, *spec.shape))
    assert (answer.name, answer.dtype.name, tuple(answer.shape)) == ("top1", "INT32", (-1,))
    assert _shapes(plan, spec.name) == [(size, *spec.shape) for size in profile]
    assert network.get_flag(rtx.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def test_an_engine_for_each_gpu_is_built_without_one(rtx, model):
    """The same twice, or the cache would hold engines that nobody can name."""
    digests = set()
    for target in GPUS:
        built = build(rtx, model.path, EXACT, targets=[target])
        assert len(built.data) > 10_000
        assert built.seconds > 0
        digests.add(hashlib.sha256(built.data).hexdigest())
    assert len(digests) == len(GPUS)
    again = build(rtx, model.path, EXACT, targets=GPUS[:1])
    assert hashlib.sha256(again.data).hexdigest() in digests


def test_one_engine_can_be_for_all_of_them(rtx, model):
    built = build(rtx, model.path, EXACT, targets=GPUS)
    assert len(built.data) > 10_000


def test_a_gpu_that_the_flavour_cannot_name_gets_an_engine_for_any(rtx, onnx_file):
    assert build(rtx, onnx_file(RELU), EXACT, targets=["12.9"]).data


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_set_and_told(rtx, onnx_file, tf32):
    settings = BuildSettings(EXACT.profile, tf32=tf32)
    plan = prepare(parse(rtx, onnx_file(RELU)), settings)
    assert plan.config.get_flag(rtx.module.BuilderFlag.TF32) is tf32
    assert tf32_of(rtx, settings) is tf32


def test_each_setting_reaches_the_builder(rtx, onnx_file):
    settings = BuildSettings(EXACT.profile, workspace_mib=64, optimization_level=5, aux_streams=2)
    config = prepare(parse(rtx, onnx_file(RELU)), settings, targets=["8.9"]).config
    assert config.get_memory_pool_limit(rtx.module.MemoryPoolType.WORKSPACE) == 64 << 20
    assert config.builder_optimization_level == 5
    assert config.max_aux_streams == 2
    assert config.get_flag(rtx.module.BuilderFlag.REQUIRE_USER_ALLOCATION)
    assert config.num_compute_capabilities == 1
    assert config.get_compute_capability(0) == rtx.module.ComputeCapability.SM89


def test_what_is_not_set_is_left_to_tensorrt(rtx, onnx_file):
    parsed = parse(rtx, onnx_file(RELU))
    config, plain = prepare(parsed, EXACT).config, parsed.builder.create_builder_config()
    for name in ("builder_optimization_level", "max_aux_streams", "num_compute_capabilities"):
        assert getattr(config, name) == getattr(plain, name)


def test_a_file_frozen_at_one_batch_needs_no_profile(rtx, onnx_file):
    plan = prepare(parse(rtx, onnx_file(RELU, batch=6)), EXACT, targets=["8.6"])
    assert plan.profile is None
    assert plan.parsed.builder.build_serialized_network(plan.parsed.network, plan.config)


def test_another_axis_that_is_open_is_refused_by_name(rtx, tmp_path):
    shape = ["N", "length"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([RELU], "graph", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    with pytest.raises(BackendError, match=r"input x has shape \(-1, -1\): only axis 0"):
        prepare(parse(rtx, tmp_path / "m.onnx"), EXACT)


def test_too_small_a_workspace_says_which_option(rtx, resolved):
    model = resolved("digits", Precision.FP32)
    with pytest.raises(BackendError, match=r"cannot build .*raise backend.workspace_mib=1$") as raised:
        build(rtx, model.path, BuildSettings(EXACT.profile, workspace_mib=1), targets=["8.6"])
    assert not isinstance(raised.value, EngineOutOfMemoryError)
    assert "\n" not in str(raised.value)


def test_a_product_that_turing_lacks_says_which_precision_has_it(rtx, onnx_file):
    w = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    path = onnx_file(helper.make_node("MatMul", ["x", "w"], ["y"]), initializers=[w])
    with pytest.raises(BackendError, match=r"Turing.*; set precision=fp16"):
        build(rtx, path, EXACT, targets=["7.5"])


def test_a_version_compatible_engine_is_refused_before_minutes_have_passed(rtx, onnx_file):
    with pytest.raises(BackendError, match="tensorrt_rtx builds no version-compatible engines"):
        build(rtx, onnx_file(RELU), BuildSettings(EXACT.profile, version_compatible=True))


@pytest.mark.parametrize(("batch", "end"), [(1, 1), (2, 2), (3, 4), (32, 32), (33, 64), (800, 1024)])
def test_a_range_ends_at_a_power_of_two_that_neighbours_share(batch, end):
    assert Profile.of("range", batch, None) == Profile(1, end, end)


def test_a_range_that_ends_before_the_engine_batch_is_one_line():
    with pytest.raises(BackendError, match=r"backend.profile_max=16 is less than the engine batch of 32"):
        Profile.of("range", 32, 16)


@pytest.mark.slow
def test_an_engine_for_one_n_is_no_larger_than_its_weights_on_tensorrt_for_rtx(rtx, resolved):
    """With a profile of that N alone it is 311 MB for 64, and grows with N."""
    options = {name: option.default for name, option in TensorRTBackend.BUILD_OPTIONS.items()}
    settings = BuildSettings.of(options, 64, one_size=False)
    model = resolved("mobilenet", Precision.INT8)
    assert len(build(rtx, model.path, settings, targets=["8.6"]).data) < 20e6


class TestFlavourThatTimesKernels:
    """`tensorrt` cannot be installed everywhere; for RTX its calls do nothing, and are the same."""

    @pytest.fixture
    def tensorrt(self, rtx):
        return Library(TENSORRT, rtx.module, rtx.version, rtx.messages)

    @pytest.mark.filterwarnings("ignore:.*[Tt]iming cache:DeprecationWarning")
    def test_times_are_kept_for_the_next_build(self, tensorrt, onnx_file, tmp_path):
        timings = Timings(tmp_path, "tensorrt", "11.4.0", "RTX A6000")
        for _ in range(2):
            assert build(tensorrt, onnx_file(RELU), EXACT, timings=timings).data
        assert timings.file.path.exists()

    @pytest.mark.filterwarnings("ignore:.*[Tt]iming cache:DeprecationWarning")
    def test_times_that_do_not_fit_are_left_out(self, tensorrt, onnx_file):
        given = []

        class Foreign:
            def read(self):
                return b"of another GPU"

            def merge(self, config):
                given.append(config.get_timing_cache())

        assert build(tensorrt, onnx_file(RELU), EXACT, timings=Foreign()).data
        assert len(given) == 1

    def test_a_version_compatible_engine_is_asked_for(self, tensorrt, onnx_file):
        plan = prepare(parse(tensorrt, onnx_file(RELU)), BuildSettings(EXACT.profile, version_compatible=True))
        assert plan.config.get_flag(tensorrt.module.BuilderFlag.VERSION_COMPATIBLE)
        assert not plan.config.get_flag(tensorrt.module.BuilderFlag.REQUIRE_USER_ALLOCATION)
        assert plan.config.num_compute_capabilities == 0


class TestProgress:
    def test_a_build_reports_its_phases(self, rtx, onnx_file):
        parsed = parse(rtx, onnx_file(RELU))
        seen = []
        plan = prepare(parsed, EXACT, targets=["8.6"])
        watch = monitor(rtx.module, Reporter(seen.append, every_s=0.0))
        plan.config.progress_monitor = watch
        assert parsed.builder.build_serialized_network(parsed.network, plan.config)
        assert len(seen) > 10
        assert any(report.phase == "Building engine" for report in seen)
        assert all(0 < report.step <= report.steps for report in seen)

    def test_reports_are_seconds_apart(self):
        now, seen = [0.0], []
        reporter = Reporter(seen.append, every_s=5.0, clock=lambda: now[0])
        reporter.start("Timing", 100)
        for second in range(1, 13):
            now[0] = float(second)
            reporter.step("Timing", second)
        assert seen == [Progress("Timing", 5, 100, 5.0), Progress("Timing", 10, 100, 10.0)]

    def test_a_report_that_fails_does_not_stop_the_build(self, capsys):
        def fail(progress):
            raise RuntimeError("the pipe is closed")

        Reporter(fail, every_s=0.0).step("Timing", 1)
        assert "the pipe is closed" in capsys.readouterr().err

    def test_a_report_is_a_line_for_the_workers_log(self, capsys):
        print_progress(Progress("Timing tactics", 3, 40, 12.4))
        assert re.fullmatch(r"building the engine, 12 s: Timing tactics 3/40\n", capsys.readouterr().err)
