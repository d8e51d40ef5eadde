"""From records to what a report says: series that differ in N alone, never of two environments."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import sweep
from sweep.report.answers import answer_of_search, answer_of_tests
from sweep.report.configuration import BATCH, EACH, RUN, TITLE, configuration_of, warnings_of
from sweep.report.latencies import curves_of, nearest, traces_of
from sweep.report.search_points import Kind, PlotPoint, kind_of, percentile_interval
from sweep.report.sections import AccuracyTest, Environment, Note, Report, Series, Test
from sweep.results.environments import describe, differences
from sweep.results.selection import SearchRecord, Selection
from sweep.store.records import StoredTrial
from sweep.study.observe import stored_latencies
from sweep.trial.trial import DISTURBANCES
from sweep.vocabulary import TestMode

SERIES_SHOWN = 24
"""Series that are drawn, at most; all of them are in the table of answers."""

TESTS_PLOTTED = 120
"""Tests of a series that are drawn, at most."""

_VARIED_SHOWN = 12

_Key = tuple[str, ...]


@dataclasses.dataclass
class _Group:
    """A series in the making."""

    configuration: dict[str, str]
    digest: str
    trials: dict[Path, tuple[StoredTrial, bool]] = dataclasses.field(default_factory=dict)
    searches: list[SearchRecord] = dataclasses.field(default_factory=list)


def build(selection: Selection, places: Sequence[Path] = (), filters: str = "", *, latencies: bool = True) -> Report:
    """Return what a report says of a selection.

    Args:
        selection: Records, searches, sweeps.
        places: Where they were read from.
        filters: As they were given.
        latencies: Whether to read the latencies of tests too: for intervals and distributions.
    """
    environments = _environments(selection.trials)
    name_of = {one.digest: one.name for one in environments}
    groups = _groups(selection)
    order = sorted(groups.values(), key=lambda one: (*one.configuration.values(), name_of.get(one.digest, "")))
    drawn = set(map(id, sorted(order, key=_weight, reverse=True)[:SERIES_SHOWN])) if latencies else set()
    series = [
        _series(
            f"s{number}", group, _differing(group, order), name_of.get(group.digest, "?"), latencies=id(group) in drawn
        )
        for number, group in enumerate(order, start=1)
    ]
    accuracy = [one for one in selection.trials if one.result.spec.mode is TestMode.ACCURACY]
    return Report(
        places=tuple(map(str, places)),
        filters=filters,
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


def _groups(selection: Selection) -> dict[_Key, _Group]:
    """Return the series by what sets them apart. Short tests of a search belong to its full ones."""
    wanted = {one.directory for one in selection.trials}
    groups: dict[_Key, _Group] = {}
    placed: set[Path] = set()

    def group(stored: StoredTrial, run_class: str, batch: Mapping[str, str]) -> _Group:
        configuration = {**configuration_of(stored.result.spec, run_class), **batch}
        digest = stored.result.environment_digest
        return groups.setdefault((*configuration.values(), digest), _Group(configuration, digest))

    for search in selection.searches:
        spec = search.saved.plan.spec
        run_class, batch = str(spec.run.run_class), _batch_of(search)
        for stored, told in zip(search.tests, search.saved.data["tests"], strict=True):
            if stored is not None and (path := stored.directory) in wanted:
                short = told["asked_query_count"] is not None
                group(stored, run_class, batch).trials[path] = (stored, short)
                placed.add(path)
        own = next((one for one in groups.values() if _is_of(one, search)), None)
        if own is not None:
            own.searches.append(search)
    for stored in selection.trials:
        path = stored.directory
        if stored.result.spec.mode is TestMode.PERFORMANCE and path not in placed:
            group(stored, str(stored.result.spec.run.run_class), {}).trials[path] = (stored, False)
    return _joined(groups)


def _batch_of(search: SearchRecord) -> dict[str, str]:
    """Return the engine batch that a search was given, which its tests of a smaller N do not show; none if several."""
    specs = [test.result.spec for test in search.tests if test is not None]
    split = {str(spec.engine_batch) for spec in specs if spec.engine_batch != spec.samples_per_query}
    return {BATCH: split.pop()} if len(split) == 1 and not search.saved.data["settings"] else {}


def _is_of(group: _Group, search: SearchRecord) -> bool:
    """Return whether a search is about a series: its spec, where its tests ran; N tells nothing of its engine batch."""
    spec = search.saved.plan.spec
    about = configuration_of(spec, str(spec.run.run_class))
    same = all(group.configuration[key] == value for key, value in about.items() if key != BATCH)
    directories = {test.directory for test in search.tests if test is not None}
    return same and not directories.isdisjoint(group.trials)


def _joined(groups: dict[_Key, _Group]) -> dict[_Key, _Group]:
    """Give series of one engine batch the tests whose N is no larger, which are the same with it and without."""
    for key, whole in list(groups.items()):
        if whole.configuration[BATCH] != EACH:
            continue
        rest = {name: value for name, value in whole.configuration.items() if name != BATCH}
        split = [
            one
            for one in groups.values()
            if one.digest == whole.digest and one is not whole and rest.items() <= one.configuration.items()
        ]
        left = dict(whole.trials)
        for one in split:
            size = int(one.configuration[BATCH])
            fits = {
                path: trial for path, trial in whole.trials.items() if trial[0].result.spec.samples_per_query <= size
            }
            one.trials |= fits
            left = {path: trial for path, trial in left.items() if path not in fits}
        if split and not left and not whole.searches:
            del groups[key]
    return groups


def _series(name: str, group: _Group, differing: Sequence[str], environment: str, *, latencies: bool) -> Series:
    order = sorted(
        group.trials.values(), key=lambda one: (one[0].result.spec.samples_per_query, one[0].result.timing.started_at)
    )
    tests = _without_disturbed([_test(stored, short) for stored, short in order])
    searches = sorted(group.searches, key=lambda one: str(one.path), reverse=True)  # the newest first
    run_class = group.configuration[RUN]
    answers = tuple(answer_of_search(one) for one in searches) or (answer_of_tests(tests, run_class),)
    edge = (answers[0].max_streams, answers[0].first_invalid)
    plotted = nearest(tests, TESTS_PLOTTED, edge) if latencies else []
    if latencies:
        plotted = [_with_interval(test) for test in plotted]
        known = {test.stored.directory: test for test in plotted}
        tests = [known.get(test.stored.directory, test) for test in tests]
    return Series(
        name=name,
        configuration=group.configuration,
        differs={key: group.configuration[key] for key in differing},
        run_class=run_class,
        environment=environment,
        warnings=warnings_of(tests[0].stored.result.spec),
        answers=answers,
        tests=tuple(tests),
        plotted=tuple(plotted),
        curves=curves_of(tests, edge) if latencies else (),
        traces=traces_of(tests, edge) if latencies else (),
        notes=_notes(tests),
    )


def _test(stored: StoredTrial, short: bool) -> Test:
    result = stored.result
    point = PlotPoint(result.spec.samples_per_query, kind_of(result, is_short=short), result.percentile_ns, None, None)
    marks = tuple(kind for kind in DISTURBANCES if any(note.startswith(kind) for note in result.notes))
    return Test(stored, point, marks)


def _with_interval(test: Test) -> Test:
    percentile = test.stored.result.spec.rules.percentile
    low, high = percentile_interval(stored_latencies(test.stored.directory), percentile)
    return dataclasses.replace(test, point=dataclasses.replace(test.point, low_ns=low, high_ns=high))


def _without_disturbed(tests: Sequence[Test]) -> list[Test]:
    """Set aside INVALID tests of a disturbed machine where an undisturbed one of the same N was VALID."""
    valid = {test.n for test in tests if test.kind is Kind.VALID and not test.marks}
    bad = (Kind.INVALID, Kind.STOPPED)
    return [
        dataclasses.replace(test, set_aside=test.n in valid and bool(test.marks) and test.kind in bad) for test in tests
    ]


def _weight(group: _Group) -> tuple[bool, str]:
    """Return what makes a series worth drawing: a search, then tests that are new."""
    return bool(group.searches), max(stored.result.timing.started_at for stored, _ in group.trials.values())


def _differing(group: _Group, groups: Sequence[_Group]) -> list[str]:
    """Return what tells a series from those with the same title; a bound that is not there takes its check along."""
    alike = [one.configuration for one in groups if _title(one.configuration) == _title(group.configuration)]
    differ = [key for key in group.configuration if len({one[key] for one in alike}) > 1]
    return [key for key in differ if not (key == "checks" and "bound" in differ)]


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


def _environments(trials: Iterable[StoredTrial]) -> tuple[Environment, ...]:
    fingerprints: dict[str, dict[str, Mapping[str, object]]] = {}
    counts: Counter[str] = Counter()
    for stored in trials:
        result = stored.result
        counts[result.environment_digest] += 1
        text = json.dumps(result.environment, sort_keys=True)
        fingerprints.setdefault(result.environment_digest, {})[text] = result.environment
    order = [digest for digest, _ in counts.most_common()]
    newest = {digest: list(fingerprints[digest].values())[-1] for digest in order}
    return tuple(
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
    )


def _varied(fingerprints: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    *older, newest = fingerprints
    lines = dict.fromkeys(line for one in older for line in differences(one, newest))
    return tuple(lines)[:_VARIED_SHOWN]


def _letter(number: int) -> str:
    """Return A, B, ..., Z, AA, AB, ..."""
    higher, last = divmod(number, 26)
    return (_letter(higher - 1) if higher else "") + chr(ord("A") + last)
