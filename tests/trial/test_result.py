"""Records that contradict themselves are refused, whoever writes them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sweep.errors import RecordError
from sweep.loadgen.logs import parse_summary
from sweep.trial.executor import Executor, Timeouts
from sweep.trial.result import SCHEMA_VERSION, Failure, TrialResult
from sweep.trial.trial import run_trial
from sweep.vocabulary import TrialState, Verdict


@pytest.fixture(scope="module")
def executor():
    with Executor(Timeouts(30, 5)) as shared:
        yield shared


@pytest.fixture
def valid(executor, simulated, request_for):
    result = run_trial(executor, request_for(simulated()), 1)
    assert result.result is Verdict.VALID
    return result


def test_a_record_survives_json(valid):
    text = json.dumps(valid.to_json())
    assert TrialResult.from_json(json.loads(text), "here") == valid


def test_aborted_and_failed_records_survive_json(executor, simulated, request_for):
    for spec in (simulated(base_ms=30, target_ms=5), simulated(fault="throw", fault_at=0)):
        result = run_trial(executor, request_for(spec), 1)
        assert TrialResult.from_json(result.to_json(), "here") == result


def test_valid_with_a_check_that_does_not_hold_is_refused(valid):
    broken = tuple(replace(check, holds=False) if check.required else check for check in valid.checks)
    with pytest.raises(ValueError, match="VALID needs every required check"):
        replace(valid, checks=broken)


def test_valid_without_checks_is_refused(valid):
    with pytest.raises(ValueError, match="VALID needs"):
        replace(valid, checks=())


def test_valid_that_forgets_a_check_of_its_rules_is_refused(valid):
    with pytest.raises(ValueError, match="checks that its rules name"):
        replace(valid, checks=valid.checks[:-1])


def test_failed_with_a_verdict_is_refused(valid):
    failure = Failure("crash", "gone", "")
    with pytest.raises(ValueError, match="only a COMPLETE trial has a verdict"):
        replace(valid, state=TrialState.FAILED, failure=failure)


def test_complete_without_a_verdict_is_refused(valid):
    with pytest.raises(ValueError, match="has a verdict"):
        replace(valid, result=None)


def test_a_foreign_digest_is_refused(valid):
    with pytest.raises(ValueError, match="digest"):
        replace(valid, spec_digest="0" * 64)


def test_a_tampered_file_is_refused_by_name(valid):
    data = valid.to_json()
    data["spec"]["samples_per_query"] += 1
    with pytest.raises(RecordError, match="somewhere: damaged"):
        TrialResult.from_json(data, "somewhere")


@pytest.mark.parametrize("data", [None, [], "x", {}, {"schema_version": "1"}, {"schema_version": 1}])
def test_foreign_json_is_refused_by_name(data):
    with pytest.raises(RecordError, match="somewhere"):
        TrialResult.from_json(data, "somewhere")


def test_a_newer_schema_is_refused_with_the_way_out(valid):
    data = {**valid.to_json(), "schema_version": SCHEMA_VERSION + 1}
    with pytest.raises(RecordError, match="newer sweep.*update"):
        TrialResult.from_json(data, "somewhere")


def test_a_stand_in_engine_is_named(valid):
    assert any("stand-in" in note for note in valid.notes)


def test_figures_are_loadgens_when_it_ran_to_its_end(valid):
    assert valid.latencies is not None
    assert valid.latencies.source == "loadgen"
    assert valid.percentile_ns == valid.latencies.percentiles["p99"]


def test_logs_that_are_not_of_this_test_make_it_failed(executor, simulated, request_for, monkeypatch):
    """A summary with a better p99 than the queries that were seen must never become a verdict."""
    from sweep.loadgen.summary import Metric
    from sweep.trial import trial

    real = trial.parse_summary

    def flattering(path):
        return replace(real(path), metric=Metric("99.0th percentile latency", 1, "ns"))

    monkeypatch.setattr(trial, "parse_summary", flattering)
    result = run_trial(executor, request_for(simulated()), 1)
    assert result.state is TrialState.FAILED
    assert "cannot be trusted" in result.failure.message


@pytest.mark.parametrize(
    ("key", "value"),
    [("samples_per_query", 99), ("min_query_count", 1), ("qsl_rng_seed", 0), ("min_duration (ms)", None)],
)
def test_a_summary_of_other_settings_makes_it_failed(executor, simulated, request_for, monkeypatch, key, value):
    from sweep.trial import trial

    real = trial.parse_summary

    def foreign(path):
        summary = real(path)
        return replace(summary, settings={**summary.settings, key: value})

    monkeypatch.setattr(trial, "parse_summary", foreign)
    result = run_trial(executor, request_for(simulated()), 1)
    assert result.state is TrialState.FAILED
    assert key in result.failure.message


def test_tests_of_one_worker_have_the_same_seeds_and_no_errors(executor, simulated, request_for):
    """LoadGen applies its mlperf.conf once per process: later tests must not lose the seeds."""
    seeds = set()
    for batch in (3, 4, 5):
        request = request_for(simulated(batch=batch))
        assert run_trial(executor, request, 1).result is Verdict.VALID
        summary = parse_summary(Path(request.directory) / "mlperf_log_summary.txt")
        assert summary.error_count == 0
        seeds.add(tuple(summary.settings[key] for key in ("qsl_rng_seed", "sample_index_rng_seed")))
    assert len(seeds) == 1
    assert 0 not in seeds.pop()


def outruns_its_warmup(simulated):
    """Fifteen queries of 10 ms, more than a warm-up takes; then 1 ms: what LoadGen prepares for 600 ms takes 150."""
    return simulated(base_ms=1.0, per_sample_ms=0.0, fault="cold", fault_at=15, min_duration_ms=600, queries=10)


def test_a_test_that_outruns_its_warmup_is_repeated_with_enough_queries(executor, simulated, request_for):
    """LoadGen prepares duration / expected latency queries; told too long a latency it runs out of them."""
    result = run_trial(executor, request_for(outruns_its_warmup(simulated)), 1)
    assert result.result is Verdict.VALID
    assert result.expected_latency_ns < 0.5 * result.warmup.min_latency_ns
    assert {check.name: check.holds for check in result.checks}["min_duration"] is True


def test_a_test_that_outruns_every_warmup_is_failed(executor, simulated, request_for, monkeypatch):
    """It ended before its duration, which is nobody's verdict."""
    from sweep.trial import trial

    monkeypatch.setattr(trial, "_RERUNS", 0)
    result = run_trial(executor, request_for(outruns_its_warmup(simulated)), 1)
    assert result.state is TrialState.FAILED
    assert "ran out of prepared queries" in result.failure.message


