"""Lists on terminals of any width: nothing is cut that identifies a row, and what goes first is worth least."""

import datetime as dt
import io

import pytest
from rich.console import Console
from tests.points import Outputs

from sweep.results.selection import select
from sweep.terminal.listing import age_text, show_certificates, show_sweeps, show_trials, started_text
from sweep.trial.machine_load import BUSY
from sweep.trial.telemetry import SHARED, THROTTLED

NOW = dt.datetime(2026, 1, 3, 6, tzinfo=dt.UTC)


@pytest.fixture
def selection(tmp_path, searches):
    outputs = Outputs(tmp_path / "outputs")
    noted = searches.test(100, notes=(f"{BUSY}: by others", f"{THROTTLED}: heat", "synthetic weights"))
    outputs.grid([noted, searches.test(200, notes=(f"{SHARED}: with one",))], arguments=("a=b", "c=" + "x " * 90))
    outputs.search(searches.single(label={"model": "digits"}), name="2026-01-02_00-00-00_search")
    return select([outputs.root])


def shown(show, what, width, terminal=True, **options):
    out = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, soft_wrap=True)
    show(out, what, **options)
    return out.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [30, 50, 60, 80, 100, 120, 160, 240])
def test_at_any_width_rows_stay_lines_and_names_and_verdicts_whole(selection, width):
    lines = shown(show_trials, selection.trials, width, now=NOW)
    named = [line for line in lines if "/001" in line]
    assert len(named) == 3
    for line, stored in zip(named, selection.trials, strict=True):
        name = line.split()[0]
        assert f"{stored.directory.parent.name}/001".endswith(name)
        assert "VALID" in line
        assert "…" not in line
    if width >= 60:
        assert max(len(line.rstrip()) for line in lines) <= width


def test_more_room_never_shows_less(selection):
    columns = [len(shown(show_trials, selection.trials, width, now=NOW)[0].split()) for width in (40, 60, 80, 100, 240)]
    assert columns == sorted(columns)


def test_a_terminal_says_how_long_ago_and_a_pipe_when(selection):
    terminal = "\n".join(shown(show_trials, selection.trials, 240, now=NOW))
    assert "2 d" in terminal
    pipe = shown(show_trials, selection.trials, 240, terminal=False, now=NOW)
    assert "2026-01-01 00:00" in "\n".join(pipe)
    assert all(line == line.rstrip() for line in pipe)


def test_marks_are_words_for_disturbances_and_a_star_for_the_rest(selection):
    lines = shown(show_trials, selection.trials, 240, terminal=False)
    assert any(line.endswith("busy throttled *") for line in lines)
    assert any(line.endswith(" shared") for line in lines)
    assert lines[-1] == "* has notes: python -m sweep show NAME"


def test_columns_that_no_row_fills_are_left_out(selection):
    assert "accuracy" not in shown(show_trials, selection.trials, 240)[0]


def test_long_arguments_fold_on_a_terminal_and_are_a_line_elsewhere(selection):
    folded = shown(show_sweeps, selection.sweeps, 90, now=NOW)
    assert len(folded) > 3
    assert max(len(line.rstrip()) for line in folded) <= 90
    assert "".join(folded).count("x") >= 90
    assert len(shown(show_sweeps, selection.sweeps, 90, terminal=False)) == 3


@pytest.mark.parametrize("width", [40, 80, 240])
def test_certificates_keep_name_and_answer(selection, width):
    lines = shown(show_certificates, selection.searches, width)
    assert lines[0].split()[0] == "name"
    assert "128" in lines[1]


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (65, "1 min"), (7300, "2 h"), (200_000, "2 d"), (-5, "0 s")])
def test_ages_are_in_one_unit(seconds, text):
    assert age_text((NOW - dt.timedelta(seconds=seconds)).isoformat(), NOW) == text


def test_a_time_that_is_none_is_left_as_it_is():
    assert age_text("yesterday", NOW) == "-"
    assert started_text("yesterday") == "yesterday"
    assert started_text("2026-01-01T02:00:00+02:00") == "2026-01-01 00:00"
    assert started_text("2026-01-01T00:00:00") == "2026-01-01 00:00"
