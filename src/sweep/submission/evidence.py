"""What a stored test is worth under the rules of a round: read from its logs, never from its record alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.environment import fingerprint_digest
from sweep.errors import LogError
from sweep.loadgen.accuracy import read_accuracy_log
from sweep.loadgen.logs import Detail, Summary, parse_detail, parse_summary
from sweep.loadgen.seeds import ROUND_SEEDS, seeded_round
from sweep.paths import ACCURACY_LOG, DETAIL_LOG, SUMMARY_LOG, AttemptPaths, read_bytes
from sweep.store.records import StoredTrial
from sweep.submission.logs import SETTINGS, audits, contradictions, ignored_errors
from sweep.submission.rescore import labels_of, scored_again
from sweep.submission.rounds import Benchmark, Round
from sweep.trial.verdict import judge
from sweep.vocabulary import RunClass, Scenario, TestMode, TrialState, Verdict, Weights

CLOSED = "closed"
DEVICE = "device"
_RESIDENT = "samples resident on the device"
"""How the note of a test begins whose samples were on the device before its queries came."""

_P99 = "p99"
_SHARE = 0.99
_NS_PER_MS = 1_000_000
_EXAMPLES = 3


@dataclass(frozen=True)
class Demand:
    """What a result is held against.

    Attributes:
        rules: The round.
        division: `closed` or `open`.
        name: The benchmark.
    """

    rules: Round
    division: str
    name: str

    @property
    def benchmark(self) -> Benchmark:
        """What the benchmark demands."""
        return self.rules.benchmarks[self.name]


@dataclass(frozen=True)
class Evidence:
    """A test and its logs.

    Attributes:
        stored: Its record.
        summary: LoadGen's summary.
        detail: LoadGen's detail log; None where an imported accuracy test came without.
    """

    stored: StoredTrial
    summary: Summary
    detail: Detail | None

    def setting(self, name: str) -> Any:
        """Return a setting that the test ran with; None where no log says it."""
        effective: Mapping[str, Any] = {} if self.detail is None else self.detail.effective
        return effective.get(name, self.summary.settings.get(SETTINGS.get(name, name)))

    @property
    def p99_ns(self) -> int | None:
        """The 99th percentile of query latency; that of samples where a LoadGen prints no other."""
        return self.summary.latency.percentiles_ns.get(_P99)


def read_evidence(stored: StoredTrial) -> Evidence:
    """Read the logs of a test.

    Raises:
        LogError: One is missing, cut off or damaged.
    """
    paths = AttemptPaths(stored.directory)
    accuracy, imported = stored.result.spec.mode is TestMode.ACCURACY, stored.result.imported is not None
    summary = parse_summary(paths.summary)
    detail = None if accuracy and imported and not has_text(paths.detail) else parse_detail(paths.detail)
    for name, complete in ((SUMMARY_LOG, summary.complete), (DETAIL_LOG, detail is None or detail.complete)):
        if not complete:
            raise LogError(f"{name}: its end is missing, or cannot be told, so that it may be cut off")
    return Evidence(stored, summary, detail)


def record_reasons(stored: StoredTrial, division: str) -> Iterator[str]:
    """Yield why a performance test can be in no submission of a division, by its record alone."""
    result = stored.result
    spec = result.spec
    if fingerprint_digest(dict(result.environment)) != result.environment_digest:
        yield "its record's environment is not that of its digest: somebody has changed it"
    if result.state is not TrialState.COMPLETE:
        yield f"FAILED: {result.failure.message if result.failure else 'unfinished'}"
    elif result.imported is not None and spec.run.run_class is not RunClass.OFFICIAL:
        yield "imported as a custom test: too short for its round, or a compliance test"
    elif result.imported is None and spec.has_custom_rules:
        yield f"rules {spec.rules_label} are not sweep's own: run again with rules=v0.5 or rules=current, run=official"
    elif result.imported is None and spec.run_class is not RunClass.OFFICIAL:
        yield f"a {spec.run_class} test, not an official one: run again with run=official"
    elif result.result is not Verdict.VALID:
        yield f"{result.result}: {result.why}"
    if spec.scenario is not Scenario.MULTI_STREAM:
        yield f"scenario {spec.scenario}, and sweep exports MultiStream"
    yield from subject_reasons(stored, division)


def subject_reasons(stored: StoredTrial, division: str) -> Iterator[str]:
    """Yield why what a test is about can be in no submission of a division: its model, its samples, its engine."""
    spec, imported = stored.result.spec, stored.result.imported
    if spec.model.weights is Weights.NONE:
        yield f"backend {spec.backend.name} is a stand-in that computes nothing"
    if spec.model.weights is Weights.SYNTHETIC:
        yield "synthetic weights: there is no accuracy to submit"
    if spec.dataset.name == "synthetic":
        yield "synthetic samples: there is no accuracy to submit"
    if imported is not None:
        if imported.division and imported.division != division:
            yield f"imported as an entry of {imported.division}"
        return
    if division != CLOSED:
        return
    if spec.model.changed:
        yield f"not the model as it ships ({', '.join(spec.model.changed)}), which closed demands"
    if spec.model.weights not in (Weights.REFERENCE, Weights.SYNTHETIC, Weights.NONE):
        yield f"{spec.model.weights} weights, and closed demands the reference ones"
    if on_device(stored):
        yield "samples resident on the device, which closed forbids"


def on_device(stored: StoredTrial) -> bool:
    """Return whether a test's samples were on the device before its queries came."""
    result = stored.result
    said = (result.spec.backend.options.get("samples"), result.engine.get("samples"))
    return DEVICE in said or any(note.startswith(_RESIDENT) for note in result.notes)


