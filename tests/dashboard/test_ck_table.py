"""The table of 2020: exactly its columns, types and index, and a file that plain pandas reads."""

import io
import pickletools
import zipfile

import pandas as pd
import pytest

from sweep.dashboard.ck_table import ck_frame, ck_zip
from sweep.dashboard.official import official_points
from sweep.dashboard.points import Source

WORDS = [
    *("Division", "Category", "Submitter", "Accelerator #", "System", "Software", "Benchmark", "ID", "Processor"),
    *("Processor #", "Accelerator", "FF_M", "FF_D", "FF_S", "FF_E", "Details", "Code", "Notes", "Task", "Scenario"),
]
FIGURES = [
    f"{what}_{task}_{scenario}"
    for what in ("P", "A")
    for task in ("IC1", "IC2", "OD1", "OD2", "NMT")
    for scenario in ("SS", "MS", "S", "O")
]
INDEX = ["ID", "Division", "Category", "Submitter", "System", "Benchmark"]


def _read(data, tmp_path):
    path = tmp_path / "table.zip"
    path.write_bytes(data)
    return pd.read_pickle(path)


def test_pandas_reads_the_table_as_documented(tmp_path):
    data, count = ck_zip(official_points(), "table")
    frame = _read(data, tmp_path)
    assert count == len(frame) == 177
    assert list(frame.columns) == [*WORDS, *FIGURES]
    assert list(frame.index.names) == INDEX
    assert frame.index.is_unique
    for name in INDEX:
        assert list(frame.index.get_level_values(name)) == list(frame[name])
    types = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert {types[name] for name in FIGURES} == {"float32"}
    assert {name for name in WORDS if types[name] == "int64"} == {"Accelerator #", "Processor #"}
    assert {name for name in WORDS if types[name] == "object"} == {*WORDS} - {"Accelerator #", "Processor #"}
    assert all(isinstance(value, str) for name in WORDS if types[name] == "object" for value in frame[name])


def test_it_is_a_pickle_of_protocol_2_in_a_zip_and_always_the_same():
    data, _ = ck_zip(official_points(), "table")
    assert data == ck_zip(official_points(), "table")[0]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["table.pickle"]
        first = next(pickletools.genops(archive.read("table.pickle")))
    assert (first[0].name, first[1]) == ("PROTO", 2)


@pytest.mark.parametrize(
    ("changes", "column", "figure"),
    [
        ({}, "P_IC2_MS", 1088),
        ({"benchmark": "mobilenet", "scenario": "Offline", "metric": "samples_per_second"}, "P_IC1_O", 1088),
        (
            {"benchmark": "ssd-mobilenet", "scenario": "Server", "metric": "scheduled_samples_per_second"},
            "P_OD1_S",
            1088,
        ),
        (
            {"benchmark": "ssd-resnet34", "scenario": "SingleStream", "metric": "p90_latency_ns", "value": 2.5e6},
            "P_OD2_SS",
            2.5,
        ),
        ({"benchmark": "gnmt", "accuracy_percent": 23.9}, "A_NMT_MS", 23.9),
    ],
)
def test_each_figure_is_in_its_column_and_its_unit(point, changes, column, figure):
    (row,) = ck_frame([point(**changes)])[FIGURES].to_dict("records")
    known = {name: value for name, value in row.items() if value == value}  # noqa: PLR0124  (not NaN)
    assert known[column] == pytest.approx(figure)
    assert set(known) == {column} | {f"P_{column[2:]}"}


@pytest.mark.parametrize(
    "changes",
    [
        {"benchmark": "bert-99"},
        {"metric": "p99_latency_ns"},
        {"verdict": "INVALID"},
    ],
)
def test_what_it_has_no_column_for_is_left_out(point, changes):
    data, count = ck_zip([point(**changes)], "table")
    assert count == 0
    assert data


def test_a_screening_point_says_so_and_equal_names_are_numbered(point):
    own = point(source=Source.OWN, run_class="screening", doubt="synthetic weights", link="outputs/trials/x")
    frame = ck_frame([own, own])
    assert list(frame["Notes"]) == ["synthetic weights; screening run, not official"] * 2
    first, second = frame["ID"]
    assert second == f"{first}#2"
    assert frame["Details"].iloc[0] == "own: outputs/trials/x"
