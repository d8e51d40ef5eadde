"""Searches as their users run them: real processes, real LoadGen, certificates, tables, studies, signals.

The latency grows every five samples and the bound is on the median, so a busy machine changes no verdict: N=5 takes
15 ms, N=6 takes 30 ms, and 22 ms are allowed.
"""

import csv
import json
import os
import random
import re
import signal
import time

import psutil
import pytest
from tests.processes import wait_for

from sweep.cli import main
from sweep.study.certificate_file import read_certificate

QUICK = [
    *("search=max_streams", "backend=simulated", "run=quick", "percentile=50", "min_query_count=10"),
    *("search.confidence=0.9", "backend.base_ms=0", "target_latency_ms=22"),
]
EDGE_AT_5 = [*QUICK, "backend.per_sample_ms=3", "backend.step=5", "search.max=7"]
ALL_FAST = [*QUICK, "backend.per_sample_ms=0.1", "search.max=4"]
BY_BISECTION = [*EDGE_AT_5, "search.algorithm=bisection"]
LONG = [*QUICK, "backend.base_ms=5", "backend.per_sample_ms=0", "min_query_count=40", "search.max=63"]
LONG_BISECTION = [*LONG, "backend.max_batch=21", "search.algorithm=bisection"]
"""Six tests, in part refused for want of memory: verdicts that no other load on the machine can change."""
SURE_5 = r"max streams: 5(, disturbed)? \((confidence [>\d. ]+ %, )?by custom runs\)\n"

pytestmark = pytest.mark.usefixtures("idle")