def performance_reasons(evidence: Evidence, demand: Demand) -> Iterator[str]:
    """Yield why a performance test does not count in a round, by its logs."""
    yield from _contradictions(evidence)
    yield from _verdict_reasons(evidence, demand.rules)
    yield from _length_reasons(evidence, demand)
    yield from _seed_reasons(evidence, demand.rules)
    yield from _metric_reasons(evidence, demand)
    held, needed = evidence.setting("performance_sample_count"), demand.benchmark.performance_sample_count
    if not isinstance(held, int) or held < needed:
        yield f"{_shown(held)} samples in memory, and {demand.name} needs {needed}: performance_sample_count={needed}"
    on = audits(evidence.summary, evidence.detail)
    yield from (f"an audit's test ({name}), not the benchmark's" for name in on)


def accuracy_reasons(stored: StoredTrial, demand: Demand) -> Iterator[str]:
    """Yield why an accuracy test does not count in a round, by its record and logs."""
    result = stored.result
    if result.state is not TrialState.COMPLETE or result.accuracy is None:
        yield f"FAILED: {result.failure.message}" if result.failure else "no accuracy was measured"
        return
    try:
        evidence = read_evidence(stored)
    except LogError as error:
        yield f"its accuracy test: {error}"
        return
    if evidence.summary.mode is not TestMode.ACCURACY:
        yield f"{SUMMARY_LOG} is of {evidence.summary.mode_text or 'another mode'}"
    yield from _error_reasons(evidence, demand.rules)
    size, total, good = demand.benchmark.dataset_size, result.accuracy.total, result.accuracy.good
    if total is None or good is None:
        yield f"its score is {result.accuracy}, which sweep cannot count again"
        return
    if total != size:
        yield f"its accuracy test covers {total} samples, and {demand.name} needs {size:,}{_repeat(stored, size)}"
        return
    if not 0 <= good <= total or abs(100 * good / total - result.accuracy.accuracy) > 5e-4:
        yield f"its record contradicts itself: {result.accuracy}"
    yield from _coverage_reasons(evidence, size)
    least = demand.benchmark.accuracy
    if demand.division == CLOSED and result.accuracy.accuracy < least:
        yield f"accuracy {result.accuracy.accuracy:.3f} %, and closed demands {least:.3f} %"


def is_scored_again(stored: StoredTrial) -> bool:
    """Return whether `accuracy_reasons` has held the score of a test against its answers."""
    return stored.result.imported is None and labels_of(stored.result.spec) is not None


