"""The answer of a search in one line, as honest as its certificate."""

from __future__ import annotations

from sweep.search.certificate import Status
from sweep.study.search import SearchOutcome

_NEAR_CERTAIN = 0.001


def percent(probability: float) -> str:
    """Return a probability in percent. One within 0.1 % of certainty is never rounded to certainty: `> 99.9 %`."""
    if probability > 1 - _NEAR_CERTAIN:
        return "> 99.9 %"
    if probability < _NEAR_CERTAIN:
        return "< 0.1 %"
    # A value just below certainty must not be rounded up over it.
    return f"{min(100 * probability, 99.9):.1f} %"


def answer_of(outcome: SearchOutcome) -> str:
    """Return the answer in one line, with how long the tests ran: a short run's VALID is not an official one."""
    certificate, question = outcome.certificate, outcome.plan.question
    by = f"by {outcome.plan.spec.run.run_class} runs"
    if outcome.accuracy_failed:
        return "max streams: not searched, the accuracy is too low"
    if certificate.status is Status.NONE_VALID:
        return f"max streams: none, not even N={question.domain.low} is VALID ({by})"
    if certificate.max_streams is None or certificate.status is Status.UNKNOWN:
        return "max streams: unknown"
    surely = by if certificate.confidence is None else f"confidence {percent(certificate.confidence)}, {by}"
    kind = {Status.ALL_VALID: " or more", Status.OPEN: " or more", Status.UNCONFIRMED: ", not confirmed"}.get(
        certificate.status, ""
    )
    return f"max streams: {certificate.max_streams}{kind} ({surely})"
