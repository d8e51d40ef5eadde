"""One search step by step, on tests that nobody ran: what is reused, what is refused, what a budget ends."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweep.search.base import Ask, Shown
from sweep.search.certificate import Status
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
