"""Which stored tests a submission is made of, and why the others are not in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sweep.errors import ConfigError, LogError, Problem
from sweep.paths import AttemptPaths
from sweep.store.records import StoredTrial
from sweep.submission.advice import notes_of, nothing_to_export, unused_entries
from sweep.submission.evidence import (
    CLOSED,
    Demand,
    Evidence,
    accuracy_reasons,
    has_text,
    performance_reasons,
    read_evidence,
    record_reasons,
    subject_reasons,
)
from sweep.submission.machine import NOT_STATED, default_name, known_facts
from sweep.submission.measurements import measurements_of, model_key
from sweep.submission.reproduce import command_of
from sweep.submission.rounds import Round
from sweep.submission.system_file import ENVIRONMENT_DIGITS, SystemFile, name_problem
from sweep.trial.result import TrialResult
from sweep.vocabulary import Scenario, TestMode, TrialState, Weights

CLASSIFICATION = "resnet"
"""The benchmark that a classifier of another name stands for in `open`, unless its user says another."""

_SCORED = "acc"
"""What sweep scores, as the rule book calls it."""

_NO_ACCURACY = "no accuracy test of the same model, engine and samples on this machine"
_SPEED_ONLY = frozenset(
    (
        *("threads", "samples", "host_memory", "copy_stream", "cuda_graphs", "profile", "profile_max"),
        *("workspace_mib", "memory_limit_mib", "aux_streams", "version_compatible"),
    )
)
"""Options of engines that decide how fast answers come, not which."""


def implementation_of(result: TrialResult) -> str:
    """Return the name of the program that ran a test."""
    imported = result.imported
    own = f"sweep-{result.spec.backend.name}"
    return own if imported is None else imported.implementation or f"{imported.source}-{imported.benchmark}"


@dataclass(frozen=True)
class Chosen:
    """One result of the submission: a system, a benchmark, a scenario.

    Attributes:
        system: Name of the system.
        folder: Name of the benchmark's folder: its own, or that of the model that stands for it.
        demand: What it was held against.
        performance: The performance test, with its logs.
        accuracy: The accuracy test.
        measurements: Its measurements file.
    """

    system: str
    folder: str
    demand: Demand
    performance: Evidence
    accuracy: StoredTrial
    measurements: Mapping[str, str]

    @property
    def result(self) -> TrialResult:
        """Record of the performance test."""
        return self.performance.stored.result

    @property
    def implementation(self) -> str:
        """Name of the program that ran it."""
        return implementation_of(self.result)

    @property
    def metric(self) -> str:
        """The result, in words."""
        estimate, p99 = self.performance.summary.early_stopping_estimate_ns, self.performance.p99_ns or 0
        if self.demand.rules.early_stopping and estimate is not None:
            return f"{estimate / 1e6:.4g} ms (early-stopping estimate of p99) at N={self.result.spec.samples_per_query}"
        return f"{self.result.spec.samples_per_query} samples per query, p99 {p99 / 1e6:.4g} ms"


@dataclass(frozen=True)
class LeftOut:
    """A performance test that is not in the submission.

    Attributes:
        stored: Its record.
        reasons: Why, each in a clause.
    """

    stored: StoredTrial
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A submission that can be written.

    Attributes:
        rules: The round.
        division: `closed` or `open`.
        submitter: Who submits.
        results: What is in it.
        systems: The systems' descriptions, by name, without division and submitter.
        mapping: Which benchmarks models of other names stand for.
        left_out: What is not in it.
        notes: What its submitter should know.
    """

    rules: Round
    division: str
    submitter: str
    results: tuple[Chosen, ...]
    systems: Mapping[str, Mapping[str, str]]
    mapping: Mapping[str, str]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def make_plan(
    trials: Sequence[StoredTrial],
    rules: Round,
    division: str,
    submitter: str,
    file: SystemFile,
    *,
    list_all: bool = False,
) -> Plan:
    """Choose the best test of each system, benchmark and scenario.

    Args:
        trials: Records to choose from.
        rules: The round.
        division: `closed` or `open`.
        submitter: Who submits.
        file: What the user says.
        list_all: Name every test that is left out, not only reasons, where none can be submitted.

    Raises:
        ConfigError: No test can be submitted, two systems have one name, or `closed` lacks what must be stated.
    """
    choice = _Choice(trials, rules, division, file)
    results, left_out = choice.choose()
    if not results:
        raise ConfigError(nothing_to_export(rules, division, left_out, list_all=list_all))
    systems = {one.system: _facts(one, rules, file) for one in results}
    open_fields = tuple(_not_stated(results, systems, rules))
    if open_fields and division == CLOSED and rules.meaningful:  # the early rounds let fields be empty
        fix = "fill in the file that python -m sweep submission init writes, and give it with --system-file"
        raise ConfigError(Problem("--division", division, f"needs what is not stated: {'; '.join(open_fields)}", fix))
    notes = [*(f"not stated, and so it says in the tree: {line}" for line in open_fields), *notes_of(results)]
    for name, facts in systems.items():
        if fields := [field for field in rules.numeric_fields if facts.get(field) == NOT_STATED]:
            what = f"{', '.join(fields)} of system {name} must be a number before you submit"
            notes.append(f"{what}: the report of {rules.name} is calculated with it, and fails over {NOT_STATED!r}")
    notes += unused_entries(trials, file)
    mapped = {one.folder: one.demand.name for one in results if rules.benchmark_of(one.folder) is None}
    return Plan(rules, division, submitter, results, systems, mapped, left_out, tuple(notes))


