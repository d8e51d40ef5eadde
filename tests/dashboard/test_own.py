"""One's own points: the best that is VALID, and never more official than it is."""

import dataclasses

import pytest
from tests.imports.entries import PERFORMANCE, Entry, detection, gnmt, write_folder

from sweep.dashboard.own import own_points
from sweep.dashboard.points import Source
from sweep.dashboard.view import ending_of, look_of, spoken
from sweep.imports.ck import import_ck
from sweep.results.selection import select
from sweep.search.certificate import Status
from sweep.trial.imported import Imported
from sweep.vocabulary import Precision, RunClass, Weights


def _points(records):
    return own_points(records.selection())


def test_the_largest_valid_n_stands_for_a_system(records):
    for n in (64, 300, 400):
        records.trial(n)
    (point,) = _points(records)
    assert (point.source, point.value, point.samples_per_query, point.verdict) == (Source.OWN, 300.0, 300, "VALID")
    assert (point.benchmark, point.scenario, point.round) == ("resnet", "MultiStream", "v0.5 rules")
    assert point.bound_ns == 50_000_000
    assert 0 < point.margin_percent < 10
    assert point.system == "CPU of tests (here)"
    assert (point.accelerator, point.accelerators) == ("", 0)
    assert point.software == "onnxruntime, onnxruntime 1.32.0"
    assert point.link.endswith("/001")


def test_nothing_valid_is_no_point(records):
    records.trial(400)
    records.trial(500, failure="out of memory")
    records.trial(600, stopped=True)
    assert _points(records) == ()


def test_machines_precisions_and_bounds_are_points_of_their_own(records):
    for n in (32, 64):
        records.trial(n)
        records.trial(n, precision=Precision.INT8)
        records.trial(n, bound_ms=100)
        records.trial(n, machine={"hostname": "there"})
        records.trial(n, options={"threads": 1})  # another way to run the first
    assert [point.value for point in _points(records)] == [64.0] * 4


def test_a_gpu_is_an_accelerator_where_the_test_ran_on_it(records):
    card = {"name": "NVIDIA GeForce GTX 1080", "uuid": "GPU-1"}
    records.trial(64, machine={"gpus": [card]})
    records.trial(64, machine={"gpus": [{"name": "listed, not used"}]})
    used, listed = _points(records)
    assert (used.accelerator, used.accelerators, used.per_accelerator) == (card["name"], 1, 64.0)
    assert used.system == "NVIDIA GeForce GTX 1080 (here)"
    assert (listed.accelerator, listed.per_accelerator) == ("", None)


def test_a_short_run_never_looks_official(records):
    records.trial(64)
    records.trial(32, run_class=RunClass.OFFICIAL)
    points = {point.run_class: point for point in _points(records)}
    assert points["official"].value == 32.0  # not hidden by a larger N that a short run found
    assert look_of(points["official"]) == "own"
    assert look_of(points["screening"]) == "own-short"
    assert ending_of(points["screening"]).endswith("screening")
    assert "screening run, not official: 1440 queries" in spoken(points["screening"])


def test_a_simulated_engine_and_synthetic_weights_are_said(records):
    records.trial(64, backend="simulated", weights=Weights.NONE, run_class=RunClass.OFFICIAL)
    records.trial(64, weights=Weights.SYNTHETIC, run_class=RunClass.OFFICIAL)
    simulated, synthetic = sorted(_points(records), key=lambda point: point.doubt)
    for point, word in ((simulated, "simulated"), (synthetic, "synthetic weights")):
        assert point.doubt == word
        assert look_of(point) == "own-short"
        assert word in ending_of(point)
        assert word.partition(" ")[0] in point.notes


def test_an_invalid_test_below_the_best_is_said(records):
    records.trial(64)
    records.trial(60, per_sample_ms=2)
    (point,) = _points(records)
    assert "INVALID at N=60 within the same 50 ms" in point.notes


def test_short_tests_of_a_search_are_no_results(records):
    full = records.trial(64)
    short = records.trial(128, queries=100, run_class=RunClass.CUSTOM)
    records.search([(full, False), (short, True)], max_streams=64, status=Status.OPEN)
    assert [point.value for point in _points(records)] == [64.0]


