"""What a series is said to serve: nothing that filters, other lengths of tests, or a lost certificate would make up."""

import json
import shutil

import pytest
from tests.report.records import Records

from sweep.report.build import build
from sweep.report.sections import Source
from sweep.results.filters import parse_filters
from sweep.results.selection import select
from sweep.search.certificate import Status
from sweep.trial.spec import RunSpec
from sweep.vocabulary import AbortRule, RunClass


def _series(*roots, filters=()):
    chosen = parse_filters(filters)
    return build(select(roots, chosen), filters=chosen).series


def _probe(records, n, queries, **spec):
    """Write a test as a search asks for it: so many queries, to their end."""
    run = RunSpec(RunClass.CUSTOM, queries, queries, 0, 0)
    return records.trial(n, run=run, abort=AbortRule.NEVER, queries=queries, **spec)


@pytest.mark.parametrize("chosen", ["result=VALID", "batch<250", "latency_p99_ms<50", "attempt=1"])
def test_filters_on_what_came_out_make_no_answer(records, chosen):
    """With result=VALID a mixed N would be the answer, and no larger N ever INVALID."""
    records.trial(240)
    records.trial(240, per_sample_ms=0.3)
    records.trial(300, per_sample_ms=0.3)
    (series,) = _series(records.root, filters=[chosen])
    (answer,) = series.answers
    assert (answer.max_streams, answer.first_invalid, answer.figure) == (None, None, "unknown")
    assert answer.text == f"no answer: {chosen} leaves out tests that may tell otherwise"
    assert answer.lines == ()


@pytest.mark.parametrize("chosen", ["model=resnet", "cpu=CPU*", "backend.threads=2"])
def test_filters_on_what_a_series_has_in_common_leave_its_answer(records, chosen):
    records.trial(240)
    records.trial(300, per_sample_ms=0.3)
    (series,) = _series(records.root, filters=[chosen])
    assert (series.answers[0].max_streams, series.answers[0].first_invalid) == (240, 300)


def test_an_answer_of_a_time_names_it(records):
    records.trial(240, per_sample_ms=0.3)
    since = f"started_at>={records.trial(240).result.timing.started_at}"
    (series,) = _series(records.root, filters=[since])
    assert series.answers[0].text == f"largest VALID tested N: 240 (by screening runs, {since})"


def test_filters_leave_a_certificate_its_answer(records):
    tests = [(records.trial(n), False) for n in (306, 320)]
    records.search(tests, max_streams=306, first_invalid=320)
    for chosen in ("result=INVALID", "result=VALID"):
        (series,) = _series(records.root, filters=[chosen])
        assert (series.answers[0].source, series.answers[0].max_streams) == (Source.CERTIFICATE, 306)
        assert series.answers[0].doubts == ()


def test_runs_of_another_length_are_another_series(records):
    """10 queries VALID at N=400 must not outshine 1439 queries INVALID at N=300."""
    records.trial(400, per_sample_ms=0.12, run_class=RunClass.CUSTOM, queries=10)
    records.trial(300, per_sample_ms=0.18, run_class=RunClass.CUSTOM, queries=1439)
    first, second = _series(records.root)
    texts = {series.differs["length"]: series.answers[0].text for series in (first, second)}
    assert texts == {
        "10 queries": "largest VALID tested N: 400 (by custom runs of 10 queries)",
        "1439 queries": "no tested N is VALID (by custom runs of 1439 queries)",
    }


@pytest.mark.parametrize(
    ("run", "length"),
    [
        (RunSpec(RunClass.SCREENING, 1440, 0, 500, 0), "1440 queries and 0.5 s"),
        (RunSpec(RunClass.SCREENING, 1440, 2000, 0, 0), "1440 queries, at most 2000 queries"),
        (RunSpec(RunClass.SCREENING, 1440, 0, 0, 90_000), "1440 queries, at most 1 min 30 s"),
        (RunSpec(RunClass.SCREENING, 1440, 2000, 0, 90_000), "1440 queries, at most 2000 queries or 1 min 30 s"),
    ],
)
def test_every_minimum_and_maximum_is_part_of_a_series(records, run, length):
    records.trial(64)
    records.trial(64, run=run)
    assert {series.differs["length"] for series in _series(records.root)} == {"1440 queries", length}


def test_a_length_that_goes_with_the_run_class_is_not_told_twice(records):
    records.trial(64)
    records.trial(64, run_class=RunClass.OFFICIAL, queries=270_336 // 100)
    official, screening = _series(records.root)
    assert [series.differs for series in (official, screening)] == [{"run": "official"}, {"run": "screening"}]


def test_custom_runs_stand_below_those_of_a_class(records):
    records.trial(400, per_sample_ms=0.12, run_class=RunClass.CUSTOM, queries=10)
    records.trial(240)
    assert [series.run_class for series in _series(records.root)] == ["screening", "custom"]


@pytest.mark.parametrize("command", ["search=max_streams model=resnet", "sweeps=max_streams_resnet_fp32"])
def test_probes_of_a_killed_search_are_no_answer_and_say_where_they_are_from(records, command):
    """`kill -9` leaves probes that no certificate and no manifest names; each length must not be a series either."""
    for n, queries in ((300, 6), (600, 6), (200, 128)):
        _probe(records, n, queries, per_sample_ms=0.01)
    records.trial(100)
    records.sweep([], arguments=command.split())
    manifest = next(records.root.glob("sweeps/*/sweep.json"))
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "planned": 1, "finished_at": None}))
    full, probes = _series(records.root)
    assert full.answers[0].max_streams == 100
    assert [test.n for test in probes.tests] == [200, 300, 600]
    (answer,) = probes.answers
    assert (answer.max_streams, answer.figure) == (None, "unknown")
    assert answer.text.startswith("no answer: short tests of a search")
    assert answer.lines == (f"from a search that did not end: python -m sweep {command}",)


