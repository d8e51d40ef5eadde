"""Entries that are odd or incomplete: each is named with its file and what is missing, and the rest is imported."""

import json
import os

import pytest
from tests.imports.entries import ACCURACY, LOGS, PERFORMANCE, Entry, example_files, write_folder

from sweep.errors import ConfigError
from sweep.imports.ck import import_ck
from sweep.imports.ck_entry import named_by
from sweep.paths import AttemptPaths
from sweep.vocabulary import Precision, Scenario, TestMode

WHERE = f"{PERFORMANCE}: ckp-09bee4642a11bd29.0001.json: "


def without(entry, *names):
    """Take something out of an entry's first run."""
    data = entry.run
    for name in names[:-1]:
        data = data[name]
    del data[names[-1]]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("mlperf_log",), "has no mlperf_log"),
        (("mlperf_log", "summary"), "has no summary of LoadGen's (mlperf_log.summary)"),
    ],
)
def test_a_run_without_its_log_is_named(refused, names, reason):
    entry = Entry()
    without(entry, *names)
    assert refused(entry) == WHERE + reason


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ({"characteristics_list": []}, "has no characteristics_list, so nothing that was measured"),
        ({"characteristics_list": {"run": 1}}, "has no characteristics_list, so nothing that was measured"),
        ({"characteristics_list": [5]}, "has no run"),
        ({"characteristics_list": [{"run": []}]}, "has no run"),
        ({"characteristics_list": [{"run": {"mlperf_log": "no"}}]}, "has no mlperf_log"),
        ({"characteristics_list": [{"run": {"mlperf_log": {"summary": 5}}}]}, "its mlperf_log.summary is no list of"),
        ({"characteristics_list": [{"run": {"mlperf_log": {"summary": [5]}}}]}, "its mlperf_log.summary is no list of"),
        ({"characteristics_list": [{"run": {"mlperf_log": {"summary": ["x"]}}}]}, "mlperf_log_summary.txt: not a"),
        ({"characteristics_list": [{"run": {"mlperf_log": {"summary": ["\ud800"]}}}]}, "holds half a character"),
    ],
)
def test_a_point_of_another_shape_is_named(refused, point, reason):
    entry = Entry()
    entry.points["09bee4642a11bd29.0001"] = point
    problem = refused(entry)
    assert problem.startswith(WHERE)
    assert reason in problem


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not JSON from line 1, column 1 on"),
        (b"{", "is not JSON from line 1, column 2 on"),
        (b"[1]", "is no JSON object"),
        (b"\xff\xfe\xfa", "is not text in UTF-8"),
        (b'{"a": NaN}', "holds what cannot be read: NaN is no number"),
        (b'{"a": 1, "a": 2}', "holds what cannot be read: 'a' is said twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "holds what cannot be read"),
        (b'{"a": ' + b"[" * 100_000, "is nested too deep"),
    ],
)
def test_a_file_that_is_no_point_is_named(refused, data, reason):
    entry = Entry()
    entry.points, entry.others["ckp-09bee4642a11bd29.0001.json"] = {}, data
    assert reason in refused(entry)


@pytest.mark.parametrize(
    "settings",
    [
        {"CK_X": float("1e400")},
        {"CK_X": "\ud800"},
        {"CK_X": [[[]]]},
        {"CK_X": 10**400},
        {"CK_BATCH_SIZE": "9" * 5000},
        {"CK_BATCH_SIZE": -1, "CK_LOADGEN_DATASET_SIZE": {}},
        {"CK_LOADGEN_SCENARIO": 7},
        {"/../" * 100: "\x1b[2J"},
    ],
)
def test_hostile_settings_are_kept_or_named_and_never_a_traceback(imported, settings):
    entry = Entry()
    entry.env.update(settings)
    text = json.dumps(entry.points["09bee4642a11bd29.0001"]).replace("Infinity", "1e400")
    entry.points, entry.others["ckp-09bee4642a11bd29.0001.json"] = {}, text.encode()
    done = imported(entry)
    assert len(done.stored) + len(done.problems) == 1
    if done.problems:
        assert done.problems[0].startswith(f"{WHERE}makes no record: ")


@pytest.mark.parametrize("log", ["detail", "accuracy", "trace"])
def test_another_log_of_a_wrong_type_is_named(refused, log):
    entry = Entry()
    entry.run["mlperf_log"][log] = 5
    assert f"its mlperf_log.{log} is n" in refused(entry)


def test_what_is_missing_beside_the_log_is_noted_in_the_record(result_of):
    entry = Entry()
    entry.pipeline = None
    del entry.run["mlperf_conf"]
    entry.run["mlperf_log"]["detail"] = []
    entry.point["features"] = {}
    result = result_of(entry)
    assert result.spec.precision is Precision.UNKNOWN
    assert result.environment == {"platform": "xavier", "packages": {"tensorrt": ""}}
    assert result.imported.implementation == "image-classification-tensorrt-loadgen-py"
    assert set(result.notes) >= {
        "LoadGen's detail log was not kept",
        "its user.conf was not kept",
        "its precision is not known: the entry does not say what the model computed in",
        "when it was measured is not known; its time is when it was imported",
    }


