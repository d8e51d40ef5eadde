"""Each rule of a submission, broken once: what the check of that name finds, and nothing more."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sweep.cli import main
from sweep.errors import ConfigError
from sweep.submission.check import ALL_CHECKS, check_tree
from sweep.submission.findings import Severity

DOCS = Path(__file__).parents[2] / "docs" / "submission-checks.md"


def found(root, round_name=None, *, severity=Severity.ERROR):
    """Return what was found, by check, without what is not stated of the machine."""
    texts = {}
    for one in check_tree(root, round_name).findings:
        if one.found.severity is severity:
            texts[one.check.name] = f"{texts.get(one.check.name, '')}\n{one.found.what}".strip()
    return texts


@pytest.mark.parametrize("name", ["v5.1", "v6.0"])
def test_a_real_official_submission_has_no_errors(trees, name, capsys):
    assert found(trees[name]) == {}
    assert main(["submission", "check", str(trees[name])]) == 0
    out = capsys.readouterr().out
    assert f"1 result, rules of {name}, as the random seeds of its tests tell" in out
    assert f"sweep's own {len(ALL_CHECKS)} checks: 0 errors, 1 warning, 0 not checked" in out
    assert "'not stated' in host_memory_configuration" in out


def test_a_closed_submission_can_be_without_errors(broken):
    """Its other scenarios are copies here, which is found out; of its own there is nothing to say."""
    broken.close()
    findings = [one for one in check_tree(broken.root).findings if one.place.endswith("/MultiStream")]
    assert [one.found.what for one in findings] == ["what the compliance tests measured"]
    assert "is of MultiStream, its folder of SingleStream" in found(broken.root)["scenario"]


NO_ERRORS, ERRORS = "No errors encountered during test.", "2 ERRORS encountered. See detailed log."


OF_RESULTS = [
    ("benchmark", lambda t: t.mapping.unlink(), "digits is no benchmark of v5.1"),
    (
        "benchmark",
        lambda t: t.mapping.write_text("[1]"),
        "model_mapping.json is no JSON object",
    ),
    ("system", lambda t: t.system.unlink(), "is missing"),
    ("system", lambda t: t.system.write_text("{"), "is no JSON"),
    ("system", lambda t: t.edit_json(t.system, cooling=None), "lacks cooling"),
    ("system", lambda t: t.edit_json(t.system, cooling=""), "says nothing in cooling"),
    ("system", lambda t: t.edit_json(t.system, accelerators_per_node=0), "says nothing in accelerators_per_node"),
    ("system_words", lambda t: t.edit_json(t.system, division="closed"), "says division 'closed', its folder open"),
    ("system_words", lambda t: t.edit_json(t.system, submitter="Other"), "says submitter 'Other', its folder Example"),
    ("status", lambda t: t.edit_json(t.system, status="soon"), "says status 'soon'"),
    ("system_words", lambda t: t.edit_json(t.system, system_type="phone"), "says system_type 'phone'"),
    (
        "numbers",
        lambda t: t.edit_json(t.system, host_processors_per_node="not stated"),
        "'not stated', which is no whole",
    ),
    (
        "numbers",
        lambda t: t.edit_json(t.system, host_processors_per_node="2 sockets"),
        "'2 sockets', which is no whole",
    ),
    ("measurements_file", lambda t: t.measured.rename(t.measurements / "x.json"), "is missing"),
    (
        "measurements",
        lambda t: t.edit_json(t.measured, retraining=None),
        "lacks retraining",
    ),
    (
        "measurements",
        lambda t: t.edit_json(t.measured, retraining=""),
        "nothing in retraining",
    ),
    ("not_empty", lambda t: (t.measurements / "user.conf").write_text(""), "user.conf is empty"),
    ("settings", lambda t: (t.measurements / "README.md").unlink(), "README.md is missing"),
    ("code", lambda t: shutil.rmtree(t.submitter / "code"), "code/ is missing"),
    ("code", lambda t: (t.submitter / "code" / "digits").rename(t.submitter / "code" / "x"), "code/digits is missing"),
    ("files", lambda t: (t.accuracy / "notes.txt").write_text("x"), "accuracy has what nobody asked for: notes.txt"),
    ("files", lambda t: (t.performance / "nohup.out").write_text("x"), "performance/run_1 has what nobody asked for"),
    ("systems", lambda t: shutil.copy(t.system, t.system.with_name("x.json")), "x.json describes a system without"),
    (
        "systems",
        lambda t: (t.submitter / "measurements" / "x" / "y").mkdir(parents=True),
        "measurements/x is of a system",
    ),
    ("root", lambda t: (t.root / "submit.sh").write_text("x"), "submit.sh lies beside the divisions"),
    ("root", lambda t: (t.root / "open" / "notes.txt").write_text("x"), "open/notes.txt lies beside the submitters"),
    ("sizes", lambda t: (t.submitter / "empty").mkdir(), "is an empty folder"),
    ("performance_logs", lambda t: t.detail.unlink(), "is missing"),
    ("performance_logs", lambda t: t.summary.write_bytes(b"\xff\0"), "summary.txt"),
    ("performance_logs", lambda t: _damage(t.detail, b'"qsl_name"', b'"qsl\xffname"'), "no UTF-8"),
    ("accuracy_files", lambda t: _damage(t.accuracy_detail, b'"power_end"', b'"power_end'), "is damaged: its line"),
    ("accuracy_files", lambda t: _damage(t.accuracy_detail, b'"qsl_name"', b'"qsl\0name"'), "is no JSON"),
    (
        "mode",
        lambda t: t.edit(t.summary, "PerformanceOnly", "FindPeakPerformance"),
        "Find",
    ),
    ("scenario", lambda t: t.result.rename(t.result.parent / "Server"), "is of MultiStream, its folder of Server"),
    ("scenario", lambda t: t.result.rename(t.result.parent / "Stream"), "is none of LoadGen's scenarios"),
    (
        "verdict",
        lambda t: t.edit(t.summary, "is : VALID", "is : INVALID"),
        "says INVALID",
    ),
    (
        "verdict",
        lambda t: t.edit(t.detail, '"value": "VALID"', '"value": "INVALID"'),
        "mlperf_log_detail.txt says INVALID",
    ),
    (
        "no_errors",
        lambda t: t.flag_error(t.detail, "sut_name"),
        "mlperf_log_detail.txt: ",
    ),
    (
        "agreement",
        lambda t: t.edit(t.summary, "min_query_count : 662", "min_query_count : 700"),
        "min_query_count is 700 in",
    ),
    ("seeds", lambda t: t.setting("qsl_rng_seed", 2465351861681999779), "of no known round"),
    ("sample_count", lambda t: t.setting("performance_sample_count", 500), "is 500, and resnet needs 1024"),
    ("length", lambda t: t.setting("min_duration_ms", 60000), "is 60000 ms, and v5.1 demands 600000"),
    (
        "latency",
        lambda t: t.edit(
            t.detail,
            '"early_stopping_met", "value": true',
            '"early_stopping_met", "value": false',
        ),
        "early stopping was not met",
    ),
    (
        "metric",
        lambda t: t.edit(t.detail, "early_stopping_latency_ms", "x"),
        "has no early",
    ),
    ("accuracy_files", lambda t: (t.accuracy / "accuracy.txt").unlink(), "accuracy/accuracy.txt is missing"),
    ("accuracy_errors", lambda t: t.flag_error(t.accuracy_detail, "sut_name"), "accuracy/mlperf_log_detail.txt: "),
    ("coverage", lambda t: t.setting_of_accuracy(500), "covers 500 samples, and resnet has 50000"),
    ("score", lambda t: t.edit(t.accuracy / "accuracy.txt", "accuracy=", "top1="), "has no line of acc"),
    ("score", lambda t: t.edit(t.accuracy / "accuracy.txt", "accuracy=99", "accuracy=990"), "more than all"),
    ("hash", lambda t: t.edit(t.accuracy / "accuracy.txt", "hash=", "sha="), "has no line hash="),
    (
        "score",
        lambda t: t.edit(t.accuracy / "accuracy.txt", "good=49800", "good=38000"),
        "contradicts itself: accuracy=99.6",
    ),
    (
        "score",
        lambda t: t.edit(t.accuracy / "accuracy.txt", "total=50000", "total=100"),
        "contradicts itself: accuracy=99.6",
    ),
    (
        "shortened",
        lambda t: (t.accuracy / "mlperf_log_accuracy.json").write_bytes(b"a" * 4096 + b"\n\n...\n\n" + b"b" * 9000),
        "has 13103 bytes",
    ),
    ("names", lambda t: (t.submitter / "code" / "a b").write_text("x"), "names hold no spaces"),
    ("names", lambda t: (t.submitter / "code" / ".git").write_text("x"), "begin with no dot"),
    ("links", lambda t: _link(t.measurements / "user.conf"), "is a link"),
]
ALSO = {
    "names": {"files"},
    "links": {"settings"},
    "scenario": {"measurements_file", "settings"},
    "measurements_file": {"measurements"},
    "systems": {"sizes"},
    "system": {"sizes"},
    "mode": {"streams", "metric"},
    "hash": {"shortened"},
    "accuracy_files": {"hash"},
}
"""What else a break brings with it."""


def _damage(path, old, new):
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


def _link(path):
    target = path.with_name("target")
    path.rename(target)
    path.symlink_to(target)


def _loop(path):
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("check", "file"),
    [
        ("settings", lambda t: t.measurements / "user.conf"),
        ("accuracy_files", lambda t: t.accuracy / "accuracy.txt"),
        ("performance_logs", lambda t: t.detail),
        ("system", lambda t: t.system),
    ],
)
def test_a_link_that_leads_to_itself_is_a_file_that_cannot_be_read(broken, check, file):
    _loop(file(broken))
    errors = found(broken.root, "v5.1")
    assert file(broken).name in errors[check]
    assert "is a link" in errors["links"]


@pytest.mark.parametrize(
    ("check", "broke", "words"), OF_RESULTS, ids=[f"{one[0]}-{n}" for n, one in enumerate(OF_RESULTS)]
)
def test_what_is_broken_is_found_by_the_check_of_that_name(broken, check, broke, words):
    broke(broken)
    errors = found(broken.root, "v5.1")
    assert words in errors[check]
    assert set(errors) - {check, "agreement"} <= ALSO.get(check, set())


IN_CLOSED = [
    (
        "score",
        lambda t: t.edit(t.accuracy / "accuracy.txt", "accuracy=99", "accuracy=75"),
        "accuracy 75.6 %, and closed",
    ),
    ("calibration", lambda t: (t.submitter / "documentation" / "calibration.md").unlink(), "nor calibration.md is"),
    (
        "whole",
        lambda t: shutil.rmtree(t.result) or (t.result.parents[1] / "retinanet").mkdir(),
        "retinanet has no scenario",
    ),
    (
        "offered",
        lambda t: t.edit_json(t.system, system_type="datacenter"),
        "no benchmark of datacenter systems in v5.1",
    ),
    ("scenarios", lambda t: shutil.rmtree(t.result.parent / "Offline"), "closed demands Offline of resnet too"),
    ("compliance", lambda t: shutil.rmtree(t.submitter / "compliance"), "MultiStream/TEST04 is missing"),
    ("compliance", lambda t: next(t.submitter.rglob("verify_accuracy.txt")).unlink(), "verify_accuracy.txt is missing"),
    ("benchmark", lambda t: t.result.parent.rename(t.result.parents[1] / "digits"), "digits is no benchmark of v5.1"),
]


@pytest.mark.parametrize(
    ("check", "broke", "words"), IN_CLOSED, ids=[f"{one[0]}-{n}" for n, one in enumerate(IN_CLOSED)]
)
def test_closed_demands_more(broken, check, broke, words):
    broke(broken.close())
    assert words in found(broken.root, "v5.1")[check]


@pytest.mark.parametrize(
    ("check", "broke", "words", "severity"),
    [
        ("streams", lambda t: t.setting("samples_per_query", 16), "N is 16", Severity.WARNING),
        (
            "runs",
            lambda t: shutil.copytree(t.performance, t.performance.with_name("run_2")),
            "run_2 is a test that",
            Severity.WARNING,
        ),
        ("percentile", lambda t: t.setting("target_latency_percentile", 0.97), "is 97, not 99", Severity.WARNING),
        (
            "audit",
            lambda t: t.setting("performance_issue_same", 1),
            "performance_issue_same=1 was on",
            Severity.WARNING,
        ),
        ("accuracy_mode", lambda t: shutil.copy(t.summary, t.accuracy), "is of mode PerformanceOnly", Severity.WARNING),
        ("no_errors", lambda t: t.edit(t.summary, NO_ERRORS, ERRORS), "counts 2 errors", Severity.WARNING),
        ("accuracy_errors", lambda t: t.edit(t.accuracy_summary, NO_ERRORS, ERRORS), "counts 2", Severity.WARNING),
        ("hash", lambda t: t.edit(t.accuracy / "accuracy.txt", "hash=", "hash=x"), "is no SHA-256", Severity.WARNING),
        ("accuracy_files", lambda t: t.answers.write_bytes(b""), "is empty", Severity.WARNING),
        ("hash", lambda t: t.answers.write_text("[]"), "the hash of another", Severity.WARNING),
        ("system", lambda t: t.edit_json(t.system, cooling="not stated"), "topology, cooling", Severity.WARNING),
        ("names", lambda t: (t.submitter / "code" / "ä").write_text("x"), "names hold ASCII", Severity.WARNING),
        ("links", lambda t: (t.submitter / "code" / "x").symlink_to("digits"), "code/x is a link", Severity.WARNING),
        ("whole", lambda t: (t.submitter / "results" / "x").mkdir(), "x has no benchmark in it", Severity.WARNING),
        ("root", lambda t: (t.root / "more").mkdir(), "more lies beside the divisions", Severity.WARNING),
        ("root", lambda t: (t.root / "network").mkdir(), "the division network", Severity.NOT_CHECKED),
        ("power", lambda t: (t.result / "performance" / "power").mkdir(), "performance/power", Severity.NOT_CHECKED),
        (
            "score",
            lambda t: t.edit_json(t.mapping, digits="bert-99"),
            "bert-99",
            Severity.NOT_CHECKED,
        ),
    ],
)
def test_what_is_no_error_is_said_all_the_same(broken, check, broke, words, severity):
    broke(broken)
    assert words in found(broken.root, "v5.1", severity=severity)[check]


def test_a_large_file_is_found_without_being_read(broken):
    with (broken.submitter / "code" / "large.bin").open("wb") as file:
        file.truncate((50 << 20) + 1)
    assert "large.bin has 50 MiB" in found(broken.root)["sizes"]


def test_what_is_too_much_to_look_at_is_said(broken, monkeypatch):
    monkeypatch.setattr("sweep.submission.checks_tree._FILES_MAX", 5)
    assert "after the first 5 files" in found(broken.root, severity=Severity.NOT_CHECKED)["reach"]


AGREE = [
    (lambda t: t.result_of("early_stopping_latency_ms", 1000), "early_stopping_latency_ms is 583618 in"),
    (lambda t: t.result_of("result_99.00_percentile_per_query_latency_ns", 1), "p99 is 581796 in"),
    (lambda t: t.result_of("result_query_count", 12), "the count of queries is"),
    (lambda t: t.setting("scenario", "Offline"), "is of MultiStream, mlperf_log_detail.txt of Offline"),
    (lambda t: t.setting("test_mode", "SubmissionRun"), "mlperf_log_detail.txt is of mode SubmissionRun"),
    (lambda t: t.result_of("result_validity", None), "result_validity is VALID in mlperf_log_summary.txt and unknown"),
    (lambda t: t.twice("effective_qsl_rng_seed", 5), "says effective_qsl_rng_seed more than once"),
    (lambda t: t.detail.write_text(":::MLLOG {broken\n" + t.detail.read_text()), "has damaged lines"),
]


@pytest.mark.parametrize(("broke", "words"), AGREE, ids=map(str, range(len(AGREE))))
def test_a_detail_log_that_is_not_the_summary_s_is_found(broken, broke, words):
    """What is published is read from the detail log, what people look at is the summary."""
    broke(broken)
    assert words in found(broken.root, "v5.1")["agreement"]


def test_an_estimate_below_the_percentile_itself_is_found(broken):
    estimate = broken.result_of("early_stopping_latency_ms", 183618)
    broken.edit(broken.summary, f"percentile estimate: {estimate}", "percentile estimate: 183618")
    assert "183618 ns, is less than p99 itself" in found(broken.root)["agreement"]


def test_a_folder_that_may_not_be_looked_into_is_no_traceback(broken, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ConfigError, match="is no submission tree"):
        check_tree(broken.root)


def test_no_depth_is_too_much(broken):
    """The official checker would die of it; sweep says what is there."""
    place = broken.submitter / "code"
    here = os.open(place, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        assert set(found(broken.root)) == {"sizes"}
    finally:
        subprocess.run(["rm", "-rf", place / "d"], check=True)  # no depth is too much for it either


@pytest.mark.parametrize(
    ("old", "new", "severity", "words"),
    [
        ("digits", "rgat", Severity.NOT_CHECKED, "what v5.1 demands of rgat: sweep does not know it"),
        ("digits", "my-mobilenet-v3", Severity.ERROR, ""),
    ],
)
def test_a_name_that_is_another_s_is_taken_for_it(broken, old, new, severity, words):
    """Official names win over model_mapping.json, and so do parts of names that the checker guesses by."""
    for part in (broken.result.parent, broken.measurements.parent):
        part.rename(part.with_name(new))
    broken.mapping.write_text(json.dumps({new: "bert-99"}))
    assert words in found(broken.root, "v5.1", severity=severity).get("benchmark", "")


def test_early_rounds_are_held_against_their_bound_and_counts(broken, tmp_path):
    """A test of today has other seeds, fewer queries and today's files; its p99 is within the 50 ms of then."""
    errors = found(broken.root, "v0.7")
    assert "min_query_count is 662, and v0.7 demands 270336" in errors["length"]
    assert "those of v5.1, not those of v0.7" in errors["seeds"]
    assert "mlperf.conf is missing" in errors["settings"]
    assert "latency" not in errors
    broken.close().edit(broken.summary, "99.00 percentile latency (ns)   : ", "99.00 percentile latency (ns)   : 99")
    assert "over the 50 ms of resnet" in found(broken.root, "v0.7")["latency"]


