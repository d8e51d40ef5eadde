"""Networks as they are met in the wild: converted right or refused in one line; what nothing loads is not kept."""

import signal
import sys

import numpy as np
import onnx
import pytest
from tests.models import wild

from sweep import environment
from sweep.errors import ConfigError
from sweep.models import resolve_model
from sweep.models.session import Fault, highest_level, open_session
from sweep.vocabulary import Precision

FP16, INT8 = Precision.FP16, Precision.INT8
METHODS = ("percentile", "entropy", "minmax")


@pytest.fixture(params=["with VNNI", "without VNNI"])
def kernels(request, monkeypatch):
    """Take this CPU for one with, or without, VNNI: without, exact kernels are asked for and weights rewritten."""
    features = ["avx2", "avx512_vnni"] if request.param == "with VNNI" else ["avx2"]
    machine = {**environment.fingerprint(), "machine": "x86_64", "cpu_features": features}
    monkeypatch.setattr(environment, "fingerprint", lambda: machine)
    return request.param


# int8


@pytest.mark.parametrize(
    "network",
    [
        *(wild.shared_weight, wild.names_that_clash, wild.names_that_clash_with_pairs, wild.names_like_ours),
        *(wild.functions, wild.doubled),
    ],
)
def test_int8_is_loaded_and_close(tmp_path, kernels, network):
    original = network()
    model = wild.convert(tmp_path, original, INT8)
    assert (model.level, model.notes) == ("all", ())
    assert 0 < wild.error_of(model, original) < 0.1
    quantised = [node for node in onnx.load(str(model.path)).graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantised) >= 2


@pytest.mark.parametrize(
    "about",
    [
        *({"bias": (8,), "beta": beta} for beta in (0.0, -3.0)),
        *({"bias": bias} for bias in ((1, 8), (1, 1), (1,), ())),
        *({"bias": (), "computed": True, "beta": beta} for beta in (1.0, 2.5)),
    ],
)
def test_int8_takes_any_bias_of_a_gemm(tmp_path, kernels, about):
    bias, rest = about["bias"], {key: value for key, value in about.items() if key != "bias"}
    original = wild.gemms(*bias, **rest)
    model = wild.convert(tmp_path, original, INT8)
    assert (model.level, model.notes) == ("all", ())
    assert 0 < wild.error_of(model, original) < 0.05


@pytest.mark.parametrize("kind", ["weight", "zero point", "pair", "operators"])
def test_a_users_int8_file_with_a_shared_weight_is_loaded(tmp_path, kernels, kind):
    original = wild.integers(kind=kind)
    config = wild.saved(tmp_path, original)
    feed = {"x": wild.samples_of(original, 2)}
    scores = open_session(tmp_path / "mine.onnx", "all").run(None, feed)[0]
    right = open_session(tmp_path / "mine.onnx", "disabled").run(None, feed)[0]
    assert np.abs(scores - right).mean() < 0.01 * np.abs(right).mean()
    assert resolve_model(config, INT8, tmp_path / "cache").has_int8


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mask", ["constant", "computed", "where", "filled"])
def test_int8_leaves_out_what_a_mask_makes_endless(tmp_path, mask, method):
    """Its range would be all there is: every score of the attention rounded to nothing, or no file at all."""
    original = wild.attention(mask, -np.inf)
    model = wild.convert(tmp_path, original, INT8, method)
    assert wild.error_of(model, original) < 0.1
    named = [note for note in model.notes if "stays in float32" in note]
    assert len(named) == (1 if mask in ("computed", "filled") else 0)
    for note in named:
        (add,) = [node.name for node in original.graph.node if node.op_type == "Add"]
        assert add in note


@pytest.mark.parametrize("value", [-1e9, float(np.finfo(np.float32).min)])
@pytest.mark.parametrize("method", METHODS)
def test_int8_under_a_mask_of_large_numbers(tmp_path, method, value):
    original = wild.attention("computed", value)
    assert wild.error_of(wild.convert(tmp_path, original, INT8, method), original) < 0.1


def test_int8_takes_another_method_for_a_nearly_constant_tensor(tmp_path):
    original = wild.nearly_constant()
    model = wild.convert(tmp_path, original, INT8, "percentile")
    assert any("minmax" in note for note in model.notes)
    assert wild.error_of(model, original) < 0.1
    assert wild.convert(tmp_path, original, INT8, "percentile").notes == model.notes  # of the cached file too


