"""What each part of the GPU pipeline is worth: variants of one engine in turn, in one process, on one GPU."""

import os
import statistics
import time
from contextlib import ExitStack

import numpy as np

from sweep.backends.base import EngineRequest
from sweep.backends.registry import backend_class
from sweep.config.calibration import CalibrationSettings, calibration_for
from sweep.config.files import load_choice
from sweep.datasets.base import DatasetConfig
from sweep.datasets.synthetic import open_synthetic
from sweep.models import model_config, resolve_model
from sweep.models.serving import serving_specs
from sweep.paths import cache_dir
from sweep.vocabulary import Precision

BACKEND = os.environ.get("SWEEP_BENCHMARK_BACKEND", "onnxruntime_cuda")
PRECISIONS = os.environ.get("SWEEP_BENCHMARK_PRECISIONS", "fp32,fp16,int8").split(",")
SIZES = tuple(int(size) for size in os.environ.get("SWEEP_BENCHMARK_SIZES", "32,256,800").split(","))
_QUERIES = 15
_WARM = 5
_TORCH_BATCH = 256


def _variants(size):
    """Return options and engine batch by name; the first is what the others are compared with."""
    quarter = -(-size // 4)
    return {
        "as it is": ({}, size),
        "split in 2": ({}, -(-size // 2)),
        "split in 4": ({}, quarter),
        "split in 8": ({}, -(-size // 8)),
        "split in 4, no copy stream": ({"copy_stream": False}, quarter),
        "no CUDA graphs": ({"cuda_graphs": False}, size),
        "pageable samples": ({"host_memory": "pageable"}, size),
        "samples on the device": ({"samples": "device"}, size),
    }


def _enter(stack, model, options, size, engine_batch, samples):
    backend = backend_class(BACKEND)
    request = EngineRequest(
        model_path=model.path,
        inputs=model.inputs,
        predicts_class=True,
        samples_per_query=size,
        engine_batch=engine_batch,
        options=backend.validate_options(options),
        model_digest=model.digest,
        precision=str(model.number_format),
        cache=cache_dir(),
    )
    engine = stack.enter_context(backend(request))
    engine.load(samples)
    return engine


def _queries(engine, size, slots, count):
    """Return latencies and device times of `count` queries, in ns."""
    latencies, device = [], []
    for number in range(count):
        slot = number * size % (slots - size + 1)
        begin = time.perf_counter_ns()
        engine.run(slot, size, lambda: None)
        latencies.append(time.perf_counter_ns() - begin)
        device.append(engine.device_ns())
    return latencies, device


def _rows(precision, size, rounds):
    config = model_config(load_choice("model", "resnet"))
    calibration = calibration_for(CalibrationSettings(), DatasetConfig(name="synthetic"), serving_specs(config)[0])
    model = resolve_model(config, Precision(precision), cache_dir(), calibration)
    dataset = open_synthetic(DatasetConfig(name="synthetic", count=size + 64), model.inputs, cache_dir())
    pristine = {spec.name: np.empty((dataset.count, *spec.shape), spec.dtype) for spec in model.inputs}
    dataset.read_into(list(range(dataset.count)), pristine)
    variants = _variants(size)
    latencies = {name: [] for name in variants}
    device = {name: [] for name in variants}
    ratios = {name: [] for name in variants}
    with ExitStack() as stack:
        engines = {}
        for name, (options, engine_batch) in variants.items():
            samples = {key: array.copy() for key, array in pristine.items()}  # no page may be locked twice
            engines[name] = _enter(stack, model, options, size, engine_batch, samples)
            _queries(engines[name], size, dataset.count, _WARM)
        for _ in range(rounds):
            medians = {}
            for name, engine in engines.items():
                total, inside = _queries(engine, size, dataset.count, _QUERIES)
                latencies[name] += total
                device[name] += inside
                medians[name] = statistics.median(total)
            for name, median in medians.items():
                ratios[name].append(median / medians["as it is"])
    for name in variants:
        p50, inside = statistics.median(latencies[name]), statistics.median(device[name])
        low, high = min(ratios[name]), max(ratios[name])
        ratio = f"{statistics.median(ratios[name]):.3f} ({low:.3f} to {high:.3f})"
        outside = 100 * (1 - inside / p50)
        yield f"| {precision} | {size} | {name} | {p50 / 1e6:.3f} | {inside / 1e6:.3f} | {outside:.2f} | {ratio} |"


def _torch_eager(rounds):
    """Yield PyTorch's time of the same network for samples that are on the device already, normalised."""
    try:
        import torch
        import torchvision
    except ImportError:
        yield "PyTorch or torchvision is not installed: no comparison with it"
        return
    if not torch.cuda.is_available():
        yield "PyTorch finds no GPU: no comparison with it"
        return
    torch.backends.cudnn.benchmark = True
    for dtype, name in ((torch.float32, "fp32 (TF32)"), (torch.float16, "fp16")):
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        network = torchvision.models.resnet50().eval().cuda().to(dtype=dtype, memory_format=torch.channels_last)
        images = torch.randn(_TORCH_BATCH, 3, 224, 224, device="cuda", dtype=dtype)
        images = images.to(memory_format=torch.channels_last)
        times = []
        with torch.inference_mode():
            for number in range(10 + rounds * _QUERIES):
                torch.cuda.synchronize()
                begin = time.perf_counter_ns()
                network(images)
                torch.cuda.synchronize()
                if number >= 10:
                    times.append(time.perf_counter_ns() - begin)
        median_ms = statistics.median(times) / 1e6
        yield f"PyTorch {torch.__version__} eager, channels-last, {name}, {_TORCH_BATCH} images: {median_ms:.2f} ms"


def measure(rounds):
    """Run all variants in turn, `rounds` times; yield the table's lines."""
    availability = backend_class(BACKEND).availability()
    yield f"backend {BACKEND}: {availability.detail}"
    if not availability.available:
        yield "not measured: this machine cannot run it"
        return
    yield "| precision | N | variant | p50, ms | device, ms | not device, % | against the first |"
    yield "|---|---|---|---|---|---|---|"
    for precision in PRECISIONS:
        for size in SIZES:
            yield from _rows(precision, size, rounds)
    yield from _torch_eager(rounds)
