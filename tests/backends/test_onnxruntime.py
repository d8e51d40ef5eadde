import os
import subprocess
import sys
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import onnx
import pytest

from sweep import environment
from sweep.backends import onnxruntime as onnxruntime_backend
from sweep.backends.base import EngineRequest
from sweep.backends.onnxruntime import OnnxRuntimeBackend
from sweep.config.files import load_choice
from sweep.errors import BackendError, ConfigError
from sweep.loadgen.sut import check_answers
from sweep.models import model_config, resolve_model
from sweep.models.base import TensorSpec
from sweep.paths import cache_dir
from sweep.vocabulary import Precision

from .conformance import BackendConformance


@pytest.fixture(scope="module")
def digits():
    return resolve_model(model_config(load_choice("model", "digits")), Precision.FP32, cache_dir())


@pytest.fixture
def make_request(digits):
    def make(samples_per_query=4, engine_batch=None, **options):
        complete = OnnxRuntimeBackend.validate_options(options)
        return EngineRequest(
            digits.path, digits.inputs, True, samples_per_query, engine_batch or samples_per_query, complete
        )

    return make


class TestConformance(BackendConformance):
    @pytest.fixture
    def backend(self):
        return OnnxRuntimeBackend

    @pytest.fixture
    def request_of(self, make_request):
        return make_request


