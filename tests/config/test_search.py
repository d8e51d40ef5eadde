"""Searches as users ask for them: what is checked before the first test, and the test that each N becomes."""

import dataclasses
import itertools
import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from sweep.config.hydra_app import run_hydra
from sweep.config.search import build_searches
from sweep.config.search_settings import asks_for_search
from sweep.errors import ConfigError
from sweep.search.base import Domain
from sweep.vocabulary import AbortRule, Precision, RunClass, TestMode

SIMULATED = ("backend=simulated", "dataset.count=64", "run=quick")


def searches(*arguments):
    """Return what a command line asks to search for; `search=max_streams` unless it says otherwise."""
    kind = () if any("search=" in argument for argument in arguments) else ("search=max_streams",)
    seen = []
    run_hydra((*kind, *arguments), lambda composition: seen.append(composition) or 0)
    assert asks_for_search(seen[0].points)
    return build_searches(seen[0].points)[0]


def search(*arguments):
    (only,) = searches(*arguments)
    return only


def test_accuracy_of_int8_is_held_against_fp32():
    found = search("model=digits", "precision=int8", "search.min_accuracy=0.99")
    own, reference = found.accuracy_point().spec, found.reference_point().spec
    assert (own.precision, own.model.number_format, own.model.calibration["dataset"]) == ("int8", "int8", "digits")
    assert (reference.precision, reference.model.number_format, reference.model.calibration) == ("fp32", "fp32", None)
    assert own.model.digest == found.plan.spec.model.digest != reference.model.digest


@pytest.fixture
def frozen(tmp_path):
    """Return the arguments for a model file that is frozen at batch 4."""
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 3]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", shapes[:1], shapes[1:])
    path = tmp_path / "frozen.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return "model=onnx", f"model.path={path}"


def test_a_plan_says_what_is_searched_for():
    found = search(*SIMULATED, "target_latency_ms=20", "search.max=100", "search.confidence=0.9")
    question = found.plan.question
    assert question.domain == Domain(1, 100)
    assert (question.target_latency_ns, question.percentile, question.confidence) == (20_000_000, 99, 0.9)
    assert question.full_query_count == 200
    assert found.plan.spec == found.point(1, None).spec
    assert (found.plan.algorithm, found.trials, found.seed) == ("boundary", 30, 0)
    assert dataclasses.astuple(found.budget) == (None, None, None)


def test_a_test_of_a_search_is_the_test_that_its_user_could_have_asked_for():
    """Its record is then found by a grid, and a grid's by a search."""
    from sweep.config.build import build

    found = search(*SIMULATED, "engine_batch=8")
    for n in (1, 5, 8, 300):
        seen = []
        run_hydra((*SIMULATED, "engine_batch=8", f"batch={n}"), lambda one, seen=seen: seen.append(one) or 0)
        ((point,), _) = build(seen[0].points)
        assert found.point(n, None).spec == point.spec


def test_each_n_is_checked(monkeypatch):
    monkeypatch.setattr("sweep.config.point.available_memory_bytes", lambda: 1000)
    found = search(*SIMULATED)
    with pytest.raises(ConfigError, match="batch=5000: its samples need"):
        found.point(5000, None)


def test_what_was_chosen_for_the_user_is_said_once():
    found = search("model=resnet", "dataset.count=8", "engine_batch=8")
    assert any("synthetic weights" in note for note in found.notes)
    assert not any("engine_batch" in note for note in found.notes)
    assert found.point(3, None).notes == ()


@pytest.mark.parametrize("run", ["quick", "screening", "official"])
@pytest.mark.parametrize("rules", [("rules=v0.5",), ("rules=current", "target_latency_ms=9")])
def test_a_short_test_is_a_custom_run_of_so_many_queries(run, rules):
    if run == "official" and rules[0] == "rules=current":
        pytest.skip("there is no such search")
    found = search("model=digits", *rules, f"run={run}")
    assert found.plan.spec.run.run_class is RunClass(run)
    spec = found.point(7, 64).spec
    assert dataclasses.astuple(spec.run) == (RunClass.CUSTOM, 64, 64, 0, 0)
    assert spec.abort is AbortRule.NEVER  # one that stops at its first query over the bound would mislead
    full = found.point(7, None).spec
    assert dataclasses.replace(spec, run=full.run, abort=full.abort) == full


def test_accuracy_is_that_of_the_same_engine_and_the_reference_is_fp32_as_usual():
    found = search("backend.graph_optimization=basic", "engine_batch=64", "search.min_accuracy=0.99")
    own, reference = found.accuracy_point().spec, found.reference_point().spec
    assert own.mode is reference.mode is TestMode.ACCURACY
    assert (own.engine_batch, own.backend.options["graph_optimization"]) == (64, "basic")
    assert reference.precision is Precision.FP32
    assert (reference.samples_per_query, reference.backend.options["graph_optimization"]) == (32, "all")
    assert search("search.max=5", "search.min_accuracy=1").accuracy_point().spec.samples_per_query == 5


# Frozen batches


