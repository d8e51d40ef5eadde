"""Runs one LoadGen test in this process. LoadGen cannot be stopped once it runs: an abortable test needs its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import mlperf_loadgen as lg

from sweep.loadgen.qsl import SampleStore
from sweep.loadgen.user_conf import LoadGenSettings, render_user_conf
from sweep.vocabulary import TestMode

_MODES = {
    TestMode.PERFORMANCE: lg.TestMode.PerformanceOnly,
    TestMode.ACCURACY: lg.TestMode.AccuracyOnly,
}
_USER_CONF = 1  # LoadGen's own mark of a user.conf, as against a replacement of mlperf.conf


class LoadGenError(RuntimeError):
    """LoadGen refused its settings."""


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
        LoadGenError: LoadGen did not take the user.conf.
    """
    conf = directory / "user.conf"
    conf.write_text(render_user_conf(settings))
    test = lg.TestSettings()
    test.scenario = lg.TestScenario.MultiStream
    if (code := test.FromConfig(str(conf), settings.model, "MultiStream", _USER_CONF)) != 0:
        raise LoadGenError(f"LoadGen refused {conf} (code {code})")
    test.mode = _MODES[mode]

    output = lg.LogOutputSettings()
    output.outdir = str(directory)
    output.copy_summary_to_stdout = False
    log = lg.LogSettings()
    log.log_output = output
    log.enable_trace = False

    def unload(indices: Sequence[int]) -> None:
        """Keep the samples: the next test is likely to want them."""

    qsl = lg.ConstructQSL(total_sample_count, settings.performance_sample_count, store.load, unload)
    sut = lg.ConstructFastSUT(issue, flush)
    try:
        # An empty name: an audit.config that happens to lie in the working directory must not change the test.
        lg.StartTestWithLogSettings(sut, qsl, test, log, "")
    finally:
        lg.DestroyFastSUT(sut)
        lg.DestroyQSL(qsl)
