"""Every attempt, command and search is found once, from whichever place one begins."""

import shutil

import pytest

from sweep.errors import ConfigError
from sweep.results.filters import parse_filters
from sweep.results.selection import select
from sweep.store.records import Store


@pytest.fixture
def full(three, searches):
    three.search(searches.single(), name="2026-01-02_00-00-00_search")
    three.add(searches.test(100))  # measured again
    return three


def counts(selection):
    return len(selection.trials), len(selection.sweeps), len(selection.searches), len(selection.damaged)


def test_each_place_gives_what_lies_in_it(full):
    root = full.root
    grid, search = (root / "sweeps" / name for name in ("2026-01-01_00-00-00_grid", "2026-01-02_00-00-00_search"))
    again = next(path for path in root.glob("trials/*/002"))
    assert counts(select([root])) == (5, 2, 1, 0)
    assert counts(select([root / "trials"])) == (5, 0, 0, 0)
    assert counts(select([root / "sweeps"])) == (4, 2, 1, 0)
    assert counts(select([grid])) == counts(select([grid / "sweep.json"])) == (3, 1, 0, 0)
    assert counts(select([search])) == (1, 1, 1, 0)
    assert counts(select([search / "digits.json"])) == (1, 0, 1, 0)
    assert counts(select([again])) == counts(select([again / "result.json"])) == (1, 0, 0, 0)
    assert counts(select([again.parent])) == (2, 0, 0, 0)


def test_what_is_found_twice_counts_once(full, tmp_path, monkeypatch):
    link = tmp_path / "link"
    link.symlink_to(full.root)
    monkeypatch.chdir(full.root.parent)
    places = [full.root, link, link / "trials", "outputs/sweeps"]
    assert counts(select([type(full.root)(place) for place in places])) == (5, 2, 1, 0)


def test_attempts_come_in_the_order_in_which_they_were_started(full):
    started = [one.result.timing.started_at for one in select([full.root]).trials]
    assert started == sorted(started)


def test_a_folder_that_was_moved_keeps_its_commands_whole(full, tmp_path):
    moved = full.root.rename(tmp_path / "moved")
    selection = select([moved])
    assert counts(selection) == (5, 2, 1, 0)
    assert all(str(one.directory).startswith(str(moved)) for one in selection.trials)


def test_filters_hold_for_commands_and_searches_too(full):
    selection = select([full.root], parse_filters(["result=INVALID"]))
    assert [one.result.spec.samples_per_query for one in selection.trials] == [400]
    assert [len(command.trials) for command in selection.sweeps] == [1, 0]
    assert counts(select([full.root], parse_filters(["model=resnet"]))) == (0, 2, 0, 0)


def test_what_is_unfinished_is_neither_found_nor_damaged(full, simulated):
    Store(full.root).begin(simulated(), "e" * 64)
    assert counts(select([full.root])) == (5, 2, 1, 0)


def test_places_without_results_are_all_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError) as caught:
        select([tmp_path / "empty", tmp_path / "none"])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{tmp_path / 'empty'}: holds no results of sweep")
    assert lines[1].startswith(f"{tmp_path / 'none'}: does not exist")


def test_a_search_gives_its_outcome_back(outputs, searches):
    outcome = searches.exact()
    folder = outputs.search(outcome)
    (record,) = select([folder / "digits.json"]).searches
    again = record.outcome()
    assert (again.plan, again.certificate, again.notes) == (outcome.plan, outcome.certificate, outcome.notes)
    assert [test.ask for test in again.tests] == [test.ask for test in outcome.tests]
    assert again.directory == folder
    shutil.rmtree(record.tests[0].directory)
    (record,) = select([folder / "digits.json"]).searches
    assert len(record.outcome().tests) == len(outcome.tests) - 1
