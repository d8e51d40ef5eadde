"""`sweep compare` and `sweep gate` over output folders."""

import json
from xml.etree import ElementTree as ET

import pytest
from tests.points import Outputs

from sweep.cli import main


@pytest.fixture
def night(searches, tmp_path):
    """Make an output folder with one search and one grid, slower by a factor."""

    def make(name, factor=1.0, grid=(64, 128, 256), answer=306):
        outputs = Outputs(tmp_path / name)
        outputs.search(searches.exact(max_streams=answer, first_invalid=answer + 1))
        outputs.grid([searches.test(n, full=1000, per_sample_ms=0.15 * factor, seed=n) for n in grid])
        return outputs.root

    return make


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_two_identical_sweeps_show_no_evidence(night, capsys):
    code, out, _ = run(capsys, "compare", night("a"), night("b"))
    assert code == 0
    assert "nothing sets the two sides apart" in out
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


def test_an_unwritable_baseline_is_bad_input(night, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "gate", night("first"), "--baseline", tmp_path / "file" / "b.json", "--update")
    assert code == 2
    assert "cannot be written" in err
