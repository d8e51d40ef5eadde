"""The example that CK's own writer has written: all that was measured arrives, as it was, and says where from."""

import json

import pytest
from tests.imports.entries import ACCURACY, EXAMPLE, PERFORMANCE, Entry, example_files, example_point, write_folder

from sweep.imports.ck import import_ck
from sweep.loadgen.accuracy import Accuracy, read_accuracy_log
from sweep.paths import AttemptPaths
from sweep.results.environments import describe
from sweep.store.records import load_attempt
from sweep.vocabulary import Precision, RunClass, Scenario, TestMode, TrialState, Verdict, Weights


@pytest.fixture
def example(outputs):
    """The two records of the example, by mode."""
    done = import_ck([EXAMPLE], outputs)
    assert (done.problems, done.notes, done.known, done.entries) == ([], [], [], 2)
    return {stored.result.spec.mode: stored for stored in done.stored}


def test_the_test_of_performance_is_the_trial_it_was(example):
    result = example[TestMode.PERFORMANCE].result
    spec = result.spec
    assert (result.state, result.result, result.loadgen_result) == (TrialState.COMPLETE, Verdict.VALID, "VALID")
    assert result.percentile_ns == 49305533
    assert (result.latencies.source, result.latencies.max) == ("loadgen", 52252272)
    assert (result.query_count, result.planned_query_count, result.over_latency_allowed) == (270336, 270336, 2703)
    assert result.timing.started_at == "2020-09-22T15:58:44+00:00"
    assert result.timing.test_ns == 13528448 * 10**6
    assert (spec.scenario, spec.samples_per_query, spec.engine_batch) == (Scenario.MULTI_STREAM, 70, 70)
    assert (spec.model.name, spec.model.weights, spec.model.digest) == ("resnet50", Weights.UNKNOWN, "")
    assert (spec.model.number_format, spec.precision) == ("int8", Precision.INT8)
    assert (spec.backend.name, spec.backend.options) == ("tensorrt", {"CK_LOADGEN_BUFFER_SIZE": "1024"})
    assert (spec.dataset.name, spec.dataset.count, spec.dataset.performance_sample_count) == ("imagenet", 50000, 1024)
    assert (spec.rules.edition, spec.rules.target_latency_ns, spec.rules.percentile) == ("v0.7", 50_000_000, 99.0)
    assert (spec.run.run_class, spec.run.max_query_count, spec.seeds) == (RunClass.OFFICIAL, 272160, "v0.7")


def test_the_test_of_accuracy_has_the_score_that_was_kept(example):
    result = example[TestMode.ACCURACY].result
    assert result.accuracy == Accuracy(38129, 50000, 76.258)
    assert (result.state, result.result, result.latencies) == (TrialState.COMPLETE, None, None)
    assert (result.spec.samples_per_query, result.spec.scenario) == (70, Scenario.MULTI_STREAM)
    assert "LoadGen's log of answers was kept in part: 111 answers for 50000 samples" in result.notes


def test_both_are_of_one_machine(example):
    digests = {stored.result.environment_digest for stored in example.values()}
    assert len(digests) == 1
    words = describe(example[TestMode.PERFORMANCE].result.environment)
    assert words == "NVIDIA Jetson AGX Xavier, tensorrt, LoadGen .5a1 @ 818cbe272a, linux-64"


@pytest.mark.parametrize(("mode", "name"), [(TestMode.PERFORMANCE, PERFORMANCE), (TestMode.ACCURACY, ACCURACY)])
def test_where_it_comes_from_is_told_in_full(example, mode, name):
    imported = example[mode].result.imported
    assert (imported.source, imported.entry) == ("ck", name)
    assert imported.point in ("09bee4642a11bd29.0001", "43abb7fea22d5b6b.0001")
    assert (imported.division, imported.system, imported.benchmark) == ("closed", "xavier", "resnet50")
    assert imported.system_name == "NVIDIA Jetson AGX Xavier"
    assert imported.implementation == "image-classification-tensorrt-loadgen-py"
    assert imported.settings == example_point(name)["choices"]["env"]
    assert imported.description == {"retraining": "no", "input_data_types": "int8"}
    assert example[mode].result.notes[0] == "imported from ck: sweep did not measure it"


