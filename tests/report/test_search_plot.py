"""The picture of a search: it is written for every kind of answer."""

import struct

import pytest

from sweep.report.panel import near_edge
from sweep.report.search_plot import panel_of, write_search_plot
from sweep.report.search_points import Kind

CASES = ("exact", "interval", "none_valid", "all_valid", "single", "failed")


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_answer_is_drawn(searches, tmp_path, case):
    path = tmp_path / f"{case}.png"
    write_search_plot(getattr(searches, case)(), path)
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width >= 900
    assert height >= 600
    assert len(data) > 10_000
    assert [entry.name for entry in path.parent.glob("*.tmp")] == []


def test_the_edge_has_a_panel_of_its_own_only_where_that_shows_more(searches):
    exact, single = searches.exact(), searches.single()
    near = near_edge(panel_of(exact))
    assert {306, 307} <= {point.samples_per_query for point in near}
    assert {point.kind for point in near} == {Kind.VALID, Kind.INVALID}
    assert near_edge(panel_of(single)) == ()


def test_a_picture_is_drawn_of_tests_whose_latencies_are_gone(searches, tmp_path):
    outcome = searches.interval()
    for test in outcome.tests:
        (test.outcome.stored.directory / "latencies_ns.npy").unlink()
    write_search_plot(outcome, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000
