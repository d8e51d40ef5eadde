"""Whatever lies in an output folder, what is readable is read, and each thing that is not is named exactly once."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tests.misfits import as_folder, as_loop, as_pipe

import sweep
from sweep.cli import main
from sweep.errors import ConfigError
from sweep.paths import write_json
from sweep.results.load import DamagedRecordsWarning
from sweep.results.selection import missing_logs, select
from sweep.store.records import Store
from sweep.trial.verdict import JUDGE_VERSION


def _changed(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def _set(*keys_and_value):
    *keys, last, value = keys_and_value

    def change(data):
        for key in keys:
            data = data[key]
        data[last] = value

    return lambda path: _changed(path, change)


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:700]),
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 50),
    "UTF-16": lambda path: path.write_text(path.read_text(), encoding="utf-16"),
    "a newer schema": _set("schema_version", 99),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a number": lambda path: path.write_text("7"),
    "null": lambda path: path.write_text("null"),
    "another tool's": lambda path: path.write_text('{"schema_version": 2, "tool": "x"}'),
    "a folder": as_folder,
    "a loop": as_loop,
    "nested deep": lambda path: path.write_text("[" * 100_000 + "]" * 100_000),
    "nested deep inside": lambda path: path.write_text(
        path.read_text().replace('"gpus": []', f'"gpus": {"[" * 300 + "]" * 300}')
    ),
    "a huge whole number": _set("query_count", 10**30),
    "a number of 5000 digits": lambda path: path.write_text(
        path.read_text().replace('"attempt": 1', f'"attempt": {"9" * 5000}')
    ),
    "an infinite number": lambda path: path.write_text(
        path.read_text().replace('"load_average_before":', '"load_average_before": 1e999, "x":')
        if '"load_average_before":' in path.read_text()
        else path.read_text().replace('"percentile": 99.0', '"percentile": 1e999')
    ),
    "NaN": lambda path: path.write_text(path.read_text().replace('"percentile": 99.0', '"percentile": NaN')),
    "text for a number": _set("timing", "total_ns", "long"),
    "a number for text": _set("timing", "started_at", 5),
    "half a character": _set("notes", ["\ud800"]),
    "no spec": lambda path: _changed(path, lambda data: data.pop("spec")),
    "an unknown key": _set("novelty", 1),
    "a pipe": as_pipe,
    "another spec": _set("spec", "samples_per_query", 77),
    "environment is a list": _set("environment", []),
}


@pytest.fixture
def broken(three, searches):
    """Damage one record of the command's three; another search and another record stay whole."""
    three.search(searches.single())
    _, victim, _ = select([three.root / "sweeps" / "2026-01-01_00-00-00_grid"]).trials

    def damage(kind):
        DAMAGES[kind](victim.directory / "result.json")
        return three.root, victim.directory / "result.json"

    return damage


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_record_is_named_once_and_costs_no_other(broken, kind, capfd):
    root, path = broken(kind)
    selection = select([root, root / "trials", root / "sweeps"])
    assert [str(error).partition(": ")[0] for error in selection.damaged] == [str(path)]
    assert len(selection.trials) == 3 - 1 + len(selection.searches[0].tests)
    assert len(selection.sweeps) == 2

    with pytest.warns(DamagedRecordsWarning) as warned:
        frame = sweep.load(root)
    assert len(warned) == 1
    assert str(warned[0].message).count(str(path)) == 1
    assert warned[0].filename == __file__
    assert frame.attrs["damaged"] == [str(error) for error in selection.damaged]
    assert len(frame) == len(selection.trials)

    for format_ in ("table", "csv", "json", "paths"):
        assert main(["ls", str(root), "--format", format_]) == 0
        out, err = capfd.readouterr()
        assert str(path) not in out
        assert err.count(str(path)) == 1
        assert err.startswith("note: ")
    assert main(["ls", str(root), "--damaged"]) == 0
    assert capfd.readouterr().out.count(str(path)) == 1
    assert main(["show", str(path.parent)]) == 2
    out, err = capfd.readouterr()
    assert err.startswith(f"error: {path}: ")
    assert err.count("\n") == 1
    sweep_folder = root / "sweeps" / "2026-01-01_00-00-00_grid"
    assert main(["show", str(sweep_folder)]) == 0
    assert "1 record gone" in capfd.readouterr().out