def test_a_latency_that_is_no_number_makes_it_failed(executor, simulated, request_for, monkeypatch):
    from sweep.loadgen.summary import Metric
    from sweep.trial import trial

    real = trial.parse_summary
    metric = Metric("99th percentile latency", float("nan"), "ns")
    monkeypatch.setattr(trial, "parse_summary", lambda path: replace(real(path), metric=metric))
    result = run_trial(executor, request_for(simulated()), 1)
    assert result.state is TrialState.FAILED
    assert "nan" in result.failure.message


@pytest.mark.parametrize(
    "name", ["90.0th percentile latency", "99.0th first token percentile latency", "Samples per query"]
)
def test_a_figure_at_another_percentile_makes_it_failed(executor, simulated, request_for, monkeypatch, name):
    from sweep.loadgen.summary import Metric
    from sweep.trial import trial

    real = trial.parse_summary
    monkeypatch.setattr(trial, "parse_summary", lambda path: replace(real(path), metric=Metric(name, 10**9, "ns")))
    result = run_trial(executor, request_for(simulated()), 1)
    assert result.state is TrialState.FAILED
    assert name in result.failure.message


def test_a_disk_that_fills_up_makes_it_failed(executor, simulated, request_for, monkeypatch):
    from sweep.trial import trial

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trial, "write_bytes", full)
    result = run_trial(executor, request_for(simulated()), 1)
    assert result.state is TrialState.FAILED
    assert "latencies_ns.npy cannot be written: No space left on device" in result.failure.message
