import pytest

from sweep import paths
from sweep.datasets import DatasetConfig, dataset_config, unread_settings
from sweep.errors import ConfigError


def problems(**values):
    with pytest.raises(ConfigError) as caught:
        dataset_config(values)
    return {problem.field: str(problem) for problem in caught.value.problems}


def test_absent_keys_take_their_defaults():
    assert dataset_config({}) == DatasetConfig("auto", None, None, 0, None)


def test_values_are_kept():
    values = {"name": "imagenet", "path": "/data/store", "count": 1e3, "seed": 3, "interpolation": "linear"}
    config = dataset_config(values)
    assert config == DatasetConfig("imagenet", "/data/store", 1000, 3, "linear")
    assert isinstance(config.count, int)


def test_a_relative_path_is_taken_from_here(tmp_path, monkeypatch):
    """The worker changes its folder before it opens the dataset."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert dataset_config({"path": "store"}).path == str(tmp_path / "store")
    assert dataset_config({"path": "~/store"}).path == "/home/somebody/store"


def test_all_problems_are_reported_at_once():
    found = problems(name="digit", path="", count=0, seed=-1, interpolation="cubic", sed=1)
    assert set(found) == {f"dataset.{key}" for key in ("name", "path", "count", "seed", "interpolation", "sed")}
    assert "did you mean digits?" in found["dataset.name"]
    assert "did you mean seed?" in found["dataset.sed"]
    assert "area, linear" in found["dataset.interpolation"]


@pytest.mark.parametrize("count", [-1, 1.5, 1e12, 10**400, "ten", True, float("nan"), float("inf"), [1]])
def test_a_count_is_a_positive_whole_number(count):
    assert set(problems(count=count)) == {"dataset.count"}


@pytest.mark.parametrize("seed", [None, 2**32, 0.5, "x", False])
def test_a_seed_is_a_whole_number(seed):
    assert set(problems(seed=seed)) == {"dataset.seed"}


@pytest.mark.parametrize("name", [None, 3, ["digits"], "", {"digits": 1}])
def test_a_name_that_is_no_text_is_a_problem_too(name):
    """YAML makes numbers and lists of what people type."""
    assert set(problems(name=name)) == {"dataset.name"}


@pytest.mark.parametrize(("given", "shown"), [(None, "null"), ("digits", "digits"), ([1], "[1]")])
def test_what_is_no_configuration_is_named(given, shown):
    """`dataset=null` composes to nothing at all."""
    with pytest.raises(ConfigError) as caught:
        dataset_config(given)
    line = str(caught.value)
    assert line.startswith(f"dataset={shown}: is not a configuration; choose one of: auto, digits")


def test_an_interpolation_of_generated_samples_is_refused_where_the_user_set_it():
    (problem,) = unread_settings({"name": "synthetic", "interpolation": "area"})
    assert str(problem) == (
        "dataset.interpolation=area: nothing reads it: generated samples are not resized; "
        "remove it, or set dataset=imagenet"
    )
    for mapping in ({}, {"name": "synthetic", "interpolation": None}, {"name": "auto", "interpolation": "area"}):
        assert unread_settings(mapping) == []


@pytest.mark.parametrize("name", ["auto", "digits", "imagenet", "synthetic"])
def test_the_shipped_files_have_every_setting(name):
    """An override of a key that its file lacks is refused by Hydra."""
    yaml = pytest.importorskip("yaml")
    folder = paths.PACKAGE.parent.parent / "conf" / "dataset"
    if not folder.is_dir():
        folder = paths.conf_dir() / "dataset"
    mapping = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    assert list(mapping) == list(DatasetConfig.__dataclass_fields__)
    assert dataset_config(mapping) == DatasetConfig(name)
