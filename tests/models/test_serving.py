"""The graph around the network: normalisation, class ids, and -1 for scores that are not finite."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from sweep.errors import ConfigError
from sweep.models.serving import serving_graph

OPSETS = (11, 12, 13, 17, 21)


def serve(network, config):
    return serving_graph(network, config, field="model.weights", source="reference")


def run(model, images):
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"samples": np.asarray(images, np.uint8)})


def images(count, seed=0):
    """Return images of one colour each, with noise."""
    random = np.random.default_rng(seed)
    return random.integers(0, 236, (count, 1, 1, 3), np.uint8) + random.integers(0, 20, (count, 2, 3, 3), np.uint8)


def normalised(pixels, config):
    values = (pixels.astype(np.float32) - np.float32(config.mean)) * np.float32(config.scale)
    return values.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("opset", OPSETS)
def test_answers_are_those_of_the_network_on_normalised_images(network, tiny, opset):
    """Opset 11 is what the reference files use; ReduceSum changed its signature after it."""
    pixels = images(50)
    plain = network(opset=opset)
    session = onnxruntime.InferenceSession(plain.SerializeToString())
    best = session.run(["ArgMax:0"], {"in:0": normalised(pixels, tiny)})[0]
    expected = np.where(best == 0, 4 - 1, best - 1)  # background is no class: past the last one, never -1
    (top1,) = run(serve(network(opset=opset), tiny), pixels)
    assert top1.dtype == np.int32
    assert top1.tolist() == expected.tolist()
    assert len(set(top1.tolist())) == 4


@pytest.mark.parametrize(
    ("mean", "scale"),
    [((10.0, 20.0, 30.5), (0.5, 1.0, 2.0)), ((0.0,) * 3, (1.0,) * 3), ((127.5,) * 3, (1 / 127.5,) * 3)],
)
def test_normalisation_is_that_of_numpy(network, tiny, mean, scale):
    config = type(tiny)(**{**vars(tiny), "mean": mean, "scale": scale})
    model = serve(network(), config)
    model.graph.output.append(helper.make_tensor_value_info("in:0", TensorProto.FLOAT, ["N", 3, 2, 3]))
    pixels = images(7)
    np.testing.assert_array_equal(run(model, pixels)[1], normalised(pixels, config))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_makes_the_answer_minus_one(network, tiny, bad, opset):
    """A broken engine must not score by accident: NaN has no largest element, yet ArgMax names one."""
    weight = np.ones((3, 4))
    weight[1, 2] = bad
    (top1,) = run(serve(network(weight, opset=opset, softmax=False), tiny), images(5))
    assert top1.tolist() == [-1] * 5


@pytest.mark.parametrize("softmax", [True, False])
def test_only_the_broken_samples_are_marked(network, tiny, softmax):
    """3e38 times a bright pixel overflows, times the mean (zero after normalisation) does not."""
    weight = np.zeros((3, 4))
    weight[0], weight[1, 3] = 3e38, 1.0
    pixels = np.tile(np.array([10, 90, 30], np.uint8), (4, 2, 3, 1))
    pixels[2, ..., 0] = 255
    (top1,) = run(serve(network(weight, softmax=softmax), tiny), pixels)
    assert top1.tolist() == [2, 2, -1, 2]


def test_opposite_infinities_do_not_cancel(network, tiny):
    weight = np.zeros((3, 4))
    weight[0, 1], weight[0, 2] = np.inf, -np.inf
    (top1,) = run(serve(network(weight, softmax=False), tiny), images(3))
    assert top1.tolist() == [-1] * 3


def test_without_offset_the_index_is_the_class(network, tiny):
    config = type(tiny)(**{**vars(tiny), "class_offset": 0})
    (shifted,), (plain,) = run(serve(network(), tiny), images(50)), run(serve(network(), config), images(50))
    assert shifted.tolist() == [(index - 1) % 4 for index in plain.tolist()]


def test_what_the_answer_does_not_need_is_dropped(network, tiny):
    """An output nobody reads still costs time in some engines."""
    model = serve(network(), tiny)
    assert [value.name for value in model.graph.output] == ["top1"]
    made = {name for node in model.graph.node for name in node.output}
    assert not {"ArgMax:0", "nowhere"} & made
    assert "unused" not in {weight.name for weight in model.graph.initializer}


def test_weights_listed_as_inputs_are_no_inputs(network, tiny):
    """Files of IR 3 list every weight as an input too."""
    old = network(opset=11)
    old.ir_version = 3
    old.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 4]))
    old.graph.input.append(helper.make_tensor_value_info("unused", TensorProto.FLOAT, [1]))
    model = serve(old, tiny)
    assert [value.name for value in model.graph.input] == ["samples"]
    assert run(model, images(9))[0].tolist() == run(serve(network(), tiny), images(9))[0].tolist()


def test_half_precision_scores_are_judged_in_single(network, tiny):
    model = network()
    softmax = model.graph.node[3]
    softmax.output[0] = "single"
    cast = helper.make_node("Cast", ["single"], ["scores:0"], to=TensorProto.FLOAT16)
    nodes = [*model.graph.node[:4], cast, *model.graph.node[4:]]
    graph = helper.make_graph(nodes, "half", model.graph.input, model.graph.output, model.graph.initializer)
    graph.output[1].type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.CopyFrom(graph)
    assert run(serve(model, tiny), images(3))[0].min() >= 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"input_name": "other:0"}, "input should be other:0; its inputs are: in:0"),
        ({"scores_name": "other:0"}, "no tensor other:0; its outputs are: ArgMax:0, scores:0"),
        ({"scores_name": "ArgMax:0"}, "ArgMax:0 should be .N, classes.; it has 1 axes"),
        ({"sample_shape": (3, 3, 3)}, "in:0 should be float32 .N, 3, 3, 3."),
    ],
)
def test_a_network_that_does_not_fit_is_refused(network, tiny, change, reason):
    config = type(tiny)(**{**vars(tiny), **change})
    with pytest.raises(ConfigError, match=rf"^model.weights=reference: .*{reason}"):
        serve(network(), config)


def test_an_old_opset_a_frozen_batch_or_a_taken_name_is_refused(network, tiny):
    with pytest.raises(ConfigError, match="uses opset 10; opset 11 or newer"):
        serve(network(opset=10), tiny)
    with pytest.raises(ConfigError, match="frozen at batch 4"):
        serve(network(batch=4), tiny)
    taken = network()
    taken.graph.node[0].output[0] = taken.graph.node[1].input[0] = "samples"
    with pytest.raises(ConfigError, match="already has a tensor named samples"):
        serve(taken, tiny)
    two = network()
    two.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    with pytest.raises(ConfigError, match="its inputs are: in:0, more"):
        serve(two, tiny)
