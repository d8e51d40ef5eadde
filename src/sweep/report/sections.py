"""What a report says, whatever it is written as: series of tests, their answers, machines, commands, damage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sweep.report.configuration import TITLE
from sweep.report.panel import Panel
from sweep.report.search_points import Kind, PlotPoint
from sweep.results.selection import SweepRecord
from sweep.search.certificate import Evidence, Status
from sweep.store.records import StoredTrial
from sweep.study.search import SettingResult
from sweep.trial.spec import RulesSpec


class Source(StrEnum):
    """What an answer rests on."""

    CERTIFICATE = "certificate of a search"
    TESTS = "tested N only, no certificate"


@dataclass(frozen=True)
class Answer:
    """How many samples per query a series can serve, by one search or by its tests alone.

    Attributes:
        source: What it rests on.
        text: The answer in one line.
        max_streams: The largest N shown VALID, or the largest VALID one that was tested; None where there is none.
        figure: The same, for a heading: `306`, `8192 or more`, `306, not confirmed, disturbed`, `none`, `unknown`.
        confidence: Of a certificate; None where it gives none.
        status: Of a certificate; empty without one.
        first_invalid: The smallest N above it shown INVALID; None where there is none.
        undecided: What lies between, first and last N; None when nothing does.
        between: The same in words.
        step: Of N.
        lines: What bounds it and what is to be known beside it, nearest first.
        doubts: What speaks against a certificate: tests that it does not count, or that none of its own is left.
        certificate: Its file; None without one.
        evidence: Of a certificate, per N.
        settings: What a joint search tried.
        disturbed: Whether it rests on disturbed tests.
    """

    source: Source
    text: str
    max_streams: int | None
    figure: str
    confidence: float | None = None
    status: str = ""
    first_invalid: int | None = None
    undecided: tuple[int, int] | None = None
    between: str = ""
    step: int = 1
    lines: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    certificate: Path | None = None
    evidence: tuple[Evidence, ...] = ()
    settings: tuple[SettingResult, ...] = ()
    disturbed: bool = False

    @property
    def label(self) -> str:
        """What its figure is, in words."""
        return "max streams" if self.source is Source.CERTIFICATE else "largest VALID tested N"

    @property
    def is_confirmed(self) -> bool:
        """Whether a certificate names it that rests on undisturbed tests and found nothing to be confirmed still."""
        is_open = self.max_streams is None or self.disturbed or self.status == Status.UNCONFIRMED
        return self.source is Source.CERTIFICATE and not is_open


@dataclass(frozen=True)
class Test:
    """One attempt of a series.

    Attributes:
        stored: Its record.
        point: What plots show of it; its interval is empty where latencies were not read.
        marks: What disturbed it: `busy machine`, `throttled GPU`, `shared GPU`.
        set_aside: Whether it does not count, as `results.largest.set_aside` says.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    stored: StoredTrial
    point: PlotPoint
    marks: tuple[str, ...]
    set_aside: bool = False

    @property
    def n(self) -> int:
        """Samples per query."""
        return self.point.samples_per_query

    @property
    def kind(self) -> Kind:
        """What it says about its N."""
        return self.point.kind


@dataclass(frozen=True)
class Curve:
    """The latency distribution of one test, by some of its quantiles.

    Attributes:
        test: Whose.
        shares: Of the queries, ascending, from 0 to below 1.
        latencies_ns: The latency that so many queries did not exceed, read as LoadGen does.
    """

    test: Test
    shares: tuple[float, ...]
    latencies_ns: tuple[int, ...]


@dataclass(frozen=True)
class Trace:
    """What a GPU reported over the time of one test.

    Attributes:
        test: Whose.
        columns: Name to values, None where there is none: `time_s` and what was read, of `telemetry.COLUMNS`.
        every: One of so many readings is kept.
    """

    test: Test
    columns: Mapping[str, tuple[float | None, ...]]
    every: int


@dataclass(frozen=True)
class Note:
    """Something to know before using the numbers, and the N whose tests say so; none where all of them do."""

    text: str
    ns: tuple[int, ...]


@dataclass(frozen=True)
class Series:
    """Tests that differ in N alone: one model, engine, rules, length, and environment.

    Attributes:
        name: Short and unique in the report.
        configuration: Field to value, everything that sets it apart from any other series.
        differs: Those of them that tell it from other series of the report with the same title.
        run_class: Of its full tests.
        runs: What those are, in words: `screening runs`, `custom runs of 10 queries`.
        rules: What VALID means here.
        environment: Name of its environment in the report.
        warnings: What must be said loudly: a stand-in engine, synthetic weights.
        answers: Of its searches; without one, of its tests.
        tests: All attempts, by N, then by when they were started; none where the records of its searches are gone.
        plotted: Those that plots show.
        curves: Latency distributions of a few.
        traces: What the GPU reported during a few.
        notes: Of its tests.
        is_drawn: Whether it has a section of its own, with plots where there is something to plot.
    """

    name: str
    configuration: Mapping[str, str]
    differs: Mapping[str, str]
    run_class: str
    runs: str
    rules: RulesSpec
    environment: str
    warnings: tuple[str, ...]
    answers: tuple[Answer, ...]
    tests: tuple[Test, ...]
    plotted: tuple[Test, ...]
    curves: tuple[Curve, ...]
    traces: tuple[Trace, ...]
    notes: tuple[Note, ...]
    is_drawn: bool

    @property
    def title(self) -> str:
        """Model, precision, backend."""
        return " · ".join(self.configuration[key] for key in TITLE)

    @property
    def panel(self) -> Panel:
        """What a plot of latency against N shows of it."""
        rules, answer = self.rules, self.answers[0]
        return Panel(
            points=tuple(test.point for test in self.plotted),
            percentile=rules.percentile,
            target_latency_ns=rules.target_latency_ns,
            answer=answer.max_streams,
            answer_name="answer" if answer.source is Source.CERTIFICATE else answer.label,
            first_invalid=answer.first_invalid,
            between=answer.between,
            step=answer.step,
        )


@dataclass(frozen=True)
class AccuracyTest:
    """One attempt in accuracy mode.

    Attributes:
        stored: Its record.
        environment: Name of its environment in the report.
        warnings: As of a series.
    """

    stored: StoredTrial
    environment: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """A machine with its software.

    Attributes:
        name: `A`, `B`, ... in the report.
        digest: Of what decides a result.
        fingerprint: All that is known of it.
        words: The same in one line.
        tests: How many tests of the report ran there.
        differences: To the first environment of the report, a line per field.
        varied: What changed between its tests and decides nothing (commit, host, kernel), likewise.
    """

    name: str
    digest: str
    fingerprint: Mapping[str, Any]
    words: str
    tests: int
    differences: tuple[str, ...]
    varied: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Everything that a report says.

    Attributes:
        places: Where it was read from.
        filters: Which records were wanted; empty for all.
        series: By model, precision, backend.
        accuracy: Tests in accuracy mode.
        environments: Where tests ran, the most used one first.
        commands: The sweeps whose tests these are.
        trials: Every record, by when it was started.
        damaged: What could not be read, a line each.
        version: Of the sweep that wrote it.
    """

    places: tuple[str, ...]
    filters: str
    series: tuple[Series, ...]
    accuracy: tuple[AccuracyTest, ...]
    environments: tuple[Environment, ...]
    commands: tuple[SweepRecord, ...]
    trials: tuple[StoredTrial, ...]
    damaged: tuple[str, ...]
    version: str
