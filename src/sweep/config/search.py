"""From composed configurations to searches: all of them are checked before the first test of the first one starts."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sweep.config.build import Options, build_each
from sweep.config.device import notes_on_search, pinned
from sweep.config.fields import Fields
from sweep.config.hydra_app import Composed
from sweep.config.point import Point, PointBuilder, frozen_problem
from sweep.config.rules import edition_batch, shown
from sweep.config.search_settings import Budget, Kind, SearchSettings, Space, read_search
from sweep.environment import environment_on, fingerprint_digest, usable_cores
from sweep.errors import ConfigError, Problem, choose
from sweep.gpus import Gpu
from sweep.search.base import Domain, Question
from sweep.study.search import SearchPlan
from sweep.trial.messages import TrialFiles
from sweep.trial.spec import SHIPPED, RunSpec, TrialSpec
from sweep.vocabulary import AbortRule, Precision, RunClass

_ACCURACY_BATCH = 32
"""Samples per query where each sample is run once: enough to keep an engine busy, few enough to fit anywhere."""

_TRIED = ("engine_batch", "precision")
"""What a joint search may try besides the options of the backend."""


@dataclass(frozen=True)
class Search:
    """One search of a sweep, ready to run.

    Attributes:
        plan: What is searched for; its spec is a full test at the smallest N.
        kind: `max_streams`, or `joint`, which is a search of the former kind under each setting that it tries.
        files: Where the parts of its tests lie on this machine.
        notes: What was chosen for the user, in words.
        budget: When it ends whatever it knows.
        seed: Of whatever is drawn.
        trials: Tests of a search that draws them.
        storage: URL of a database; None for a journal file under the output folder.
        min_accuracy: Share of the reference's accuracy that the engine must reach; None when that is not asked for.
        reference_accuracy: In percent; None when it is to be measured, as `reference_point` says.
        space: What a joint search tries: keys, each with its values. Empty in any other.
        settings: How many settings a joint search tries; 0 in any other.
        identity: Whatever its answer depends on, flat and as plain JSON data: a study that is resumed must have the
            same. Settings and budget, which only say how far it goes, are not in it.
        gpu: What its tests run on; None for the CPU.
        composed: Its configuration; every test is built from a copy.
    """

    plan: SearchPlan
    kind: Kind
    files: TrialFiles
    notes: tuple[str, ...]
    budget: Budget
    seed: int
    trials: int
    storage: str | None
    min_accuracy: float | None
    reference_accuracy: float | None
    space: Space
    settings: int
    identity: Mapping[str, Any]
    gpu: Gpu | None
    composed: Composed = field(repr=False, compare=False)

    def point(self, n: int, query_count: int | None) -> Point:
        """Return the test of one N.

        Args:
            n: Samples per query.
            query_count: Queries of a short test, which is a `custom` run; None for one of the asked run class.

        Raises:
            ConfigError: That N cannot be built.
        """
        full = _point(self.composed, {"batch": n})
        if query_count is None:
            return full
        run = RunSpec(RunClass.CUSTOM, query_count, query_count, 0, 0)
        # To its end: the latencies of a test that stops at its first one over the bound would mislead.
        return replace(full, spec=replace(full.spec, run=run, abort=AbortRule.NEVER))

    def accuracy_point(self) -> Point:
        """Return the test of the engine's accuracy.

        Raises:
            ConfigError: It has none that could be measured.
        """
        return self._accuracy({}, self.composed.config.get("engine_batch"))

    def reference_point(self) -> Point:
        """Return the test of the accuracy to compare with: the same model in fp32, the backend's options as usual.

        Raises:
            ConfigError: It has none that could be measured.
        """
        backend = {"name": self.composed.config["backend"]["name"]}
        return self._accuracy({"precision": str(Precision.FP32), "backend": backend, "engine_batch": None}, None)

    def with_setting(self, setting: Mapping[str, Any]) -> Search:
        """Return the same search under other settings; it stays a part of the same study.

        Args:
            setting: Key to value, such as `{"backend.threads": 2, "engine_batch": 8}`.

        Raises:
            ConfigError: The settings are not to be had.
        """
        composed = replace(self.composed, config=_changed(self.composed.config, setting))
        point = _point(composed, {"batch": self.plan.question.domain.low})
        label = {**self.plan.label, **{key: shown(value) for key, value in setting.items()}}
        plan = replace(self.plan, label=label, spec=point.spec)
        return replace(self, plan=plan, files=point.files, notes=(), composed=replace(composed, label=label))

    @property
    def has_given_name(self) -> bool:
        """Whether the study was named by the user."""
        return self.composed.config.get("study") is not None

    def named(self, name: str) -> Search:
        """Return the same search with another name for its study."""
        return replace(self, plan=replace(self.plan, name=name))

    def starting_at(self, n: int) -> Search:
        """Return the same search of N from `n` on, which is one of its N."""
        question = self.plan.question
        domain = replace(question.domain, low=n)
        return replace(self, plan=replace(self.plan, question=replace(question, domain=domain)))

    def _accuracy(self, changes: Mapping[str, Any], engine_batch: int | None) -> Point:
        # As many as an engine launch takes, where that was said: the same engine.
        n = self.plan.question.domain.floor(max(_ACCURACY_BATCH, engine_batch or 0))
        return _point(self.composed, {**changes, "mode": "accuracy", "batch": n})


def build_searches(points: Sequence[Composed]) -> tuple[list[Search], Options]:
    """Check every point and turn it into a search.

    Raises:
        ConfigError: With all problems of all points, each once.
    """
    searches, options = build_each(points, _search)
    return _named(searches), options


def _search(composed: Composed) -> Search:
    fields = Fields(composed.config)
    settings = read_search(fields)
    performance = _performance(fields)
    domain = _domain(fields, settings, PointBuilder(composed, in_search=True).frozen_batch())
    try:
        base = _builder(composed, {**performance, "batch": domain.low}).point()
    except ConfigError as error:
        raise ConfigError([*fields.problems, *error.problems]) from None
    target_latency_ns = base.spec.rules.target_latency_ns
    if target_latency_ns is None:
        reason = f"a search needs a latency bound, and rules {base.spec.rules.edition} have none"
        fields.problems.append(Problem("target_latency_ms", "null", reason, "for example target_latency_ms=50"))
    if fields.problems or target_latency_ns is None:
        raise ConfigError(fields.problems)
    space = _space(composed, settings, domain) if settings.kind is Kind.JOINT else ()
    identity = _identity(composed, settings, domain, base, space)
    question = Question(
        domain=domain,
        target_latency_ns=target_latency_ns,
        percentile=base.spec.rules.percentile,
        full_query_count=base.spec.run.min_query_count,
        confidence=settings.confidence,
    )
    name = settings.study or _default_name(settings.kind, base.spec, identity)
    search = Search(
        plan=SearchPlan(name, dict(composed.label), question, str(settings.algorithm), base.spec),
        kind=settings.kind,
        files=base.files,
        notes=(*base.notes, *notes_on_search(base.gpus)),
        budget=settings.budget,
        seed=settings.seed,
        trials=settings.trials,
        storage=settings.storage,
        min_accuracy=settings.min_accuracy,
        reference_accuracy=settings.reference_accuracy,
        space=space,
        settings=settings.settings,
        identity=identity,
        gpu=next(iter(base.gpus), None),
        composed=composed,
    )
    if problems := [*_budget_problems(search), *_space_problems(search), *_accuracy_problems(search)]:
        raise ConfigError(problems)
    return search


def _performance(fields: Fields) -> dict[str, Any]:
    """Refuse what contradicts a search; return what must be set for the rest to be checked all the same."""
    instead: dict[str, Any] = {}
    if (batch := fields.get("batch")) is not None:
        fix = "leave it out; search.min and search.max bound it"
        fields.problems.append(Problem("batch", batch, "is what the search finds", fix))
    if fields.get("mode") == "accuracy":
        fix = "leave it out; search.min_accuracy=0.99 checks the accuracy first"
        fields.problems.append(Problem("mode", "accuracy", "a search measures performance", fix))
        instead["mode"] = "performance"
    is_shipped = fields.get("rules.edition") in SHIPPED
    if fields.get("run") == RunClass.OFFICIAL and is_shipped and fields.get("rules.bounded") is not True:
        reason = f"official {fields.get('rules.edition')} tests have {edition_batch(fields)} samples per query"
        fields.problems.append(
            Problem("run", "official", f"{reason}, so there is nothing to find", "use run=screening")
        )
        instead["run"] = str(RunClass.SCREENING)
    return instead


def _domain(fields: Fields, settings: SearchSettings, frozen: int | None) -> Domain:
    """Return the N that may be asked for; what is wrong with them is among the problems of `fields`."""
    step = settings.step or frozen or 1
    if frozen is not None and step % frozen:
        fix = f"use a multiple of {frozen}, or leave it out"
        fields.problems.append(frozen_problem("search.step", step, frozen, fix))
        step = frozen
    unit = frozen or 1
    low = math.ceil(settings.low / unit) * unit
    if low > settings.high:
        fields.problems.append(frozen_problem("search.max", settings.high, unit, f"set it to {low} or more"))
        return Domain(low, low, step)
    return Domain(low, settings.high - (settings.high - low) % step, step)


def _space(composed: Composed, settings: SearchSettings, domain: Domain) -> Space:
    """Return what a joint search tries: what it was told to, or what the backend offers and nobody has set."""
    own = composed.config.get("backend")
    allowed = [*_TRIED, *(f"backend.{key}" for key in own if key != "name")] if isinstance(own, dict) else list(_TRIED)
    given = dict(override.lstrip("+").partition("=")[::2] for override in composed.overrides)
    if settings.space is not None:
        problems = []
        for key, _ in settings.space:
            if key not in allowed:
                problems.append(Problem("search.space", key, "is nothing that a search can try", choose(key, allowed)))
            elif key in given:
                fix = "leave it out, or out of search.space"
                problems.append(Problem(key, given[key], "is set, and to be tried as well", fix))
        if problems:
            raise ConfigError(problems)
        return settings.space
    builder = PointBuilder(composed, in_search=True)
    backend, _ = builder.backend_options()
    frozen = builder.frozen_batch()
    offered = {} if backend is None else backend.search_space(usable_cores())
    space = []
    for key, values in offered.items():
        if key == "engine_batch":  # one as large as the query is the whole query
            values = [value for value in values if frozen is None and (value is None or value < domain.high)]  # noqa: PLW2901
        if key not in given and len(values) > 1:
            space.append((key, tuple(values)))
    if not space:
        fix = "use search=max_streams, or give some: 'search.space={engine_batch:[null,8]}'"
        raise ConfigError(Problem("search", "joint", "there are no settings left to try", fix))
    return tuple(space)


def _space_problems(search: Search) -> Iterator[Problem]:
    for key, values in search.space:
        for value in values:
            try:
                search.with_setting({key: value})
            except ConfigError as error:
                yield from error.problems


def _accuracy_problems(search: Search) -> Iterator[Problem]:
    if search.min_accuracy is None:
        return
    points = [search.accuracy_point, *([search.reference_point] if search.reference_accuracy is None else [])]
    seen: set[Problem] = set()
    for make in points:
        try:
            make()
        except ConfigError as error:
            for problem in error.problems:
                own = problem
                if problem.field == "mode":  # which is the search's doing, not the user's
                    own = replace(problem, field="search.min_accuracy", value=f"{search.min_accuracy:g}")
                if own not in seen:
                    yield own
                seen.add(own)


def _identity(
    composed: Composed, settings: SearchSettings, domain: Domain, base: Point, space: Space
) -> dict[str, Any]:
    """Return whatever the answer of a search depends on, by names that people know."""
    spec = base.spec
    _, options = PointBuilder(composed, in_search=True).backend_options()  # a spec's may be those of one N
    identity: dict[str, Any] = {
        "search": str(settings.kind),
        "model": spec.model.name,
        "model_digest": spec.model.digest,
        "weights": str(spec.model.weights),
        "precision": str(spec.precision),
        "backend": spec.backend.name,
        **{f"backend.{key}": value for key, value in options.items()},
        **({"kernels": spec.backend.kernels} if spec.backend.kernels else {}),
        "engine_batch": composed.config.get("engine_batch"),
        "dataset": spec.dataset.name,
        "dataset_digest": spec.dataset.digest,
        "dataset_count": spec.dataset.count,
        "performance_sample_count": spec.dataset.performance_sample_count,
        "scenario": str(spec.scenario),
        "rules": spec.rules.edition,
        "checks": ",".join(spec.rules.checks),
        "target_latency_ms": (spec.rules.target_latency_ns or 0) / 1e6,
        "percentile": spec.rules.percentile,
        "run": str(spec.run.run_class),
        "min_query_count": spec.run.min_query_count,
        "max_query_count": spec.run.max_query_count,
        "min_duration_ms": spec.run.min_duration_ms,
        "max_duration_ms": spec.run.max_duration_ms,
        "abort": str(spec.abort),
        "min": domain.low,
        "max": domain.high,
        "step": domain.step,
        "algorithm": str(settings.algorithm),
        "confidence": settings.confidence,
        "seed": settings.seed,
        "min_accuracy": settings.min_accuracy,
        "reference_accuracy": settings.reference_accuracy,
        **{f"space.{key}": json.dumps(values) for key, values in space},
        "environment": fingerprint_digest(environment_on(next(iter(base.gpus), None))),
        **pinned(base.gpus, composed.label),
    }
    if settings.algorithm.is_random:
        identity["trials"] = settings.trials
    return identity


def _budget_problems(search: Search) -> Iterator[Problem]:
    """Refuse a budget into which not one full test fits: short tests give no verdict."""
    run, budget = search.plan.spec.run, search.budget
    needs = ((budget.queries, run.min_query_count, "queries"), (budget.seconds, run.min_duration_ms / 1e3, "seconds"))
    for given, least, unit in needs:
        if given is not None and given < least:
            key, quick = f"search.budget.{unit}", "" if run.run_class is RunClass.QUICK else ", or run=quick"
            reason = f"is less than one full test, which takes {least:g} {unit} at least (run={run.run_class})"
            yield Problem(key, f"{given:g}", reason, f"give {least:g} or more{quick}")


def _default_name(kind: Kind, spec: TrialSpec, identity: Mapping[str, Any]) -> str:
    whole = spec.to_json()
    del whole["samples_per_query"], whole["engine_batch"]  # the identity has both, as they were asked for
    canonical = json.dumps([whole, identity], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{kind}-{_word(spec.model.name)}-{spec.precision}-{spec.backend.name}-{digest[:8]}"


def _named(searches: Sequence[Search]) -> list[Search]:
    """Return the searches of a grid with studies of their own, where one name was given for several."""
    given = [str(search.composed.config.get("study")) for search in searches]
    asked = [search.composed.config.get("study") is not None for search in searches]
    several = Counter(name for name, is_given in zip(given, asked, strict=True) if is_given)
    taken: Counter[str] = Counter()
    named = []
    for search, is_given in zip(searches, asked, strict=True):
        name = search.plan.name
        if is_given and several[name] > 1:
            values = [_word(value) for key, value in search.plan.label.items() if key != "study"]
            name = "-".join((name, *values))
            taken[name] += 1
            if taken[name] > 1:  # values that differ in nothing but blanks and signs
                name = f"{name}-{taken[name]}"
        named.append(replace(search, plan=replace(search.plan, name=name)))
    return named


def _word(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip("-")[:80] or "x"


def _point(composed: Composed, changes: Mapping[str, Any]) -> Point:
    return replace(_builder(composed, changes).point(), notes=())


def _builder(composed: Composed, changes: Mapping[str, Any]) -> PointBuilder:
    return PointBuilder(replace(composed, config=_changed(composed.config, changes)), in_search=True)


def _changed(config: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a configuration with other values at some of its dotted keys."""
    changed = copy.deepcopy(config)
    for key, value in changes.items():
        *parents, name = key.split(".")
        node: Any = changed
        for parent in parents:
            if not isinstance(node.get(parent), dict):
                node[parent] = {}
            node = node[parent]
        node[name] = value
    return changed