def _npy(header, body=b""):
    """Return a file with a header of one's own, as `numpy.lib.format` pads it."""
    head = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + body


def _header(shape, descr="'<i8'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


LATENCIES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "cut in its header": lambda path: path.write_bytes(path.read_bytes()[:70]),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 50),
    "text": lambda path: path.write_text("latencies"),
    "a zip": lambda path: np.savez(path.open("wb"), a=np.zeros(1)),
    "pickled": lambda path: np.save(path, np.array([{}], dtype=object)),
    "floats": lambda path: np.save(path, np.ones(1440)),
    "32 bits": lambda path: np.save(path, np.ones(1440, np.int32)),
    "the other byte order": lambda path: np.save(path, np.load(path).astype(">i8")),
    "a table": lambda path: np.save(path, np.ones((2, 720), np.int64)),
    "one number": lambda path: np.save(path, np.int64(7)),
    "fields": lambda path: np.save(path, np.zeros(1440, [("a", "<i8")])),
    "too few": lambda path: np.save(path, np.load(path)[:-1]),
    "too many": lambda path: np.save(path, np.append(np.load(path), 1)),
    "none": lambda path: np.save(path, np.zeros(0, np.int64)),
    "of 0 ns": lambda path: np.save(path, np.load(path) * 0),
    "below 0": lambda path: np.save(path, -np.load(path)),
    "of a century": lambda path: np.save(path, np.load(path) + 10**18),
    "a terabyte": lambda path: path.write_bytes(_npy(_header("(1000000000000,)"), bytes(80))),
    "beyond 64 bits": lambda path: path.write_bytes(_npy(_header(f"({10**30},)"), bytes(80))),
    "a shape below 0": lambda path: path.write_bytes(_npy(_header("(-1,)"), bytes(80))),
    "a shape that is none": lambda path: path.write_bytes(_npy(_header("(1,,"), bytes(80))),
    "an open text": lambda path: path.write_bytes(_npy('{"descr": """', bytes(80))),
    "nested deep": lambda path: path.write_bytes(_npy("(" * 3000)),
    "a dtype that is none": lambda path: path.write_bytes(_npy(_header("(10,)", "[[[]]]"), bytes(80))),
    "a folder": as_folder,
    "a loop": as_loop,
    "a pipe": as_pipe,
}


@pytest.mark.parametrize("kind", LATENCIES)
def test_damaged_latencies_are_named_once_and_their_record_is_skipped(three, tmp_path, kind, capfd):
    baseline = str(tmp_path / "baseline.json")
    main(["gate", str(three.root), "--baseline", baseline, "--update"])
    victim = select([three.root]).trials[1]
    path = victim.directory / "latencies_ns.npy"
    LATENCIES[kind](path)
    kept = select([three.root], with_latencies=True)
    assert [str(error).partition(": ")[0] for error in kept.damaged] == [str(path)]
    assert [one.directory for one in kept.trials] == [
        one.directory for one in select([three.root]).trials if one.directory != victim.directory
    ]
    for words, code in (
        (["report", str(three.root), "--out", str(tmp_path / "report.html")], 0),
        (["report", str(three.root), "--out", str(tmp_path / "report.png")], 0),
        (["compare", str(three.root), str(three.root)], 0),
        (["gate", str(three.root), "--baseline", baseline], 1),  # a point of the baseline is missing
    ):
        capfd.readouterr()
        assert main(words) == code
        assert capfd.readouterr().err.count(str(path)) == 1


@pytest.mark.parametrize("kind", LATENCIES)
def test_a_record_with_damaged_latencies_is_not_reused_and_named_once(three, kind):
    victim = select([three.root]).trials[1]
    spec, digest = victim.result.spec, victim.result.environment_digest
    said = []
    store = Store(three.root, said.append)
    result = replace(victim.result, judge_version=JUDGE_VERSION)
    write_json(victim.directory / "result.json", result.to_json())
    assert store.find(spec, digest).directory == victim.directory
    LATENCIES[kind](victim.directory / "latencies_ns.npy")
    assert store.find(spec, digest) is None
    assert store.attempts(spec, digest) == []
    assert len(said) == 1
    assert str(victim.directory / "latencies_ns.npy") in said[0]