def test_features_and_choices_may_lie_in_the_extract_alone(result_of):
    entry = Entry()
    extract = {name: entry.point.pop(name) for name in ("features", "choices")}
    entry.others["ckp-09bee4642a11bd29.features.json"] = json.dumps(extract).encode()
    result = result_of(entry)
    assert result.imported.system_name == "NVIDIA Jetson AGX Xavier"
    assert result.imported.settings["CK_BATCH_SIZE"] == "70"


def test_one_half_of_a_repository_is_imported_where_the_other_cannot_be(imported):
    entry, bad = Entry(), Entry(ACCURACY, ACCURACY)
    entry.again("aaaaaaaaaaaaaaaa.0001")["characteristics_list"] = []
    entry.others["ckp-bbbbbbbbbbbbbbbb.features.json"] = b"{}"
    entry.others["ckp-cccccccccccccccc.flat.json"] = b"{}"
    entry.others["ckp-09bee4642a11bd29.features.json"] = b'{"sub_points": 2}'
    entry.others[".cm/meta.json"] = b'{"points": "4"}'
    bad.points = {}
    done = imported(entry, bad)
    assert len(done.stored) == 1
    assert done.problems == [
        f"{ACCURACY}: has no point (ckp-<uid>.0001.json)",
        f"{PERFORMANCE}: ckp-09bee4642a11bd29.0002.json: is missing; its entry counts 2 such files",
        f"{PERFORMANCE}: ckp-bbbbbbbbbbbbbbbb.0001.json: is missing; extracts of it are here",
        f"{PERFORMANCE}: ckp-cccccccccccccccc.0001.json: is missing; extracts of it are here",
        f"{PERFORMANCE}: ckp-aaaaaaaaaaaaaaaa.0001.json: has no characteristics_list, so nothing that was measured",
    ]
    assert done.notes == [f"{PERFORMANCE}: .cm/meta.json counts 4 points, 2 of them are here"]


def test_every_point_and_every_run_of_it_is_a_trial(imported):
    entry = Entry()
    entry.point["characteristics_list"] *= 3
    entry.point["characteristics_list"][1] = {"run": {}}
    other = entry.again("aaaaaaaaaaaaaaaa.0001")
    other["characteristics_list"] = other["characteristics_list"][:1]
    done = imported(entry)
    assert [stored.result.imported.point for stored in done.stored] == [
        "09bee4642a11bd29.0001",
        "09bee4642a11bd29.0001/3",
        "aaaaaaaaaaaaaaaa.0001",
    ]
    assert [stored.result.attempt for stored in done.stored] == [1, 2, 3]
    assert done.problems == [f"{WHERE[:-2]}, item 2 of 3: has no mlperf_log"]
    assert imported(entry).stored == []


def test_a_setting_that_points_differ_in_tells_their_trials_apart(imported):
    entry = Entry()
    entry.again("aaaaaaaaaaaaaaaa.0001")["choices"]["env"]["CK_TENSORRT_TILE"] = "4"
    first, second = imported(entry).stored
    assert first.result.spec.digest != second.result.spec.digest
    assert second.result.spec.backend.options == {"CK_LOADGEN_BUFFER_SIZE": "1024", "CK_TENSORRT_TILE": "4"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (PERFORMANCE, ("closed", "xavier", "tensorrt", "resnet50", "multistream", "performance", "")),
        (
            "mlperf.open.x.rpi4.tflite-v2.2.0-ruy.mobilenet-v1-0.25-128.offline.accuracy",
            ("open", "rpi4", "tflite-v2.2.0-ruy", "mobilenet-v1-0.25-128", "offline", "accuracy", ""),
        ),
        (
            "mlperf.open.x.firefly.armnn-v19.08.neon.mobilenet.singlestream.accuracy",
            ("open", "firefly", "armnn-v19.08.neon", "mobilenet", "singlestream", "accuracy", ""),
        ),
        (
            "mlperf.closed.x.xavier.tensorrt.resnet50.server.audit.TEST03",
            ("closed", "xavier", "tensorrt", "resnet50", "server", "audit", "TEST03"),
        ),
        ("mlperf.closed.x.xavier", ("",) * 7),
        ("", ("",) * 7),
        (".." * 100, ("",) * 7),
        ("mlperf." + "." * 100 + "server", ("",) * 7),
    ],
)
def test_names_are_taken_apart_at_the_right_dots(name, told):
    found = named_by(name)
    parts = (found.division, found.platform, found.library, found.benchmark, found.scenario, found.mode, found.rest)
    assert parts == told


