"""The dashboard in a real browser: its filters change plots, counts, table and file alike, and nobody is asked."""

import csv
import io
import json
import time
from dataclasses import replace

import pytest

from sweep.dashboard.official import official_points
from sweep.dashboard.page import render_dashboard
from sweep.dashboard.points import Source
from sweep.dashboard.table import to_csv

STREAMS = [point for point in official_points() if point.scenario == "MultiStream"]
OWN = replace(
    STREAMS[0],
    source=Source.OWN,
    round="v0.5 rules",
    division="",
    submitter="",
    system="My <GPU> & me",
    accelerator="NVIDIA GeForce GTX 1080",
    precision="fp32",
    run_class="screening",
    value=31.0,
    samples_per_query=31,
    p99_ns=49_000_000,
    notes="screening run, not official: 1440 queries",
)
ALL = [*official_points(), OWN]

PLOTTED = """
  return Object.fromEntries([...document.querySelectorAll(".plot")].map((plot) => [plot.dataset.benchmark,
    plot.data.flatMap((trace) => trace.x.map((x, at) => [trace.y[at], x]))
      .sort((a, b) => a[0] - b[0]).map((pair) => pair[1])]));
"""
ROWS = """return [...document.querySelectorAll("#table tbody tr")].filter((row) => !row.hidden)
  .map((row) => [...row.cells].map((cell) => cell.textContent));"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("dashboard") / "dashboard.html"
    path.write_text(render_dashboard(ALL, "177 official, 1 own"), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser, address):
    _resize(browser, 1200)
    _scheme(browser, "light")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get("about:blank")
    browser.get(address)
    yield browser
    assert [one for one in browser.get_log("browser") if one["level"] != "INFO"] == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = {one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"}
    assert {url.partition("#")[0] for url in sent if url.startswith(("http", "file", "ws"))} <= {address}


def _resize(browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def _pick(page, name, value):
    (found,) = [
        one
        for one in page.find_elements("css selector", f'input[name="{name}"]')
        if one.get_attribute("value") == value
    ]
    found.click()


def _count(page):
    return page.find_element("id", "count").text


def _until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_the_official_multistream_results_and_ones_own_are_drawn_best_first(page):
    assert _count(page) == "71 of 71 points"
    plotted = page.execute_script(PLOTTED)
    titles = [one.text.partition(" ")[0] for one in page.find_elements("css selector", "figure h3")]
    assert titles == ["resnet", "mobilenet", "ssd-small", "ssd-large"]
    assert set(plotted) == set(titles)
    names = {"resnet50": "resnet", "ssd-mobilenet": "ssd-small", "ssd-resnet34": "ssd-large"}
    for benchmark, values in plotted.items():
        wanted = [p.value for p in [*STREAMS, OWN] if names.get(p.benchmark, p.benchmark) == benchmark]
        assert values == sorted(wanted, reverse=True)
    marks = page.execute_script("return document.querySelectorAll('.scatterlayer path.point').length")
    assert marks == len(page.execute_script(ROWS)) == 71
    trace = page.execute_script(
        """return document.querySelector(".plot").data.find((one) => one.name === "own-short")"""
    )
    assert trace["marker"]["symbol"] == "diamond-open"
    assert trace["x"] == [31]


def test_filters_by_click_change_plots_table_counts_and_address(page):
    _pick(page, "benchmark", "resnet")
    _pick(page, "round", "v0.7")
    assert _count(page) == "11 of 71 points"  # one's own stays in view
    assert list(page.execute_script(PLOTTED)) == ["resnet"]
    rows = page.execute_script(ROWS)
    assert len(rows) == 11
    assert {row[12] for row in rows} == {"v0.7", "v0.5 rules"}
    _pick(page, "submitter", "Lenovo")
    _pick(page, "mine", "kept")
    assert _count(page) == "1 of 71 points"
    assert page.execute_script(PLOTTED) == {"resnet": [272]}
    shown = page.find_element("css selector", 'input[name="submitter"][value="NVIDIA"] + span .count').text
    assert shown == "8"
    address = page.current_url
    assert "submitter=Lenovo" in address
    page.get("about:blank")
    page.get(address)  # a view can be kept
    assert _count(page) == "1 of 71 points"
    page.find_element("id", "reset").click()
    assert _count(page) == "71 of 71 points"
    assert "submitter" not in page.current_url


def test_accelerators_by_one_name_and_results_per_accelerator(page):
    _pick(page, "accelerator", "T4")
    _pick(page, "mine", "kept")
    assert _count(page) == "16 of 71 points"
    assert max(page.execute_script(PLOTTED)["resnet"]) == 1920
    _pick(page, "per", "accelerator")
    assert page.execute_script(PLOTTED)["resnet"] == [272, 272, 264, 262, 240]
    title = page.execute_script("return document.querySelector('.plot').layout.xaxis.title.text")
    assert title == "samples per query per accelerator"
    _pick(page, "scale", "linear")
    assert page.execute_script("return document.querySelector('.plot').layout.xaxis.range[0]") == 0


def test_another_scenario_is_another_plot(page):
    _pick(page, "show", "SingleStream/p90_latency_ns")
    assert _count(page) == "30 of 30 points; lower is better"
    values = page.execute_script(PLOTTED)["resnet"]
    assert values == sorted(values)
    assert not page.find_element("css selector", 'input[name="per"]').is_enabled()


def test_a_mark_says_everything_of_its_result(page):
    (text,) = [
        text
        for text in page.execute_script("""return [...document.querySelectorAll(".plot")].flatMap((plot) =>
          plot.data.flatMap((trace) => trace.hovertext))""")
        if text.startswith("Supermicro 4029GP-TRT-OTO-28 8xT4 (T4x8)") and "mobilenet" in text
    ]
    for words in (
        "official · NVIDIA · v0.5 · closed",
        "mobilenet MultiStream: 6,320 samples per query",
        "790 per accelerator",
        "p99 45.66 ms, 8.7 % below the bound of 50 ms",
        "8 x NVIDIA Tesla T4",
        "TensorRT 6.0",
    ):
        assert words in text.replace("<br>", " ")


def test_the_keyboard_reaches_every_result_and_hover_shows_its_words(page):
    from selenium.webdriver.common.keys import Keys

    _pick(page, "benchmark", "resnet")
    plot = page.find_element("css selector", ".plot")
    live = plot.find_element("xpath", "../p[@aria-live]")
    page.execute_script("arguments[0].focus()", plot)
    plot.send_keys(Keys.ARROW_DOWN)
    assert live.text.startswith("1 of 26: alibaba_HanGuang")
    plot.send_keys(Keys.END, Keys.ARROW_UP)
    assert live.text.startswith("25 of 26: My <GPU> & me")
    shown = "return [...document.querySelectorAll('.hoverlayer .hovertext')].map((one) => one.textContent).join()"
    assert _until(lambda: "screening run, not official" in page.execute_script(shown))
    assert "2.0 % below the bound of 50 ms" in page.execute_script(shown)


def test_the_table_is_sorted_by_its_headings(page):
    heading = page.find_element("css selector", 'th[data-key="p99_ns"]')
    for order, way in ((sorted, "ascending"), (lambda values: sorted(values, reverse=True), "descending")):
        while heading.get_attribute("aria-sort") != way:
            heading.find_element("css selector", "button").click()
        values = [float(row[7]) for row in page.execute_script(ROWS)]
        assert values == order(values)
    assert "sort=-p99_ns" in page.current_url


def test_the_file_holds_exactly_what_is_shown(page, tmp_path):
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    _pick(page, "benchmark", "ssd-large")
    _pick(page, "round", "v1.0")
    page.find_element("id", "download").click()
    path = tmp_path / "dashboard.csv"
    assert _until(path.exists)
    wanted = [p for p in STREAMS if p.benchmark == "ssd-resnet34" and p.round == "v1.0"]

    def rows(data):
        return sorted(map(tuple, csv.reader(io.StringIO(data.decode(), newline=""))))

    assert rows(path.read_bytes()) == rows(to_csv(wanted))


@pytest.mark.parametrize("width", [360, 1400])
def test_the_page_never_scrolls_sideways_and_no_label_is_cut_off(page, width):
    _resize(page, width)
    assert _until(lambda: page.execute_script("return document.documentElement.scrollWidth <= innerWidth"))
    inside = """return [...document.querySelectorAll(".plot")].every((plot) => {
      const box = plot.getBoundingClientRect();
      return [...plot.querySelectorAll(".textpoint text, .ytick text, .annotation text")].every((one) => {
        const own = one.getBoundingClientRect();
        return own.left >= box.left - 1 && own.right <= box.right + 1;
      });
    })"""
    assert _until(lambda: page.execute_script(inside))


def test_plots_follow_the_scheme_of_the_reader(page):
    colour = "return getComputedStyle(document.querySelector('.plot path.point')).fill"
    light = page.execute_script(colour)
    _scheme(page, "dark")
    try:
        assert _until(lambda: page.execute_script(colour) != light)
    finally:
        _scheme(page, "light")


def _scheme(browser, scheme):
    # Without smooth scrolling, which a click would not wait for.
    reduced = {"name": "prefers-reduced-motion", "value": "reduce"}
    features = [{"name": "prefers-color-scheme", "value": scheme}, reduced]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
