"""One's own results as points: the best VALID test of each system, model and way to run it."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from sweep.dashboard.benchmarks import bound_ns
from sweep.dashboard.points import DashboardPoint, Source
from sweep.dashboard.table import metric_key
from sweep.datasets.digits import times_over_text
from sweep.report.configuration import warnings_of
from sweep.report.groups import groups_of
from sweep.results.environments import hardware
from sweep.results.largest import shown_by_n
from sweep.results.selection import Selection
from sweep.store.records import StoredTrial
from sweep.trial.result import TrialResult
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import RunClass, Scenario, TestMode, TrialState, Verdict, Weights

_NS_PER_MS = 1e6
_DOUBTS = {Weights.NONE: "simulated", Weights.SYNTHETIC: "synthetic weights"}
_SAID_ALREADY = ("stand-in engine", "imported from")
"""How a record's own notes begin on what its warnings say too."""

_RATES = (Scenario.SERVER, Scenario.OFFLINE)
"""Scenarios whose result is a rate; sweep itself runs neither."""

_ENGINES = ("tensorrt", "onnxruntime", "onnxruntime-gpu", "tensorrt-rtx")


def own_points(selection: Selection) -> tuple[DashboardPoint, ...]:
    """Return the best of what was measured here, or imported into an output folder.

    A point stands for the VALID performance tests that share system, model, weights, precision, engine, scenario,
    rules, bound and length: with a bound on latency it is that of the largest N that was never INVALID by the same
    setting; without one, that of the lowest latency among tests of its N. Short tests of a search, which show nothing
    VALID, are none.
    """
    series = [[stored for stored, is_short in group.trials.values() if not is_short] for group in groups_of(selection)]
    unique = {stored.directory: stored for tests in series for stored in tests}
    no_answers = {stored.directory for tests in series for stored in _no_answers(tests)}
    accuracies = {
        _model_key(stored.result): stored.result
        for stored in selection.trials
        if stored.result.spec.mode is TestMode.ACCURACY and stored.result.accuracy is not None
    }
    groups: dict[Hashable, list[StoredTrial]] = {}
    for stored in unique.values():
        if stored.result.state is TrialState.COMPLETE:
            groups.setdefault(_key(stored.result), []).append(stored)
    points = []
    for group in groups.values():
        valid = [one for one in group if one.result.result is Verdict.VALID and one.directory not in no_answers]
        valid = [one for one in valid if _figure(one.result) is not None]
        if valid:
            best = max(valid, key=_merit)
            points.append(_point(best, group, accuracies.get(_model_key(best.result))))
    return tuple(points)


def _no_answers(tests: Sequence[StoredTrial]) -> Iterable[StoredTrial]:
    """Return the tests of one series whose N is no answer within a bound; what others chose to submit is theirs."""
    own = [one for one in tests if one.result.imported is None and one.result.spec.rules.target_latency_ns is not None]
    shown = shown_by_n([one.result for one in own])
    return [one for one in own if not shown[one.result.spec.samples_per_query].is_valid]


def _model_key(result: TrialResult) -> Hashable:
    """Return what two tests share whose answers are the same."""
    spec, imported = result.spec, result.imported
    options = tuple(sorted((key, str(value)) for key, value in spec.backend.options.items()))
    origin = None if imported is None else (imported.source, imported.division, imported.system, imported.benchmark)
    return (
        result.environment_digest,
        *(origin, spec.model.name, spec.model.digest, spec.model.weights, spec.model.changed),
        *(spec.precision, spec.backend.name, options),
    )


def _key(result: TrialResult) -> Hashable:
    """Return what one point stands for: options and versions of an engine are ways to the best, not other points."""
    spec, imported = result.spec, result.imported
    origin = (
        None
        if imported is None
        else (imported.source, imported.division, imported.system, imported.system_name, imported.benchmark)
    )
    rules = spec.rules
    machine = json.dumps(hardware(result.environment), sort_keys=True), result.environment.get("hostname")
    return (
        *machine,
        *(origin, spec.model.name, spec.model.weights, spec.model.changed, spec.precision, spec.backend.name),
        *(spec.scenario, spec.rules_label, rules.target_latency_ns, rules.percentile, spec.run_class),
        None if rules.target_latency_ns is not None or spec.scenario in _RATES else spec.samples_per_query,
    )


def _figure(result: TrialResult) -> tuple[str, float] | None:
    """Return the metric and the value: the rate that LoadGen printed of an imported test of Server or Offline.

    Else N where a bound makes it the result, else the latency in ns: LoadGen's own estimate where it has one.
    """
    spec, imported = result.spec, result.imported
    if spec.scenario in _RATES:
        rate = None if imported is None else imported.metric_value
        return None if imported is None or rate is None else (metric_key(imported.metric), rate)
    if spec.rules.target_latency_ns is not None:
        return "samples_per_query", float(spec.samples_per_query)
    latency_ns = result.early_stopping_estimate_ns or result.percentile_ns
    return None if latency_ns is None else (f"p{spec.rules.percentile:g}_latency_ns", float(latency_ns))