@pytest.mark.parametrize(("mode", "name"), [(TestMode.PERFORMANCE, PERFORMANCE), (TestMode.ACCURACY, ACCURACY)])
def test_logs_and_settings_are_written_as_they_were(example, mode, name):
    paths, run = AttemptPaths(example[mode].directory), example_point(name)["characteristics_list"][0]["run"]
    log = run["mlperf_log"]
    assert paths.summary.read_bytes() == "".join(log["summary"]).encode()
    assert paths.user_conf.read_bytes() == "".join(run["mlperf_conf"]["user.conf"]).encode()
    assert paths.detail.is_file() == bool(log["detail"])
    if log["detail"]:
        assert paths.detail.read_bytes() == "".join(log["detail"]).encode()
    assert paths.accuracy.is_file() == bool(log["accuracy"])
    assert not paths.trace.exists()


def test_answers_are_laid_out_as_in_the_submissions_of_that_time(example):
    path = AttemptPaths(example[TestMode.ACCURACY].directory).accuracy
    head = '[\n  {\n    "data": "00C05844",\n    "qsl_idx": 45875,\n    "seq_id": 0\n  },\n'
    assert path.read_text().startswith(head)
    assert path.read_bytes().endswith(b"  }\n]")
    assert len(read_accuracy_log(path)) == 111


@pytest.mark.parametrize(("mode", "name"), [(TestMode.PERFORMANCE, PERFORMANCE), (TestMode.ACCURACY, ACCURACY)])
def test_the_point_itself_is_kept_byte_by_byte(example, mode, name):
    paths, files = AttemptPaths(example[mode].directory), example_files()
    point = example[mode].result.imported.point
    assert paths.ck_point.read_bytes() == files[f"{name}/ckp-{point}.json"]
    assert paths.ck_pipeline.read_bytes() == files[f"{name}/pipeline.json"]


def test_a_record_is_read_back_as_it_was_written(example):
    for stored in example.values():
        assert load_attempt(AttemptPaths(stored.directory)) == stored
        assert json.loads(AttemptPaths(stored.directory).spec.read_text()) == stored.result.spec.to_json()


def _tree(outputs):
    """Return the files below a folder, without the time of the import."""
    files = {str(path.relative_to(outputs)): path.read_bytes() for path in outputs.rglob("*") if path.is_file()}
    for name, data in files.items():
        if name.endswith("result.json"):
            record = json.loads(data)
            record["imported"].pop("imported_at")
            files[name] = json.dumps(record).encode()
    return files


def test_folder_and_zip_with_or_without_the_repository_give_the_same(tmp_path, outputs):
    import_ck([EXAMPLE], outputs)
    whole = write_folder(tmp_path / "repository", example_files())
    import_ck([whole], tmp_path / "of_folder")
    import_ck([whole / PERFORMANCE, whole / ACCURACY], tmp_path / "of_entries")
    assert _tree(outputs) == _tree(tmp_path / "of_folder") == _tree(tmp_path / "of_entries")


def test_the_same_again_changes_nothing(tmp_path, outputs, example):
    before = _tree(outputs)
    done = import_ck([EXAMPLE, write_folder(tmp_path / "repository", example_files())], outputs)
    assert (done.stored, len(done.known), done.notes, done.problems) == ([], 4, [], [])
    assert f"{PERFORMANCE}: ckp-09bee4642a11bd29.0001.json: is here already: " in done.known[1]
    assert _tree(outputs) == before


def test_a_point_of_the_same_name_with_other_content_is_a_new_attempt_and_said(imported, outputs, example):
    entry = Entry()
    entry.run["mlperf_conf"]["user.conf"].append("# a line more\n")
    done = imported(entry)
    (stored,) = done.stored
    assert (stored.result.attempt, stored.directory.name) == (2, "002")
    assert stored.directory.parent == example[TestMode.PERFORMANCE].directory.parent
    (note,) = done.notes
    assert f"was imported before with other content, which stays: {example[TestMode.PERFORMANCE].directory}" in note
