"""Verdicts on imported tests: no VALID that should be INVALID, and scores that may be believed."""

import pytest
from tests.imports.entries import ACCURACY, LOGS, PERFORMANCE, Entry

from sweep.loadgen.accuracy import Accuracy
from sweep.vocabulary import RunClass, Scenario, Verdict

P99 = "99.00 percentile latency (ns)   : 49305533\n"


def log(name):
    return (LOGS / f"{name}_summary.txt").read_bytes().decode()


def why(result):
    assert result.result is Verdict.INVALID
    assert [check for check in result.checks if check.required and check.holds is not True]
    return result.why


def test_an_invalid_test_is_invalid_by_loadgens_word_and_figure(result_of):
    entry = Entry().replace(
        ("Result is : VALID", "Result is : INVALID"),
        ("constraints satisfied : Yes", "constraints satisfied : NO"),
        (P99, P99.replace("49305533", "53640000")),
        ("\n\n====", "\nRecommendations:\n * Reduce samples per query.\n\n===="),
    )
    result = result_of(entry)
    text = "Result is : INVALID; p99 53.640000 ms > 50 ms; Performance constraints satisfied : NO"
    assert why(result) == text
    assert result.loadgen_result == "INVALID"
    assert result.recommendation == "Reduce samples per query to improve latency"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            (P99, P99.replace("49305533", "50000001")),
            "p99 50.000001 ms > 50 ms; Performance constraints satisfied : Yes",
        ),
        (("constraints satisfied : Yes", "constraints satisfied : NO"), None),
        (("  Performance constraints satisfied : Yes\n", ""), "Performance constraints satisfied : absent"),
        (("Min queries satisfied : Yes", "Min queries satisfied : NO"), "Min queries satisfied : NO"),
        (("  Min queries satisfied : Yes\n", ""), "Min queries satisfied : absent"),
        (("No errors encountered", "3 ERRORS encountered. See detailed log"), "3 errors in the log"),
        ((P99, ""), "p99 not reported"),
    ],
)
def test_valid_is_not_believed_where_the_log_says_otherwise(imported, change, reason):
    entry = Entry()
    text = "".join(entry.run["mlperf_log"]["summary"])
    assert change[0] in text
    text = text.replace(*change) if change[0] != P99 else text.replace(*change, 1)
    text = text.replace(
        "3 ERRORS encountered. See detailed log during test.", "3 ERRORS encountered. See detailed log."
    )
    done = imported(entry.summary(text))
    if done.problems:  # LoadGen itself can print no such thing
        assert "contradicts itself" in done.problems[0]
        assert done.stored == []
    else:
        assert reason in why(done.stored[0].result)


def test_an_error_in_the_detail_log_alone_counts(result_of):
    entry = Entry()
    detail = entry.run["mlperf_log"]["detail"]
    at = next(number for number, line in enumerate(detail) if "GeneratedQueries" in line)
    detail.insert(at, '"pid": 1, "tid": 1, "ts": 5ns : ERROR : something went wrong\n')
    assert why(result_of(entry)) == "1 errors in the detail log, none counted in the summary"


@pytest.mark.parametrize(
    ("key", "value"),
    [("Result is", "INVALID"), ("Samples per query", "71"), ("99.00 percentile latency (ns)", "1"), ("Scenario", 5)],
)
def test_what_ck_extracted_must_be_what_the_log_says(result_of, key, value):
    entry = Entry()
    entry.run["parsed_summary"][key] = value
    assert f"the entry's parsed_summary contradicts that: {key} : {value}, and in the log " in why(result_of(entry))


def test_an_invalid_log_stays_invalid_whatever_ck_extracted(result_of):
    text = log("v0.7_multistream_invalid")
    result = result_of(Entry().summary(text, {"Result is": "VALID"}))
    assert why(result).startswith("Result is : INVALID; the entry's parsed_summary contradicts that: Result is : VALID")


def test_without_an_extract_there_is_nothing_to_contradict(result_of):
    entry = Entry()
    del entry.run["parsed_summary"]
    result = result_of(entry)
    assert result.result is Verdict.VALID
    assert "has no parsed_summary that LoadGen's summary could be held against" in result.notes


