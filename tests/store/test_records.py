import json
import re
import threading

import pytest

from sweep.errors import ConfigError, RecordError
from sweep.paths import AttemptPaths, SweepPaths
from sweep.store.records import Store, load_attempt
from sweep.store.table import COLUMNS, to_frame, write_tables
from sweep.trial.executor import Executor, Timeouts
from sweep.trial.messages import RunRequest
from sweep.trial.trial import run_trial


@pytest.fixture(scope="module")
def executor():
    with Executor(Timeouts(30, 5)) as shared:
        yield shared


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "outputs")


@pytest.fixture
def measure(executor, store, request_for):
    def run(spec):
        from sweep.environment import environment_digest

        environment = environment_digest(None)
        attempt = store.begin(spec, environment)
        request = request_for(spec)
        result = run_trial(executor, RunRequest(spec, request.files, str(attempt.paths.directory)), attempt.number)
        return store.finish(attempt, result), environment

    return run


def test_a_stored_trial_is_found_by_its_content(store, measure, simulated):
    stored, environment = measure(simulated())
    assert store.find(simulated(), environment) == stored
    assert store.find(simulated(batch=3), environment) is None
    assert store.find(simulated(), "0" * 64) is None


def test_a_verdict_of_another_judge_is_not_reused(store, measure, simulated, monkeypatch):
    """When what is VALID was mended, what was judged before must be measured again."""
    from sweep.store import records

    stored, environment = measure(simulated())
    monkeypatch.setattr(records, "JUDGE_VERSION", stored.result.judge_version + 1)
    assert store.find(simulated(), environment) is None


def test_a_failed_trial_is_kept_but_not_reused(store, measure, simulated):
    spec = simulated(fault="throw", fault_at=0)
    _, environment = measure(spec)
    assert store.find(spec, environment) is None
    (kept,) = store.attempts(spec, environment)
    assert kept.result.failure is not None


def test_measuring_again_keeps_the_earlier_attempt(store, measure, simulated):
    first, environment = measure(simulated())
    second, _ = measure(simulated())
    assert first.directory != second.directory
    assert (second.result.attempt, first.result.attempt) == (2, 1)
    assert store.find(simulated(), environment) == second
    assert store.attempts(simulated(), environment) == [first, second]


def test_an_unfinished_attempt_is_no_record(store, simulated):
    attempt = store.begin(simulated(), "e" * 64)
    assert attempt.paths.spec.is_file()
    assert store.find(simulated(), "e" * 64) is None
    assert store.attempts(simulated(), "e" * 64) == []
    assert store.begin(simulated(), "e" * 64).number == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema_version": 99}', "\x00\x01"])
def test_a_damaged_record_is_named_once_and_measured_again(store, measure, simulated, damage):
    stored, environment = measure(simulated())
    (stored.directory / "result.json").write_text(damage)
    assert store.find(simulated(), environment) is None
    with pytest.raises(RecordError, match=re.escape(str(stored.directory))):
        load_attempt(AttemptPaths(stored.directory))
    again, _ = measure(simulated())
    assert store.find(simulated(), environment) == again


def test_two_sweeps_at_once_never_share_a_folder(store, simulated):
    made = []

    def begin():
        made.append(store.begin(simulated(), "e" * 64).paths.directory)

    threads = [threading.Thread(target=begin) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 16


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path, simulated):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="outputs=.*cannot be written"):
        Store(tmp_path / "file").begin(simulated(), "e" * 64)


def test_the_table_has_every_documented_column_with_its_type(measure, simulated):
    stored = [measure(simulated())[0], measure(simulated(fault="throw", fault_at=0))[0]]
    frame = to_frame(stored)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {c.name: c.dtype for c in COLUMNS}
    assert frame["result"].tolist()[0] == "VALID"
    assert frame["state"].tolist() == ["COMPLETE", "FAILED"]
    assert frame["latency_p99_ns"].isna().tolist() == [False, True]


def test_csv_and_parquet_say_the_same(tmp_path, measure, simulated):
    import pandas as pd

    stored = [measure(simulated())[0]]
    paths = SweepPaths(tmp_path)
    write_tables(stored, paths)
    parquet = pd.read_parquet(paths.parquet)
    csv = pd.read_csv(paths.csv)
    assert list(parquet.columns) == list(csv.columns) == [column.name for column in COLUMNS]
    assert parquet["latency_p99_ns"][0] == csv["latency_p99_ns"][0] == stored[0].result.percentile_ns


def test_the_spec_is_written_before_the_test(store, simulated):
    attempt = store.begin(simulated(), "e" * 64)
    assert json.loads(attempt.paths.spec.read_text()) == simulated().to_json()
