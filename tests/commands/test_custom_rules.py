"""Rules of one's own: whatever they are called, their VALID is shown as theirs and is never official."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from tests.submission.official import Official

from sweep.cli import main
from sweep.submission.evidence import record_reasons
from sweep.trial.spec import RulesSpec
from sweep.vocabulary import RunClass

pytestmark = pytest.mark.usefixtures("idle")

LOOSE = """
edition: {edition}
checks: [no_errors]
percentile: 99
samples_per_query: 8
bounded: false
run_classes:
  quick: {{min_query_count: 10, min_duration_ms: 0}}
  official: {{min_query_count: 10, min_duration_ms: 0}}
"""
FAST = ("backend=simulated", "backend.base_ms=0.1", "backend.per_sample_ms=0.02")


@pytest.fixture
def measured(empty_folder, tmp_path, capsys):
    """Run a test by loose rules; return what is said."""
    rules = tmp_path / "mine" / "rules"
    rules.mkdir(parents=True)

    def measure(edition, *words):
        (rules / "loose.yaml").write_text(LOOSE.format(edition=edition))
        code = main(["--config-dir", "mine", "rules=loose", *FAST, *words])
        return code, *capsys.readouterr()

    return measure


def said(capsys, *words):
    assert main(list(words)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("edition", ["V0.5", "v0.50", "Current", "mine"])
@pytest.mark.parametrize("run", ["official", "quick"])
def test_they_are_custom_wherever_their_verdict_is_shown(measured, capsys, tmp_path, edition, run):
    code, out, err = measured(edition, f"run={run}", "batch=8")
    assert code == 0
    assert re.search(rf"VALID(, disturbed)? \(MultiStream, custom:{re.escape(edition)} rules, custom run", out)
    assert f"custom:{edition} rules" in next(line for line in err.splitlines() if line.startswith("[1/1]"))
    (row,) = csv.DictReader(io.StringIO(said(capsys, "ls", "--format", "csv")))
    assert (row["rules"], row["run_class"]) == (f"custom:{edition}", "custom")
    assert "custom" in said(capsys, "ls").splitlines()[1]
    (name,) = (path.name for path in tmp_path.glob("outputs/trials/*"))
    assert f"custom:{edition} rules" in said(capsys, "show", name)
    (series,) = json.loads(said(capsys, "report", "--format", "json", "--out", "-"))["series"]
    assert (series["configuration"]["rules"], series["run_class"]) == (f"custom:{edition}", "custom")
    assert "official" not in said(capsys, "report", "--format", "md", "--out", "-").replace("not official", "")
    said(capsys, "dashboard", "--no-official", "--out", "mine.json")
    (own,) = json.loads((tmp_path / "mine.json").read_text())["points"]
    assert (own["round"], own["run_class"]) == (f"custom:{edition} rules", "custom")


def test_so_is_a_search_and_what_is_compared_and_gated(measured, capsys, tmp_path):
    code, out, _ = measured("V0.5", "run=official", "search=max_streams", "search.max=2", "target_latency_ms=5")
    assert code == 0
    assert "by custom runs" in out
    assert "custom:V0.5 rules, custom run" in out
    assert measured("V0.5", "run=official", "batch=1,2", "min_query_count=200", "-m")[0] == 0
    assert main(["gate", "--baseline", "baseline.json", "--update"]) == 0
    baseline = json.loads((tmp_path / "baseline.json").read_text())
    keys = [point["key"] for point in baseline["points"]]
    assert {(key["rules"], key["run"]) for key in keys} == {("custom:V0.5", "custom")}
    for key in keys:  # as an older sweep wrote it
        key |= {"rules": "V0.5", "run": "official"}
    (tmp_path / "baseline.json").write_text(json.dumps(baseline))
    capsys.readouterr()
    main(["gate", "--baseline", "baseline.json"])
    out = capsys.readouterr().out
    assert "rules=custom:V0.5" in out
    assert "missing" not in out


def test_a_record_from_before_is_judged_by_what_its_rules_say(tmp_path):
    """Records are not rewritten: one that says official, by rules of its own, is none."""
    official = Official(tmp_path / "outputs")
    rules = RulesSpec("v0.5", ("performance_constraint", "no_errors"), 50_000_000, 99.0)
    official.performance(bound_ms=50, rules=rules)
    (stored,) = official.trials
    assert stored.result.spec.run.run_class is RunClass.OFFICIAL
    assert stored.result.spec.run_class is RunClass.CUSTOM
    reasons = list(record_reasons(stored, "open"))
    assert any("custom:v0.5" in reason for reason in reasons)
    again = replace(stored.result.spec, rules=replace(rules, checks=("min_duration", "min_queries", *rules.checks)))
    assert again.run_class is RunClass.OFFICIAL


@pytest.mark.parametrize(
    "checks", ["no_errors", "[no_errors,no_errors]", "[[no_errors]]", "null", "[]", "{no_errors:1}"]
)
def test_checks_are_a_list_of_their_names(tmp_path, monkeypatch, capsys, checks):
    monkeypatch.chdir(tmp_path)
    assert main([*FAST, "rules.edition=mine", f"rules.checks={checks}"]) == 2
    assert "rules.checks" in capsys.readouterr().err
