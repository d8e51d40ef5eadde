"""A CK point as the record of a trial: what was measured, where, how it is judged, and where it comes from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweep.environment import fingerprint_digest
from sweep.errors import RecordError
from sweep.imports.ck_entry import Entry
from sweep.imports.ck_facts import Facts, read_facts
from sweep.imports.ck_json import RefusedError, plain, word
from sweep.imports.ck_run import Run, read_run
from sweep.imports.ck_spec import audits_of, spec_of
from sweep.imports.judge import ignored_note, judge_imported
from sweep.loadgen.logs import Summary
from sweep.paths import json_text
from sweep.submission.logs import ignored_errors
from sweep.trial.imported import IMPORTED, Imported
from sweep.trial.result import Latencies, Timing, TrialResult
from sweep.trial.spec import TrialSpec
from sweep.trial.verdict import JUDGE_VERSION, Judgement
from sweep.vocabulary import Scenario, TestMode, TrialState

SOURCE = "ck"
_POWER_TIME = "%m-%d-%Y %H:%M:%S.%f"


@dataclass(frozen=True)
class Record:
    """What is to be stored of one run of a point.

    Attributes:
        result: The record, as the first attempt.
        files: LoadGen's logs and settings, by file name.
    """

    result: TrialResult
    files: Mapping[str, bytes]


def make_record(entry: Entry, point: Mapping[str, Any], item: Any, name: str, imported_at: str) -> Record:
    """Return the record of one run.

    Args:
        entry: The entry.
        point: The point: its `features` and `choices`.
        item: Of its `characteristics_list`.
        name: Of the run in the entry, for `Imported.point`.
        imported_at: UTC, ISO 8601.

    Raises:
        RefusedError: It cannot be imported; the message says why.
    """
    asked = _asked_mode(entry, point)
    run = read_run(item, asked)
    facts = read_facts(entry, point, run.confs, run.detail)
    notes = list(run.notes)
    spec = spec_of(entry.named, facts, run, notes)
    if ignored := ignored_errors(spec.seeds, run.summary, run.detail):
        notes.append(ignored_note(spec.seeds, ignored))
    if found := audits_of(entry.named, run):
        notes.append(f"a compliance test ({', '.join(found)}), whose figures are no result")
    elif entry.named.rest:
        notes.append(f"the entry's name goes on with {entry.named.rest!r}")
    override = facts.setting("CK_LOADGEN_COUNT_OVERRIDE")
    if override and run.mode is TestMode.PERFORMANCE:
        notes.append(f"the count of its queries was set by hand (CK_LOADGEN_COUNT_OVERRIDE={override})")
    result = _Assembly(entry, facts, run, spec, notes).result(name, imported_at)
    try:
        json_text(result.to_json()).encode()
        TrialResult.from_json(result.to_json(), "it")
    except (RecordError, ValueError, RecursionError, OverflowError) as error:
        raise RefusedError(f"makes no record: {plain(error)}") from error
    return Record(result, run.files)


def _asked_mode(entry: Entry, point: Mapping[str, Any]) -> str:
    """Return what the test was told to do, else what the entry's name says of it."""
    named = entry.named.mode if entry.named.mode in ("performance", "accuracy") else ""
    return word(point, "choices", "env", "CK_LOADGEN_MODE") or named