@pytest.mark.parametrize(
    ("keys", "domain"),
    [
        ((), Domain(4, 8192, 4)),
        (("search.max=30",), Domain(4, 28, 4)),
        (("search.min=5", "search.max=30", "search.step=8"), Domain(8, 24, 8)),
        (("search.min=4", "search.max=7"), Domain(4, 4, 4)),
    ],
    ids=str,
)
def test_a_frozen_model_is_asked_for_multiples_of_its_batch(frozen, keys, domain):
    found = search(*frozen, *keys)
    assert found.plan.question.domain == domain
    assert found.point(domain.high, 64).spec.engine_batch == 4
    assert found.point(domain.low, None).notes == ()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("search.step=3",), "search.step=3: the model file is frozen at batch 4; use a multiple of 4"),
        (("search.min=5", "search.max=7"), "search.max=7: .* set it to 8 or more"),
        (("engine_batch=8",), "engine_batch=8: the model file is frozen at batch 4; set engine_batch=4"),
    ],
    ids=str,
)
def test_what_a_frozen_model_cannot_do_is_said_before_anything_runs(frozen, keys, words):
    with pytest.raises(ConfigError, match=words) as caught:
        search(*frozen, *keys)
    assert len(caught.value.problems) == 1


def test_the_domain_ends_at_a_member():
    assert search("search.min=3", "search.max=20", "search.step=5").plan.question.domain == Domain(3, 18, 5)


# Joint searches


def test_a_joint_search_tries_what_the_backend_offers_and_nobody_has_set():
    found = search("search=joint", "backend.threads=1", "search.max=20")
    assert dict(found.space) == {
        "engine_batch": (None, 8),
        "backend.graph_optimization": ("all", "extended", "basic"),
    }
    assert found.settings == 12
    assert search("search=max_streams").space == ()


def test_settings_are_tried_under_one_study():
    joint = search("search=joint", "search.space={backend.threads:[1,2],engine_batch:[null,8,8]}")
    assert dict(joint.space) == {"backend.threads": (1, 2), "engine_batch": (None, 8)}
    one = joint.with_setting({"backend.threads": 1, "engine_batch": 8})
    assert (one.plan.name, one.identity) == (joint.plan.name, joint.identity)
    assert one.plan.label == {"backend.threads": "1", "engine_batch": "8"}
    spec = one.point(20, None).spec
    assert (spec.engine_batch, spec.backend.options["threads"]) == (8, 1)
    assert one.plan.spec == one.point(1, None).spec
    assert joint.plan.spec.backend == joint.point(1, None).spec.backend
    with pytest.raises(ConfigError, match="backend.threads=0"):
        joint.with_setting({"backend.threads": 0})


def test_a_frozen_model_has_one_engine_batch(frozen):
    assert "engine_batch" not in dict(search("search=joint", *frozen).space)
    with pytest.raises(ConfigError, match="engine_batch=8: the model file is frozen at batch 4"):
        search("search=joint", *frozen, "search.space={engine_batch:[4,8]}")


# Studies


def test_the_name_of_a_study_says_what_it_is_of():
    name = search("model=digits").plan.name
    assert name.startswith("max_streams-digits-fp32-onnxruntime-")
    assert search("model=digits").plan.name == name
    assert search("search=joint").plan.name.startswith("joint-digits-")


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ("search.max=100", {"max"}),
        ("search.algorithm=grid", {"algorithm"}),
        ("search.confidence=0.9", {"confidence"}),
        ("search.seed=1", {"seed"}),
        ("backend.threads=1000", {"backend.threads"}),
        ("engine_batch=8", {"engine_batch"}),
        ("target_latency_ms=9", {"target_latency_ms"}),
        ("run=quick", {"run", "min_query_count"}),
        ("dataset.count=100", {"dataset_digest", "dataset_count", "performance_sample_count"}),
        ("search.min_accuracy=0.9", {"min_accuracy"}),
    ],
)
def test_another_question_is_another_study_and_what_differs_has_a_name(change, keys):
    one, other = search("model=digits"), search("model=digits", change)
    assert {key for key, value in other.identity.items() if one.identity[key] != value} == keys
    assert one.plan.name != other.plan.name


def test_how_far_a_search_goes_makes_no_other_study():
    names = {
        search(*keys).plan.name
        for keys in ((), ("search.budget.tests=3",), ("search.storage=sqlite:///x.db",), ("search.trials=9",))
    }
    assert len(names) == 1
    drawn = search("search.algorithm=tpe"), search("search.algorithm=tpe", "search.trials=9")
    assert drawn[0].plan.name != drawn[1].plan.name


def test_another_environment_is_another_study(monkeypatch):
    one = search("model=digits")
    monkeypatch.setattr("sweep.config.search.fingerprint_digest", lambda _: "another")
    assert search("model=digits").plan.name != one.plan.name


def test_an_identity_is_flat_plain_data():
    identity = search("search=joint").identity
    assert json.loads(json.dumps(identity)) == identity
    assert all(value is None or isinstance(value, (str, int, float, bool)) for value in identity.values())