def test_tests_that_a_user_asked_for_are_no_probes_whatever_their_shape(records):
    records.sweep([_probe(records, 300, 6)], arguments=["batch=300", "min_query_count=6", "max_query_count=6"])
    (series,) = _series(records.root)
    assert series.answers[0].text == "largest VALID tested N: 300 (by custom runs of 6 queries)"


def test_a_certificate_whose_records_are_gone_is_still_reported(records):
    tests = [(records.trial(n), False) for n in (306, 320)]
    records.search(tests, max_streams=306, first_invalid=320)
    shutil.rmtree(records.root / "trials")
    records.trial(8, model="mobilenet")
    report = build(records.selection())
    (series,) = (one for one in report.series if one.answers[0].source is Source.CERTIFICATE)
    (answer,) = series.answers
    assert (answer.max_streams, answer.first_invalid, len(answer.evidence)) == (306, 320, 2)
    assert answer.doubts == ("the records of its 2 tests are gone",)
    assert series.environment == "A"  # the same machine ran the other test
    assert series.tests == ()


def test_a_machine_of_which_no_record_is_left_has_a_name(records):
    records.search([(records.trial(306), False)], max_streams=306, status=Status.OPEN)
    shutil.rmtree(records.root / "trials")
    records.trial(8, machine={"cpu": "another CPU"})
    report = build(records.selection())
    by_source = {series.answers[0].source: series for series in report.series}
    names = {one.name: one.words for one in report.environments}
    assert by_source[Source.TESTS].environment == "A"
    assert names[by_source[Source.CERTIFICATE].environment] == "not known: the records of its tests are gone"


def test_a_certificate_without_records_and_tests_of_its_kind_are_one_series(records):
    tests = [(records.trial(n), False) for n in (306, 320)]
    records.search(tests, max_streams=306, first_invalid=320)
    shutil.rmtree(records.root / "trials")
    records.trial(8)
    (series,) = _series(records.root)
    assert series.answers[0].max_streams == 306
    assert [test.n for test in series.tests] == [8]


def test_a_search_that_ran_no_test_is_reported(records):
    path = records.search([(records.trial(306), False)], status=Status.UNKNOWN, evidence=())
    path.write_text(json.dumps({**json.loads(path.read_text()), "tests": [], "failure": "out of disk"}))
    shutil.rmtree(records.root / "trials")
    (series,) = _series(path)
    assert series.answers[0].figure == "unknown"
    assert "the search could not go on: out of disk" in series.answers[0].lines
    assert series.answers[0].doubts == ()


def test_tests_that_contradict_a_certificate_are_named(records):
    tests = [(records.trial(n), False) for n in (306, 320)]
    records.search(tests, max_streams=306, first_invalid=320)
    for n, per_sample, changes in (
        (200, 0.4, {}),
        (350, 0.1, {}),
        (100, 0.8, {"stopped": True}),
        (150, 0.8, {"busy": True}),  # what a disturbed test shows is no contradiction
        (310, 0.4, {}),  # between the two nothing was shown
        (300, 0.1, {}),
        (400, 0.4, {}),
    ):
        records.trial(n, per_sample_ms=per_sample, **changes)
    (series,) = _series(records.root)
    doubts = series.answers[0].doubts
    assert [doubt.split(": ")[1].split(" (")[0] for doubt in doubts] == [
        "N=100 INVALID, stopped early",
        "N=200 INVALID",
        "N=350 VALID",
    ]
    assert all(doubt.startswith("contradicted by a test outside this search: ") for doubt in doubts)


def test_of_many_contradictions_a_few_are_named(records):
    records.search([(records.trial(306), False)], max_streams=306, status=Status.OPEN)
    for n in range(100, 107):
        records.trial(n, per_sample_ms=0.8)
    doubts = _series(records.root)[0].answers[0].doubts
    assert len(doubts) == 5
    assert doubts[-1] == "contradicted by 3 more tests outside this search"


def test_a_copy_of_its_own_test_does_not_contradict_a_certificate(records, tmp_path):
    """A pooled N may be the answer though one of its tests was INVALID; a copy of that is no other test."""
    tests = [(records.trial(306), False), (records.trial(300, per_sample_ms=0.4), False)]
    records.search(tests, max_streams=306, status=Status.OPEN)
    shutil.copytree(records.root / "trials", tmp_path / "copy" / "trials")
    (series,) = _series(records.root, tmp_path / "copy")
    assert len(series.tests) == 4
    assert series.answers[0].doubts == ()


def test_the_newest_search_comes_first_wherever_it_lies(tmp_path):
    """By path the folder `new` would come before `old`, and its card show the older answer."""
    for root, seed, n in (("z", 0, 240), ("a", 50, 120)):
        records = Records(tmp_path / root)
        records._seed = seed  # its tests were started so many seconds later
        records.search([(records.trial(n), False)], max_streams=n, status=Status.OPEN)
    (series,) = _series(tmp_path / "a", tmp_path / "z")
    assert [answer.max_streams for answer in series.answers] == [120, 240]
