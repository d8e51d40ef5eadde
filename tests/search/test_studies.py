import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from sweep.errors import ConfigError, MissingDependencyError
from sweep.search import studies
from sweep.search.base import Domain
from sweep.search.studies import open_studies

PROCESS = Path(__file__).with_name("study_process.py")
IDENTITY = {"model": "digits", "precision": "fp32", "low": 1, "high": 64}
PARAMS = {"samples_per_query": 8, "query_count": 0}


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "studies" / "journal.log"


@pytest.fixture(params=["journal", "sqlite"])
def storage(request, tmp_path):
    """None for the journal, a URL for a database."""
    return None if request.param == "journal" else f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def open_book(storage, journal):
    return lambda: open_studies(storage, journal)


def line_of(call, *args, **kwargs):
    """The one line that a call is refused with."""
    with pytest.raises(ConfigError) as caught:
        call(*args, **kwargs)
    assert len(caught.value.problems) == 1
    line = str(caught.value)
    assert "\n" not in line
    return line


def start(what, storage, journal, name, count):
    command = [sys.executable, str(PROCESS), what, storage or "", str(journal), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class TestStudy:
    def test_what_was_measured_is_found_again(self, open_book):
        study = open_book().study("first", IDENTITY, resume=True)
        assert not study.existed
        assert study.begin(PARAMS) == 0
        assert study.trials() == []
        study.finish(0, 8, {"result": "VALID", "p99_ms": 1.5}, -0.25)
        study.fail(study.begin(PARAMS), {"failure": "crashed"})
        study.set("certificate", {"max_streams": 8})
        study.close()

        again = open_book().study("first", IDENTITY, resume=True)
        assert again.existed
        first, second = again.trials()
        assert (first.number, first.state, first.params, first.value) == (0, "COMPLETE", PARAMS, 8)
        assert first.attributes["result"] == "VALID"
        assert first.attributes["p99_ms"] == 1.5
        assert (second.state, second.value, second.attributes["failure"]) == ("FAIL", None, "crashed")
        assert again.attributes()["certificate"] == {"max_streams": 8}
        assert again.attributes()["sweep_schema"] == 1
        assert again.attributes()["identity"] == IDENTITY

    def test_a_running_trial_is_visible_to_others(self, open_book, journal, storage):
        study = open_book().study("first", IDENTITY, resume=True)
        study.begin(PARAMS)
        (trial,) = open_book()._storage.get_all_trials(study._id)
        assert trial.state.name == "RUNNING"
        assert trial.params == PARAMS

    def test_a_joint_search_has_parameters_of_any_kind_and_prunes(self, open_book):
        space = {
            "backend": ("onnxruntime", "simulated"),
            "engine_batch": (None, 1, 4),
            "samples_per_query": Domain(8, 64, 8),
        }
        study = open_book().study("joint", IDENTITY, resume=True)
        asked = [
            {"backend": "simulated", "engine_batch": None, "samples_per_query": 16},
            {"backend": "onnxruntime", "engine_batch": 4, "samples_per_query": 64},
        ]
        for params in asked:
            study.prune(study.begin(params, space), 3, {"result": "INVALID"})
        assert [trial.params for trial in study.trials()] == asked
        assert [(trial.state, trial.value) for trial in study.trials()] == [("PRUNED", 3), ("PRUNED", 3)]

    def test_a_parameter_without_a_space_is_a_bug(self, open_book):
        with pytest.raises(ValueError, match="backend"):
            open_book().study("joint", IDENTITY, resume=True).begin({"backend": "simulated"})

    def test_optuna_reads_the_constraint(self, open_book):
        """Its samplers and its dashboard tell VALID from INVALID by it."""
        book = open_book()
        study = book.study("first", IDENTITY, resume=True)
        study.finish(study.begin(PARAMS), None, {}, 0.5)
        (trial,) = optuna.load_study(study_name="first", storage=book._storage).trials
        assert list(trial.constraints.values()) == [0.5]
        assert trial.value == 0

    def test_several_studies_share_a_storage(self, open_book):
        book = open_book()
        for name in ("b", "a"):
            study = book.study(name, {**IDENTITY, "model": name}, resume=True)
            assert study.begin(PARAMS) == 0
        assert book.names() == ["a", "b"]

    def test_the_same_identity_in_another_order_is_the_same(self, open_book):
        open_book().study("first", {"a": 1, "b": (1, 2)}, resume=True).close()
        assert open_book().study("first", {"b": [1, 2], "a": 1}, resume=True).existed


class TestRefused:
    def test_another_identity_names_what_differs(self, open_book):
        open_book().study("first", IDENTITY, resume=True).close()
        line = line_of(open_book().study, "first", {**IDENTITY, "model": "mobilenet", "high": 32}, resume=True)
        assert line == (
            "study=first: is of something else (high: 64 there, 32 here; model: digits there, mobilenet here); "
            "choose another name with study=NAME"
        )

    def test_starting_over_needs_another_name(self, open_book):
        open_book().study("first", IDENTITY, resume=False).close()
        line = line_of(open_book().study, "first", IDENTITY, resume=False)
        assert line == "study=first: exists; resume=false starts over, which needs another name: study=NAME"

    def test_a_newer_sweep(self, open_book):
        study = open_book().study("first", IDENTITY, resume=True)
        study.set("sweep_schema", 2)
        study.close()
        line = line_of(open_book().study, "first", IDENTITY, resume=True)
        assert line == "study=first: was made by a newer sweep (schema 2, known here: 1); update sweep"

    @pytest.mark.parametrize("direction", ["maximize", "minimize"])
    def test_a_study_of_somebody_else(self, open_book, direction):
        book = open_book()
        other = optuna.create_study(study_name="first", storage=book._storage, direction=direction)
        other.set_user_attr("owner", "somebody")
        line = line_of(book.study, "first", IDENTITY, resume=True)
        assert line.startswith("study=first: was not made by sweep, in ")
        assert other.user_attrs == {"owner": "somebody"}

    def test_a_process_killed_while_it_made_the_study_leaves_no_ruin(self, open_book):
        book = open_book()
        optuna.create_study(study_name="first", storage=book._storage, direction="maximize")
        assert not book.study("first", IDENTITY, resume=False).existed

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "a\n", "x" * 201, "a=b"])
    def test_names(self, open_book, name):
        line = line_of(open_book().study, name, IDENTITY, resume=True)
        assert line.startswith("study=")
        assert "is no name for a study; give 1 to 200 letters" in line

    def test_the_longest_name_works(self, open_book):
        assert open_book().study("x" * 200, IDENTITY, resume=True).begin(PARAMS) == 0