@pytest.fixture
def search(tmp_path, monkeypatch, capfd):
    """Run a command line in an empty folder; what it printed on standard output and on standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, expect=0):
        code = main(list(arguments))
        out, err = capfd.readouterr()
        assert code == expect, out + err
        assert "Traceback" not in err
        return out, err

    return run


@pytest.fixture
def refused(search, tmp_path):
    """Run a command line that must be refused before anything is measured; return its one line."""

    def run(*arguments):
        before = _attempts(tmp_path)
        out, err = search(*arguments, expect=2)
        lines = [line for line in err.splitlines() if not line.startswith("note: ")]
        assert out == ""
        assert len(lines) == 1, err
        assert lines[0].startswith("error: ")
        assert _attempts(tmp_path) == before
        return lines[0]

    return run


@pytest.fixture(scope="module")
def journal_of_a_search(tmp_path_factory):
    folder = tmp_path_factory.mktemp("journal")
    assert main([*BY_BISECTION, "search.budget.tests=1", f"outputs={folder}"]) == 0
    return (folder / "studies.log").read_bytes()


def _attempts(folder, outputs="outputs"):
    return {path: path.read_bytes() for path in sorted(folder.glob(f"{outputs}/trials/*/*/result.json"))}


def _certificates(folder, outputs="outputs"):
    """The certificates of the newest command."""
    newest = max(folder.glob(f"{outputs}/sweeps/*"), key=lambda path: path.stat().st_mtime_ns)
    paths = [path for path in sorted(newest.glob("*.json")) if path.name != "sweep.json"]
    return newest, [read_certificate(path) for path in paths]


def _is_exact(certificate):
    """Whether nothing lies between; on a busy machine, as one that runs tests is, that is not called exact."""
    between = certificate.undecided is None and certificate.first_invalid is not None
    return between and certificate.status == ("interval" if certificate.disturbed else "exact")


def _asks(certificate):
    return [(test["samples_per_query"], test["asked_query_count"], test["asked_why"]) for test in certificate["tests"]]


def _rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_search_ends_with_a_certificate_and_a_second_call_reuses_all_of_it(search, tmp_path):
    out, err = search(*EDGE_AT_5)
    assert re.match(SURE_5 + r"N=6 INVALID \(", out)
    assert "searching N from 1 to 7 for p50 <= 22 ms by boundary" in err
    folder, (saved,) = _certificates(tmp_path)
    assert _is_exact(saved.certificate)
    assert (saved.certificate.max_streams, saved.certificate.first_invalid) == (5, 6)
    assert saved.certificate.is_complete
    name = saved.plan.name
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.json", f"{name}.png"),
        *("results.csv", "results.parquet", "searches.csv", "sweep.json"),
    }
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    (row,) = _rows(folder / "searches.csv")
    assert (row["max_streams"], row["first_invalid"], row["is_complete"]) == ("5", "6", "True")
    tests = saved.data["tests"]
    assert len(_rows(folder / "results.csv")) == len(tests) == len(_attempts(tmp_path))
    assert not any(test["reused"] for test in tests)

    kept = _attempts(tmp_path)
    out, err = search(*EDGE_AT_5)
    assert f"{len(tests)} tests ({len(tests)} reused)" in out
    assert err.count("(reused)") == len(tests)
    assert _attempts(tmp_path) == kept
    _, (again,) = _certificates(tmp_path)
    assert again.certificate == saved.certificate
    assert _asks(again.data) == _asks(saved.data)


def test_a_budget_of_tests_is_gone_on_from(search, tmp_path):
    out, _ = search(*EDGE_AT_5, "search.budget.tests=3")
    assert "stopped by search.budget.tests=3 before it was done" in out
    assert len(_attempts(tmp_path)) == 3
    assert not _certificates(tmp_path)[1][0].certificate.is_complete
    search(*EDGE_AT_5, "search.budget.tests=3")
    assert len(_attempts(tmp_path)) == 6  # a budget pays for what is measured, not for what is reused
    out, _ = search(*EDGE_AT_5)
    assert out.startswith("max streams: 5")
    assert "stopped" not in out


def test_a_search_without_an_answer_is_a_failure_that_says_what_to_do(search, tmp_path):
    out, _ = search(*LONG, "search.budget.seconds=0.01", expect=1)
    assert out.startswith("max streams: unknown")
    assert "search.budget.seconds=0.01 (raise it: a full test of N=1 takes about 0.2" in out
    assert len(_attempts(tmp_path)) == 1


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        (["target_latency_ms=2"], "none valid", ["not even N=1 is VALID", "N=1 INVALID ("]),
        (
            ["backend.per_sample_ms=1", "search.max=4"],
            "all valid",
            ["max streams: 4 or more", "N=4 is the largest that may be asked for; search.max=8 asks further up"],
        ),
        (["backend.per_sample_ms=1", "backend.max_batch=3"], "exact", ["max streams: 3", "N=4: out of memory"]),
        (
            ["backend.per_sample_ms=1", "search.max=3", "backend.fault=crash", "backend.fault_batch=3"],
            "open",
            ["max streams: 2 or more", "N=3: FAILED", "again, since it failed"],
        ),
    ],
    ids=["none valid", "all valid", "out of memory", "one N crashes"],
)
def test_where_the_edge_is_no_matter_of_latency_between_two_n(search, tmp_path, changes, status, words):
    settings = dict(argument.split("=", 1) for argument in (*EDGE_AT_5, *changes))
    out, _ = search(*(f"{key}={value}" for key, value in settings.items()))
    _, (saved,) = _certificates(tmp_path)
    assert saved.certificate.status == status or (status == "exact" and _is_exact(saved.certificate))
    assert saved.certificate.is_complete
    for word in words:
        assert word in out or word in str(saved.data["tests"]), out
    crashed = [test["samples_per_query"] for test in saved.data["tests"] if test["failure_kind"] == "crash"]
    assert crashed == ([3, 3] if "backend.fault=crash" in changes else [])


def test_a_grid_of_searches_is_one_table_and_one_that_fails_leaves_the_others(search, tmp_path):
    grid = [*ALL_FAST, "-m", "backend.fault=none,crash", "backend.max_batch=2,3"]
    out, err = search(*grid, expect=1)
    rows = {tuple(line.split()[:2]): line for line in out.splitlines() if re.match(r"(none|crash) +[23] ", line)}
    assert re.search(r" 2(, disturbed)? .* (exact|interval) ", rows["none", "2"])
    assert re.search(r" 3(, disturbed)? .* (exact|interval) ", rows["none", "3"])
    assert "FAILED" in rows["crash", "2"]
    assert "FAILED" in rows["crash", "3"]
    assert "crash: " in err
    assert "not even N=1 is VALID" not in err
    folder, saved = _certificates(tmp_path)
    table = _rows(folder / "searches.csv")
    assert [row["max_streams"].removesuffix(".0") for row in table] == ["2", "3", "", ""]
    assert [bool(row["failure"]) for row in table] == [False, False, True, True]
    assert len(saved) == len(list(folder.glob("*.png"))) == 4
    kept = len(_attempts(tmp_path))
    search(*grid, expect=1)
    assert len(_attempts(tmp_path)) == kept + 4  # what crashed is measured again, twice for each of the two


@pytest.mark.parametrize("algorithm", ["bisection", "grid", "tpe"])
def test_other_algorithms_end_with_certificates_too(search, tmp_path, algorithm):
    out, _ = search(*EDGE_AT_5, f"search.algorithm={algorithm}", "search.trials=4")
    assert re.match(SURE_5 + r"N=6 INVALID \(", out)
    _, (saved,) = _certificates(tmp_path)
    assert _is_exact(saved.certificate)
    assert all(ask[1] is None for ask in _asks(saved.data))
    if algorithm == "bisection":
        assert [ask[0] for ask in _asks(saved.data)] == [4, 6, 5]
        assert len({test["directory"] for test in saved.data["tests"]}) == 3


def test_what_bisection_did_not_confirm_is_said(search, tmp_path):
    """Ten queries are far too few for that confidence, and bisection never asks twice."""
    out, _ = search(*BY_BISECTION, "search.confidence=0.99999")
    assert re.match(r"max streams: 5, not confirmed(, disturbed)? \((confidence [>\d. ]+ %, )?by custom runs\)\n", out)
    assert "N=5 was VALID, but not surely: " in out
    _, (saved,) = _certificates(tmp_path)
    assert saved.certificate.status == "unconfirmed"
    assert saved.certificate.is_complete


class TestStudies:
    def test_resume_false_starts_over_under_a_name_of_its_own(self, search, tmp_path):
        first_test = [*BY_BISECTION, "search.budget.tests=1"]
        search(*first_test)
        first = _certificates(tmp_path)[1][0].plan.name
        for number in (2, 3):
            search(*first_test, "resume=false")
            _, (saved,) = _certificates(tmp_path)
            assert saved.plan.name == f"{first}-{number}"
            assert not any(test["reused"] for test in saved.data["tests"])
            assert len(_attempts(tmp_path)) == number

    def test_a_study_by_name_resumes_and_is_of_one_question(self, search, refused, tmp_path):
        mine = [*BY_BISECTION, "study=mine"]
        wider = [argument.replace("max=7", "max=9") for argument in mine]
        assert "study: mine in " in search(*mine, "search.budget.tests=2")[0]
        assert "(2 reused)" in search(*mine)[0]
        before = (tmp_path / "outputs" / "studies.log").read_bytes()
        folders = sorted((tmp_path / "outputs" / "sweeps").iterdir())
        assert "study=mine: is of something else (max: 7 there, 9 here)" in refused(*wider)
        assert "study=mine: is of something else (model" in refused(*mine, "model=mobilenet")
        assert "study=mine: exists" in refused(*mine, "resume=false")
        assert (tmp_path / "outputs" / "studies.log").read_bytes() == before
        assert sorted((tmp_path / "outputs" / "sweeps").iterdir()) == folders

    def test_a_name_that_a_file_of_the_command_has(self, refused):
        assert "study=sweep: " in refused(*BY_BISECTION, "study=sweep")

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda data: data.replace(b'\n{"op_code"', b'\n{"op', 1), "is damaged in line 2"),
            (lambda data: b"Dear diary,\n" + data, "is not a journal of Optuna"),
            (lambda data: data.replace(b'"op_code":0', b'"op_code":99', 1), "is of a newer Optuna: operation 99"),
        ],
        ids=["damaged", "foreign", "another version"],
    )
    def test_a_damaged_journal_is_left_as_it_is(self, refused, tmp_path, journal_of_a_search, damage, words):
        damaged = damage(journal_of_a_search)
        assert damaged != journal_of_a_search
        path = tmp_path / "outputs" / "studies.log"
        path.parent.mkdir()
        path.write_bytes(damaged)
        line = refused(*BY_BISECTION)
        assert line.startswith(f"error: search.storage={path}: {words}")
        assert "move it away; what was measured is kept" in line
        assert path.read_bytes() == damaged
        assert not (tmp_path / "outputs" / "sweeps").exists()

    def test_a_database_of_ones_own(self, search, tmp_path):
        mine = [*BY_BISECTION, "search.storage=sqlite:///mine.db"]
        assert "in sqlite:///mine.db" in search(*mine)[0]
        assert "(3 reused)" in search(*mine)[0]
        assert (tmp_path / "mine.db").is_file()
        assert not (tmp_path / "outputs" / "studies.log").exists()

    @pytest.mark.parametrize(
        "url", ["sqlite:///no/such/folder/mine.db", "postgresql://me:secret@127.0.0.1:1/x", "oracle9://x/y"]
    )
    def test_a_database_that_is_not_there(self, refused, tmp_path, url):
        line = refused(*BY_BISECTION, f"search.storage={url}")
        assert line.startswith("error: search.storage=")
        assert "secret" not in line
        assert not (tmp_path / "outputs" / "sweeps").exists()


class TestAccuracy:
    DIGITS = (
        *("search=max_streams", "model=digits", "run=quick", "percentile=50", "min_query_count=10"),
        *("search.confidence=0.9", "search.max=2", "target_latency_ms=1000"),
    )

    def test_an_engine_that_is_accurate_enough_is_searched(self, search, tmp_path):
        out, _ = search(*self.DIGITS, "search.min_accuracy=0.99")
        assert re.search(r"^accuracy: 9\d\.\d+ %, enough: 99 % of 9\d\.\d+ % \(of fp32, measured\)", out, re.MULTILINE)
        _, (saved,) = _certificates(tmp_path)
        assert saved.certificate.status == "all valid"
        assert not saved.data["accuracy_failed"]

    def test_int8_is_held_against_fp32(self, search, tmp_path):
        out, _ = search(*self.DIGITS, "precision=int8", "search.min_accuracy=0.99")
        assert re.search(r"^accuracy: 9\d\.\d+ %, enough: 99 % of 99\.600 % \(of fp32, measured\)", out, re.MULTILINE)
        specs = [json.loads(record)["spec"] for record in _attempts(tmp_path).values()]
        scored = {spec["precision"]: spec["model"]["digest"] for spec in specs if spec["mode"] == "AccuracyOnly"}
        timed = {(spec["precision"], spec["model"]["digest"]) for spec in specs if spec["mode"] == "PerformanceOnly"}
        assert set(scored) == {"fp32", "int8"}
        assert timed == {("int8", scored["int8"])}

    def test_one_that_is_not_costs_no_test_of_its_latency(self, search, tmp_path):
        out, _ = search(*self.DIGITS, "search.min_accuracy=1", "search.reference_accuracy=100")
        said = re.search(r"^accuracy: (.* too low: .*)$", out, re.MULTILINE)[1]
        assert out.startswith("max streams: not searched, the accuracy is too low\n")
        assert "stopped" not in out
        assert "goes on from there" not in out
        assert [json.loads(record)["spec"]["mode"] for record in _attempts(tmp_path).values()] == ["AccuracyOnly"]
        folder, (saved,) = _certificates(tmp_path)
        assert (saved.data["accuracy_failed"], saved.data["accuracy"]) == (True, said)
        assert saved.certificate.is_complete
        (row,) = _rows(folder / "searches.csv")
        assert row["accuracy"] == said


class TestJoint:
    SPACE = "search.space={backend.per_sample_ms:[6,2.9,4],engine_batch:[null,8]}"
    JOINT = ("search=joint", *QUICK[1:], "search.max=12", SPACE)

    def test_the_best_setting_is_found_said_and_reused(self, search, tmp_path):
        out, _ = search(*self.JOINT)
        assert out.startswith("max streams: 7")
        assert re.search(r"^backend.per_sample_ms  engine_batch  max streams  why", out, re.MULTILINE)
        assert re.search(r"^2.9 +(null|8) +7 ", out, re.MULTILINE)
        assert re.search(r"^4 +(null|8) +- +dropped: N=8 INVALID: ", out, re.MULTILINE)
        _, (saved,) = _certificates(tmp_path)
        assert saved.certificate.is_complete
        settings = saved.data["settings"]
        assert len(settings) == 6
        assert max(one["max_streams"] or 0 for one in settings) == 7
        dropped = [one for one in settings if one["why"].startswith("dropped: ")]
        assert len(dropped) >= 3
        kept = _attempts(tmp_path)
        again, _ = search(*self.JOINT)
        assert f"{len(saved.data['tests'])} tests ({len(saved.data['tests'])} reused)" in again
        assert _attempts(tmp_path) == kept

    def test_interrupted_it_goes_on(self, start, search, tmp_path):
        command = [*self.JOINT[:-1], "search.space={backend.per_sample_ms:[6,2.9]}"]
        process = start(*command)
        wait_for(lambda: len(_attempts(tmp_path)) > 4)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, out + err
        assert "Traceback" not in err
        assert "stopped before it was done" in out
        assert not _certificates(tmp_path)[1][0].certificate.is_complete
        kept = _attempts(tmp_path)
        assert search(*command)[0].startswith("max streams: 7")
        assert kept.items() <= _attempts(tmp_path).items()


def test_ctrl_c_shows_the_certificate_so_far_and_the_same_command_goes_on(start, search, tmp_path):
    process = start(*LONG)
    wait_for(lambda: len(_attempts(tmp_path)) >= 2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    assert "interrupted: what was measured is kept; the same command goes on from there" in err
    assert "Traceback" not in err
    assert out.startswith("max streams: ")
    assert "stopped before it was done" in out
    folder, (saved,) = _certificates(tmp_path)
    assert not saved.certificate.is_complete
    assert (folder / "searches.csv").is_file()
    kept = _attempts(tmp_path)
    assert len(saved.data["tests"]) == len(kept)
    out, _ = search(*LONG)
    assert f"({len(kept)} reused)" in out
    assert "max streams: 63 or more" in out
    assert kept.items() <= _attempts(tmp_path).items()


def test_killed_ten_times_no_finished_test_is_lost_and_none_is_repeated(start, search, tmp_path):
    draw = random.Random(7)
    kept = {}
    workers = []
    for _ in range(10):
        process = start(*LONG_BISECTION)
        for line in process.stderr:
            if line.startswith("searching "):
                break
        time.sleep(draw.uniform(0, 0.7))
        workers += psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        now = _attempts(tmp_path)
        assert kept.items() <= now.items()
        kept = now
    search(*LONG_BISECTION)
    _, (resumed,) = _certificates(tmp_path)
    assert kept.items() <= _attempts(tmp_path).items()
    search(*LONG_BISECTION, "outputs=undisturbed")
    _, (undisturbed,) = _certificates(tmp_path, "undisturbed")
    assert _asks(resumed.data) == _asks(undisturbed.data)
    assert resumed.certificate.max_streams == undisturbed.certificate.max_streams == 21
    begun = list(tmp_path.glob("outputs/trials/*/*/spec.json"))
    assert len(begun) > len(_attempts(tmp_path))  # at least one was killed in the middle of a test
    assert len(_attempts(tmp_path)) == len(_attempts(tmp_path, "undisturbed")) == len(resumed.data["tests"])
    wait_for(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in workers), 10)
