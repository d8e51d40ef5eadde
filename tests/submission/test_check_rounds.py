"""Rules are data of their round: what its official checker lets pass is no error there, what it refuses is one."""

import json
import shutil

import pytest
from tests.submission.trees import Broken

from sweep.loadgen.seeds import ROUND_SEEDS
from sweep.submission.check import ALL_CHECKS, check_tree
from sweep.submission.findings import Severity
from sweep.submission.rounds import ROUNDS


def severities(root, round_name, check):
    """Return how bad what one check finds is in a round."""
    return {one.found.severity for one in _findings(root, round_name, check)}


def said(root, round_name, check):
    return "\n".join(one.found.what for one in _findings(root, round_name, check))


def _findings(root, round_name, check):
    return [one for one in check_tree(root, round_name).findings if one.check.name == check]


def _flag(text):
    def flag(tree):
        record = {"key": "error_runtime", "value": text, "metadata": {"is_error": True}}
        tree.accuracy_detail.write_text(f":::MLLOG {json.dumps(record)}\n{tree.accuracy_detail.read_text()}")

    return flag


LETS_PASS = [
    ("not_empty", lambda t: (t.measurements / "README.md").write_text(""), "v0.7 v1.0", "v4.1 v5.0 v5.1"),
    ("coverage", lambda t: t.close().setting_of_accuracy(500), "v0.7 v1.0 v4.1 v5.0", "v5.1"),
    ("files", lambda t: (t.accuracy / "nohup.out").write_text("x"), "v0.7 v1.0", "v4.1 v5.0 v5.1"),
    ("root", lambda t: (t.root / "run.sh").write_text("x"), "v0.7 v1.0 v6.0", "v4.1 v5.0 v5.1"),
    ("names", lambda t: (t.submitter / "code" / "a b").write_text("x"), "v0.7 v1.0 v6.0", "v4.1 v5.0 v5.1"),
    ("links", lambda t: (t.submitter / "code" / "x").symlink_to("nowhere"), "v0.7 v1.0 v6.0", "v4.1 v5.0 v5.1"),
    ("systems", lambda t: shutil.copy(t.system, t.system.with_name("x.json")), "v0.7 v1.0 v4.1 v5.0 v6.0", "v5.1"),
    ("status", lambda t: t.edit_json(t.system, status="on-premise"), "v0.7", "v1.0 v4.1 v5.1 v6.0"),
    ("settings", lambda t: (t.measurements / "user.conf").unlink(), "v1.0", "v0.7 v4.1 v5.1"),
    ("measurements_file", lambda t: t.measured.unlink(), "v0.7 v1.0", "v4.1 v5.1"),
    ("accuracy_errors", _flag("CAS failed."), "v0.7", "v1.0 v4.1 v5.1 v6.0"),
    ("accuracy_errors", _flag("Ran out of queries"), "", "v0.7 v1.0 v4.1 v5.1 v6.0"),
    ("score", lambda t: t.edit(t.accuracy / "accuracy.txt", "accuracy=", "top1="), "v4.1 v6.0", "v5.1"),
    ("offered", lambda t: t.edit_json(t.system, system_type="datacenter"), "v4.1 v6.0", "v5.1"),
]


@pytest.mark.parametrize(
    ("check", "broke", "passes", "refuses"), LETS_PASS, ids=[f"{one[0]}-{n}" for n, one in enumerate(LETS_PASS)]
)
def test_what_the_checker_of_a_round_lets_pass_is_a_warning_in_that_round(broken, check, broke, passes, refuses):
    broke(broken)
    for name in passes.split():
        assert severities(broken.root, name, check) == {Severity.WARNING}, name
    for name in refuses.split():
        assert Severity.ERROR in severities(broken.root, name, check), name


def test_every_lenient_check_is_one_there_is():
    assert {name for rules in ROUNDS.values() for name in rules.lenient} <= {check.name for check in ALL_CHECKS}