def _merit(stored: StoredTrial) -> tuple[float, str]:
    metric, value = _figure(stored.result) or ("", 0.0)
    return (-value if metric.endswith("_ns") else value, stored.result.timing.started_at)


def _point(stored: StoredTrial, alike: Sequence[StoredTrial], accuracy: TrialResult | None) -> DashboardPoint:
    result = stored.result
    spec, imported, environment = result.spec, result.imported, result.environment
    bound = spec.rules.target_latency_ns
    metric, value = _figure(result) or ("", 0.0)
    gpu = _gpu(environment, every=imported is not None)
    cpu = str(environment.get("cpu") or "")
    host = str(environment.get("hostname") or "")
    machine = f"{gpu or cpu or 'machine that is not known'}{f' ({host})' if host else ''}"
    return DashboardPoint(
        source=Source.OWN if imported is None else Source.IMPORTED,
        round=f"{spec.rules_label} rules",
        division="" if imported is None else imported.division,
        submitter="",
        system_id=host if imported is None else imported.system,
        system=machine if imported is None else imported.system_name or imported.system or machine,
        status="",
        accelerator=gpu,
        accelerators=1 if gpu else 0,
        processor=cpu,
        processors=0,
        software=_software(spec.backend.name, environment),
        benchmark=spec.model.name if imported is None else imported.benchmark or spec.model.name,
        scenario=str(spec.scenario),
        metric=metric,
        value=value,
        verdict=str(result.result),
        samples_per_query=None if spec.scenario in _RATES else spec.samples_per_query,
        p99_ns=None if result.latencies is None else result.latencies.percentiles.get("p99"),
        bound_ns=bound if spec.rules.percentile == 99 else None,
        accuracy_percent=None if accuracy is None or accuracy.accuracy is None else accuracy.accuracy.accuracy,
        precision=str(spec.precision),
        run_class=str(spec.run_class),
        doubt=_DOUBTS.get(spec.model.weights, "") or _other_bound(spec),
        link=str(stored.directory),
        notes="; ".join(dict.fromkeys(_notes(result, alike, accuracy))),
    )


def _other_bound(spec: TrialSpec) -> str:
    """Return that a test was held against another bound than the benchmark of its name is."""
    own = spec.rules.target_latency_ns
    theirs = bound_ns(spec.model.name, str(spec.scenario), "samples_per_query")
    return "" if own is None or theirs is None or own == theirs else f"bound {own / _NS_PER_MS:g} ms"


def _notes(result: TrialResult, alike: Sequence[StoredTrial], accuracy: TrialResult | None) -> Iterable[str]:
    """Yield what to know before the point is set beside others."""
    spec = result.spec
    if spec.run_class is not RunClass.OFFICIAL:
        yield f"{spec.run_class} run, not official: {result.query_count} queries"
    yield from warnings_of(spec)
    if spec.rules.target_latency_ns is not None:
        bound_ms = spec.rules.target_latency_ns / _NS_PER_MS
        if spec.rules.percentile != 99:
            yield f"bound of {bound_ms:g} ms on p{spec.rules.percentile:g}, not p99"
        best = spec.samples_per_query
        invalid = {one.result.spec.samples_per_query for one in alike if one.result.result is Verdict.INVALID}
        failed = sorted(n for n in invalid if n <= best) if spec.scenario is Scenario.MULTI_STREAM else []
        if failed:
            yield f"INVALID at N={', '.join(map(str, failed[:5]))} within the same {bound_ms:g} ms"
    elif result.early_stopping_estimate_ns and spec.scenario not in _RATES:
        yield "value is LoadGen's early-stopping estimate"
    if accuracy is not None and accuracy.accuracy is not None:
        dataset = accuracy.spec.dataset
        times = times_over_text(dataset.name, dataset.count)
        score = accuracy.accuracy
        count = dataset.count if score.total is None else score.total
        yield f"{score.metric} over {count} samples of {dataset.name}{f' ({times})' if times else ''}"
    if result.imported is not None:
        yield f"imported from {result.imported.source}, entry {result.imported.entry}"
    yield from (note for note in result.notes if not note.startswith(_SAID_ALREADY))


def _gpu(environment: Mapping[str, Any], *, every: bool) -> str:
    """Return the GPU that a test ran on: an older test on the CPU lists all there are, without their identifiers.

    Args:
        environment: The fingerprint.
        every: Whether one without an identifier counts too: other tools record none, and only what they used.
    """
    cards = environment.get("gpus")
    used = (
        [card for card in cards if isinstance(card, Mapping) and (every or "uuid" in card)]
        if isinstance(cards, list)
        else []
    )
    return str(used[0].get("name") or "") if used else ""


def _software(backend: str, environment: Mapping[str, Any]) -> str:
    """Return the engine with the versions of what it rests on, as far as they are known."""
    packages = environment.get("packages")
    known = packages if isinstance(packages, Mapping) else {}
    wanted = [name for name in _ENGINES if backend.startswith(name.partition("-")[0])]
    versions = [f"{name} {known[name]}" for name in wanted if known.get(name)]
    return ", ".join([backend, *versions])