class _Assembly:
    """Puts a record together."""

    def __init__(self, entry: Entry, facts: Facts, run: Run, spec: TrialSpec, notes: list[str]) -> None:
        self._entry = entry
        self._facts = facts
        self._run = run
        self._spec = spec
        self._notes = notes

    def result(self, name: str, imported_at: str) -> TrialResult:
        run, spec, summary = self._run, self._spec, self._run.summary
        performance = run.mode is TestMode.PERFORMANCE
        judgement = judge_imported(spec, summary, run.detail, run.contradictions) if performance else None
        queries = self._query_count() if performance else 0
        is_bounded = performance and spec.rules.target_latency_ns is not None and queries > 0
        environment = dict(self._facts.environment)
        latencies = self._latencies() if performance else None
        timing = self._timing(imported_at)
        return TrialResult(
            spec=spec,
            spec_digest=spec.digest,
            model_path=None,
            environment=environment,
            environment_digest=fingerprint_digest(environment),
            attempt=1,
            state=TrialState.COMPLETE,
            judge_version=JUDGE_VERSION,
            **_verdict(judgement),
            loadgen_result=summary.loadgen_result,
            aborted=None,
            latencies=latencies,
            device_latencies=None,
            early_stopping_estimate_ns=summary.early_stopping_estimate_ns,
            query_count=queries,
            planned_query_count=spec.run.min_query_count,
            over_latency_count=None,
            over_latency_allowed=spec.over_latency_allowed(queries) if is_bounded else None,
            expected_latency_ns=None,
            warmup=None,
            accuracy=run.accuracy,
            machine_load=None,
            telemetry=None,
            engine={},
            timing=timing,
            failure=None,
            notes=(f"{IMPORTED} {SOURCE}: sweep did not measure it", *self._notes),
            imported=self._imported(name, imported_at, summary),
        )

    def _imported(self, name: str, imported_at: str, summary: Summary) -> Imported:
        entry, facts, metric = self._entry, self._facts, summary.metric
        return Imported(
            source=SOURCE,
            entry=entry.name,
            point=name,
            imported_at=imported_at,
            division=entry.named.division,
            system=entry.named.platform,
            system_name=facts.system_name,
            implementation=facts.program,
            benchmark=facts.benchmark,
            settings=dict(facts.settings),
            description=dict(facts.description),
            metric="" if metric is None else plain(metric.name),
            metric_value=None if metric is None else float(metric.value),
            metric_unit="" if metric is None else metric.unit,
            files=tuple(self._run.files),
        )

    def _latencies(self) -> Latencies | None:
        """Return the latencies of queries; where LoadGen tells their ends and mean of samples alone, those."""
        own, samples = self._run.summary.latency, self._run.summary.sample_latency
        least, mean, most = own.min_ns, own.mean_ns, own.max_ns
        if least is None or mean is None or most is None:
            least, mean, most = samples.min_ns, samples.mean_ns, samples.max_ns
            if own.percentiles_ns and least is not None:
                self._notes.append("fastest and mean latency are those of samples: LoadGen gave none of queries")
        if not own.percentiles_ns or least is None or mean is None or most is None:
            self._notes.append("LoadGen gave no latencies")
            return None
        return Latencies("loadgen", least, mean, most, dict(own.percentiles_ns))

    def _query_count(self) -> int:
        """Return how many queries were finished, as far as LoadGen says so; 0 where it does not."""
        summary, detail, run = self._run.summary, self._run.detail, self._spec.run
        if summary.processed_queries is not None:
            return summary.processed_queries
        if self._spec.scenario is Scenario.OFFLINE:
            return 1
        if summary.min_queries is not True or not run.min_query_count:
            self._notes.append("how many queries were finished is not known: LoadGen did not say it then")
            return 0
        prepared = None if detail is None else detail.generated_query_count
        if prepared != run.min_query_count:
            least = f"at least {run.min_query_count} queries were finished"
            self._notes.append(f"{least}; LoadGen did not say how many more")
        return run.min_query_count

    def _timing(self, imported_at: str) -> Timing:
        detail = self._run.detail
        moment = None if detail is None else _moment(detail.test_datetime)
        if moment is None:
            moment = _moment(self._entry.recorded_at)
            instead = "its entry was written" if moment else "it was imported"
            self._notes.append(f"when it was measured is not known; its time is when {instead}")
        took_ns = 0
        if detail is not None and detail.power_begin and detail.power_end:
            begin, end = _power_time(detail.power_begin), _power_time(detail.power_end)
            if begin is not None and end is not None and end > begin:
                took_ns = (end - begin) // dt.timedelta(microseconds=1) * 1000
        return Timing(started_at=moment or imported_at, engine_ns=0, warmup_ns=0, test_ns=took_ns, total_ns=took_ns)


def _verdict(judgement: Judgement | None) -> dict[str, Any]:
    if judgement is None:
        return {"result": None, "checks": (), "why": "", "recommendation": ""}
    return {
        "result": judgement.result,
        "checks": judgement.checks,
        "why": judgement.why,
        "recommendation": judgement.recommendation,
    }


def _moment(text: str | None) -> str | None:
    """Return a time as the records have it, in UTC to the second; one without a zone is taken to be in UTC."""
    try:
        moment = dt.datetime.fromisoformat((text or "").strip())
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return zoned.astimezone(dt.UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return None


def _power_time(text: str) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(text.strip(), _POWER_TIME).replace(tzinfo=dt.UTC)
    except ValueError:
        return None
