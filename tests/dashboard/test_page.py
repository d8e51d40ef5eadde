"""The page of the dashboard: nothing of a user becomes markup, nothing is asked of a network, nothing is left out."""

import json

from tests.report.test_page import Page

from sweep.dashboard.official import official_points
from sweep.dashboard.page import render_dashboard
from sweep.dashboard.points import Source

EVIL = """</script><script>alert("1")</script><img src=x onerror='a'>&amp;"""


def _page(points, **options):
    return Page(render_dashboard(points, "from tests", **options))


def test_what_submitters_and_users_write_stays_text(point):
    words = ("round", "division", "submitter", "system_id", "system", "accelerator", "processor", "software")
    evil = dict.fromkeys((*words, "benchmark", "scenario", "precision", "run_class", "notes"), EVIL)
    page = _page([point(source=Source.TREE, **evil)], unread=[EVIL])
    assert page.all("img") == []
    assert not any("onerror" in attributes for _, attributes in page.elements)
    executed = [one for one in page.all("script") if one.get("type") != "application/json"]
    assert len(executed) == 2  # Plotly's and the page's own
    assert "".join(page.text).count('alert("1")') >= len(words)
    data = page.scripts[0]
    assert "<" not in data
    assert EVIL in json.loads(data)["points"][0]["row"]["system"]
    assert "<img" not in json.loads(data)["points"][0]["hover"]


def test_the_page_allows_its_own_scripts_alone_and_names_nothing_outside(point):
    page = _page([point()])
    policy = next(one["content"] for one in page.all("meta") if "http-equiv" in one)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert all("src" not in attributes for _, attributes in page.elements)
    addresses = [one["href"] for tag in ("a", "link") for one in page.all(tag)]
    assert addresses
    assert all(one.startswith(("#", "data:,")) for one in addresses)


def test_without_scripts_every_result_is_in_the_table():
    page = _page(official_points())
    assert len(page.all("tr")) == 178
    text = "".join(page.text)
    assert "NVIDIA Jetson AGX Xavier 32GB (TensorRT)" in text
    assert "47.74" in text  # its p99 in ms
    assert "resnet50" in text


def test_every_input_has_a_label_and_every_heading_a_scope():
    html = render_dashboard(official_points(), "from tests")
    page = Page(html)
    assert html.count('<label class="pick"><input') == len(page.all("input")) > 50
    assert all(one["scope"] == "col" for one in page.all("th"))
    assert html.count("<legend>") == len(page.all("fieldset"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {one["href"][1:] for one in page.all("a")} <= set(ids)


def test_metrics_of_scenarios_are_never_of_one_measure(point):
    latency = point(metric="p99_latency_ns", value=3e6)
    page = _page([point(), latency, point(scenario="Offline", metric="samples_per_second")])
    picks = [one["value"] for one in page.all("input") if one.get("name") == "show"]
    assert picks == ["MultiStream/samples_per_query", "MultiStream/p99_latency_ns", "Offline/samples_per_second"]
    data = json.loads(page.scripts[0])
    assert {one["measure"]: one["value"] for one in data["points"]}["MultiStream/p99_latency_ns"] == 3.0


def test_what_could_not_be_read_is_on_the_page(point):
    page = _page([point()], unread=["some/result.json: damaged"])
    assert "some/result.json: damaged" in "".join(page.text)
