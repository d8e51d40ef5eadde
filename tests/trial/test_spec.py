from dataclasses import replace

import pytest

from sweep.trial.spec import RulesSpec, TrialSpec, percentile_index
from sweep.vocabulary import AbortRule, Precision, TestMode


def test_spec_survives_json(simulated):
    spec = simulated(batch=7, noise=0.1)
    assert TrialSpec.from_json(spec.to_json()) == spec


def test_a_calibration_survives_json_and_its_absence_leaves_no_trace(simulated):
    """Records of fp32 were made before there was one, and must be found."""
    spec = simulated()
    assert "calibration" not in spec.to_json()["model"]
    made = {"dataset": "digits", "digest": "sha256:x", "count": 64, "method": "minmax"}
    calibrated = replace(spec, model=replace(spec.model, calibration=made))
    assert TrialSpec.from_json(calibrated.to_json()) == calibrated
    assert calibrated.digest != spec.digest


def test_kernels_survive_json_and_their_absence_leaves_no_trace(simulated):
    """Records of int8 that slower kernels computed must not be taken for those of faster ones; all others be found."""
    spec = simulated()
    assert "kernels" not in spec.to_json()["backend"]
    other = replace(spec, backend=replace(spec.backend, kernels="vnni"))
    assert TrialSpec.from_json(other.to_json()) == other
    assert other.digest != spec.digest


def test_seeds_of_a_round_survive_json_and_their_absence_leaves_no_trace(simulated):
    """Records from before there was a choice of seeds must be found, and accuracy mode's answers depend on none."""
    spec = simulated()
    assert "seeds" not in spec.to_json()
    drawn = replace(spec, seeds="v5.1")
    assert TrialSpec.from_json(drawn.to_json()) == drawn
    assert drawn.digest != spec.digest
    accuracy = replace(spec, mode=TestMode.ACCURACY)
    assert replace(accuracy, seeds="v5.1").digest == accuracy.digest


def test_digest_is_stable_across_processes_and_versions(simulated):
    """A digest that moves makes every stored trial unfindable: change it only with the schema version."""
    assert simulated().digest == simulated().digest
    assert len(simulated().digest) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"samples_per_query": 3},
        {"engine_batch": 1},
        {"precision": Precision.INT8},
        {"abort": AbortRule.NEVER},
    ],
)
def test_digest_changes_with_everything_that_can_change_the_result(simulated, change):
    spec = simulated()
    assert replace(spec, **change).digest != spec.digest


def test_digest_changes_with_nested_parts(simulated):
    spec = simulated()
    others = [
        replace(spec, model=replace(spec.model, digest="sha256:other")),
        replace(spec, dataset=replace(spec.dataset, digest="sha256:other")),
        replace(spec, rules=replace(spec.rules, target_latency_ns=1)),
        replace(spec, run=replace(spec.run, min_query_count=51)),
        simulated(seed=1),
    ]
    assert len({spec.digest, *(other.digest for other in others)}) == 6


def test_accuracy_mode_has_no_bound_and_no_length(simulated):
    """It runs each sample once: another bound is no reason to run 50,000 images again."""
    spec = replace(simulated(), mode=TestMode.ACCURACY)
    assert replace(spec, run=replace(spec.run, min_query_count=7), abort=AbortRule.NEVER).digest == spec.digest
    assert replace(spec, samples_per_query=9).digest != spec.digest
    assert replace(spec, mode=TestMode.PERFORMANCE).digest != spec.digest


def test_percentile_rule_allows_14_of_1440(simulated):
    """LoadGen reads sorted[floor(n * 0.99)]: 14 of 1440 queries may be over the bound, a 15th makes it INVALID."""
    assert simulated().over_latency_allowed(1440) == 14
    assert simulated().over_latency_allowed(270_336) == 2703
    assert simulated().over_latency_allowed(100) == 0
    assert simulated().over_latency_allowed(1) == 0


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 662, 1440, 27033, 270336])
def test_allowed_agrees_with_the_percentile_it_comes_from(simulated, count):
    """With exactly the allowed number over, the percentile is within; with one more, it is over."""
    allowed = simulated().over_latency_allowed(count)
    within = sorted([0] * (count - allowed) + [1] * allowed)
    over = sorted([0] * (count - allowed - 1) + [1] * (allowed + 1))
    assert within[percentile_index(count, 99.0)] == 0
    assert over[percentile_index(count, 99.0)] == 1


@pytest.mark.parametrize(
    ("checks", "target_ns", "words"),
    [
        ((), None, "no_errors"),
        (("performance_constraint",), 50_000_000, "no_errors"),
        (("no_errors",), 50_000_000, "performance_constraint"),
        (("no_errors", "performance_constraint"), None, "performance_constraint"),
    ],
)
def test_rules_cannot_let_a_bound_or_an_error_pass(checks, target_ns, words):
    with pytest.raises(ValueError, match=words):
        RulesSpec("mine", checks, target_ns, 99.0)