def test_the_detail_log_of_another_test_is_no_evidence(result_of):
    entry = Entry()
    log = entry.run["mlperf_log"]
    log["detail"] = [line.replace("samples_per_query : 70", "samples_per_query : 60") for line in log["detail"]]
    assert "the detail log is of another test: samples_per_query is 70 in" in why(result_of(entry))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Scenario : Multi Stream", "Scenario : Offline", "mlperf_log_detail.txt of Offline"),
        ("Test mode : Performance", "Test mode : Accuracy", "mlperf_log_detail.txt is of mode Accuracy"),
    ],
)
def test_a_detail_log_of_another_kind_is_no_evidence(result_of, old, new, words):
    entry = Entry()
    log = entry.run["mlperf_log"]
    text = "".join(log["detail"])
    assert old in text
    log["detail"] = text.replace(old, new).splitlines(keepends=True)
    result = result_of(entry)
    assert result.result is Verdict.INVALID
    assert words in why(result)


def test_a_detail_log_that_says_invalid_is_believed(result_of):
    """Later LoadGens say it in both logs: a VALID that one of them denies is none."""
    line = ':::MLLOG {"key": "result_validity", "value": "INVALID", "metadata": {}}\n'
    entry = Entry()
    entry.run["mlperf_log"]["detail"] = [line]
    result = result_of(entry)
    assert result.result is Verdict.INVALID
    assert "result_validity is VALID in mlperf_log_summary.txt and INVALID" in why(result)


@pytest.mark.parametrize("name", [f"{PERFORMANCE}.TEST05", PERFORMANCE.replace(".performance", ".audit")])
def test_an_entry_that_is_called_an_audit_is_no_official_run(result_of, name):
    result = result_of(Entry(name))
    assert result.spec.run.run_class is RunClass.CUSTOM
    assert any("a compliance test (the entry is called" in note for note in result.notes)


def test_a_percentile_that_is_not_the_round_s_is_no_official_run(result_of):
    entry = Entry()
    log = entry.run["mlperf_log"]
    text = "".join(log["detail"])
    log["detail"] = text.replace("target_latency_percentile : 0.99", "target_latency_percentile : 0.9").splitlines(True)
    assert "".join(log["detail"]) != text
    assert result_of(entry).spec.run.run_class is RunClass.CUSTOM


@pytest.mark.parametrize("parsed", [[{"Result is": "INVALID"}], "Result is : INVALID"])
def test_an_extract_of_another_form_is_refused(refused, parsed):
    entry = Entry()
    entry.run["parsed_summary"] = parsed
    assert "its parsed_summary is no object" in refused(entry)


def test_an_extract_counts_however_its_words_are_written(result_of):
    entry = Entry()
    entry.run["parsed_summary"]["result is"] = "INVALID"
    del entry.run["parsed_summary"]["Result is"]
    assert result_of(entry).result is Verdict.INVALID


def test_a_summary_of_two_n_is_refused(refused):
    entry = Entry()
    entry.replace(("Samples per query : 70", "Samples per query : 90"))
    assert "Samples per query : 90, and samples_per_query : 70" in refused(entry)


@pytest.mark.parametrize(
    ("name", "scenario", "n", "result", "run_class", "edition", "bound_ns", "percentile_ns", "metric"),
    [
        ("v0.5_server_valid", "Server", 1, "VALID", "official", "v0.5", 15_000_000, 10_159_013, 41546.64),
        ("v1.0_multistream_valid", "MultiStream", 50, "VALID", "official", "v1.0", 50_000_000, 47_446_912, 50),
        ("v4.1_multistream_valid", "MultiStream", 8, "VALID", "official", "v4.1", None, 750_521, 750_521),
        ("v0.5_multistream_invalid", "MultiStream", 25, "INVALID", "custom", "unknown", 50_000_000, 46_054_530, 25),
        ("v2.0_singlestream_valid", "SingleStream", 1, "VALID", None, None, None, None, None),
    ],
)
def test_each_generation_and_scenario_of_loadgen(
    result_of, name, scenario, n, result, run_class, edition, bound_ns, percentile_ns, metric
):
    entry = Entry().summary(log(name))
    del entry.env["CK_LOADGEN_SCENARIO"]
    got = result_of(entry)
    spec = got.spec
    assert (spec.scenario, spec.samples_per_query, got.result) == (Scenario(scenario), n, Verdict(result)), got.why
    if scenario != "MultiStream":
        assert f"its scenario is {scenario} by LoadGen, and multistream by the entry's name" in got.notes
    if run_class is not None:
        assert (spec.run.run_class, spec.rules.edition) == (RunClass(run_class), edition)
        assert (spec.rules.target_latency_ns, got.percentile_ns) == (
            bound_ns,
            percentile_ns,
        )
        assert got.imported.metric_value == metric