class TestProcesses:
    def test_ten_at_once_lose_nothing(self, journal):
        running = [start("work", None, journal, f"s{number}", 5) for number in range(10)]
        assert [process.communicate(timeout=60)[0] for process in running] == ["done\n"] * 10
        book = open_studies(None, journal)
        for number in range(10):
            trials = book.study(f"s{number}", {"model": "digits"}, resume=True).trials()
            assert [trial.value for trial in trials] == [1, 2, 3, 4, 5]

    def test_new_tables_are_made_by_four_at_once(self, journal, tmp_path):
        storage = f"sqlite:///{tmp_path}/studies.db"
        running = [start("work", storage, journal, f"s{number}", 1) for number in range(4)]
        assert [process.communicate(timeout=60)[0] for process in running] == ["done\n"] * 4

    def test_one_that_runs_keeps_others_out_and_one_that_was_killed_does_not(self, open_book, storage, journal):
        process = start("hang", storage, journal, "first", 1)
        try:
            assert process.stdout.readline() == "begun 0\n"
            line = line_of(open_book().study, "first", {"model": "digits"}, resume=True)
            assert line == (
                f"study=first: is being run by process {process.pid}; "
                "wait for it, or choose another name with study=NAME"
            )
            assert open_book().study("second", IDENTITY, resume=True).begin(PARAMS) == 0
        finally:
            process.kill()
        process.wait()
        study = open_book().study("first", {"model": "digits"}, resume=True)
        assert study.begin(PARAMS) == 1
        study.close()
        (stale,) = study.trials()
        assert (stale.number, stale.state, stale.attributes["stale"]) == (0, "FAIL", True)

    def test_what_a_killed_one_was_running_is_gone_on_with(self, open_book, storage, journal):
        """Its record may lie there already: then the trial must not stay FAIL beside it."""
        process = start("hang", storage, journal, "first", 1)
        assert process.stdout.readline() == "begun 0\n"
        process.kill()
        process.wait()
        study = open_book().study("first", {"model": "digits"}, resume=True)
        asked = {"samples_per_query": 1, "query_count": 0}
        assert [study.begin(asked), study.begin(asked)] == [0, 1]
        study.finish(0, 1, {"record": "here", "result": "VALID"})
        study.close()
        (first,) = study.trials()
        assert (first.number, first.state, first.value, first.attributes["record"]) == (0, "COMPLETE", 1, "here")

    def test_another_may_end_what_a_killed_one_has_left_while_the_study_is_opened(self, tmp_path, journal, monkeypatch):
        """A database has no lock: two that are started at once both find it."""
        first, second = (open_studies(f"sqlite:///{tmp_path}/studies.db", journal) for _ in range(2))
        study, this_process = first.study("first", IDENTITY, resume=True), studies._this_process()
        study.begin(PARAMS)
        monkeypatch.setattr(studies, "_this_process", lambda: study.fail(0, {}) or this_process)
        second.study("first", IDENTITY, resume=True).close()
        (ended,) = second.study("first", IDENTITY, resume=True).trials()
        assert (ended.number, ended.state) == (0, "FAIL")

    @pytest.mark.parametrize("size", [1500, 8000, 20000])
    def test_one_killed_while_it_writes_blocks_nobody(self, journal, size):
        """The journal is whole, its lock free at once, and every trial but the last is finished."""
        process = start("work", None, journal, "first", 10_000)
        try:
            while not journal.exists() or journal.stat().st_size < size:
                assert process.poll() is None
        finally:
            process.kill()
            process.wait()
        study = open_studies(None, journal).study("first", {"model": "digits"}, resume=True)
        number = study.begin(PARAMS)
        study.close()
        states = [trial.state for trial in study.trials()]
        assert len(states) > 1
        assert set(states[:-1]) == {"COMPLETE"}
        assert number == len(states)

    def test_one_on_another_host_is_taken_for_alive(self, tmp_path, journal, monkeypatch):
        """Nothing can be known about it: a trial that still runs must not be ended under it."""
        open_book = lambda: open_studies(f"sqlite:///{tmp_path}/studies.db", journal)  # noqa: E731
        with monkeypatch.context() as patched:
            patched.setattr("socket.gethostname", lambda: "elsewhere")
            open_book().study("first", IDENTITY, resume=True).begin(PARAMS)
        assert "on elsewhere, or was when that ended" in line_of(open_book().study, "first", IDENTITY, resume=True)


