"""Where it is told to reject, a disturbed test is measured again, nothing is lost, and none is judged twice."""

import json
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests.gpu_doubles import COOL, FakeGpu
from tests.study.bed import Bed

from sweep.environment import environment_digest
from sweep.study import measure, rejection
from sweep.study.grid import run_grid
from sweep.study.points import GridPoint
from sweep.study.rejection import KEPT, Rejection
from sweep.trial.idle import BusyOptions
from sweep.trial.machine_load import BUSY
from sweep.trial.nvml import NoNvmlError
from sweep.trial.telemetry import Seen, TimedReading, summarised
from sweep.vocabulary import TestMode

CALM = summarised(Seen("GPU", "GPU-1", None, (TimedReading(0.0, COOL),) * 2, (), (None, None)), 1)
HEATED = replace(CALM, throttled=True, throttle_reasons={"hw_thermal_slowdown": 0.5})
SHARED = replace(CALM, other_processes=("77 trainer",))
UNKNOWN = replace(CALM, throttled=None, other_processes=None)


@pytest.fixture
def bed(searches, simulated, tmp_path, monkeypatch):
    """A place where tests are measured, whose GPU was as `bed.gpu` says, test after test, and calm after that."""
    bed = Bed(searches, simulated, tmp_path, monkeypatch)
    bed.gpu, bed.said, bed.waited = [], [], []
    bed.fake = FakeGpu()
    real = bed._run_trial

    def run_trial(*arguments):
        result = real(*arguments)
        telemetry = bed.gpu.pop(0) if bed.gpu else CALM
        return replace(result, telemetry=telemetry, notes=telemetry.disturbances if telemetry else ())

    def cool_down(gpu, limit_s, sleep):
        bed.waited.append((gpu, limit_s))
        return True

    monkeypatch.setattr(measure, "run_trial", run_trial)
    monkeypatch.setattr(rejection, "cool_down", cool_down)
    monkeypatch.setattr(rejection, "open_gpu", lambda uuid: bed.fake)
    return bed


def bench(bed, retries=2, reject=True, resume=True):
    options = SimpleNamespace(reject=reject, retries=retries, cooldown_s=60.0)
    wanted = Rejection.wanted(options, bed.said.append)
    return replace(bed.bench(resume), rejection=wanted)


def measured(bed, n=16, **options):
    point = bed.point(n, None)
    return bench(bed, **options).measure(point.spec, None, lambda _: None)


def attempts(bed, n=16):
    return bed.store.attempts(bed.point(n, None).spec, environment_digest(None))


def test_a_disturbed_test_is_measured_again_and_every_attempt_is_kept(bed):
    bed.gpu = [HEATED, SHARED]
    outcome = measured(bed)
    assert outcome.stored.result.attempt == 3
    assert outcome.stored.result.telemetry == CALM
    assert [one.result.telemetry for one in attempts(bed)] == [HEATED, SHARED, CALM]
    assert bed.waited == [(bed.fake, 60.0)] * 2
    assert bed.fake.closed == 2
    assert "hw_thermal_slowdown 50 %" in bed.said[0]
    assert "(1 of 2)" in bed.said[0]
    assert "60 s at most" in bed.said[0]
    assert "77 trainer" in bed.said[1]


@pytest.mark.parametrize("telemetry", [CALM, UNKNOWN, None])
def test_what_was_not_disturbed_or_is_not_known_to_be_is_measured_once(bed, telemetry):
    bed.gpu = [telemetry]
    measured(bed)
    assert len(attempts(bed)) == 1
    assert bed.said == bed.waited == []


def test_without_reject_it_is_marked_and_no_more(bed):
    bed.gpu = [HEATED]
    outcome = measured(bed, reject=False)
    assert outcome.stored.result.notes[0].startswith("throttled GPU")
    assert len(attempts(bed)) == 1


@pytest.mark.parametrize(("retries", "words"), [(2, "each of its 3 tries"), (0, "its only try")])
def test_the_last_try_is_taken_with_its_note(bed, retries, words):
    bed.gpu = [HEATED] * 9
    outcome = measured(bed, retries=retries)
    assert outcome.stored.result.attempt == retries + 1
    assert outcome.stored.result.notes[-1].startswith(KEPT)
    assert words in outcome.stored.result.notes[-1]
    kept = json.loads((outcome.stored.directory / "result.json").read_text())["notes"]
    assert kept == list(outcome.stored.result.notes)
    assert sum(any(note.startswith(KEPT) for note in one.result.notes) for one in attempts(bed)) == 1


