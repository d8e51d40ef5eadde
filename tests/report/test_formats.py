"""Every format says the same, since all are made of one model."""

import csv
import io
import json
import re
import shutil
import struct
from html import unescape

import pytest
from markdown_it import MarkdownIt
from tests.report.records import damage

from sweep.errors import ConfigError
from sweep.report.markdown import escaped
from sweep.report.write import document
from sweep.results.filters import Filters, parse_filters
from sweep.results.selection import select
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
    return document(form, selection, [tmp_path], Filters(), tmp_path)


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


def test_markdown_has_no_markup_but_its_own(records, tmp_path):
    """What lands in the summary of a CI job is rendered there: a machine or an option must not bring pictures along."""
    evil = "<img src=http://e/x.png> ![a](http://e/y.png) <b>bold</b>\n# heading"
    records.trial(64, options={"x": evil}, machine={"cpu": evil})
    records.trial(400, options={"y": evil}, machine={"cpu": f"- 1. {evil}"}, notes=(evil,), failure=evil)
    selection = select([records.root], parse_filters([f"model!={evil}"]))
    text = document("md", selection, [tmp_path], parse_filters([f"model!={evil}"]), tmp_path).decode()
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert not {"img", "b", "a", "h1"} & set(re.findall(r"<(\w+)", html))
    assert html.count("&lt;b&gt;bold&lt;/b&gt; # heading") >= 5


@pytest.mark.parametrize("text", ["- x", "+ x", "1. x", "12) x", "# x", "> x", "| x |", "a\n- b", "[x](y)", "`x`"])
def test_text_stays_text_at_the_begin_of_a_list_item(text):
    rendered = MarkdownIt("commonmark").enable("table").render(f"- {escaped(text)}\n")
    assert unescape(rendered) == f"<ul>\n<li>{' '.join(text.split())}</li>\n</ul>\n"


def test_commands_count_what_they_measured_whatever_filters_let_pass(records, tmp_path):
    """A finished grid of two points must not read `1 of 2 points` because a filter hides one of them."""
    records.sweep([records.trial(64), records.trial(400)])
    filters = parse_filters(["result=VALID"])
    data = json.loads(document("json", select([records.root], filters), [tmp_path], filters, tmp_path))
    assert data["commands"][0]["done"] == data["commands"][0]["planned"] == 2
    assert "2 of 2 points" in document("html", select([records.root], filters), [tmp_path], filters, tmp_path).decode()


def test_searches_are_counted_as_searches(records, tmp_path):
    records.search([(records.trial(306), False)], max_streams=306, status=Status.OPEN)
    manifest = next(records.root.glob("sweeps/*/sweep.json"))
    named = {"planned": 2, "arguments": ["sweeps=max_streams_resnet_fp32"]}
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **named}))
    records.trial(8, model="mobilenet")
    for chosen in ((), ("model=mobilenet",)):
        selection = select([records.root], parse_filters(chosen))
        assert "1 of 2 searches" in _document("html", selection, tmp_path).decode()


def test_a_certificate_that_tests_contradict_says_so_in_every_format(records, tmp_path):
    tests = [(records.trial(n), False) for n in (306, 320)]
    records.search(tests, max_streams=306, first_invalid=320)
    records.trial(200, per_sample_ms=0.4)
    said = "contradicted by a test outside this search: N=200 INVALID"
    assert all(said in _document(form, records.selection(), tmp_path).decode() for form in ("html", "md", "json"))


def test_every_format_is_made_of_a_certificate_without_records(records, tmp_path):
    path = records.search([(records.trial(306), False)], max_streams=306, status=Status.OPEN)
    shutil.rmtree(records.root / "trials")
    said = "the records of its 1 test are gone"
    for form in ("html", "md", "json"):
        text = _document(form, select([path]), tmp_path).decode()
        assert said in text
        assert "max streams: 306" in text
