"""LoadGen's logs of every generation, whole, cut and foreign."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.errors import LogError
from sweep.loadgen.logs import Metric, Summary, parse_detail, parse_summary
from sweep.vocabulary import Scenario, TestMode

DATA = Path(__file__).parents[1] / "data" / "loadgen_logs"
SUMMARIES = sorted(path.name for path in DATA.glob("*_summary.txt"))
DETAILS = sorted(path.name for path in DATA.glob("*_detail.txt"))
V07 = "v0.7_multistream_valid_summary.txt"
V41 = "v4.1_multistream_valid_summary.txt"
SERVER = "v4.1_server_tokens_valid_summary.txt"


@pytest.fixture
def edited(tmp_path):
    """Write a golden log with replacements (each must occur): `edited(name, ("old", "new"), ...)`."""

    def write(name, *replacements):
        data = (DATA / name).read_bytes()
        for pair in replacements:
            old, new = (text.encode() if isinstance(text, str) else text for text in pair)
            assert old in data
            data = data.replace(old, new, 1)
        path = tmp_path / "mlperf_log_summary.txt"
        path.write_bytes(data)
        return path

    return write


def as_json(record):
    return json.loads(json.dumps(dataclasses.asdict(record)))


def refused(path, parse=parse_summary):
    with pytest.raises(LogError) as caught:
        parse(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def entry(key, value, **metadata):
    return f':::MLLOG {{"key": "{key}", "value": {value}, "metadata": {json.dumps(metadata)}}}\n'


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_value_of_a_golden_summary_is_read(name):
    expected = json.loads((DATA / "expected" / name).with_suffix(".json").read_text())
    assert as_json(parse_summary(DATA / name)) == expected


@pytest.mark.parametrize("name", DETAILS)
def test_every_value_of_a_golden_detail_log_is_read(name):
    expected = json.loads((DATA / "expected" / name).with_suffix(".json").read_text())
    assert as_json(parse_detail(DATA / name)) == expected


@pytest.mark.parametrize("name", SUMMARIES)
def test_no_cut_of_a_summary_passes_for_the_whole(name, monkeypatch):
    """A killed LoadGen, a full disk or a broken copy leaves the first bytes of a log: they must not become a result."""
    data = (DATA / name).read_bytes()
    whole = parse_summary(DATA / name)
    uncounted = dataclasses.replace(whole, warning_count=None, error_count=None, complete=False)
    body = data.rfind(b"performance_sample_count") if b"accuracy_log_sampling_target" not in data else len(data)
    for size in range(len(data)):
        monkeypatch.setattr(Path, "read_bytes", lambda _, size=size: data[:size])
        try:
            summary = parse_summary("cut.txt")
        except LogError:
            continue
        if summary != whole:
            assert summary == uncounted, size
            assert data[body:size].endswith(b"\n"), size


def test_a_cut_number_is_not_a_smaller_number(tmp_path):
    """270336 cut to 2703 would be another test."""
    data = (DATA / "v0.5_offline_nul_crlf_summary.txt").read_bytes()
    path = tmp_path / "cut.txt"
    path.write_bytes(data.rstrip()[:-2])
    assert "cut off" in refused(path)


def test_a_log_that_never_counts_errors_is_marked_as_perhaps_incomplete():
    early = parse_summary(DATA / "v0.5_offline_nul_crlf_summary.txt")
    assert not early.complete
    assert early.error_count is None
    assert all(parse_summary(DATA / name).complete for name in SUMMARIES if "nul_crlf" not in name)


def test_later_generations_must_end_with_the_count_of_errors(edited):
    path = edited(V07, ("\n1 warning encountered. See detailed log.\n\nNo errors encountered during test.\n", ""))
    assert "cut off" in refused(path)


def test_an_early_log_that_counts_only_errors_is_whole(edited):
    summary = parse_summary(
        edited("v0.5_multistream_valid_summary.txt", ("\nNo warnings encountered during test.\n", ""))
    )
    assert (summary.warning_count, summary.error_count, summary.complete) == (None, 0, True)


@pytest.mark.parametrize(
    "name",
    ["", "a: b : c", "Result is : VALID", "No errors encountered during test.", "=====", "naïve 系统", "x" * 5000],
)
def test_the_name_of_the_system_changes_nothing_else(name, edited):
    """A name is free text: it must never be taken for LoadGen's words."""
    plain = parse_summary(DATA / "v0.7_multistream_invalid_summary.txt")
    summary = parse_summary(edited("v0.7_multistream_invalid_summary.txt", ("LWIS_Server", name)))
    assert summary.sut_name == name
    assert summary.loadgen_result == "INVALID"
    fields = {**plain.fields, "SUT name": name}
    assert summary == dataclasses.replace(plain, sut_name=name, fields=fields)


