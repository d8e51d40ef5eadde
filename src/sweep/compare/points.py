"""What one side of a comparison has measured: points, each with a key that says of what, and an estimate."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sweep.compare.accuracy import accuracy_estimate
from sweep.compare.estimate import Estimate, Metric
from sweep.compare.keys import Key, files_of, key_of, search_key
from sweep.compare.latency import TestLatencies, latency_estimate
from sweep.compare.max_streams import max_streams_estimate
from sweep.compare.noise import combine
from sweep.results.selection import SearchRecord, Selection
from sweep.store.records import StoredTrial
from sweep.study.answer_tests import of_the_answer
from sweep.study.observe import stored_latencies
from sweep.trial.imported import IMPORTED
from sweep.vocabulary import RunClass, TestMode, TrialState, Verdict


@dataclass(frozen=True)
class Point:
    """One figure of one side.

    Attributes:
        metric: Which.
        key: What it is a figure of: model, precision, backend, rules, ... and, for a latency, N.
        estimate: Its value and uncertainty.
        environment: Fingerprint of machine and software.
        environment_digest: Its digest.
        bound_ns: The latency bound; None where there is none.
        result: In a word: VALID, INVALID, FAILED, or the status of a search; nothing for accuracy.
        commit: Of sweep's checkout, where there was one.
        files: Which model file and data, by digest.
        disturbed: Tests that heat, another process on the GPU or a busy machine disturbed.
        is_asked: Whether it was asked for by itself; the tests of a search are chosen by the search.
        measured_at: When its last test was started, UTC, ISO 8601.
        sessions: How many commands measured it.
        left_out: Tests that have no figure, as they were stopped early or FAILED, and so do not count.
        is_complete: Whether it was measured to its end; a search may be stopped by its budget.
        least_ns: Where most tests were stopped early, as INVALID, so that there is no percentile: what that is at
            least, which is the bound or, where that is longer, their median. None otherwise.
    """

    metric: Metric
    key: Key
    estimate: Estimate
    environment: Mapping[str, Any]
    environment_digest: str
    bound_ns: int | None
    result: str
    commit: str | None
    files: Key
    disturbed: int
    is_asked: bool
    measured_at: str
    sessions: int = 1
    left_out: int = 0
    is_complete: bool = True
    least_ns: int | None = None

    @property
    def is_cut_short(self) -> bool:
        """Whether most of its tests were stopped early, as INVALID, so that there is no latency to compare."""
        return self.least_ns is not None


def points_of(selection: Selection, *, newest: bool = False) -> tuple[Point, ...]:
    """Return every figure of some results: max streams of searches, latencies at each N, accuracies.

    Tests of one point count together, wherever copies of their records lie; those of two models of one name do not.
    Short tests, which give no verdict on N, are no points.

    Args:
        selection: The results.
        newest: Whether to take, of each point, what the last command measured alone.
    """
    points = [*_searches(selection.searches, newest=newest), *_tests(selection, newest=newest)]
    files: dict[tuple[Metric, Key, str], set[Key]] = {}
    for one in points:
        files.setdefault((one.metric, one.key, one.environment_digest), set()).add(one.files)
    return tuple(
        replace(one, key=(*one.key, *one.files)) if len(files[one.metric, one.key, one.environment_digest]) > 1 else one
        for one in points
    )


def _searches(searches: Sequence[SearchRecord], *, newest: bool) -> Iterator[Point]:
    by_key: dict[Hashable, list[SearchRecord]] = {}
    for search in searches:
        if (first := _first(search)) is not None:
            files = files_of(search.saved.plan.spec)
            by_key.setdefault((search_key(search), files, first.result.environment_digest), []).append(search)
    for group in by_key.values():
        independent = _independent(group)
        last = independent[0]
        if (first := _first(last)) is None:
            continue
        estimate = _estimate(last)
        others = [] if newest or estimate.value is None else [_estimate(one) for one in independent[1:]]
        counted = independent[: 1 + len(others)]
        yield Point(
            metric=Metric.MAX_STREAMS,
            key=search_key(last),
            estimate=_mean([estimate, *others]),
            environment=first.result.environment,
            environment_digest=first.result.environment_digest,
            bound_ns=last.saved.plan.question.target_latency_ns,
            result=str(last.saved.certificate.status),
            commit=_commit(first),
            files=files_of(last.saved.plan.spec),
            disturbed=sum(bool(test.result.disturbances) for one in counted for test in one.tests if test is not None),
            is_asked=True,
            measured_at=_last_started(last)[0],
            sessions=sum(one.value is not None for one in (estimate, *others)),
            left_out=sum(one.value is None for one in others),
            is_complete=last.saved.certificate.is_complete,
        )


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of repeats; an answer that is open above is not averaged with one that is not."""
    first = estimates[0]
    return combine([one for one in estimates if one.value is None or (one.high is None) == (first.high is None)])


