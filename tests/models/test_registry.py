"""From what was asked for to a file: which weights, what the cache does when it is wrong, what is refused."""

import dataclasses
import hashlib
import json
import multiprocessing
import os

import pytest

from sweep.errors import ConfigError
from sweep.models import resolve_model
from sweep.models.reference import reference_path
from sweep.vocabulary import Precision, Weights


def resolve(config, cache):
    return resolve_model(config, Precision.FP32, cache)


def put_reference(config, cache, model):
    path = reference_path(config, cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


# Which weights


def test_auto_takes_the_reference_file_once_it_is_there(tiny, network, tmp_path):
    config = dataclasses.replace(tiny, weights="auto", architecture="mobilenet_v1_1.0_224")
    put_reference(config, tmp_path, network())
    resolved = resolve(config, tmp_path)
    assert resolved.weights is Weights.REFERENCE
    assert "reference file is in the cache" in resolved.why


def test_synthetic_can_be_asked_for_although_the_reference_is_there(conf, network, tmp_path):
    config = conf("mobilenet", weights="synthetic")
    put_reference(config, tmp_path, network())
    resolved = resolve(config, tmp_path)
    assert (resolved.weights, resolved.why) == (Weights.SYNTHETIC, "")


def test_the_seed_is_part_of_what_a_synthetic_model_is(conf, tmp_path):
    first, second = (resolve(conf("mobilenet", seed=seed), tmp_path) for seed in (0, 1))
    assert first.digest != second.digest
    assert first.path != second.path


def test_a_reference_that_is_not_there_names_the_command_that_gets_it(conf, tmp_path):
    wanted = r"^model.weights=reference: no reference file in the cache; run `python -m sweep fetch resnet`$"
    with pytest.raises(ConfigError, match=wanted):
        resolve(conf("resnet", weights="reference"), tmp_path)


@pytest.mark.parametrize("weights", ["reference", "synthetic"])
def test_digits_has_shipped_weights_only(conf, tmp_path, weights):
    config = dataclasses.replace(conf("digits"), weights=weights)
    with pytest.raises(ConfigError, match=rf"model.weights={weights}: .*digits.*choose one of: auto, shipped"):
        resolve(config, tmp_path)


def test_a_known_model_takes_no_file_of_the_users(conf, tmp_path):
    with pytest.raises(ConfigError, match=r"^model.path=my.onnx: model resnet .* model=onnx model.path=my.onnx$"):
        resolve(conf("resnet", path="my.onnx"), tmp_path)


def test_a_shipped_model_that_does_not_ship_is_said_to(conf, tmp_path):
    with pytest.raises(ConfigError, match=r"^model=digit: .* did you mean digits\?"):
        resolve(conf("digits", name="digit"), tmp_path)


def test_an_unknown_architecture_lists_the_known(conf, tmp_path):
    with pytest.raises(ConfigError, match=r"^model.architecture=resnet50: .*did you mean resnet50_v1.5\?"):
        resolve(conf("resnet", architecture="resnet50"), tmp_path)


# The reference file


def test_a_reference_with_the_wrong_md5_is_not_used(tiny, network, tmp_path):
    config = dataclasses.replace(tiny, reference_md5="0" * 32)
    put_reference(config, tmp_path, network())
    with pytest.raises(ConfigError, match=r"tiny.onnx is damaged: its MD5 is .*run `python -m sweep fetch tiny`"):
        resolve(config, tmp_path)


def test_a_reference_with_the_right_md5_is_hashed_once(tiny, network, tmp_path, monkeypatch):
    data = network().SerializeToString()
    config = dataclasses.replace(tiny, reference_md5=hashlib.md5(data).hexdigest())
    path = put_reference(config, tmp_path, network())
    first = resolve(config, tmp_path)
    monkeypatch.setattr("sweep.models.reference.take_stamp", None)
    assert resolve(config, tmp_path) == first
    monkeypatch.undo()
    path.write_bytes(data[:-1] + b"?")
    with pytest.raises(ConfigError, match="is damaged"):
        resolve(config, tmp_path)


def test_a_reference_without_published_digest_must_not_change(tiny, network, tmp_path):
    """Trust on first use: the second file under the name is another model, and must not slip in."""
    path = put_reference(tiny, tmp_path, network())
    resolve(tiny, tmp_path)
    put_reference(tiny, tmp_path, network(softmax=False))
    with pytest.raises(ConfigError, match=r"when it was first met it was [0-9a-f]{64}; .* or delete .*tiny.onnx.json"):
        resolve(tiny, tmp_path)
    path.with_name("tiny.onnx.json").unlink()
    resolve(tiny, tmp_path)


def test_a_reference_that_is_not_onnx_is_said_to(tiny, tmp_path):
    path = reference_path(tiny, tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text("<!DOCTYPE html><p>Please log in")
    with pytest.raises(ConfigError, match=r"tiny.onnx is not an ONNX file.*delete it and tiny.onnx.json"):
        resolve(tiny, tmp_path)


def test_a_reference_with_other_tensors_is_refused_and_leaves_no_file(tiny, network, tmp_path):
    put_reference(tiny, tmp_path, network())
    with pytest.raises(ConfigError, match="no tensor softmax"):
        resolve(dataclasses.replace(tiny, scores_name="softmax"), tmp_path)
    assert not (tmp_path / "models" / "serving").exists()


def test_other_normalisation_is_another_file(tiny, network, tmp_path):
    put_reference(tiny, tmp_path, network())
    first = resolve(tiny, tmp_path)
    second = resolve(dataclasses.replace(tiny, mean=(0.0, 0.0, 0.0)), tmp_path)
    assert first.path != second.path
    assert resolve(tiny, tmp_path) == first


# The cache


def damage(path):
    path.write_bytes(b"x" * path.stat().st_size)


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def drop_stamp(path):
    path.with_name(f"{path.name}.json").unlink()


def spoil_stamp(path):
    path.with_name(f"{path.name}.json").write_text('{"size": 1')


def odd_stamp(path):
    path.with_name(f"{path.name}.json").write_text('["size"]')


def test_a_cache_folder_that_cannot_be_looked_into_is_named(conf, tmp_path):
    with pytest.raises(ConfigError, match="^SWEEP_CACHE=.*cannot use the cache folder: File name too long; set"):
        resolve_model(conf("resnet"), Precision.FP32, tmp_path / ("x" * 300))


@pytest.mark.parametrize("harm", [damage, cut, os.unlink, drop_stamp, spoil_stamp, odd_stamp])
def test_a_damaged_cache_is_mended(conf, tmp_path, harm):
    first = resolve(conf("digits"), tmp_path)
    harm(first.path)
    assert resolve(conf("digits"), tmp_path) == first
    assert hashlib.sha256(first.path.read_bytes()).hexdigest() == first.digest.removeprefix("sha256:")


def test_a_copied_cache_is_read_once_and_not_built_again(conf, tmp_path, monkeypatch):
    """Copying changes times; the file is still good."""
    first = resolve(conf("digits"), tmp_path)
    os.utime(first.path, ns=(1, 1))
    monkeypatch.setattr("sweep.models.registry.serving_graph", None)
    assert resolve(conf("digits"), tmp_path) == first
    stamp = json.loads(first.path.with_name(f"{first.path.name}.json").read_text())
    assert stamp["mtime_ns"] == 1


def test_a_cache_that_cannot_be_written_is_one_clear_line(conf, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ConfigError, match=r"^SWEEP_CACHE=.*cannot use the cache folder.*set SWEEP_CACHE[^\n]*$"):
        resolve(conf("digits"), blocked)


def _resolve_in_process(config, cache, answers):
    answers.put(resolve_model(config, Precision.FP32, cache))


def test_processes_that_prepare_at_once_agree(conf, tmp_path):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    arguments = (conf("digits"), tmp_path, answers)
    processes = [context.Process(target=_resolve_in_process, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    resolved = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert resolved == [resolve(conf("digits"), tmp_path)] * 3
    assert not list(tmp_path.rglob("*.tmp"))