@pytest.mark.parametrize(
    "line",
    ["Result is : VALID", "  Result is : VALID", "Result is : INVALID", "RESULT  IS: VALID", "Scenario : Server"],
)
def test_a_name_of_several_lines_cannot_bring_its_own_result(line, edited):
    assert "which holds" in refused(edited("v0.7_multistream_invalid_summary.txt", ("LWIS_Server", f"a\n{line}")))


@pytest.mark.parametrize("place", ["Additional Stats", "Test Parameters Used"])
def test_a_result_outside_the_header_is_refused(place, edited):
    title = f"{place}\n{'=' * 48}\n"
    path = edited("v0.7_multistream_invalid_summary.txt", (title, f"{title}Result is : VALID\n"))
    assert "more than one 'Result is'" in refused(path)


def test_only_a_result_below_the_header_is_no_result(edited):
    title = f"Additional Stats\n{'=' * 48}\n"
    path = edited(V07, ("Result is : VALID\n", ""), (title, f"{title}Result is : VALID\n"))
    assert "no 'Result is' line" in refused(path)


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        (V07, "Result is : VALID", "Result is : VAL", "neither VALID nor INVALID"),
        (V07, "Result is : VALID\n", "", "no 'Result is' line"),
        (V07, "Mode     : Performance\n", "", "no 'Mode' line"),
        (V07, "constraints satisfied : Yes", "constraints satisfied : NO", "contradicts itself"),
        (V07, "Min duration satisfied : Yes", "Min duration satisfied : NO", "contradicts itself"),
        (V07, "Min duration satisfied : Yes", "Min duration satisfied : Maybe", "neither Yes nor NO"),
        (V41, "(ns)   : 750521", "(ns)   : 7505x1", "not a whole number"),
        (V07, "Min duration satisfied : Yes", "Min duration satisfied : Skipped", "contradicts itself"),
        (V41, "Early stopping satisfied: Yes", "Early stopping satisfied: NO", "contradicts itself"),
        (V07, "  Min duration satisfied : Yes\n", "", "VALID' but no 'Min duration satisfied' line"),
        (SERVER, "  Performance constraints satisfied : Yes\n", "", "no 'Performance constraints satisfied' line"),
        (
            V41,
            "Early Stopping Result:",
            "Early Stopping Result:\nEarly Stopping Result:",
            "says 'Early Stopping Result'",
        ),
        (V41, "Min latency (ns)", "Min latency (ns) : 1\nMin latency (ns)", "says 'Min latency (ns)' twice"),
        (
            V41,
            "50.00 perc",
            "50.00 percentile latency (ns) : 1\n50.00 perc",
            "says '50.00 percentile latency (ns)' twice",
        ),
        (V07, "50.00 perc", "50.00 percentile : 7\n50.00 perc", "says '50.00 percentile' twice"),
        (V41, "target_qps", "target_qps : 1\ntarget_qps", "says 'target_qps' twice"),
        (
            V41,
            "No errors encountered during test.",
            "No errors encountered during test.\na : 1",
            "goes on with 'a : 1'",
        ),
        (V41, "No warnings", "No warnings encountered during test.\nmin_query_count : 662\n\nNo warnings", "goes on"),
        (V07, "No errors", "No errors encountered during test.\n3 ERRORS", "cut off"),
        (V07, "No errors", "2 ERRORS encountered. See detailed log.\nNo errors", "counts its errors twice"),
    ],
)
def test_a_damaged_summary_is_refused_by_what_is_wrong(name, old, new, reason, edited):
    if reason == "cut off":
        old, new = "No errors encountered during test.", "3 ERRORS enc"
    assert reason in refused(edited(name, (old, new)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"\0\r\n \n", "empty file"),
        (b'{"Result is": "VALID"}', "looks like JSON"),
        (b"[\n]\n", "looks like JSON"),
        (b"<!DOCTYPE html><p>Result is : VALID</p>", "looks like HTML"),
        (b"Result is : VALID\n", "some other text"),
        (b"# README\n" + (DATA / V41).read_bytes(), "some other text"),
        (b"====\nAnother Report\n====\nResult is : VALID\n", "not a LoadGen summary"),
        ((DATA / V41).read_bytes() * 2, "more than one"),
        ((DATA / "v0.5_accuracy_summary.txt").read_bytes() + (DATA / V41).read_bytes(), "more than one test"),
        ((DATA / "v6.0_multistream_invalid_detail.txt").read_bytes(), "looks like a LoadGen detail log"),
        ((DATA / "v0.5_multistream_valid_detail.txt").read_bytes(), "looks like a LoadGen detail log"),
        (b':::ENDPTS {"key": "result_validity", "value": "VALID"}\n', "a log of MLPerf Endpoints"),
        ((DATA / V41).read_bytes().replace(b"\n", b"\r"), "end in a carriage return alone"),
        (b"    " + (DATA / V41).read_bytes().replace(b"\n", b"\n    "), "is indented"),
        (b"=====\nAnother Report\n=====\nResult is : VALID\n", "some other text"),
        (bytes(range(256)) * 8, "not a LoadGen summary"),
    ],
)
def test_what_is_no_summary_is_refused_by_name(content, reason, tmp_path):
    path = tmp_path / "mlperf_log_summary.txt"
    path.write_bytes(content)
    assert reason in refused(path)


