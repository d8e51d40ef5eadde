"""One's own results as points: the best VALID test of each system, model and way to run it."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from sweep.dashboard.benchmarks import bound_ns
from sweep.dashboard.points import DashboardPoint, Source
from sweep.datasets.digits import times_over_text
from sweep.report.configuration import warnings_of
from sweep.report.groups import groups_of
from sweep.results.environments import hardware
from sweep.results.selection import Selection
from sweep.store.records import StoredTrial
from sweep.trial.result import TrialResult
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import RunClass, TestMode, TrialState, Verdict, Weights

_NS_PER_MS = 1e6
_DOUBTS = {Weights.NONE: "simulated", Weights.SYNTHETIC: "synthetic weights"}
_SAID_ALREADY = ("stand-in engine", "imported from")
"""How a record's own notes begin on what its warnings say too."""

_ENGINES = ("tensorrt", "onnxruntime", "onnxruntime-gpu", "tensorrt-rtx")


def own_points(selection: Selection) -> tuple[DashboardPoint, ...]:
    """Return the best of what was measured here, or imported into an output folder.

    A point stands for the VALID performance tests that share system, model, weights, precision, engine, scenario,
    rules, bound and length: with a bound on latency it is that of the largest N; without one, that of the lowest
    latency among tests of its N. Short tests of a search, which show nothing VALID, are none.
    """
    tests = [stored for group in groups_of(selection) for stored, is_short in group.trials.values() if not is_short]
    unique = {stored.directory: stored for stored in tests}
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
        valid = [one for one in group if one.result.result is Verdict.VALID and _value(one.result) is not None]
        if valid:
            best = max(valid, key=_merit)
            points.append(_point(best, group, accuracies.get(_model_key(best.result))))
    return tuple(points)


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
        *(spec.scenario, rules.edition, rules.target_latency_ns, rules.percentile, spec.run.run_class),
        None if rules.target_latency_ns is not None else spec.samples_per_query,
    )


def _value(result: TrialResult) -> int | None:
    """Return N where a bound makes it the result, else the latency in ns: LoadGen's own estimate where it has one."""
    if result.spec.rules.target_latency_ns is not None:
        return result.spec.samples_per_query
    return result.early_stopping_estimate_ns or result.percentile_ns


def _merit(stored: StoredTrial) -> tuple[int, str]:
    result = stored.result
    value = _value(result) or 0
    return (value if result.spec.rules.target_latency_ns is not None else -value, result.timing.started_at)


def _point(stored: StoredTrial, alike: Sequence[StoredTrial], accuracy: TrialResult | None) -> DashboardPoint:
    result = stored.result
    spec, imported, environment = result.spec, result.imported, result.environment
    bound = spec.rules.target_latency_ns
    percentile = f"p{spec.rules.percentile:g}"
    gpu = _gpu(environment, every=imported is not None)
    cpu = str(environment.get("cpu") or "")
    host = str(environment.get("hostname") or "")
    machine = f"{gpu or cpu or 'machine that is not known'}{f' ({host})' if host else ''}"
    return DashboardPoint(
        source=Source.OWN if imported is None else Source.IMPORTED,
        round=f"{spec.rules.edition} rules",
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
        metric="samples_per_query" if bound is not None else f"{percentile}_latency_ns",
        value=float(_value(result) or 0),
        verdict=str(result.result),
        samples_per_query=spec.samples_per_query,
        p99_ns=None if result.latencies is None else result.latencies.percentiles.get("p99"),
        bound_ns=bound,
        accuracy_percent=None if accuracy is None or accuracy.accuracy is None else accuracy.accuracy.accuracy,
        precision=str(spec.precision),
        run_class=str(spec.run.run_class),
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
    if spec.run.run_class is not RunClass.OFFICIAL:
        yield f"{spec.run.run_class} run, not official: {result.query_count} queries"
    yield from warnings_of(spec)
    if spec.rules.target_latency_ns is not None:
        bound_ms = spec.rules.target_latency_ns / _NS_PER_MS
        if spec.rules.percentile != 99:
            yield f"bound on p{spec.rules.percentile:g}, not p99"
        best = spec.samples_per_query
        failed = sorted(
            {
                one.result.spec.samples_per_query
                for one in alike
                if one.result.result is Verdict.INVALID and one.result.spec.samples_per_query <= best
            }
        )
        if failed:
            yield f"INVALID at N={', '.join(map(str, failed[:5]))} within the same {bound_ms:g} ms"
    elif result.early_stopping_estimate_ns:
        yield "value is LoadGen's early-stopping estimate"
    if accuracy is not None and accuracy.accuracy is not None:
        dataset = accuracy.spec.dataset
        times = times_over_text(dataset.name, dataset.count)
        yield f"accuracy over {accuracy.accuracy.total} samples of {dataset.name}{f' ({times})' if times else ''}"
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
