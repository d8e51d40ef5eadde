"""Runs one LoadGen test in this process. LoadGen cannot be stopped once it runs: an abortable test needs its own."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import mlperf_loadgen as lg

from sweep.loadgen.qsl import SampleStore
from sweep.loadgen.seeds import ROUND_SEEDS, Seeds
from sweep.loadgen.user_conf import LoadGenSettings, render_user_conf
from sweep.paths import AttemptPaths, in_utf8
from sweep.vocabulary import TestMode

_MODES = {
    TestMode.PERFORMANCE: lg.TestMode.PerformanceOnly,
    TestMode.ACCURACY: lg.TestMode.AccuracyOnly,
}
_USER_CONF = 1  # LoadGen's own mark of a user.conf, as against a replacement of mlperf.conf

_QUERY_BYTES, _SAMPLE_BYTES = 540, 97
"""What LoadGen 6.0 keeps for a query that it prepares, and for each of its samples: measured at N from 1 to 512."""


def prepared_bytes(settings: LoadGenSettings, mode: TestMode) -> int:
    """Return the memory that LoadGen's list of queries takes: it is made, whole, before the first is sent.

    Accuracy mode heeds neither counts nor durations: it lists each sample once.
    """
    if mode is TestMode.ACCURACY:
        return 0
    by_duration = settings.min_duration_ms * 1_000_000 // settings.expected_latency_ns
    count = max(settings.min_query_count, by_duration)
    return count * (_QUERY_BYTES + _SAMPLE_BYTES * settings.samples_per_query)


class LoadGenError(RuntimeError):
    """LoadGen refused its settings."""


@functools.cache
def _process_settings() -> tuple[lg.TestSettings, Seeds]:
    """Return this process's one TestSettings, and the seeds of LoadGen's built-in mlperf.conf.

    LoadGen applies mlperf.conf on the first `FromConfig` of a process only: a second one leaves every seed at 0 and
    writes the error "Multiple conf files are used" into the next log (LoadGen 5.1 and 6.0).
    """
    test = lg.TestSettings()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as nothing:
        if (code := test.FromConfig(nothing.name, "sweep", "MultiStream", _USER_CONF)) != 0:
            raise LoadGenError(f"LoadGen did not apply its mlperf.conf (code {code})")
    if 0 in (test.qsl_rng_seed, test.sample_index_rng_seed, test.schedule_rng_seed):
        raise LoadGenError("LoadGen's mlperf.conf gave a seed of 0: it was applied before in this process")
    return test, Seeds(test.qsl_rng_seed, test.sample_index_rng_seed, test.schedule_rng_seed)


def effective_settings(settings: LoadGenSettings, mode: TestMode) -> lg.TestSettings:
    """Return what LoadGen gets: mlperf.conf under `settings`, as if it had read the user.conf of `settings`.

    The object is shared by the tests of a process; each call sets every field that any call sets.
    """
    test, seeds = _process_settings()
    if settings.seeds is not None:
        seeds = ROUND_SEEDS[settings.seeds]
    test.qsl_rng_seed = seeds.qsl
    test.sample_index_rng_seed = seeds.sample_index
    test.schedule_rng_seed = seeds.schedule
    test.scenario = lg.TestScenario.MultiStream
    test.mode = _MODES[mode]
    test.multi_stream_samples_per_query = settings.samples_per_query
    test.multi_stream_expected_latency_ns = settings.expected_latency_ns
    test.multi_stream_target_latency_percentile = settings.percentile / 100
    test.min_query_count = settings.min_query_count
    test.max_query_count = settings.max_query_count
    test.min_duration_ms = settings.min_duration_ms
    test.max_duration_ms = settings.max_duration_ms
    test.performance_sample_count_override = settings.performance_sample_count
    return test


def run_test(
    settings: LoadGenSettings,
    mode: TestMode,
    total_sample_count: int,
    directory: Path,
    store: SampleStore,
    issue: Callable[[list[int], list[int]], None],
    flush: Callable[[], None],
) -> None:
    """Run a MultiStream test to its end; LoadGen's logs and the user.conf as used are left in `directory`.

    Args:
        settings: What user.conf sets.
        mode: Performance or accuracy.
        total_sample_count: Samples in the dataset; accuracy mode runs them all.
        directory: Existing folder for the logs.
        store: Loads the samples that LoadGen asks for.
        issue: The system under test: (response ids, sample indices).
        flush: Called by LoadGen after the last query.

    Raises:
        LoadGenError: LoadGen did not apply its mlperf.conf.
    """
    AttemptPaths(directory).user_conf.write_text(render_user_conf(settings))
    test = effective_settings(settings, mode)

    output = lg.LogOutputSettings()
    output.copy_summary_to_stdout = False
    log = lg.LogSettings()
    log.enable_trace = False

    def unload(indices: Sequence[int]) -> None:
        """Keep the samples: the next test is likely to want them."""

    qsl = lg.ConstructQSL(total_sample_count, settings.performance_sample_count, store.load, unload)
    sut = lg.ConstructFastSUT(issue, flush)
    try:
        with in_utf8(directory) as output.outdir:
            log.log_output = output  # LoadGen takes a copy
            # An empty name: an audit.config that happens to lie in the working directory must not change the test.
            lg.StartTestWithLogSettings(sut, qsl, test, log, "")
    finally:
        lg.DestroyFastSUT(sut)
        lg.DestroyQSL(qsl)