def test_a_whole_log_of_answers_is_held_against_its_hash(broken):
    answers = b'[\n{ "seq_id" : 0, "qsl_idx" : 0, "data" : "00000000"}\n]\n'
    broken.answers.write_bytes(answers)
    score = "accuracy=99.600%, good=49800, total=50000"
    (broken.accuracy / "accuracy.txt").write_text(f"{score}\nhash={hashlib.sha256(answers).hexdigest()}\n")
    assert found(broken.root) == {}


def test_a_link_is_not_followed(broken, tmp_path):
    """A tree from elsewhere must not make sweep read other files of this machine."""
    secret = tmp_path / "secret"
    broken.performance.rename(secret)
    broken.performance.symlink_to(secret)
    assert "lies behind one, which is not followed" in found(broken.root, "v5.1")["performance_logs"]


def test_the_round_must_be_told_where_seeds_tell_none(broken, capsys):
    broken.setting("qsl_rng_seed", 5)
    assert main(["submission", "check", str(broken.root)]) == 2
    assert (
        "error: --round: cannot be told from the random seeds of its tests; choose one of: v0.7"
        in capsys.readouterr().err
    )
    assert main(["submission", "check", str(broken.root), "--round", "v5.1"]) == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "DIR=nowhere: does not exist"),
        (["."], "is no submission tree: there is no closed|open/SUBMITTER/results in it"),
        ([".", "--round", "v5.2"], "--round=v5.2: unknown; did you mean v5.1?"),
        ([], "DIR must be given"),
    ],
)
def test_bad_input_is_one_line(arguments, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["submission", "check", *arguments]) == 2
    err = capsys.readouterr().err
    assert line in err
    assert len(err.splitlines()) == 1


