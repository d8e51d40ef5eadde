"""What a report says: the right answer beside the right tests, and never two machines in one series."""

import json

import pytest
from tests.report.records import damage

from sweep.report.build import TESTS_PLOTTED, build
from sweep.report.search_points import Kind
from sweep.report.sections import Source
from sweep.search.certificate import Status
from sweep.vocabulary import RunClass, Weights


def _only(records):
    (series,) = build(records.selection()).series
    return series


def _answer(records):
    (answer,) = _only(records).answers
    return answer


def test_tests_of_two_machines_are_two_series_and_their_differences_are_told(records):
    for n in (8, 16):
        records.trial(n)
        records.trial(n, machine={"cpu": "another CPU"})
    report = build(records.selection())
    assert [[test.n for test in series.tests] for series in report.series] == [[8, 16], [8, 16]]
    assert {series.environment for series in report.series} == {"A", "B"}
    for series in report.series:
        assert len({test.stored.result.environment_digest for test in series.tests}) == 1
    assert [one.tests for one in report.environments] == [2, 2]
    assert any("another CPU" in line for line in report.environments[1].differences)


def test_a_machine_without_a_gpu_differs_from_one_with_it_in_what_that_has(records):
    records.trial(8)
    records.trial(8)
    records.trial(8, machine={"gpus": [{"name": "GPU of tests", "driver": "580"}]})
    told = build(records.selection()).environments[1].differences
    assert set(told) == {"gpus.0.name: none -> GPU of tests", "gpus.0.driver: none -> 580"}


def test_what_decides_nothing_makes_no_series_of_its_own(records):
    records.trial(8)
    records.trial(16, machine={"hostname": "elsewhere", "git": "fedcba987654"})
    report = build(records.selection())
    assert len(report.series) == 1
    assert any("elsewhere" in line for line in report.environments[0].varied)


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"threads": 4}},
        {"run_class": RunClass.OFFICIAL},
        {"bound_ms": 10.0},
        {"bound_ms": None},
        {"weights": Weights.SYNTHETIC},
        {"model": "mobilenet"},
    ],
)
def test_whatever_is_measured_otherwise_is_another_series(records, changes):
    records.trial(8)
    records.trial(8, **changes)
    first, second = build(records.selection()).series
    assert len(first.tests) == len(second.tests) == 1
    assert first.title != second.title or set(first.differs.values()) != set(second.differs.values())


def test_a_grid_names_the_largest_valid_tested_n_and_that_no_search_stands_behind_it(records):
    for n in (128, 256, 304, 400):
        records.trial(n)
    answer = _answer(records)
    assert (answer.source, answer.max_streams, answer.first_invalid) == (Source.TESTS, 304, 400)
    assert answer.text == "largest VALID tested N: 304 (by screening runs)"
    assert answer.label == "largest VALID tested N"
    assert answer.between == "not shown: 305 to 399"
    assert answer.confidence is None


def test_a_search_answers_by_its_certificate(records):
    short = [(records.trial(n, queries=16, run_class=RunClass.CUSTOM), True) for n in (1, 64, 512)]
    full = [(records.trial(n), False) for n in (306, 320)]
    path = records.search(
        short + full, max_streams=306, first_invalid=320, undecided=(307, 319), status=Status.INTERVAL
    )
    series = _only(records)
    (answer,) = series.answers
    assert (answer.source, answer.certificate) == (Source.CERTIFICATE, path)
    assert answer.text == "max streams: 306 (confidence 99.6 %, by screening runs)"
    assert (answer.max_streams, answer.first_invalid, answer.undecided) == (306, 320, (307, 319))
    assert answer.lines[0].startswith("N=320 INVALID")
    kinds = {test.n: test.kind for test in series.tests}
    assert kinds == {1: Kind.SHORT, 64: Kind.SHORT, 306: Kind.VALID, 320: Kind.INVALID, 512: Kind.SHORT}


def test_a_short_test_makes_no_n_valid(records):
    """The largest N of a search's short probes must never be taken for an answer once its certificate is gone."""
    tests = [(records.trial(512, queries=16, run_class=RunClass.CUSTOM), True), (records.trial(64), False)]
    records.search(tests, max_streams=64).unlink()
    by_class = {series.run_class: series.answers[0] for series in build(records.selection()).series}
    assert by_class["screening"].max_streams == 64
    assert by_class["custom"].max_streams is None
    assert by_class["custom"].text.startswith("no answer: short tests of a search")