@pytest.mark.parametrize(
    ("field", "optional_in"), [("cooling", "v0.7"), ("sw_notes", "v0.7"), ("system_type_detail", "v0.7 v1.0")]
)
def test_the_fields_that_a_description_must_have_are_those_of_the_round(broken, field, optional_in):
    broken.edit_json(broken.system, **{field: None})
    for name in ROUNDS:
        assert (f"lacks {field}" in said(broken.root, name, "system")) is (name not in optional_in)


@pytest.mark.parametrize(
    ("field", "read_in"), [("number_of_nodes", "v1.0"), ("host_processors_per_node", "v1.0 v4.1 v5.0 v5.1 v6.0 v6.1")]
)
def test_only_what_the_report_of_a_round_is_calculated_with_must_be_a_number(broken, field, read_in):
    """`N/A` accelerators are in the report of v4.1, as they were submitted."""
    broken.edit_json(broken.system, **{field: "not stated", "accelerators_per_node": "N/A"})
    for name in ROUNDS:
        assert (field in said(broken.root, name, "numbers")) is (name in read_in), name
        assert ("accelerators" in said(broken.root, name, "numbers")) is (name == "v1.0"), name


def test_a_note_on_calibration_may_lie_at_the_submitter_s_root_and_is_demanded_since_v5_1(broken):
    broken.close()
    note = broken.submitter / "documentation" / "calibration.md"
    note.rename(broken.submitter / "calibration.md")
    assert severities(broken.root, "v5.1", "calibration") == set()
    (broken.submitter / "calibration.md").unlink()
    found = {name: severities(broken.root, name, "calibration") for name in ROUNDS}
    assert found.pop("v5.1") == {Severity.ERROR}
    assert found.pop("v6.0") == found.pop("v6.1") == {Severity.WARNING}
    assert set().union(*found.values()) == set()


def test_compliance_tests_are_those_of_the_round_and_scenario(broken):
    """Up to v1.0 TEST04 was none of MultiStream's, and its checker let a result without them pass."""
    shutil.rmtree(broken.close().submitter / "compliance")
    wanted = {
        "v1.0": ("TEST01 TEST05", Severity.WARNING),
        "v4.1": ("TEST01 TEST04 TEST05", Severity.ERROR),
        "v5.1": ("TEST01 TEST04", Severity.ERROR),
    }
    for name, (tests, severity) in wanted.items():
        findings = _findings(broken.root, name, "compliance")
        of_multistream = [one for one in findings if one.place.endswith("/MultiStream")]
        assert [one.found.what.split()[0].rpartition("/")[2] for one in of_multistream] == tests.split()
        assert {one.found.severity for one in of_multistream} == {severity}


def test_a_submission_run_is_performance_and_accuracy_in_one(broken):
    for log in (broken.detail, broken.summary):
        broken.edit(log, "PerformanceOnly", "SubmissionRun")
    broken.edit(broken.accuracy_detail, "AccuracyOnly", "SubmissionRun")
    for check in ("mode", "agreement", "accuracy_mode"):
        assert severities(broken.root, "v1.0", check) == set(), check


@pytest.mark.parametrize(
    ("round_name", "model", "benchmark"),
    [
        ("v0.7", "ssd-mobilenet-v1-non-quantized", "ssd-small"),
        ("v1.0", "ssd-resnet50-fpn", "ssd-small"),
        ("v1.0", "rcnn-inception", "ssd-small"),
        ("v1.0", "mobilenet-v2", "resnet"),
        ("v0.7", "quantized-efficientnet-lite0", "resnet"),
        ("v5.1", "ssd-mobilenet-v1", "resnet"),
        ("v1.0", "bert-99-pruned", None),
        ("v5.1", "bert-99-pruned", "bert-99"),
    ],
)
def test_a_model_s_name_stands_for_what_the_checker_of_the_round_guesses(round_name, model, benchmark):
    assert ROUNDS[round_name].benchmark_of(model) == benchmark


