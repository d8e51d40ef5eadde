"""What was measured, as names and values: what sets one series of tests apart from another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sweep.datasets.digits import times_over_text
from sweep.report.words import span_of
from sweep.trial.spec import RunSpec, TrialSpec
from sweep.vocabulary import Weights

TITLE = ("model", "precision", "backend")
"""What a series is named by."""

BATCH = "engine batch"
RUN = "run"
LENGTH = "length"

PROBES = "short tests of a search"
"""The run of a series of tests that a search has made and no certificate names; they are of any length."""

EACH = "N"
"""The engine batch of a query that is one launch."""

_DIGEST_CHARACTERS = 19  # of `sha256:...`


def configuration_of(spec: TrialSpec, run: RunSpec | None) -> dict[str, str]:
    """Return everything that two tests must share to be points of one series; N is not among it.

    Args:
        spec: Of a test.
        run: How long the full tests of the series run, since the short ones of a search are shorter; None for short
            ones alone.
    """
    model, rules, dataset = spec.model, spec.rules, spec.dataset
    bound = "none" if rules.target_latency_ns is None else f"{rules.target_latency_ns / 1e6:g} ms"
    calibration = model.calibration or {}
    samples = f"{dataset.count} ({dataset.performance_sample_count} in memory)"
    return {
        "model": model.name,
        "precision": str(spec.precision),
        "backend": spec.backend.name,
        "options": " ".join(f"{key}={_text(value)}" for key, value in sorted(spec.backend.options.items())),
        "kernels": spec.backend.kernels,
        BATCH: EACH if spec.engine_batch == spec.samples_per_query else str(spec.engine_batch),
        "weights": str(model.weights),
        "number format": model.number_format,
        "changed": ", ".join(model.changed),
        "calibration": " ".join(f"{key}={_short(value)}" for key, value in calibration.items()),
        "model file": _short(model.digest),
        "scenario": str(spec.scenario),
        "rules": spec.rules_label,
        "bound": bound,
        "percentile": f"p{rules.percentile:g}",
        "checks": ", ".join(rules.checks),
        RUN: PROBES if run is None else str(replace(spec, run=run).run_class),
        LENGTH: "" if run is None else span_of(run),
        "dataset": dataset.name,
        "samples": ", ".join(
            filter(None, (samples, times_over_text(dataset.name, dataset.count), _short(dataset.digest)))
        ),
        "random seeds": "" if spec.seeds is None else f"those of {spec.seeds}",
    }


def warnings_of(spec: TrialSpec) -> tuple[str, ...]:
    """Return what must be said loudly beside every figure of such a test."""
    model = spec.model
    words = {
        f"simulated engine: backend {spec.backend.name} computes nothing, no figure is a measurement of a model": (
            model.weights is Weights.NONE
        ),
        "imported: another tool measured it, with a model that sweep never saw": model.weights is Weights.UNKNOWN,
        "synthetic weights: latency is the model's, accuracy means nothing": model.weights is Weights.SYNTHETIC,
        f"not the model as it ships: {', '.join(model.changed)}": bool(model.changed),
    }
    return tuple(text for text, holds in words.items() if holds)


def _text(value: Any) -> str:
    return "null" if value is None else str(value)


def _short(value: Any) -> str:
    text = str(value)
    return text[:_DIGEST_CHARACTERS] if text.startswith("sha256:") else text
