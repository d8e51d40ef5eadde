"""What users type under `model.*`, right and wrong, and the configurations that ship."""

import dataclasses

import pytest
import yaml

from sweep.errors import ConfigError
from sweep.models import ModelConfig, model_config
from sweep.models.config import OTHER_KEYS
from sweep.paths import conf_dir

NAMES = ("digits", "mobilenet", "onnx", "resnet")


def raw(name):
    return yaml.safe_load((conf_dir() / "model" / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_file_holds_every_key_and_no_other(name):
    """Hydra can override only what is there."""
    fields = {field.name for field in dataclasses.fields(ModelConfig)}
    assert set(raw(name)) == fields | OTHER_KEYS
    config = model_config(raw(name))
    assert config.name == name
    assert config.weights == "auto"
    hash(config)  # resolved models are remembered by it


def test_numbers_are_those_of_the_reference():
    resnet, mobilenet = model_config(raw("resnet")), model_config(raw("mobilenet"))
    assert resnet.mean == (123.68, 116.78, 103.94)
    assert resnet.scale == (1, 1, 1)
    assert resnet.sample_shape == mobilenet.sample_shape == (224, 224, 3)
    assert mobilenet.scale == (1 / 127.5,) * 3
    assert [raw(name)["reference_top1"] for name in ("resnet", "mobilenet")] == [76.456, 71.676]
    assert [raw(name)["interpolation"] for name in ("resnet", "mobilenet")] == ["area", "linear"]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("weights", "referense", r"model.weights=referense: unknown weights; did you mean reference\?"),
        ("weights", "shipped", "model.weights=shipped: model resnet has no such weights; .*auto, reference, synthetic"),
        ("weights", None, "model.weights: must be a text"),
        ("weights", ["auto"], "must be a text"),
        ("path", 5, "model.path=5: must be a text; quote it"),
        ("path", " ", "must be a text"),
        ("name", "a/b", "must be made of letters"),
        ("name", True, "must be a text"),
        ("reference_md5", "xyz", "32 hexadecimal digits"),
        ("reference_md5", 7, "32 hexadecimal digits"),
        ("seed", -1, "whole number from 0"),
        ("seed", 1.5, "whole number from 0"),
        ("seed", "one", "whole number from 0"),
        ("seed", True, "whole number from 0"),
        ("seed", float("nan"), "whole number from 0"),
        ("seed", float("inf"), "whole number from 0"),
        ("class_offset", None, "whole number from 0"),
        ("mean", 5, "list of numbers"),
        ("mean", "123", "list of numbers"),
        ("mean", [1, "a", 3], "list of numbers"),
        ("mean", [1, float("inf"), 3], "list of numbers"),
        ("mean", [1, 2], r"model.mean=\[1.0, 2.0\]: has 2 values, the image has 3 channels"),
        ("scale", [], "has 0 values"),
        ("sample_shape", [224, 224], "is not the shape of an image"),
        ("sample_shape", [224, 0, 3], "whole numbers from 1"),
        ("scores_name", None, "model.scores_name: is not set"),
        ("mean", [1, 10**400, 3], "list of numbers"),
        ("reference_top1", 101, "must be a percentage"),
        ("dataset", 3, "model.dataset=3: must be a name"),
        ("interpolation", ["area"], "must be a name"),
        ("sed", 3, r"model.sed=3: unknown key; did you mean seed\?"),
    ],
)
def test_wrong_values_are_named(key, value, reason):
    with pytest.raises(ConfigError, match=reason):
        model_config({**raw("resnet"), key: value})


def test_every_problem_is_collected():
    with pytest.raises(ConfigError) as caught:
        model_config({**raw("resnet"), "seed": "x", "mean": "y", "extra": 1})
    assert {problem.field for problem in caught.value.problems} == {"model.seed", "model.mean", "model.extra"}


@pytest.mark.parametrize("key", sorted(OTHER_KEYS))
def test_what_other_layers_read_may_be_null_or_absent(key):
    assert model_config({**raw("resnet"), key: None}) == model_config(raw("resnet"))
    assert model_config({k: value for k, value in raw("resnet").items() if k != key}) == model_config(raw("resnet"))


@pytest.mark.parametrize(("given", "shown"), [(None, "null"), ("resnet", "resnet"), ([1], "[1]")])
def test_what_is_no_configuration_is_named(given, shown):
    """`model=null` composes to nothing at all."""
    with pytest.raises(ConfigError) as caught:
        model_config(given)
    assert str(caught.value) == f"model={shown}: is not a configuration; choose one with model=NAME"


def test_a_name_is_needed():
    with pytest.raises(ConfigError, match=r"model.name: is not set"):
        model_config({})


def test_whole_floats_and_tuples_are_taken_as_meant():
    config = model_config({**raw("resnet"), "seed": 1e3, "mean": (1, 2, 3), "reference_md5": "AB" * 16})
    assert (config.seed, config.mean, config.reference_md5) == (1000, (1.0, 2.0, 3.0), "ab" * 16)
