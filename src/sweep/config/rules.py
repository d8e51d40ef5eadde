"""What VALID means and how long a test runs: the keys of the rules, and what may be called official."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sweep.config.fields import Fields
from sweep.config.files import choices, load_choice
from sweep.errors import Problem, choose
from sweep.loadgen.seeds import ROUND_SEEDS
from sweep.trial.spec import RulesSpec, RunSpec
from sweep.trial.verdict import CHECKS
from sweep.vocabulary import RunClass

SAMPLES_PER_QUERY_MAX = 1_000_000
_QUERIES_MAX = 1_000_000_000
_MILLISECONDS_MAX = 7 * 24 * 3600 * 1000
_TARGET_MS_MIN, _TARGET_MS_MAX = 1e-3, 1e7
_PERCENTILE_MIN, _PERCENTILE_MAX = 50, 99.99
_BOUND = "performance_constraint"
_RUN_CLASSES: dict[str, RunClass] = {
    str(run_class): run_class for run_class in RunClass if run_class is not RunClass.CUSTOM
}
_MINIMA = {"min_query_count": (1, _QUERIES_MAX), "min_duration_ms": (0, _MILLISECONDS_MAX)}
_NO_RULES = RulesSpec("none", ("no_errors",), None, 99.0)
"""What stands in for rules that a problem was found with; it is never run."""


def edition_batch(fields: Fields) -> int:
    """Return the samples per query of the edition."""
    return fields.whole("rules.samples_per_query", 1, SAMPLES_PER_QUERY_MAX, 8)


def read_rules(fields: Fields) -> RulesSpec:
    """Return the rules; what is wrong with them is among the problems of `fields`."""
    edition = fields.text("rules.edition")
    if edition and not re.fullmatch(r"[\w.-]+", edition, re.ASCII):
        reason = "must be made of letters, digits, dots, dashes and underscores"
        fields.problems.append(Problem("rules.edition", repr(edition), reason))
        return _NO_RULES
    if changes := list(_changed(edition, fields)):
        fields.problems.extend(changes)
        return _NO_RULES
    checks = fields.texts("rules.checks", CHECKS)
    given, wrong = fields.get("rules.checks"), None
    if "no_errors" not in checks:
        wrong = "a test with errors in its log would be VALID", "add no_errors"
    elif not isinstance(given, list) or len(set(checks)) < len(checks):
        wrong = "must be a list that names each check once", f"for example [{', '.join(dict.fromkeys(checks))}]"
    if wrong is not None:
        fields.problems.append(Problem("rules.checks", shown(given), *wrong))
        return _NO_RULES
    edition_percentile = fields.number("rules.percentile", 0, _PERCENTILE_MAX) or 99.0
    percentile = _read_percentile(fields) or edition_percentile
    known = len(fields.problems)
    own = fields.number("target_latency_ms", _TARGET_MS_MIN, _TARGET_MS_MAX)
    usual = fields.number("model.target_latency_ms", _TARGET_MS_MIN, _TARGET_MS_MAX)
    target = own if own is not None else usual if fields.get("rules.bounded") is True else None
    if len(fields.problems) > known:
        return _NO_RULES
    if target is None and _BOUND in checks:
        fields.problems.append(
            Problem(
                "target_latency_ms", "null", f"rules {edition} need a latency bound", "for example target_latency_ms=50"
            )
        )
        return _NO_RULES
    if target is not None and _BOUND not in checks:
        checks = (*checks, _BOUND)  # a bound that is asked for counts, whatever the edition
    return RulesSpec(edition, checks, None if target is None else round(target * 1e6), percentile)


def _read_percentile(fields: Fields) -> float | None:
    percentile = fields.number("percentile", 0, _PERCENTILE_MAX)
    if percentile is None or percentile >= _PERCENTILE_MIN:
        return percentile
    hint = f"did you mean {100 * percentile:g}? " if _PERCENTILE_MIN <= 100 * percentile < 100 else ""
    fix = f"{hint}give percent, from {_PERCENTILE_MIN} to {_PERCENTILE_MAX:g}"
    fields.problems.append(Problem("percentile", f"{percentile:g}", "most queries would be over the bound", fix))
    return None


def _changed(edition: str, fields: Fields) -> Iterator[Problem]:
    """Yield what differs from an edition of sweep's own: what those say is not up for change."""
    for known in (load_choice("rules", name) for name in choices("rules")):
        if known["edition"] == edition:
            yield from _changes(edition, "rules", fields.get("rules"), known)


def _changes(edition: str, key: str, given: Any, known: Any) -> Iterator[Problem]:
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in known.items():
            yield from _changes(edition, f"{key}.{name}", given.get(name), value)
    elif given != known or isinstance(given, bool) is not isinstance(known, bool):  # 1 equals true
        fix = "rules of your own go into rules/NAME.yaml of a --config-dir, under another edition"
        yield Problem(key, shown(given), f"rules {edition} say {shown(known)}", fix)