def _estimate(search: SearchRecord) -> Estimate:
    saved = search.saved
    if saved.failure:
        return Estimate.unknown(Metric.MAX_STREAMS, saved.failure)
    return max_streams_estimate(
        saved.certificate, saved.plan.question, search.observations(of_the_answer(saved.plan, saved.settings))
    )


def _independent(searches: Iterable[SearchRecord]) -> list[SearchRecord]:
    """Return searches that share no test, newest first: one asked again found the records of the first."""
    kept: list[SearchRecord] = []
    taken: set[Hashable] = set()
    for search in sorted(searches, key=_last_started, reverse=True):
        own = {measurement(test) for test in search.tests if test is not None}
        if not own & taken:
            kept.append(search)
            taken |= own
    return kept


def measurement(stored: StoredTrial) -> Hashable:
    """Return what a record is a record of, wherever a copy of it lies."""
    result = stored.result
    # Tests that are stopped early take less than the second to which the time of their start is known.
    own = (result.spec_digest, result.environment_digest, result.timing.started_at, result.attempt)
    # When an imported one was started may not be known, and then several have one time.
    return own if result.imported is None else (*own, result.imported.entry, result.imported.point)


def _last_started(search: SearchRecord) -> tuple[str, int, str]:
    started = [test.result.timing.started_at for test in search.tests if test is not None]
    return max(started, default=""), len(started), str(search.path)


def _first(search: SearchRecord) -> StoredTrial | None:
    return next((test for test in search.tests if test is not None), None)


def _tests(selection: Selection, *, newest: bool) -> Iterator[Point]:
    commands = _commands(selection)
    searched = {
        measurement(test): said.asked_query_count is None
        for search in selection.searches
        for test, said in zip(search.tests, search.saved.tests, strict=True)
        if test is not None
    }
    by_key: dict[Hashable, dict[Hashable, StoredTrial]] = {}
    for stored in selection.trials:
        own = measurement(stored)
        is_full = searched.get(own, stored.result.spec.run.run_class is not RunClass.CUSTOM)
        is_full = is_full or stored.result.imported is not None
        if is_full or own in commands:
            spec = stored.result.spec
            place = key_of(spec), files_of(spec), stored.result.environment_digest
            by_key.setdefault(place, {})[own] = stored  # a copy of it is no other test
    for tests in by_key.values():
        group = sorted(tests.values(), key=lambda one: one.result.timing.started_at)
        if newest:
            group = _of_last_command(group, commands)
        asked_for = [own for own in map(measurement, group) if own in commands or not selection.sweeps]
        sessions = {commands.get(measurement(one), measurement(one)) for one in group}
        yield _point(group, is_asked=bool(asked_for), sessions=len(sessions))


def _commands(selection: Selection) -> dict[Hashable, str]:
    """Return the tests that commands without a search ran, and the last of these commands, by its folder."""
    return {
        measurement(one): str(sweep.paths.directory)
        for sweep in selection.sweeps
        if not sweep.searches and not sweep.has_certificates
        for one in sweep.trials
    }


def _of_last_command(group: Sequence[StoredTrial], commands: Mapping[Hashable, str]) -> list[StoredTrial]:
    last = commands.get(measurement(group[-1]))
    return [one for one in group if last is not None and commands.get(measurement(one)) == last] or [group[-1]]


