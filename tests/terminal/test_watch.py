"""A sweep as it runs: several points may be under way, and end in any order."""

import io

import pytest
from rich.console import Console

from sweep.config.point import Point
from sweep.terminal import watch
from sweep.terminal.watch import Watcher
from sweep.trial.measurement import Progress


@pytest.fixture
def watched(simulated, request_for, searches, monkeypatch):
    """Watch a grid of three points on a terminal, or elsewhere; return what was written when the story is told."""

    def run(story, *, terminal):
        points = []
        for batch in (8, 4, 2):
            request = request_for(simulated(batch=batch))
            points.append(Point(request.spec, request.files, {"batch": str(batch)}, ()))
        out = Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)
        monkeypatch.setattr(watch, "progress_console", lambda: out)
        with Watcher(points) as watcher:
            story(watcher, points, [searches.test(batch).outcome for batch in (8, 4, 2)])
        return out.file.getvalue()

    return run


def _progress(count):
    return Progress("test", count, 50, 0, 1_000_000, 3.0)


def _out_of_order(watcher, points, outcomes):
    for number in (0, 1):
        watcher.started(number, points[number].spec)
    watcher.progressed(0, _progress(7))
    watcher.progressed(1, _progress(31))
    if watcher._bar is not None:
        states = [task.fields["state"] for task in watcher._bar.tasks]
        assert [state.split()[0] for state in states] == ["7/50", "31/50"]
    watcher.finished(1, outcomes[1])
    watcher.started(2, points[2].spec)
    watcher.say("waiting for somebody")
    watcher.finished(2, outcomes[2])
    watcher.finished(0, outcomes[0])
    assert watcher._bar is None or not watcher._bar.tasks


@pytest.mark.parametrize("terminal", [True, False])
def test_every_point_has_its_own_line(watched, terminal):
    text = watched(_out_of_order, terminal=terminal)
    places = [text.index(f"{words}: ") for words in ("[2/3] batch=4", "[3/3] batch=2", "[1/3] batch=8")]
    if not terminal:
        assert places == sorted(places)
    assert "waiting for somebody" in text


def test_each_is_heard_of_now_and_then_where_there_is_no_terminal(watched, monkeypatch):
    monkeypatch.setattr(watch, "PLAIN_EVERY_S", 0.0)

    def story(watcher, points, outcomes):
        for number in (0, 1):
            watcher.started(number, points[number].spec)
            watcher.progressed(number, _progress(7 + number))

    text = watched(story, terminal=False)
    assert "[1/3] batch=8: 7/50 queries" in text
    assert "[2/3] batch=4: 8/50 queries" in text


@pytest.mark.parametrize(
    ("over", "count", "may_stop", "has_end"),
    [(5, 5, True, False), (9, 40, True, False), (5, 5, False, True), (0, 5, True, True), (1, 40, True, True)],
)
def test_no_time_is_said_to_be_left_of_a_test_that_is_about_to_be_stopped(over, count, may_stop, has_end):
    progress = Progress("test", count, 1440, over, 90_000_000, 4680.0)
    state = watch.state_of(progress, 99.0, may_stop=may_stop)
    assert ("1 h 18 min" in state) == has_end
    assert ("stopped" in state) != has_end