@pytest.mark.parametrize("parse", [parse_summary, parse_detail])
def test_a_file_that_cannot_be_read_is_refused_by_name(parse, tmp_path):
    assert "no such file" in refused(tmp_path / "absent.txt", parse)
    assert "cannot be read" in refused(tmp_path, parse)
    assert "cannot be read" in refused(f"{tmp_path}/a\0b", parse)


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
        lambda text: text.replace("\n", "  \n").encode(),
        lambda text: text.rstrip().encode(),
        lambda text: (text + "\n\n").encode(),
        lambda text: text.replace("LWIS_Server", "LWIS_Server\0\0").encode(),
    ],
    ids=["crlf", "crcrlf", "utf-8 mark", "utf-16", "trailing blanks", "no last newline", "blank lines", "nul"],
)
def test_how_a_file_was_stored_does_not_change_what_it_says(encode, tmp_path):
    path = tmp_path / "mlperf_log_summary.txt"
    path.write_bytes(encode((DATA / V41).read_text()))
    assert parse_summary(path) == parse_summary(DATA / V41)


def test_bytes_that_are_not_utf8_lose_no_result(edited):
    summary = parse_summary(edited(V41, (b"LWIS_Server", b"caf\xe9")))
    assert summary.sut_name == "caf\ufffd"
    assert summary.loadgen_result == "VALID"


@pytest.mark.parametrize(
    ("text", "scenario", "free"),
    [
        ("Multi Stream", Scenario.MULTI_STREAM, False),
        ("MultiStream", Scenario.MULTI_STREAM, False),
        ("Multi Stream Free", Scenario.MULTI_STREAM, True),
        ("MultiStreamFree", Scenario.MULTI_STREAM, True),
        ("Single Stream", Scenario.SINGLE_STREAM, False),
        ("SingleStream", Scenario.SINGLE_STREAM, False),
        ("Server", Scenario.SERVER, False),
        ("Offline", Scenario.OFFLINE, False),
        ("ConstantStream", None, False),
    ],
)
def test_a_scenario_is_the_same_under_all_its_names(text, scenario, free, edited):
    summary = parse_summary(edited(V07, ("Multi Stream", text)))
    assert (summary.scenario, summary.multi_stream_free, summary.scenario_text) == (scenario, free, text)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("Performance", TestMode.PERFORMANCE),
        ("PerformanceOnly", TestMode.PERFORMANCE),
        ("Accuracy", TestMode.ACCURACY),
        ("AccuracyOnly", TestMode.ACCURACY),
        ("SubmissionRun", None),
        ("FindPeakPerformance", None),
        ("Find Peak Performance", None),
    ],
)
def test_a_mode_is_the_same_under_all_its_names(text, mode, edited):
    summary = parse_summary(edited(V07, ("Mode     : Performance", f"Mode     : {text}")))
    assert (summary.mode, summary.mode_text) == (mode, text)


