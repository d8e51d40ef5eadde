"""What lies between LoadGen and the engine: query latency when the engine does no work, by LoadGen's own clock."""

import array
import statistics
import tempfile
from pathlib import Path

import mlperf_loadgen as lg
import numpy as np

from sweep.datasets.synthetic import SyntheticDataset
from sweep.loadgen.logs import parse_summary
from sweep.loadgen.qsl import SampleStore
from sweep.loadgen.runner import effective_settings, run_test
from sweep.loadgen.sut import SystemUnderTest
from sweep.loadgen.user_conf import LoadGenSettings
from sweep.models.base import TensorSpec
from sweep.trial.worker import no_garbage_collection
from sweep.vocabulary import TestMode

SIZES = (32, 256, 1024, 4096)
_SAMPLES_A_TEST = 400_000
_DATASET_SAMPLES = 1024


class ZeroWorkEngine:
    """Answers at once."""

    def __init__(self, samples_per_query):
        self._labels = np.zeros(samples_per_query, np.int32)

    def run(self, slot, count, meanwhile):
        meanwhile()
        return (self._labels[:count],)


class QueryLog:
    """Keeps how long each query was in the SUT's hands, up to the engine's end."""

    def __init__(self):
        self.inside_ns = []

    def start(self) -> None:
        """Nobody waits for the first query."""

    def flushed(self):
        """Do nothing."""

    def record(self, latency_ns, device_ns):
        self.inside_ns.append(latency_ns)


def _settings(samples_per_query):
    queries = max(100, _SAMPLES_A_TEST // samples_per_query)
    return LoadGenSettings("benchmark", samples_per_query, 1000, 99.0, queries, queries, 0, 0, _DATASET_SAMPLES)


def _raise(error):
    raise error


def ours(samples_per_query, folder):
    """Return medians in ns: LoadGen's query latency, and the part of it outside the SUT.

    That part is LoadGen's making of the lists that the query comes in, and all that lies between the engine's end and
    the query's completion; so it is no less than the latter.
    """
    dataset = SyntheticDataset((TensorSpec("samples", "uint8", (1,)),), _DATASET_SAMPLES, seed=0)
    store = SampleStore(dataset, lambda samples: None, lambda: None)
    engine = ZeroWorkEngine(samples_per_query)
    log = QueryLog()
    sut = SystemUnderTest(
        engine.run, store, samples_per_query, answers=False, predicts_class=True, log=log, on_fault=_raise
    )
    settings = _settings(samples_per_query)
    with no_garbage_collection():  # as in the worker
        run_test(settings, TestMode.PERFORMANCE, _DATASET_SAMPLES, folder, store, sut.issue, sut.flush)
    median_ns = _median_ns(folder)
    return median_ns, median_ns - statistics.median(log.inside_ns)


def as_in_2020(samples_per_query, folder):
    """Return LoadGen's median query latency in ns, of a SUT that makes an array and a response for every sample."""
    settings = _settings(samples_per_query)
    labels = np.zeros(samples_per_query, np.float32)

    def issue(query_samples):
        responses, kept = [], []
        for sample, label in zip(query_samples, labels, strict=False):
            answer = array.array("B", np.array(label, np.float32).tobytes())
            kept.append(answer)
            address, length = answer.buffer_info()
            responses.append(lg.QuerySampleResponse(sample.id, address, length))
        lg.QuerySamplesComplete(responses)

    output = lg.LogOutputSettings()
    output.outdir = str(folder)
    log = lg.LogSettings()
    log.log_output = output
    log.enable_trace = False
    qsl = lg.ConstructQSL(_DATASET_SAMPLES, _DATASET_SAMPLES, lambda indices: None, lambda indices: None)
    sut = lg.ConstructSUT(issue, lambda: None)
    lg.StartTestWithLogSettings(sut, qsl, effective_settings(settings, TestMode.PERFORMANCE), log, "")
    lg.DestroySUT(sut)
    lg.DestroyQSL(qsl)
    return _median_ns(folder)


def _median_ns(folder):
    return parse_summary(folder / "mlperf_log_summary.txt").query_latency.percentiles_ns["p50"]


def measure(rounds):
    """Run both SUTs in turn, `rounds` times; return the table's lines."""
    lines = [
        "| N | as in 2020, us | sweep, us | ratio | sweep, engine's end to completion, ns a sample (at most) |",
        "|---|---|---|---|---|",
    ]
    for size in SIZES:
        theirs, mine, ratios, outside = [], [], [], []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as name:
                theirs.append(as_in_2020(size, Path(name)))
            with tempfile.TemporaryDirectory() as name:
                latency_ns, outside_ns = ours(size, Path(name))
            mine.append(latency_ns)
            outside.append(outside_ns / size)
            ratios.append(theirs[-1] / latency_ns)
        median = statistics.median
        lines.append(
            f"| {size} | {median(theirs) / 1e3:.1f} | {median(mine) / 1e3:.1f} | "
            f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}) | {median(outside):.0f} |"
        )
    return lines
