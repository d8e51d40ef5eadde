"""What a CK point has measured, as the spec of a trial: by LoadGen's own words where it has any."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sweep.imports.ck_entry import Named
from sweep.imports.ck_facts import Facts
from sweep.imports.ck_json import RefusedError, plain, real, whole
from sweep.imports.ck_run import Run, round_of
from sweep.imports.judge import is_bounded, required_checks
from sweep.loadgen.conf import settings_of
from sweep.submission.logs import SETTINGS, audits
from sweep.submission.rounds import ROUNDS
from sweep.trial.spec import BackendSpec, DatasetSpec, ModelSpec, RulesSpec, RunSpec, TrialSpec
from sweep.vocabulary import AbortRule, RunClass, Scenario, TestMode, Weights

UNKNOWN = "unknown"
_SCENARIOS = {str(one).lower(): one for one in Scenario} | {"multistreamfree": Scenario.MULTI_STREAM}
_ONE_SAMPLE = (Scenario.SINGLE_STREAM, Scenario.SERVER)
_MIN_QUERIES = {Scenario.SINGLE_STREAM: 1024, Scenario.SERVER: 270_336, Scenario.OFFLINE: 1}
"""Least count of queries of v0.5 to v1.0, beside that of MultiStream, which the rule book has (mlcommons/inference,
`submission-checker.py` of these rounds, `min-queries`)."""

_OFFLINE_MIN_SAMPLES = 24_576
"""Least samples of the one query of Offline in these rounds (there, `OFFLINE_MIN_SPQ`)."""

_GNMT_PERCENTILE, _GNMT_QUERIES = 97, 90_112
"""Of gnmt in MultiStream and Server, a benchmark of v0.5 alone (mlperf.conf of that round)."""

_RULES_AS_V07 = {"v0.5": "v0.7"}
"""A round without a rule book of its own, and whose lengths it had."""


def spec_of(named: Named, facts: Facts, run: Run, notes: list[str]) -> TrialSpec:
    """Return the spec of a trial.

    Args:
        named: What the name of the entry says.
        facts: What else the entry says.
        run: The test.
        notes: Are added to: what is unknown, and where two sources say two things.

    Raises:
        RefusedError: It is not known what was measured.
    """
    scenario = _scenario(named, facts, run, notes)
    run = replace(run, configured=settings_of(run.confs, facts.loadgen_model, scenario))
    n = _samples_per_query(scenario, facts, run, notes)
    performance = run.mode is TestMode.PERFORMANCE
    round_name = round_of(run.summary, run.detail)
    if performance and round_name is None:
        notes.append(
            f"its random seeds are of no round that is known here: qsl_rng_seed {_setting(run, 'qsl_rng_seed')}"
        )
    if not facts.precision_from:
        notes.append("its precision is not known: the entry does not say what the model computed in")
    if facts.precision_from and not facts.description.get("weight_data_types"):
        notes.append(f"its precision is taken from {facts.precision_from}; the entry does not say that of the weights")
    batch = whole(facts.setting("CK_BATCH_SIZE"))
    if scenario is Scenario.MULTI_STREAM and batch is not None and batch != n:
        notes.append(f"CK_BATCH_SIZE is {batch}, and LoadGen's queries had {n} samples")
    return TrialSpec(
        scenario=scenario,
        mode=run.mode,
        model=ModelSpec(
            name=_name(facts.benchmark, "model", notes),
            weights=Weights.UNKNOWN,
            digest="",
            inputs=(),
            predicts_class=named.task == "image-classification",
            number_format=facts.number_format,
            changed=(),
        ),
        precision=facts.precision,
        backend=BackendSpec(_name(facts.library, "library", notes), facts.options),
        dataset=_dataset(facts, run, notes),
        samples_per_query=n,
        engine_batch=batch or n,
        rules=_rules(scenario, run, round_name, notes),
        run=_length(named, facts.benchmark, scenario, run, round_name, n),
        abort=AbortRule.NEVER,
        seeds=round_name,
    )


def _name(text: str, what: str, notes: list[str]) -> str:
    """Return a name that can begin a folder's."""
    if not text:
        notes.append(f"its {what} is not known: the entry's name does not say")
    return re.sub(r"^\W+", "", text) or UNKNOWN


