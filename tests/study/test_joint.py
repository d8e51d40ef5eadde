"""A joint search, on tests that nobody ran: who is challenged where, who is dropped, and what ends it."""

import io
import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from sweep.report.search_points import points_of
from sweep.report.search_words import answer_of
from sweep.search.certificate import Status
from sweep.study import measure
from sweep.study.certificate_file import certificate_json, read_certificate
from sweep.study.conduct import Conduct, Desk
from sweep.study.joint import JointConduct
from sweep.study.search import Purse
from sweep.terminal import show_search
from sweep.trial.machine_load import BUSY
from sweep.vocabulary import Verdict

from .bed import NOBODY, Bed, Job, Ledger


class SettingsLedger(Ledger):
    def begin(self, params, space=None):
        assert all(params[key] in space[key] for key in params)
        return super().begin(params)

    def prune(self, number, value, attributes):
        self.rows[number] |= {"state": "PRUNED", "value": value, **attributes}


@pytest.fixture
def bed(searches, simulated, tmp_path, monkeypatch):
    return Bed(searches, simulated, tmp_path / "outputs", monkeypatch)


def joint(bed, values, tmp_path, ledger=None, **limits):
    job = Job(bed, bed.plan(), (("backend.per_sample_ms", values),))
    conduct = JointConduct(
        job, Desk(bed.bench(), NOBODY, tmp_path, "here"), Purse(**limits), ledger or SettingsLedger()
    )
    conduct.run()
    return conduct.outcome()


def by_setting(outcome):
    return {one.setting["backend.per_sample_ms"]: one for one in outcome.settings}


def of_setting(outcome, per_sample_ms):
    options = [test.outcome.stored.result.spec.backend.options["per_sample_ms"] for test in outcome.tests]
    return [test for test, own in zip(outcome.tests, options, strict=True) if own == per_sample_ms]


def test_a_setting_is_challenged_above_the_best_answer_and_dropped_after_one_test(bed, tmp_path):
    outcome = joint(bed, (0.2, 0.15, 0.3, 0.25, 0.4), tmp_path)
    found = by_setting(outcome)
    assert outcome.certificate.status is Status.EXACT or outcome.certificate.max_streams > 290
    best = outcome.certificate.max_streams
    assert found[0.15].max_streams == best > found[0.2].max_streams
    assert of_setting(outcome, 0.15)[0].ask.why == "is this setting better?"
    for slow in (0.3, 0.25, 0.4):
        (test,) = of_setting(outcome, slow)
        assert test.outcome.stored.result.result is Verdict.INVALID
        assert found[slow].why.startswith(f"dropped: N={test.ask.samples_per_query} INVALID: ")
    assert (outcome.stopped_by, outcome.certificate.is_complete) == ("", True)


def test_the_study_holds_each_setting_once_and_a_second_call_measures_nothing(bed, tmp_path):
    ledger = SettingsLedger()
    first = joint(bed, (0.2, 0.15, 0.4), tmp_path, ledger)
    assert Counter(row["state"] for row in ledger.rows) == {"COMPLETE": 2, "PRUNED": 1}
    (pruned,) = (row for row in ledger.rows if row["state"] == "PRUNED")
    assert 100 < pruned["value"] < 150  # about the N that it would reach: by that Optuna learns
    measured = len(bed.measured)
    again = joint(bed, (0.2, 0.15, 0.4), tmp_path, ledger)
    assert len(bed.measured) == measured
    assert len(ledger.rows) == 3
    assert [one.setting for one in again.settings] == [one.setting for one in first.settings]
    assert again.certificate == first.certificate


def test_a_challenger_that_cannot_be_set_up_leaves_the_others(bed, tmp_path):
    bed.refuses = {(n, 0.1) for n in range(1, 513)}
    outcome = joint(bed, (0.2, 0.1, 0.15), tmp_path)
    found = by_setting(outcome)
    assert found[0.1].max_streams is None
    assert "is too large for this machine" in found[0.1].why
    assert outcome.certificate.max_streams == found[0.15].max_streams > 290
    assert (outcome.stopped_by, outcome.failure, outcome.certificate.is_complete) == ("", "", True)


