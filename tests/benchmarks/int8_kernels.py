"""int8 on this CPU by the exact kernels that every session used to ask for, and by those of now; beside fp32."""

import statistics
import time

import numpy as np

from sweep.config.calibration import CalibrationSettings, calibration_for
from sweep.config.files import load_choice
from sweep.datasets.base import DatasetConfig
from sweep.environment import has_fast_int8, usable_cores
from sweep.models import model_config, resolve_model
from sweep.models.integer_kernels import for_onnx_runtime
from sweep.models.ort import EXACT_INT8, runtime, session_options
from sweep.models.serving import serving_specs
from sweep.paths import cache_dir
from sweep.vocabulary import Precision

MODELS = ("mobilenet", "resnet")
_IMAGES = 4
_QUERIES = 20
"""Of each session, in turn with the others, per round."""
_SETTLING = 5
"""Queries before them, while the threads of the session before still spin."""


def _session(path, *, exact):
    ort = runtime()
    options = session_options(ort)
    options.intra_op_num_threads = usable_cores()
    if exact:
        options.add_session_config_entry(EXACT_INT8, "1")
    return ort.InferenceSession(for_onnx_runtime(path) or str(path), options, providers=["CPUExecutionProvider"])


def _row(name, rounds):
    config = model_config(load_choice("model", name))
    settings = CalibrationSettings(count=8)  # what the ranges are has no part in how long it takes
    calibration = calibration_for(settings, DatasetConfig(name="synthetic"), serving_specs(config)[0])
    path = resolve_model(config, Precision.INT8, cache_dir(), calibration).path
    sessions = {
        "fp32": _session(resolve_model(config, Precision.FP32, cache_dir()).path, exact=False),
        "before": _session(path, exact=True),
        "now": _session(path, exact=False),
    }
    images = np.random.default_rng(0).integers(0, 256, (_IMAGES, *config.sample_shape), dtype=np.uint8)
    answers = {kind: session.run(None, {"samples": images})[0] for kind, session in sessions.items()}
    times = {kind: [] for kind in sessions}
    ratios = []
    for _ in range(rounds):
        medians = {}
        for kind, session in sessions.items():
            own = []
            for _ in range(_SETTLING):
                session.run(None, {"samples": images})
            for _ in range(_QUERIES):
                begin = time.perf_counter_ns()
                session.run(None, {"samples": images})
                own.append(time.perf_counter_ns() - begin)
            times[kind] += own
            medians[kind] = statistics.median(own)
        ratios.append(medians["before"] / medians["now"])
    same = "yes" if (answers["before"] == answers["now"]).all() else "NO"
    shown = [f"{statistics.median(one) / 1e6:.2f}" for one in times.values()]
    ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"| {name}, {_IMAGES} | {' | '.join(shown)} | {ratio} | {same} |"


def measure(rounds):
    """Run all sessions in turn, `rounds` times; yield the table's lines."""
    if not has_fast_int8():
        yield "without VNNI the exact kernels are still asked for: both columns of int8 are the same"
    yield "| model, images | fp32, ms | int8 before, ms | int8 now, ms | before / now | same classes |"
    yield "|---|---|---|---|---|---|"
    for name in MODELS:
        yield _row(name, rounds)
