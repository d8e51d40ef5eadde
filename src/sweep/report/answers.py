"""The answers of a report: a search's from its certificate, and what tests without a search show."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.report.search_plot import between_of
from sweep.report.search_points import Kind
from sweep.report.search_words import answer_of, evidence_lines
from sweep.report.sections import Answer, Source, Test
from sweep.report.words import count_of, duration, ms
from sweep.results.selection import SearchRecord
from sweep.search.certificate import Status
from sweep.study.search import SearchOutcome

_BAD = (Kind.INVALID, Kind.STOPPED)


def answer_of_search(search: SearchRecord) -> Answer:
    """Return what a certificate says."""
    outcome = search.outcome()
    certificate = outcome.certificate
    more = " or more" if certificate.status in (Status.ALL_VALID, Status.OPEN) else ""
    figure = "unknown" if certificate.max_streams is None else f"{certificate.max_streams}{more}"
    if certificate.status is Status.NONE_VALID:
        figure = "none"
    stopped = f" by {outcome.stopped_by}" if "=" in outcome.stopped_by else ""
    gone = len(search.tests) - len(outcome.tests)
    lines = (
        f"the search could not go on: {outcome.failure}" if outcome.failure else "",
        f"accuracy: {outcome.accuracy}" if outcome.accuracy else "",
        *evidence_lines(outcome),
        certificate.why if certificate.first_invalid is None and certificate.status is not Status.NONE_VALID else "",
        certificate.remark,
        "" if certificate.is_complete else f"stopped{stopped} before it was done",
        *outcome.notes,
        f"records of {gone} of its {count_of(len(search.tests), 'test')} are gone" if gone else "",
        _effort(outcome),
    )
    between = certificate.first_invalid is not None and certificate.max_streams is not None
    return Answer(
        source=Source.CERTIFICATE,
        text=answer_of(outcome),
        max_streams=certificate.max_streams,
        figure=figure,
        confidence=certificate.confidence,
        status=str(certificate.status),
        first_invalid=certificate.first_invalid,
        undecided=certificate.undecided,
        between=between_of(certificate.undecided) if between else "",
        step=outcome.plan.question.domain.step,
        lines=tuple(dict.fromkeys(filter(None, lines))),
        certificate=search.path,
        evidence=certificate.evidence,
        settings=outcome.settings,
    )


def answer_of_tests(tests: Sequence[Test], run_class: str) -> Answer:
    """Return the largest tested N that was VALID and, undisturbed, never INVALID: no more than that is known.

    Args:
        tests: Of one series.
        run_class: Length of its full tests.
    """
    valid = {test.n for test in tests if test.kind is Kind.VALID}
    invalid = {test.n for test in tests if test.kind in _BAD and not test.set_aside}
    sure, mixed = valid - invalid, sorted(valid & invalid)
    rules = tests[0].stored.result.spec.rules
    if not sure:
        whole = sorted(invalid - valid)
        lines = [_seen(tests, whole[0])] if whole else []
        lines += _of_both(tests, mixed) + _failed(tests)
        tested = "no full test was finished" if not valid | invalid else "no tested N is VALID"
        figure = "none" if valid | invalid else "unknown"
        return Answer(Source.TESTS, f"{tested} (by {run_class} runs)", None, figure, lines=tuple(lines))
    largest = max(sure)
    above = min((n for n in invalid - valid if n > largest), default=None)
    lines = [_seen(tests, largest)]
    lines += [_seen(tests, above)] if above is not None else ["no larger N was tested and INVALID"]
    below = [n for n in sorted(invalid - valid) if n < largest]
    lines += [f"not VALID below it: N={', '.join(map(str, below))}"] if below else []
    lines += _of_both(tests, mixed) + _failed(tests)
    if rules.target_latency_ns is None:
        lines.append(f"rules {rules.edition} have no latency bound, so a larger one may be VALID too")
    gap = (largest + 1, above - 1) if above is not None and above - largest > 1 else None
    between = "" if above is None else between_of(gap).replace("undecided", "not shown")
    return Answer(
        source=Source.TESTS,
        text=f"largest VALID tested N: {largest} (by {run_class} runs)",
        max_streams=largest,
        figure=str(largest),
        first_invalid=above,
        undecided=gap,
        between=between,
        lines=tuple(lines),
    )


def _effort(outcome: SearchOutcome) -> str:
    certificate, plan = outcome.certificate, outcome.plan
    cost = f"{count_of(certificate.tests, 'test')}, {count_of(certificate.query_count, 'query')}"
    return f"{cost}, {duration(outcome.seconds)}; algorithm {plan.algorithm}, study {plan.name}"


def _seen(tests: Sequence[Test], n: int) -> str:
    """Return what the last test of an N has shown: `N=128 INVALID (p99 61.2 ms, 22 of 1440 over)`."""
    last = [test for test in tests if test.n == n and test.kind is not Kind.SHORT and not test.set_aside][-1]
    result = last.stored.result
    over = "" if result.over_latency_count is None else f", {result.over_latency_count} of {result.query_count} over"
    return f"N={n} {last.kind} (p{result.spec.rules.percentile:g} {ms(result.percentile_ns)} ms{over})"


def _of_both(tests: Sequence[Test], mixed: Sequence[int]) -> list[str]:
    lines = []
    for n in mixed:
        full = [test for test in tests if test.n == n and test.kind in (Kind.VALID, *_BAD)]
        valid = sum(test.kind is Kind.VALID for test in full)
        lines.append(f"N={n} was VALID in {valid} of its {count_of(len(full), 'test')}: not counted as VALID")
    return lines


def _failed(tests: Sequence[Test]) -> list[str]:
    kinds = {test.n: test.stored.result.failure.kind for test in tests if test.stored.result.failure is not None}
    shown = ", ".join(f"N={n} ({kind})" for n, kind in sorted(kinds.items())[:6])
    return [f"FAILED: {shown}{', ...' if len(kinds) > 6 else ''}"] if kinds else []
