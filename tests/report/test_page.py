"""The page: nothing of a user becomes markup, nothing is asked of a network, nothing is left out silently."""

import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from sweep.report import build as build_module
from sweep.report import tables
from sweep.report.build import build
from sweep.report.figures import figures_of
from sweep.report.page import link, render_html
from sweep.vocabulary import RunClass, Weights

EVIL = """</script><script>alert("1")</script><img src=x onerror='a'>&amp;"""


class Page(HTMLParser):
    """Elements of a page with their attributes, and the text of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.text = [], [], []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._script = tag == "script"

    def handle_endtag(self, tag):
        self._script = False

    def handle_data(self, data):
        (self.scripts if self._script else self.text).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def _page(records, **options):
    return Page(render_html(build(records.selection(), **options), records.root))


def test_what_users_write_stays_text(records):
    for n in (64, 400):
        records.trial(n, model=EVIL, notes=(EVIL,), options={"flag": EVIL})
    records.trial(4096, model=EVIL, options={"flag": EVIL}, failure=EVIL)
    records.sweep([], arguments=(EVIL,))
    page = _page(records)
    assert page.all("img") == []
    assert not any("onerror" in attributes for _, attributes in page.elements)
    executed = [one for one in page.all("script") if one.get("type") != "application/json"]
    assert len(executed) == 2  # Plotly's and the page's own
    assert "".join(page.text).count('alert("1")') >= 4
    for script, attributes in zip(page.scripts, page.all("script"), strict=True):
        if attributes.get("type") == "application/json":
            assert json.loads(script)["data"]
            assert "<" not in script


def test_the_page_allows_its_own_scripts_alone_and_names_nothing_outside(records):
    records.trial(64)
    page = _page(records)
    policy = next(one["content"] for one in page.all("meta") if "http-equiv" in one)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert all("src" not in attributes for _, attributes in page.elements)
    addresses = [one["href"] for tag in ("a", "link") for one in page.all(tag)]
    assert addresses
    assert all(one.startswith(("#", "./", "data:,")) for one in addresses)


def test_every_fragment_leads_somewhere_and_headings_are_in_order(records):
    records.trial(64)
    records.trial(64, machine={"cpu": "another CPU"})
    records.accuracy()
    page = _page(records)
    names = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {one["href"][1:] for one in page.all("a") if one["href"].startswith("#")} <= names
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.all("html")[0]["lang"] == "en"


def test_every_plot_has_a_table_and_points_for_every_test(records):
    for n in (8, 64, 300, 320, 400):
        records.trial(n, gpu="GPU of tests")
    report = build(records.selection())
    (series,) = report.series
    figures = {figure.kind: figure for figure in figures_of(series)}
    assert set(figures) == {"latency", "edge", "distribution", "throughput", "energy", "gpu", "traces"}
    assert sum(len(trace["x"]) for trace in figures["latency"].data) == figures["latency"].points == 5
    page = Page(render_html(report, records.root))
    plots = [one for one in page.all("div") if one.get("class") == "plot"]
    assert [int(one["data-points"]) for one in plots] == [figure.points for figure in figures.values()]
    assert all(one["tabindex"] == "0" and "arrow keys" in one["aria-label"] for one in plots)
    assert page.elements.count(("figure", {"class": "card latency", "aria-labelledby": "s1-latency-title"})) == 1
    assert len(page.all("table")) >= len(plots)


def test_nothing_of_a_gpu_is_shown_where_there_was_none(records):
    records.trial(64)
    (series,) = build(records.selection()).series
    assert {figure.kind for figure in figures_of(series)} == {"latency", "distribution", "throughput"}


def test_a_test_without_a_latency_is_drawn_at_the_top(records):
    records.trial(64)
    records.trial(4096, failure="out of memory")
    (series,) = build(records.selection()).series
    failed = [trace for trace in figures_of(series)[0].data if trace["name"] == "FAILED"]
    assert [trace["yaxis"] for trace in failed] == ["y2"]
    assert "out of memory" in failed[0]["hovertext"][0]


def test_a_stopped_test_says_so_wherever_its_percentile_is_shown(records):
    records.trial(64)
    records.trial(400, stopped=True)
    (series,) = build(records.selection()).series
    stopped = next(trace for trace in figures_of(series)[0].data if "stopped" in trace["name"])
    assert "until the stop" in stopped["hovertext"][0]
    assert "until the stop" in tables.tests_table(series, lambda _: "").note


@pytest.mark.parametrize("run_class", [RunClass.QUICK, RunClass.SCREENING, RunClass.CUSTOM])
def test_a_short_run_is_never_shown_as_official(records, run_class):
    records.trial(64, run_class=run_class)
    text = "".join(_page(records).text)
    assert f"{run_class} runs, not official" in text
    assert "official runs" not in text.replace("not official", "")


def test_warnings_stand_beside_the_answer_and_its_section(records):
    records.trial(8, backend="simulated", weights=Weights.NONE)
    records.trial(8)
    page = _page(records)
    warned = [one for one in page.all("p") if one.get("class") == "warning"]
    assert len(warned) == 2
    assert "simulated engine" in "".join(page.text)


def test_logs_that_are_gone_are_named(records):
    stored = records.trial(64)
    (stored.directory / "mlperf_log_detail.txt").unlink()
    assert "folder (mlperf_log_detail.txt gone)" in "".join(_page(records).text)


def test_links_lead_from_the_page_to_the_record(records):
    stored = records.trial(64)
    page = _page(records)
    wanted = link(records.root, stored.directory)
    assert wanted in {one["href"] for one in page.all("a")}
    assert (records.root / wanted).resolve() == stored.directory.resolve()


def test_a_name_that_looks_like_a_scheme_or_holds_signs_is_still_a_relative_link(tmp_path):
    assert link(tmp_path, tmp_path / "javascript:alert(1)#?") == "./javascript%3Aalert%281%29%23%3F"
    assert link(tmp_path / "a", Path(tmp_path / "b")) == "./../b"


def test_what_is_too_much_is_left_out_and_said(records, monkeypatch):
    monkeypatch.setattr(tables, "ALL_LISTED", 3)
    monkeypatch.setattr(tables, "TESTS_LISTED", 2)
    monkeypatch.setattr(build_module, "SERIES_SHOWN", 1)
    for n in (8, 16, 32):
        records.trial(n)
    records.trial(8, model="mobilenet")
    text = "".join(_page(records).text)
    assert "The first 3 of 4 tests: --format csv and --format json have all." in text
    assert "1 more series are in the table below alone" in text
    assert "mobilenet" in text


def test_an_accuracy_test_alone_makes_a_page_without_plots(records):
    records.accuracy(76.4)
    page = _page(records)
    assert len(page.all("script")) == 1  # no Plotly
    assert "76.400" in page.text


def test_series_of_two_machines_have_two_names_everywhere(records):
    """In cards, headings and the list of sections alike: whoever reads one of them must know which machine it is."""
    for n in (8, 400):
        records.trial(n)
        records.trial(n, machine={"cpu": "another CPU"})
    page = _page(records)
    shown = "\n".join(page.text)
    names = [f"resnet · fp32 · onnxruntime · environment {letter}" for letter in "AB"]
    assert [shown.count(name) for name in names] == [3, 3]
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", render_html(build(records.selection()), records.root))
    assert len(set(headings)) == len(headings)


def test_a_certificate_without_records_has_a_card_and_a_section(records):
    for n in (306, 320):
        tests = [(records.trial(n, model=model), False) for model in ("resnet", "mobilenet")]
    for number, test in enumerate(tests):
        records.search([test], f"2026-11-2{number}", max_streams=306, first_invalid=320)
    shutil.rmtree(records.root / "trials")
    page = _page(records)
    warned = [one for one in page.all("p") if one.get("class") == "warning"]
    assert len(warned) == 4  # two series, each in its card and its section
    sections = {one["id"] for one in page.all("section")}
    assert {one["href"][1:] for one in page.all("a") if re.fullmatch(r"#s\d+", one["href"])} <= sections
