"""What one side of a comparison has measured: points, each with a key that says of what, and an estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweep.compare.accuracy import accuracy_estimate
from sweep.compare.estimate import Estimate, Metric
from sweep.compare.latency import TestLatencies, latency_estimate
from sweep.compare.max_streams import max_streams_estimate
from sweep.compare.noise import combine
from sweep.results.selection import SearchRecord, Selection
from sweep.store.records import StoredTrial
from sweep.study.observe import stored_latencies
from sweep.trial.spec import TrialSpec
from sweep.trial.trial import DISTURBANCES
from sweep.vocabulary import TestMode, TrialState, Verdict

N = "samples_per_query"
ENVIRONMENT = "environment"
_SAME_AS_N = "N"

Key = tuple[tuple[str, str], ...]
"""Names and values, in order."""


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
        model_digest: Of the model's file.
        disturbed: Tests that heat, another process on the GPU or a busy machine disturbed.
        is_asked: Whether it was asked for by itself; the tests of a search are chosen by the search.
        measured_at: When its last test was started, UTC, ISO 8601.
        is_cut_short: Whether every test was stopped early, as INVALID, so that there is no latency to compare.
    """

    metric: Metric
    key: Key
    estimate: Estimate
    environment: Mapping[str, Any]
    environment_digest: str
    bound_ns: int | None
    result: str
    commit: str | None
    model_digest: str
    disturbed: int
    is_asked: bool
    measured_at: str
    is_cut_short: bool = False


def points_of(selection: Selection) -> tuple[Point, ...]:
    """Return every figure of some results: max streams of searches, latencies at each N, accuracies.

    Tests of one point count together. Short tests, which give no verdict on N, are no points.
    """
    return (*_searches(selection.searches), *_tests(selection))


def _searches(searches: Sequence[SearchRecord]) -> Iterator[Point]:
    by_key: dict[tuple[Key, str], list[SearchRecord]] = {}
    for search in searches:
        if (first := _first(search)) is not None:
            place = _search_key(search), first.result.environment_digest
            by_key.setdefault(place, []).append(search)
    for (key, digest), group in by_key.items():
        independent = _independent(group)
        newest = independent[0]
        first = _first(newest)
        if first is None:
            continue
        yield Point(
            metric=Metric.MAX_STREAMS,
            key=key,
            estimate=combine([_estimate(one) for one in independent]),
            environment=first.result.environment,
            environment_digest=digest,
            bound_ns=newest.saved.plan.question.target_latency_ns,
            result=str(newest.saved.certificate.status),
            commit=_commit(first),
            model_digest=newest.saved.plan.spec.model.digest,
            disturbed=sum(_is_disturbed(test) for one in independent for test in one.tests if test is not None),
            is_asked=True,
            measured_at=_last_started(newest)[0],
        )


def _estimate(search: SearchRecord) -> Estimate:
    saved = search.saved
    if failed := saved.data["failure"] or ("the accuracy is too low" if saved.data["accuracy_failed"] else ""):
        return Estimate.unknown(Metric.MAX_STREAMS, failed)
    return max_streams_estimate(saved.certificate, saved.plan.question, search.observations(_of_the_answer(search)))


def _of_the_answer(search: SearchRecord) -> Callable[[TrialSpec], bool]:
    """Return which tests the answer rests on: of a joint search, those under the setting that has won."""
    settings, plan = search.saved.data["settings"], search.saved.plan
    if not settings:
        return lambda _: True
    best = max(settings, key=lambda one: one["max_streams"] or 0)["setting"]
    batch = best.get("engine_batch")

    def wanted(spec: TrialSpec) -> bool:
        own = spec.samples_per_query if batch is None else min(batch, spec.samples_per_query)
        is_batch = "engine_batch" not in best or spec.engine_batch == own
        return is_batch and (spec.backend, spec.precision) == (plan.spec.backend, plan.spec.precision)

    return wanted


def _independent(searches: Iterable[SearchRecord]) -> list[SearchRecord]:
    """Return searches that share no test, newest first: one asked again found the records of the first."""
    kept: list[SearchRecord] = []
    taken: set[Path] = set()
    for search in sorted(searches, key=_last_started, reverse=True):
        own = {test.directory.resolve() for test in search.tests if test is not None}
        if not own & taken:
            kept.append(search)
            taken |= own
    return kept


def _last_started(search: SearchRecord) -> tuple[str, int, str]:
    started = [test.result.timing.started_at for test in search.tests if test is not None]
    return max(started, default=""), len(started), str(search.path)


def _first(search: SearchRecord) -> StoredTrial | None:
    return next((test for test in search.tests if test is not None), None)


def _tests(selection: Selection) -> Iterator[Point]:
    asked = {one.directory.resolve() for sweep in selection.sweeps if not sweep.searches for one in sweep.trials}
    searched = _full_tests(selection.searches)
    by_key: dict[tuple[Key, str], list[StoredTrial]] = {}
    for stored in selection.trials:
        place = stored.directory.resolve()
        if searched.get(place, True) or place in asked:
            where = _key(stored.result.spec), stored.result.environment_digest
            by_key.setdefault(where, []).append(stored)
    for (key, digest), group in by_key.items():
        is_asked = any(_is_asked(one.directory.resolve(), asked, searched) for one in group)
        yield _point(key, digest, group, is_asked=is_asked)