@pytest.mark.parametrize(
    ("line", "metric"),
    [
        ("Samples per second: 505.381", Metric("Samples per second", 505.381, "samples/s")),
        ("Samples per second : 1.23457e+06", Metric("Samples per second", 1234570.0, "samples/s")),
        ("Scheduled samples per second : 41546.64", Metric("Scheduled samples per second", 41546.64, "samples/s")),
        ("Samples per second: inf", Metric("Samples per second", math.inf, "samples/s")),
        ("Completed tokens per second : 7.5", Metric("Completed tokens per second", 7.5, "tokens/s")),
        ("Inferences per second : 7.5", Metric("Inferences per second", 7.5, "samples/s")),
        ("Completed queries per second : 7.5", Metric("Completed queries per second", 7.5, "queries/s")),
        ("Scheduled groups per second: 12.5", Metric("Scheduled groups per second", 12.5, "groups/s")),
        ("Frames per second : 7.5", Metric("Frames per second", 7.5, "")),
        ("Scheduled QPS : 41546.6", Metric("Scheduled QPS", 41546.6, "queries/s")),
        ("QPS: 505.381", Metric("QPS", 505.381, "queries/s")),
        ("99.9th percentile latency (ns) : 12", Metric("99.9th percentile latency", 12, "ns")),
        ("99.0th percentile latency (ns) : 12", Metric("99th percentile latency", 12, "ns")),
        ("90th percentile latency (ns) : -9223372036854775808", Metric("90th percentile latency", -(2**63), "ns")),
    ],
)
def test_the_figure_is_read_however_it_is_printed(line, metric, edited):
    assert parse_summary(edited(V07, ("Samples per query : 1760", line))).metric == metric


@pytest.mark.parametrize("text", ["-nan", "nan", "-nan(ind)", "nan(snan)", "-1.#IND", "1.#QNAN", "1.#QNAN00"])
def test_a_rate_over_no_time_is_not_a_damaged_log(text, edited):
    metric = parse_summary(edited(V07, ("Samples per query : 1760", f"Samples per second: {text}"))).metric
    assert math.isnan(metric.value)


@pytest.mark.parametrize(
    ("text", "value"), [("1.#INF", math.inf), ("-1.#INF00", -math.inf), ("inf", math.inf), ("-inf", -math.inf)]
)
def test_infinity_is_a_number_in_every_c_library(text, value, edited):
    assert parse_summary(edited(V07, ("Samples per query : 1760", f"Samples per second: {text}"))).metric.value == value


def test_a_figure_that_cannot_be_read_does_not_make_the_next_one_the_tests_own(edited):
    """Tokens per second in place of samples per second would be another result."""
    summary = parse_summary(edited("v4.1_offline_tokens_valid_summary.txt", ("second: 84.4792", "second: 84.4x")))
    assert summary.metric is None
    assert summary.other_metrics == (Metric("Tokens per second", 24524.9, "tokens/s"),)
    assert summary.unknown_lines == ("Samples per second : 84.4x",)


def test_latencies_of_groups_are_figures_in_ns_beside_the_distributions(edited):
    """As LoadGen's branch for automotive prints them."""
    lines = "Max group latency (ns)          : 70\n50.00 group percentile latency (ns)   : 60\n"
    title = "\n================================================\nTest Parameters Used"
    summary = parse_summary(edited(V41, (title, f"{lines}{title}")))
    assert summary.other_metrics == (
        Metric("Max group latency", 70, "ns"),
        Metric("50.00 group percentile latency", 60, "ns"),
    )
    assert summary.query_latency == parse_summary(DATA / V41).query_latency


def test_inferred_tokens_are_kept_beside_the_figure(edited):
    old = "Completed tokens per second: 10755.59"
    summary = parse_summary(edited(SERVER, (old, "Completed tokens per second (inferred): 19233.84")))
    assert summary.metric == Metric("Completed samples per second", 39.25, "samples/s")
    assert summary.other_metrics[0] == Metric("Completed tokens per second (inferred)", 19233.84, "tokens/s")


def test_a_skipped_check_is_neither_met_nor_failed(edited):
    summary = parse_summary(edited(V41, ("Min queries satisfied : Yes", "Min queries satisfied : Skipped")))
    assert summary.min_queries is None
    assert summary.loadgen_result == "VALID"


