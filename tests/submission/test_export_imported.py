"""Entries of 2020, imported and exported again: the tree that the tool of that time made of them."""

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest
from tests.imports.entries import ACCURACY, PERFORMANCE, example_files, write_zip

from sweep.cli import main
from sweep.loadgen.seeds import ROUND_SEEDS

DATA = Path(__file__).parent.parent / "data"
EXAMPLE = DATA / "submission" / "v0.7_example"
ENTRIES = DATA / "ck" / "ck_entries_example.zip"
SYSTEM = "xavier-tensorrt-v6.0"
RESULT = f"{SYSTEM}/resnet50/multistream"
NEW = {
    "code/resnet50/image-classification-tensorrt-loadgen-py/README.md",
    "documentation/calibration.md",
}
"""What the example has elsewhere: its code was one folder for all, its note on calibration is not among its files."""
NOT_IN_ENTRIES = {
    f"measurements/{RESULT}/submission_checklist.txt",
    f"results/{RESULT}/accuracy/mlperf_log_detail.txt",
}
"""What entries of the tool do not hold; nor do they hold the compliance tests."""
EQUAL = {
    f"measurements/{RESULT}/user.conf": "user.conf",
    f"results/{RESULT}/performance/run_1/mlperf_log_summary.txt": "performance_summary.txt",
    f"results/{RESULT}/performance/run_1/mlperf_log_detail.txt": "performance_detail.txt",
    f"results/{RESULT}/accuracy/mlperf_log_summary.txt": "accuracy_summary.txt",
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Import the example's entries, say what its system is called, and export them; return the submitter's folder."""
    folder = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["import-ck", str(ENTRIES)]) == 0
        assert main(["submission", "init", "--submitter", "Dividiti"]) == 0
        file = Path("submission.yaml")
        file.write_text(file.read_text().replace("  xavier-tensorrt:", f"  {SYSTEM}:"))
        assert main(["submission", "export", "--round", "v0.7", "--division", "closed"]) == 0
    return folder / "submission-v0.7" / "closed" / "Dividiti"


def test_its_paths_are_the_example_s(exported):
    ours = {str(path.relative_to(exported)) for path in exported.rglob("*") if path.is_file()}
    lines = (line.removeprefix("closed/Dividiti/") for line in (EXAMPLE / "TREE.txt").read_text().split())
    theirs = {path for path in lines if not path.startswith("compliance/")}
    assert (ours - theirs, theirs - ours) == (NEW, NOT_IN_ENTRIES)


@pytest.mark.parametrize(("path", "name"), EQUAL.items(), ids=list(EQUAL.values()))
def test_its_logs_are_the_example_s_byte_for_byte(exported, path, name):
    assert (exported / path).read_bytes() == (EXAMPLE / name).read_bytes()


def test_its_descriptions_have_the_example_s_keys_in_their_order(exported):
    measured = f"measurements/{RESULT}/{SYSTEM}_image-classification-tensorrt-loadgen-py.json"
    for made, example in ((f"systems/{SYSTEM}.json", "system.json"), (measured, "measurements.json")):
        assert list(json.loads((exported / made).read_text())) == list(json.loads((EXAMPLE / example).read_text()))


def test_its_accuracy_is_the_example_s_and_its_hash_that_of_the_answers_there_are(exported):
    """The entries were made from a shortened log: the hash of the whole one can be made by nobody any more."""
    folder = exported / "results" / RESULT / "accuracy"
    line, hashed = (folder / "accuracy.txt").read_text().splitlines()
    answers = (folder / "mlperf_log_accuracy.json").read_bytes()
    assert line == (EXAMPLE / "accuracy.txt").read_text().splitlines()[0]
    assert hashed == f"hash={hashlib.sha256(answers).hexdigest()}"
    # As far as the example's log has whole answers, ours has the same, written alike.
    theirs = (EXAMPLE / "accuracy.json").read_bytes()
    first = theirs[:4096].rpartition(b"},")[0]
    assert answers.startswith(first)
    assert answers.rstrip().endswith(theirs.rstrip().rpartition(b"...")[2].partition(b"},\n")[2].rstrip())


def test_its_mlperf_conf_is_what_loadgen_says_it_used(exported):
    assert "*.*.qsl_rng_seed = 12786827339337101903" in (exported / f"measurements/{RESULT}/mlperf.conf").read_text()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("--round v5.1 --division closed", "random seeds of v0.7, not of v5.1: it can only be in a submission to that"),
        ("--round v0.7 --division open", "imported as an entry of closed"),
    ],
)
def test_an_imported_test_is_in_the_round_and_division_that_it_was_made_for(
    exported, capsys, tmp_path, arguments, reason
):
    root = exported.parents[2] / "outputs"
    out = tmp_path / "out"
    code = main(["submission", "export", str(root), *arguments.split(), "--submitter", "Us", "--out", str(out)])
    assert code == 2
    assert reason in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("is_whole", [True, False])
def test_an_accuracy_test_whose_detail_log_was_kept_is_exported_with_it_if_it_is_whole(is_whole, tmp_path, monkeypatch):
    """CK kept it of every test; its plain text ends once the last samples of the library were run."""
    files = example_files()
    (path,) = [one for one in files if one.startswith(f"{ACCURACY}/ckp-") and one.endswith(".0001.json")]
    point = json.loads(files[path])
    lines = accuracy_detail(50_000)
    point["characteristics_list"][0]["run"]["mlperf_log"]["detail"] = lines if is_whole else lines[:-5]
    entries = write_zip(tmp_path / "entries.zip", files | {path: json.dumps(point).encode()})
    monkeypatch.chdir(tmp_path)
    assert main(["import-ck", str(entries)]) == 0
    arguments = ["--round", "v0.7", "--division", "closed", "--submitter", "Us", "--out", "tree"]
    assert main(["submission", "export", *arguments]) == (0 if is_whole else 2)
    kept = [one.read_text() for one in Path("tree").glob("**/accuracy/mlperf_log_detail.txt")]
    assert kept == (["".join(lines)] if is_whole else [])


@pytest.mark.parametrize(("error", "code"), [('CAS failed."times" : 4', 0), ("QSL gave a wrong sample", 2)])
@pytest.mark.parametrize("tests", [(PERFORMANCE,), (PERFORMANCE, ACCURACY)], ids=["performance", "both"])
def test_errors_that_the_round_s_checker_ignores_keep_nothing_out_of_its_submission(tests, error, code, tmp_path):
    files = example_files()
    for entry in tests:
        (path,) = [one for one in files if one.startswith(f"{entry}/ckp-") and one.endswith(".0001.json")]
        point = json.loads(files[path])
        logs = point["characteristics_list"][0]["run"]["mlperf_log"]
        logs["detail"] = logs.get("detail") or accuracy_detail(50_000)
        at = next(number for number, line in enumerate(logs["detail"]) if "GeneratedQueries" in line)
        logs["detail"].insert(at, f'"pid": 1, "tid": 1, "ts": 5ns : ERROR : {error}\n')
        logs["summary"][-1] = "1 ERROR encountered. See detailed log.\n"
        point["characteristics_list"][0]["run"].pop("parsed_summary", None)
        files[path] = json.dumps(point).encode()
    entries = write_zip(tmp_path / "entries.zip", files)
    out = tmp_path / "tree"
    main(["import-ck", str(entries), "--outputs", str(tmp_path / "outputs")])
    arguments = ["--round", "v0.7", "--division", "closed", "--submitter", "Us", "--out", str(out)]
    assert main(["submission", "export", str(tmp_path / "outputs"), *arguments]) == code
    flagged = [one for one in out.glob("**/mlperf_log_detail.txt") if error in one.read_text()]
    assert len(flagged) == (0 if code else len(tests))


@pytest.mark.parametrize("name", ["mlperf_log_accuracy.json", "mlperf_log_detail.txt", "user.conf"])
def test_a_pipe_in_a_log_s_place_is_not_waited_for(name, tmp_path):
    outputs = tmp_path / "outputs"
    main(["import-ck", str(ENTRIES), "--outputs", str(outputs)])
    for file in outputs.glob("trials/*/001"):
        (file / name).unlink(missing_ok=True)
        os.mkfifo(file / name)
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    signal.alarm(20)
    arguments = ["--round", "v0.7", "--division", "closed", "--submitter", "Us", "--out", str(tmp_path / "tree")]
    code = main(["submission", "export", str(outputs), *arguments])
    signal.alarm(0)
    assert code == (2 if name.startswith("mlperf") else 0)


def accuracy_detail(total, held=1024):
    """Return the lines of an accuracy test's detail log, as LoadGen wrote it in 2020."""
    messages = ["version : .5a1 @ 818cbe272a", f"QSL total size : {total}", f"QSL performance size : {held}"]
    messages += ["Effective Settings:", "Scenario : Multi Stream", "Test mode : Accuracy"]
    messages += [f"{name} : {seed}" for name, seed in ROUND_SEEDS["v0.7"].by_setting().items()]
    messages += ["Starting accuracy mode:"]
    for first in range(0, total, held):
        samples = ",".join(map(str, range(first, min(first + held, total))))
        messages += [
            f'Loading QSL : "set" : "[{samples}]"',
            'GeneratedQueries: "queries" : 15, "samples per query" : 70, "duration" : 750000000',
            "Log Contention Counters:",
            'POWER_BEGIN: "mode" : Accuracy, "time" : 09-18-2020 09:56:12.138',
            'POWER_END: "mode" : Accuracy, "time" : 09-18-2020 09:56:13.442',
        ]
    return [f'"pid": 6457, "tid": 6457, "ts": {ts}ns : {message}\n' for ts, message in enumerate(messages)]
