"""Results to report on, and a browser to look at the page."""

import os
import shutil

import pytest
from tests.report.records import Records


@pytest.fixture
def records(tmp_path):
    """An empty output folder and what writes results into it."""
    return Records(tmp_path / "outputs")


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A real Chromium without a window; skipped where there is none, unless SWEEP_REQUIRE_BROWSER=1."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        reason = "no chromium (or google-chrome) with chromedriver on PATH"
        if os.environ.get("SWEEP_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        f"user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With both paths given, Selenium looks for nothing and downloads nothing.
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()