def test_a_paragraph_without_a_word_leaves_the_next_one_whole(edited):
    """LoadGen does not evaluate TTFT once TPOT failed, and then prints an empty line in its place."""
    summary = parse_summary(
        edited(
            SERVER,
            ("Result is : VALID", "Result is : INVALID"),
            ("TTFT Early Stopping Result:\n * Run successful.\n", "TTFT Early Stopping Result:\n\n"),
            ("TPOT Early Stopping Result:\n * Run successful.", "TPOT Early Stopping Result:\n * Run unsuccessful."),
        )
    )
    assert summary.early_stopping_results["TTFT"].text == ""
    assert summary.early_stopping_results["TPOT"].text == " * Run unsuccessful."
    assert summary.unknown_lines == ()


def test_the_advice_for_two_missed_token_bounds_is_two_pieces(edited):
    advice = "Recommendations:\n * TTFT constrain not met: Reduce.\n * TPOT constrain not met: Reduce.\n"
    summary = parse_summary(
        edited(SERVER, ("Result is : VALID", "Result is : INVALID"), ("TTFT Early", f"{advice}TTFT Early"))
    )
    assert summary.recommendations == ("TTFT constrain not met: Reduce.", "TPOT constrain not met: Reduce.")


def test_the_early_stopping_estimate_is_at_hand():
    summary = parse_summary(DATA / V41)
    assert summary.early_stopping_estimate_ns == 750563
    assert (summary.early_stopping_results["latency"].required_queries, summary.processed_queries) == (662, 813433)
    assert parse_summary(DATA / V07).early_stopping_estimate_ns is None
    failed = parse_summary(DATA / "v6.0_multistream_invalid_summary.txt")
    assert failed.early_stopping_results["latency"].required_queries == 662


def test_query_and_sample_latencies_are_not_mixed_up():
    old, new = parse_summary(DATA / "v0.5_multistream_valid_summary.txt"), parse_summary(DATA / V41)
    assert old.query_latency.percentiles_ns["p99"] == 47422247
    assert old.sample_latency.percentiles_ns["p99"] == 47396863
    assert new.query_latency.percentiles_ns["p99"] == 750521
    assert new.sample_latency.percentiles_ns == {}


def test_lines_of_a_later_loadgen_are_kept_not_refused(edited):
    """LoadGen adds lines with almost every release."""
    warning = "WARNING: sample_order was set to 5. \nsamples_per_query values\n"
    summary = parse_summary(
        edited(
            V41,
            ("Result is", "Energy per query : none yet\nResult is"),
            ("Per-query latency", "Tail latency:\n : 5\n9.9.9 percentile : 1\nPer-query latency"),
            ("\nNo warnings encountered during test.", f"{warning}\n12 warnings encountered. See detailed log."),
            ("No errors encountered during test.", "12 ERRORS encountered. See detailed log."),
        )
    )
    assert summary.unknown_lines == (
        "Energy per query : none yet",
        "Tail latency",
        " : 5",
        "WARNING: sample_order was set to 5.",
        "samples_per_query values",
    )
    assert summary.other_metrics == (Metric("9.9.9 percentile", 1, ""),)
    assert (summary.warning_count, summary.error_count) == (12, 12)
    whole = parse_summary(DATA / V41)
    assert summary.settings == whole.settings
    assert summary.query_latency == whole.query_latency


CONCATENATED = (
    "WARNING: sample_concatenate_permutation was set to true. \n"
    "Generated samples per query might {}.\n"
    "Check the generated_samples_per_query line in the detailed log for the real\n"
    "samples_per_query value\n"
)


@pytest.mark.parametrize("words", ["be different as the one in the setting", "differ from the configured value"])
@pytest.mark.parametrize(
    ("name", "samples"),
    [("v4.1_offline_tokens_valid_summary.txt", None), (SERVER, 1), (V41, 8)],
    ids=["offline", "server", "multistream"],
)
def test_a_setting_that_loadgen_says_did_not_hold_is_not_taken_for_the_truth(name, samples, words, edited):
    """A setting of 290400 samples stood above a test of 294912."""
    summary = parse_summary(edited(name, ("\nNo warnings", f"{CONCATENATED.format(words)}\nNo warnings")))
    whole = parse_summary(DATA / name)
    assert summary == dataclasses.replace(whole, samples_per_query=samples)


