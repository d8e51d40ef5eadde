"""One search step by step, on tests that nobody ran: what is reused, what is refused, what a budget ends."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sweep.search.base import Ask, Shown
from sweep.search.certificate import Status
from sweep.search.studies import open_studies
from sweep.study.search import Purse, TestRefusedError, observation
from sweep.trial.machine_load import BUSY
from sweep.vocabulary import Verdict

from .bed import FULL, Bed, Ledger


@pytest.fixture
def bed(searches, simulated, tmp_path, monkeypatch):
    return Bed(searches, simulated, tmp_path / "outputs", monkeypatch)


def test_a_test_that_is_asked_for_twice_is_two_tests_and_a_new_call_takes_the_oldest_first(bed):
    first = bed.run()
    for _ in range(3):
        first.step(Ask(300, None, "again"))
    assert [test.outcome.stored.result.attempt for test in first.tests] == [1, 2, 3]
    assert not any(test.outcome.reused for test in first.tests)
    second = bed.run()
    for _ in range(4):
        second.step(Ask(300, None, "again"))
    assert [(test.outcome.stored.result.attempt, test.outcome.reused) for test in second.tests] == [
        *((1, True), (2, True), (3, True)),
        (4, False),
    ]
    assert second.certificate().evidence[0].query_count == 4 * FULL
    third = bed.run(resume=False)
    third.step(Ask(300, None, "anew"))
    assert third.tests[0].outcome.stored.result.attempt == 5


def test_what_failed_is_measured_again_and_what_ran_out_of_memory_is_not(bed):
    bed.failures = {8: ["crash"], 9: ["out of memory"]}
    first = bed.run()
    shown = [first.step(Ask(n, None, "")).outcome.stored.result.failure.kind for n in (8, 9)]
    assert shown == ["crash", "out of memory"]
    second = bed.run()
    crashed, too_large = (second.step(Ask(n, None, "")).outcome for n in (8, 9))
    assert (crashed.reused, crashed.stored.result.result) == (False, Verdict.VALID)
    assert (too_large.reused, too_large.stored.result.failure.kind) == (True, "out of memory")


def test_an_n_that_cannot_be_set_up_bounds_from_above_unless_it_is_the_smallest(bed):
    bed.refuses = set(range(101, 513))
    run = bed.run()
    run.run()
    certificate = run.certificate()
    assert certificate.status is Status.OPEN  # whether it fits depends on what else is in memory
    assert (certificate.max_streams, certificate.first_invalid) == (100, None)
    assert certificate.tests == len(bed.measured)
    assert run.refused[101] == "batch=101: is too large for this machine; choose another"
    assert not set(bed.measured) & bed.refuses
    again = bed.run()
    bed.refuses.add(1)
    with pytest.raises(TestRefusedError, match="batch=1: is too large"):
        again.step(Ask(1, None, ""))


@pytest.mark.parametrize(
    ("limits", "ends", "tests"),
    [
        ({"tests": 2}, "search.budget.tests=2", 2),
        ({"queries": 2 * FULL}, "search.budget.queries=2880", 2),
        ({"queries": FULL - 1}, "search.budget.queries=1439", 0),
        ({"seconds": 30.0}, "search.budget.seconds=30", 1),
    ],
)
def test_a_budget_ends_a_search_before_the_next_test_and_is_named(bed, limits, ends, tests):
    """A full test of N=256 takes 1440 times 38 ms: more than is left of 30 s. The first one is never known to."""
    run = bed.run(purse=Purse(**limits))
    run.run()
    assert (run.stopped_by, len(run.tests), len(bed.measured)) == (ends, tests, tests)
    assert not run.certificate().is_complete
    again = bed.run(purse=Purse(**limits))
    again.run()
    assert len([test for test in again.tests if test.outcome.reused]) == tests
    done = bed.run()
    done.run()
    assert (done.stopped_by, done.certificate().is_complete) == ("", True)


def test_the_ledger_holds_every_test_once(bed):
    bed.failures = {128: ["crash"]}
    ledger = Ledger()
    first = bed.run(ledger, high=512)
    for ask in (Ask(128, None, ""), Ask(128, 16, ""), Ask(128, None, ""), Ask(400, None, "")):
        first.step(ask)
    assert [(row["state"], row.get("value"), row["result"]) for row in ledger.rows] == [
        ("FAIL", None, "FAILED"),
        ("COMPLETE", 0.0, "none: a short test"),
        ("COMPLETE", 128.0, "VALID"),
        ("COMPLETE", 0.0, "INVALID"),
    ]
    assert ledger.rows[1]["params"] == {"samples_per_query": 128, "query_count": 16}
    assert ledger.rows[3]["over_latency_count"] > 14
    again = bed.run(ledger)
    for ask in (Ask(128, 16, ""), Ask(128, None, ""), Ask(400, None, "")):
        assert again.step(ask).outcome.reused
    assert len(ledger.rows) == 4
    elsewhere = Ledger()
    bed.run(elsewhere).step(Ask(400, None, ""))
    assert [row["result"] for row in elsewhere.rows] == ["INVALID"]


def test_nothing_but_failures_is_a_failure_with_its_reason(bed):
    bed.failures = {n: ["crash"] * 9 for n in range(1, 5)}
    run = bed.run(high=4)
    run.run()
    assert run.certificate().status is Status.UNKNOWN
    assert run.failure() == "crash: crash at N=1"
    assert bed.run().failure() == ""


@pytest.mark.parametrize("storage", [None, "sqlite"])
def test_killed_between_a_record_and_the_end_of_its_trial_it_ends_that_trial_when_it_goes_on(
    bed, tmp_path, monkeypatch, storage
):
    """The record is there, so the trial of the study has its values, and is no FAIL for good."""
    url = storage and f"sqlite:///{tmp_path}/studies.db"

    def opened():
        return open_studies(url, tmp_path / "studies.log").study("digits", {"model": "digits"}, resume=True)

    def killed(*_, **__):
        raise KeyboardInterrupt

    study = opened()
    monkeypatch.setattr(study, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        bed.run(study).step(Ask(300, None, "is it VALID?"))
    again = opened()
    test = bed.run(again).step(Ask(300, None, "is it VALID?"))
    assert test.outcome.reused
    again.close()
    (trial,) = again.trials()
    assert (trial.state, trial.value, trial.attributes["result"]) == ("COMPLETE", 300.0, "VALID")
    assert trial.attributes["record"] == str(test.outcome.stored.directory)


class TestObservation:
    @pytest.fixture
    def test(self, searches):
        return searches.test(330)

    def test_a_record_with_its_latencies(self, test):
        result, directory = test.outcome.stored.result, test.outcome.stored.directory
        seen = observation(test.ask, result, directory)
        assert (seen.samples_per_query, seen.is_full, seen.shown) == (330, True, Shown.INVALID)
        assert seen.over_latency_count == result.over_latency_count == (seen.latencies_ns > 50_000_000).sum()
        assert (seen.query_count, seen.busy) == (FULL, False)
        assert observation(test.ask, replace(result, notes=(f"{BUSY}: 40 % by others",)), directory).busy
        assert not observation(Ask(330, 16, ""), result, directory).is_full

    @pytest.mark.parametrize(
        "damage",
        [
            lambda path: path.unlink(),
            lambda path: path.write_bytes(b""),
            lambda path: path.write_bytes(path.read_bytes()[:-9]),
            lambda path: path.write_bytes(b"PK\x03\x04"),
            lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"),
            lambda path: path.write_text("latencies"),
            lambda path: np.save(path, np.array([{}], dtype=object)),
            lambda path: np.save(path, np.zeros((2, 2), np.int64)),
            lambda path: np.save(path, np.array([0.5])),
            lambda path: np.savez(path.open("wb"), a=np.zeros(1)),
        ],
        ids=["gone", "empty", "cut", "zip", "header", "text", "objects", "table", "floats", "archive"],
    )
    def test_without_latencies_the_counts_of_the_record_remain(self, test, damage):
        damage(Path(test.outcome.stored.directory) / "latencies_ns.npy")
        seen = observation(test.ask, test.outcome.stored.result, test.outcome.stored.directory)
        assert seen.latencies_ns.shape == (0,)
        assert seen.over_latency_count == test.outcome.stored.result.over_latency_count > 0
        assert seen.query_count == FULL

    def test_a_count_that_is_not_known_is_estimated_and_never_taken_for_none(self, searches):
        test = searches.test(305)
        directory = test.outcome.stored.directory
        known = test.outcome.stored.result
        assert known.over_latency_count > 0
        assert known.result is Verdict.VALID
        result = replace(known, over_latency_count=None, query_count=10 * FULL)
        seen = observation(test.ask, result, directory)
        assert seen.over_latency_count == 10 * known.over_latency_count
        (directory / "latencies_ns.npy").unlink()
        assert observation(test.ask, result, directory).over_latency_count == known.over_latency_allowed > 0

    def test_queries_of_a_test_that_failed_tell_nothing(self, searches):
        for kind, shown in (("crash", Shown.FAILED), ("out of memory", Shown.OUT_OF_MEMORY)):
            test = searches.test(300, failure=kind)
            seen = observation(test.ask, test.outcome.stored.result, test.outcome.stored.directory)
            assert (seen.shown, seen.query_count, seen.over_latency_count) == (shown, 0, 0)


def test_a_study_that_started_over_takes_only_records_of_its_own(bed):
    """Else a search begun with resume=false, once interrupted, would end on the records that it was to replace."""
    first = bed.run()
    first.run()
    ledger = Ledger()
    ledger.starts_over = True
    second = bed.run(ledger)
    second.step(Ask(1, 6, ""))
    assert not second.tests[0].outcome.reused
    own = Ledger([str(second.tests[0].outcome.stored.directory)])
    own.starts_over = True
    third = bed.run(own)
    third.step(Ask(1, 6, ""))
    assert third.tests[0].outcome.stored.directory == second.tests[0].outcome.stored.directory


class TestDisturbed:
    """What a busy machine made INVALID is measured again, is no proof, and never keeps a search from its end."""

    def asked(self, run, n=300):
        run.step(Ask(n, None, "is it VALID?"))
        return [(test.outcome.reused, test.outcome.stored.result.result) for test in run.tests]

    def test_an_invalid_of_a_busy_machine_is_measured_again_at_once(self, bed):
        bed.disturbed = {300: 1}
        assert self.asked(bed.run()) == [(False, Verdict.INVALID), (False, Verdict.VALID)]
        again = bed.run()
        assert self.asked(again) == [(True, Verdict.INVALID), (True, Verdict.VALID)]
        assert again.certificate().max_streams == 300

    def test_one_that_is_busy_for_ever_gets_three_tests_and_then_one_a_call(self, bed):
        bed.disturbed = {300: 99}
        for call in range(3):
            run = bed.run()
            found = self.asked(run)
            assert [reused for reused, _ in found] == ([False] * 3 if not call else [True] * (2 + call) + [False])
            certificate = run.certificate()
            assert (certificate.max_streams, certificate.first_invalid) == (None, None)
            assert "N=300 was INVALID in" in certificate.why
            assert "on a disturbed machine alone" in certificate.why
        bed.disturbed = {}
        run = bed.run()
        assert self.asked(run)[-1] == (False, Verdict.VALID)
        assert run.certificate().max_streams == 300
        assert self.asked(bed.run())[-1] == (True, Verdict.VALID)  # and from here on nothing is measured

    def test_it_is_killed_between_two_tries_and_goes_on_with_the_next(self, bed):
        bed.disturbed = {300: 99}
        first = bed.run()
        bed.kill_after = 1
        with pytest.raises(KeyboardInterrupt):
            self.asked(first)
        bed.kill_after = None
        assert [reused for reused, _ in self.asked(bed.run())] == [True, False, False]

    @pytest.mark.parametrize("slower", [1.5, 2, 10])
    @pytest.mark.parametrize("algorithm", ["bisection", "boundary"])
    def test_the_answer_of_a_busy_hour_is_not_that_of_an_idle_one(self, bed, algorithm, slower):
        """The search that said 21 (exact) on a busy machine and 35 an hour later, without a word."""
        idle = bed.run(algorithm=algorithm, resume=False)
        idle.run()
        truth = idle.certificate().max_streams
        assert truth > 290
        bed.store = type(bed.store)(bed.elsewhere)
        bed.disturbed, bed.slower = {None: 10_000}, slower
        busy = bed.run(algorithm=algorithm)
        busy.run()
        certificate = busy.certificate()
        assert certificate.max_streams < truth / slower + 1
        assert certificate.first_invalid is None
        assert certificate.status is not Status.EXACT
        assert len(busy.tests) < 80
        bed.disturbed = {}
        later = bed.run(algorithm=algorithm)
        later.run()
        assert later.certificate().max_streams == pytest.approx(truth, rel=0.02)
        measured = len(bed.measured)
        last = bed.run(algorithm=algorithm)
        last.run()
        assert len(bed.measured) == measured
        assert last.certificate() == later.certificate()

    @pytest.mark.parametrize("kind", ["out of memory", "crash"])
    @pytest.mark.parametrize("is_busy", [True, False])
    def test_what_fails_is_no_matter_of_a_busy_machine(self, bed, kind, is_busy):
        bed.failures = {n: [kind] * 99 for n in range(101, 513)}
        bed.disturbed = {None: 10_000 * is_busy}
        for _ in range(2):
            run = bed.run(algorithm="boundary")
            run.run()
            assert run.certificate().max_streams == (30 if is_busy else 100)
            assert len(run.tests) < 40

    def test_a_machine_that_is_always_busy_is_not_measured_for_ever(self, bed):
        """A call repeats one probe, which tells that it is busy still, and each INVALID once."""
        bed.disturbed = {None: 10_000}
        bed.run(algorithm="boundary").run()
        first = len(bed.measured)
        for _ in range(4):
            before = len(bed.measured)
            again = bed.run(algorithm="boundary")
            again.run()
            assert len(bed.measured) - before <= first / 2
            assert again.certificate().first_invalid is None


class TestUnsettled:
    """What a search could not find out it says, with what it knows, and it goes on when it is asked again."""

    def test_a_search_that_ended_at_a_limit_of_its_own_goes_on_with_each_call(self, bed):
        said, counts = [], []
        for _ in range(8):
            run = bed.run(algorithm="boundary", low=307, high=307)  # 1.2 % of its queries are over
            run.run()
            said.append((run.certificate().status, run.limit))
            counts.append(len(bed.measured))
            if run.certificate().status is Status.UNKNOWN:
                assert "N=307 was INVALID in" in run.certificate().why
                assert not run.certificate().is_complete
        assert said[0] == (Status.UNKNOWN, "its limit of 2 full tests of one N")
        assert said[-1] == (Status.NONE_VALID, "")
        unsettled = [status for status, _ in said].count(Status.UNKNOWN)
        assert unsettled >= 2
        assert all(before < after for before, after in pairwise(counts[: unsettled + 1]))
        assert counts[unsettled] == counts[-1]  # a settled one measures nothing

    def test_killed_beyond_its_first_limit_it_goes_on_from_there(self, bed):
        def whole():
            run = bed.run(algorithm="boundary", low=307, high=307)
            run.run()
            return run

        whole()
        bed.kill_after = 1
        with pytest.raises(KeyboardInterrupt):
            whole()
        bed.kill_after = None
        resumed = whole()
        assert [test.outcome.reused for test in resumed.tests] == [True] * (len(resumed.tests) - 1) + [False]
        assert resumed.limit == "its limit of 4 full tests of one N"

    def test_an_algorithm_that_asks_once_says_which_one_asks_again(self, bed):
        run = bed.run(low=307, high=307)
        run.run()
        certificate = run.certificate()
        assert (certificate.status, certificate.is_complete) == (Status.UNKNOWN, True)
        assert "search.algorithm=boundary" in certificate.remark
        assert "15" in certificate.why or "over the bound" in certificate.why


def test_a_search_that_ends_unsettled_takes_in_what_was_measured_of_its_question(bed):
    """Fails where a busy machine leads a search elsewhere, and a VALID test of its own folder is forgotten."""
    bed.bench().measure(bed.point(40, None).spec, None, lambda _: None)
    bed.disturbed, bed.slower = dict.fromkeys(range(1, 40), 99), 1000
    run = bed.run(algorithm="boundary")
    run.run()
    assert run.certificate().max_streams >= 40


class TestBudget:
    """A budget leaves room for a full test, so that whoever pays it learns something."""

    @pytest.mark.parametrize("limits", [{"tests": count} for count in (1, 2, 3, 5)] + [{"queries": FULL + 9}])
    def test_probes_never_use_it_up(self, bed, limits):
        answers = []
        for _ in range(60):
            before = len(bed.measured)
            run = bed.run(algorithm="boundary", purse=Purse(**limits))
            run.run()
            assert len(bed.measured) - before <= limits.get("tests", 99)
            certificate = run.certificate()
            assert any(one.valid_tests for one in certificate.evidence), certificate.why
            answers.append(certificate.max_streams)
            if not run.stopped_by:
                break
            assert len(bed.measured) > before  # each call comes further
        assert answers[-1] > 150

    def test_a_later_call_never_answers_less_than_an_earlier_one(self, bed):
        """Short tests of a disturbed machine are run again, and may lead it past what the first call has shown."""
        ledger = Ledger()
        bed.disturbed, bed.slower = {None: 99}, 1.0
        first = bed.run(ledger, Purse(tests=3), algorithm="boundary")
        first.run()
        shown = first.certificate().max_streams
        assert shown > 10
        bed.disturbed, bed.slower = {1: 1}, 80  # N=1 looks as if N=2 were about all
        second = bed.run(ledger, Purse(tests=3), algorithm="boundary")
        second.run()
        assert len(second.tests) > 3
        assert second.certificate().max_streams >= shown
        assert second.stopped_by == "search.budget.tests=3"

    def test_of_time_it_keeps_a_full_test_of_what_it_can_pay(self, bed, monkeypatch):
        """Ten seconds, of which no full test of the edge can be had: it would take 72."""
        clock = SimpleNamespace(now=0.0)
        monkeypatch.setattr("sweep.study.search.time.perf_counter", lambda: clock.now)
        bed.on_measured = lambda latencies_ns: setattr(clock, "now", clock.now + latencies_ns.sum() / 1e9)
        run = bed.run(algorithm="boundary", purse=Purse(seconds=10.0))
        run.run()
        certificate = run.certificate()
        assert run.stopped_by == "search.budget.seconds=10"
        assert 10 < certificate.max_streams < 64
        assert certificate.status is Status.OPEN
        assert clock.now < 12

    def test_one_that_no_full_test_fits_into_says_how_much_is_needed(self, bed, monkeypatch):
        clock = SimpleNamespace(now=0.0)
        monkeypatch.setattr("sweep.study.search.time.perf_counter", lambda: clock.now)
        bed.on_measured = lambda latencies_ns: setattr(clock, "now", clock.now + latencies_ns.sum() / 1e9)
        run = bed.run(algorithm="boundary", low=100, purse=Purse(seconds=10.0))  # N=100 takes 22 s
        run.run()
        assert run.stopped_by == "search.budget.seconds=10 (raise it: a full test of N=100 takes about 22 s)"
        assert len(bed.measured) == 1