def _point(group: Sequence[StoredTrial], *, is_asked: bool, sessions: int) -> Point:
    """Return the point of some tests, oldest first."""
    last = group[-1]
    spec = last.result.spec
    is_accuracy = spec.mode is TestMode.ACCURACY
    least = None if is_accuracy else _least(group)
    estimate = _accuracy(group) if is_accuracy else _latency(group, spec.rules.percentile, least)
    return Point(
        metric=Metric.ACCURACY if is_accuracy else Metric.LATENCY,
        key=key_of(spec),
        estimate=estimate,
        environment=last.result.environment,
        environment_digest=last.result.environment_digest,
        bound_ns=None if is_accuracy else spec.rules.target_latency_ns,
        result=_result(last) if least is None else str(Verdict.INVALID),
        commit=_commit(last),
        files=files_of(spec),
        disturbed=sum(bool(one.result.disturbances) for one in group),
        is_asked=is_asked,
        measured_at=last.result.timing.started_at,
        sessions=sessions,
        left_out=0 if estimate.value is None else len(group) - estimate.tests,
        least_ns=least,
    )


def _least(group: Sequence[StoredTrial]) -> int | None:
    """Return what the percentile is at least where no less than half of the tests were stopped early; else None."""
    complete = [one for one in group if one.result.state is TrialState.COMPLETE]
    stopped = [one for one in complete if one.result.aborted is not None]
    if not stopped or 2 * len(stopped) < len(complete) or group[-1].result.state is TrialState.FAILED:
        return None
    medians = [int(np.median(seen)) for one in stopped if (seen := stored_latencies(one.directory)).size]
    bound = group[-1].result.spec.rules.target_latency_ns or 0
    return max([bound, *(medians and [int(np.median(medians))])])


def _latency(group: Sequence[StoredTrial], percentile: float, least_ns: int | None) -> Estimate:
    if group[-1].result.state is TrialState.FAILED:
        return Estimate.unknown(Metric.LATENCY, _failures(group[-1:]))
    if least_ns is not None:
        return Estimate.unknown(Metric.LATENCY, f"INVALID, stopped early: over {least_ns / 1e6:.4g} ms")
    whole = [one for one in group if one.result.state is TrialState.COMPLETE and one.result.aborted is None]
    return combine([_of_one(one, percentile) for one in whole])


def _of_one(stored: StoredTrial, percentile: float) -> Estimate:
    """Return the latency that LoadGen gave, which the verdict rests on; its queries' say how uncertain it is."""
    latencies, figure = stored_latencies(stored.directory), stored.result.percentile_ns
    estimate = latency_estimate([TestLatencies(latencies)], percentile)
    if stored.result.imported is not None and figure is not None and not latencies.size:
        came = f"{IMPORTED} {stored.result.imported.source} without the latencies of its queries"
        return Estimate.unknown(Metric.LATENCY, f"{came}: how uncertain its {figure / 1e6:.4g} ms is, nobody knows")
    if estimate.value is None or figure is None:
        gone = "the file of its latencies is gone or damaged, so that nobody knows how uncertain it is"
        return estimate if latencies.size else Estimate.unknown(Metric.LATENCY, gone)
    return replace(estimate, value=float(figure), low=float(figure), high=float(figure))


def _accuracy(group: Sequence[StoredTrial]) -> Estimate:
    if group[-1].result.accuracy is None:
        return Estimate.unknown(Metric.ACCURACY, _failures(group[-1:]))
    scores = [one.result.accuracy for one in group if one.result.accuracy is not None]
    counts = [(one.good, one.total) for one in scores if one.good is not None and one.total is not None]
    if len(counts) < len(scores):
        why = f"{scores[-1]}: without counts nobody knows how uncertain it is"
        return Estimate.unknown(Metric.ACCURACY, why)
    mean = combine([accuracy_estimate(*count) for count in counts])
    return replace(mean, tests=len(scores))


def _failures(group: Sequence[StoredTrial]) -> str:
    why = dict.fromkeys(one.result.failure.message for one in group if one.result.failure is not None)
    return f"FAILED: {'; '.join(why)}" if why else "no result"


def _result(stored: StoredTrial) -> str:
    result = stored.result
    if result.state is TrialState.FAILED:
        return str(TrialState.FAILED)
    return "" if result.result is None else str(Verdict(result.result))


def _commit(stored: StoredTrial) -> str | None:
    commit = stored.result.environment.get("git")
    return None if commit is None else str(commit)
