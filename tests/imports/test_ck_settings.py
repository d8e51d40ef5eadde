"""What an imported test was set to, what its errors count for, what its score is: as LoadGen and its round have it."""

import pytest
from tests.imports.entries import ACCURACY, Entry, detection, gnmt

from sweep.loadgen.accuracy import Accuracy
from sweep.loadgen.seeds import ROUND_SEEDS
from sweep.trial.result import TrialResult
from sweep.vocabulary import RunClass, Verdict


def test_the_percentile_is_that_of_the_entry_s_own_settings(result_of):
    """LoadGen's summary does not name it, and without a detail log nothing else does."""
    result = result_of(gnmt())
    assert (result.result, result.spec.rules.percentile) == (Verdict.VALID, 97.0), result.why
    assert result.percentile_ns == 222674220
    assert result.spec.run.run_class is RunClass.OFFICIAL
    assert any("the percentile of its bound, p97, is that of its own settings" in note for note in result.notes)


@pytest.mark.parametrize(
    ("mlperf_conf", "user_conf", "percentile"),
    [
        ("gnmt.Server.target_latency_percentile = 97\n*.Server.target_latency_percentile = 95\n", "", 97),
        ("*.Server.target_latency_percentile = 97\ngnmt.*.target_latency_percentile = 95\n", "", 97),
        ("gnmt.*.target_latency_percentile = 97\n*.*.target_latency_percentile = 95\n", "", 97),
        ("*.*.target_latency_percentile = 97\n", "", 97),
        ("*.*.target_latency_percentile = 95\n*.*.target_latency_percentile = 97\n", "", 97),
        ("gnmt.Server.target_latency_percentile = 97\n", "*.*.target_latency_percentile = 95\n", 95),
        ("gnmt.MultiStream.target_latency_percentile = 97\n", "", 99),
        ("resnet50.Server.target_latency_percentile = 97\n", "", 99),
        ("gnmt.Server.target_latency_percentile = 97 # a comment that LoadGen cannot read\n", "", 99),
        ("#gnmt.Server.target_latency_percentile = 97\n", "*.*.target_latency_percentile = 97\n", 97),
        ("# gnmt.Server.target_latency_percentile = 97\n", "", 99),
        ("gnmt.Server.target_latency_percentile=97\n", "", 99),
        ("", "", 99),
    ],
)
def test_settings_are_found_as_loadgen_finds_them(result_of, mlperf_conf, user_conf, percentile):
    result = result_of(gnmt(mlperf_conf=mlperf_conf, user_conf=user_conf))
    assert result.spec.rules.percentile == percentile
    assert (result.result is Verdict.VALID) == (percentile < 99)


def test_a_percentile_that_nothing_says_is_said_to_be_assumed(result_of):
    result = result_of(gnmt(mlperf_conf=""))
    assert "the percentile of its bound is said nowhere, and is taken to be p99" in result.notes
    assert result.why.startswith("p99 261.865045 ms > 250 ms")


def test_a_laxer_percentile_than_the_benchmark_s_makes_no_official_run(result_of):
    entry = gnmt(user_conf="gnmt.Server.target_latency_percentile = 90\n")
    result = result_of(entry)
    assert (result.result, result.spec.run.run_class) == (Verdict.VALID, RunClass.CUSTOM)
    assert result.spec.rules.percentile == 90


def test_what_loadgen_logged_goes_before_its_settings(result_of):
    entry = Entry()
    entry.run["mlperf_conf"]["mlperf.conf"] = ["*.MultiStream.target_latency_percentile = 90\n"]
    result = result_of(entry)
    assert result.spec.rules.percentile == 99
    assert "LoadGen used p99, and its own settings say p90" in result.notes


def test_the_model_is_the_one_that_the_program_told_loadgen(result_of):
    entry = gnmt(mlperf_conf="translator.Server.target_latency_percentile = 97\n")
    entry.pipeline["dependencies"]["weights"]["dict"]["env"]["ML_MODEL_MODEL_NAME"] = "translator"
    assert result_of(entry).spec.rules.percentile == 97


