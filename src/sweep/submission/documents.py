"""The texts of a submission: what was run, how to run it again, and how weights were quantised."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from sweep.datasets.digits import times_over
from sweep.loadgen.accuracy import Accuracy
from sweep.results.environments import describe
from sweep.submission.evidence import Evidence
from sweep.submission.machine import packages_of
from sweep.submission.plan import Chosen, Plan
from sweep.submission.reproduce import command_of
from sweep.trial.result import TrialResult
from sweep.vocabulary import Weights

_SETTINGS = (
    *("min_duration_ms", "max_duration_ms", "min_query_count", "max_query_count", "performance_sample_count"),
    *("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"),
)
_OF_SCENARIO = ("samples_per_query", "target_qps", "target_latency_ns", "target_latency_percentile")
_KEYS = {
    "min_duration_ms": "min_duration",
    "max_duration_ms": "max_duration",
    "performance_sample_count": "performance_sample_count_override",
}
"""What mlperf.conf calls settings that the log has other names for."""


def system_json(plan: Plan, system: str) -> str:
    """Return the description of a system: the fields of the round, in its order."""
    facts = {**plan.systems[system], "division": plan.division, "submitter": plan.submitter}
    return _json({field: facts[field] for field in plan.rules.system_fields})


def measurements_json(one: Chosen) -> str:
    """Return the measurements file of a result."""
    return _json(one.measurements)


def mapping_json(plan: Plan) -> str:
    """Return which benchmarks models of other names stand for."""
    return _json(plan.mapping)


def accuracy_txt(accuracy: Accuracy, digest: str) -> str:
    """Return the score, as the reference scripts print it, and the hash of the whole log of answers.

    Args:
        accuracy: The score.
        digest: SHA-256 (hex).
    """
    return f"{accuracy}\nhash={digest}\n"


def mlperf_conf(one: Chosen) -> str:
    """Return an mlperf.conf that sets what a test ran with, since sweep and later LoadGens have no such file."""
    evidence = one.performance
    lines = [
        "# Made by sweep of the settings that LoadGen logged as effective in the performance test.",
        *(f"*.*.{_KEYS.get(name, name)} = {value}" for name, value in _said(evidence, _SETTINGS)),
    ]
    for name, value in _said(evidence, _OF_SCENARIO):
        if name == "target_latency_ns":
            lines.append(f"*.{one.result.spec.scenario}.target_latency = {value / 1e6:g}")
        elif name == "target_latency_percentile":
            lines.append(f"*.{one.result.spec.scenario}.{name} = {100 * value:g}")
        else:
            lines.append(f"*.{one.result.spec.scenario}.{name} = {value}")
    return "\n".join(lines) + "\n"


def result_readme(one: Chosen) -> str:
    """Return how a result was measured, and the commands that measure it again."""
    result, imported = one.result, one.result.imported
    accuracy = one.accuracy.result
    notes = [f"- Note: {note}" for note in dict.fromkeys((*result.notes, *accuracy.notes))]
    lines = [
        f"# {one.folder}, {result.spec.scenario}, {one.system}",
        "",
        f"Result: {one.metric}; {accuracy.accuracy}.",
        "",
    ]
    if imported is not None:
        lines += [
            f"Measured by another program, {one.implementation}, and imported from {imported.source}:",
            f"entry `{imported.entry}`, point `{imported.point}`. What it was told:",
            "",
            *(f"- `{key}={value}`" for key, value in sorted(imported.settings.items())),
            "",
            *notes,
        ]
        return "\n".join(lines) + "\n"
    lines += [
        "Performance:",
        "",
        f"    {command_of(result.spec)}",
        "",
        "Accuracy:",
        "",
        f"    {command_of(accuracy.spec)}",
        "",
        *_subject(result),
        f"- Machine and software: {describe(result.environment)}",
        *notes,
    ]
    return "\n".join(lines) + "\n"


def _subject(result: TrialResult) -> Iterator[str]:
    model, dataset = result.spec.model, result.spec.dataset
    yield f"- Model: {model.name}, {model.weights} weights, {model.number_format}, {model.digest}"
    if model.weights is Weights.USER:
        yield "- FILE.onnx stands for the file of the model, which is the submitter's own"
    if model.changed:
        yield f"- Changed of the model as it ships: {', '.join(model.changed)}"
    count, times = times_over(result.spec.dataset.name, result.spec.dataset.count)
    over = f", {times} times over" if times > 1 else ""
    unit = "images" if dataset.name in ("digits", "imagenet") else "samples"
    yield f"- Samples: {dataset.name}, {count:,} {unit}{over}, {dataset.digest}"


def code_readme(one: Chosen) -> str:
    """Return what program ran a test, and where it comes from."""
    result = one.result
    if (imported := result.imported) is not None:
        return (
            f"# {one.implementation}\n\nThe program that measured this result. sweep has imported the result from "
            f"{imported.source} (entry `{imported.entry}`) and has not seen the program itself.\n"
        )
    environment = result.environment
    version, commit = environment.get("sweep") or "unknown", environment.get("git")
    packages = packages_of(environment)
    backend = result.spec.backend
    return "\n".join(
        [
            f"# {one.implementation}",
            "",
            "sweep runs MLPerf Inference tests over a grid of settings and judges them. It feeds LoadGen's queries to",
            f"an engine, here its backend `{backend.name}`, and keeps LoadGen's logs as they are.",
            "",
            f"- Python package: mlperf-sweep, version {version}{f', commit {commit}' if commit else ''}",
            "- To install it: `python -m pip install .` in its source tree at that version, or from its wheel",
            f"- Licence: Apache-2.0; the backend is `src/sweep/backends/{backend.name}.py` of that tree",
            *(f"- {name} {number}" for name, number in packages.items()),
            "",
        ]
    )


def calibration_md(results: Sequence[Chosen]) -> str:
    """Return how weights were quantised."""
    lines = ["# Calibration", ""]
    for title, text in dict.fromkeys((f"{one.folder}, {one.implementation}", _calibration(one)) for one in results):
        lines += [f"## {title}", "", text, ""]
    return "\n".join(lines)


def _calibration(one: Chosen) -> str:
    model, imported = one.result.spec.model, one.result.imported
    if imported is not None:
        known = "; ".join(f"{key}: {value}" for key, value in sorted(imported.description.items()))
        return f"Not known to sweep, which has imported the result.{f' The entry says: {known}.' if known else ''}"
    facts = model.calibration
    if facts is None:
        return f"Nothing was quantised here: the weights are {model.number_format}, as the model file has them."
    said = ", ".join(f"{key} {value}" for key, value in facts.items())
    return (
        "Weights and activations were quantised to int8 after training, by sweep itself. The range of each tensor is "
        f"that of its values over calibration samples ({said}); the samples of the accuracy test are not among them "
        "unless the dataset is the same."
    )


def _said(evidence: Evidence, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    for name in names:
        value = evidence.setting(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


def _json(value: Mapping[str, str]) -> str:
    """Return JSON as submissions have it: in the given order, in ASCII, so that any locale reads it."""
    return json.dumps(dict(value), indent=2) + "\n"