def is_shortened(stored: StoredTrial) -> bool:
    """Return whether an imported log of answers has lost its middle before sweep saw it."""
    if stored.result.imported is None or stored.result.accuracy is None:
        return False
    try:
        return len(read_accuracy_log(AttemptPaths(stored.directory).accuracy)) < (stored.result.accuracy.total or 0)
    except LogError:
        return True


def _contradictions(evidence: Evidence) -> Iterator[str]:
    """Yield in what the logs are not those of the record."""
    spec, summary = evidence.stored.result.spec, evidence.summary
    detail = evidence.detail.effective if evidence.detail is not None else {}
    if summary.mode is not TestMode.PERFORMANCE:
        yield f"{SUMMARY_LOG} is of {summary.mode_text or 'another mode'}, not of a performance test"
    if summary.scenario is not spec.scenario:
        yield f"{SUMMARY_LOG} is of {summary.scenario_text or 'no scenario'}, the record of {spec.scenario}"
    if summary.samples_per_query != spec.samples_per_query:
        yield f"{SUMMARY_LOG} says N={summary.samples_per_query}, the record N={spec.samples_per_query}"
    latencies = evidence.stored.result.latencies
    recorded = None if latencies is None else latencies.percentiles.get(_P99)
    if recorded != evidence.p99_ns and (recorded is not None or evidence.stored.result.imported is None):
        yield f"{SUMMARY_LOG} says p99 {_shown(evidence.p99_ns)} ns, the record {_shown(recorded)} ns"
    for name in ("samples_per_query", "min_duration_ms", "min_query_count", *ROUND_SEEDS["v0.7"].by_setting()):
        if name not in detail:
            yield f"{DETAIL_LOG} does not say with which {name} the test ran"
    if evidence.detail is not None:
        yield from (f"the logs contradict each other: {one}" for one in contradictions(summary, evidence.detail))
    recorded, estimate = evidence.stored.result.early_stopping_estimate_ns, summary.early_stopping_estimate_ns
    if evidence.stored.result.imported is None and recorded != estimate:
        yield f"{SUMMARY_LOG} says an estimate of {_shown(estimate)} ns, the record {_shown(recorded)} ns"


def _verdict_reasons(evidence: Evidence, rules: Round) -> Iterator[str]:
    result, summary = evidence.stored.result, evidence.summary
    if summary.loadgen_result != "VALID":
        yield f"LoadGen's own result is {summary.loadgen_result}"
    if result.imported is None and (again := judge(result.spec, summary)).result is not Verdict.VALID:
        yield f"judged again by its log it is {again.result}: {again.why}"
    yield from _error_reasons(evidence, rules)


def _error_reasons(evidence: Evidence, rules: Round) -> Iterator[str]:
    if ignored_errors(rules.name, evidence.summary, evidence.detail):
        return
    flagged = () if evidence.detail is None else evidence.detail.errors
    if evidence.summary.error_count != 0 or flagged:
        count = evidence.summary.error_count
        shown = "; ".join(" ".join(error.split())[:120] for error in flagged[:_EXAMPLES])
        counted = "an unknown number of" if count is None else count or len(flagged)
        yield f"{counted} errors in its log{f': {shown}' if shown else ''}"


def _length_reasons(evidence: Evidence, demand: Demand) -> Iterator[str]:
    rules = demand.rules
    edition = "current" if rules.early_stopping else "v0.5"
    longest = {"min_duration_ms": rules.min_duration_ms, "min_query_count": rules.min_query_count}
    for name, least in longest.items():
        value = evidence.setting(name)
        if not isinstance(value, int) or value < least:
            fix = f": run again with rules={edition} run=official {name}={least}"
            own = evidence.stored.result.imported is None
            yield f"{name} was {_shown(value)}, and {rules.name} demands {least}{fix if own else ''}"
    if evidence.summary.min_duration is not True:
        yield "LoadGen does not say that its minimal duration was reached"
    if rules.min_query_count and evidence.summary.min_queries is not True:
        yield "LoadGen does not say that its minimal number of queries was reached"


def _seed_reasons(evidence: Evidence, rules: Round) -> Iterator[str]:
    wanted = rules.seeds.by_setting()
    used = {name: evidence.setting(name) for name in wanted}
    if used == wanted:
        return
    of = seeded_round(used) or "no known round"
    imported = evidence.stored.result.imported
    fix = "it can only be in a submission to that" if imported else f"run again with seeds={rules.name}"
    yield f"drawn with the random seeds of {of}, not of {rules.name}: {fix}"