class _Choice:
    """Goes through the records."""

    def __init__(self, trials: Sequence[StoredTrial], rules: Round, division: str, file: SystemFile) -> None:
        self._rules = rules
        self._division = division
        self._file = file
        self._performance = [one for one in trials if one.result.spec.mode is TestMode.PERFORMANCE]
        self._accuracy = [one for one in trials if one.result.spec.mode is TestMode.ACCURACY]
        self._judged: dict[tuple[str, str], tuple[str, ...]] = {}

    def choose(self) -> tuple[tuple[Chosen, ...], tuple[LeftOut, ...]]:
        fit: list[Chosen] = []
        left: list[LeftOut] = []
        for stored in self._performance:
            found = self._candidate(stored)
            if isinstance(found, Chosen):
                fit.append(found)
            else:
                left.append(LeftOut(stored, found))
        _check_systems(fit)
        best: dict[tuple[str, str, Scenario], Chosen] = {}
        for one in sorted(fit, key=_rank):
            key = (one.system, one.folder, one.result.spec.scenario)
            if (better := best.setdefault(key, one)) is not one:
                left.append(LeftOut(one.performance.stored, (f"not the best: {one.metric}, and {better.metric}",)))
        return tuple(sorted(best.values(), key=lambda one: (one.system, one.folder))), tuple(left)

    def _candidate(self, stored: StoredTrial) -> Chosen | tuple[str, ...]:
        """Return a test as a result; why it cannot be one where it cannot."""
        result = stored.result
        name = self._benchmark(result)
        reasons = (*record_reasons(stored, self._division), *self._name_reasons(result, name))
        if name is None or result.state is not TrialState.COMPLETE or (reasons and _is_stand_in(result)):
            return reasons
        demand = Demand(self._rules, self._division, name)
        try:
            evidence = read_evidence(stored)
        except LogError as error:
            return (*reasons, str(error))
        # All that is wrong is said at once: the next test takes ten minutes.
        reasons += tuple(performance_reasons(evidence, demand))
        if result.imported is None and not has_text(AttemptPaths(stored.directory).user_conf):
            reasons += ("user.conf is missing or empty",)
        accuracy = self._accuracy_of(stored, demand)
        if isinstance(accuracy, tuple):
            return (*reasons, *accuracy)
        if reasons:
            return reasons
        entry = self._file.models.get(model_key(result))
        measurements = measurements_of(result, entry.measurements if entry else {})
        return Chosen(self._system(result), self._folder(result, name), demand, evidence, accuracy, measurements)

    def _name_reasons(self, result: TrialResult, benchmark: str | None) -> Iterator[str]:
        """Yield why a test's model has no place in the tree."""
        model, rules = model_key(result), self._rules.name
        if benchmark is not None:
            if (metric := self._rules.benchmarks[benchmark].metric) != _SCORED:
                yield f"sweep scores top-1 accuracy, and {benchmark} wants {metric or 'another metric'}"
            if (problem := name_problem("model", self._folder(result, benchmark))) is not None:
                yield f"{problem}; set model.name"
            if (problem := name_problem("implementation", implementation_of(result))) is not None:
                yield str(problem)
        elif model in self._rules.others:
            yield f"{model} is the name of a benchmark of {rules} that sweep does not know: set model.name"
        elif self._division == CLOSED:
            yield f"model {model} is no benchmark of {rules}, and closed has no others"
        else:
            fix = f"say which in models.{model}.benchmark of a system file"
            yield f"model {model} stands for no benchmark of {rules}: {fix}"

    def _benchmark(self, result: TrialResult) -> str | None:
        """Return the benchmark that a test is of, or that its model stands for in `open`."""
        known = self._rules.benchmark_of(model_key(result))
        if self._division == CLOSED or model_key(result) in self._rules.others:
            return known
        entry = self._file.models.get(model_key(result))
        if entry is not None and entry.benchmark:
            return entry.benchmark if entry.benchmark in self._rules.benchmarks else None
        return known or (CLASSIFICATION if result.spec.model.predicts_class else None)

    def _folder(self, result: TrialResult, benchmark: str) -> str:
        model = model_key(result)
        stands = self._rules.benchmark_of(model) == benchmark
        mapped = self._rules.has_mapping and self._division != CLOSED and self._rules.benchmark_of(model) is None
        return model if stands or mapped else benchmark

    def _system(self, result: TrialResult) -> str:
        said = (s.name for s in self._file.systems if s.is_of(result.environment_digest, result.spec.backend.name))
        return next(said, None) or default_name(result)

    def _accuracy_of(self, stored: StoredTrial, demand: Demand) -> StoredTrial | tuple[str, ...]:
        """Return the accuracy test of the same engine; why there is none where there is none."""
        key, n = _answers_of(stored.result), stored.result.spec.samples_per_query
        same = [one for one in self._accuracy if _answers_of(one.result) == key]
        same.sort(key=lambda one: one.result.timing.started_at, reverse=True)
        same.sort(key=lambda one: one.result.spec.samples_per_query != n)
        why: dict[str, None] = {}
        for one in same:
            if not (reasons := self._accuracy_reasons(one, demand)):
                return one
            why |= dict.fromkeys(reasons)
        return tuple(why) if same else (self._no_accuracy(stored.result, demand),)

    def _no_accuracy(self, result: TrialResult, demand: Demand) -> str:
        """Return that there is no accuracy test, which of other samples there is, and how to make one."""
        if result.imported is not None:
            return "no accuracy test of the same entry's system was imported"
        engine, *_ = _answers_of(result)
        others = {one.result.spec.dataset.count for one in self._accuracy if _answers_of(one.result)[0] == engine}
        of_others = f" (those there are cover {', '.join(map(str, sorted(others)))} other samples)" if others else ""
        asked = replace(result.spec, mode=TestMode.ACCURACY)
        if result.spec.dataset.count != demand.benchmark.dataset_size:
            return f"{_NO_ACCURACY}{of_others}: run it over the same samples, once these are enough"
        return f"{_NO_ACCURACY}{of_others}: {command_of(asked)}"

    def _accuracy_reasons(self, stored: StoredTrial, demand: Demand) -> tuple[str, ...]:
        key = (str(stored.directory), demand.name)
        if key not in self._judged:
            subject = subject_reasons(stored, self._division)
            self._judged[key] = (*subject, *accuracy_reasons(stored, demand))
        return self._judged[key]


