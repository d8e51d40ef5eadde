"""From records to what a report says: series that differ in N alone, never of two environments."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import sweep
from sweep.report.answers import answer_of_probes, answer_of_search, answer_of_tests, no_answer
from sweep.report.configuration import LENGTH, PROBES, RUN, TITLE, warnings_of
from sweep.report.groups import Group, groups_of, killed_searches
from sweep.report.latencies import curves_of, nearest, traces_of
from sweep.report.search_points import Kind, PlotPoint, kind_of, percentile_interval
from sweep.report.sections import AccuracyTest, Answer, Environment, Note, Report, Series, Test
from sweep.report.words import runs_of
from sweep.results.environments import describe, differences
from sweep.results.filters import Filters
from sweep.results.largest import set_aside
from sweep.results.selection import SearchRecord, Selection, SweepRecord
from sweep.store.records import StoredTrial
from sweep.study.observe import stored_latencies
from sweep.trial.result import DISTURBANCES
from sweep.vocabulary import Scenario, TestMode

SERIES_SHOWN = 24
"""Series that are drawn, at most; all of them are in the table of answers."""

TESTS_PLOTTED = 120
"""Tests of a series that are drawn, at most."""

_VARIED_SHOWN = 12
_STARTED_AT = "started_at"


def build(
    selection: Selection, places: Sequence[Path] = (), filters: Filters | None = None, *, latencies: bool = True
) -> Report:
    """Return what a report says of a selection.

    Args:
        selection: Records, searches, sweeps.
        places: Where they were read from.
        filters: That the selection was made with.
        latencies: Whether to read the latencies of tests too: for intervals and distributions.
    """
    filters = filters or Filters()
    groups = groups_of(selection)
    environments = _environments(selection.trials, [one.digest for one in groups])
    name_of = {one.digest: one.name for one in environments}
    order = sorted(groups, key=lambda one: (*one.order, name_of[one.digest]))
    drawn = set(map(id, sorted(order, key=_weight, reverse=True)[:SERIES_SHOWN])) if latencies else set()
    answerer = _Answerer(filters, killed_searches(selection))
    series = [
        _series(
            group, answerer, f"s{number}", _differing(group, order), name_of[group.digest], is_drawn=id(group) in drawn
        )
        for number, group in enumerate(order, start=1)
    ]
    accuracy = [one for one in selection.trials if one.result.spec.mode is TestMode.ACCURACY]
    return Report(
        places=tuple(map(str, places)),
        filters=str(filters),
        series=tuple(series),
        accuracy=tuple(
            AccuracyTest(one, name_of[one.result.environment_digest], warnings_of(one.result.spec)) for one in accuracy
        ),
        environments=environments,
        commands=selection.sweeps,
        trials=selection.trials,
        damaged=tuple(map(str, selection.damaged)),
        version=sweep.__version__,
    )


@dataclasses.dataclass(frozen=True)
class _Answerer:
    """Answers series, as far as what was selected lets it.

    Attributes:
        filters: That chose the tests.
        killed: Searches that did not end.
    """

    filters: Filters
    killed: Sequence[SweepRecord]

    def answers(self, group: Group, tests: Sequence[Test], runs: str) -> tuple[Answer, ...]:
        """Return the answers of its searches, that of the newest first, or what its tests show without one."""
        if group.searches:
            newest_first = sorted(group.searches, key=_last_start, reverse=True)
            return tuple(answer_of_search(one, tests) for one in newest_first)
        if group.spec.scenario is not Scenario.MULTI_STREAM:  # imported: what varies there is no N
            return (no_answer(f"a largest N is a matter of {Scenario.MULTI_STREAM}, not of {group.spec.scenario}"),)
        if group.run is None:
            return (answer_of_probes(self.killed),)
        chosen = [one for one in self.filters.conditions if one.column.get_from_spec is None]
        since = [one.text for one in chosen if one.column.name == _STARTED_AT]
        hiding = [one.text for one in chosen if one.column.name != _STARTED_AT and not one.column.of_environment]
        if hiding:  # with result=VALID, no N would ever be INVALID
            return (no_answer(f"{' '.join(hiding)} leaves out tests that may tell otherwise"),)
        return (answer_of_tests(tests, ", ".join([runs, *since])),)


def _last_start(search: SearchRecord) -> tuple[str, str]:
    """Return when the last test of a search was started, and what tells it from others then."""
    return max((one.started_at for one in search.saved.tests), default=""), str(search.path)


def _series(
    group: Group, answerer: _Answerer, name: str, differing: Sequence[str], environment: str, *, is_drawn: bool
) -> Series:
    order = sorted(
        group.trials.values(), key=lambda one: (one[0].result.spec.samples_per_query, one[0].result.timing.started_at)
    )
    tests = _without_disturbed([_test(stored, short) for stored, short in order])
    of_full = dataclasses.replace(group.spec, run=group.run or group.spec.run)
    runs = PROBES if group.run is None else runs_of(of_full)
    answers = answerer.answers(group, tests, runs)
    edge = (answers[0].max_streams, answers[0].first_invalid)
    plotted = nearest(tests, TESTS_PLOTTED, edge) if is_drawn else []
    if is_drawn:
        plotted = [_with_interval(test) for test in plotted]
        known = {test.stored.directory: test for test in plotted}
        tests = [known.get(test.stored.directory, test) for test in tests]
    return Series(
        name=name,
        configuration=group.configuration,
        differs={key: group.configuration[key] for key in differing},
        run_class=str(of_full.run_class),
        runs=runs,
        rules=group.spec.rules,
        environment=environment,
        warnings=warnings_of(group.spec),
        answers=answers,
        tests=tuple(tests),
        plotted=tuple(plotted),
        curves=curves_of(tests, edge) if is_drawn else (),
        traces=traces_of(tests, edge) if is_drawn else (),
        notes=_notes(tests),
        is_drawn=is_drawn,
    )


def _test(stored: StoredTrial, short: bool) -> Test:
    result = stored.result
    point = PlotPoint(result.spec.samples_per_query, kind_of(result, is_short=short), result.percentile_ns, None, None)
    return Test(stored, point, result.disturbances)


def _with_interval(test: Test) -> Test:
    percentile = test.stored.result.spec.rules.percentile
    low, high = percentile_interval(stored_latencies(test.stored.directory), percentile)
    return dataclasses.replace(test, point=dataclasses.replace(test.point, low_ns=low, high_ns=high))


def _without_disturbed(tests: Sequence[Test]) -> list[Test]:
    """Set aside what a disturbed machine has spoilt where an undisturbed test of the same N tells."""
    gone = set_aside(test.stored.result for test in tests if test.kind is not Kind.SHORT)
    return [dataclasses.replace(test, set_aside=id(test.stored.result) in gone) for test in tests]


def _weight(group: Group) -> tuple[bool, str]:
    """Return what makes a series worth drawing: a search, then tests that are new."""
    started = [stored.result.timing.started_at for stored, _ in group.trials.values()]
    return bool(group.searches), max([*started, *(_last_start(one)[0] for one in group.searches)])


def _differing(group: Group, groups: Sequence[Group]) -> list[str]:
    """Return what tells a series from those with the same title.

    A bound that is not there takes its check along, and runs of a class their length where that is always the same.
    """
    alike = [one.configuration for one in groups if _title(one.configuration) == _title(group.configuration)]
    differ = [key for key in group.configuration if len({one[key] for one in alike}) > 1]
    lengths = {(one[RUN], one[LENGTH]) for one in alike}
    implied = {"checks": "bound" in differ, LENGTH: len(lengths) == len({run for run, _ in lengths})}
    return [key for key in differ if not implied.get(key)]


def _title(configuration: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(configuration[key] for key in TITLE)


def _notes(tests: Sequence[Test]) -> tuple[Note, ...]:
    """Return each note once; each busy machine is busy in its own way, so those are one note."""
    found: dict[str, dict[int, None]] = {}
    counts: Counter[str] = Counter()
    of_full = {note for test in tests if test.kind is not Kind.SHORT for note in test.stored.result.notes}
    for test in tests:
        for note in test.stored.result.notes:
            if test.kind is Kind.SHORT and note not in of_full and not note.startswith(DISTURBANCES):
                continue  # that it is short is its nature
            kind = next((kind for kind in DISTURBANCES if note.startswith(kind)), None)
            text = note if kind is None else kind
            found.setdefault(text, {})[test.n] = None
            counts[text] += 1
    return tuple(Note(text, () if counts[text] == len(tests) else tuple(ns)) for text, ns in found.items())


def _environments(trials: Iterable[StoredTrial], digests: Iterable[str]) -> tuple[Environment, ...]:
    """Return where tests ran; of those whose records are gone, their digest alone is known."""
    fingerprints: dict[str, dict[str, Mapping[str, object]]] = {}
    counts: Counter[str] = Counter()
    for stored in trials:
        result = stored.result
        counts[result.environment_digest] += 1
        text = json.dumps(result.environment, sort_keys=True)
        fingerprints.setdefault(result.environment_digest, {})[text] = result.environment
    order = [digest for digest, _ in counts.most_common()]
    newest = {digest: list(fingerprints[digest].values())[-1] for digest in order}
    known = [
        Environment(
            name=_letter(number),
            digest=digest,
            fingerprint=newest[digest],
            words=describe(newest[digest]),
            tests=counts[digest],
            differences=differences(newest[order[0]], newest[digest]) if number else (),
            varied=_varied(list(fingerprints[digest].values())),
        )
        for number, digest in enumerate(order)
    ]
    lost = sorted(set(digests) - set(order))
    return (*known, *(_lost(number, digest) for number, digest in enumerate(lost, start=len(known))))


def _lost(number: int, digest: str) -> Environment:
    words = "not known: the records of its tests are gone" if digest else "not known: no test was run"
    return Environment(_letter(number), digest, {}, words, tests=0, differences=(), varied=())


def _varied(fingerprints: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    *older, newest = fingerprints
    lines = dict.fromkeys(line for one in older for line in differences(one, newest))
    return tuple(lines)[:_VARIED_SHOWN]


def _letter(number: int) -> str:
    """Return A, B, ..., Z, AA, AB, ..."""
    higher, last = divmod(number, 26)
    return (_letter(higher - 1) if higher else "") + chr(ord("A") + last)