def test_a_bound_and_lengths_that_no_log_says_are_those_of_the_settings(result_of):
    entry = Entry(ACCURACY, ACCURACY)
    del entry.env["CK_LOADGEN_MULTISTREAMNESS"]
    entry.env.pop("CK_LOADGEN_BUFFER_SIZE", None)
    entry.run["mlperf_log"]["detail"] = []
    entry.run["mlperf_conf"]["user.conf"] = [
        "*.MultiStream.samples_per_query = 70\n",
        "*.*.performance_sample_count_override = 1024\n",
        "*.*.min_duration = 60000\n",
    ]
    spec = result_of(entry).spec
    assert (spec.samples_per_query, spec.dataset.performance_sample_count, spec.run.min_duration_ms) == (
        *(70, 1024),
        60_000,
    )


def _with_errors(entry, *errors):
    """Add errors to both logs of an entry."""
    detail = entry.run["mlperf_log"]["detail"]
    at = next(number for number, line in enumerate(detail) if "GeneratedQueries" in line)
    detail[at:at] = [f'"pid": 1, "tid": 1, "ts": 5ns : ERROR : {error}\n' for error in errors]
    summary = entry.run["mlperf_log"]["summary"]
    assert summary[-1].startswith("No errors encountered")
    summary[-1] = f"{len(errors)} ERRORS encountered. See detailed log.\n"
    return entry


UNCOMMITTED = "Loadgen built with uncommitted changes!"
CAS = 'CAS failed."times" : 4, "line" : 826'


@pytest.mark.parametrize(
    ("round_name", "errors", "verdict"),
    [
        ("v0.5", (UNCOMMITTED, CAS), "VALID"),
        ("v0.5", ("Ending early: Max query count reached.",), "INVALID"),
        ("v0.5", (UNCOMMITTED, "something went wrong"), "INVALID"),
        ("v0.7", (CAS,), "VALID"),
        ("v0.7", (UNCOMMITTED,), "INVALID"),
        (None, (CAS,), "INVALID"),
    ],
)
def test_errors_that_the_round_s_checker_ignored_are_said_and_do_not_decide(result_of, round_name, errors, verdict):
    entry = _with_errors(Entry(), *errors)
    seeds = ROUND_SEEDS["v0.5" if round_name == "v0.5" else "v0.7"].by_setting()
    for part in ("summary", "detail"):
        text = "".join(entry.run["mlperf_log"][part])
        for name, value in ROUND_SEEDS["v0.7"].by_setting().items():
            text = text.replace(str(value), str(seeds[name] if round_name else 1))
        entry.run["mlperf_log"][part] = text.splitlines(keepends=True)
    entry.run["parsed_summary"] = {"Result is": "VALID"}
    result = result_of(entry)
    assert (result.result, result.spec.seeds) == (Verdict(verdict), round_name), result.why
    noted = [note for note in result.notes if f"the checker of {round_name} ignored: " in note]
    assert len(noted) == (verdict == "VALID")
    assert all(error.partition('"')[0] in noted[0] for error in errors if noted)


def test_more_errors_than_the_detail_log_names_decide(result_of):
    entry = _with_errors(Entry(), CAS)
    entry.run["mlperf_log"]["summary"][-1] = "2 ERRORS encountered. See detailed log.\n"
    assert "1 errors in the detail log, 2 counted in the summary" in result_of(entry).why


@pytest.mark.parametrize("value", [22.911, "22.911"])
def test_the_score_of_detection_is_its_map(result_of, value):
    result = result_of(detection(mAP=value))
    assert result.accuracy == Accuracy(None, None, 22.911)
    assert str(result.accuracy) == "mAP=22.911%"
    assert (result.spec.dataset.name, result.spec.dataset.count) == ("coco", 5000)
    assert TrialResult.from_json(result.to_json(), "it") == result


@pytest.mark.parametrize("value", ["many", -1, 100.1, True, [22.9]])
def test_a_map_that_is_none_is_refused_by_name(refused, value):
    assert "has a score that cannot be read: mAP=" in refused(detection(mAP=value))


def test_a_map_that_may_be_a_share_is_not_passed_over_in_silence(result_of):
    result = result_of(detection(mAP=0.22911))
    assert result.accuracy.accuracy == 0.22911
    assert any("its mAP of 0.22911 is taken for percent" in note for note in result.notes)
