"""The answer of a search in words, as honest as its certificate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sweep.report.words import ms
from sweep.search.certificate import Certificate, Evidence, Status
from sweep.study.search import SearchOutcome

if TYPE_CHECKING:
    from sweep.report.sections import Answer

_NEAR_CERTAIN = 0.001
_ODDS_SHOWN = 6
_KINDS = {Status.ALL_VALID: " or more", Status.OPEN: " or more", Status.UNCONFIRMED: ", not confirmed"}


def percent(probability: float) -> str:
    """Return a probability in percent. One within 0.1 % of certainty is never rounded to certainty: `> 99.9 %`."""
    if probability > 1 - _NEAR_CERTAIN:
        return "> 99.9 %"
    if probability < _NEAR_CERTAIN:
        return "< 0.1 %"
    # A value just below certainty must not be rounded up over it.
    return f"{min(100 * probability, 99.9):.1f} %"


def confidence_of(answer: Certificate | Answer) -> str:
    """Return the confidence that is told with an answer; empty where it has none, or rests on disturbed tests."""
    return "" if answer.confidence is None or answer.disturbed else percent(answer.confidence)


def answer_of(outcome: SearchOutcome) -> str:
    """Return the answer in one line, with how long the tests ran: a short run's VALID is not an official one."""
    certificate, question = outcome.certificate, outcome.plan.question
    by = f"by {outcome.plan.spec.run_class} runs"
    if outcome.accuracy_failed:
        return "max streams: not searched, the accuracy is too low"
    if certificate.status is Status.NONE_VALID:
        return f"max streams: none{certificate.mark}, not even N={question.domain.low} is VALID ({by})"
    if certificate.max_streams is None or certificate.status is Status.UNKNOWN:
        below = f", below N={certificate.first_invalid} ({by})" if certificate.first_invalid is not None else ""
        return f"max streams: unknown{certificate.mark}{below}"
    confidence = confidence_of(certificate)
    surely = f"confidence {confidence}, {by}" if confidence else by
    return f"max streams: {figure_of(certificate)} ({surely})"


def figure_of(certificate: Certificate) -> str:
    """Return the answer as a figure, with what must not be missing beside it: `386, not confirmed, disturbed`."""
    figure, kind = str(certificate.max_streams), _KINDS.get(certificate.status, "")
    if certificate.max_streams is None:
        figure, kind = "none" if certificate.status is Status.NONE_VALID else "unknown", ""
    return f"{figure}{kind}{certificate.mark}"


def evidence_lines(outcome: SearchOutcome) -> Iterator[str]:
    """Yield what the tests around the answer have shown, in words, nearest first."""
    certificate = outcome.certificate
    bounding = certificate.first_invalid
    if certificate.status is Status.NONE_VALID:
        bounding = outcome.plan.question.domain.low
    others = [one for one in certificate.evidence if one.samples_per_query != bounding]
    for one in certificate.evidence:
        if one.samples_per_query == bounding:
            yield described(one, outcome)
    if certificate.undecided is not None:
        yield _undecided(certificate, *certificate.undecided)
    rounds = [described(one, outcome) for one in others if one.role == "round"]
    if rounds:
        yield f"round values above: {'; '.join(rounds)}"
    failed = [f"N={one.samples_per_query}: {one.failure}" for one in others if one.failure and one.role != "round"]
    if failed:
        yield f"tests that failed: {'; '.join(failed)}"


def described(evidence: Evidence, outcome: SearchOutcome) -> str:
    """Return what the tests of an N have shown: `N=312 INVALID (22 of 1440 over, p99 50.31 ms)`."""
    percentile = f"p{outcome.plan.question.percentile:g} {ms(evidence.percentile_ns)} ms"
    figures = f"({evidence.over_latency_count} of {evidence.query_count} over, {percentile})"
    if evidence.valid_tests and evidence.invalid_tests:
        shown = f"VALID in {evidence.valid_tests} and INVALID in {evidence.invalid_tests} of its tests"
    elif evidence.invalid_tests or evidence.valid_tests:
        shown = "INVALID" if evidence.invalid_tests else "VALID"
        shown += " on a disturbed machine alone" if evidence.is_disturbed else ""
    elif evidence.failure:
        return f"N={evidence.samples_per_query}: {evidence.failure}"
    else:
        shown = "seen in short tests only"
    aside = f"; {evidence.set_aside_tests} of a disturbed machine set aside" if evidence.set_aside_tests else ""
    return f"N={evidence.samples_per_query} {shown} {figures}{aside}"


def odds_of(evidence: Evidence, answer: Certificate | Answer) -> str:
    """Return how likely an N is VALID; empty where short or disturbed tests are all, or the answer rests on such."""
    has_full = evidence.valid_tests + evidence.invalid_tests > 0
    return percent(evidence.p_valid) if has_full and not (evidence.is_disturbed or answer.disturbed) else ""


def _undecided(certificate: Certificate, first: int, last: int) -> str:
    between = f"N={first}" if first == last else f"N={first} to {last}"
    why = "not settled when the search ended"
    if certificate.is_complete:
        full = [one for one in certificate.evidence if one.full_tests and first <= one.samples_per_query <= last]
        why = "too close to the bound for these tests to tell VALID from INVALID" if full else "not tested in full"
        if full and all(one.is_disturbed for one in full):
            why = "INVALID on a disturbed machine alone"
        if certificate.first_invalid is None:
            why = "not shown VALID, nor INVALID"
    odds = [
        f"{one.samples_per_query} {known}"
        for one in certificate.evidence
        if first <= one.samples_per_query <= last and (known := odds_of(one, certificate))
    ]
    more = ", ..." if len(odds) > _ODDS_SHOWN else ""
    chances = f"; P(valid): N={', N='.join(odds[:_ODDS_SHOWN])}{more}" if odds else ""
    return f"undecided: {between}, {why}{chances}"