def test_a_challenger_that_crashed_once_is_challenged_again(bed, tmp_path):
    bed.failures = {(n, 0.15): ["crash"] for n in range(1, 513)}
    outcome = joint(bed, (0.4, 0.15), tmp_path)
    first, second = of_setting(outcome, 0.15)[:2]
    assert first.ask.samples_per_query == second.ask.samples_per_query
    assert (first.outcome.stored.result.failure.kind, second.outcome.stored.result.result) == ("crash", Verdict.VALID)
    assert outcome.certificate.max_streams == by_setting(outcome)[0.15].max_streams > 290


def test_an_accuracy_that_cannot_be_measured_is_a_failure_and_not_too_low(bed, tmp_path):
    bed.failures = {32: ["crash"]}
    job = replace(Job(bed, bed.plan(), ()), min_accuracy=0.99)
    conduct = Conduct(job, Desk(bed.bench(), NOBODY, tmp_path, "here"), Purse(), None, (0, 1))
    conduct.run()
    outcome = conduct.outcome()
    assert outcome.failure == "the accuracy of the engine could not be measured: crash: crash at N=32"
    assert (outcome.accuracy, outcome.accuracy_failed, outcome.tests, outcome.stopped_by) == ("", False, (), "")
    assert answer_of(outcome) == "max streams: unknown"


def test_a_budget_is_shared_by_all_settings_and_what_it_ends_is_not_complete(bed, tmp_path):
    alone = len(of_setting(joint(bed, (0.2,), tmp_path), 0.2))
    outcome = joint(bed, (0.2, 0.15, 0.4), tmp_path, tests=3)
    assert outcome.stopped_by == "search.budget.tests=3"
    assert sum(not test.outcome.reused for test in outcome.tests) == 3
    assert len(outcome.tests) == alone + 3
    assert outcome.certificate.max_streams is not None
    assert not outcome.certificate.is_complete


def test_no_more_settings_are_announced_than_there_are(bed, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(NOBODY, "search_started", lambda number, count, plan: told.append((number, count)))
    joint(bed, (0.15, 0.4), tmp_path)
    assert told == [(0, 2), (1, 2)]


@pytest.mark.parametrize("busy", [True, False])
def test_a_setting_that_a_busy_machine_has_dropped_makes_the_answer_disturbed(bed, tmp_path, monkeypatch, busy):
    """Fails where the best setting loses to a neighbour's load, and the answer calls itself exact."""
    real = bed._run_trial

    def run_trial(executor, request, *rest):
        result = real(executor, request, *rest)
        is_slow = request.spec.backend.options["per_sample_ms"] == 0.4
        return replace(result, notes=(f"{BUSY}: by others",) if busy and is_slow else ())

    monkeypatch.setattr(measure, "run_trial", run_trial)
    outcome = joint(bed, (0.15, 0.4), tmp_path)
    assert by_setting(outcome)[0.4].why.startswith("dropped: ")
    assert outcome.certificate.disturbed is busy
    assert ("disturbed" in answer_of(outcome)) is busy
    assert (outcome.certificate.status is Status.EXACT) <= (not busy)


def test_what_is_said_of_the_winner_comes_from_its_own_tests(bed, tmp_path):
    """Another setting was INVALID at the winner's next N too: its logs are no evidence for this answer."""
    outcome = joint(bed, (0.3, 0.15, 0.2, 0.16), tmp_path)
    best = outcome.certificate.max_streams
    assert by_setting(outcome)[0.15].max_streams == best
    own = {str(test.outcome.stored.directory) for test in of_setting(outcome, 0.15)}
    challenged = of_setting(outcome, 0.16)[-1]
    assert (challenged.ask.samples_per_query, challenged.outcome.stored.result.result) == (best + 1, Verdict.INVALID)
    # As where the winner itself was INVALID there, which these latencies are too noisy to show.
    outcome = replace(outcome, certificate=replace(outcome.certificate, first_invalid=best + 1))
    saved = json.loads(json.dumps(certificate_json(outcome)))
    assert {test["directory"] for test in saved["tests"] if test["of_the_answer"]} == own
    path = tmp_path / "joint.json"
    path.write_text(json.dumps(saved))
    records = [test.outcome.stored for test in outcome.tests]
    for one in (outcome, read_certificate(path).outcome(records, path)):
        out = Console(file=io.StringIO(), width=300)
        show_search(out, one, plot=False)
        named = re.findall(r"^logs of N=\d+ (?:IN)?VALID: (.*)$", out.file.getvalue(), re.MULTILINE)
        assert named
        assert set(named) <= own
        assert {point.samples_per_query for point in points_of(one)} == {
            test.ask.samples_per_query for test in of_setting(outcome, 0.15)
        }