def test_nothing_is_left_in_the_users_home(digits, tmp_path):
    """ONNX Runtime writes an identifier and a database there, and sends, unless it is told not to before it begins."""
    code = f"""if True:
        from pathlib import Path
        from sweep.backends.base import EngineRequest
        from sweep.backends.onnxruntime import OnnxRuntimeBackend as Backend
        options = Backend.validate_options({{}})
        with Backend(EngineRequest(Path({str(digits.path)!r}), (), True, 1, 1, options)):
            pass
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    subprocess.run([sys.executable, "-c", code], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_samples_that_would_be_copied_are_refused(make_request):
    with OnnxRuntimeBackend(make_request()) as engine, pytest.raises(ValueError, match="C-contiguous"):
        engine.load({"samples": np.zeros((8, 8, 1, 12), np.uint8).transpose(3, 0, 1, 2)})


def test_a_file_that_is_no_model_is_named(tmp_path, make_request):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    request = make_request()
    wrong = EngineRequest(broken, request.inputs, True, 4, 4, request.options)
    with pytest.raises(BackendError, match="broken.onnx"):
        OnnxRuntimeBackend(wrong).__enter__()


def test_threads_left_out_become_the_cores_of_this_machine():
    assert OnnxRuntimeBackend.validate_options({})["threads"] >= 1
    assert OnnxRuntimeBackend.validate_options({"threads": 1})["threads"] == 1


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": "many"}, {"graph_optimization": "some"}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigError, match=f"backend.{next(iter(options))}"):
        OnnxRuntimeBackend.validate_options(options)


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    """Make a network whose integers are all at their limits; return its file and its answer to samples of 255."""
    activation, weight, count = 255, 127, 64
    helper, tensors = onnx.helper, onnx.TensorProto
    constants = {
        "scale": np.float32(1),
        "zero": np.uint8(0),
        "weight": np.full((count, 16, 1, 1), weight, np.int8).transpose(1, 0, 2, 3),
        "weight_scale": np.float32(1),
        "weight_zero": np.int8(0),
    }
    nodes = [
        helper.make_node("Cast", ["samples"], ["x"], to=tensors.FLOAT),
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
        helper.make_node("DequantizeLinear", ["weight", "weight_scale", "weight_zero"], ["w"]),
        helper.make_node("Conv", ["dq", "w"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "out_scale", "zero"], ["qy"]),
        helper.make_node("DequantizeLinear", ["qy", "out_scale", "zero"], ["scores"]),
    ]
    answer = activation * weight * count
    constants["out_scale"] = np.float32(answer / 200)
    graph = helper.make_graph(
        nodes,
        "loud",
        [helper.make_tensor_value_info("samples", tensors.UINT8, ["n", count, 4, 4])],
        [helper.make_tensor_value_info("scores", tensors.FLOAT, ["n", 16, 4, 4])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    path = tmp_path_factory.mktemp("loud") / "loud.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path, answer


def test_no_sum_of_integers_overflows(loud, tmp_path):
    """Fails, on a CPU without VNNI, where its fast kernels are left to add in 16 bits; others cannot show it."""
    path, answer = loud
    options = OnnxRuntimeBackend.validate_options({"threads": 1})
    samples = np.full((2, 64, 4, 4), 255, np.uint8)
    with OnnxRuntimeBackend(EngineRequest(path, (), False, 2, 2, options)) as engine:
        engine.load({"samples": samples})
        (scores,) = engine.run(0, 2, lambda: None)
    assert np.allclose(scores, answer, rtol=0.01)


@pytest.fixture
def warned(tmp_path):
    """Return a network of which ONNX Runtime warns as it loads it, and once more with each query."""
    helper, tensors = onnx.helper, onnx.TensorProto
    keep = helper.make_tensor("keep", tensors.BOOL, [8], [True] * 4 + [False] * 4)
    unused = helper.make_tensor("nobody_reads_it", tensors.FLOAT, [1], [0.0])
    graph = helper.make_graph(
        [helper.make_node("Compress", ["samples", "keep"], ["y"], axis=1)],
        "warned",
        [helper.make_tensor_value_info("samples", tensors.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", tensors.FLOAT, ["n", 7])],
        [keep, unused],
    )
    path = tmp_path / "warned.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def test_what_onnx_runtime_warns_of_is_kept_in_the_workers_log_and_costs_no_query_anything(warned, tmp_path):
    arguments = ["model=onnx", f"model.path={warned}", "run=quick", "batch=2", "min_query_count=64"]
    done = subprocess.run(
        [sys.executable, "-m", "sweep", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "nobody_reads_it" not in done.stdout + done.stderr
    assert "Expected shape" not in done.stdout + done.stderr
    (log,) = tmp_path.glob("outputs/trials/*/*/worker.log")
    assert log.read_text().count("nobody_reads_it") == 1
    assert log.read_text().count("Expected shape") == 1


def test_a_session_has_run_before_it_is_timed(warned, monkeypatch, capfd):
    """The warm-up may be over with the first query, where that took long."""
    opened, real = [], onnxruntime_backend.open_session

    def open_session(*arguments, **settings):
        opened.append(Mock(wraps=real(*arguments, **settings)))
        return opened[-1]

    monkeypatch.setattr(onnxruntime_backend, "open_session", open_session)
    inputs, options = (TensorSpec("samples", "float32", (8,)),), OnnxRuntimeBackend.validate_options({})
    with OnnxRuntimeBackend(EngineRequest(warned, inputs, False, 2, 2, options)) as backend:
        backend.load({"samples": np.zeros((2, 8), np.float32)})
        backend.run(0, 2, lambda: None)
    assert [session.run.call_count for session in opened] == [1, 1]


@pytest.fixture
def ragged(tmp_path):
    """Return a maker of backends for a model whose output keeps those columns that are positive in the first sample."""

    def make(batch, axis, samples, engine_batch):
        constants = [onnx.numpy_helper.from_array(np.array(0, np.float32), "zero")]
        nodes = [
            onnx.helper.make_node("ReduceMax", ["x"], ["most"], axes=[1 - axis], keepdims=0),
            onnx.helper.make_node("Greater", ["most", "zero"], ["keep"]),
            onnx.helper.make_node("Compress", ["x", "keep"], ["y"], axis=axis),
        ]
        shape = [None, None]
        shape[1 - axis] = batch if axis else 8
        values = [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [batch, 8])]
        outputs = [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)]
        graph = onnx.helper.make_graph(nodes, "ragged", values, outputs, constants)
        path = tmp_path / "ragged.onnx"
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
        options = OnnxRuntimeBackend.validate_options({})
        inputs = (TensorSpec("x", "float32", (8,)),)
        return OnnxRuntimeBackend(EngineRequest(path, inputs, False, samples, engine_batch, options))

    return make


def _run(backend, samples):
    with backend:
        backend.load({"x": samples})
        for slot in (0, 1):
            answers = backend.run(slot, 2, lambda: None)
            check_answers(answers, 2, slot, predicts_class=False, counted=backend.counts_answers)
    return answers


SAMPLES = np.array([[1, 1, -1, -1, -1, -1, -1, 1], [-1, -1, 1, -1, -1, -1, -1, -1], [1] * 8], np.float32)


@pytest.mark.parametrize(("batch", "engine_batch"), [(1, 1), ("N", 1), ("N", 2)])
def test_outputs_whose_extents_depend_on_the_data_are_not_joined(ragged, batch, engine_batch):
    answers = _run(ragged(batch, 1, 2, engine_batch), SAMPLES)
    assert [len(answer) for answer in answers] == [engine_batch] * (2 // engine_batch)


def test_one_sample_may_have_any_number_of_rows(ragged):
    """How many, the data says: of the three samples one has a row, and two have eight or none."""
    assert [answer.shape for answer in _run(ragged(1, 0, 2, 1), SAMPLES - 0.5)] == [(1, 8), (1, 8)]
    assert [answer.shape for answer in _run(ragged(1, 0, 2, 1), -np.ones((3, 8), np.float32))] == [(0, 8), (0, 8)]


@pytest.mark.parametrize("engine_batch", [1, 2])
def test_rows_that_are_no_samples_are_refused(ragged, engine_batch):
    samples = np.array([[1] * 8, [-1] * 8, [1] * 8], np.float32)
    with pytest.raises(BackendError, match="output y: axis 0.* is not the batch"):
        _run(ragged("N", 0, 2, engine_batch), samples)


@pytest.mark.parametrize(("features", "exact"), [(["avx2"], True), (["avx2", "avx_vnni"], False)])
def test_exact_kernels_are_asked_for_where_fast_ones_overflow(digits, make_request, monkeypatch, features, exact):
    """With VNNI they are only slower, by more than twice."""
    machine = {**environment.fingerprint(), "machine": "x86_64", "cpu_features": features}
    monkeypatch.setattr(environment, "fingerprint", lambda: machine)
    with OnnxRuntimeBackend(make_request()) as engine:
        options = engine._session.get_session_options()
        try:
            asked = options.get_session_config_entry("session.x64quantprecision") == "1"
        except RuntimeError:  # it has no such entry
            asked = False
    assert asked is exact


@pytest.mark.parametrize(
    ("level", "asked", "used"),
    [
        ("all", "all", "all"),
        ("basic", "all", "basic"),
        ("basic", "disabled", "disabled"),
        ("extended", "basic", "basic"),
    ],
)
def test_no_higher_level_is_used_than_a_model_can_be_loaded_at(digits, level, asked, used):
    options = OnnxRuntimeBackend.validate_options({"graph_optimization": asked})
    chosen = OnnxRuntimeBackend.options_for_model(options, replace(digits, level=level))
    assert chosen == {**options, "graph_optimization": used}


@pytest.mark.parametrize(
    ("machine", "features", "has_int8", "kernels"),
    [
        ("x86_64", ["avx512_vnni"], True, "vnni"),
        ("x86_64", ["avx512_vnni"], False, ""),
        ("x86_64", ["avx2"], True, ""),
        ("aarch64", ["asimd"], True, ""),
    ],
)
def test_kernels_are_named_where_older_records_had_others(digits, monkeypatch, machine, features, has_int8, kernels):
    monkeypatch.setattr(environment, "fingerprint", lambda: {"machine": machine, "cpu_features": features})
    assert OnnxRuntimeBackend.kernels(replace(digits, has_int8=has_int8)) == kernels