@pytest.mark.parametrize("name", ["llama2-70b-99", "whisper"])
def test_a_model_that_is_mapped_to_a_benchmark_that_sweep_does_not_score_is_not_checked(broken, name):
    broken.edit_json(broken.mapping, digits=name)
    assert severities(broken.root, "v5.1", "benchmark") == {Severity.NOT_CHECKED}
    assert f"what v5.1 demands of {name}" in said(broken.root, "v5.1", "benchmark")


def test_files_from_windows_say_the_same(broken):
    text = broken.accuracy / "accuracy.txt"
    text.write_bytes(text.read_bytes().replace(b"\n", b"\r\n"))
    line = b'{ "seq_id" : 0, "data" : "0" },\r\n'
    half = line * (4096 // (len(line) - 1)) + b"x" * (4096 % (len(line) - 1))
    broken.answers.write_bytes(half + b"\r\n\r\n...\r\n\r\n" + half)
    for check in ("score", "hash", "shortened"):
        assert said(broken.root, "v5.1", check) == "", check


def test_an_invalid_test_beside_the_one_that_counts_is_said(broken):
    """Nobody reads it, and somebody may take it for the result."""
    other = broken.performance.with_name("run_2")
    shutil.copytree(broken.performance, other)
    summary = other / "mlperf_log_summary.txt"
    broken.edit(summary, "is : VALID", "is : INVALID")
    assert "performance/run_2 is a test that LoadGen calls INVALID" in said(broken.root, "v5.1", "runs")
    shutil.rmtree(other)
    shutil.copytree(broken.performance, broken.performance.parent / "old" / "run_1")
    assert "performance/old is a test that LoadGen calls VALID" in said(broken.root, "v5.1", "runs")


def test_power_files_and_those_of_v6_s_compliance_tests_belong_where_they_are(broken, trees, tmp_path):
    (broken.performance / "spl.txt").write_text("x")
    assert "asked for: spl.txt" in said(broken.root, "v5.1", "files")
    for name in ("power", "ranging"):
        (broken.performance.parent / name).mkdir()
    assert said(broken.root, "v5.1", "files") == said(broken.root, "v5.1", "runs") == ""
    flat = Broken(trees["v6.0"], tmp_path / "flat")
    for name in ("TEST01", "TEST07", "TEST08", "TEST09"):
        (flat.result / name).mkdir()
    for name in ("mlperf.conf", "analyzer_table.md", "power_settings.json"):
        (flat.result / name).write_text("x")
    assert said(flat.root, "v6.0", "files") == ""
    (flat.result / "notes.txt").write_text("x")
    assert "notes.txt" in said(flat.root, "v6.0", "files")


def test_a_link_that_stays_in_the_tree_is_read(broken):
    kept = broken.submitter / "code" / "user.conf"
    (broken.measurements / "user.conf").rename(kept)
    (broken.measurements / "user.conf").symlink_to(kept)
    assert said(broken.root, "v5.1", "settings") == said(broken.root, "v5.1", "not_empty") == ""


def test_in_closed_multistream_is_of_edge_systems(broken):
    broken.close()
    broken.edit_json(broken.system, system_type="datacenter")
    assert "resnet has no MultiStream on datacenter systems in v4.1" in said(broken.root, "v4.1", "offered")
    assert Severity.ERROR in severities(broken.root, "v4.1", "offered")
    broken.edit_json(broken.system, system_type="datacenter,edge")
    assert severities(broken.root, "v4.1", "offered") == set()
    assert "closed demands Server of resnet too" in said(broken.root, "v4.1", "scenarios")


def test_the_seeds_of_a_round_without_rules_are_named(broken):
    for name, seed in ROUND_SEEDS["v0.5"].by_setting().items():
        broken.setting(name, seed)
    assert "random seeds are those of v0.5" in said(broken.root, "v5.1", "seeds")