def test_a_given_name_is_kept_and_made_distinct_in_a_grid():
    assert search("study=mine").plan.name == "mine"
    grid = searches("study=mine", "-m", "engine_batch=8,16", "search.space={precision:[fp32]},null", "search=joint")
    assert [one.plan.name for one in grid] == [
        *("mine-8-precision-fp32", "mine-8-null", "mine-16-precision-fp32", "mine-16-null"),
    ]
    assert [one.plan.label["engine_batch"] for one in grid] == ["8", "8", "16", "16"]
    assert [one.plan.name for one in searches("-m", "study=a,b")] == ["a", "b"]
    alike = [one.plan.name for one in searches("study=mine", "-m", "engine_batch=8,8")]
    assert alike == ["mine-8", "mine-8-2"]


# Named sweeps


def composed(*arguments):
    seen = []
    run_hydra(arguments, lambda composition: seen.append(composition) or 0)
    return seen[0]


GRIDS = {
    "resnet_fp32": ("resnet", "fp32", [30, 31, 32]),
    "resnet_int8": ("resnet", "int8", [15]),
    "mobilenet_int8": ("mobilenet", "int8", [200, 210, 220, 230, 240, 250]),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(
    "line", [["+sweeps={}"], ["sweeps={}"], ["+sweeps={}", "-m"], ["-m", "sweeps={}"]], ids=" ".join
)
def test_a_named_sweep_is_a_grid_with_or_without_m(name, line):
    composition = composed(*(word.format(name) for word in line))
    model, precision, batches = GRIDS[name]
    assert composition.is_grid
    assert [point.config["batch"] for point in composition.points] == batches
    assert {point.config["model"]["name"] for point in composition.points} == {model}
    assert {point.config["precision"] for point in composition.points} == {precision}
    assert [point.label for point in composition.points if len(batches) > 1] == [
        {"batch": str(batch)} for batch in batches if len(batches) > 1
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet_int8", "mobilenet_int8"])
def test_a_named_sweep_in_int8_can_be_built_on_a_cpu(name):
    from sweep.config.build import build

    points, _ = build(composed(f"sweeps={name}", "calibration.count=8").points)
    assert {point.spec.model.number_format for point in points} == {"int8"}
    (found,) = searches(f"sweeps=max_streams_{name}", "calibration.count=8")
    assert found.plan.spec.model == points[0].spec.model


def test_the_command_line_wins_over_a_named_sweep():
    points = composed("sweeps=resnet_fp32", "batch=8", "precision=fp16", "model=digits").points
    assert [(p.config["batch"], p.config["precision"], p.config["model"]["name"]) for p in points] == [
        (8, "fp16", "digits")
    ]
    assert len(composed("sweeps=resnet_fp32", "-m", "batch=8,9", "engine_batch=4,8").points) == 4


@pytest.mark.parametrize("name", [f"max_streams_{grid}" for grid in GRIDS])
def test_a_named_search_is_one_search(name):
    composition = composed(f"+sweeps={name}")
    assert asks_for_search(composition.points)
    assert not composition.is_grid
    assert name == "max_streams_{model[name]}_{precision}".format(**composition.points[0].config)
    assert len(composed(f"sweeps={name}", "-m", "engine_batch=8,32").points) == 2


NIGHTS = {
    "nightly": ("auto", ["digits"], ["fp32", "int8"]),
    "nightly_accuracy": ("auto", ["digits"], ["fp32", "int8"]),
    "nightly_gpu": ("tensorrt", ["resnet", "mobilenet"], ["fp32", "fp16", "int8"]),
}


@pytest.mark.parametrize("name", NIGHTS)
def test_a_night_measures_each_model_in_each_precision(name):
    points = composed(f"sweeps={name}").points
    backend, models, precisions = NIGHTS[name]
    assert {point.config["backend"]["name"] for point in points} == {backend}
    assert [(point.config["model"]["name"], point.config["precision"]) for point in points] == list(
        itertools.product(models, precisions)
    )
    assert asks_for_search(points) == (name != "nightly_accuracy")


def test_the_searches_of_a_night_end_within_ten_minutes_on_any_machine():
    found = searches("search=max_streams", "sweeps=nightly")
    assert sum(search.budget.seconds for search in found) <= 500


def test_the_accuracy_of_a_night_is_that_of_real_weights_on_held_out_samples():
    from sweep.config.build import build

    points, _ = build(composed("sweeps=nightly_accuracy").points)
    assert {(point.spec.mode, point.spec.dataset.name, point.spec.dataset.count) for point in points} == {
        (TestMode.ACCURACY, "digits", 500)
    }


def test_every_named_sweep_is_tested_here():
    folder = Path(__file__).parents[2] / "sweeps"
    named = {*GRIDS, *(f"max_streams_{name}" for name in GRIDS), *NIGHTS}
    assert {path.stem for path in folder.glob("*.yaml")} == named


def test_a_named_sweep_of_the_users_own(tmp_path):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "own.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /backend: simulated\n"
        "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      batch: '1,2'\n"
    )
    points = composed("--config-dir", str(tmp_path), "+sweeps=own").points
    assert [point.config["backend"]["name"] for point in points] == ["simulated", "simulated"]
