"""`sweep compare` and `sweep gate` over output folders."""

import json
import shutil
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from tests.points import Outputs

from sweep.cli import main
from sweep.store.records import Store


@pytest.fixture
def night(searches, tmp_path):
    """Make an output folder with one search and one grid, slower by a factor."""

    made = []

    def make(name, factor=1.0, grid=(64, 128, 256), answer=306):
        made.append(name)
        day = f"2026-01-{len(made):02}"
        outputs = Outputs(tmp_path / name)
        found = searches.exact(max_streams=answer, first_invalid=answer + 1)
        outputs.search(replace(found, tests=tuple(on_day(test, day) for test in found.tests)))
        tests = [searches.test(n, full=1000, per_sample_ms=0.15 * factor, seed=n) for n in grid]
        outputs.grid([on_day(test, day) for test in tests])
        return outputs.root

    return make


def on_day(test, day):
    """Return a test as one that was started on another day."""
    stored = test.outcome.stored
    timing = replace(stored.result.timing, started_at=f"{day}T00:00:00+00:00")
    return replace(
        test, outcome=replace(test.outcome, stored=replace(stored, result=replace(stored.result, timing=timing)))
    )


def of_another_file(test):
    """Return a test as one of another model of the same name."""
    stored = test.outcome.stored
    model = replace(stored.result.spec.model, digest="sha256:" + "9" * 64)
    spec = replace(stored.result.spec, model=model)
    result = replace(stored.result, spec=spec, spec_digest=spec.digest)
    return replace(test, outcome=replace(test.outcome, stored=replace(stored, result=result)))


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_two_identical_sweeps_show_no_evidence(night, capsys):
    code, out, _ = run(capsys, "compare", night("a"), night("b"))
    assert code == 0
    assert "nothing but when they were measured" in out
    assert "max streams" in out
    assert "worse" not in out
    assert "better" not in out


def test_a_slower_sweep_is_worse(night, capsys):
    _, out, _ = run(capsys, "compare", night("a"), night("b", factor=1.1))
    slow = [line for line in out.splitlines() if "p99 at N=256" in line]
    assert len(slow) == 1
    assert "worse" in slow[0]


def test_sides_may_be_filters(night, capsys, monkeypatch, tmp_path):
    root = night("outputs")
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "compare", f"{root} batch=64", f"{root} batch=128")
    assert code == 0
    assert "only before" in out
    assert "only after" in out
    code, out, _ = run(capsys, "compare", "batch=64", "model=digits")
    assert "records are on both sides" in out or "record is on both sides" in out