class TestJournal:
    @pytest.fixture
    def lines(self, journal):
        study = open_studies(None, journal).study("first", IDENTITY, resume=True)
        study.finish(study.begin(PARAMS), 8, {"result": "VALID"})
        study.close()
        return journal.read_bytes().splitlines(keepends=True)

    def refused(self, journal, data):
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_bytes(data)
        line = line_of(open_studies, None, journal)
        assert journal.read_bytes() == data
        assert line.startswith(f"search.storage={journal}: ")
        assert line.endswith("move it away; what was measured is kept under outputs/trials and reused")
        return line.removeprefix(f"search.storage={journal}: ").partition(";")[0]

    def test_a_pipe_in_its_place_is_not_waited_for(self, journal):
        journal.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(journal)
        assert f"search.storage={journal}: is no regular file" in line_of(open_studies, None, journal)

    @pytest.mark.parametrize(
        "data", [b"hello\n", b"\x00\xff\x10" * 50, b"[1, 2]\n", b'{"a": 1}\n', b"\n", b"7", b"[" * 100_000]
    )
    def test_what_is_no_journal(self, journal, data):
        assert self.refused(journal, data) == "is not a journal of Optuna"

    @pytest.mark.parametrize("cut", [1, 2, 20, 70_000])
    def test_a_last_line_that_a_killed_process_has_cut_off_is_gone(self, journal, lines, cut):
        if cut > len(lines[-1]):
            lines[-1] = lines[-1][:-2] + b" " * cut + b"}\n"
        journal.write_bytes(b"".join(lines)[:-cut])
        assert open_studies(None, journal).names() == ["first"]
        assert journal.read_bytes() == b"".join(lines[:-1])

    @pytest.mark.parametrize("left", [1, 5, 20])
    def test_a_first_line_that_is_cut_off_leaves_a_new_journal(self, journal, lines, left):
        journal.write_bytes(lines[0][:left])
        assert open_studies(None, journal).names() == []
        assert journal.read_bytes() == b""

    def test_the_next_line_is_not_joined_to_one_that_another_process_has_cut_off(self, journal, lines):
        """It was killed while this one ran a study in the same journal."""
        book = open_studies(None, journal)
        study = book.study("second", IDENTITY, resume=True)
        with journal.open("ab") as file:
            file.write(lines[-1][:30])
        study.finish(study.begin(PARAMS), 8, {"result": "VALID"})
        study.close()
        assert open_studies(None, journal).names() == book.names() == ["first", "second"]
        (trial,) = open_studies(None, journal).study("second", IDENTITY, resume=True).trials()
        assert (trial.state, trial.value) == ("COMPLETE", 8)

    def test_a_line_that_another_program_is_writing_is_no_cut_one(self, journal, lines, monkeypatch):
        """Such as Optuna's dashboard, whose lock is another: fails where its whole line is lost."""
        noted = b'{"op_code":2,"worker_id":"dashboard","study_id":0,"user_attr":{"note":"mine"}}\n'
        rest = [noted[40:]]
        book = open_studies(None, journal)
        with journal.open("ab", buffering=0) as dashboard:
            dashboard.write(noted[:40])
            monkeypatch.setattr(time, "sleep", lambda _: dashboard.write(rest.pop()))
            book.study("second", IDENTITY, resume=True).close()
            for part in rest:
                dashboard.write(part)
        assert open_studies(None, journal).names() == ["first", "second"]
        assert open_studies(None, journal).study("first", IDENTITY, resume=True).attributes()["note"] == "mine"

    @pytest.mark.parametrize("damage", [b"\n", b"\x00" * 30 + b"\n", b'{"op_code": 4, "wor\n', b'{"op_code": "x"}\n'])
    def test_damaged_in_the_middle(self, journal, lines, damage):
        assert self.refused(journal, b"".join([*lines[:2], damage, *lines[3:]])) == "is damaged in line 3"

    def test_operations_of_another_optuna(self, journal, lines):
        data = b"".join(lines) + json.dumps({"op_code": 99, "worker_id": "x"}).encode() + b"\n"
        reason = self.refused(journal, data)
        assert reason == f"is of a newer Optuna: operation 99 in line {len(lines) + 1} is unknown here"

    def test_operations_that_do_not_fit_together(self, journal, lines):
        assert self.refused(journal, b"".join(lines) + b'{"op_code":4,"worker_id":"x"}\n').startswith("is damaged, or")

    def test_a_folder(self, tmp_path):
        assert "is a folder, not a journal of Optuna; move it away" in line_of(open_studies, None, tmp_path)

    @pytest.mark.parametrize("place", ["/proc/nowhere/journal.log", "file/journal.log"])
    def test_where_nothing_can_be_written(self, tmp_path, place):
        (tmp_path / "file").touch()
        line = line_of(open_studies, None, tmp_path / place)
        assert ": cannot be written: " in line
        assert line.endswith("; choose another folder with outputs=DIR")

    def test_an_empty_file_is_a_new_journal(self, journal):
        journal.parent.mkdir()
        journal.touch()
        assert open_studies(None, journal).names() == []


