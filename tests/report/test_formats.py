"""Every format says the same, since all are made of one model."""

import csv
import io
import json
import struct

import pytest
from tests.report.records import damage

from sweep.errors import ConfigError
from sweep.report.write import document
from sweep.search.certificate import Status
from sweep.store.table import COLUMNS
from sweep.vocabulary import Weights


@pytest.fixture
def selection(records):
    """A search of one model, a grid of another with an unfriendly name, and a damaged record."""
    tests = [(records.trial(n, gpu="GPU of tests"), False) for n in (306, 320)]
    records.search(tests, max_streams=306, first_invalid=320, undecided=(307, 319), status=Status.INTERVAL)
    for n in (64, 400):
        records.trial(n, model="a|b<script>`$1", weights=Weights.SYNTHETIC)
    damage(records.trial(8, model="other"))
    return records.selection()


def _document(form, selection, tmp_path):
    return document(form, selection, [tmp_path], "", tmp_path)


def test_markdown_is_a_table_that_users_names_do_not_break(selection, tmp_path):
    text = _document("md", selection, tmp_path).decode()
    lines = text.splitlines()
    table = [line for line in lines if line.startswith("|")]
    cells = {line.replace(r"\|", "").count("|") for line in table}
    assert len(cells) == 1
    assert len(table) == 4
    assert "<script>" not in text
    assert r"a\|b\<script\>\`\$1" in text
    assert "max streams: 306 (confidence 99.6 %, by screening runs)" in text
    assert "Warning: synthetic weights" in text
    assert "### Damaged or missing" in text
    assert len(text) < 6000


def test_json_has_a_version_and_every_test(selection, tmp_path):
    data = json.loads(_document("json", selection, tmp_path))
    assert data["schema_version"] == 1
    by_title = {series["title"].split(" · ")[0]: series for series in data["series"]}
    answer = by_title["resnet"]["answers"][0]
    assert (answer["max_streams"], answer["rests_on"], answer["confidence"]) == (306, "certificate", 0.996)
    assert by_title["a|b<script>`$1"]["answers"][0]["rests_on"] == "tests"
    assert [test["samples_per_query"] for test in by_title["resnet"]["tests"]] == [306, 320]
    for test in by_title["resnet"]["tests"]:
        low, high = test["interval_ns"]
        assert low <= test["latency_at_percentile_ns"] <= high
        assert test["checks"]
        assert test["telemetry"]["gpu"] == "GPU of tests"
    assert data["environments"][0]["fingerprint"]["cpu"] == "CPU of tests"
    assert len(data["damaged"]) == 1


def test_csv_is_the_table_of_results(selection, tmp_path):
    rows = list(csv.DictReader(io.StringIO(_document("csv", selection, tmp_path).decode())))
    assert list(rows[0]) == [column.name for column in COLUMNS]
    assert sorted(int(row["samples_per_query"]) for row in rows) == [64, 306, 320, 400]


def test_png_is_a_picture_with_a_panel_for_each_series(selection, tmp_path):
    data = _document("png", selection, tmp_path)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width > 1.5 * height


def test_png_of_accuracy_alone_is_refused(records, tmp_path):
    records.accuracy()
    with pytest.raises(ConfigError, match="no performance test"):
        _document("png", records.selection(), tmp_path)


def test_formats_agree_on_every_answer(selection, tmp_path):
    answers = [
        answer["text"]
        for one in json.loads(_document("json", selection, tmp_path))["series"]
        for answer in one["answers"]
    ]
    page, text = (_document(form, selection, tmp_path).decode() for form in ("html", "md"))
    assert len(answers) == 2
    assert all(answer in page and answer in text for answer in answers)
