"""A joint search: Optuna chooses settings; each is held against the largest N that the best one so far has shown."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from sweep.search.certificate import Status, disturbed_by
from sweep.search.settings import Tried, next_setting
from sweep.study.allowance import Purse
from sweep.study.conduct import Conduct, Desk, SearchJob
from sweep.study.search import Ledger, SearchOutcome, SearchTest, SettingResult
from sweep.vocabulary import DISTURBED


class SettingsLedger(Ledger, Protocol):
    """Where the settings of a joint search are entered."""

    def prune(self, number: int, value: float | None, attributes: Mapping[str, Any]) -> None:
        """Enter that a setting was dropped."""


class JointConduct:
    """A joint search under way. `run` may be interrupted at any time; `outcome` says what was shown until then.

    A setting is first tested at the next N above the best one's answer. One that is not VALID there is dropped after
    that test, since it cannot be better; one that is VALID is searched from there upwards.

    Args:
        job: What to search for.
        desk: What it shares with others.
        purse: What it may spend.
        ledger: Where its settings are entered.
    """

    def __init__(self, job: SearchJob, desk: Desk, purse: Purse, ledger: SettingsLedger) -> None:
        self._job = job
        self._desk = desk
        self._purse = purse
        self._ledger = ledger
        self._entered = ledger.entered()
        self._begin = time.perf_counter()
        self._tried: list[Tried] = []
        self._results: list[SettingResult] = []
        self._tests: list[SearchTest] = []
        self._best: SearchOutcome | None = None
        self._last: SearchOutcome | None = None
        self._unproven: SearchOutcome | None = None
        self._dropped_disturbed: list[str] = []
        self._stopped_by = "interrupted"

    def run(self) -> None:
        """Try settings until all were, or as many as were asked for, or the purse is empty."""
        while len(self._tried) < self._job.settings:
            setting = next_setting(self._job.space, self._tried, self._job.seed)
            if setting is None or self._is_at_the_top:
                break
            if stopped_by := self._try(setting):
                self._stopped_by = stopped_by
                return
        self._stopped_by = ""

    def outcome(self) -> SearchOutcome:
        """Return the search of the best setting, with what all of them have shown."""
        chosen = self._best or self._unproven or self._last
        if chosen is None:
            place = (0, self._job.settings)
            chosen = Conduct(self._job, self._desk, self._purse, None, place).outcome()
        stopped_by = self._stopped_by or chosen.stopped_by
        certificate = replace(chosen.certificate, is_complete=not stopped_by)
        dropped = "; ".join(self._dropped_disturbed)
        why = [f"{DISTURBED}: dropped on a disturbed machine, where an idle one may have kept them: {dropped}"]
        return replace(
            chosen,
            certificate=disturbed_by(certificate, why if dropped else ()),
            tests=tuple(self._tests),
            seconds=time.perf_counter() - self._begin,
            measured_seconds=sum(test.outcome.stored.result.timing.total_ns for test in self._tests) / 1e9,
            stopped_by=stopped_by,
            settings=tuple(self._results),
        )

    @property
    def _incumbent(self) -> int | None:
        return None if self._best is None else self._best.certificate.max_streams

    @property
    def _is_at_the_top(self) -> bool:
        return self._incumbent == self._job.plan.question.domain.high

    def _try(self, setting: dict[str, Any]) -> str:
        """Search under one setting; return the budget that ended that."""
        job, incumbent = self._job.with_setting(setting), self._incumbent
        if incumbent is not None:
            job = job.starting_at(incumbent + self._job.plan.question.domain.step)
        count = min(self._job.settings, math.prod(len(values) for _, values in job.space))
        place = (len(self._tried), count)
        conduct = Conduct(job, self._desk, self._purse, None, place, is_challenge=incumbent is not None)
        name = " ".join(f"{key}={_shown(value)}" for key, value in setting.items())
        number = None if name in self._entered else self._begin_entry(setting)
        try:
            conduct.run()
        except BaseException:
            if number is not None:
                self._ledger.fail(number, {"why": "interrupted"})
            raise
        finally:
            found = self._last = conduct.outcome()
            self._tests += found.tests
        # What is not confirmed beats nothing.
        is_proven = found.certificate.status in (Status.EXACT, Status.INTERVAL, Status.OPEN, Status.ALL_VALID)
        streams = found.certificate.max_streams if is_proven else None
        if not is_proven and _reach(found) > _reach(self._unproven):
            self._unproven = found
        if streams is not None and (incumbent is None or streams > incumbent):
            self._best = found
        score = _score(found, conduct.lost, incumbent)
        why = found.failure or (found.accuracy if found.accuracy_failed else found.certificate.why)
        if conduct.lost is not None:
            result = conduct.lost.outcome.stored.result
            why = f"dropped: N={result.spec.samples_per_query} {result.result or result.state}: {_reason(conduct.lost)}"
            self._dropped_disturbed += [name] if result.disturbances else []
        self._tried.append(Tried(setting, score))
        self._results.append(SettingResult(setting, streams, why))
        if number is not None and conduct.stopped_by:
            self._ledger.fail(number, {"why": f"stopped by {conduct.stopped_by}"})
        elif number is not None:
            self._enter(number, {"record": name, "why": why, "max_streams": streams}, found, conduct.lost, score)
        return conduct.stopped_by

    def _begin_entry(self, setting: Mapping[str, Any]) -> int:
        choices = {key: tuple(map(_shown, values)) for key, values in self._job.space}
        return self._ledger.begin({key: _shown(value) for key, value in setting.items()}, choices)

    def _enter(
        self, number: int, attributes: dict[str, Any], found: SearchOutcome, lost: SearchTest | None, score: float
    ) -> None:
        if found.failure or found.accuracy_failed:
            self._ledger.fail(number, attributes)
        elif lost is not None or attributes["max_streams"] is None:
            self._ledger.prune(number, score, attributes)
        else:
            self._ledger.finish(number, score, attributes)


def _reach(found: SearchOutcome | None) -> int:
    """Return the largest N that was VALID, if not surely."""
    return 0 if found is None else found.certificate.max_streams or 0


def _score(found: SearchOutcome, lost: SearchTest | None, incumbent: int | None) -> float:
    """Return the largest N of a setting or, where it was dropped, about which N it would reach: Optuna learns by it."""
    if found.certificate.max_streams is not None:
        return float(found.certificate.max_streams)
    if lost is None or incumbent is None:
        return 0.0
    result = lost.outcome.stored.result
    target, latency = result.spec.rules.target_latency_ns, result.percentile_ns
    if target is None or not latency:
        return 0.0
    return min(result.spec.samples_per_query * target / latency, float(incumbent))


def _reason(test: SearchTest) -> str:
    result = test.outcome.stored.result
    return (result.why or "no reason in its record") + (" (on a disturbed machine)" if result.disturbances else "")


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