def test_the_same_thing_said_twice_is_said_once(edited):
    """A copy that doubled a line loses no result."""
    lines = ("min_query_count : 662\n", "99.90 percentile latency (ns)   : 757672\n")
    assert parse_summary(edited(V41, *((line, line * 2) for line in lines))) == parse_summary(DATA / V41)


def test_a_value_in_a_message_is_cut_to_a_line(edited):
    """A damaged file must not flood the terminal, nor speak to it."""
    message = refused(edited(V07, ("Result is : VALID", f"Result is : \x1b[2J{'V' * 5_000_000}")))
    assert len(message) < 300
    assert "\x1b" not in message
    assert "..." in message


@pytest.mark.parametrize(
    "line",
    [
        " * Not enough queries processed for 9th\n" * 50_000,
        f"   {'Not enough queries processed for 99.0th ' * 50_000}",
    ],
    ids=["lines", "one line"],
)
def test_a_paragraph_of_megabytes_is_read_in_a_moment(line, edited):
    """Each of these once took time that grew with the square of its size: minutes here."""
    summary = parse_summary(edited(V41, ("Early Stopping Result:\n", f"Early Stopping Result:\n{line.rstrip()}\n")))
    assert summary.early_stopping_estimate_ns == 750563


def test_a_number_of_megabytes_is_refused_in_a_moment(edited):
    """It too took time that grew with the square of its size."""
    assert "not a whole number" in refused(edited(V41, ("(ns)   : 750521", f"(ns)   : {'7' * 2_000_000}x")))


def test_settings_have_types_whatever_the_generation(edited):
    for name in (V07, V41):
        settings = parse_summary(DATA / name).settings
        assert settings["print_timestamps"] is False
        assert settings["performance_issue_same_index"] == 0
        assert settings["performance_issue_same_index"] is not False
    settings = parse_summary(
        edited(V41, ("2380.95", "inf"), ("max_duration (ms): 0", "max_duration (ms): 0x1"))
    ).settings
    assert settings["target_qps"] == math.inf
    assert settings["max_duration (ms)"] == "0x1"
    assert settings["sample_index_rng_seed"] == 10688027786191513374


def test_accuracy_mode_leaves_no_result():
    summary = parse_summary(DATA / "v0.5_accuracy_summary.txt")
    assert summary == Summary(mode=TestMode.ACCURACY, warning_count=0, error_count=0)


def test_a_detail_log_of_a_submission_run_gives_its_last_phase(tmp_path):
    path = tmp_path / "mlperf_log_detail.txt"
    path.write_text(entry("generated_query_count", 8) + entry("generated_query_count", 6001, is_error=False))
    assert parse_detail(path).generated_query_count == 6001


def test_a_detail_log_is_read_past_what_is_not_its_own(tmp_path):
    """Servers print into the same file, and C++ prints infinity in a way that is not JSON."""
    path = tmp_path / "mlperf_log_detail.txt"
    path.write_bytes(
        b'Loading engine...\n:::MLLOG {"key": "sut_name", "value": "SUT\0\xe9", "metadata": {}}\r\n'
        b':::MLLOG {"key": "effective_target_qps", "value": inf, "metadata": {}}\n'
        b':::MLLOG {"key": "result_qps", "value": -nan, "metadata": {}}\n'
        b':::MLLOG {"key": "error_runtime", "value": "a", "metadata": {"is_error": true}}\n'
        b':::MLLOG {"key": "warning_generic_message", "value": "b", "metadata": {"is_warning": true}}\n'
        b':::MLLOG ["key"]\n:::MLLOG {"key": "generated_query_count", "value": 27'
    )
    detail = parse_detail(path)
    assert detail.sut_name == "SUT\ufffd"
    assert detail.effective == {"target_qps": math.inf}
    assert math.isnan(detail.results["result_qps"])
    assert (detail.errors, detail.warnings) == (("a",), ("b",))
    assert detail.generated_query_count is None
    assert detail.unknown_lines == (
        "Loading engine...",
        ':::MLLOG ["key"]',
        ':::MLLOG {"key": "generated_query_count", "value": 27',
    )


