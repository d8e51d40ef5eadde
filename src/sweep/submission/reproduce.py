"""The command line that measures a stored test again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

from sweep.datasets.digits import times_over
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import RunClass, TestMode, Weights

_FILE = "FILE.onnx"
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


def command_of(spec: TrialSpec) -> str:
    """Return the command that measures what a spec says: with every setting that decides it, default or not."""
    return " ".join(["python -m sweep", *(shlex.quote(word) for word in _words(spec))])


def _words(spec: TrialSpec) -> Iterator[str]:
    accuracy = spec.mode is TestMode.ACCURACY
    yield from _model(spec)
    yield f"precision={spec.precision}"
    yield f"backend={spec.backend.name}"
    yield from (f"backend.{key}={_value(value)}" for key, value in sorted(spec.backend.options.items()))
    yield from _dataset(spec)
    yield "mode=accuracy" if accuracy else "mode=performance"
    yield f"batch={spec.samples_per_query}"
    yield f"engine_batch={spec.engine_batch}" if spec.engine_batch != spec.samples_per_query else "engine_batch=null"
    yield f"rules={spec.rules.edition}"
    if not accuracy:
        yield from _run(spec)
    yield "resume=false"


def _model(spec: TrialSpec) -> Iterator[str]:
    model = spec.model
    if model.weights is Weights.USER:
        yield from ("model=onnx", f"model.path={_FILE}", f"model.name={_value(model.name)}")
    else:
        yield from (f"model={_value(model.name)}", f"model.weights={model.weights}")
    yield from (f"model.{changed}" for changed in model.changed)
    if model.calibration is not None:
        yield f"calibration.count={_value(model.calibration.get('count'))}"
        yield f"calibration.method={_value(model.calibration.get('method'))}"
        if excluded := model.calibration.get("exclude"):
            yield f"int8.exclude=[{','.join(map(_value, excluded))}]"


def _dataset(spec: TrialSpec) -> Iterator[str]:
    count, times = times_over(spec.dataset.name, spec.dataset.count)
    yield from (f"dataset={spec.dataset.name}", f"dataset.count={count}")
    if times != 1:
        yield f"dataset.repeat={times}"
    yield f"performance_sample_count={spec.dataset.performance_sample_count}"


def _run(spec: TrialSpec) -> Iterator[str]:
    rules, run = spec.rules, spec.run
    yield f"run={RunClass.SCREENING if run.run_class is RunClass.CUSTOM else run.run_class}"
    yield f"percentile={rules.percentile:g}"
    if rules.target_latency_ns is not None:
        yield f"target_latency_ms={rules.target_latency_ns / 1e6:g}"
    yield f"min_query_count={run.min_query_count}"
    yield f"min_duration_ms={run.min_duration_ms}"
    for name in ("max_query_count", "max_duration_ms"):
        if value := getattr(run, name):
            yield f"{name}={value}"
    yield f"abort={spec.abort}"
    yield f"seeds={_value(spec.seeds)}"


def _value(value: Any) -> str:
    """Return a value as it is typed behind a `=`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text if text and set(text) <= _SAFE else json.dumps(text, ensure_ascii=False)