def _scenario(named: Named, facts: Facts, run: Run, notes: list[str]) -> Scenario:
    """Return the scenario by LoadGen's word, else by what the program was told, else by the entry's name."""
    told = {
        "LoadGen": _plain(run.summary.scenario_text or str(_effective(run).get("scenario", ""))),
        "CK_LOADGEN_SCENARIO": _plain(facts.setting("CK_LOADGEN_SCENARIO")),
        "the entry's name": _plain(named.scenario),
    }
    said = {source: text for source, text in told.items() if text}
    if not said:
        raise RefusedError("its scenario is said nowhere")
    (first, text), *others = said.items()
    if text not in _SCENARIOS:
        raise RefusedError(f"its scenario {plain(text)!r} is none of {', '.join(Scenario)} ({first})")
    scenario = _SCENARIOS[text]
    for source, other in others:
        if _SCENARIOS.get(other) is not scenario:
            notes.append(f"its scenario is {scenario} by {first}, and {plain(other)} by {source}")
    if run.summary.multi_stream_free or text == "multistreamfree":
        notes.append("MultiStreamFree: queries were not sent in fixed intervals")
    return scenario


def _plain(text: str) -> str:
    return text.replace(" ", "").replace("_", "").lower()


def _effective(run: Run) -> Mapping[str, Any]:
    return {} if run.detail is None else run.detail.effective


def _setting(run: Run, name: str) -> Any:
    """Return a setting as LoadGen used it, else as its files have it; None where nothing says it."""
    said = (run.summary.settings.get(SETTINGS.get(name, name)), _effective(run).get(name), run.configured.get(name))
    return next((one for one in said if one is not None), None)


def _samples_per_query(scenario: Scenario, facts: Facts, run: Run, notes: list[str]) -> int:
    used = run.summary.samples_per_query or whole(_effective(run).get("samples_per_query"))
    if run.mode is TestMode.PERFORMANCE and run.summary.samples_per_query is None and run.detail is not None:
        used = run.detail.generated_samples_per_query or used
    told = whole(facts.setting("CK_LOADGEN_MULTISTREAMNESS")) if scenario is Scenario.MULTI_STREAM else None
    if used is not None and told is not None and used != told:
        notes.append(f"LoadGen's queries had {used} samples, and CK_LOADGEN_MULTISTREAMNESS is {told}")
    if run.mode is TestMode.ACCURACY and used is None:
        used = told
        if scenario in _ONE_SAMPLE:
            used = 1
        elif scenario is Scenario.OFFLINE:  # its one query holds the whole dataset
            used = whole(facts.setting("CK_LOADGEN_DATASET_SIZE")) or (run.accuracy.total if run.accuracy else None)
        elif used is None and (configured := run.configured.get("samples_per_query")):
            used = int(configured)
        elif used is None:
            used = whole(facts.setting("CK_BATCH_SIZE"))
            notes.append("how many samples a query had is not said; it is taken to be CK_BATCH_SIZE")
    if not used:
        raise RefusedError("how many samples its queries had is said nowhere")
    return used


def _dataset(facts: Facts, run: Run, notes: list[str]) -> DatasetSpec:
    told = whole(facts.setting("CK_LOADGEN_DATASET_SIZE"))
    library = None if run.detail is None else run.detail.qsl_total_count
    scored = None if run.accuracy is None else run.accuracy.total
    if told and library and told != library:
        notes.append(f"LoadGen drew from {library} samples, and CK_LOADGEN_DATASET_SIZE is {told}")
    if told and scored and told != scored:
        notes.append(f"the score is of {scored} samples, and CK_LOADGEN_DATASET_SIZE is {told}")
    count = scored or told or library or 0
    if not count:
        notes.append("how many samples its dataset has is not known")
    in_memory = whole(_setting(run, "performance_sample_count"))
    if in_memory is None:
        in_memory = whole(facts.setting("CK_LOADGEN_BUFFER_SIZE")) or 0
    return DatasetSpec(facts.dataset or UNKNOWN, "", count, in_memory)


