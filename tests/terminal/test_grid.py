"""Tables of terminals: at any width, a figure stays on its line."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sweep.config.point import Point
from sweep.store.records import StoredTrial
from sweep.study.measure import Outcome
from sweep.terminal import show_grid
from sweep.trial.measurement import Measurement
from sweep.trial.result import Failure
from sweep.trial.trial import _Record
from sweep.trial.verdict import Check

LATE = "aborted after 212 queries: 15 over-latency; 14 allowed of 1440"


@pytest.fixture
def shown(simulated, request_for):
    """Show a grid of two points, one of which failed for a long reason, on a terminal of a width."""

    def show(width, label="2", terminal=True):
        points, outcomes = [], []
        for batch in (8, 512):
            request = request_for(simulated(batch=batch))
            seen = Measurement(failure=Failure("error", LATE, ""))
            result = replace(_Record(request, seen, 1, "2026-01-01T00:00:00+00:00", 0).conclude(), notes=())
            points.append(Point(request.spec, request.files, {"backend.threads": label, "batch": str(batch)}, ()))
            outcomes.append(Outcome(StoredTrial(result, Path("outputs")), reused=False))
        out = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, soft_wrap=True)
        show_grid(out, points, outcomes)
        return out.file.getvalue().splitlines()

    return show


@pytest.fixture
def judged(searches):
    """Show a grid of N whose sample takes so long, on a terminal wide enough for all of it."""

    def show(*ns, per_sample_ms=0.15, waived=()):
        tests = [searches.test(n, per_sample_ms=per_sample_ms).outcome for n in ns]
        outcomes = [
            replace(one, stored=replace(one.stored, result=replace(result, checks=(*result.checks, *waived))))
            for one in tests
            for result in [one.stored.result]
        ]
        points = [Point(one.stored.result.spec, None, {"batch": str(n)}, ()) for n, one in zip(ns, tests, strict=True)]
        out = Console(file=io.StringIO(), width=300, force_terminal=True, color_system=None, soft_wrap=True)
        show_grid(out, points, outcomes)
        return out.file.getvalue().splitlines()

    return show


def test_a_grid_in_which_nothing_passes_ends_with_what_to_do_next(judged):
    assert "search=max_streams" in judged(400, 500)[-1]
    assert "400" in judged(500, 400)[-1]
    assert "search=max_streams" not in judged(1, 2, per_sample_ms=80)[-1]  # which would find nothing either
    assert "precision=int8" in judged(1, 2, per_sample_ms=80)[-1]
    assert "nothing passes" not in "".join(judged(100, 400))


def test_what_is_valid_although_loadgen_calls_it_invalid_is_said_in_a_sentence(judged):
    waived = [Check("early_stopping", False, False, "Early stopping satisfied : NO")]
    (line,) = [line for line in judged(100, 110, waived=waived) if "early stopping" in line]
    assert "1440 queries are too few" in line
    assert "early stopping" not in "".join(judged(400, waived=waived))  # INVALID by both


def test_a_wide_terminal_has_reasons_beside_the_figures(shown):
    (row,) = [line for line in shown(200) if " 512 " in line]
    assert row.rstrip().endswith(LATE)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_label_cuts_no_figure(shown, terminal):
    (row,) = [line for line in shown(240, label="x" * 300, terminal=terminal) if " 512 " in line]
    assert "…" not in row
    assert row.rstrip().endswith("FAILED")
    assert "x" * 300 in row


def test_a_terminal_too_narrow_for_the_figures_cuts_none(shown):
    lines = shown(30)
    assert not [line for line in lines if "…" in line]
    assert any("over-latency" in line for line in lines)


def test_a_narrow_terminal_has_reasons_below_the_figures(shown):
    lines = shown(80)
    (row,) = [line for line in lines if " 512 " in line]
    assert row.rstrip().endswith("FAILED")
    text = "".join(line.rstrip("\n") for line in lines)
    assert f"backend.threads=2 batch=512: {LATE}" in text.replace("\n", "")
