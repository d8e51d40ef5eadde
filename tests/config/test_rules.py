"""What may be called official: sweep's own bounds, whatever a model is called."""

from dataclasses import replace

import pytest

from sweep.config.fields import Fields
from sweep.config.files import choices, load_choice
from sweep.config.rules import check_official, models_as_shipped, read_rules, read_run
from sweep.trial.spec import RulesSpec
from sweep.vocabulary import RunClass, Weights


def own(model, **changes):
    """Return the configuration of one of sweep's own models, changed."""
    return {**load_choice("model", model), **changes}


STRANGER = {"name": "theirs", "target_latency_ms": 99, "performance_sample_count": 7}


@pytest.mark.parametrize(
    ("model", "choice", "names"),
    [
        (own("resnet"), "resnet", ["resnet"]),
        (own("resnet", name="x", architecture=None, reference_url=None), "resnet", ["resnet"]),
        (own("resnet", name="x", reference_url=None), "theirs", ["resnet"]),
        (own("resnet", name="x", architecture=None), "theirs", ["resnet"]),
        ({**STRANGER, "name": "resnet"}, "theirs", ["resnet"]),
        ({**STRANGER, "name": "resnet", "path": "resnet.onnx"}, "onnx", ["onnx", "resnet"]),
        ({**STRANGER, "name": "mine", "path": "mine.onnx"}, "onnx", ["onnx"]),
        (own("digits"), "digits", ["digits"]),
        (STRANGER, "theirs", ["theirs"]),
    ],
)
def test_a_model_is_known_by_any_of_its_marks(model, choice, names):
    assert sorted(file["name"] for file in models_as_shipped(model, choice)) == names


@pytest.fixture
def spec(simulated):
    return simulated()


def spec_of(trial_spec, rules, run_class=RunClass.OFFICIAL, **changes):
    """Return a spec with these rules."""
    return replace(trial_spec, rules=rules, run=replace(trial_spec.run, run_class=run_class), **changes)


def rules_of(name, bound_ns):
    """Return what a test under rules of sweep's own has in its record."""
    file = load_choice("rules", name)
    checks = dict.fromkeys([*file["checks"], *([] if bound_ns is None else ["performance_constraint"])])
    return RulesSpec(file["edition"], tuple(checks), bound_ns, file["percentile"])


@pytest.mark.parametrize("name", choices("rules"))
def test_rules_of_sweeps_own_are_known_as_such(spec, name):
    """The code holds what the files say: a file that changes alone would make custom rules of sweep's own."""
    for bound_ns in (
        50_000_000,
        *([None] if "performance_constraint" not in load_choice("rules", name)["checks"] else []),
    ):
        one = spec_of(spec, rules_of(name, bound_ns))
        assert (one.run_class, one.rules_label) == (RunClass.OFFICIAL, name)


LOOSER = {
    "no checks": {"checks": ("performance_constraint", "no_errors")},
    "one check less": {"checks": ("min_duration", "performance_constraint", "no_errors")},
    "one check more": {
        "checks": ("loadgen_result", "min_duration", "min_queries", "performance_constraint", "no_errors")
    },
    "another percentile": {"percentile": 90.0},
    "a stricter percentile": {"percentile": 99.9},
    "another case": {"edition": "V0.5"},
    "another edition's name": {"edition": "current"},
    "a round's name": {"edition": "v1.0"},
}


@pytest.mark.parametrize("case", LOOSER)
@pytest.mark.parametrize("run_class", RunClass)
def test_other_rules_are_custom_whatever_name_they_have(spec, case, run_class):
    one = spec_of(spec, replace(rules_of("v0.5", 50_000_000), **LOOSER[case]), run_class)
    assert one.run_class is RunClass.CUSTOM
    assert one.rules_label == f"custom:{one.rules.edition}"


def test_an_imported_test_has_the_rules_of_its_round(spec):
    model = replace(spec.model, weights=Weights.UNKNOWN)
    one = spec_of(spec, RulesSpec("v0.7", ("min_queries", "no_errors"), None, 90.0), model=model)
    assert (one.run_class, one.rules_label) == (RunClass.OFFICIAL, "v0.7")


def refused(shipped, target_ms, held=1024, backend_options=None):
    """Return the fields that an official run with these bounds is refused for."""
    values = {
        "rules": load_choice("rules", "v0.5"),
        "run": "official",
        "model": {"target_latency_ms": 50},
        "target_latency_ms": target_ms,
    }
    fields = Fields(values)
    rules, run = read_rules(fields), read_run(fields)
    assert not fields.problems
    check_official(fields, shipped, rules, run, 8, held, backend_options or {})
    return [problem.field for problem in fields.problems]


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"samples": "host", "engine": None}, []),
        ({"samples": "device"}, ["backend.samples"]),
        ({"engine": "mine.engine"}, ["backend.engine"]),
    ],
)
def test_an_official_run_pays_for_the_way_to_the_gpu_and_runs_its_own_model(options, fields):
    assert refused([{"target_latency_ms": 50}], 50, backend_options=options) == fields


@pytest.mark.parametrize(
    ("bounds", "target_ms", "held", "fields"),
    [
        ([(50, 1024)], 50, 1024, []),
        ([(50, 1024)], 10, 2000, []),
        ([(50, 1024)], 50.001, 1024, ["target_latency_ms"]),
        ([(50, 1024)], 50, 1023, ["performance_sample_count"]),
        ([(50, 256), (20, 1024)], 30, 1024, ["target_latency_ms"]),
        ([(50, 256), (20, 1024)], 20, 300, ["performance_sample_count"]),
        ([(99, None)], 99, 7, []),
        ([(None, None)], 5000, 1, []),
    ],
)
def test_the_strictest_of_its_bounds_holds(bounds, target_ms, held, fields):
    shipped = [{"target_latency_ms": bound, "performance_sample_count": count} for bound, count in bounds]
    assert refused(shipped, target_ms, held) == fields