def test_the_documented_checks_are_those_there_are():
    rows = [line.split("|")[1].strip() for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    assert rows == [f"`{check.name}`" for check in ALL_CHECKS]
    for check in ALL_CHECKS:
        assert f"| `{check.name}` | {check.demands} | {check.why} |" in DOCS.read_text()


def test_every_check_is_broken_here_by_its_name():
    text = Path(__file__).read_text()
    assert [check.name for check in ALL_CHECKS if f'"{check.name}"' not in text] == []


def test_nothing_is_json_that_is_nested_beyond_reason(broken):
    broken.system.write_text("[" * 100_000)
    assert "is no JSON" in found(broken.root)["system"]
    broken.system.write_text(json.dumps({"division": "open"}))
    assert "lacks submitter" in found(broken.root)["system"]


def test_a_long_list_of_findings_is_summed_up_by_reason(broken, capsys):
    for number in range(30):
        (broken.submitter / "code" / f"a {number}").mkdir()
    assert main(["submission", "check", str(broken.root)]) == 1
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "is an empty folder" in line]
    assert line.startswith("error: 30 places: sizes: open/Example/code/a 0 is an empty folder (such as ")
    assert "--all lists all " in out
    assert main(["submission", "check", str(broken.root), "--all"]) == 1
    out = capsys.readouterr().out
    assert out.count("  error: sizes: ") == 30
    assert "30 places: sizes: open/Example/code/a 0 is an empty folder" in out