def test_latencies_that_are_gone_are_no_damage(three):
    (select([three.root]).trials[1].directory / "latencies_ns.npy").unlink()
    selection = select([three.root], with_latencies=True)
    assert (len(selection.trials), selection.damaged) == (3, ())


CERTIFICATES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:700]),
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "foreign": lambda path: path.write_text('{"name": "x"}'),
    "a list": lambda path: path.write_text("[]"),
    "newer": _set("schema_version", 99),
    "nested deep": lambda path: path.write_text("[" * 100_000),
    "text for a count": _set("tests", 0, "samples_per_query", "8"),
    "text for a bound": _set("question", "target_latency_ns", "50"),
    "tests are a number": _set("tests", 5),
    "evidence of another shape": _set("certificate", "evidence", [{}]),
    "notes are a number": _set("notes", 5),
    "no settings of a joint search": _set("settings", [{"setting": {}}]),
    "a folder": as_folder,
    "a loop": as_loop,
}


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_a_damaged_certificate_is_named_once_and_its_tests_stay(outputs, searches, kind, capfd):
    folder = outputs.search(searches.single())
    whole = len(select([outputs.root]).trials)
    path = folder / "digits.json"
    CERTIFICATES[kind](path)
    selection = select([outputs.root, folder])
    assert [str(error).partition(": ")[0] for error in selection.damaged] == [str(path)]
    assert (len(selection.trials), len(selection.searches), len(selection.sweeps)) == (whole, 0, 1)
    assert main(["ls", str(outputs.root), "--searches"]) == 0
    assert capfd.readouterr().err.count(str(path)) == 1
    assert main(["ls", str(outputs.root), "--sweeps"]) == 0
    if kind not in ("a folder", "a loop"):
        assert main(["show", str(path)]) == 2
        assert f"error: {path}: " in capfd.readouterr().err


MANIFESTS = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "newer": _set("schema_version", 99),
    "foreign": lambda path: path.write_text("[1]"),
    "text for a count": _set("planned", "3"),
    "numbers for trials": _set("trials", [1, 2]),
    "a number for a time": _set("finished_at", 5),
    "nested deep": lambda path: path.write_text("[" * 100_000),
    "a folder": as_folder,
    "a loop": as_loop,
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_damaged_manifest_is_named_once_and_its_tests_and_searches_stay(outputs, searches, kind, capfd):
    folder = outputs.search(searches.single())
    whole = len(select([outputs.root]).trials)
    MANIFESTS[kind](folder / "sweep.json")
    selection = select([outputs.root, folder])
    assert [str(error).partition(": ")[0] for error in selection.damaged] == [str(folder / "sweep.json")]
    assert (len(selection.trials), len(selection.searches), len(selection.sweeps)) == (whole, 1, 0)
    assert main(["ls", str(outputs.root), "--sweeps"]) == 0
    assert capfd.readouterr().err.count("sweep.json") == 1


def test_a_command_without_its_manifest_keeps_its_searches(outputs, searches):
    folder = outputs.search(searches.single())
    (folder / "sweep.json").unlink()
    selection = select([outputs.root])
    assert len(selection.searches) == 1
    (error,) = selection.damaged
    assert str(error).startswith(f"{folder / 'sweep.json'}: is gone")


def test_a_certificate_is_not_read_with_the_records_of_other_tests(outputs, searches):
    """A trial that was removed and measured again lies where the search's test lay, and may say the opposite."""
    outputs.search(searches.single())
    (trial,) = select([outputs.root]).trials
    data = json.loads((trial.directory / "result.json").read_text())
    data["timing"]["started_at"] = "2027-01-01T00:00:00+00:00"
    (trial.directory / "result.json").write_text(json.dumps(data))
    selection = select([outputs.root])
    assert selection.searches[0].tests == (None,)
    (error,) = selection.damaged
    assert "is another record" in str(error)
    assert len(selection.trials) == 1


