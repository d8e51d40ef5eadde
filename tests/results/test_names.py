"""What `ls` prints, `show` finds; a word that could mean two things is never guessed at."""

import shutil

import pytest

from sweep.cli import main
from sweep.errors import ConfigError
from sweep.paths import OutputPaths
from sweep.results.names import attempt_name, find_named, short_name
from sweep.results.selection import select


@pytest.fixture
def some(three, searches):
    three.search(searches.single(), name="2026-01-02_00-00-00_search")
    three.add(searches.test(100))
    return three


def first(some):
    return next(one for one in select([some.root]).trials if one.result.attempt == 2)


def test_every_name_that_is_printed_is_found(some):
    for stored in select([some.root]).trials:
        assert find_named(attempt_name(stored.directory), [some.root]) == stored.directory
        assert find_named(short_name(stored.directory), [some.root]) == stored.directory
    for folder in (some.root / "sweeps").iterdir():
        assert find_named(folder.name, [some.root]) == folder
    certificate = some.root / "sweeps" / "2026-01-02_00-00-00_search" / "digits.json"
    assert find_named("2026-01-02_00-00-00_search/digits", [some.root]) == certificate


def test_a_link_that_leads_to_itself_keeps_nobody_from_the_others(some):
    (some.root / "sweeps" / "loop").symlink_to("loop")
    (some.root / "trials" / "loop").symlink_to("loop")
    stored = first(some)
    assert find_named(attempt_name(stored.directory), [some.root]) == stored.directory


@pytest.mark.parametrize("place", ["trials", "sweeps", "sweeps/2026-01-02_00-00-00_search"])
def test_what_is_a_link_to_itself_cannot_be_shown(some, capsys, monkeypatch, place):
    link = some.root / place / "aaa.json"
    link.symlink_to(link.name)
    monkeypatch.chdir(some.root.parent)
    assert main(["show", "aaa", some.root.name]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_leftovers_go_wherever_else_a_link_leads_to_itself(some):
    (some.root / "trials" / "aaa").symlink_to("aaa")
    (some.root / "sweeps" / "aaa").symlink_to("aaa")
    left = [folder / ".x.json.abc.tmp" for folder in (first(some).directory, next((some.root / "sweeps").glob("2*")))]
    for path in left:
        path.write_text("half")
    OutputPaths(some.root).remove_leftovers()
    assert not any(path.exists() for path in left)


def test_paths_mean_themselves(some):
    stored = first(some)
    assert find_named(str(stored.directory), []) == stored.directory
    assert find_named(f"{stored.directory.parent}/", []) == stored.directory.parent


def test_a_digest_or_the_beginning_of_a_name_is_enough(some):
    stored = first(some)
    trial = stored.directory.parent
    digest = stored.result.spec_digest
    for word in (digest[:7], digest[:12], digest, trial.name[:-3]):
        assert find_named(word, [some.root]) == trial
    assert find_named(f"{digest[:7]}/002", [some.root]) == stored.directory
    for places in ([some.root / "sweeps"], [some.root / "sweeps", some.root]):
        assert find_named("2026-01-01", places).name == "2026-01-01_00-00-00_grid"


def test_a_whole_name_wins_over_longer_ones(some):
    trial = first(some).directory.parent
    shutil.copytree(trial, trial.with_name(trial.name + "0"))
    assert find_named(trial.name, [some.root]) == trial


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("digits-fp32", "digits-fp32: means 4 results; choose one of: digits-fp32-simulated-n100-"),
        ("digits-fp32-simulatd-n100", "digits-fp32-simulatd-n100: no such result in "),
        ("zzz", "zzz: no such result in "),
        ("", "TRIAL=: is no name"),
        ("x" * 5000, "xxxx"),
    ],
)
def test_what_is_unclear_or_unknown_is_one_line_with_the_way_on(some, word, line):
    with pytest.raises(ConfigError) as caught:
        find_named(word, [some.root])
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_the_nearest_name_is_told(some):
    with pytest.raises(ConfigError, match="did you mean digits-fp32-simulated-n"):
        find_named(first(some).directory.parent.name.replace("simulated", "simulatd"), [some.root])


def test_an_attempt_that_is_not_there_is_told_with_those_that_are(some):
    with pytest.raises(ConfigError, match=r"no such attempt; there are: 001, 002"):
        find_named(f"{first(some).directory.parent.name}/007", [some.root])


def test_one_name_in_two_places_is_told_apart_by_paths(some, tmp_path):
    shutil.copytree(some.root, tmp_path / "copy")
    name = first(some).directory.parent.name
    with pytest.raises(ConfigError) as caught:
        find_named(name, [some.root, tmp_path / "copy"])
    assert str(some.root / "trials" / name) in str(caught.value)
    assert str(tmp_path / "copy" / "trials" / name) in str(caught.value)
    assert find_named(name, [some.root, some.root]) == some.root / "trials" / name
