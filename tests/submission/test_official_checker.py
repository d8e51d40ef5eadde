"""The official checker is the user's own: a stand-in shows how it is found, run, and read."""

import json
from pathlib import Path

import pytest

from sweep.cli import main
from sweep.errors import ConfigError
from sweep.submission.findings import Severity
from sweep.submission.official_checker import run_official_checker

BODY = """
import argparse, json, logging, os, sys
logging.basicConfig(level=logging.INFO)
log = logging.getLogger("main")
parser = argparse.ArgumentParser()
parser.add_argument("--input", required=True)
parser.add_argument("--version", choices=["v5.1", "v6.0"], default="v5.1")
parser.add_argument("--csv", default="summary.csv")
args = parser.parse_args()
open(args.csv, "w").write("x")
open("summary.json", "w").write("{}")
log.info("ran in %s", json.dumps({"cwd": os.getcwd(), "input": args.input, "version": args.version}))
"""
CONTENT = BODY + 'log.info("SUMMARY: submission looks OK")\n'
STRICT = BODY + (
    'log.error("%s/open/A/x.txt needs to be >= %d", args.input, 7)\n'
    'log.warning("no power here")\n'
    'log.error("SUMMARY: submission has errors")\nsys.exit(1)\n'
)
RELATIVE = "from .words import VERSION\n"


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "tree" / "open" / "A" / "results").mkdir(parents=True)
    return tmp_path / "tree"


def package(root, body):
    """Write a checkout with a checker in a package, which imports its own modules."""
    folder = root / "tools" / "submission" / "submission_checker"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "words.py").write_text("VERSION = 1\n")
    (folder / "main.py").write_text(RELATIVE + body)
    return root


@pytest.mark.parametrize("below", ["", "tools/submission", "tools/submission/submission_checker", "/main.py"])
def test_a_package_is_found_from_wherever_it_is_named(tree, tmp_path, below):
    checkout = package(tmp_path / "inference", CONTENT)
    named = checkout / ("tools/submission/submission_checker/main.py" if below == "/main.py" else below)
    report = run_official_checker(named, tree, "v6.0")
    assert report.passed, report
    assert (report.summary, report.findings) == ("submission looks OK", ())
    assert report.command[1:3] == ("-m", "submission_checker.main")


@pytest.mark.parametrize("name", ["submission_checker.py", "submission-checker.py"])
@pytest.mark.parametrize("below", ["", "file"])
def test_a_script_is_found_too(tree, tmp_path, name, below):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / name).write_text(CONTENT)
    named = tmp_path / "old" / name if below else tmp_path / "old"
    assert run_official_checker(named, tree, "v5.1").passed


def test_its_findings_are_shown_as_its_own(tree, tmp_path, monkeypatch):
    """Nothing is written into the tree, nor where the user happens to be."""
    monkeypatch.chdir(tmp_path)
    checkout = package(tmp_path / "inference", STRICT)
    before = sorted(Path().rglob("*"))
    report = run_official_checker(checkout, Path("tree"), "v5.1")
    assert sorted(Path().rglob("*")) == before
    assert not report.passed
    assert report.exit_code == 1
    errors = [one.text for one in report.findings if one.severity is Severity.ERROR]
    assert errors == ["ERROR:main:open/A/x.txt needs to be >= 7"]
    assert [one.text for one in report.findings if one.severity is Severity.WARNING] == ["WARNING:main:no power here"]


@pytest.mark.parametrize(
    ("body", "round_name", "failure"),
    [
        ("import no_such_module\n", "v5.1", "No module named 'no_such_module'"),
        (CONTENT, "v4.1", "invalid choice: 'v4.1' (choose from"),
        (BODY, "v5.1", "without its summary"),
        ("import time\ntime.sleep(60)\n", "v5.1", "did not end within 0.5 s"),
    ],
)
def test_a_checker_that_cannot_check_is_no_checker_that_is_content(tree, tmp_path, body, round_name, failure):
    checkout = package(tmp_path / "inference", body)
    limit = 0.5 if "sleep" in body else 60
    report = run_official_checker(checkout, tree, round_name, timeout_s=limit)
    assert not report.passed
    assert failure in report.failure


@pytest.mark.parametrize(
    ("name", "reason"), [("nowhere", "does not exist"), ("tree", "has no submission_checker/main.py")]
)
def test_what_is_no_checker_is_refused(tree, tmp_path, name, reason):
    with pytest.raises(ConfigError, match=reason):
        run_official_checker(tmp_path / name, tree, "v5.1")


def test_the_command_shows_both_and_fails_with_either(tmp_path, capsys):
    root = tmp_path / "tree"
    folder = root / "open" / "A" / "results" / "s" / "resnet" / "MultiStream"
    folder.mkdir(parents=True)
    (root / "open" / "A" / "systems").mkdir()
    (root / "open" / "A" / "systems" / "s.json").write_text(json.dumps({"division": "open"}))
    checkout = package(tmp_path / "inference", CONTENT)
    assert main(["submission", "check", str(root), "--round", "v6.0", "--checker", str(checkout)]) == 1
    out = capsys.readouterr().out
    assert "error: performance_logs: performance/run_1/mlperf_log_summary.txt is missing" in out
    assert "official checker: submission looks OK (exit code 0)" in out