def test_the_next_run_takes_what_stands_and_nothing_that_was_rejected(bed):
    bed.gpu = [HEATED]
    first = measured(bed).stored.directory
    bed.gpu = [HEATED, HEATED, SHARED]
    last = measured(bed, n=17).stored.directory
    for n, directory in ((16, first), (17, last)):
        spec = bed.point(n, None).spec
        assert bench(bed).newest(spec).stored.directory == directory
        assert bench(bed).unused(spec, ()).stored.directory == directory
        assert bench(bed).unused(spec, {directory}) is None


def test_a_test_that_was_disturbed_before_anybody_minded_is_measured_again(bed):
    bed.gpu = [HEATED]
    before = measured(bed, reject=False).stored.directory
    spec = bed.point(16, None).spec
    assert bench(bed).newest(spec) is None
    assert bench(bed).unused(spec, ()) is None
    assert bench(bed, reject=False).newest(spec).stored.directory == before
    measured(bed)
    assert bench(bed).newest(spec).stored.directory != before


def test_an_older_test_that_was_not_disturbed_will_do(bed):
    calm = measured(bed, reject=False).stored.directory
    bed.gpu = [HEATED]
    measured(bed, reject=False)
    assert bench(bed).newest(bed.point(16, None).spec).stored.directory == calm


def test_failed_tests_and_tests_of_accuracy_are_not_rejected(bed):
    bed.failures = {16: ["error"]}
    bed.gpu = [HEATED]
    assert measured(bed).stored.result.failure is not None
    assert len(attempts(bed)) == 1
    result = measured(bed, n=17).stored.result
    spec = replace(result.spec, mode=TestMode.ACCURACY)
    heated = replace(result, notes=HEATED.disturbances)
    accuracy = replace(heated, spec=spec, spec_digest=spec.digest, result=None)
    rejection = bench(bed).rejection
    assert not rejection.refuses(accuracy)
    assert rejection.refuses(heated)


def test_ctrl_c_in_the_cool_down_loses_nothing_and_the_next_run_measures_again(bed, ctrl_c, monkeypatch):
    at = bench(bed)
    spec = bed.point(16, None).spec

    def interrupted(gpu, limit_s, sleep):
        timer = threading.Timer(0.2, ctrl_c)
        timer.start()
        try:
            sleep(30)
        finally:
            timer.join()

    monkeypatch.setattr(rejection, "cool_down", interrupted)
    bed.gpu = [HEATED]
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt), at.gate:
        at.measure(spec, None, lambda _: None)
    assert time.monotonic() - begin < 10
    assert bed.fake.closed == 1
    assert [one.result.telemetry for one in attempts(bed)] == [HEATED]
    assert bench(bed).newest(spec) is None


def test_the_gate_is_closed_while_a_test_is_stored(bed, monkeypatch):
    at = bench(bed)
    seen = []
    real = bed.store.finish
    monkeypatch.setattr(bed.store, "finish", lambda *rest: seen.append(at.gate._is_open) or real(*rest))
    bed.gpu = [HEATED, HEATED]
    at.measure(bed.point(16, None).spec, None, lambda _: None)
    assert seen == [False] * 3


def test_where_the_gpu_cannot_be_asked_the_test_is_measured_again_at_once(bed, monkeypatch):
    def missing(uuid):
        raise NoNvmlError("NVML is gone")

    monkeypatch.setattr(rejection, "open_gpu", missing)
    bed.gpu = [HEATED]
    assert measured(bed).stored.result.attempt == 2
    assert "NVML is gone" in bed.said[-1]


def test_a_gpu_that_stays_hot_is_said_to(bed, monkeypatch):
    monkeypatch.setattr(rejection, "cool_down", lambda gpu, limit_s, sleep: False)
    bed.gpu = [HEATED]
    measured(bed)
    assert "telemetry.cooldown_s" in bed.said[-1]


def test_a_grid_gives_the_attempts_that_stand(bed):
    bed.gpu = [HEATED, CALM, SHARED, HEATED, HEATED]
    points = [GridPoint(bed.point(n, None).spec, None) for n in (16, 17)]
    observer = SimpleNamespace(started=lambda *_: None, progressed=lambda *_: None, finished=lambda *_: None)
    first = [(number, one.stored.directory) for number, one in run_grid(points, bench(bed), observer)]
    assert [(number, folder.name) for number, folder in first] == [(0, "002"), (1, "003")]
    assert [(number, one.stored.directory) for number, one in run_grid(points, bench(bed), observer)] == first
    assert bed.measured == [16, 16, 17, 17, 17]


def test_a_search_that_goes_on_is_told_the_same_again(bed):
    bed.gpu = [HEATED, CALM] * 4 + [HEATED] * 3
    told = []
    for _ in range(2):
        run = bed.run(high=64)
        object.__setattr__(run, "_bench", bench(bed))
        run.run()
        told.append([test.outcome.stored.directory for test in run.tests])
    assert told[0] == told[1]
    assert len(told[0]) < len(bed.measured)


