"""Whatever prints a number says *disturbed* beside it where others had a part in it, and never how sure it is then."""

import csv
import io
import json
import re

import pytest
from rich.console import Console

import sweep
from sweep.cli import main
from sweep.report.build import build
from sweep.report.markdown import render_markdown
from sweep.report.page import render_html
from sweep.report.plain import report_json
from sweep.report.search_plot import write_search_plot
from sweep.report.search_table import search_row
from sweep.results.selection import select
from sweep.search.certificate import Status
from sweep.study.certificate_file import read_certificate
from sweep.study.measure import Outcome
from sweep.terminal import show_search, show_searches, show_single
from sweep.vocabulary import Verdict

AT, ABOVE = 306, 340


def both(records, busy):
    """Write a VALID test and an INVALID one of more samples; those of `busy` on a busy machine."""
    return [records.trial(n, busy=n in busy) for n in (AT, ABOVE)]


def older(path):
    """Make a certificate's file one of a sweep that did not know of disturbances."""
    data = json.loads(path.read_text())
    del data["certificate"]["disturbed"]
    path.write_text(json.dumps({**data, "schema_version": 2}))


@pytest.fixture
def searched(records):
    """Write a search over tests, of which those of some N were disturbed, and return how it is read."""

    def make(busy, **certificate):
        tests = [(stored, False) for stored in both(records, busy)]
        known = {"max_streams": AT, "first_invalid": ABOVE, "status": Status.EXACT, "confidence": 0.9996}
        older(records.search(tests, **{**known, **certificate}))
        (search,) = select([records.root]).searches
        return search

    return make


def printed(show, *what):
    out = Console(file=io.StringIO(), width=240)
    show(out, *what)
    return out.file.getvalue()


def stdout_of(capsys, *arguments):
    assert main([str(one) for one in arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("busy", [{AT}, {ABOVE}, {AT, ABOVE}])
def test_an_older_certificate_is_read_as_what_its_tests_make_it(searched, busy):
    certificate = searched(busy).saved.certificate
    assert certificate.disturbed
    assert certificate.status is Status.INTERVAL
    assert certificate.confidence <= 0.99
    assert (certificate.max_streams, certificate.first_invalid) == (AT, ABOVE)


def test_an_older_certificate_of_an_idle_machine_stays_as_it_was(searched):
    certificate = searched(()).saved.certificate
    assert (certificate.disturbed, certificate.status, certificate.confidence) == (False, Status.EXACT, 0.9996)


def test_no_reader_of_a_disturbed_certificate_says_exact_or_sure(searched, records, capsys, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    search = searched({ABOVE})
    outcome = search.outcome()
    titles = []
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **_: titles.append(text))
    write_search_plot(outcome, tmp_path / "plot.png")
    report = build(select([records.root]))
    (card,) = [answer for series in report.series for answer in series.answers]
    texts = {
        "terminal": printed(show_search, outcome),
        "table": printed(show_searches, [outcome, outcome]),
        "picture": titles[0],
        "row": f"{search_row(outcome)}",
        "markdown": render_markdown(report),
        "html": render_html(report, tmp_path),
        "json": json.dumps(report_json(report)["series"][0]["answers"]),
        "ls": stdout_of(capsys, "ls", records.root, "--searches"),
        "sweeps": stdout_of(capsys, "ls", records.root, "--sweeps"),
        "show": stdout_of(capsys, "show", search.path),
    }
    assert card.figure == f"{AT}, disturbed"
    for name, text in texts.items():
        assert "disturbed" in text, name
        assert not re.search(r"\bexact\b|confidence[^;\n]*99\.9|> 99|0\.9996|97\.0 %", text), name


@pytest.mark.parametrize(
    ("busy", "status", "figure"),
    [
        ((), Status.EXACT, "306"),
        ((), Status.OPEN, "306 or more"),
        ({AT}, Status.INTERVAL, "306, disturbed"),
        ((), Status.UNCONFIRMED, "306, not confirmed"),
        ({AT}, Status.UNCONFIRMED, "306, not confirmed, disturbed"),
    ],
)
def test_only_a_confirmed_answer_stands_out(searched, records, busy, status, figure, tmp_path):
    searched(busy, status=status)
    report = build(select([records.root]))
    (answer,) = [answer for series in report.series for answer in series.answers]
    assert answer.figure == figure
    assert answer.text.startswith(f"max streams: {figure} (")
    assert answer.is_confirmed is not ("," in figure)
    kind = "figure" if answer.is_confirmed else "figure tested"
    assert f'<p class="{kind}">{figure}</p>' in render_html(report, tmp_path)


def test_the_file_of_a_certificate_has_the_field(searched):
    search = searched({ABOVE})
    before = search.saved.certificate
    data = json.loads(search.path.read_text())
    assert "disturbed" not in data["certificate"]
    from sweep.paths import write_json
    from sweep.study.certificate_file import certificate_json

    write_json(search.path, certificate_json(search.outcome()))
    assert json.loads(search.path.read_text())["certificate"]["disturbed"] is True
    assert read_certificate(search.path).certificate == before


@pytest.mark.parametrize(("busy", "disturbed"), [((), False), ({AT}, True), ({ABOVE}, True), ({AT, ABOVE}, True)])
def test_the_largest_valid_of_tests_without_a_search_is_marked(records, busy, disturbed):
    both(records, busy)
    (series,) = build(select([records.root])).series
    (answer,) = series.answers
    assert answer.max_streams == AT
    assert answer.disturbed is disturbed
    assert ("disturbed" in answer.text) is ("disturbed" in answer.figure) is disturbed


def test_one_undisturbed_test_of_each_side_is_enough(records):
    both(records, {AT, ABOVE})
    both(records, ())
    (series,) = build(select([records.root])).series
    assert not series.answers[0].disturbed


def test_no_valid_n_on_a_busy_machine_is_marked(records):
    records.trial(ABOVE, busy=True)
    (series,) = build(select([records.root])).series
    assert series.answers[0].figure == "none, disturbed"


def test_a_single_test_a_list_and_the_table_say_it(records, capsys):
    at, _ = both(records, {AT})
    assert at.result.result is Verdict.VALID
    assert "result: VALID, disturbed (" in printed(show_single, Outcome(at, reused=False))
    listed = stdout_of(capsys, "ls", records.root).splitlines()
    assert [("VALID, disturbed" in line, "disturbed" in line) for line in listed[1:3]] == [(True, True), (False, False)]
    rows = list(csv.DictReader(io.StringIO(stdout_of(capsys, "ls", records.root, "--format", "csv"))))
    assert [row["disturbed"] for row in rows] == ["True", ""]  # whether the other was, its record does not tell
    assert list(sweep.load(records.root).query("disturbed == True").samples_per_query) == [AT]
    assert "VALID, disturbed" in stdout_of(capsys, "show", at.directory)