def test_formats(night, capsys):
    a, b = night("a"), night("b")
    _, out, _ = run(capsys, "compare", a, b, "--format", "json")
    pairs = json.loads(out)["pairs"]
    assert {pair["metric"] for pair in pairs} == {"max streams", "latency"}
    _, out, _ = run(capsys, "compare", a, b, "--format", "md")
    assert out.startswith("## ")
    assert "| max streams |" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare"], "needs two sides"),
        (["compare", "gone", "gone"], "gone: does not exist"),
        (["compare", "modl=x", "model=y"], "did you mean model?"),
        (["gate"], "--baseline: must be given"),
        (["gate", "--baseline", "gone.json"], "write it with --update"),
        (["gate", "--baseline", "gone.json", "--tolerance", "many"], "--tolerance=many: must be a number of percent"),
    ],
)
def test_bad_input_is_one_line_each(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_the_gate_from_first_run_to_regression(night, capsys, tmp_path):
    baseline, report, summary = tmp_path / "b.json", tmp_path / "junit.xml", tmp_path / "summary.md"
    files = ["--baseline", baseline, "--junit", report, "--summary", summary]

    code, out, _ = run(capsys, "gate", night("first"), *files, "--update")
    assert code == 0
    assert "first run" in out
    assert ET.parse(report).getroot().get("skipped") == "4"

    code, out, _ = run(capsys, "gate", night("same"), *files)
    assert code == 0
    assert "gate open: 5 passed" in out

    code, out, _ = run(capsys, "gate", night("slow", factor=1.1, answer=270), *files)
    assert code == 1
    assert "gate shut" in out
    assert int(ET.parse(report).getroot().get("failures")) >= 2
    assert summary.read_text().startswith("## gate shut")

    code, out, _ = run(capsys, "gate", night("short", grid=(64, 128)), *files)
    assert code == 1
    assert "1 missing" in out

    code, out, _ = run(capsys, "gate", night("prune", grid=(64, 128)), *files, "--update", "--prune")
    assert code == 0
    assert "are dropped" in out
    code, _, _ = run(capsys, "gate", night("pruned", grid=(64, 128)), *files)
    assert code == 0


def test_an_update_without_anything_measured_keeps_the_baseline(night, capsys, tmp_path):
    baseline = tmp_path / "b.json"
    run(capsys, "gate", night("first"), "--baseline", baseline, "--update")
    before = baseline.read_bytes()
    code, out, _ = run(capsys, "gate", night("other"), "model=resnet", "--baseline", baseline, "--update")
    assert code == 1
    assert "nothing was measured" in out
    assert baseline.read_bytes() == before


def test_a_baseline_of_several_sweeps_knows_how_far_they_differ(night, capsys, tmp_path):
    baseline = tmp_path / "b.json"
    folders = [night("a"), night("b", factor=1.02), night("c", factor=0.98)]
    assert run(capsys, "gate", *folders, "--baseline", baseline, "--update")[0] == 0
    _, out, _ = run(capsys, "gate", night("d", factor=1.02), "--baseline", baseline)
    assert "repeats differ by" in out
    assert "within one session" not in out


def test_of_a_folder_with_a_past_the_last_command_counts(night, searches, capsys, tmp_path):
    """Else yesterday's figures would hide today's, and their difference would be taken for noise."""
    baseline, root = tmp_path / "b.json", night("outputs")
    run(capsys, "gate", root, "--baseline", baseline, "--update")
    slow = [searches.test(n, full=1000, per_sample_ms=0.15 * 1.15, seed=n) for n in (64, 128, 256)]
    later = [on_day(test, "2026-02-02") for test in slow]
    Outputs(root).grid(later, name="2026-02-02_00-00-00_grid")
    code, out, _ = run(capsys, "gate", root, "--baseline", baseline)
    assert code == 1
    assert out.count("failed") >= 2


def test_two_models_of_one_name_are_two_points(searches, capsys, tmp_path):
    """Their mean would be nobody's latency, and their difference would be taken for noise."""
    sides = []
    for name in ("a", "b"):
        outputs = Outputs(tmp_path / name)
        tests = [searches.test(64, full=1000, per_sample_ms=ms) for ms in (0.2, 0.4)]
        outputs.grid([tests[0], of_another_file(tests[1])])
        sides.append(outputs.root)
    _, out, _ = run(capsys, "compare", *sides, "--format", "json")
    pairs = json.loads(out)["pairs"]
    assert len(pairs) == 2
    assert {pair["before"]["repeats"] for pair in pairs} == {1}


def test_a_copy_of_a_record_is_no_repeat(night, capsys, tmp_path):
    root, other = night("a"), night("b")
    shutil.copytree(root, tmp_path / "copy")
    alone, beside = (
        [
            pair["before"]["repeats"]
            for pair in json.loads(run(capsys, "compare", side, other, "--format", "json")[1])["pairs"]
        ]
        for side in (root, f"{root} {tmp_path / 'copy'}")
    )
    assert alone == beside


def test_tests_of_one_second_are_several(searches, capsys, tmp_path):
    """Fails where tests that are stopped after some milliseconds count as one, being as old to the second."""
    store = Store(tmp_path / "outputs")
    for seed in range(3):
        result = searches.test(64, seed=seed).outcome.stored
        attempt = store.begin(result.result.spec, result.result.environment_digest)
        shutil.copy(result.directory / "latencies_ns.npy", attempt.paths.directory)
        store.finish(attempt, replace(result.result, attempt=attempt.number))
    assert main(["compare", str(tmp_path / "outputs"), str(tmp_path / "outputs")]) in (0, 2)
    assert "(3 records" in (said := capsys.readouterr().out)
    assert "3 records are on both sides" in said


def test_a_search_is_on_the_side_that_has_all_of_its_tests(night, capsys):
    """Else both sides would hold the same search, and it would never have changed."""
    _, out, _ = run(capsys, "compare", f"{night('a')} batch=64", f"{night('b')} batch=64,128")
    assert "max streams" not in out


def test_prune_is_refused_with_filters_and_without_update(night, capsys, tmp_path):
    root, baseline = night("a"), tmp_path / "b.json"
    code, _, err = run(capsys, "gate", root, "model=digits", "--baseline", baseline, "--update", "--prune")
    assert code == 2
    assert "leave out the filters" in err
    run(capsys, "gate", root, "--baseline", baseline, "--update")
    assert run(capsys, "gate", root, "--baseline", baseline, "--prune")[0] == 2


def test_latencies_are_those_of_the_verdict(night, capsys):
    """The system under test sees less of a query than LoadGen, by whose figure it is VALID."""
    from sweep.results.selection import select

    root = night("a")
    (stored,) = (
        one
        for one in select([root]).trials
        if one.result.spec.run.min_query_count == 1000 and one.result.spec.samples_per_query == 64
    )
    data = json.loads((stored.directory / "result.json").read_text())
    data["latencies"]["percentiles"]["p99"] += 123_456
    (stored.directory / "result.json").write_text(json.dumps(data))
    _, out, _ = run(capsys, "compare", root, night("b"), "--format", "json")
    (pair,) = (one for one in json.loads(out)["pairs"] if one["key"].get("samples_per_query") == "64")
    assert pair["before"]["value"] == pair["after"]["value"] + 123_456


def test_an_unwritable_baseline_is_bad_input(night, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "gate", night("first"), "--baseline", tmp_path / "file" / "b.json", "--update")
    assert code == 2
    assert "cannot be written" in err
