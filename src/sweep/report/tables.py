"""The tables of a report, for whatever it is written as; every one says what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.datasets.digits import times_over_text
from sweep.loadgen.accuracy import Accuracy
from sweep.report.groups import is_search
from sweep.report.latencies import nearest
from sweep.report.search_points import CONFIDENCE, Kind
from sweep.report.search_words import confidence_of, odds_of
from sweep.report.sections import Answer, Report, Series, Source, Test
from sweep.report.words import ms
from sweep.store.table import samples_per_second
from sweep.trial.result import TrialResult
from sweep.trial.spec import TrialSpec
from sweep.trial.telemetry import share_of
from sweep.vocabulary import TestMode

TESTS_LISTED = 100
"""Of a series, at most."""

CHECKED = 24
"""Tests of a series whose checks are listed, at most."""

ALL_LISTED = 1000
"""Tests of the whole report, at most."""

ANSWERS_LISTED = 300
"""Series in the table of answers, at most."""

_SIGNS = {Kind.VALID: "●", Kind.INVALID: "✖", Kind.STOPPED: "✕", Kind.SHORT: "○", Kind.FAILED: "□"}

Links = Callable[[Path], str]
"""From a file or folder to where a report finds it."""


@dataclass(frozen=True)
class Cell:
    """What stands in a table.

    Attributes:
        text: For people.
        link: Where it leads; empty for nowhere.
        kind: Of a test, for its colour; empty otherwise.
    """

    text: str
    link: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: What it shows.
        headings: With units. What ends in `*` is a column of text, which is aligned to the left.
        rows: Cells, as many as headings.
        note: What is left out, or what a column means; empty if nothing.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def answers_table(report: Report, links: Links) -> Table:
    """Return the headline: a row for each answer of each series."""
    differing = dict.fromkeys(key for series in report.series for key in series.differs)
    shown = [key for key in differing if key not in ("run", "rules", "bound", "percentile")]
    headings = (
        *("model*", "precision*", "backend*", *(f"{key}*" for key in shown), "environment*", "rules*"),
        *("by*", "largest VALID N", "confidence", "next INVALID N", "undecided*", "what it rests on*", "warnings*"),
    )
    rows = []
    for series in report.series:
        for answer in series.answers:
            config = series.configuration
            bound = "no bound" if config["bound"] == "none" else f"{config['percentile']} ≤ {config['bound']}"
            rests = Cell(str(answer.source), links(answer.certificate) if answer.certificate else "")
            rows.append(
                (
                    Cell(config["model"], f"#{series.name}"),
                    *(Cell(text) for text in (config["precision"], config["backend"])),
                    *(Cell(config[key]) for key in shown),
                    Cell(series.environment, f"#environment-{series.environment}"),
                    Cell(f"{config['rules']}, {bound}"),
                    Cell(series.runs),
                    Cell(answer.figure),
                    Cell(confidence_of(answer)),
                    Cell(_text(answer.first_invalid)),
                    Cell(_undecided(answer)),
                    rests,
                    Cell("; ".join((*series.warnings, *answer.doubts))),
                )
            )
    return _cut("Answers", headings, rows, ANSWERS_LISTED, "answers")


def tests_table(series: Series, links: Links) -> Table:
    """Return the tests of a series: what the plots of latency show, and where the logs are."""
    percentile = series.configuration["percentile"]
    headings = (
        *("N", "result*", f"{percentile} ms", f"{100 * CONFIDENCE:g} % interval, ms", "p50 ms", "max ms"),
        *("queries", "over bound", "allowed", "marks*", "started (UTC)*", "logs*"),
    )
    chosen = _nearest_of(series, TESTS_LISTED)
    rows = [_test_row(test, links) for test in chosen]
    left = len(series.tests) - len(chosen)
    note = f"{left} more tests, further from the bound, are left out: --format csv has all." if left else ""
    stopped = any(test.kind is Kind.STOPPED for test in chosen)
    told = "Of a test that was stopped early, all latencies are of the queries until the stop." if stopped else ""
    return Table("Tests by N", headings, tuple(rows), " ".join(filter(None, (told, note))))


def distribution_table(series: Series) -> Table:
    """Return the latencies behind the distributions."""
    usual = ("p50", "p90", "p95", "p97", "p99", "p99.9", series.configuration["percentile"])
    names = sorted(set(usual), key=lambda name: float(name[1:]))
    rows = []
    for curve in series.curves:
        latencies = curve.test.stored.result.latencies
        if latencies is not None:
            values = (latencies.min, *(latencies.percentiles.get(name) for name in names), latencies.max)
            rows.append((Cell(str(curve.test.n)), _kind_cell(curve.test), *(Cell(ms(value)) for value in values)))
    drawn = {curve.test.n for curve in series.curves}
    left = len({test.n for test in series.tests}) - len(drawn)
    note = f"The tests nearest the bound are drawn; {left} other N are left out." if left > 0 else ""
    return Table("Query latency, ms", ("N", "result*", "min", *names, "max"), tuple(rows), note)


def throughput_table(series: Series) -> Table:
    """Return samples per second, by N."""
    rows = []
    for test in _nearest_of(series, TESTS_LISTED):
        result = test.stored.result
        rate = samples_per_second(result)
        if rate is not None and result.latencies is not None:
            cells = (f"{rate:,.1f}", ms(result.latencies.mean))
            rows.append((Cell(str(test.n)), _kind_cell(test), *map(Cell, cells)))
    return Table(
        "Throughput", ("N", "result*", "samples/s", "mean query latency, ms"), tuple(rows), "N / mean query latency."
    )


def gpu_table(series: Series) -> Table:
    """Return what the GPU reported, by N."""
    headings = (
        *("N", "result*", "SM clock, MHz", "memory clock, MHz", "power, W", "limit, W", "temperature, °C"),
        *("energy, J", "mJ per sample", "clock held by*", "throttled*"),
    )
    rows = []
    for test in _nearest_of(series, TESTS_LISTED):
        seen = test.stored.result.telemetry
        if seen is None:
            continue
        means = [None if one is None else one.mean for one in (seen.sm_clock_mhz, seen.memory_clock_mhz, seen.power_w)]
        heat = None if seen.temperature_c is None else seen.temperature_c.max
        each = None if seen.energy_per_sample_j is None else 1e3 * seen.energy_per_sample_j
        held = ", ".join(f"{name} {share_of(share)}" for name, share in seen.throttle_reasons.items())
        figures = (*means, seen.power_limit_w, heat, seen.energy_j, each)
        throttled = "" if seen.throttled is None else "yes" if seen.throttled else "no"
        cells = [*(_figure(value) for value in figures), held, throttled]
        rows.append((Cell(str(test.n)), _kind_cell(test), *map(Cell, cells)))
    return Table("What the GPU reported", headings, tuple(rows), "Means; of the temperature, the most.")


def evidence_table(answer: Answer, percentile: str) -> Table:
    """Return what a search knows of each N."""
    headings = ("N", "full tests", "VALID", "INVALID", "short tests", "queries", "over bound", f"{percentile} ms")
    rows = [
        tuple(
            Cell(text)
            for text in (
                *map(str, (one.samples_per_query, one.full_tests, one.valid_tests, one.invalid_tests)),
                *map(str, (one.short_tests, one.query_count, one.over_latency_count)),
                ms(one.percentile_ns),
                odds_of(one, answer) or "-",
                ", ".join(filter(None, (one.role, one.failure))),
            )
        )
        for one in answer.evidence
    ]
    return Table("Evidence of the search, all tests of an N together", (*headings, "P(valid)", "role*"), tuple(rows))


def settings_table(answer: Answer) -> Table:
    """Return what a joint search tried."""
    keys = list(dict.fromkeys(key for one in answer.settings for key in one.setting))
    rows = [
        (
            *(Cell("null" if one.setting.get(key) is None else str(one.setting[key])) for key in keys),
            Cell(_text(one.max_streams)),
            Cell(one.why),
        )
        for one in answer.settings
    ]
    return Table("Settings that were tried", (*(f"{key}*" for key in keys), "max streams", "why*"), tuple(rows))


def checks_table(series: Series) -> Table:
    """Return the checks of each verdict with their evidence, of the tests nearest the edge."""
    judged = [test for test in _nearest_of(series, CHECKED) if test.stored.result.checks]
    names = list(dict.fromkeys(check.name for test in judged for check in test.stored.result.checks))
    required = {check.name for test in judged for check in test.stored.result.checks if check.required}
    rows = []
    for test in judged:
        of_name = {check.name: check for check in test.stored.result.checks}
        cells = []
        for name in names:
            check = of_name.get(name)
            sign = "" if check is None else "? " if check.holds is None else "✓ " if check.holds else "✗ "
            cells.append(Cell("" if check is None else f"{sign}{check.evidence}"))
        loadgen = test.stored.result.loadgen_result or "none"
        rows.append((Cell(str(test.n)), _kind_cell(test), *cells, Cell(loadgen)))
    headings = (f"{name}{'' if name in required else ' (not required)'}*" for name in names)
    left = len(series.tests) - len(judged)
    note = f"{left} tests further from the bound are left out; each record has its checks." if left > 0 else ""
    return Table("Checks of each verdict", ("N", "result*", *headings, "LoadGen's own result*"), tuple(rows), note)


def _dataset(spec: TrialSpec) -> str:
    times = times_over_text(spec.dataset.name, spec.dataset.count)
    return f"{spec.dataset.name} ({times})" if times else spec.dataset.name


def accuracy_table(report: Report, links: Links) -> Table:
    """Return the tests in accuracy mode."""
    headings = (
        *("model*", "weights*", "precision*", "backend*", "dataset*", "accuracy, %", "right", "samples"),
        *("environment*", "started (UTC)*", "logs*"),
    )
    rows = []
    for test in report.accuracy:
        result, spec = test.stored.result, test.stored.result.spec
        score = result.accuracy
        figures = ["", "", ""] if score is None else _score(score)
        failed = "" if result.failure is None else f"FAILED: {result.failure.kind}"
        names = (spec.model.name, str(spec.model.weights), str(spec.precision), spec.backend.name, _dataset(spec))
        cells = [*names, failed or figures[0], *figures[1:], test.environment, _time(result)]
        rows.append((*map(Cell, cells), Cell("folder", links(test.stored.directory))))
    return _cut("Accuracy", headings, rows, TESTS_LISTED, "tests")


def _score(score: Accuracy) -> list[str]:
    counts = ["" if count is None else str(count) for count in (score.good, score.total)]
    return [f"{score.accuracy:.3f}{'' if score.metric == 'accuracy' else f' {score.metric}'}", *counts]


def all_table(report: Report, links: Links) -> Table:
    """Return every test of the report, the newest first."""
    names = {one.digest: one.name for one in report.environments}
    headings = (
        *("model*", "precision*", "backend*", "N", "mode*", "run*", "result*", "at percentile, ms", "queries"),
        *("samples/s", "environment*", "started (UTC)*", "why, notes*", "record*"),
    )
    rows = []
    for stored in list(reversed(report.trials))[:ALL_LISTED]:
        result, spec = stored.result, stored.result.spec
        performance = spec.mode is TestMode.PERFORMANCE
        rate = samples_per_second(result) if performance else None
        verdict = str(result.result or result.state)
        accuracy = "" if result.accuracy is None else f"{result.accuracy.accuracy:.3f} %"
        failure = "" if result.failure is None else f"{result.failure.kind}: {result.failure.message}"
        cells = (
            *(spec.model.name, str(spec.precision), spec.backend.name, str(spec.samples_per_query)),
            *("performance" if performance else "accuracy", str(spec.run_class) if performance else ""),
            *(verdict if performance or result.failure else accuracy or verdict,),
            *(ms(result.percentile_ns) if performance else "", str(result.query_count)),
            *("" if rate is None else f"{rate:,.1f}", names[result.environment_digest], _time(result)),
            "; ".join(filter(None, (failure, result.why, *result.notes))),
        )
        rows.append((*map(Cell, cells), Cell(stored.directory.parent.name[-24:], links(stored.directory))))
    return _cut("All tests, the newest first", headings, rows, ALL_LISTED, "tests", len(report.trials))


def commands_table(report: Report, links: Links) -> Table:
    """Return the commands whose tests these are."""
    rows = []
    for one in report.commands:
        line = " ".join(("python -m sweep", *one.arguments))
        ended = "never: it was stopped" if one.finished_at is None else _moment(one.finished_at)
        done = f"{one.done} of {one.planned} {'searches' if is_search(one) else 'points'}"
        folder = Cell(one.paths.directory.name, links(one.paths.directory))
        rows.append((Cell(line), Cell(_moment(one.started_at)), Cell(ended), Cell(done), folder))
    headings = ("command*", "started (UTC)*", "finished (UTC)*", "done*", "folder*")
    return _cut("Commands", headings, rows, ANSWERS_LISTED, "commands")


def logs_of(test: Test) -> str:
    """Return the name of what a test left behind; what is gone of it is said."""
    from sweep.results.selection import missing_logs

    gone = missing_logs(test.stored)
    return f"folder ({', '.join(gone)} gone)" if gone else "folder"


def _test_row(test: Test, links: Links) -> tuple[Cell, ...]:
    result = test.stored.result
    at = {} if result.latencies is None else result.latencies.percentiles
    low, high = test.point.low_ns, test.point.high_ns
    interval = "" if low is None and high is None else f"{ms(low)} to {'open' if high is None else ms(high)}"
    partial = test.kind in (Kind.STOPPED, Kind.FAILED)
    most = None if result.latencies is None else result.latencies.max
    marks = [*test.marks, *(["set aside"] if test.set_aside else [])]
    cells = (
        *(ms(test.point.percentile_ns), interval, ms(at.get("p50")), ms(most)),
        f"{result.query_count} of {result.planned_query_count}" if partial else str(result.query_count),
        *(_text(result.over_count), _text(result.over_latency_allowed), ", ".join(marks), _time(result)),
    )
    logs = Cell(logs_of(test), links(test.stored.directory))
    return (Cell(str(test.n)), _kind_cell(test), *map(Cell, cells), logs)


def _kind_cell(test: Test) -> Cell:
    failure = test.stored.result.failure
    more = "" if failure is None else f": {failure.kind}"
    return Cell(f"{_SIGNS[test.kind]} {test.kind}{more}", kind=test.kind.name.lower())


def _nearest_of(series: Series, count: int) -> list[Test]:
    answer = series.answers[0]
    return nearest(series.tests, count, (answer.max_streams, answer.first_invalid))


def _undecided(answer: Answer) -> str:
    if answer.undecided is None:
        return ""
    first, last = answer.undecided
    between = str(first) if first == last else f"{first} to {last}"
    return between if answer.source is Source.CERTIFICATE else f"{between} (not shown)"


def _cut(
    caption: str,
    headings: Sequence[str],
    rows: Sequence[tuple[Cell, ...]],
    most: int,
    noun: str,
    total: int | None = None,
) -> Table:
    count = len(rows) if total is None else total
    note = f"The first {most} of {count} {noun}: --format csv and --format json have all." if count > most else ""
    return Table(caption, tuple(headings), tuple(rows[:most]), note)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _time(result: TrialResult) -> str:
    return _moment(result.timing.started_at)


def _moment(iso: str) -> str:
    return iso.replace("+00:00", "").replace("T", " ")
