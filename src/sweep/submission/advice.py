"""What a submission's maker is told: what is left out and why, what to run, what to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sweep.errors import Problem
from sweep.paths import AttemptPaths
from sweep.report.reasons import by_reason
from sweep.report.words import count_of
from sweep.store.records import StoredTrial
from sweep.submission.evidence import CLOSED, is_scored_again, is_shortened
from sweep.submission.measurements import model_key
from sweep.submission.rounds import Round
from sweep.submission.system_file import ENVIRONMENT_DIGITS, SystemFile
from sweep.trial.result import DISTURBANCES
from sweep.vocabulary import Weights

if TYPE_CHECKING:
    from sweep.submission.plan import Chosen, LeftOut


def unused_entries(trials: Sequence[StoredTrial], file: SystemFile) -> Iterator[str]:
    """Yield which entries of the system file are of no test that was looked at: a digest changes with each update."""
    environments = {(one.result.environment_digest, one.result.spec.backend.name) for one in trials}
    theirs = ", ".join(sorted({f"{digest[:ENVIRONMENT_DIGITS]} ({backend})" for digest, backend in environments}))
    for entry in file.systems:
        if not any(entry.is_of(*one) for one in environments):
            yield f"{file.origin}: systems.{entry.name} is of none of these tests, whose environments are {theirs}"
    models = {model_key(one.result) for one in trials}
    for name in file.models:
        if name not in models:
            known = ", ".join(sorted(models))
            yield f"{file.origin}: models.{name} is of none of these tests, whose models are {known}"


def notes_of(results: Sequence[Chosen]) -> Iterator[str]:
    """Yield what to know of results that are exported."""
    for one in results:
        where = f"{one.system}, {one.folder}"
        yield from (f"{where}: {note}" for note in one.result.notes if note.startswith(DISTURBANCES))
        if not AttemptPaths(one.accuracy.directory).detail.is_file():
            yield f"{where}: the detail log of its accuracy test was not imported, which the round's checker looks for"
        if is_shortened(one.accuracy):
            yield f"{where}: the log of answers was shortened before it was imported; the hash is of what is left"
        elif not is_scored_again(one.accuracy):
            yield f"{where}: its accuracy is what was scored then: the labels of its samples are not on this machine"
        if (detail := one.performance.detail) and one.result.imported is None and not one.demand.rules.early_stopping:
            loadgen = f"LoadGen {detail.loadgen_version}"
            yield f"{where}: measured with {loadgen}, whose logs the checker of {one.demand.rules.name} does not read"
        if one.demand.division == CLOSED:
            needed = [str(s) for s in one.demand.benchmark.scenarios if s is not one.result.spec.scenario]
            also = f"{' and '.join(needed)} results and " if needed else ""
            yield f"{where}: closed also demands {also}compliance tests, which sweep does not make"


def nothing_to_export(
    rules: Round, division: str, left_out: Sequence[LeftOut], *, list_all: bool = False
) -> Iterator[Problem]:
    """Yield that nothing can be exported, what to run, and why each test, or most of them, is left out."""
    fix = _advice(rules, division, left_out)
    found = f"none of {count_of(len(left_out), 'performance test')} will do" if left_out else "no performance test"
    yield Problem("submission export", None, f"nothing to export to {division} of {rules.name}: {found}", fix)
    for line in left_out_lines(left_out, list_all=list_all):
        yield Problem("left out", None, line)


def _advice(rules: Round, division: str, left_out: Sequence[LeftOut]) -> str:
    """Return what gives something to export."""
    own = [one.stored.result for one in left_out if one.stored.result.imported is None]
    if left_out and not own:
        return "imported tests can only be in the round and division that they were made for, as said below"
    if division == CLOSED and own and all(one.spec.model.weights is not Weights.REFERENCE for one in own):
        return "closed takes benchmarks with their reference weights (python -m sweep fetch resnet); open takes others"
    edition = "current" if rules.early_stopping else "v0.5"
    longer = "" if rules.early_stopping or rules.name == "v0.7" else f" min_duration_ms={rules.min_duration_ms}"
    digits = " (digits: with dataset.repeat=100 performance_sample_count=1024, both)"
    return (
        f"run one with rules={edition} run=official seeds={rules.name}{longer}, and its accuracy with mode=accuracy"
        f"{digits if any(one.spec.dataset.name == 'digits' for one in own) else ''}"
    )


def left_out_lines(left_out: Sequence[LeftOut], *, list_all: bool = False) -> Iterator[str]:
    """Yield what is left out and why; of many tests a line for each reason."""
    return by_reason([(str(one.stored.directory), one.reasons) for one in left_out], "test", list_all=list_all)