def test_int8_keeps_the_method_for_tensors_of_several_batches(tmp_path):
    original = wild.shared_weight()
    model = wild.convert(tmp_path, original, INT8, "percentile", samples=wild.samples_of(original, 1100))
    assert not [note for note in model.notes if "minmax" in note]


def test_int8_ranges_that_grow_beyond_measure(tmp_path):
    """After samples of almost nothing, bins of their width would fill the memory."""
    original = wild.shared_weight()
    samples = wild.samples_of(original, 1100)  # more than one batch of the calibration
    samples[:1000] *= 1e-6
    model = wild.convert(tmp_path, original, INT8, "percentile", samples=samples)
    assert any("minmax" in note for note in model.notes)
    assert wild.error_of(model, original) < 0.1


def test_int8_leaves_out_what_it_is_told_to(tmp_path):
    original = wild.shared_weight()
    first, _, second = original.graph.node
    model = wild.convert(tmp_path, original, INT8, exclude=(second.name,))
    nodes = {node.name: node for node in onnx.load(str(model.path)).graph.node}
    assert nodes[second.name].input[0] == first.output[0].replace("t0", "t1")
    assert nodes[first.name].input[0] != "x"
    assert model.calibration["exclude"] == [second.name]
    assert model.digest != wild.convert(tmp_path, original, INT8).digest


def test_int8_cannot_leave_out_what_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"^int8.exclude=n7: the mine.onnx network .*choose one of: n0, n2$"):
        wild.convert(tmp_path, wild.shared_weight(), INT8, exclude=("n7",))


def test_int8_says_what_it_does_not_look_into(tmp_path):
    original = wild.layers_in_bodies()
    model = wild.convert(tmp_path, original, INT8)
    assert any("2 layers inside If" in note for note in model.notes)
    assert wild.error_of(model, original) < 0.1
    with pytest.raises(ConfigError, match="those inside If, Loop or Scan are not quantised"):
        wild.convert(tmp_path, wild.layers_in_bodies(outside=False), INT8)


@pytest.mark.parametrize("precision", [FP16, INT8])
def test_shape_inference_that_is_wrong_refuses_nothing(tmp_path, precision):
    original = wild.spectrum()
    assert wild.error_of(wild.convert(tmp_path, original, precision), original) < 0.1


# float16


@pytest.mark.parametrize("value", [-np.inf, -1e9, float(np.finfo(np.float32).min)])
@pytest.mark.parametrize("mask", ["constant", "computed", "where", "filled", "scaled"])
def test_float16_masks(tmp_path, mask, value):
    """At level `disabled` ONNX Runtime rounds to float16 wherever the file says so."""
    if mask == "scaled" and np.isinf(value):
        pytest.skip("0 times infinity is no mask")
    original = wild.attention(mask, value)
    model = wild.convert(tmp_path, original, FP16)
    assert bool(model.notes) == np.isfinite(value)
    feed = {"x": wild.samples_of(original, 8)}
    right = open_session(original.SerializeToString(), "disabled").run(None, feed)[0]
    for level in ("all", "disabled"):
        np.testing.assert_allclose(open_session(model.path, level).run(None, feed)[0], right, atol=0.01)
    weights = {weight.name: weight.data_type for weight in onnx.load(str(model.path)).graph.initializer}
    assert [weights[name] for name in ("c0", "c1", "c2")] == [onnx.TensorProto.FLOAT16] * 3


def test_float16_masks_inside_control_flow(tmp_path):
    original = wild.mask_in_bodies()
    model = wild.convert(tmp_path, original, FP16)
    assert any("inside If, Loop or Scan become 65504: 2 of them" in note for note in model.notes)
    assert wild.error_of(model, original) < 0.01


def test_float16_with_variances_beyond_it(tmp_path):
    original = wild.wide_batch_norm()
    model = wild.convert(tmp_path, original, FP16)
    assert any("1 of 5 operators" in note and "variance (100000)" in note for note in model.notes)
    assert wild.error_of(model, original) < 0.01


def test_float16_with_factors_below_it(tmp_path):
    original = wild.tiny_factors()
    model = wild.convert(tmp_path, original, FP16)
    assert any("3 of 6 operators" in note and "small (1e-20)" in note for note in model.notes)
    assert wild.error_of(model, original) < 0.01


def test_float16_where_names_are_taken(tmp_path):
    original = wild.names_of_the_converter()
    assert wild.error_of(wild.convert(tmp_path, original, FP16), original) < 0.01