class TestDatabase:
    def refused(self, tmp_path, url):
        return line_of(open_studies, url, tmp_path / "journal.log")

    @pytest.mark.parametrize(
        "url",
        [
            "foo",
            "",
            "sqlite",
            "postgresql//u:secret@h/d",
            "sqlite:///{x}.db",
            "a://h:port/",
            "mysql://u:se@secret:x@h/d",
        ],
    )
    def test_what_is_no_url(self, tmp_path, url, monkeypatch):
        monkeypatch.chdir(tmp_path)
        line = self.refused(tmp_path, url)
        assert list(tmp_path.iterdir()) == []
        assert "is not the URL of a database; give sqlite:///FILE" in line
        assert "secret" not in line

    def test_an_unknown_kind(self, tmp_path):
        line = self.refused(tmp_path, "redis://user:secret@host/1")
        assert line.startswith(
            "search.storage=redis://user:***@host/1: names a kind of database that is not known here"
        )

    def test_a_driver_that_is_not_installed(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "psycopg2", None)
        with pytest.raises(MissingDependencyError) as caught:
            open_studies("postgresql+psycopg2://user:p%40ss:word@localhost/x?password=word", tmp_path / "journal.log")
        assert str(caught.value) == (
            "search.storage=postgresql+psycopg2://user:***@localhost/x?password=***: needs psycopg2; "
            "pip install psycopg2-binary"
        )

    def test_a_host_that_does_not_answer(self, tmp_path, monkeypatch):
        import sqlalchemy

        def connect(*_, **__):
            raise sqlalchemy.exc.OperationalError("select", {}, OSError("secret refused\nby localhost"))

        monkeypatch.setattr("sweep.search.database._parse", lambda _: None)
        monkeypatch.setattr("sweep.search.database._connect", connect)
        line = self.refused(tmp_path, "postgresql://user:secret@localhost/x")
        assert line.startswith(
            "search.storage=postgresql://user:***@localhost/x: cannot be used: *** refused by localhost;"
        )

    def test_a_missing_folder(self, tmp_path):
        line = self.refused(tmp_path, f"sqlite:///{tmp_path}/no/studies.db")
        assert f"lies in a folder that does not exist: {tmp_path}/no; make it" in line

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        assert "cannot be used: unable to open database file" in self.refused(tmp_path, "sqlite:////proc/studies.db")

    def test_a_file_that_is_no_database(self, tmp_path):
        path = tmp_path / "studies.db"
        path.write_bytes(b"text, and more of it\n" * 100)
        assert "cannot be used: file is not a database" in self.refused(tmp_path, f"sqlite:///{path}")
        assert path.read_bytes() == b"text, and more of it\n" * 100

    @pytest.mark.parametrize("damage", ["update alembic_version set version_num = 'v9.9.9'", "drop table trial_params"])
    def test_tables_of_another_optuna(self, tmp_path, damage):
        path = tmp_path / "studies.db"
        open_studies(f"sqlite:///{path}", tmp_path / "journal.log")._storage.engine.dispose()
        with sqlite3.connect(path) as database:
            database.execute(damage)
            database.execute("update alembic_version set version_num = 'v9.9.9'")
        database.close()
        data = path.read_bytes()
        line = self.refused(tmp_path, f"sqlite:///{path}")
        assert f"has tables of a newer Optuna than {optuna.__version__}; pip install -U optuna, or choose" in line
        assert "storage upgrade" not in line
        assert path.read_bytes() == data

    def test_tables_of_an_older_optuna(self, tmp_path):
        path = tmp_path / "studies.db"
        open_studies(f"sqlite:///{path}", tmp_path / "journal.log")._storage.engine.dispose()
        with sqlite3.connect(path) as database:
            database.execute("update alembic_version set version_num = 'v3.0.0.a'")
        database.close()
        line = self.refused(tmp_path, f"sqlite:///{path}")
        assert "has tables of an older Optuna" in line
        assert "optuna storage upgrade" in line

    def test_a_failure_in_the_middle_is_one_line_too(self, tmp_path):
        book = open_studies(f"sqlite:///{tmp_path}/studies.db", tmp_path / "journal.log")
        study = book.study("first", IDENTITY, resume=True)
        with sqlite3.connect(tmp_path / "studies.db") as database:
            database.execute("drop table study_user_attributes")
        database.close()
        assert "cannot be used: no such table" in line_of(study.set, "certificate", {})