def test_tags_say_what_the_name_of_an_entry_does_not():
    tags = ["division.open", "task.image-classification", "platform.rpi4", "inference_engine.tflite", "mlperf"]
    tags += ["inference_engine_version.v2.1.1", "inference_engine_backend.dummy", "workload.mobilenet-v2-1.4-224"]
    found = named_by("my-entry", [*tags, "scenario.singlestream", "mode.performance", 5])
    assert (found.division, found.platform, found.library) == ("open", "rpi4", "tflite")
    assert (found.library_version, found.benchmark) == ("v2.1.1", "mobilenet-v2-1.4-224")
    old = ["mlperf", "open", "image-classification", "rpi4", "tflite-v1.15", "mobilenet-v1-0.5-128", "singlestream"]
    found = named_by("0123456789abcdef", [*old, "accuracy", "using-opencv"])
    assert (found.benchmark, found.mode, found.rest) == ("mobilenet-v1-0.5-128", "accuracy", "using-opencv")


@pytest.mark.parametrize("name", ["modèle ²", "../x", "a/b", "\x1b[31m", "." * 50, "長" * 200, "-rf", "CON"])
def test_names_of_any_kind_make_folders_that_are_safe(outputs, imported, name):
    entry = Entry("entry")
    entry.others[".cm/info.json"] = json.dumps(
        {"data_name": f"mlperf.closed.image-classification.xavier.{name}.{name}.multistream.performance"}
    ).encode()
    done = imported(entry)
    assert done.problems == []
    (stored,) = done.stored
    assert stored.directory.parent.parent == outputs / "trials"
    assert not stored.directory.parent.name.startswith((".", "-"))
    assert stored.directory.parent.name.isprintable()
    assert len(stored.directory.parent.name.encode()) < 255


def test_a_link_in_a_folder_is_not_followed(tmp_path, outputs):
    secret = tmp_path / "secret.json"
    secret.write_bytes(example_files()[f"{PERFORMANCE}/ckp-09bee4642a11bd29.0001.json"])
    folder = write_folder(tmp_path / "repository", Entry().files()) / PERFORMANCE
    (folder / "ckp-aaaaaaaaaaaaaaaa.0001.json").symlink_to(secret)
    (folder.parent / "other").symlink_to(tmp_path)
    os.mkfifo(folder / "ckp-bbbbbbbbbbbbbbbb.0001.json")
    done = import_ck([folder.parent], outputs)
    assert len(done.stored) == 1
    assert [problem.rpartition(": ")[2] for problem in done.problems] == [
        "is a link or no plain file, which is not followed"
    ] * 2


def test_a_folder_without_entries_is_bad_input(tmp_path, outputs):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no entry of CK"):
        import_ck([tmp_path / "empty"], outputs)
    with pytest.raises(ConfigError, match="does not exist"):
        import_ck([tmp_path / "gone"], outputs)
    assert not outputs.exists()


def test_a_trace_and_mlperf_conf_come_along(imported):
    entry = Entry()
    entry.run["mlperf_log"]["trace"] = {"traceEvents": [{"name": "x"}]}
    entry.run["mlperf_conf"] |= {"mlperf.conf": ["# all\n", "*.x = 1"], "audit.config": ["y\n"], "../evil": []}
    (stored,) = imported(entry).stored
    paths = AttemptPaths(stored.directory)
    assert json.loads(paths.trace.read_text()) == {"traceEvents": [{"name": "x"}]}
    assert paths.mlperf_conf.read_text() == "# all\n*.x = 1"
    assert "mlperf_conf holds audit.config, which is kept in ck_point.json alone" in stored.result.notes


def test_a_test_of_accuracy_in_offline_has_one_query_of_all_samples(result_of):
    entry = Entry(ACCURACY, ACCURACY)
    entry.env.update({"CK_LOADGEN_SCENARIO": "Offline"})
    result = result_of(entry)
    assert (result.spec.scenario, result.spec.mode) == (Scenario.OFFLINE, TestMode.ACCURACY)
    assert result.spec.samples_per_query == 50000


def test_the_model_of_user_conf_names_an_entry_that_says_nothing(result_of):
    entry = Entry("entry")
    result = result_of(entry)
    assert (result.spec.model.name, result.imported.benchmark) == ("resnet50", "resnet50")
    assert (result.spec.backend.name, result.imported.division, result.imported.system) == ("unknown", "", "")
    assert "its library is not known: the entry's name does not say" in result.notes


def test_bytes_that_are_no_text_in_a_log_are_kept(imported):
    text = (LOGS / "v0.5_multistream_nul_bytes_summary.txt").read_bytes().decode()
    (stored,) = imported(Entry().summary(text)).stored
    assert AttemptPaths(stored.directory).summary.read_bytes() == text.encode()
    assert "parsed_summary" not in stored.result.why
