"""Which samples calibrate an int8 model: never those it is scored on, and the same whatever the test uses."""

import dataclasses

import numpy as np
import onnx
import pytest

from sweep.config.build import build
from sweep.config.calibration import CalibrationSettings, calibration_for
from sweep.config.hydra_app import run_hydra
from sweep.datasets import Dataset, DatasetConfig, open_dataset, register_dataset
from sweep.datasets.digits import training_digits
from sweep.errors import ConfigError
from sweep.models import CalibrationMethod, TensorSpec
from sweep.paths import cache_dir
from sweep.submission.reproduce import command_of

DIGITS = (TensorSpec("samples", "uint8", (8, 8, 1)),)
IMAGES = (TensorSpec("samples", "uint8", (224, 224, 3)),)
CALIBRATED = CalibrationSettings()


def point(*arguments):
    seen = []
    run_hydra(arguments, lambda composition: seen.append(composition) or 0)
    (made,), _ = build(seen[0].points)
    return made


def samples(calibration, batch=100):
    return np.concatenate([arrays["samples"] for arrays in calibration.read(batch)])


def test_digits_are_calibrated_on_those_the_network_was_trained_with():
    """On the held-out ones its accuracy would not be honest."""
    made = calibration_for(CALIBRATED, DatasetConfig(), DIGITS)
    assert (made.dataset, made.count, made.method) == ("digits", 512, CalibrationMethod.PERCENTILE)
    assert (samples(made) == training_digits()[0][:512]).all()
    held_out = open_dataset(DatasetConfig(), DIGITS, cache_dir())
    assert made.digest != held_out.digest


@pytest.mark.parametrize("config", [DatasetConfig("digits", count=9), DatasetConfig("synthetic", count=9, seed=5)])
def test_the_samples_of_the_test_do_not_matter(config):
    """One model of two digests would be measured twice."""
    assert calibration_for(CALIBRATED, config, DIGITS) == calibration_for(CALIBRATED, DatasetConfig(), DIGITS)


def test_without_images_generated_samples_stand_in():
    made = calibration_for(CALIBRATED, DatasetConfig(seed=5, interpolation="area"), IMAGES)
    assert (made.dataset, made.count) == ("synthetic", 64)
    assert made == calibration_for(CALIBRATED, DatasetConfig("synthetic"), IMAGES)


@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_samples_come_in_batches(batch):
    made = calibration_for(CalibrationSettings(count=20), DatasetConfig(), DIGITS)
    sizes = [len(arrays["samples"]) for arrays in made.read(batch)]
    assert sum(sizes) == 20
    assert max(sizes) == min(batch, 20)
    assert (samples(made, batch) == training_digits()[0][:20]).all()


class Few(Dataset):
    def __init__(self, inputs):
        super().__init__(name="few", digest="sha256:few", count=7, inputs=inputs)

    def _read(self, indices, out):
        raise AssertionError


def test_a_dataset_that_is_too_small_is_said_to_be():
    register_dataset("few", _open_few)
    wanted = r"^precision=int8: dataset few has 7 samples, and a calibration needs 8 or more; use another dataset"
    with pytest.raises(ConfigError, match=wanted):
        calibration_for(CALIBRATED, DatasetConfig("few"), DIGITS)


def _open_few(config, inputs, cache):
    return Few(inputs)


def test_the_record_says_what_a_model_was_calibrated_with():
    spec = point("model=digits", "precision=int8", "calibration.count=32", "calibration.method=minmax").spec
    assert {key: spec.model.calibration[key] for key in ("dataset", "count", "method")} == {
        "dataset": "digits",
        "count": 32,
        "method": "minmax",
    }
    assert spec.model.calibration["digest"].startswith("sha256:")
    assert spec.to_json()["model"]["calibration"] == dict(spec.model.calibration)


def test_fp32_has_none():
    assert point("model=digits").spec.model.calibration is None


def test_another_calibration_is_another_trial():
    first, second = (point("model=digits", "precision=int8", f"calibration.count={n}").spec for n in (32, 64))
    assert first.digest != second.digest
    same = dataclasses.replace(second, model=first.model)
    assert same == first  # and nothing else changes with it


def test_excluded_nodes_are_part_of_what_a_model_is_and_their_absence_leaves_no_trace():
    plain = point("model=digits", "precision=int8")
    assert "exclude" not in plain.spec.model.calibration
    names = [node.name for node in onnx.load(plain.files.model_path).graph.node if node.op_type == "Conv"][:2]
    one, other = (
        point("model=digits", "precision=int8", f"int8.exclude=[{a},{b}]").spec for a, b in (names, names[::-1])
    )
    assert one == other
    assert one.model.calibration["exclude"] == sorted(names)
    assert one.digest != plain.spec.digest
    assert f"int8.exclude=[{','.join(sorted(names))}]" in command_of(one)
