"""Peak memory of a worker with 1024 samples of ResNet-50, beside what it cannot do without."""

import statistics

from commands import empty_folder, records, run

_SAMPLES = 1024
_SAMPLE_BYTES = 224 * 224 * 3
_MODEL_BYTES = 25_557_032 * 4  # parameters of ResNet-50, fp32
_MB = 1e6
_TEST = ["-m", "sweep", "model=resnet", "run=quick", "batch=1", "target_latency_ms=1"]


def measure(rounds):
    """Run the model on few and on many samples in turn, `rounds` times; return the table's lines."""
    peaks = {8: [], _SAMPLES: []}
    for _ in range(rounds):
        for count, seen in peaks.items():
            with empty_folder() as folder:
                _, peak = run([*_TEST, f"dataset.count={count}"], folder)
                ((_, record),) = records(folder)
                if record["spec"]["dataset"]["performance_sample_count"] != count:
                    raise RuntimeError("the worker did not load all samples")
            seen.append(peak)
    few, many = (statistics.median(seen) for seen in peaks.values())
    samples = _SAMPLES * _SAMPLE_BYTES
    return [
        "| worker of ResNet-50, N=1 | MB |",
        "|---|---|",
        f"| peak with 8 samples | {few / _MB:.0f} |",
        f"| peak with {_SAMPLES} samples | {many / _MB:.0f} |",
        f"| samples once | {samples / _MB:.0f} |",
        f"| model | {_MODEL_BYTES / _MB:.0f} |",
        f"| peak beyond samples once and model | {(many - samples - _MODEL_BYTES) / _MB:.0f} |",
    ]