def test_without_a_bound_the_lowest_latency_at_each_n_is_the_result(records):
    for n, cost in ((8, 0.2), (8, 0.1), (16, 0.1)):
        records.trial(n, bound_ms=None, per_sample_ms=cost, options={"threads": int(cost * 10)})
    at_8, at_16 = sorted(_points(records), key=lambda point: point.samples_per_query)
    assert at_8.metric == at_16.metric == "p99_latency_ns"
    assert at_8.value == at_8.p99_ns < 1.5e6
    assert (at_8.bound_ns, at_8.per_accelerator) == (None, None)


def test_the_accuracy_of_the_same_model_is_with_it(records):
    records.trial(64)
    records.trial(64, precision=Precision.INT8)
    records.accuracy(76.4)
    points = {point.precision: point for point in _points(records)}
    assert points["fp32"].accuracy_percent == 76.4
    assert "accuracy over 500 samples of imagenet" in points["fp32"].notes
    assert points["int8"].accuracy_percent is None


def test_an_imported_test_has_the_words_of_its_origin(records):
    origin = Imported(
        *("ck", "entry", "point", "2026-11-26T10:00:00+00:00", "closed", "xavier", "NVIDIA Jetson AGX Xavier"),
        *("image-classification-tensorrt-loadgen-py", "resnet50", {}, {}),
    )
    selection = records.trial(64) and records.selection()
    (stored,) = selection.trials
    imported = dataclasses.replace(stored, result=dataclasses.replace(stored.result, imported=origin))
    (point,) = own_points(dataclasses.replace(selection, trials=(imported,)))
    assert (point.source, point.division, point.system_id) == (Source.IMPORTED, "closed", "xavier")
    assert (point.system, point.benchmark) == ("NVIDIA Jetson AGX Xavier", "resnet50")
    assert point.software.startswith("onnxruntime")
    assert "imported from ck" in point.notes


def test_two_systems_of_one_word_are_two_points(records):
    """Platforms of other tools have short names: one result must not stand for another's."""
    names = ("NVIDIA Jetson AGX Xavier", "Another Xavier")
    selection = records.trial(64) and records.selection()
    (stored,) = selection.trials
    both = []
    for name in names:
        origin = Imported(
            "ck", "entry", name, "2026-11-26T10:00:00+00:00", "closed", "xavier", name, "x", "resnet50", {}, {}
        )
        both.append(
            dataclasses.replace(
                stored,
                result=dataclasses.replace(stored.result, imported=origin),
                directory=stored.directory.with_name(name[:3]),
            )
        )
    points = own_points(dataclasses.replace(selection, trials=tuple(both)))
    assert sorted(point.system for point in points) == sorted(names)


def test_another_bound_than_the_benchmark_s_is_said_and_hollow(records):
    """A test with more time for a query has more streams: it is not to be set beside the others as one of them."""
    records.trial(64, bound_ms=60)
    (point,) = _points(records)
    assert (point.doubt, point.is_full) == ("bound 60 ms", False)


def _imported(tmp_path, *entries):
    for entry in entries:
        write_folder(tmp_path / "repository", entry.files())
    import_ck([tmp_path / "repository"], tmp_path / "outputs")
    return own_points(select([tmp_path / "outputs"]))


def test_an_imported_test_of_server_is_shown_by_its_rate(tmp_path):
    (point,) = _imported(tmp_path, gnmt())
    assert (point.scenario, point.metric, point.value) == ("Server", "scheduled_samples_per_second", 41546.64)
    assert (point.samples_per_query, point.margin_percent) == (None, None)
    assert "bound of 250 ms on p97, not p99" in point.notes


def test_the_map_of_detection_stands_with_its_performance(tmp_path):
    performance = Entry(PERFORMANCE.replace("resnet50", "ssd-mobilenet").replace("xavier", "velociti"))
    accuracy = detection(mAP=22.911)
    accuracy.name = performance.name.replace("performance", "accuracy")
    performance.env["CK_LOADGEN_DATASET_SIZE"] = "5000"
    (point,) = _imported(tmp_path, performance, accuracy)
    assert point.accuracy_percent == pytest.approx(22.911)
    assert "mAP over 5000 samples of imagenet" in point.notes
