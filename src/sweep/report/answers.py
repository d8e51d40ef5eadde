"""The answers of a report: a search's from its certificate, and what tests without a search show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweep.report.search_plot import between_of
from sweep.report.search_points import Kind
from sweep.report.search_words import answer_of, evidence_lines, figure_of
from sweep.report.sections import Answer, Source, Test
from sweep.report.words import count_of, duration, ms
from sweep.results.largest import mark_of, shown_by_n
from sweep.results.selection import SearchRecord, SweepRecord
from sweep.search.certificate import Status
from sweep.study.search import SearchOutcome

_BAD = (Kind.INVALID, Kind.STOPPED)
_DOUBTS = 4
"""Tests that contradict a certificate and are named, at most."""


def answer_of_search(search: SearchRecord, tests: Sequence[Test]) -> Answer:
    """Return what a certificate says, and what speaks against it.

    Args:
        search: With its certificate.
        tests: Of the series that it is about, whoever ran them.
    """
    outcome = search.outcome()
    certificate = outcome.certificate
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
        f"records of {gone} of its {count_of(len(search.tests), 'test')} are gone" if gone and outcome.tests else "",
        _effort(outcome),
    )
    between = certificate.first_invalid is not None and certificate.max_streams is not None
    return Answer(
        source=Source.CERTIFICATE,
        text=answer_of(outcome),
        max_streams=certificate.max_streams,
        figure=figure_of(certificate),
        disturbed=certificate.disturbed,
        confidence=certificate.confidence,
        status=str(certificate.status),
        first_invalid=certificate.first_invalid,
        undecided=certificate.undecided,
        between=between_of(certificate.undecided) if between else "",
        step=outcome.plan.question.domain.step,
        lines=tuple(dict.fromkeys(filter(None, lines))),
        doubts=tuple(_doubts(search, tests)),
        certificate=search.path,
        evidence=certificate.evidence,
        settings=outcome.settings,
    )


def answer_of_tests(tests: Sequence[Test], runs: str) -> Answer:
    """Return the largest tested N that was VALID and, undisturbed, never INVALID: no more than that is known.

    Args:
        tests: All of one series.
        runs: What they are, in words: `screening runs`.
    """
    full = [test.stored.result for test in tests if test.kind is not Kind.SHORT]
    shown = shown_by_n(full)
    valid = {n for n, one in shown.items() if one.valid}
    invalid = {n for n, one in shown.items() if one.invalid}
    sure = {n for n, one in shown.items() if one.is_valid}
    mixed = [f"N={n} was {one}: not counted as VALID" for n, one in shown.items() if one.is_mixed]
    spec = tests[0].stored.result.spec
    if not sure:
        whole = sorted(invalid - valid)
        lines = [_seen(tests, whole[0])] if whole else []
        lines += mixed + _failed(tests)
        tested = "no full test was finished" if not valid | invalid else "no tested N is VALID"
        figure = "none" if valid | invalid else "unknown"
        mark = mark_of(full, None)
        text = f"{tested}{mark} (by {runs})"
        return Answer(Source.TESTS, text, None, f"{figure}{mark}", lines=tuple(lines), disturbed=bool(mark))
    largest = max(sure)
    above = min((n for n in invalid - valid if n > largest), default=None)
    lines = [_seen(tests, largest)]
    lines += [_seen(tests, above)] if above is not None else ["no larger N was tested and INVALID"]
    below = [n for n in sorted(invalid - valid) if n < largest]
    lines += [f"not VALID below it: N={', '.join(map(str, below))}"] if below else []
    lines += mixed + _failed(tests)
    if spec.rules.target_latency_ns is None:
        lines.append(f"rules {spec.rules_label} have no latency bound, so a larger one may be VALID too")
    mark = mark_of(full, largest)
    gap = (largest + 1, above - 1) if above is not None and above - largest > 1 else None
    between = "" if above is None else between_of(gap).replace("undecided", "not shown")
    return Answer(
        source=Source.TESTS,
        text=f"largest VALID tested N: {largest}{mark} (by {runs})",
        max_streams=largest,
        figure=f"{largest}{mark}",
        disturbed=bool(mark),
        first_invalid=above,
        undecided=gap,
        between=between,
        lines=tuple(lines),
    )


def answer_of_probes(killed: Sequence[SweepRecord]) -> Answer:
    """Return what the short tests of a search show without its certificate: nothing.

    Args:
        killed: The searches that did not end.
    """
    commands = dict.fromkeys(f"python -m sweep {' '.join(one.arguments)}" for one in killed)
    lines = [f"from a search that did not end: {command}" for command in commands]
    if len(lines) > 1:
        lines = [f"from one of {len(lines)} searches that did not end"]
    return no_answer("short tests of a search give no verdict on N, and no certificate names these", *lines)


def no_answer(why: str, *lines: str) -> Answer:
    """Return that the tests of a series give no answer.

    Args:
        why: In one line.
        lines: What is to be known beside it.
    """
    return Answer(Source.TESTS, f"no answer: {why}", None, "unknown", lines=tuple(filter(None, lines)))


def _doubts(search: SearchRecord, tests: Sequence[Test]) -> Iterator[str]:
    """Yield what contradicts a certificate: that nothing is left of it, and full tests that it does not count."""
    if search.tests and not any(search.tests):
        yield f"the records of its {count_of(len(search.tests), 'test')} are gone"
    certificate = search.saved.certificate
    answer, first_invalid = certificate.max_streams, certificate.first_invalid
    counted = {(one.spec_digest, one.environment_digest, one.started_at) for one in search.saved.tests}
    against = []
    for test in tests:
        result = test.stored.result
        own = (result.spec_digest, result.environment_digest, result.timing.started_at) in counted
        is_below = answer is not None and test.n <= answer and test.kind in _BAD
        is_above = first_invalid is not None and test.n >= first_invalid and test.kind is Kind.VALID
        if not own and not test.marks and (is_below or is_above):
            against.append(f"contradicted by a test outside this search: {_shown(test)}")
    yield from against[:_DOUBTS]
    if len(against) > _DOUBTS:
        yield f"contradicted by {count_of(len(against) - _DOUBTS, 'more test')} outside this search"


def _effort(outcome: SearchOutcome) -> str:
    certificate, plan = outcome.certificate, outcome.plan
    cost = f"{count_of(certificate.tests, 'test')}, {count_of(certificate.query_count, 'query')}"
    return f"{cost}, {duration(outcome.seconds)}; algorithm {plan.algorithm}, study {plan.name}"


def _seen(tests: Sequence[Test], n: int) -> str:
    """Return what the last test of an N has shown: `N=128 INVALID (p99 61.2 ms, 22 of 1440 over)`."""
    return _shown([test for test in tests if test.n == n and test.kind is not Kind.SHORT and not test.set_aside][-1])


def _shown(test: Test) -> str:
    result = test.stored.result
    over = "" if result.over_count is None else f", {result.over_count} of {result.query_count} over"
    return f"N={test.n} {test.kind} (p{result.spec.rules.percentile:g} {ms(result.percentile_ns)} ms{over})"


def _failed(tests: Sequence[Test]) -> list[str]:
    kinds = {test.n: test.stored.result.failure.kind for test in tests if test.stored.result.failure is not None}
    shown = ", ".join(f"N={n} ({kind})" for n, kind in sorted(kinds.items())[:6])
    return [f"FAILED: {shown}{', ...' if len(kinds) > 6 else ''}"] if kinds else []