def _rules(scenario: Scenario, run: Run, round_name: str | None, notes: list[str]) -> RulesSpec:
    """Return what VALID means: LoadGen's own conditions; nothing of it concerns a test of accuracy."""
    percentile = _percentile(scenario, run)
    if run.mode is TestMode.ACCURACY:
        return RulesSpec(round_name or UNKNOWN, ("no_errors",), None, percentile)
    target_ns = run.summary.target_latency_ns
    if not is_bounded(run.summary):
        target_ns = None
    elif target_ns is None and (configured := run.configured.get("target_latency_ns")):
        target_ns = int(configured)
        notes.append(f"LoadGen's log names no target latency; that of its settings is {target_ns / 1e6:g} ms")
    elif target_ns is None:
        raise RefusedError("LoadGen's log names no target latency, so that nobody can judge the test")
    if target_ns is not None:
        notes += _percentile_notes(run, percentile)
    return RulesSpec(round_name or UNKNOWN, required_checks(run.summary), target_ns, percentile)


def _percentile(scenario: Scenario, run: Run) -> float:
    """Return where LoadGen reads the latency, in percent.

    As it logs it, else as its own files say, else as LoadGen has it without any: p90 for SingleStream, p99 for others.
    """
    for said in (_effective(run), run.configured):
        share = real(said.get("target_latency_percentile"))
        if share is not None and 0 < share < 1:
            return round(100 * share, 6)
    return 90.0 if scenario is Scenario.SINGLE_STREAM else 99.0


def _percentile_notes(run: Run, percentile: float) -> Iterator[str]:
    """Yield what a reader must know of the percentile that a bound is on."""
    logged, configured = (one.get("target_latency_percentile") for one in (_effective(run), run.configured))
    if logged is None and configured is None:
        yield f"the percentile of its bound is said nowhere, and is taken to be p{percentile:g}"
    elif logged is None:
        yield f"the percentile of its bound, p{percentile:g}, is that of its own settings: LoadGen did not log it"
    elif configured is not None and abs(100 * configured - percentile) > 1e-6:
        yield f"LoadGen used p{percentile:g}, and its own settings say p{100 * configured:g}"


def _length(named: Named, benchmark: str, scenario: Scenario, run: Run, round_name: str | None, n: int) -> RunSpec:
    names = ("min_query_count", "max_query_count", "min_duration_ms", "max_duration_ms")
    length = RunSpec(RunClass.CUSTOM, *(whole(_setting(run, name)) or 0 for name in names))
    is_official = run.mode is TestMode.PERFORMANCE and _is_official(benchmark, scenario, run, round_name, n, length)
    return replace(length, run_class=RunClass.OFFICIAL) if is_official and not audits_of(named, run) else length


def _is_official(benchmark: str, scenario: Scenario, run: Run, round_name: str | None, n: int, length: RunSpec) -> bool:
    """Return whether the settings meet what the round whose seeds were used demands of the length of a test."""
    rules = ROUNDS.get(_RULES_AS_V07.get(round_name or "", round_name or ""))
    is_gnmt = benchmark == "gnmt" and scenario in (Scenario.MULTI_STREAM, Scenario.SERVER)
    percentile = 90 if scenario is Scenario.SINGLE_STREAM else _GNMT_PERCENTILE if is_gnmt else 99
    if rules is None or (scenario is not Scenario.OFFLINE and _percentile(scenario, run) != percentile):
        return False
    queries = rules.min_query_count if scenario is Scenario.MULTI_STREAM else _MIN_QUERIES[scenario]
    queries = _GNMT_QUERIES if is_gnmt else queries
    if rules.early_stopping:  # later rounds leave the count of queries to LoadGen
        queries = 0
    elif scenario is Scenario.OFFLINE and n < _OFFLINE_MIN_SAMPLES:
        return False
    within_most = length.max_query_count == 0 or length.max_query_count >= max(queries, length.min_query_count)
    within_most = within_most and (length.max_duration_ms == 0 or length.max_duration_ms >= rules.min_duration_ms)
    return length.min_query_count >= queries and length.min_duration_ms >= rules.min_duration_ms and within_most


def audits_of(named: Named, run: Run) -> tuple[str, ...]:
    """Return what makes a compliance test of it, whose figures are no result: settings, or the name of its entry."""
    if run.mode is not TestMode.PERFORMANCE:
        return ()
    said = [part for part in (named.mode, named.rest) if re.search(r"(?i)audit|test\d\d", part)]
    return (*audits(run.summary, run.detail), *(f"the entry is called {plain(part)}" for part in said))