def _metric_reasons(evidence: Evidence, demand: Demand) -> Iterator[str]:
    rules, summary = demand.rules, evidence.summary
    n, p99 = evidence.setting("samples_per_query"), evidence.p99_ns
    if rules.samples_per_query is not None and n != rules.samples_per_query:
        yield f"N={n}, and {rules.name} fixes it to {rules.samples_per_query}"
    share = evidence.setting("target_latency_percentile")
    if share is not None and share != _SHARE:
        yield f"its latency was read at the share {share} of its queries, not at {_SHARE}"
    if rules.early_stopping:
        if summary.early_stopping is not True or summary.early_stopping_estimate_ns is None:
            yield "LoadGen's early stopping was not satisfied: run again with rules=current run=official"
        results = {} if evidence.detail is None else evidence.detail.results
        if results.get(rules.multistream_metric) is None:
            yield f"{DETAIL_LOG} has no {rules.multistream_metric}"
        return
    bound = demand.benchmark.target_latency_ns
    if bound is None:
        return
    if p99 is None or p99 > bound:
        yield f"p99 {_shown(p99)} ns, and the bound of {demand.name} in {rules.name} is {bound / _NS_PER_MS:g} ms"
    if summary.target_latency_ns is not None and summary.target_latency_ns > bound:
        target = summary.target_latency_ns / _NS_PER_MS
        yield f"tested against a bound of {target:g} ms, and {rules.name} sets {bound / _NS_PER_MS:g} ms"


def _coverage_reasons(evidence: Evidence, size: int) -> Iterator[str]:
    """Yield what of the dataset an accuracy test has no answer for."""
    path = AttemptPaths(evidence.stored.directory).accuracy
    if evidence.stored.result.imported is not None:
        if not has_text(path):
            yield f"{ACCURACY_LOG} is missing or empty"
        return  # its middle may have been left out before it came here; the note on it says so
    covered = evidence.setting("accuracy_sample_count")
    if covered is not None and covered != size:
        yield f"{DETAIL_LOG} says that the test covers {covered} samples, not {size}"
    if evidence.detail is not None and evidence.detail.qsl_total_count != size:
        yield f"{DETAIL_LOG} says that the library has {evidence.detail.qsl_total_count} samples, not {size}"
    if evidence.detail is not None and evidence.detail.repeated:
        yield f"{DETAIL_LOG} says {evidence.detail.repeated[0]} more than once, and not the same"
    mode = str(evidence.setting("test_mode"))
    if not mode.startswith("Accuracy"):
        yield f"{DETAIL_LOG} is of {mode}, not of an accuracy test"
    try:
        answered = {response.qsl_idx for response in read_accuracy_log(path)}
    except LogError as error:
        yield str(error)
        return
    if answered != set(range(size)):
        yield f"{ACCURACY_LOG} has answers for {len(answered)} samples, not for each of {size}"
        return
    yield from _score_reasons(evidence, path)


def _score_reasons(evidence: Evidence, path: Path) -> Iterator[str]:
    """Yield that the answers have another score than the record says."""
    recorded = evidence.stored.result.accuracy
    try:
        score = scored_again(path, evidence.stored.result.spec)
    except LogError as error:
        yield str(error)
        return
    if score is not None and recorded is not None and score.good != recorded.good:
        yield f"its answers score {score}, and its record says {recorded}"


def _repeat(stored: StoredTrial, size: int) -> str:
    """Return how digits become enough."""
    if stored.result.spec.dataset.name != "digits":
        return ""
    from sweep.datasets.digits import held_out_count

    times, rest = divmod(size, held_out_count())
    return f": run performance and accuracy again with dataset.repeat={times}" if not rest else ""


def has_text(path: Path) -> bool:
    """Return whether a file is there, can be read, and has more than blanks in it."""
    try:
        return bool(read_bytes(path).strip())
    except OSError:
        return False


def _shown(value: object) -> str:
    return "unknown" if value is None else str(value)
