"""The whole executor on a real GPU, by each backend that can run here; skipped, with the reason, where none can."""

import json

import numpy as np
import pytest

from sweep.backends.base import EngineRequest
from sweep.backends.gpu.parts import ALIGNMENT
from sweep.backends.gpu.pipeline import Pipeline
from sweep.backends.registry import backend_class, backend_names
from sweep.cli import main
from sweep.config.calibration import CalibrationSettings, calibration_for
from sweep.config.files import load_choice
from sweep.datasets import DatasetConfig, open_dataset
from sweep.models import model_config, resolve_model
from sweep.models.serving import serving_specs
from sweep.paths import cache_dir
from sweep.vocabulary import COMPUTED, Precision

pytestmark = pytest.mark.gpu

_GPU_BACKENDS = [name for name in backend_names() if backend_class(name).uses_gpu]
_BATCH = 50


@pytest.fixture(params=_GPU_BACKENDS)
def gpu_backend(request):
    availability = backend_class(request.param).availability()
    if not availability.available:
        pytest.skip(f"{request.param}: {availability.detail}")
    return request.param


def _records(outputs):
    return [json.loads(path.read_text()) for path in sorted(outputs.glob("trials/*/*/result.json"))]


def _answers(backend, precision, **options):
    """Answers of every held-out digit."""
    config = model_config(load_choice("model", "digits"))
    calibration = calibration_for(CalibrationSettings(), DatasetConfig(name="digits"), serving_specs(config)[0])
    model = resolve_model(config, Precision(precision), cache_dir(), calibration)
    dataset = open_dataset(DatasetConfig(name="digits"), model.inputs, cache_dir())
    samples = {spec.name: np.empty((dataset.count, *spec.shape), spec.dtype) for spec in model.inputs}
    dataset.read_into(list(range(dataset.count)), samples)
    kind = backend_class(backend)
    request = EngineRequest(
        model_path=model.path,
        inputs=model.inputs,
        predicts_class=True,
        samples_per_query=_BATCH,
        engine_batch=options.pop("engine_batch", _BATCH),
        options=kind.validate_options(options),
        model_digest=model.digest,
        precision=str(precision),
        cache=cache_dir(),
    )
    with kind(request) as engine:
        engine.load(samples)
        parts = [engine.run(slot, _BATCH, lambda: None)[0].copy() for slot in range(0, dataset.count, _BATCH)]
    return np.concatenate(parts), dataset.labels


@pytest.mark.parametrize("precision", COMPUTED)
def test_a_test_runs_to_its_verdict(gpu_backend, precision, tmp_path, capsys):
    line = [f"backend={gpu_backend}", "model=digits", f"precision={precision}", "run=quick", f"outputs={tmp_path}"]
    assert main([*line, "batch=16"]) == 0, capsys.readouterr()
    (record,) = _records(tmp_path)
    assert record["state"] == "COMPLETE"
    assert record["result"] == "VALID", record["why"]
    assert 0 < record["device_latencies"]["percentiles"]["p50"] < record["latencies"]["percentiles"]["p50"]
    assert record["engine"]["launches_per_query"] == 1
    assert record["engine"]["cuda_graphs"] is True, record["notes"]


@pytest.mark.parametrize("precision", COMPUTED)
def test_answers_are_those_of_the_cpu_sample_by_sample(gpu_backend, precision):
    on_cpu, labels = _answers("onnxruntime", precision)
    on_gpu, _ = _answers(gpu_backend, precision)
    differ = np.flatnonzero(on_cpu != on_gpu)
    # Ties and near-ties alone may differ: where both are sure, they agree.
    assert len(differ) <= (0 if precision == "fp32" else 2), list(zip(on_cpu[differ], on_gpu[differ], strict=True))
    assert (on_gpu == np.asarray(labels)).mean() > 0.98


@pytest.mark.parametrize(
    "options",
    [
        {"cuda_graphs": False},
        {"copy_stream": False},
        {"engine_batch": 7},
        {"engine_batch": 8},
        {"engine_batch": 8, "cuda_graphs": False},
        {"samples": "device"},
        {"host_memory": "pageable"},
    ],
    ids=str,
)
def test_the_way_of_a_query_changes_no_answer(gpu_backend, options):
    assert (_answers(gpu_backend, "fp32", **options)[0] == _answers(gpu_backend, "fp32")[0]).all()


@pytest.mark.parametrize("engine_batch", [7, 8, 13, 32])
def test_every_launch_of_a_split_query_is_aligned(gpu_backend, engine_batch, monkeypatch):
    """TensorRT refuses any other address; another engine is given the same ones."""
    addresses, made = [], Pipeline.__init__

    def watch(self, cuda, compute, engine, *rest):
        bind = engine.bind

        def watched(count, inputs, outputs, stream):
            addresses.extend([*inputs.values(), *outputs.values()])
            return bind(count, inputs, outputs, stream)

        engine.bind = watched
        made(self, cuda, compute, engine, *rest)

    monkeypatch.setattr(Pipeline, "__init__", watch)
    split, _ = _answers(gpu_backend, "fp32", engine_batch=engine_batch)
    assert len(addresses) == 2 * -(-_BATCH // engine_batch)
    assert not [address for address in addresses if address % ALIGNMENT]
    assert (split == _answers(gpu_backend, "fp32")[0]).all()


def test_a_size_that_comes_back_after_another_answers_as_before(gpu_backend):
    """ONNX Runtime's graphs of one size hung, or failed, once its convolutions had kernels for another."""
    model = resolve_model(model_config(load_choice("model", "resnet")), Precision.FP16, cache_dir(), None)
    (spec,) = model.inputs
    samples = np.random.default_rng(0).integers(0, 256, (40, *spec.shape), dtype=spec.dtype)
    kind = backend_class(gpu_backend)
    options = kind.validate_options({})
    request = EngineRequest(model.path, model.inputs, True, 40, 16, options, model.digest, "fp16", cache_dir())
    with kind(request) as engine:
        engine.load({spec.name: samples})
        first = engine.run(0, 40, lambda: None)[0].copy()
        for count in (40, 20, 40, 8, 40):
            assert (engine.run(0, count, lambda: None)[0] == first[:count]).all(), count


def test_accuracy_mode_with_a_last_query_that_is_smaller(gpu_backend, tmp_path, capsys):
    line = [f"backend={gpu_backend}", "model=digits", "mode=accuracy", "batch=48", f"outputs={tmp_path}"]
    assert main(line) == 0, capsys.readouterr()
    (record,) = _records(tmp_path)
    assert record["accuracy"] == {**record["accuracy"], "good": 498, "total": 500}


def test_too_large_a_query_is_out_of_memory_and_the_next_test_runs(gpu_backend, tmp_path, capsys):
    """Fails where a context that an error has left behind is used again, or memory that ran out has another name."""
    if gpu_backend != "onnxruntime_cuda":
        pytest.skip("only ONNX Runtime can be given less memory than the GPU has")
    line = [f"backend={gpu_backend}", "backend.memory_limit_mib=2048", "model=resnet", f"outputs={tmp_path}"]
    line += ["performance_sample_count=8", "run=quick", "min_query_count=20", "max_query_count=20"]
    assert main([*line, "-m", "batch=2048,4"]) == 1, capsys.readouterr()
    by_size = {record["spec"]["samples_per_query"]: record for record in _records(tmp_path)}
    assert by_size[4]["state"] == "COMPLETE", by_size[4]["failure"]
    failure = by_size[2048]["failure"]
    assert failure["kind"] == "out of memory", failure
    assert "2048 samples" in failure["message"]
    assert "MiB are free on the device" in failure["message"]
