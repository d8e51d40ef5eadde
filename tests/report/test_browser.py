"""The page of a real search and a real grid, in a real browser: it draws, speaks, fits, and asks nobody anything."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from sweep.report.build import build
from sweep.report.figures import figures_of
from sweep.results.selection import select

SEARCH = ["search=max_streams", "search.max=256", "search.budget.tests=6", "target_latency_ms=1000"]
GRID = ["-m", "batch=1,4"]

DRAW = """
const done = arguments[0];
(async () => {
  for (const plot of document.querySelectorAll(".plot")) {
    plot.scrollIntoView();
    for (let turn = 0; turn < 200 && !plot.querySelector(".main-svg"); turn += 1) {
      await new Promise((again) => setTimeout(again, 25));
    }
  }
  done(true);
})();
"""


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """An output folder with a search and a grid of digits that this machine has just run, and the report on it."""
    folder = tmp_path_factory.mktemp("measured")

    def run(*arguments):
        command = [sys.executable, "-m", "sweep", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    run("model=digits", "run=quick", *SEARCH)  # with a bound that others on the machine do not reach
    run("model=digits", "run=quick", "backend.threads=1", *GRID)
    run("report")
    return folder / "outputs"


@dataclass(frozen=True)
class Opened:
    """A browser with the report, and what it had to say while that was opened and drawn."""

    browser: object
    complaints: list
    requests: set


@pytest.fixture(scope="session")
def opened(browser, measured):
    _resize(browser, 1200)
    _scheme(browser, "light")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get((measured / "report.html").as_uri())
    browser.set_script_timeout(60)
    assert browser.execute_async_script(DRAW)
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = {one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"}
    return Opened(browser, [one for one in browser.get_log("browser") if one["level"] != "INFO"], sent)


@pytest.fixture
def page(opened):
    """The report, 1200 pixels wide, light, all plots drawn."""
    _resize(opened.browser, 1200)
    _scheme(opened.browser, "light")
    opened.browser.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
    return opened.browser


def _resize(browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def _scheme(browser, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def _until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_every_plot_is_drawn_with_as_many_points_as_there_are(page, measured):
    expected = {}
    for series in build(select([measured])).series:
        for figure in figures_of(series):
            expected[f"{series.name}-{figure.kind}"] = figure.points
    counted = page.execute_script("""
      return Object.fromEntries([...document.querySelectorAll(".plot")].map((plot) => [plot.id, [
        plot.data.reduce((sum, trace) => sum + trace.x.length, 0),
        plot.querySelectorAll(".scatterlayer .trace .points path.point").length]]));
    """)
    assert len(expected) >= 5
    assert {name: points for name, (points, _) in counted.items()} == expected
    for name, (points, marks) in counted.items():
        if not name.endswith("distribution"):  # whose lines have a mark here and there
            assert marks == points, name


def test_nothing_is_asked_of_a_network_and_nothing_goes_wrong(opened, measured):
    assert opened.complaints == []
    assert {url for url in opened.requests if not url.startswith(("data:", "blob:", "chrome:"))} == {
        (measured / "report.html").as_uri()
    }


def test_the_keyboard_walks_every_point_and_each_is_spoken(page):
    from selenium.webdriver.common.keys import Keys

    plot = page.find_element("css selector", ".plot[data-walk=x]")
    live = plot.find_element("xpath", "../p[@aria-live]")
    count = int(plot.get_attribute("data-points"))
    page.execute_script("arguments[0].focus()", plot)
    spoken = []
    for _ in range(count):
        plot.send_keys(Keys.ARROW_RIGHT)
        spoken.append(live.text)
    assert [text.partition(":")[0] for text in spoken] == [f"{at} of {count}" for at in range(1, count + 1)]
    streams = [int(text.partition("N=")[2].partition(":")[0]) for text in spoken]
    assert streams == sorted(streams)
    assert all("queries" in text for text in spoken)
    assert page.execute_script("return arguments[0].querySelectorAll('.hoverlayer .hovertext').length", plot) == 1
    plot.send_keys(Keys.HOME)
    assert live.text == spoken[0]
    plot.send_keys(Keys.ESCAPE)
    assert live.text == ""


def test_arrow_keys_go_from_curve_to_curve(page):
    from selenium.webdriver.common.keys import Keys

    plot = page.find_element("css selector", ".plot[data-walk=curve]")
    live = plot.find_element("xpath", "../p[@aria-live]")
    page.execute_script("arguments[0].focus()", plot)
    plot.send_keys(Keys.ARROW_RIGHT)
    first = live.text
    plot.send_keys(Keys.ARROW_DOWN)
    second = live.text
    assert first.partition("N=")[2].partition(";")[0] != second.partition("N=")[2].partition(";")[0]


@pytest.mark.parametrize("width", [360, 1400])
def test_the_page_never_scrolls_sideways(page, width):
    _resize(page, width)
    page.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    fits = "return document.documentElement.scrollWidth <= innerWidth"
    assert _until(lambda: page.execute_script(fits))
    boxes = """return [...document.querySelectorAll(".plot .main-svg")]
      .every((one) => one.getBoundingClientRect().right <= innerWidth + 1)"""
    assert _until(lambda: page.execute_script(boxes))


def test_plots_follow_the_scheme_of_the_reader(page):
    state = """
      const plot = document.querySelector(".plot");
      return [getComputedStyle(document.body).backgroundColor,
        plot.querySelector(".main-svg").style.background,
        getComputedStyle(plot.querySelector(".xtick text")).fill,
        getComputedStyle(plot.querySelector("path.point")).fill];
    """
    light = page.execute_script(state)
    _scheme(page, "dark")
    assert _until(lambda: all(a != b for a, b in zip(page.execute_script(state), light, strict=True)))
    _scheme(page, "light")
    assert _until(lambda: page.execute_script(state) == light)


def test_without_javascript_the_figures_are_there(page, measured):
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.get((measured / "report.html").as_uri())
        tables = page.find_elements("css selector", "figure table")
        assert len(tables) >= 5
        page.find_element("css selector", "figure summary").send_keys("\n")  # no script opens it
        assert "VALID" in page.find_element("css selector", "figure table tbody").text
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_first_key_skips_to_the_answers(page, measured):
    """The last ones here: they open the page anew."""
    from selenium.webdriver.common.keys import Keys

    page.get((measured / "report.html").as_uri())
    page.find_element("css selector", "body").send_keys(Keys.TAB)
    focused = page.switch_to.active_element
    assert focused.get_attribute("href").endswith("#answers")
    assert focused.rect["x"] >= 0
