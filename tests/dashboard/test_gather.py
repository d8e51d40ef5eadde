"""Results of several places on one page: each once, and no two systems look like one."""

import pytest

from sweep.dashboard.gather import each_once, told_apart
from sweep.dashboard.page import render_dashboard
from sweep.dashboard.points import Source
from sweep.dashboard.view import plain


def test_a_result_that_ships_and_lies_in_a_tree_is_shown_once(point):
    tree = point(source=Source.TREE, benchmark="resnet", accuracy_percent=76.4, link="tree/run_1")
    (shown,) = each_once([point()], [[tree], [tree]])
    assert (shown.source, shown.value) == (Source.OFFICIAL, 1088.0)
    assert (shown.accuracy_percent, shown.link) == (76.4, "tree/run_1")


@pytest.mark.parametrize(
    "change",
    [
        {"round": "v1.0"},
        {"division": "open"},
        {"submitter": "Another"},
        {"system_id": "T4x4_MIG"},
        {"benchmark": "ssd-small"},
        {"scenario": "Offline"},
    ],
)
def test_another_result_is_another(point, change):
    other = point(source=Source.TREE, notes="not checked", **change)
    assert each_once([point()], [[other]]) == [point(), other]


@pytest.mark.parametrize("change", [{"value": 1089.0}, {"verdict": "INVALID"}])
def test_a_tree_that_says_something_else_than_was_published_is_shown_with_both(point, change):
    official, tree = each_once([point()], [[point(source=Source.TREE, notes="not checked", **change)]])
    assert official == point()
    assert tree.notes == "the official results: 1088 samples per query VALID; not checked"


def test_two_results_of_one_tree_stay_two(point):
    """A round's own name and an alias of it may both be there."""
    both = [point(source=Source.TREE), point(source=Source.TREE, benchmark="resnet")]
    assert each_once([], [both]) == both


@pytest.mark.parametrize(
    ("changes", "apart"),
    [
        ([{"submitter": "One"}, {"submitter": "Two"}], ["One", "Two"]),
        ([{"division": "closed"}, {"division": "open"}], ["closed", "open"]),
        ([{"system_id": "T4x4"}, {"system_id": "T4x4_MIG"}], ["T4x4", "T4x4_MIG"]),
        ([{"system_id": "a", "submitter": "One"}, {"system_id": "b", "submitter": "Two"}], ["One", "Two"]),
        ([{}, {"division": "open"}, {"submitter": "Two"}], ["Somebody, closed", "Somebody, open", "Two, closed"]),
        ([{}, {"benchmark": "ssd-small"}], ["", ""]),
        ([{}, {"round": "v1.0"}], ["", ""]),
        ([{"system": "One"}, {"system": "Two", "submitter": "Two"}], ["", ""]),
    ],
)
def test_systems_of_one_name_are_told_apart_by_as_little_as_does_it(point, changes, apart):
    points = told_apart([point(**change) for change in changes])
    assert [one.apart for one in points] == apart


def test_the_page_has_no_two_systems_that_look_alike(point):
    html = render_dashboard([point(), point(system_id="T4x4_MIG")], "")
    assert "A server (4x T4) · T4x4_MIG</td>" in html
    shown = told_apart([point(), point(system_id="T4x4_MIG")])
    assert len({plain(one)["label"] + plain(one)["more"] for one in shown}) == 2