def _is_asked(place: Path, asked: set[Path], searched: Mapping[Path, bool]) -> bool:
    return place in asked or place not in searched


def _full_tests(searches: Iterable[SearchRecord]) -> dict[Path, bool]:
    """Return the tests of searches, and whether each was a full one."""
    return {
        test.directory.resolve(): said["is_full"]
        for search in searches
        for test, said in zip(search.tests, search.saved.data["tests"], strict=True)
        if test is not None
    }


def _point(key: Key, digest: str, group: Sequence[StoredTrial], *, is_asked: bool) -> Point:
    newest = max(group, key=lambda one: one.result.timing.started_at)
    spec = newest.result.spec
    is_accuracy = spec.mode is TestMode.ACCURACY
    return Point(
        metric=Metric.ACCURACY if is_accuracy else Metric.LATENCY,
        key=key,
        estimate=_accuracy(group) if is_accuracy else _latency(group, spec.rules.percentile),
        environment=newest.result.environment,
        environment_digest=digest,
        bound_ns=None if is_accuracy else spec.rules.target_latency_ns,
        result=_result(newest),
        commit=_commit(newest),
        model_digest=spec.model.digest,
        disturbed=sum(_is_disturbed(one) for one in group),
        is_asked=is_asked,
        measured_at=newest.result.timing.started_at,
        is_cut_short=all(one.result.aborted is not None for one in group),
    )


def _latency(group: Sequence[StoredTrial], percentile: float) -> Estimate:
    complete = [one.result for one in group if one.result.state is TrialState.COMPLETE]
    if not complete:
        return Estimate.unknown(Metric.LATENCY, _failures(group))
    tests = [
        TestLatencies(stored_latencies(one.directory), is_aborted=one.result.aborted is not None)
        for one in group
        if one.result.state is TrialState.COMPLETE
    ]
    return latency_estimate(tests, percentile)


def _accuracy(group: Sequence[StoredTrial]) -> Estimate:
    scores = [one.result.accuracy for one in group if one.result.accuracy is not None]
    if not scores:
        return Estimate.unknown(Metric.ACCURACY, _failures(group))
    return combine([accuracy_estimate(score.good, score.total) for score in scores])


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


def _is_disturbed(stored: StoredTrial) -> bool:
    return any(note.startswith(DISTURBANCES) for note in stored.result.notes)


def _search_key(search: SearchRecord) -> Key:
    """Return what max streams is of; a joint search's is that of all settings that it tried."""
    specs = [test.result.spec for test in search.tests if test is not None]
    # An engine's batch is cut to N, so only the largest N shows what was asked for.
    widest = max(specs, key=lambda spec: spec.samples_per_query)
    plan = search.saved.plan.spec
    spec = replace(plan, samples_per_query=widest.samples_per_query, engine_batch=widest.engine_batch)
    tried = sorted({name for one in search.saved.data["settings"] for name in one["setting"]})
    key = [(name, value) for name, value in _key(spec, leave_out=tried) if name != N]
    return (*key, ("search_space", " ".join(tried))) if tried else tuple(key)


def _key(spec: TrialSpec, leave_out: Sequence[str] = ()) -> Key:
    """Return what a figure is of, as far as it applies; what it was measured on is no part of it.

    Args:
        spec: Of a test.
        leave_out: Keys of the command line that a search chose by itself.
    """
    options = " ".join(
        f"{name}={value}" for name, value in sorted(spec.backend.options.items()) if f"backend.{name}" not in leave_out
    )
    key = {
        "model": spec.model.name,
        "weights": str(spec.model.weights),
        "model_changed": ", ".join(spec.model.changed),
        "precision": str(spec.precision),
        "calibration": _calibration(spec),
        "backend": spec.backend.name,
        "backend_options": options,
        "dataset": spec.dataset.name,
        "scenario": str(spec.scenario),
    }
    if spec.mode is TestMode.ACCURACY:
        key["sample_count"] = str(spec.dataset.count)
        return tuple(key.items())
    rules = spec.rules
    key |= {
        "engine_batch": _SAME_AS_N if spec.engine_batch == spec.samples_per_query else str(spec.engine_batch),
        "rules": rules.edition,
        "run_class": str(spec.run.run_class),
        "min_query_count": str(spec.run.min_query_count),
        "min_duration_ms": str(spec.run.min_duration_ms),
        "target_latency_ms": "none" if rules.target_latency_ns is None else f"{rules.target_latency_ns / 1e6:g}",
        "percentile": f"{rules.percentile:g}",
    }
    key[N] = str(spec.samples_per_query)
    return tuple((name, value) for name, value in key.items() if name not in leave_out)


def _calibration(spec: TrialSpec) -> str:
    calibration = spec.model.calibration
    if calibration is None:
        return ""
    return " ".join(f"{name}={calibration[name]}" for name in ("dataset", "count", "method") if name in calibration)
