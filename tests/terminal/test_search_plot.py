"""The plot in characters keeps its width and tells kinds of tests apart by shape."""

import pytest

from sweep.terminal.search_plot import plot_text


@pytest.mark.parametrize("case", ["exact", "interval", "none_valid", "all_valid", "single"])
@pytest.mark.parametrize("width", [40, 70])
def test_every_kind_of_answer_is_drawn_in_its_width(searches, case, width):
    *plot, legend = plot_text(getattr(searches, case)(), width).splitlines()
    assert max(map(len, plot)) <= width
    assert len(plot) == 16
    assert "bound 50 ms" in legend
    assert any("---" in line for line in plot)
    assert all(ord(char) != 27 for line in plot for char in line)


def test_kinds_differ_in_shape(searches):
    plot = "\n".join(plot_text(searches.exact()).splitlines()[:-1])
    for mark in (".", "x", "^"):
        assert mark in plot


def test_nothing_is_drawn_of_nothing(searches):
    assert not plot_text(searches.failed())
