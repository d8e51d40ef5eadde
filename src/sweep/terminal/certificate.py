"""What a search looks like after it: its answer, how surely, the evidence on both sides, and where that lies."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.config.rules import SAMPLES_PER_QUERY_MAX
from sweep.report.search_words import answer_of, confidence_of, evidence_lines, odds_of
from sweep.search.certificate import Certificate, Evidence, Status
from sweep.study.search import SearchOutcome, SearchTest
from sweep.terminal.search_plot import plot_text
from sweep.terminal.tables import WHY_LEAST, WHY_WIDTH, print_table, show_notes, width_of
from sweep.terminal.words import conditions, count_of, duration, ms, waived_words
from sweep.trial.result import DISTURBANCES, TrialResult
from sweep.vocabulary import Verdict

_NEAR = 4
"""Ns shown on each side of the edge, beside those that have a role."""
_PLOT_WIDTH, _PLOT_LEAST = 70, 40
_STATUS_STYLES = {Status.EXACT: "green", Status.INTERVAL: "green", Status.UNKNOWN: "bold red"}


def show_search(out: Console, outcome: SearchOutcome, *, plot: bool | None = None) -> None:
    """Print a certificate as text: the answer first, then what bounds it, then the evidence.

    Args:
        out: Where to.
        outcome: The search.
        plot: Whether to draw latency against N; None draws it on a terminal only.
    """
    out.print(answer_of(outcome), style="bold", markup=False, highlight=False)
    for line in (*_answer_lines(outcome), conditions(outcome.plan.spec), *_effort_lines(outcome)):
        out.print(line, markup=False, highlight=False)
    if outcome.certificate.evidence:
        _show_evidence(out, outcome)
    if outcome.settings:
        _show_settings(out, outcome)
    if out.is_terminal if plot is None else plot:
        _show_plot(out, outcome)
    _show_all_notes(out, [("", outcome)])
    for line in _places(outcome):
        out.print(line, markup=False, highlight=False)


def show_searches(out: Console, outcomes: Sequence[SearchOutcome]) -> None:
    """Print several searches as one aligned table, in their order: searches of other models are no rivals."""
    for line in dict.fromkeys(conditions(outcome.plan.spec) for outcome in outcomes):
        out.print(line, markup=False, highlight=False)
    narrow = _searches_table(outcomes, with_why=False)
    if out.width - width_of(out, narrow) >= WHY_LEAST:
        print_table(out, _searches_table(outcomes, with_why=True))
    else:
        print_table(out, narrow, whole=True)
        for outcome in outcomes:
            if why := _why(outcome):
                out.print(f"{_name(outcome)}: {why}", markup=False, highlight=False)
    _show_all_notes(out, [(_name(outcome), outcome) for outcome in outcomes])
    for directory in dict.fromkeys(outcome.directory for outcome in outcomes):
        out.print(f"certificates and plots: {directory}", markup=False, highlight=False)


def _answer_lines(outcome: SearchOutcome) -> Iterator[str]:
    """Yield what bounds the answer, in words, nearest first."""
    certificate, high = outcome.certificate, outcome.plan.question.domain.high
    if outcome.failure:
        yield f"the search could not go on: {outcome.failure}"
    if outcome.accuracy:
        yield f"accuracy: {outcome.accuracy}"
    # Where N is shown that bounds the answer, its figures say the same.
    shown = certificate.status is Status.NONE_VALID or certificate.first_invalid is not None
    if certificate.why and not (shown and certificate.status is not Status.UNCONFIRMED):
        yield certificate.why
    if certificate.status is Status.ALL_VALID:
        further = min(2 * high, SAMPLES_PER_QUERY_MAX)
        yield f"N={high} is the largest that may be asked for; search.max={further} asks further up"
    yield from evidence_lines(outcome)
    if certificate.remark:
        yield certificate.remark
    answer = [test for test in outcome.answer_tests if _is_verdict(test, certificate.max_streams, Verdict.VALID)]
    if waived := waived_words(test.outcome.stored.result for test in answer):
        yield waived
    if not certificate.is_complete:
        yield f"{_stopped(outcome)}; its tests are kept, and the same search goes on from there"


def _effort_lines(outcome: SearchOutcome) -> Iterator[str]:
    """Yield what the search has cost, all settings of a joint one together."""
    reused = sum(test.outcome.reused for test in outcome.tests)
    queries = sum(test.outcome.stored.result.query_count for test in outcome.tests)
    tests = count_of(len(outcome.tests), "test") + (f" ({reused} reused)" if reused else "")
    yield (
        f"{tests}, {count_of(queries, 'query')}; {duration(outcome.seconds)} spent, "
        f"the tests took {duration(outcome.measured_seconds)} whenever they ran"
    )


def _show_evidence(out: Console, outcome: SearchOutcome) -> None:
    """Print the evidence near the edge, figures whole; the rest is in the file."""
    chosen = _near_edge(outcome.certificate)
    table = Table(box=None, pad_edge=False, header_style="bold")
    percentile = f"p{outcome.plan.question.percentile:g} ms"
    headings = ("N", "full tests", "VALID", "INVALID", "short tests", "queries", "over", percentile, "P(valid)")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("role", no_wrap=True)
    for one in chosen:
        counts = (one.full_tests, one.valid_tests, one.invalid_tests, one.short_tests)
        known = odds_of(one, outcome.certificate) or "-"
        seen = (one.query_count, one.over_latency_count, ms(one.percentile_ns), known)
        role = ", ".join(filter(None, (one.role, one.failure)))
        style = "bold" if one.role == "answer" else ""
        table.add_row(*(Text(str(cell)) for cell in (one.samples_per_query, *counts, *seen)), Text(role), style=style)
    print_table(out, table, whole=True)
    hidden = len(outcome.certificate.evidence) - len(chosen)
    if hidden:
        out.print(f"and {hidden} more N further from the edge", style="dim", highlight=False)


def _show_settings(out: Console, outcome: SearchOutcome) -> None:
    """Print what each setting of a joint search has shown, in the order in which they were tried."""
    keys = list(outcome.settings[0].setting)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for key in keys:
        table.add_column(key, no_wrap=True)
    table.add_column("max streams", justify="right", no_wrap=True)
    table.add_column("why", max_width=WHY_WIDTH)
    for one in outcome.settings:
        values = ["null" if one.setting[key] is None else str(one.setting[key]) for key in keys]
        streams = "-" if one.max_streams is None else str(one.max_streams)
        best = one.max_streams is not None and one.max_streams == outcome.certificate.max_streams
        table.add_row(*map(Text, values), Text(streams), Text(one.why), style="bold" if best else "")
    print_table(out, table, whole=True)


def _near_edge(certificate: Certificate) -> list[Evidence]:
    known = [n for n in (certificate.max_streams, certificate.first_invalid) if n is not None]
    evidence = certificate.evidence
    if not known:
        return list(evidence[: 2 * _NEAR])
    low, high = min(known), max(known)
    below = [one for one in evidence if one.samples_per_query < low][-_NEAR:]
    above = [one for one in evidence if one.samples_per_query > high][:_NEAR]
    return [
        one
        for one in evidence
        if one.role or one.failure or low <= one.samples_per_query <= high or one in below or one in above
    ]


def _show_plot(out: Console, outcome: SearchOutcome) -> None:
    width = min(_PLOT_WIDTH, out.width)
    drawn = plot_text(outcome, width) if width >= _PLOT_LEAST else ""
    for line in drawn.splitlines():
        out.print(line, markup=False, highlight=False)


def _places(outcome: SearchOutcome) -> Iterator[str]:
    """Yield where the records lie that the answer rests on."""
    certificate = outcome.certificate
    for n, verdict in ((certificate.max_streams, Verdict.VALID), (certificate.first_invalid, Verdict.INVALID)):
        found = [test for test in outcome.answer_tests if _is_verdict(test, n, verdict)]
        if found:
            yield f"logs of N={n} {verdict}: {found[-1].outcome.stored.directory}"
    yield f"certificate and plot: {outcome.directory}"
    yield f"study: {outcome.plan.name} in {outcome.storage}"


def _is_verdict(test: SearchTest, n: int | None, verdict: Verdict) -> bool:
    return (
        test.ask.query_count is None
        and test.ask.samples_per_query == n
        and (test.outcome.stored.result.result is verdict)
    )


def _show_all_notes(out: Console, named: Sequence[tuple[str, SearchOutcome]]) -> None:
    """Print the notes of searches and of their tests, each once."""
    of_searches: dict[str, list[str]] = {}
    for name, outcome in named:
        for note in outcome.notes:
            of_searches.setdefault(note, []).append(name)
    for note, names in of_searches.items():
        where = "" if len(names) == len(named) else f" ({', '.join(names)})"
        out.print(f"note: {note}{where}", style="dim", markup=False, highlight=False)
    results = [
        (" ".join(filter(None, (name, f"N={test.ask.samples_per_query}"))), result)
        for name, outcome in named
        for test, result in _noted(outcome)
    ]
    show_notes(out, [(name, _without(result, of_searches)) for name, result in results])


def _noted(outcome: SearchOutcome) -> Iterator[tuple[SearchTest, TrialResult]]:
    """Yield tests with their notes; those of short tests without what is said of shortness, which is their nature."""
    tests = outcome.answer_tests
    has_full = any(test.ask.query_count is None for test in tests)
    full = {note for test in tests if test.ask.query_count is None for note in test.outcome.stored.result.notes}
    for test in tests:
        result = test.outcome.stored.result
        if test.ask.query_count is None or not has_full:
            yield test, result
        else:
            kept = tuple(note for note in result.notes if note in full or note.startswith(DISTURBANCES))
            yield test, replace(result, notes=kept)


def _without(result: TrialResult, said: Container[str]) -> TrialResult:
    return replace(result, notes=tuple(note for note in result.notes if note not in said))


def _searches_table(outcomes: Sequence[SearchOutcome], *, with_why: bool) -> Table:
    keys = sorted({key for outcome in outcomes for key in outcome.plan.label})
    percentiles = {f"p{outcome.plan.question.percentile:g}" for outcome in outcomes}
    percentile = percentiles.pop() if len(percentiles) == 1 else "at percentile"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for key in keys:
        table.add_column(key, no_wrap=True)
    for heading in ("max streams", "confidence", f"{percentile} ms", "first INVALID", "undecided"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for heading in ("tests", "queries", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    if with_why:
        table.add_column("why", max_width=WHY_WIDTH)
    for outcome in outcomes:
        certificate = outcome.certificate
        cells = [*(outcome.plan.label.get(key, "") for key in keys), *_answer_cells(outcome)]
        effort = (certificate.tests, certificate.query_count, duration(outcome.seconds))
        row = [*map(Text, cells), _status(outcome), *(Text(str(cell)) for cell in effort)]
        table.add_row(*row, *([Text(_why(outcome))] if with_why else ()))
    return table


def _answer_cells(outcome: SearchOutcome) -> tuple[str, ...]:
    certificate = outcome.certificate
    found = certificate.max_streams
    streams = "none" if certificate.status is Status.NONE_VALID else "-" if found is None else str(found)
    if certificate.status is Status.ALL_VALID:
        streams = f">= {found}"
    streams += certificate.mark
    at = next((one.percentile_ns for one in certificate.evidence if one.samples_per_query == found), None)
    undecided = "-"
    if certificate.undecided is not None:
        first, last = certificate.undecided
        undecided = str(first) if first == last else f"{first} to {last}"
    return (
        streams,
        confidence_of(certificate) or "-",
        ms(at),
        "-" if certificate.first_invalid is None else str(certificate.first_invalid),
        undecided,
    )


def _status(outcome: SearchOutcome) -> Text:
    if outcome.accuracy_failed:
        return Text("accuracy too low", style="bold red")
    if outcome.failure:
        return Text("FAILED", style="bold red")
    status = outcome.certificate.status
    style = "yellow" if outcome.certificate.disturbed else _STATUS_STYLES.get(status, "yellow")
    return Text(str(status), style=style)


def _why(outcome: SearchOutcome) -> str:
    """Return what the figures of the table do not say."""
    if outcome.accuracy_failed or outcome.failure:
        return "; ".join(filter(None, (outcome.failure, outcome.accuracy)))
    settled = outcome.certificate.status in (Status.EXACT, Status.INTERVAL)
    stopped = "" if outcome.certificate.is_complete else _stopped(outcome)
    return "; ".join(filter(None, ("" if settled else outcome.certificate.why, stopped)))


def _stopped(outcome: SearchOutcome) -> str:
    by = "" if outcome.stopped_by in ("", "interrupted") else f" by {outcome.stopped_by}"
    return f"stopped{by} before it was done"


def _name(outcome: SearchOutcome) -> str:
    return " ".join(f"{key}={value}" for key, value in outcome.plan.label.items()) or outcome.plan.name
