"""`sweep.load` gives every record, once, in columns of the documented types; so do the files that sweeps write."""

import json
import subprocess
import sys
import warnings

import pandas as pd
import pytest
from tests.benchmarks.many import write_many

import sweep
from sweep.cli import main
from sweep.errors import ConfigError
from sweep.paths import SweepPaths
from sweep.results.selection import select
from sweep.store.table import COLUMNS, write_tables

MANY = 10_000


def test_a_frame_has_the_documented_columns_with_their_types_and_all_can_be_missing(three, searches):
    three.add(searches.test(800, failure="crash"))
    frame = sweep.load(three.root)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {c.name: c.dtype for c in COLUMNS}
    assert frame["samples_per_query"].tolist() == [100, 200, 400, 800]
    assert frame["attempt"].tolist() == [1, 1, 1, 1]
    assert frame["failure"].isna().tolist() == [True, True, True, False]
    assert frame["latency_p99_ns"].isna().tolist() == [False, False, False, True]
    assert frame["gpu"].isna().all()
    assert frame.attrs == {"damaged": []}


def test_parquet_has_the_type_of_each_column(three, searches, tmp_path):
    three.add(searches.test(800, failure="crash"))
    frame = sweep.load(three.root)
    paths = SweepPaths(tmp_path)
    write_tables(select([three.root]).trials, paths)
    back = pd.read_parquet(paths.parquet)
    for column in COLUMNS:
        assert back[column.name].dtype == frame[column.name].dtype, column.name
        pd.testing.assert_series_equal(back[column.name], frame[column.name])
    pd.testing.assert_frame_equal(back, frame)


def test_an_empty_selection_still_has_its_columns(three):
    frame = sweep.load(three.root, "model=resnet")
    assert frame.empty
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {c.name: c.dtype for c in COLUMNS}


def test_places_may_be_text_paths_or_several_of_them(three, searches, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(sweep.load()) == len(sweep.load("outputs")) == len(sweep.load(three.root)) == 3
    assert len(sweep.load(["outputs/trials", three.root / "sweeps"])) == 3
    assert sweep.load("outputs", "result=VALID", "batch>100")["samples_per_query"].tolist() == [200]


@pytest.mark.parametrize(
    ("places", "filters", "line"),
    [
        ("nowhere", (), "nowhere: does not exist"),
        ([], (), "places: are none"),
        (["."], (), ".: holds no results of sweep"),
        ("outputs", ("modle=x",), "modle: no column of the results"),
    ],
)
def test_what_cannot_be_loaded_is_a_clear_error(three, tmp_path, monkeypatch, places, filters, line):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        sweep.load(places, *filters)
    assert str(caught.value).startswith(line)


def test_whole_records_are_loaded_without_a_word(three, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep.load(three.root)
    assert capfd.readouterr() == ("", "")


def test_importing_sweep_imports_nothing_of_it():
    code = (
        "import sys, sweep; print([m for m in sys.modules if m.startswith(('sweep.', 'pandas', 'numpy', 'pathlib'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['pathlib']")  # an editable install may have needed paths itself


def test_frames_can_be_joined(three):
    """Their `attrs` must not stand in the way."""
    frame = sweep.load(three.root)
    assert len(pd.concat([frame, frame])) == 6


@pytest.mark.slow
def test_of_ten_thousand_attempts_none_is_lost(searches, tmp_path, monkeypatch, capfd):
    root = tmp_path / "many"
    write_many(root, searches.test(8).outcome.stored.result, MANY // 100, attempts=100)
    selection = select([root])
    for module in ("load", "selection"):  # read once, for the sake of time
        monkeypatch.setattr(f"sweep.results.{module}.select", lambda places, _: selection if places == [root] else None)
    frame = sweep.load(root)
    assert frame.attrs["damaged"] == []
    assert len(frame) == frame["directory"].nunique() == MANY
    assert frame["samples_per_query"].value_counts().to_dict() == dict.fromkeys(range(1, MANY // 100 + 1), 100)
    assert main(["ls", str(root)]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.splitlines()[0] == f"{MANY - 50} attempts more not shown; --limit 0 shows all"
    assert sum("simulated" in line for line in out.splitlines()) == 50


def test_records_of_an_older_schema_are_read_beside_new_ones(three):
    path = next(three.root.glob("trials/*/*/result.json"))
    data = json.loads(path.read_text())
    for key in ("device_latencies", "engine", "telemetry"):
        del data[key]
    del data["spec"]["model"]["calibration"]
    path.write_text(json.dumps({**data, "schema_version": 1}))
    assert len(sweep.load(three.root)) == 3