def test_the_options_make_one_only_where_they_ask_for_it():
    options = SimpleNamespace(reject=False, retries=3, cooldown_s=9.0)
    assert Rejection.wanted(options, print) is None
    options.reject = True
    (demand,) = Rejection.wanted(options, print).demands
    assert (demand.group, demand.retries, demand.wait_s) == ("telemetry", 3, 9.0)
    options.reject = False
    (demand,) = Rejection.wanted(options, print, BusyOptions(reject=True)).demands
    assert (demand.group, demand.retries, demand.wait_s) == ("busy", 2, 60.0)


class TestBusy:
    """The same for other processes: `busy.reject=true`."""

    @pytest.fixture
    def machine(self, bed, monkeypatch):
        """Have `machine.busy` say of one test after the other whether others kept the machine busy."""
        machine = SimpleNamespace(busy=[], waited=[], telemetry=SimpleNamespace(reject=False, retries=2, cooldown_s=60))
        real = bed._run_trial

        def run_trial(*arguments):
            result = real(*arguments)
            is_busy = machine.busy.pop(0) if machine.busy else False
            notes = (f"{BUSY}: other processes used up to 1.0 of 2 cores; measure again when it is idle",)
            hot = machine.telemetry.reject and is_busy == "and hot"
            return replace(result, notes=(*(notes if is_busy else ()), *(HEATED.disturbances if hot else ())))

        def wait_for_idle(limit_s, say, sleep):
            machine.waited.append(limit_s)

        monkeypatch.setattr(measure, "run_trial", run_trial)
        monkeypatch.setattr(rejection, "wait_for_idle", wait_for_idle)
        return machine

    def bench(self, bed, machine, **options):
        wanted = Rejection.wanted(machine.telemetry, bed.said.append, BusyOptions(**{"reject": True, **options}))
        return replace(bed.bench(True), rejection=wanted)

    def measured(self, bed, machine, **options):
        return self.bench(bed, machine, **options).measure(bed.point(16, None).spec, None, lambda _: None).stored.result

    @pytest.mark.parametrize(("wait_s", "waits"), [(None, 60.0), (5.0, 5.0), (0.0, 0.0)])
    def test_a_busy_test_is_measured_again_on_an_idle_machine_and_every_try_is_kept(self, bed, machine, wait_s, waits):
        machine.busy = [True, True, False]
        assert self.measured(bed, machine, wait_s=wait_s).attempt == 3
        assert [one.result.mark for one in attempts(bed)] == [", disturbed", ", disturbed", ""]
        assert machine.waited == [waits] * 2
        assert "up to 1.0 of 2 cores: measured again (1 of 2) once the machine is idle" in bed.said[0]
        assert "measure again when" not in bed.said[0]

    def test_the_last_try_stands_and_is_reused(self, bed, machine):
        machine.busy = [True] * 9
        result = self.measured(bed, machine, retries=1)
        assert result.attempt == 2
        assert result.notes[-1] == f"{KEPT}: each of its 2 tries was disturbed (busy.retries=1)"
        assert self.bench(bed, machine).newest(result.spec).stored.result == result

    def test_without_it_a_busy_test_is_marked_and_with_it_never_reused(self, bed, machine):
        machine.busy = [True]
        marked = bed.bench(True).measure(bed.point(16, None).spec, None, lambda _: None).stored.result
        assert marked.mark == ", disturbed"
        assert bed.bench(True).newest(marked.spec).reused
        assert self.bench(bed, machine).newest(marked.spec) is None
        assert self.bench(bed, machine).unused(marked.spec, ()) is None

    def test_what_stood_for_its_gpu_does_not_stand_for_its_machine(self, bed, machine):
        """Fails where a busy test that a hot GPU was forgiven for is never measured again."""
        machine.telemetry.reject, machine.telemetry.retries = True, 0
        machine.busy = ["and hot"]
        stood = replace(bed.bench(True), rejection=Rejection.wanted(machine.telemetry, print))
        result = stood.measure(bed.point(16, None).spec, None, lambda _: None).stored.result
        assert "telemetry.retries=0" in result.notes[-1]
        assert stood.newest(result.spec).reused
        assert self.bench(bed, machine).newest(result.spec) is None

    def test_both_are_waited_for_and_counted_apart(self, bed, machine):
        machine.telemetry.reject = True
        machine.busy = ["and hot", True, False]
        assert self.measured(bed, machine).attempt == 3
        assert "the GPU is cool and free" in " ".join(bed.said)
        assert "measured again (2 of 2) once the machine is idle" in bed.said[-1]