def test_float16_of_functions(tmp_path):
    original = wild.functions()
    model = wild.convert(tmp_path, original, FP16)
    assert wild.error_of(model, original) < 0.01
    weights = onnx.load(str(model.path)).graph.initializer
    assert {weight.data_type for weight in weights} == {onnx.TensorProto.FLOAT16}


# Files that ONNX Runtime does not load


def test_a_crash_costs_a_level_of_optimisation_and_no_more(tmp_path):
    """Whether ONNX Runtime crashes on it is its version's business; that this process lives is not."""
    original = wild.attention_that_crashes()
    model = wild.convert(tmp_path, original, FP16)
    assert wild.error_of(model, original) < 0.01
    assert bool(model.notes) == (model.level != "all")
    again = wild.convert(tmp_path, original, FP16)
    assert (again.level, again.notes) == (model.level, model.notes)


@pytest.fixture
def loader(monkeypatch):
    """Have the child do something else at some levels."""

    def install(**code):
        def command(_module, level):
            return [sys.executable, "-c", f"import os, sys; sys.stdin.buffer.read(); {code.get(level, 'pass')}"]

        monkeypatch.setattr("sweep.models.session.own_python", command)

    return install


CRASH = f"os.kill(os.getpid(), {int(signal.SIGSEGV)})"
FAIL = "print('no such\\noperator'); sys.exit(1)"


def test_the_highest_level_that_works_is_taken(tmp_path, loader):
    loader(all=CRASH, extended=FAIL)
    model = wild.convert(tmp_path, wild.shared_weight(), FP16)
    assert model.level == "basic"
    assert model.notes == (
        "ONNX Runtime runs the fp16 file at graph_optimization=basic at most: at all, it crashes (SIGSEGV)",
    )


@pytest.mark.parametrize("precision", [FP16, INT8])
def test_a_file_that_is_not_loaded_is_not_kept(tmp_path, monkeypatch, precision):
    """It would fail for ever, whatever is mended meanwhile."""
    original = wild.shared_weight()
    monkeypatch.setattr(
        "sweep.models.session._fault",
        lambda data, _level, _precision: None if data == original.SerializeToString() else Fault("it is broken"),
    )
    with pytest.raises(ConfigError, match=rf"^precision={precision}: .* cannot be loaded: it is broken; use") as caught:
        wild.convert(tmp_path, original, precision)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache" / "models" / "converted").glob("*"))
    monkeypatch.undo()
    assert wild.convert(tmp_path, original, precision).level == "all"


def test_a_file_for_another_engine_is_not_refused(tmp_path):
    """ONNX Runtime does not know the operator, which says nothing of the conversion."""
    net = wild.Net()
    net.op("Conv", net.op("SomePlugin", "x", domain="of.another.engine"), net.weight(4, 4, 3, 3), pads=[1] * 4)
    original = net.model([4, 8, 8], [4, 8, 8])
    original.opset_import.append(onnx.helper.make_opsetid("of.another.engine", 1))
    assert wild.convert(tmp_path, original, FP16).level == "all"


def test_what_is_loaded_and_does_not_run_costs_a_level_too(tmp_path):
    """It would be cached, and every trial of it FAIL."""
    original = wild.means_of_nothing()
    model = wild.convert(tmp_path, original, INT8)
    assert wild.error_of(model, original) < 0.1
    assert bool(model.notes) == (model.level != "all")


def test_a_sample_of_zeros_that_does_not_run_is_no_fault_of_the_file(tmp_path):
    net = wild.Net()
    index = net.op("Sub", net.op("Cast", net.op("Exp", "x"), to=onnx.TensorProto.INT64), net.ints(50))
    net.op("Gemm", net.op("Gather", net.weight(4, 4), net.op("Squeeze", index, net.ints(1))), net.weight(4, 4))
    model = wild.convert(tmp_path, net.model([1], [4]), FP16)  # of zeros, an index beyond the four
    assert (model.level, model.notes) == ("all", ())


def test_memory_that_ran_out_is_no_fault_of_the_file(tmp_path, loader):
    loader(all=f"os.kill(os.getpid(), {int(signal.SIGKILL)})")
    with pytest.raises(ConfigError, match=r"^precision=fp16: .*memory has run out"):
        wild.convert(tmp_path, wild.shared_weight(), FP16)


def test_the_child_says_why():
    level, why = highest_level(b"no model", "fp16")
    assert level is None
    assert "protobuf" in why.lower()
    assert "\n" not in why