def test_an_early_loadgen_that_counts_no_errors_gives_no_valid(result_of):
    entry = Entry().summary(log("v0.5_offline_nul_crlf"))
    result = result_of(entry)
    assert why(result) == "no count of errors in the log"
    assert (result.spec.scenario, result.query_count, result.imported.metric_unit) == ("Offline", 1, "samples/s")


def test_a_count_of_queries_set_by_hand_makes_no_official_run(result_of):
    entry = Entry()
    entry.env["CK_LOADGEN_COUNT_OVERRIDE"] = "1440"
    entry.replace(
        ("min_query_count : 270336", "min_query_count : 1440"), ("query_count : 272160", "query_count : 1440")
    )
    result = result_of(entry)
    assert (result.spec.run.run_class, result.query_count, result.result) == (RunClass.CUSTOM, 1440, Verdict.VALID)
    assert "the count of its queries was set by hand (CK_LOADGEN_COUNT_OVERRIDE=1440)" in result.notes


def test_a_compliance_test_is_no_official_run(result_of):
    entry = Entry().replace(("performance_issue_same : false", "performance_issue_same : true"))
    result = result_of(entry)
    assert result.spec.run.run_class is RunClass.CUSTOM
    assert "a compliance test (performance_issue_same=True), whose figures are no result" in result.notes


def test_n_is_what_loadgen_used(result_of):
    entry = Entry()
    entry.env.update({"CK_LOADGEN_MULTISTREAMNESS": "71", "CK_BATCH_SIZE": "35"})
    result = result_of(entry)
    assert (result.spec.samples_per_query, result.spec.engine_batch) == (70, 35)
    assert "LoadGen's queries had 70 samples, and CK_LOADGEN_MULTISTREAMNESS is 71" in result.notes
    assert "CK_BATCH_SIZE is 35, and LoadGen's queries had 70 samples" in result.notes


@pytest.mark.parametrize("score", [{"accuracy": 76.3}, {"accuracy": "76.258", "good": "38129"}])
def test_a_score_that_is_rounded_or_text_is_that_of_its_counts(result_of, score):
    entry = Entry(ACCURACY, ACCURACY)
    entry.run.update(score)
    assert result_of(entry).accuracy == Accuracy(38129, 50000, 76.258)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"accuracy": 80.0}, "has a score that contradicts itself: accuracy=80.0, good=38129, total=50000"),
        ({"accuracy": 76.251}, "has a score that contradicts itself"),
        ({"accuracy": 0.76258}, "has a score that contradicts itself"),
        ({"good": 60000}, "has a score that contradicts itself"),
        ({"total": 0}, "has a score that contradicts itself"),
        ({"good": None, "mAP": 22.1}, "has no score: good missing (it has parsed_summary, mAP)"),
        ({"good": -1}, "has a score that cannot be read: accuracy=76.258, good=-1, total=50000"),
        ({"accuracy": True}, "has a score that cannot be read"),
        ({"total": 50000.5}, "has a score that cannot be read"),
        ({"parsed_summary": {"Result is": "VALID"}}, "its parsed_summary is of a test of performance"),
    ],
)
def test_a_score_that_is_none_is_refused_by_name(refused, change, reason):
    entry = Entry(ACCURACY, ACCURACY)
    entry.run.update(change)
    problem = refused(entry)
    assert problem.startswith(f"{ACCURACY}: ckp-09bee4642a11bd29.0001.json: {reason}")


def test_answers_count_for_nothing_after_errors(refused):
    entry = Entry(ACCURACY, ACCURACY)
    entry.run["mlperf_log"]["summary"][-1] = "2 ERRORS encountered. See detailed log.\n"
    assert refused(entry).endswith("LoadGen counted 2 errors, so its answers do not count")


def test_a_test_that_loadgen_gave_up_is_none_of_accuracy(refused):
    entry = Entry()
    entry.run["mlperf_log"] |= {"summary": ["\n", "No warnings encountered during test.\n", "\n"], "detail": []}
    entry.run["mlperf_log"]["summary"].append("No errors encountered during test.\n")
    assert refused(entry).endswith("it ended before it had one (mode PerformanceOnly)")
