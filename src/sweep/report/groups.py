"""Which tests are of one series: what they share, the searches about them, and what a search has left behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from sweep.report.configuration import BATCH, EACH, PROBES, RUN, configuration_of
from sweep.results.selection import SearchRecord, Selection, SweepRecord
from sweep.store.records import StoredTrial
from sweep.trial.spec import RunSpec, TrialSpec
from sweep.vocabulary import AbortRule, RunClass, TestMode

_FULL_FIRST = (*map(str, (RunClass.OFFICIAL, RunClass.SCREENING, RunClass.QUICK, RunClass.CUSTOM)), PROBES)
"""Runs, those that say most first."""

_Key = tuple[str, ...]


@dataclasses.dataclass
class Group:
    """A series in the making.

    Attributes:
        configuration: What its tests share.
        digest: Of their environment; empty where there is none, as no test was run.
        spec: Of one of them, or of its search.
        run: How long its full tests run; None where it has none, only probes of a search without a certificate.
        trials: Its tests, each with whether it is a short one of a search.
        searches: Those about it.
    """

    configuration: dict[str, str]
    digest: str
    spec: TrialSpec
    run: RunSpec | None
    trials: dict[Path, tuple[StoredTrial, bool]] = dataclasses.field(default_factory=dict)
    searches: list[SearchRecord] = dataclasses.field(default_factory=list)

    @property
    def order(self) -> tuple[str, ...]:
        """What groups are sorted by: their configuration, official runs before shorter ones."""
        ranks = {RUN: f"{_FULL_FIRST.index(self.configuration[RUN])}"}
        return tuple((self.configuration | ranks).values())


def groups_of(selection: Selection) -> list[Group]:
    """Return the series by what sets them apart.

    Short tests of a search belong to its full ones. Those that no certificate names, since their search did not end,
    are a series of their own. A search whose records are gone is about a series all the same.
    """
    wanted = {one.directory for one in selection.trials}
    groups: dict[_Key, Group] = {}
    placed: set[Path] = set()

    def group(spec: TrialSpec, digest: str, run: RunSpec | None, batch: Mapping[str, str]) -> Group:
        configuration = {**configuration_of(spec, run), **batch}
        return groups.setdefault((*configuration.values(), digest), Group(configuration, digest, spec, run))

    for search in selection.searches:
        plan, batch = search.saved.plan.spec, _batch_of(search)
        for stored, said in zip(search.tests, search.saved.tests, strict=True):
            if stored is not None and (path := stored.directory) in wanted:
                of_test = group(stored.result.spec, stored.result.environment_digest, plan.run, batch)
                of_test.trials[path] = (stored, said.asked_query_count is not None)
                placed.add(path)
        own = next((one for one in groups.values() if _is_of(one, search)), None)
        if own is None:
            said_of = next((one.environment_digest for one in search.saved.tests), "")
            own = group(plan, said_of, plan.run, batch)
        own.searches.append(search)
    searched = {one.directory: True for sweep in selection.sweeps if is_search(sweep) for one in sweep.trials}
    searched |= {one.directory: False for sweep in selection.sweeps if not is_search(sweep) for one in sweep.trials}
    for stored in selection.trials:
        path, spec = stored.directory, stored.result.spec
        if spec.mode is TestMode.PERFORMANCE and path not in placed:
            is_probe = stored.result.imported is None and _is_probe(spec, searched.get(path))
            of_test = group(spec, stored.result.environment_digest, None if is_probe else spec.run, {})
            of_test.trials[path] = (stored, is_probe)
    return list(_joined(groups).values())


def killed_searches(selection: Selection) -> list[SweepRecord]:
    """Return the commands that were searches, or named sweeps that may be, and did not come to the end of all."""
    unfinished = [one for one in selection.sweeps if one.done < one.planned]
    return [one for one in unfinished if is_search(one) or (_has(one, "sweeps") and not one.tests)]


def is_search(sweep: SweepRecord) -> bool:
    """Return whether a command was a search, as far as is known: of a named sweep without certificates it is not."""
    return sweep.has_certificates or _has(sweep, "search")


def _has(sweep: SweepRecord, key: str) -> bool:
    words = [word.partition("=") for word in sweep.arguments]
    return any(name.lstrip("+") == key and value not in ("", "none", "null") for name, _, value in words)


def _is_probe(spec: TrialSpec, of_search: bool | None) -> bool:
    """Return whether a test that no certificate names is a short one of a search.

    Args:
        spec: Its own.
        of_search: Whether the command that names it was a search; None where no command does, as none does whose
            search was killed. By its shape it can be told then: so many queries, neither less nor more, to their end.
    """
    run = spec.run
    if run.run_class is not RunClass.CUSTOM or of_search is False:
        return False
    is_exact = RunSpec(run.run_class, run.min_query_count, run.min_query_count, 0, 0) == run
    return of_search is True or (is_exact and spec.abort is AbortRule.NEVER)


def _batch_of(search: SearchRecord) -> dict[str, str]:
    """Return the engine batch that a search was given, which its tests of a smaller N do not show; none if several."""
    if search.saved.settings:
        return {}
    specs = [test.result.spec for test in search.tests if test is not None]
    split = {str(spec.engine_batch) for spec in specs if spec.engine_batch != spec.samples_per_query}
    if not specs and search.saved.asked.get("engine_batch") is not None:
        split = {str(search.saved.asked["engine_batch"])}
    return {BATCH: split.pop()} if len(split) == 1 else {}


def _is_of(group: Group, search: SearchRecord) -> bool:
    """Return whether a search is about a series: its spec, where its tests ran; N tells nothing of its engine batch."""
    spec = search.saved.plan.spec
    about = configuration_of(spec, spec.run)
    same = all(group.configuration[key] == value for key, value in about.items() if key != BATCH)
    directories = {test.directory for test in search.tests if test is not None}
    return same and not directories.isdisjoint(group.trials)


def _joined(groups: dict[_Key, Group]) -> dict[_Key, Group]:
    """Give series of one engine batch the tests whose N is no larger, which are the same with it and without."""
    for key, whole in list(groups.items()):
        if whole.configuration[BATCH] != EACH:
            continue
        rest = {name: value for name, value in whole.configuration.items() if name != BATCH}
        split = [
            one
            for one in groups.values()
            if one.digest == whole.digest and one is not whole and rest.items() <= one.configuration.items()
        ]
        left = dict(whole.trials)
        for one in split:
            size = int(one.configuration[BATCH])
            fits = {
                path: trial for path, trial in whole.trials.items() if trial[0].result.spec.samples_per_query <= size
            }
            one.trials |= fits
            left = {path: trial for path, trial in left.items() if path not in fits}
        if split and not left and not whole.searches:
            del groups[key]
    return groups