def test_a_value_may_go_on_for_some_lines(tmp_path):
    """LoadGen writes the newlines of a name or a message as they are."""
    path = tmp_path / "mlperf_log_detail.txt"
    path.write_text(
        entry("sut_name", '"one\ntwo\n\nfour\nfive"')
        + entry("error_runtime", '"what\nwent wrong"', is_error=True)
        + entry("qsl_name", f'"{chr(10).join("123456")}"')
        + ':::MLLOG {"key": "cut", "value": "\n'
        + entry("generated_query_count", 27)
    )
    detail = parse_detail(path)
    assert detail.sut_name == "one\ntwo\n\nfour\nfive"
    assert detail.errors == ("what\nwent wrong",)
    assert detail.qsl_name is None
    assert detail.generated_query_count == 27
    assert detail.unknown_lines[0] == ':::MLLOG {"key": "qsl_name", "value": "1'
    assert detail.unknown_lines[-1] == ':::MLLOG {"key": "cut", "value": "'


@pytest.mark.parametrize("name", [r"C:\models\new", r"\\server\temp", r"end\\"])
def test_a_backslash_is_a_backslash(name, tmp_path):
    """LoadGen escapes nothing: the path of a Windows machine is not JSON, or worse, other JSON."""
    path = tmp_path / "mlperf_log_detail.txt"
    path.write_text(entry("sut_name", f'"{name}"'))
    assert parse_detail(path).sut_name == name


def test_a_detail_log_written_anew_may_have_escapes(tmp_path):
    path = tmp_path / "mlperf_log_detail.txt"
    path.write_text(entry("sut_name", r'"the \"best\""'))
    assert parse_detail(path).sut_name == 'the "best"'


def test_infinity_as_microsoft_prints_it_loses_no_record(tmp_path):
    path = tmp_path / "mlperf_log_detail.txt"
    path.write_text(
        entry("result_a", "-inf") + entry("result_b", "-nan(ind)") + entry("result_c", "1.#INF") + entry("x", "1.#Q")
    )
    results = parse_detail(path).results
    assert (results["result_a"], results["result_c"]) == (-math.inf, math.inf)
    assert math.isnan(results["result_b"])


def test_the_first_detail_logs_called_the_library_by_another_name(tmp_path):
    path = tmp_path / "mlperf_log_detail.txt"
    path.write_text('"pid": 1, "tid": 1, "ts": 5ns : QSL performance size: 1024\n')
    assert parse_detail(path).qsl_performance_count == 1024


@pytest.mark.parametrize("name", DETAILS)
def test_a_detail_log_cut_between_two_lines_is_not_complete(name, tmp_path):
    """A killed LoadGen leaves whole lines: without the last, none may say that the log is whole."""
    lines = (DATA / name).read_text().splitlines(keepends=True)
    path = tmp_path / "mlperf_log_detail.txt"
    for count in range(1, len(lines)):
        path.write_text("".join(lines[:count]))
        assert not parse_detail(path).complete, lines[count - 1]
    path.write_text("".join([*lines, "a server's last word\n"]))
    assert parse_detail(path).complete
    path.write_text("".join([*lines, ":::MLLOG {"]))
    assert not parse_detail(path).complete


LAST_PERCENTILE = entry("result_99.90_percentile_latency_ns", 5)
TOKENS = entry("requested_use_token_latencies", "true")
LATE = entry("warning_generic_message", '"Logging allocation detected: tid: 515 reserved_entries: 1024"')


