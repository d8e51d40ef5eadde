"""Writes the system file: what is known of each system and model, and room for what is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from sweep.results.environments import describe
from sweep.store.records import StoredTrial
from sweep.submission.machine import NOT_STATED, default_name, known_facts, may_be_empty
from sweep.submission.measurements import FIELDS, known_measurements, model_key
from sweep.submission.plan import CLASSIFICATION
from sweep.submission.rounds import ROUNDS, STATUSES, SYSTEM_TYPES
from sweep.submission.system_file import BACKEND, BENCHMARK, ENVIRONMENT, ENVIRONMENT_DIGITS
from sweep.trial.result import TrialResult
from sweep.vocabulary import TestMode

_HEAD = f"""\
# What a submission says of systems and models and no test can know. Fill it in once; then
#   python -m sweep submission export ... --system-file FILE
# "{NOT_STATED}" is what nobody has said yet: `open` may say so, `closed` must not, since v4.1. All values are texts,
# numbers too.
"""
_SYSTEMS = """\
# A system is a machine with its software and an engine. Its key names files and folders: ASCII letters, digits, . _ -
"""
_MODELS = """\
# A model: the benchmark it stands for in `open`, and what was done to its weights. A field that is removed says what
# sweep knows; so do input_data_types, weight_data_types and weight_transformations unless they are written here.
"""
_COMMENTS = {
    "status": f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}",
    "system_type": " | ".join(SYSTEM_TYPES),
    "system_name": "as its maker calls it",
    "host_processors_per_node": "sockets",
    "host_memory_configuration": "such as 8x 32 GB DDR5-4800",
    "host_storage_type": "such as NVMe SSD",
    "host_networking": "such as 10 GbE; N/A",
    "host_networking_topology": "N/A for a single machine",
    "host_network_card_count": "such as 1x 10 GbE",
    "accelerators_per_node": '"0" without any',
    "accelerator_host_interconnect": "such as PCIe Gen5 x16",
    "accelerator_memory_configuration": "such as HBM3",
    "cooling": "air, water, passive",
}
_LEFT_TO_SWEEP = ("input_data_types", "weight_data_types", "weight_transformations")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))


def system_file_text(trials: Sequence[StoredTrial], submitter: str) -> str:
    """Return a system file for the systems and models of some tests.

    Args:
        trials: The tests.
        submitter: Who submits; empty to leave that open.
    """
    results = [one.result for one in trials]
    lines = [_HEAD, f"submitter: {_quoted(submitter or NOT_STATED)}", "", f"{_SYSTEMS}systems:"]
    for name, result in _systems(results).items():
        lines += [f"  {_key(name)}: # {_one_line(describe(result.environment))}", *_system(result)]
    lines += ["", f"{_MODELS}models:"]
    for name, result in _models(results).items():
        lines += [f"  {_key(name)}:", *_model(result)]
    return "\n".join(lines) + "\n"


def _systems(results: Sequence[TrialResult]) -> Mapping[str, TrialResult]:
    """Return a test of each system, by a name of its own."""
    newest = {(one.environment_digest, one.spec.backend.name): one for one in results}
    names = [default_name(one) for one in newest.values()]
    found: dict[str, TrialResult] = {}
    for name, one in zip(names, newest.values(), strict=True):
        unique = name if names.count(name) == 1 else f"{name}-{one.environment_digest[:ENVIRONMENT_DIGITS]}"
        found[unique] = one
    return found


def _models(results: Sequence[TrialResult]) -> Mapping[str, TrialResult]:
    """Return a test of each model; of one with several, one that knows most of its weights."""
    found: dict[str, TrialResult] = {}
    for one in sorted(results, key=lambda one: (len(known_measurements(one)), one.spec.mode is TestMode.PERFORMANCE)):
        found[model_key(one)] = one
    return dict(sorted(found.items()))


def _system(result: TrialResult) -> Iterator[str]:
    yield f"    {ENVIRONMENT}: {_quoted(result.environment_digest[:ENVIRONMENT_DIGITS])} # of its tests: leave it"
    yield f"    {BACKEND}: {_quoted(result.spec.backend.name)} # likewise"
    for field, value in known_facts(result).items():
        comment = _COMMENTS.get(field, "may stay empty" if may_be_empty(field) and not value else "")
        yield f"    {field}: {_quoted(value)}{f' # {comment}' if comment else ''}"


def _model(result: TrialResult) -> Iterator[str]:
    known = known_measurements(result)
    name = model_key(result)
    own = next((found for rules in ROUNDS.values() if (found := rules.benchmark_of(name))), None)
    benchmark = own or (CLASSIFICATION if result.spec.model.predicts_class else NOT_STATED)
    yield f"    {BENCHMARK}: {_quoted(benchmark)}"
    for field in FIELDS:
        if field not in _LEFT_TO_SWEEP or result.imported is not None:
            yield f"    {field}: {_quoted(known.get(field, NOT_STATED))}"


def _key(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name.lower() not in _WORDS else _quoted(name)


def _quoted(text: str) -> str:
    """Return a text as YAML reads it back, whatever is in it: JSON's quotes are YAML's too."""
    return json.dumps(text)


def _one_line(text: str) -> str:
    return " ".join(text.split())
