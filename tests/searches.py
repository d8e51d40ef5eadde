"""Outcomes of searches, made by hand from tests that nobody ran."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from sweep.search.base import Ask, Domain, Question
from sweep.search.certificate import Certificate, Evidence, Status
from sweep.store.records import StoredTrial
from sweep.study.measure import Outcome
from sweep.study.search import SearchOutcome, SearchPlan, SearchTest
from sweep.trial.measurement import Measurement
from sweep.trial.result import Failure
from sweep.trial.trial import _percentiles, _Record
from sweep.trial.verdict import Check
from sweep.vocabulary import TrialState, Verdict

BOUND_MS = 50.0


class Searches:
    """Makes outcomes of searches; latencies grow with N as those of an engine do.

    Args:
        simulated: Fixture that makes specs.
        request_for: Fixture that makes the folder of a trial.
        directory: Of the commands.
    """

    def __init__(self, simulated, request_for, directory):
        self._simulated = simulated
        self._request_for = request_for
        self._directory = directory

    def test(self, n, *, queries=None, full=1440, failure=None, reused=False, per_sample_ms=0.15, notes=(), seed=7):
        """Return a test of N: a short one with `queries`, a failed one with `failure` (its kind).

        Of one seed, latencies of the same number of queries differ by N alone.
        """
        spec = self._simulated(batch=n, queries=queries or full, target_ms=BOUND_MS)
        request = self._request_for(spec)
        ask = Ask(n, queries, "does the edge lie above it?")
        count = 0 if failure else queries or full
        latencies = ((n * per_sample_ms + 0.4) * 1e6 * np.random.default_rng(seed).gamma(900, 1 / 900, count)).astype(
            np.int64
        )
        if count:
            np.save(Path(request.directory) / "latencies_ns.npy", latencies)
        seen = Measurement(failure=Failure(failure or "error", f"{failure} at N={n}", ""))
        seen.latencies_ns, seen.query_count = latencies, count
        result = replace(_Record(request, seen, 1, "2026-01-01T00:00:00+00:00", 0).conclude(), notes=tuple(notes))
        if not failure:
            fits = result.over_latency_count <= result.over_latency_allowed
            checks = tuple(Check(name, fits, True, "seen") for name in spec.rules.checks)
            result = replace(
                result,
                state=TrialState.COMPLETE,
                failure=None,
                result=Verdict.VALID if fits else Verdict.INVALID,
                checks=checks,
                why="" if fits else f"{result.over_latency_count} over-latency",
                latencies=_percentiles(latencies, 99.0, "sut"),
            )
        return SearchTest(ask, Outcome(StoredTrial(result, Path(request.directory)), reused=reused))

    def outcome(self, status, tests, *, label=None, roles=None, p_valid=None, **changes):
        """Return an outcome of a status; `changes` go to the certificate or the outcome, whichever has that field."""
        question = Question(Domain(1, 8192), int(BOUND_MS * 1e6), 99.0, 1440, 0.95)
        spec = self._simulated(batch=1, queries=1440, target_ms=BOUND_MS)
        plan = SearchPlan("digits", label or {}, question, "bisection", spec)
        certificate = Certificate(
            status=status,
            max_streams=None,
            confidence=None,
            first_invalid=None,
            undecided=None,
            is_complete=True,
            why="the reason in one line",
            remark="",
            evidence=tuple(_evidence(n, tests, roles or {}, p_valid or {}) for n in _tested(tests)),
            tests=len(tests),
            query_count=sum(test.outcome.stored.result.query_count for test in tests),
        )
        own = {name: changes.pop(name) for name in tuple(changes) if hasattr(certificate, name)}
        outcome = SearchOutcome(
            plan=plan,
            certificate=replace(certificate, **own),
            tests=tuple(tests),
            seconds=75.0,
            measured_seconds=130.0,
            storage="sqlite:///outputs/search.db",
            accuracy="",
            accuracy_failed=False,
            failure="",
            notes=(),
            directory=self._directory,
        )
        return replace(outcome, **changes)

    def exact(self, **changes):
        """Return a search that found its edge to the sample."""
        probes = [self.test(n, queries=16) for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)]
        fulls = [self.test(n) for n in (288, 304, 320, 312, 308, 306, 307, 306)]
        return self.outcome(
            Status.EXACT,
            [*probes, *fulls],
            **{
                "max_streams": 306,
                "confidence": 0.996,
                "first_invalid": 307,
                "roles": {306: "answer", 307: "next", 320: "round"},
                **changes,
            },
        )

    def interval(self, **changes):
        """Return a search whose edge is known to a few samples."""
        probes = [self.test(n, queries=16) for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)]
        fulls = [self.test(n, seed=n % 5) for n in (288, 320, 304, 308, 306, 307, 306, 309)]
        return self.outcome(
            Status.INTERVAL,
            [*probes, *fulls],
            **{
                "max_streams": 304,
                "confidence": 0.9999,
                "first_invalid": 309,
                "undecided": (305, 308),
                "roles": {304: "answer", 309: "first invalid"},
                "p_valid": {306: 0.61, 307: 0.22},
                **changes,
            },
        )

    def none_valid(self, **changes):
        """Return a search whose smallest N is too slow."""
        tests = [self.test(1, per_sample_ms=55.0), self.test(2, queries=16, per_sample_ms=55.0)]
        return self.outcome(Status.NONE_VALID, tests, **{"first_invalid": 1, **changes})

    def all_valid(self, **changes):
        """Return a search that nothing bounds from above."""
        tests = [self.test(n, queries=16, per_sample_ms=0.005) for n in (1, 8, 64, 512, 4096)]
        tests.append(self.test(8192, per_sample_ms=0.005))
        known = {"max_streams": 8192, "confidence": 0.998, "roles": {8192: "answer"}}
        return self.outcome(Status.ALL_VALID, tests, **{**known, **changes})

    def single(self, **changes):
        """Return a search that a budget ended after one test."""
        known = {"max_streams": 128, "confidence": 0.62, "is_complete": False, "roles": {128: "answer"}}
        return self.outcome(Status.UNCONFIRMED, [self.test(128)], **{**known, **changes})

    def failed(self, **changes):
        """Return a search whose engine cannot be built."""
        test = self.test(1, failure="error")
        known = {"failure": "no test at N=1 can be run", "is_complete": False}
        return self.outcome(Status.UNKNOWN, [test], **{**known, **changes})


def _tested(tests):
    return sorted({test.ask.samples_per_query for test in tests})


def _evidence(n, tests, roles, p_valid):
    of_n = [test for test in tests if test.ask.samples_per_query == n]
    full = [test.outcome.stored.result for test in of_n if test.ask.query_count is None]
    results = [test.outcome.stored.result for test in of_n]
    failures = [result.failure.kind for result in results if result.failure]
    over = sum(result.over_latency_count or 0 for result in results)
    queries = sum(result.query_count for result in results)
    percentiles = [result.percentile_ns for result in results if result.percentile_ns]
    return Evidence(
        samples_per_query=n,
        full_tests=len(full),
        short_tests=len(of_n) - len(full),
        valid_tests=sum(result.result is Verdict.VALID for result in full),
        invalid_tests=sum(result.result is Verdict.INVALID for result in full),
        failure=failures[0] if failures else "",
        query_count=queries,
        over_latency_count=over,
        percentile_ns=max(percentiles, default=None),
        set_aside_tests=0,
        p_valid=p_valid.get(n, 0.97 if over <= queries / 100 else 0.0001),
        role=roles.get(n, ""),
    )