def test_records_that_are_gone_are_named_once_though_two_files_name_them(outputs, searches, capfd):
    folder = outputs.search(searches.single())
    (trial,) = select([outputs.root]).trials
    shutil.rmtree(trial.directory)
    selection = select([outputs.root, folder])
    (error,) = selection.damaged
    assert str(error).startswith(f"{trial.directory}: the record is gone")
    (search,) = selection.searches
    assert search.tests == (None,)
    assert search.environment is None
    assert search.observations() == []
    (command,) = selection.sweeps
    assert (command.done, command.trials) == (1, ())
    for options in ([], ["--sweeps"], ["--searches"], ["--searches", "--format", "json"]):
        assert main(["ls", str(outputs.root), *options]) in (0, 1)
        assert capfd.readouterr().err.count("the record is gone") == 1
    assert main(["show", str(folder / "digits.json")]) == 0
    assert "max streams: 128" in capfd.readouterr().out


def test_names_with_a_colon_are_not_taken_for_one_another(outputs, searches):
    """Messages begin with a path and a colon: two damaged records below one such folder are two."""
    outputs.grid([searches.test(n) for n in (100, 200)])
    root = outputs.root.rename(outputs.root.parent / "a: b")
    for path in root.glob("trials/*/*/result.json"):
        path.write_text("")
    assert len(select([root]).damaged) == 2


def test_missing_logs_are_known_and_cost_nothing(three, capfd):
    stored = select([three.root]).trials[0]
    assert missing_logs(stored) == ()
    (stored.directory / "mlperf_log_summary.txt").unlink()
    assert missing_logs(stored) == ("mlperf_log_summary.txt",)
    assert len(select([three.root]).trials) == 3
    assert main(["show", str(stored.directory)]) == 0
    assert "missing" in capfd.readouterr().out


def test_loops_and_strays_among_the_folders_hide_nothing(three):
    trials, sweeps = three.root / "trials", three.root / "sweeps"
    (trials / "notes.txt").write_text("x")
    (sweeps / "notes.txt").write_text("x")
    (trials / "up").symlink_to(three.root)
    (trials / "again").symlink_to(next(trials.iterdir()))
    (sweeps / "up").symlink_to("..")
    loop = trials / "loop"
    loop.symlink_to("loop")
    some = select([three.root]).trials[0].directory.parent
    (some / "002").symlink_to("002")
    (some / "003").symlink_to("001")
    selection = select([three.root, three.root])
    assert len(selection.trials) == 3
    named = sorted(str(error).partition(": ")[0] for error in selection.damaged)
    assert named == sorted([str(loop), str(some / "002" / "result.json")])


def test_a_loop_is_no_place(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(ConfigError, match="loop: does not exist"):
        select([loop])


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
@pytest.mark.parametrize("what", ["record", "attempt", "trial"])
def test_what_may_not_be_read_is_named_once(three, what):
    directory = select([three.root]).trials[0].directory
    path = {"record": directory / "result.json", "attempt": directory, "trial": directory.parent}[what]
    path.chmod(0)
    try:
        selection = select([three.root])
    finally:
        path.chmod(0o755)
    assert len(selection.trials) == 2
    assert len([error for error in selection.damaged if "gone" not in str(error)]) == 1


@pytest.mark.parametrize("folder", ["trials", "sweeps"])
def test_a_folder_that_cannot_be_listed_is_named_once(three, folder, monkeypatch):
    """As for one that may not be read, for whoever runs the tests as root."""
    from sweep.paths import OutputPaths

    def fail(self):
        raise PermissionError(13, "Permission denied", str(self.root))

    monkeypatch.setattr(OutputPaths, f"all_{folder}", fail)
    selection = select([three.root])
    (error,) = selection.damaged
    assert str(error) == f"{three.root / folder}: cannot be read: Permission denied"
    assert len(selection.trials) == 3  # each is found on the other way too


def test_many_damaged_records_are_summed_up_and_all_listed_on_demand(outputs, searches, capfd):
    outputs.grid([searches.test(n) for n in range(100, 113)])
    for path in outputs.root.glob("trials/*/*/result.json"):
        path.write_text("")
    assert main(["ls", str(outputs.root)]) == 1  # nothing that is there can be read
    assert len(capfd.readouterr().err.splitlines()) == 11
    assert main(["ls", str(outputs.root), "--damaged"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 13
