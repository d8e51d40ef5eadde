"""What LoadGen gets is what the user.conf beside its logs says."""

import subprocess
import sys
from dataclasses import replace

import pytest

from sweep.loadgen.seeds import ROUND_SEEDS
from sweep.loadgen.user_conf import LoadGenSettings, render_user_conf

pytest.importorskip("mlperf_loadgen")

SETTINGS = LoadGenSettings(
    model="resnet",
    samples_per_query=31,
    expected_latency_ns=1_234_567,
    percentile=97.5,
    min_query_count=1234,
    max_query_count=5678,
    min_duration_ms=1500,
    max_duration_ms=60_000,
    performance_sample_count=77,
)

# LoadGen reads its configuration once per process, so that each side has its own.
BY_LOADGEN = """
import mlperf_loadgen as lg, sys
test = lg.TestSettings()
test.scenario = lg.TestScenario.MultiStream
test.mode = lg.TestMode.PerformanceOnly
assert test.FromConfig(sys.argv[1], "resnet", "MultiStream", 1) == 0
"""
BY_SWEEP = """
from sweep.loadgen.runner import effective_settings
from sweep.loadgen.user_conf import LoadGenSettings
from sweep.vocabulary import TestMode
from dataclasses import replace
settings = {settings!r}
effective_settings(replace(settings, samples_per_query=2, max_query_count=0, percentile=99.0), TestMode.ACCURACY)
test = effective_settings(settings, TestMode.PERFORMANCE)
"""
SHOW = """
print({name: str(getattr(test, name)) for name in dir(test) if not name.startswith("_") and name != "FromConfig"})
"""


def _fields(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code + SHOW, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_settings_equal_what_loadgen_reads_from_the_user_conf(tmp_path):
    conf = tmp_path / "user.conf"
    conf.write_text(render_user_conf(SETTINGS))
    by_loadgen = _fields(BY_LOADGEN, str(conf))
    assert "'multi_stream_samples_per_query': '31'" in by_loadgen
    assert by_loadgen == _fields(BY_SWEEP.format(settings=SETTINGS))


BY_ROUNDS = """
from dataclasses import replace
from sweep.loadgen.runner import effective_settings
from sweep.loadgen.user_conf import LoadGenSettings
from sweep.vocabulary import TestMode
settings = {settings!r}
for seeds in (None, "v5.1", None):
    test = effective_settings(replace(settings, seeds=seeds), TestMode.PERFORMANCE)
    print(test.qsl_rng_seed, test.sample_index_rng_seed, test.schedule_rng_seed)
"""


def test_a_round_s_seeds_replace_loadgen_s_own_for_that_test_alone():
    """A worker measures many tests: seeds that stayed behind would be those of no round that the record names."""
    code = BY_ROUNDS.format(settings=SETTINGS)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    before, during, after = done.stdout.splitlines()
    assert during.split() == [str(seed) for seed in ROUND_SEEDS["v5.1"].by_setting().values()]
    assert before == after != during
    assert "0" not in before.split()


def test_the_user_conf_says_whose_seeds_were_used():
    text = render_user_conf(replace(SETTINGS, seeds="v6.0"))
    assert text.startswith(render_user_conf(SETTINGS))
    assert f"# qsl_rng_seed = {ROUND_SEEDS['v6.0'].qsl}\n" in text