def test_an_n_that_was_valid_once_and_invalid_once_is_no_answer(records):
    for n, per_sample in ((64, 0.15), (128, 0.15), (128, 0.5)):
        records.trial(n, per_sample_ms=per_sample)
    answer = _answer(records)
    assert answer.max_streams == 64
    assert "N=128 was VALID in 1 of its 2 tests: not counted as VALID" in answer.lines


def test_an_invalid_of_a_busy_machine_is_set_aside_once_an_idle_one_gave_valid(records):
    records.trial(128, per_sample_ms=0.5, busy=True)
    records.trial(128)
    series = _only(records)
    assert series.answers[0].max_streams == 128
    assert [(test.set_aside, test.marks) for test in series.tests] == [(True, ("busy machine",)), (False, ())]


def test_stopped_and_failed_tests_are_their_own_kinds(records):
    records.trial(64)
    records.trial(400, stopped=True)
    records.trial(4096, failure="out of memory")
    series = _only(records)
    assert [test.kind for test in series.tests] == [Kind.VALID, Kind.STOPPED, Kind.FAILED]
    assert "FAILED: N=4096 (out of memory)" in series.answers[0].lines


def test_without_a_bound_no_n_is_called_the_largest_there_is(records):
    records.trial(64, bound_ms=None)
    assert any("no latency bound" in line for line in _answer(records).lines)


def test_simulated_engines_and_synthetic_weights_are_named(records):
    records.trial(8, backend="simulated", weights=Weights.NONE)
    records.trial(8, weights=Weights.SYNTHETIC)
    synthetic, simulated = build(records.selection()).series
    assert any("synthetic weights" in warning for warning in synthetic.warnings)
    assert any("simulated" in warning for warning in simulated.warnings)


def test_one_engine_batch_for_several_n_is_one_series(records):
    """N=256 with engine_batch=256 is recorded as a query of one launch; it is a point of the grid all the same."""
    for n in (128, 256, 512, 1024):
        records.trial(n, engine_batch=min(n, 256))
    (series,) = build(records.selection()).series
    assert [test.n for test in series.tests] == [128, 256, 512, 1024]


def test_distributions_are_bounded_and_end_at_the_slowest_query(records):
    for n in range(280, 300):
        records.trial(n)
    series = _only(records)
    assert len(series.curves) == 8
    for curve in series.curves:
        latencies = curve.test.stored.result.latencies
        assert len(curve.shares) <= 200
        assert (curve.latencies_ns[0], curve.latencies_ns[-1]) == (latencies.min, latencies.max)
        assert curve.latencies_ns[curve.shares.index(0.99)] == latencies.percentiles["p99"]


def test_a_long_series_draws_what_is_nearest_the_bound(records, monkeypatch):
    monkeypatch.setattr("sweep.report.build.TESTS_PLOTTED", 10)
    for n in range(100, 700, 20):
        records.trial(n, queries=50)
    series = _only(records)
    assert len(series.tests) == 30
    drawn = [test.n for test in series.plotted]
    assert len(drawn) == 10
    assert {300, 320, 340} <= set(drawn)
    assert TESTS_PLOTTED >= 100


def test_intervals_hold_their_percentile_and_are_absent_where_latencies_are(records):
    stored = records.trial(128)
    (stored.directory / "latencies_ns.npy").unlink()
    records.trial(256)
    gone, there = _only(records).tests
    assert (gone.point.low_ns, gone.point.high_ns) == (None, None)
    assert there.point.low_ns <= there.point.percentile_ns <= there.point.high_ns


def test_a_damaged_record_is_listed_and_the_rest_is_reported(records):
    damage(records.trial(8))
    records.trial(16)
    report = build(records.selection())
    assert len(report.damaged) == 1
    assert "result.json" in report.damaged[0]
    assert [test.n for test in report.series[0].tests] == [16]


def test_damaged_telemetry_draws_nothing(records):
    stored = records.trial(64, gpu="GPU of tests")
    assert len(_only(records).traces) == 1
    (stored.directory / "telemetry.csv").write_text("time_s,power_w\n0.0,broken\n")
    assert _only(records).traces == ()


def test_accuracy_is_a_section_of_its_own(records):
    records.accuracy(76.4)
    report = build(records.selection())
    assert report.series == ()
    assert report.accuracy[0].stored.result.accuracy.accuracy == pytest.approx(76.4)


def test_no_latency_is_read_where_none_is_shown(records, monkeypatch):
    records.trial(64)

    def read(directory):
        raise AssertionError

    monkeypatch.setattr("sweep.report.build.stored_latencies", read)
    assert json.dumps(build(records.selection(), latencies=False).series[0].answers[0].text)
