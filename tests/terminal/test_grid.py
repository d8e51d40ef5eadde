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
