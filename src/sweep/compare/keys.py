"""What a figure is a figure of: whatever two of them must share to be held against each other, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sweep.results.selection import SearchRecord
from sweep.trial.spec import CUSTOM_RULES, RulesSpec, TrialSpec
from sweep.vocabulary import RunClass, TestMode, Weights

Key = tuple[tuple[str, str], ...]
"""Names and values, in order."""

N = "samples_per_query"
ENVIRONMENT = "environment"
MODEL_FILE, DATA = "model_digest", "dataset_digest"
NO_FILE = "none"
"""The digest of the model of a backend that runs none."""

_SAME_AS_N = "N"
_SEARCH_ONLY = ("search", "min", "max", "step", "algorithm", "confidence", "seed", "trials")
"""Of what a search was asked for, what its tests do not have."""
_TRIED = {"precision": ("precision", "calibration"), "engine_batch": ("engine_batch",)}
"""What a joint search chooses by itself is no part of its key, nor what follows from that."""
_DIGEST_CHARACTERS = 19  # of `sha256:...`


def key_of(spec: TrialSpec) -> Key:
    """Return what a test's figure is of, as far as it applies; what it was measured on is no part of it."""
    return tuple(_of_test(spec).items())


def search_key(search: SearchRecord) -> Key:
    """Return what max streams is of: what was asked for; of a joint search's settings, no single one."""
    plan, asked = search.saved.plan, search.saved.asked
    key = _of_test(plan.spec)
    del key[N]
    key["engine_batch"] = _engine_batch(search, asked)
    domain = plan.question.domain
    known = {"search": "max_streams", "min": domain.low, "max": domain.high, "step": domain.step}
    known |= {"algorithm": plan.algorithm, "confidence": plan.question.confidence}
    key |= {name: str(asked.get(name, known.get(name, ""))) for name in _SEARCH_ONLY}
    key |= {name: str(value) for name, value in asked.items() if name.startswith("space.") or name == "device"}
    tried = {name for one in search.saved.settings for name in one.setting}
    gone = {name for one in tried for name in _TRIED.get(one, (one,))}
    return tuple((name, value) for name, value in key.items() if name not in gone)


def files_of(spec: TrialSpec) -> Key:
    """Return which files a figure is of: two models may have one name, and a model of one name may change."""
    calibration = (spec.model.calibration or {}).get("digest", "")
    model = f"{_short(spec.model.digest)} {_short(str(calibration))}".strip()
    if spec.backend.kernels:  # never pooled with those of other kernels, and held against them
        model += f" ({spec.backend.kernels})"
    return ((MODEL_FILE, model), (DATA, _short(spec.dataset.digest)))


def _of_test(spec: TrialSpec) -> dict[str, str]:
    key = {
        "model": spec.model.name,
        "weights": str(spec.model.weights),
        "model_changed": ", ".join(spec.model.changed),
        "precision": str(spec.precision),
        "calibration": _calibration(spec),
        "backend": spec.backend.name,
        **{f"backend.{name}": _text(value) for name, value in sorted(spec.backend.options.items())},
        "dataset": spec.dataset.name,
        "dataset_count": str(spec.dataset.count),
        "scenario": str(spec.scenario),
    }
    if spec.mode is TestMode.ACCURACY:
        return key
    rules, run = spec.rules, spec.run
    return key | {
        "performance_sample_count": str(spec.dataset.performance_sample_count),
        "engine_batch": _SAME_AS_N if spec.engine_batch == spec.samples_per_query else str(spec.engine_batch),
        "rules": spec.rules_label,
        "checks": " ".join(rules.checks),
        "run": str(spec.run_class),
        "min_query_count": str(run.min_query_count),
        "max_query_count": str(run.max_query_count),
        "min_duration_ms": str(run.min_duration_ms),
        "max_duration_ms": str(run.max_duration_ms),
        "target_latency_ms": "none" if rules.target_latency_ns is None else f"{rules.target_latency_ns / 1e6:g}",
        "percentile": f"{rules.percentile:g}",
        N: str(spec.samples_per_query),
        **({} if spec.seeds is None else {"seeds": spec.seeds}),
    }


def _engine_batch(search: SearchRecord, asked: Mapping[str, Any]) -> str:
    """Return the engine batch that was asked for; from an old file, which does not say, that of the largest N."""
    if "engine_batch" in asked:
        return _SAME_AS_N if asked["engine_batch"] is None else str(asked["engine_batch"])
    specs = [test.result.spec for test in search.tests if test is not None] or [search.saved.plan.spec]
    # An engine's batch is cut to N, so only the largest N shows what was asked for.
    widest = max(specs, key=lambda spec: spec.samples_per_query)
    return _SAME_AS_N if widest.engine_batch == widest.samples_per_query else str(widest.engine_batch)


def _calibration(spec: TrialSpec) -> str:
    calibration = spec.model.calibration or {}
    return " ".join(
        f"{name}={calibration[name]}" for name in ("dataset", "count", "method", "exclude") if name in calibration
    )


def _text(value: object) -> str:
    return "null" if value is None else str(value)


def _short(digest: str) -> str:
    return digest[:_DIGEST_CHARACTERS]


def as_labelled(key: Mapping[str, str]) -> Key:
    """Return a key from a file with its rules labelled as in `key_of`, which files of an older sweep do not do."""
    rules = key.get("rules", "")
    if "checks" not in key or rules.startswith(CUSTOM_RULES) or key.get("weights") == Weights.UNKNOWN:
        return tuple(sorted(key.items()))
    bound = key.get("target_latency_ms", "none")
    target_ns = None if bound == "none" else round(float(bound) * 1e6)
    read = RulesSpec(rules, tuple(key["checks"].split()), target_ns, float(key.get("percentile", "nan")))
    changes = {} if read.is_shipped else {"rules": read.label, "run": str(RunClass.CUSTOM)}
    return tuple(sorted({**key, **changes}.items()))


def shared_with_search(key: Key, of_search: Sequence[tuple[str, str]]) -> bool:
    """Return whether a test's key is that of a search's tests, whatever its N."""
    wanted = dict(of_search)
    return all(wanted.get(name, value) == value for name, value in key if name != N)
