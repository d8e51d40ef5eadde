"""What a search has shown, and how surely: the answer, its evidence on both sides, and what stays undecided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sweep.search.base import ROUND_VALUES, Observation, Question, Shown
from sweep.search.evidence import Pool, pools
from sweep.search.searcher import Searcher
from sweep.vocabulary import DISTURBED

DISTURBED_CONFIDENCE = 0.99
"""The most that is claimed for an answer that rests on disturbed tests: counts know nothing of neighbours."""

_NAMED = 4
"""N that are named where several say the same, at most."""


class Status(StrEnum):
    """What kind of answer a certificate gives."""

    EXACT = "exact"
    """N is VALID, and the next larger one INVALID; never of an answer that rests on disturbed tests."""
    INTERVAL = "interval"
    """N is VALID, some larger one INVALID; what lies between is undecided."""
    OPEN = "open"
    """N is VALID, and no larger one was shown INVALID."""
    UNCONFIRMED = "unconfirmed"
    """N was VALID, but not surely: the search ended, by its budget or by its nature, before that was confirmed."""
    NONE_VALID = "none valid"
    """Not even the smallest N is VALID."""
    ALL_VALID = "all valid"
    """The largest N that the search may ask for is VALID: the answer lies above it."""
    UNKNOWN = "unknown"
    """Nothing was shown: tests failed (a crash is no verdict on N), or the budget ended first."""


@dataclass(frozen=True)
class Evidence:
    """What all tests of one N have shown together.

    Attributes:
        samples_per_query: N.
        full_tests: Tests planned at the asked run class.
        short_tests: Shorter ones.
        valid_tests: Full tests that were VALID.
        invalid_tests: Full tests that were INVALID.
        failure: How a test of it failed, if one did.
        query_count: Queries of all its tests.
        over_latency_count: Of them, over the bound.
        percentile_ns: Their pooled latency at the percentile; None when no query finished.
        set_aside_tests: Full tests of a disturbed machine that do not count, since an undisturbed one has a verdict.
        p_valid: Probability that at most the allowed share of queries is over the bound, from these counts alone.
        role: Its place in the certificate: `answer`, `next` (the one above the answer), `first invalid`, `round` (a
            multiple of 8, 16 or 32 above the edge), or empty.
        is_disturbed: Whether it was INVALID on a disturbed machine alone, which proves nothing.
    """

    samples_per_query: int
    full_tests: int
    short_tests: int
    valid_tests: int
    invalid_tests: int
    failure: str
    query_count: int
    over_latency_count: int
    percentile_ns: int | None
    set_aside_tests: int
    p_valid: float
    role: str
    is_disturbed: bool = False


@dataclass(frozen=True)
class Certificate:
    """The outcome of a search.

    Attributes:
        status: What kind of answer it is.
        max_streams: The largest N shown VALID at the asked run class; None when there is none.
        confidence: Probability that `max_streams` is truly VALID, by its evidence; None when there is none.
        first_invalid: The smallest N above it that was shown INVALID, or out of memory; None when none was.
        undecided: What lies between, as its first and last N; None when nothing does.
        is_complete: False when a budget or an interruption ended the search before it was done.
        why: The reason for the answer in one line: what bounds it from above, or why there is none.
        remark: What is to be known about it beside the counts, in one line; often empty.
        evidence: Per N that was tested, ascending.
        tests: Tests altogether.
        query_count: Queries altogether.
        disturbed: Whether the answer rests on disturbed tests, as `with_disturbances` says.
    """

    status: Status
    max_streams: int | None
    confidence: float | None
    first_invalid: int | None
    undecided: tuple[int, int] | None
    is_complete: bool
    why: str
    remark: str
    evidence: tuple[Evidence, ...]
    tests: int
    query_count: int
    disturbed: bool = False

    @property
    def mark(self) -> str:
        """What stands behind its figures: `, disturbed`, or nothing."""
        return f", {DISTURBED}" if self.disturbed else ""


def certify(searcher: Searcher, *, is_complete: bool) -> Certificate:
    """Return what a search has shown so far.

    An N counts as VALID when full tests of it were VALID, none INVALID, and their counts reach the wanted confidence;
    as INVALID when a full test was and the counts leave no more than the rest. Whatever a searcher believes beyond
    that is not certified.

    Args:
        searcher: With everything it was told.
        is_complete: Whether it had nothing left to ask.
    """
    question = searcher.question
    by_n = pools(question, searcher.seen)
    domain = question.domain
    answer, status, bad = _answer(searcher, by_n)
    undecided = None
    if answer is not None and answer < domain.high:
        last = domain.high if bad is None else bad - domain.step
        undecided = (answer + domain.step, last) if last > answer else None
    elif status is Status.UNKNOWN and bad is not None:
        undecided = domain.low, bad - domain.step
    # What bounds the search without a verdict is no INVALID.
    invalid = None if bad is None or by_n[bad].has_no_verdict else bad
    certificate = Certificate(
        status=status,
        max_streams=answer,
        confidence=None if answer is None else searcher.confidence(answer),
        first_invalid=invalid,
        undecided=undecided,
        is_complete=is_complete,
        why=_why(question, by_n, status, answer, bad),
        remark="; ".join(filter(None, (searcher.remark(), *_remarks(searcher, by_n, answer, bad)))),
        evidence=tuple(
            _evidence(pool, _role(pool.samples_per_query, answer, bad, domain.step)) for pool in by_n.values()
        ),
        tests=sum(one.shown is not Shown.REFUSED for one in searcher.seen),
        query_count=sum(one.query_count for one in searcher.seen),
    )
    return with_disturbances(certificate, question, searcher.seen)


def with_disturbances(certificate: Certificate, question: Question, seen: Sequence[Observation]) -> Certificate:
    """Return a certificate that says whether its answer rests on disturbed tests, and then claims less.

    It does where undisturbed tests alone show less: no VALID at the answer, or no INVALID at an N that keeps it from
    being larger. A disturbance only makes queries slower. So a disturbed VALID holds, and its confidence is too low if
    anything; but a disturbed INVALID may make the answer too small, by any number. Such an answer is not exact, and has
    a confidence of `DISTURBED_CONFIDENCE` at most.

    Args:
        certificate: From these tests.
        question: Of the search.
        seen: Its tests, with or without their latencies.
    """
    return disturbed_by(certificate, tuple(_disturbances(pools(question, seen), certificate)))


def disturbed_by(certificate: Certificate, why: Sequence[str]) -> Certificate:
    """Return a certificate as one that rests on disturbed tests, for reasons; without any, as it is."""
    if not why:
        return certificate
    confidence = certificate.confidence
    return replace(
        certificate,
        disturbed=True,
        status=Status.INTERVAL if certificate.status is Status.EXACT else certificate.status,
        confidence=None if confidence is None else min(confidence, DISTURBED_CONFIDENCE),
        remark="; ".join(filter(None, (*why, certificate.remark))),
    )


def _disturbances(by_n: Mapping[int, Pool], certificate: Certificate) -> Iterator[str]:
    """Yield what of an answer no undisturbed test shows, in words."""
    answer, bad = certificate.max_streams, certificate.first_invalid
    invalid = []
    for n, pool in by_n.items():
        is_above = (answer is None or n > answer) and (bad is None or n <= bad) and not pool.does_not_run
        # The second of certificates from before disturbed tests proved nothing.
        if is_above and (pool.is_disturbed or (n == bad and pool.set_aside and not pool.is_bad)):
            invalid.append(n)
        if n == answer and pool.valid_tests and all(test.busy for test in pool.full if test.shown is Shown.VALID):
            yield f"{DISTURBED}: N={n} was VALID in disturbed tests alone, which holds all the same"
    if invalid:
        alone = f"N={_several(invalid)} INVALID in disturbed tests alone, which proves nothing"
        small = "" if certificate.status is Status.UNKNOWN else ", so the answer may be too small"
        yield f"{DISTURBED}: {alone}{small}: search again when the machine is idle"


def _answer(searcher: Searcher, by_n: Mapping[int, Pool]) -> tuple[int | None, Status, int | None]:
    """Return the answer, what kind it is, and the smallest N above it that is not VALID."""
    domain = searcher.question.domain
    low, high, step = domain.low, domain.high, domain.step
    good, bad = searcher.proven()
    if good is not None:
        if good == high:
            return good, Status.ALL_VALID, None
        if bad is None or by_n[bad].has_no_verdict:
            return good, Status.OPEN, bad
        beyond = any(pool.valid_tests for n, pool in by_n.items() if n > bad)
        return good, Status.EXACT if bad == good + step and not beyond else Status.INTERVAL, bad
    once = [n for n, pool in by_n.items() if _was_valid(searcher, n, pool)]
    if once:
        above = [n for n, pool in by_n.items() if n > max(once) and pool.is_bad]
        return max(once), Status.UNCONFIRMED, min(above, default=None)
    if low in by_n and by_n[low].is_bad and not by_n[low].has_no_verdict:
        return None, Status.NONE_VALID, low
    invalid = [n for n, pool in by_n.items() if pool.is_bad and not pool.has_no_verdict]
    return None, Status.UNKNOWN, min(invalid, default=None)


def _was_valid(searcher: Searcher, n: int, pool: Pool) -> bool:
    """Say whether N is more likely VALID than not, by full tests."""
    more = pool.valid_tests > pool.invalid_tests and not pool.is_bad
    return more and searcher.confidence(n) >= 0.5


def _remarks(searcher: Searcher, by_n: Mapping[int, Pool], answer: int | None, bad: int | None) -> Iterator[str]:
    """Yield what a reader of the answer must know beside it."""
    if answer is None:
        return
    wanted, reached = searcher.question.confidence, searcher.confidence(answer)
    if reached < wanted:
        yield f"the confidence is below the {100 * wanted:g} % that was asked for"
    beyond = [n for n, pool in by_n.items() if bad is not None and n > bad and pool.valid_tests]
    if beyond:
        yield f"above the first INVALID, N={_several(beyond)} VALID once, but not surely"
    below = [n for n, pool in by_n.items() if n < answer and pool.is_bad and not pool.has_no_verdict]
    if below:
        yield f"below the answer, N={_several(below)} INVALID: latency does not always rise with N"


def _several(ns: Sequence[int]) -> str:
    return f"{ns[0]} was" if len(ns) == 1 else f"{', '.join(map(str, ns))} were"


def _why(question: Question, by_n: Mapping[int, Pool], status: Status, answer: int | None, bad: int | None) -> str:
    domain = question.domain
    match status:
        case Status.ALL_VALID:
            return f"N={domain.high} is VALID, and the search may ask for no more"
        case Status.NONE_VALID:
            return f"the smallest N={domain.low} is not VALID: {told(by_n[domain.low])}"
        case Status.UNKNOWN:
            return _nothing_valid(by_n)
    above = "nothing above it was shown INVALID"
    if bad is not None:
        above = f"N={bad} is not VALID: {told(by_n[bad])}"
        if by_n[bad].has_no_verdict:
            above = f"N={bad} bounds the search without a verdict: {told(by_n[bad])}"
    if status is Status.UNCONFIRMED and answer is not None:
        return f"N={answer} was VALID, but not surely: {told(by_n[answer])}; {above}"
    return above


def _nothing_valid(by_n: Mapping[int, Pool]) -> str:
    """Return what is known where no N was shown VALID: how far up that was tried, and what was INVALID, how surely."""
    failed = [f"N={n}: {told(pool)}" for n, pool in by_n.items() if pool.does_not_run]
    tested = [pool for pool in by_n.values() if pool.full]
    if not tested:
        return "; ".join(("no N was shown VALID or INVALID", *failed))
    known = [f"no N was shown VALID, up to N={tested[-1].samples_per_query}"]
    for pool in tested[:_NAMED]:
        surely = "" if pool.is_bad else ", on a disturbed machine alone" if pool.is_disturbed else ", but not surely"
        if pool.valid_tests and not pool.is_disturbed:
            surely = ", too close to call"
        shown = f"was INVALID in {pool.invalid_tests} of {len(pool.full)} full tests{surely}"
        known.append(f"N={pool.samples_per_query} {shown}: {told(pool)}")
    more = [f"and {len(tested) - _NAMED} more N"] if len(tested) > _NAMED else []
    return "; ".join((*known, *more, *failed))


def told(pool: Pool) -> str:
    """Return what the tests of one N have told, in a few words."""
    if pool.does_not_run:
        return pool.does_not_run
    question, reasons = pool.question, []
    for test in pool.full:
        allowed = question.over_latency_allowed(max(test.query_count, question.full_query_count))
        if test.shown is Shown.INVALID and test.why and test.over_latency_count <= allowed:  # not for its latency
            reasons.append(test.why)
    if reasons and pool.over_latency_count <= question.over_latency_allowed(max(pool.query_count, 1)):
        return reasons[-1]
    return f"{pool.over_latency_count} of {pool.query_count} queries over the bound"


def _role(n: int, answer: int | None, bad: int | None, step: int) -> str:
    if n == answer:
        return "answer"
    if answer is not None and n == answer + step:
        return "next"
    if n == bad:
        return "first invalid"
    if answer is not None and bad is not None and n > bad and any(n == (bad // m + 1) * m for m in ROUND_VALUES):
        return "round"
    return ""


def _evidence(pool: Pool, role: str) -> Evidence:
    failed = (Shown.FAILED, Shown.OUT_OF_MEMORY, Shown.REFUSED)
    failures = [str(one.shown) for one in pool.tests if one.shown in failed]
    return Evidence(
        samples_per_query=pool.samples_per_query,
        full_tests=pool.tests_of_full_length,
        short_tests=len(pool.tests) - pool.tests_of_full_length,
        valid_tests=pool.valid_tests,
        invalid_tests=pool.invalid_tests,
        failure=failures[-1] if failures else "",
        query_count=pool.query_count,
        over_latency_count=pool.over_latency_count,
        percentile_ns=pool.percentile_ns,
        set_aside_tests=pool.set_aside,
        p_valid=pool.p_valid,
        role=role,
        is_disturbed=pool.is_disturbed,
    )