def read_run(fields: Fields) -> RunSpec:
    """Return how long the test runs; what is wrong with that is among the problems of `fields`."""
    run_class = fields.member("run", RunClass, _RUN_CLASSES)
    usual = _run_class_minima(fields, run_class)
    run = RunSpec(
        run_class=run_class,
        min_query_count=fields.whole("min_query_count", 1, _QUERIES_MAX, usual["min_query_count"]),
        max_query_count=fields.whole("max_query_count", 1, _QUERIES_MAX, 0),
        min_duration_ms=fields.whole("min_duration_ms", 0, _MILLISECONDS_MAX, usual["min_duration_ms"]),
        max_duration_ms=fields.whole("max_duration_ms", 1, _MILLISECONDS_MAX, 0),
    )
    if run_class is not RunClass.OFFICIAL and any(getattr(run, key) < least for key, least in usual.items()):
        run = replace(run, run_class=RunClass.CUSTOM)  # nobody's screening run has ten queries
    for low, high in (("min_query_count", "max_query_count"), ("min_duration_ms", "max_duration_ms")):
        least, most = getattr(run, low), getattr(run, high)
        if most and most < least:
            reason = f"conflicts with {low}={least}, which the test must reach"
            fields.problems.append(Problem(high, most, reason, f"set {high} to {least} or more, or lower {low}"))
    return run


def read_seeds(fields: Fields) -> str | None:
    """Return the round whose random seeds are used; None for LoadGen's own."""
    seeds = fields.get("seeds")
    if seeds is None or (isinstance(seeds, str) and seeds in ROUND_SEEDS):
        return seeds
    fix = f"{choose(str(seeds), tuple(ROUND_SEEDS))}, or null for LoadGen's own"
    fields.problems.append(Problem("seeds", shown(seeds), "no seeds of such a round are known", fix))
    return None


def _run_class_minima(fields: Fields, run_class: RunClass) -> dict[str, int]:
    given = fields.get("rules.run_classes")
    if not isinstance(given, dict) or not isinstance(given.get(run_class), dict):
        known = given if isinstance(given, dict) else {}
        reason = f"rules {fields.get('rules.edition')} do not say how long that is"
        fields.problems.append(Problem("run", run_class, reason, choose(run_class, known)))
    key = f"rules.run_classes.{run_class}"
    return {name: fields.whole(f"{key}.{name}", low, high, low) for name, (low, high) in _MINIMA.items()}


def check_official(
    fields: Fields,
    shipped: Sequence[Mapping[str, Any]],
    rules: RulesSpec,
    run: RunSpec,
    batch: int,
    held: int | None,
    backend_options: Mapping[str, Any],
) -> None:
    """Refuse to call official what the rules would not.

    Args:
        fields: The configuration; problems go there.
        shipped: The configurations whose bounds the model is held to: `models_as_shipped`.
        rules: As read from it.
        run: As read from it.
        batch: Samples per query.
        held: Samples in memory; None when they are not known.
        backend_options: Of the engine, in full.
    """
    usual = _run_class_minima(fields, run.run_class)
    bound_ms = min((bound for model in shipped if (bound := model.get("target_latency_ms")) is not None), default=None)
    samples = max((least for model in shipped if (least := model.get("performance_sample_count"))), default=None)
    bounded = fields.get("rules.bounded") is True
    edition_percentile = fields.number("rules.percentile", 0, _PERCENTILE_MAX) or 0.0

    def require(key: str, value: object, needed: str, *, holds: bool) -> None:
        if not holds:
            reason = f"an official {rules.edition} run has {needed}"
            fix = "leave it out, or use run=screening"
            fields.problems.append(Problem(key, value, reason, fix))

    samples_at = backend_options.get("samples", "host")
    require("backend.samples", samples_at, "its samples on the host", holds=samples_at == "host")
    engine = backend_options.get("engine")
    require("backend.engine", engine, "an engine that is built of its model", holds=engine is None)
    for key, least in usual.items():
        require(key, getattr(run, key), f"{least} at least", holds=getattr(run, key) >= least)
    require(
        "percentile", f"{rules.percentile:g}", f"{edition_percentile:g}", holds=rules.percentile == edition_percentile
    )
    if bounded and bound_ms is not None and rules.target_latency_ns is not None:
        target_ms = rules.target_latency_ns / 1e6
        require("target_latency_ms", f"{target_ms:g}", f"{bound_ms:g} at most", holds=target_ms <= bound_ms)
    if held is not None and samples is not None:
        require("performance_sample_count", held, f"{samples} at least", holds=held >= samples)
    if not bounded:  # the metric is the latency of the edition's own N
        require("batch", batch, str(edition_batch(fields)), holds=batch == edition_batch(fields))


def models_as_shipped(model: Mapping[str, Any], choice: str) -> list[Mapping[str, Any]]:
    """Return sweep's own files for a model, whose bounds are fixed, under whatever name it goes; else its own.

    Args:
        model: Its configuration, with the name that records have.
        choice: The name of that configuration.
    """

    def is_of(file: Mapping[str, Any]) -> bool:
        same = any(file[key] is not None and file[key] == model.get(key) for key in ("architecture", "reference_url"))
        return same or file["name"] in (model.get("name"), choice)

    return [file for name in choices("model") if is_of(file := load_choice("model", name))] or [model]


def shown(value: object) -> str:
    """Return a configuration value as it is typed, nearly."""
    return json.dumps(value).replace('"', "")
