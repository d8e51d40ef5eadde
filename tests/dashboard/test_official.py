"""Official results: all of them, under names and bounds that are comparable."""

from collections import Counter

import pytest

from sweep.dashboard.benchmarks import bound_ns, compared_as
from sweep.dashboard.official import official_points
from sweep.dashboard.table import COLUMNS, row_of, to_csv, to_json
from sweep.dashboard.view import card_of


def test_all_official_results_ship():
    points = official_points()
    assert Counter(point.round for point in points) == {"v0.5": 127, "v0.7": 28, "v1.0": 22}
    assert Counter(point.scenario for point in points)["MultiStream"] == 70
    assert {point.verdict for point in points} == {"VALID"}


def test_one_of_them_is_as_it_was_published():
    found = [p for p in official_points() if p.system_id == "T4x8" and p.scenario == "MultiStream"]
    (point,) = [p for p in found if p.benchmark == "resnet"]
    assert (point.value, point.samples_per_query, point.p99_ns) == (1920.0, 1920, 46439806)
    assert (point.accelerators, point.per_accelerator) == (8, 240.0)
    assert point.margin_percent == pytest.approx(7.120388)
    assert point.notes == ""


@pytest.mark.parametrize(
    ("benchmark", "name", "bound_ms"),
    [
        ("resnet50", "resnet", 50),
        ("resnet", "resnet", 50),
        ("mobilenet", "mobilenet", 50),
        ("ssd-mobilenet", "ssd-small", 50),
        ("ssd-resnet34", "ssd-large", 66),
        ("gnmt", "gnmt", 100),
        ("bert-99", "bert-99", None),
    ],
)
def test_names_of_all_rounds_are_compared_and_bounded(benchmark, name, bound_ms):
    assert compared_as(benchmark) == name
    assert bound_ns(benchmark, "MultiStream", "samples_per_query") == (bound_ms and bound_ms * 1_000_000)
    assert bound_ns(benchmark, "MultiStream", "p99_latency_ns") is None
    assert bound_ns(benchmark, "Server", "samples_per_query") is None


def test_every_multistream_result_has_a_margin_and_one_over_its_bound_says_so():
    streams = [point for point in official_points() if point.scenario == "MultiStream"]
    assert all(point.margin_percent is not None for point in streams)
    over = [point for point in streams if point.margin_percent < 0]
    assert [(point.system_id, point.benchmark) for point in over] == [("Goya_1", "ssd-large")]
    assert "over the bound" in over[0].notes


def test_one_card_has_one_name_whoever_wrote_it(point):
    names = ("Tesla T4", "NVIDIA Tesla T4", "Nvidia Tesla T4", "NVIDIA T4", "T4")
    assert {card_of(point(accelerator=name)) for name in names} == {"T4"}
    assert card_of(point(accelerator="")) == "none, or not known"


def test_a_latency_is_not_shared_out_and_unknown_margins_are_none(point):
    latency = point(metric="p90_latency_ns", value=1e6, bound_ns=None)
    assert (latency.per_accelerator, latency.margin_percent) == (None, None)
    assert point(accelerators=0).per_accelerator is None
    assert point(p99_ns=55_000_000).margin_percent == pytest.approx(-10)


def test_csv_and_json_hold_every_column_of_every_point(point):
    import csv
    import io
    import json

    points = [point(system='A "system", with ☃\nand more', p99_ns=None), point(value=0.1234567891)]
    rows = list(csv.DictReader(io.StringIO(to_csv(points).decode(), newline="")))
    assert list(rows[0]) == [column.name for column in COLUMNS]
    assert rows[0]["system"] == points[0].system
    assert (rows[0]["value"], rows[0]["p99_ns"], rows[0]["per_accelerator"]) == ("1088", "", "272")
    document = json.loads(to_json(points))
    assert document["schema_version"] == 1
    assert document["points"] == [row_of(one) for one in points]
    assert document["points"][1]["value"] == 0.123457