@pytest.mark.parametrize(
    ("version", "records", "complete"),
    [
        ("1.0 @ 1d0f", LAST_PERCENTILE, True),
        (".5a1 @ 8180", LAST_PERCENTILE, True),
        ("4.1 @ 70d6", LAST_PERCENTILE, True),
        ("4.1 @ 70d6", LAST_PERCENTILE + LATE, True),
        ("4.1 @ 70d6", entry("result_99.00_percentile_latency_ns", 5) + LATE, False),
        ("4.1 @ 70d6", TOKENS + LAST_PERCENTILE, False),
        ("4.1 @ 70d6", TOKENS + LAST_PERCENTILE + entry("result_tokens_per_second", 5), True),
        ("4.1 @ 70d6", LAST_PERCENTILE + entry("result_inferred_completed_tokens_per_second", 5), True),
        ("5.0.15 @ 70d6", LAST_PERCENTILE, True),
        ("5.0.16 @ 70d6", LAST_PERCENTILE, False),
        ("6.0.17 @ d614", LAST_PERCENTILE, False),
        ("6.0.17 @ d614", LAST_PERCENTILE + LATE, False),
        ("6.0.17 @ d614", LAST_PERCENTILE + entry("num_errors", 0) + LATE + LATE, True),
        ("6.0.17 @ d614", LAST_PERCENTILE + entry("num_errors", 0), True),
        ("odd", LAST_PERCENTILE, False),
        ("6.0.17 @ d614", entry("loaded_qsl_set", [3, 1, 3]) + entry("power_end", '"t"'), False),
        (
            "6.0.17 @ d614",
            entry("loaded_qsl_set", [3, 1, 3])
            + entry("power_end", '"t"')
            + entry("loaded_qsl_set", [2, 0, 2])
            + entry("power_end", '"t"'),
            True,
        ),
    ],
)
def test_where_a_detail_log_ends_depends_on_its_generation(version, records, complete, tmp_path):
    """In accuracy mode the interval ends once per part of the library that was loaded."""
    path = tmp_path / "mlperf_log_detail.txt"
    head = entry("loadgen_version", f'"{version}"') + entry("qsl_reported_total_count", 4)
    path.write_text(head + entry("effective_test_mode", '"AccuracyOnly"') + records)
    assert parse_detail(path).complete is complete


def test_an_accuracy_test_in_plain_text_ends_once_all_samples_of_the_library_were_run(tmp_path):
    """Of the rounds up to v0.7, and of the entries that CK kept of them."""
    path = tmp_path / "mlperf_log_detail.txt"
    messages = ["QSL total size : 4", "Effective Settings:", "Scenario : MultiStream", "Test mode : AccuracyOnly"]
    for samples in ("[3,1,3]", "[2, 0,2]"):
        end = 'POWER_END: "mode" : Accuracy, "time" : 09-18-2020 09:56:11.080'
        messages += [f'Loading QSL : "set" : "{samples}"', "Log Contention Counters:", "0 : cas", end]
    lines = [f'"pid": 6, "tid": 6, "ts": 9ns : {message}\n' for message in messages]
    for count in range(1, len(lines)):
        path.write_text("".join(lines[:count]))
        assert not parse_detail(path).complete, lines[count - 1]
    path.write_text("".join(lines))
    assert parse_detail(path).complete


@pytest.mark.parametrize("value", ["[" * 400 + "]" * 400, '{"a": 1}', "true", "null"])
def test_a_value_of_the_wrong_kind_is_no_text_and_no_count(value, tmp_path):
    path = tmp_path / "mlperf_log_detail.txt"
    path.write_text(entry("power_begin", value) + entry("generated_query_count", value))
    detail = parse_detail(path)
    assert detail.power_begin in (None, "True")
    assert detail.generated_query_count is None


def test_errors_of_a_plain_text_detail_log_are_found(tmp_path):
    prefix = '"pid": 1, "tid": 1, "ts": 5ns : '
    path = tmp_path / "mlperf_log_detail.txt"
    path.write_text(f"{prefix}ERROR : Ending early: too slow\n{prefix}WARNING : odd\n{prefix}min_query_count : 1\n")
    detail = parse_detail(path)
    assert (detail.errors, detail.warnings) == (("Ending early: too slow",), ("odd",))
    assert detail.effective == detail.requested == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b" \n", "empty file"),
        ((DATA / V41).read_bytes(), "looks like a LoadGen summary"),
        (b"{}\n", "looks like JSON"),
        (b':::ENDPTS {"key": "endpoint_key", "value": 1}\n', "a log of MLPerf Endpoints"),
        (b'  :::MLLOG {"key": "a", "value": 1}\n', "is indented"),
        (b":::MLLOG {}\n", "begins like a LoadGen detail log, but cannot be read"),
        (b'"pid": 1, "tid": 1, "ts": 5ns : a\r"pid": 1, "tid": 1, "ts": 5ns : b\r', "carriage return alone"),
    ],
)
def test_what_is_no_detail_log_is_refused_by_name(content, reason, tmp_path):
    path = tmp_path / "mlperf_log_detail.txt"
    path.write_bytes(content)
    assert reason in refused(path, parse_detail)


def test_reading_logs_needs_no_loadgen_and_no_numpy():
    """Logs are read on machines that never run a test, and by commands that must start at once."""
    code = (
        "import sys, sweep.loadgen.logs, sweep.loadgen.accuracy; print({'mlperf_loadgen', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
