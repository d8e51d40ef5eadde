"""The interactive plots of a series; colours are names that the page resolves, light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sweep.report.axes import across, axis, base, upright
from sweep.report.figure import BREAK, HOVER, Figure
from sweep.report.gpu_figures import gpu_figure, trace_figure
from sweep.report.markers import asides_of, by_kind, marks
from sweep.report.panel import Panel, near_edge
from sweep.report.search_points import Kind
from sweep.report.sections import Curve, Series, Test
from sweep.report.words import joules, ms
from sweep.store.table import samples_per_second

_DASHES = {Kind.VALID: "solid", Kind.INVALID: "dash", Kind.STOPPED: "dot", Kind.SHORT: "dashdot"}
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star", "hexagon", "cross")


def figures_of(series: Series) -> tuple[Figure, ...]:
    """Return the plots of a series; none where nothing of it is to be drawn."""
    if not series.plotted:
        return ()
    panel = series.panel
    near = near_edge(panel)
    chosen = {id(point) for point in near}
    made = [
        _latency(panel, series.plotted),
        _edge(replace(panel, points=near), [test for test in series.plotted if id(test.point) in chosen])
        if near
        else None,
        _distribution(series.curves, panel),
        _throughput(series.plotted),
        _energy(series.plotted),
        gpu_figure(series.plotted),
        trace_figure(series.traces),
    ]
    return tuple(figure for figure in made if figure is not None)


def _latency(panel: Panel, tests: Sequence[Test], *, from_zero: bool = True) -> Figure:
    name = f"p{panel.percentile:g}"
    streams = [float(test.n) for test in tests]
    values = [test.point.percentile_ns / 1e6 for test in tests if test.point.percentile_ns is not None]
    bounds = [] if panel.target_latency_ns is None else [panel.target_latency_ns / 1e6]
    layout = base(
        xaxis=across(streams),
        yaxis=upright([*values, *bounds], f"{name} latency, ms", from_zero=from_zero),
        shapes=marks(panel),
    )
    if len(values) < len(tests):
        # Tests without a latency stand at the top, on an axis of their own.
        layout["yaxis2"] = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    data = by_kind(tests, [test.point.percentile_ns and test.point.percentile_ns / 1e6 for test in tests], {})
    what = "Latency against samples per query"
    label = f"{name} latency in ms of {len(tests)} tests against samples per query N"
    return Figure("latency", what, label, data, layout, "x", len(tests))


def _edge(panel: Panel, tests: Sequence[Test]) -> Figure:
    whole = _latency(panel, tests, from_zero=False)
    asides = asides_of(tests, panel.step)
    data = by_kind(tests, [test.point.percentile_ns and test.point.percentile_ns / 1e6 for test in tests], asides)
    layout = {**whole.layout, "xaxis": {**across([float(test.n) for test in tests], linear=True)}}
    return replace(
        whole, kind="edge", title="Near the edge", label=f"{whole.label}, near the edge", data=data, layout=layout
    )


def _distribution(curves: Sequence[Curve], panel: Panel) -> Figure | None:
    if not curves:
        return None
    data, values = [], []
    for number, curve in enumerate(curves):
        latencies = [latency / 1e6 for latency in curve.latencies_ns]
        values += latencies
        color = f"var(--c{number % 8 + 1})"
        name = f"N={curve.test.n} {'stopped early' if curve.test.kind is Kind.STOPPED else curve.test.kind}"
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": [round(1 / (1 - share), 6) for share in curve.shares],
                "y": latencies,
                "line": {"color": color, "width": 2, "dash": _DASHES[curve.test.kind]},
                "marker": {"symbol": _SYMBOLS[number % 8], "size": 7, "maxdisplayed": 7, "color": color},
                "hovertext": [
                    f"{name}{BREAK}p{100 * share:.6g}: {ms(latency)} ms"
                    for share, latency in zip(curve.shares, curve.latencies_ns, strict=True)
                ],
                "hovertemplate": HOVER,
            }
        )
    most = max(1 / (1 - share) for curve in curves for share in curve.shares)
    nines = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999]
    ticks = {
        "tickmode": "array",
        "tickvals": [100 / (100 - at) for at in nines],
        "ticktext": [f"{at:g}" for at in nines],
    }
    at_percentile = 100 / (100 - panel.percentile)
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": at_percentile, "x1": at_percentile}
    look = {"line": {"color": "var(--muted)", "width": 1, "dash": "dot"}, "layer": "above"}
    bounds = [] if panel.target_latency_ns is None else [panel.target_latency_ns / 1e6]
    layout = base(
        xaxis=axis("percentile of the queries", type="log", minor={}, **ticks),
        yaxis=upright([*values, *bounds], "query latency, ms", from_zero=False),
        shapes=[
            {**line, **look, "showlegend": True, "name": f"p{panel.percentile:g}, where the bound is read"},
            *marks(replace(panel, answer=None)),
        ],
    )
    label = f"Query latency in ms by percentile, of {len(curves)} tests, up to p{100 - 100 / most:.6g}"
    points = sum(len(curve.shares) for curve in curves)
    return Figure("distribution", "Latency by percentile", label, tuple(data), layout, "curve", points)


def _throughput(tests: Sequence[Test]) -> Figure | None:
    rates = [samples_per_second(test.stored.result) for test in tests]
    texts = ["" if rate is None else f"{rate:,.0f} samples/s" for rate in rates]
    return _against_n(tests, rates, texts, "throughput", "Throughput", "samples per second")


def _energy(tests: Sequence[Test]) -> Figure | None:
    seen = [test.stored.result.telemetry for test in tests]
    values = [None if one is None or one.energy_per_sample_j is None else 1e3 * one.energy_per_sample_j for one in seen]
    texts = ["" if value is None else f"{joules(value / 1e3)} per sample" for value in values]
    return _against_n(tests, values, texts, "energy", "Energy per sample", "energy per sample, mJ")


def _against_n(
    tests: Sequence[Test], values: Sequence[float | None], texts: Sequence[str], kind: str, title: str, unit: str
) -> Figure | None:
    known = [(test, value, text) for test, value, text in zip(tests, values, texts, strict=True) if value is not None]
    if not known:
        return None
    said = {id(test): text for test, _, text in known}
    plain = [replace(test, point=replace(test.point, low_ns=None, high_ns=None)) for test, _, _ in known]
    data = by_kind(plain, [value for _, value, _ in known], {})
    of = {kind: [said[id(test)] for test, _, _ in known if test.kind is kind] for kind in Kind}
    for trace in data:
        texts_of = of[Kind(trace["name"])]
        trace["hovertext"] = [
            f"{text.partition(BREAK)[0]}{BREAK}{more}" for text, more in zip(trace["hovertext"], texts_of, strict=True)
        ]
    layout = base(
        xaxis=across([float(test.n) for test, _, _ in known]),
        yaxis=upright([value for _, value, _ in known], unit),
    )
    label = f"{title} ({unit}) of {len(known)} tests against samples per query N"
    return Figure(kind, title, label, data, layout, "x", len(known))
