import functools
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from sweep.datasets import DatasetConfig, dataset_config, dataset_names, open_dataset, register_dataset, registry
from sweep.datasets.imagenet_prepare import prepare_imagenet
from sweep.datasets.synthetic import SyntheticDataset
from sweep.errors import ConfigError
from sweep.models.base import TensorSpec

PICTURE = (TensorSpec("input", "uint8", (224, 224, 3)),)
DIGIT = (TensorSpec("image", "uint8", (8, 8, 1)),)


def test_importing_datasets_is_light():
    """`sweep --help` and every worker start import this."""
    heavy = ("cv2", "onnx", "onnxruntime", "hydra", "optuna", "pandas", "mlperf_loadgen", "multiprocessing.pool")
    code = f"import sweep.datasets, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_lists_the_known(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset\.name=imagnet.*did you mean imagenet.*digits"):
        open_dataset(DatasetConfig("imagnet"), PICTURE, tmp_path)


def test_auto_takes_digits_for_a_model_of_digits(tmp_path):
    dataset = open_dataset(DatasetConfig(), DIGIT, tmp_path)
    assert (dataset.name, dataset.count) == ("digits", 500)
    assert dataset.why


def test_auto_generates_images_where_none_are_prepared_and_says_how_to(tmp_path):
    dataset = open_dataset(DatasetConfig(), PICTURE, tmp_path)
    assert dataset.name == "synthetic"
    assert str(tmp_path) in dataset.why
    assert "sweep dataset imagenet" in dataset.why


def test_auto_generates_samples_for_any_other_model(tmp_path):
    inputs = (TensorSpec("tokens", "int64", (128,)), TensorSpec("mask", "int64", (128,)))
    assert open_dataset(DatasetConfig(), inputs, tmp_path).name == "synthetic"


def test_auto_takes_prepared_images_of_the_right_interpolation(tmp_path, image_list):
    prepare_imagenet(*image_list(2), tmp_path / "datasets" / "imagenet", interpolations=["area"], workers=1)
    assert open_dataset(DatasetConfig(), PICTURE, tmp_path).name == "imagenet"
    assert open_dataset(DatasetConfig(interpolation="area"), PICTURE, tmp_path).name == "imagenet"
    linear = open_dataset(DatasetConfig(interpolation="linear"), PICTURE, tmp_path)
    assert linear.name == "synthetic"
    assert "linear" in linear.why


def test_a_cache_folder_that_cannot_be_looked_into_holds_no_images(tmp_path):
    assert open_dataset(DatasetConfig(), PICTURE, tmp_path / ("x" * 300)).name == "synthetic"


def test_auto_does_not_pass_over_a_folder_that_the_user_named(tmp_path):
    """A mistyped path must not quietly become generated samples."""
    with pytest.raises(ConfigError, match="nowhere"):
        open_dataset(DatasetConfig(path=str(tmp_path / "nowhere")), PICTURE, tmp_path)


@pytest.mark.parametrize("name", ["auto", "digits"])
def test_settings_that_digits_do_not_read_are_refused(tmp_path, name):
    """A sweep over seeds that change nothing would look like a result."""
    config = DatasetConfig(name, path="/somewhere", seed=3, interpolation="area")
    with pytest.raises(ConfigError) as caught:
        open_dataset(config, DIGIT, tmp_path)
    lines = [str(problem) for problem in caught.value.problems]
    assert [line.partition(":")[0] for line in lines] == [
        "dataset.path=/somewhere",
        "dataset.seed=3",
        "dataset.interpolation=area",
    ]
    assert "nothing reads it: digits are not generated; remove it, or set dataset=synthetic" in lines[1]


def test_a_models_own_interpolation_is_no_problem_of_the_user(tmp_path):
    with pytest.raises(ConfigError) as caught:
        open_dataset(DatasetConfig("digits", interpolation="area"), PICTURE, tmp_path)
    assert [problem.field for problem in caught.value.problems] == ["dataset"]


@pytest.mark.parametrize("name", ["auto", "imagenet"])
def test_a_seed_of_prepared_images_is_refused(tmp_path, image_list, name):
    prepare_imagenet(*image_list(2), tmp_path / "datasets" / "imagenet", interpolations=["area"], workers=1)
    with pytest.raises(
        ConfigError, match=r"^dataset\.seed=3: nothing reads it: prepared images are not generated; .*$"
    ):
        open_dataset(DatasetConfig(name, seed=3), PICTURE, tmp_path)


def test_a_third_party_registers_as_the_built_ins_do(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_openers", dict(registry._openers))

    def opener(config: DatasetConfig, inputs: tuple[TensorSpec, ...], cache: Path) -> SyntheticDataset:
        return SyntheticDataset(inputs, 3, config.seed)

    register_dataset("mine", opener)
    register_dataset("mine", opener)
    assert "mine" in dataset_names()
    assert open_dataset(dataset_config({"name": "mine"}), DIGIT, tmp_path).count == 3
    for taken in ("mine", "digits", "auto"):
        with pytest.raises(ValueError, match=taken):
            register_dataset(taken, functools.partial(opener))


def test_a_third_party_can_register_by_entry_point(tmp_path, monkeypatch):
    """A worker process knows no registration that its parent made at run time."""
    point = EntryPoint("theirs", "sweep.datasets.synthetic:open_synthetic", "sweep.datasets")
    monkeypatch.setattr(registry, "_openers", dict(registry._openers))
    monkeypatch.setattr(registry, "_entry_points", lambda: {"theirs": point})
    assert "theirs" in dataset_names()
    assert open_dataset(dataset_config({"name": "theirs"}), DIGIT, tmp_path).count == 1024