def _answers_of(result: TrialResult) -> tuple[object, ...]:
    """Return what decides the answers of a test: two tests with the same are of one engine, whatever their speed."""
    if (imported := result.imported) is not None:
        program = (imported.source, imported.division, imported.system, imported.implementation, imported.benchmark)
        return ((*program, result.environment_digest, result.spec.precision),)
    spec = result.spec
    options = tuple(sorted((key, str(v)) for key, v in spec.backend.options.items() if key not in _SPEED_ONLY))
    engine = (result.environment_digest, spec.model.digest, spec.precision, spec.backend.name, options)
    return (engine, spec.dataset.digest, spec.dataset.count)


def _rank(one: Chosen) -> tuple[float, ...]:
    """Return what puts the best result first: most samples per query; where N is fixed, the smallest latency."""
    summary = one.performance.summary
    p99 = one.performance.p99_ns or 0
    if one.demand.rules.early_stopping:
        return (summary.early_stopping_estimate_ns or 0, p99)
    return (-one.result.spec.samples_per_query, p99)


def _check_systems(fit: Sequence[Chosen]) -> None:
    """Refuse two environments under one name."""
    of: dict[str, dict[tuple[str, str], TrialResult]] = {}
    for one in fit:
        key = (one.result.environment_digest, one.result.spec.backend.name)
        of.setdefault(one.system, {}).setdefault(key, one.result)
    problems = []
    for name, environments in of.items():
        if len(environments) > 1:
            shown = " and ".join(f"{digest[:ENVIRONMENT_DIGITS]} ({backend})" for digest, backend in environments)
            fix = "give each a name of its own in a file of submission init, or choose one with a filter"
            problems.append(Problem("system", name, f"is the name of several environments: {shown}", fix))
        if (problem := name_problem("system", name)) is not None:
            problems.append(problem)
    folders: dict[str, str] = {}
    for folder in {one.folder for one in fit}:
        if (other := folders.setdefault(folder.lower(), folder)) != folder:
            reason = f"differs from {other} by capitals alone: some systems have one folder for both"
            problems.append(Problem("model", folder, reason, "choose one with a filter"))
    if problems:
        raise ConfigError(problems)


def _facts(one: Chosen, rules: Round, file: SystemFile) -> dict[str, str]:
    result = one.result
    said = [s for s in file.systems if s.is_of(result.environment_digest, result.spec.backend.name)]
    facts = {**known_facts(result), **(said[0].fields if said else {})}
    for field in rules.meaningful:
        if field in facts and not facts[field]:
            facts[field] = NOT_STATED
    return facts


def _not_stated(results: Sequence[Chosen], systems: Mapping[str, Mapping[str, str]], rules: Round) -> Iterator[str]:
    for name, facts in systems.items():
        if fields := [field for field in rules.system_fields if facts.get(field) == NOT_STATED]:
            yield f"{', '.join(fields)} of system {name}"
    models: dict[str, None] = {}
    for one in results:
        if fields := [field for field, value in one.measurements.items() if value == NOT_STATED]:
            models[f"{', '.join(fields)} of model {one.folder}"] = None
    yield from models


def _is_stand_in(result: TrialResult) -> bool:
    """Return whether a test can be in no submission, however long it is."""
    spec = result.spec
    return spec.model.weights in (Weights.NONE, Weights.SYNTHETIC) or spec.dataset.name == "synthetic"
