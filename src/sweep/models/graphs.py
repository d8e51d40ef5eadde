"""Small changes to ONNX graphs that several conversions need."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_PAIR = frozenset({"QuantizeLinear", "DequantizeLinear"})


def plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model as converters can read it.

    They do not look into functions of a model's own, so the bodies of those take the place of the nodes that call them.
    And where STFT leaves out `onesided`, which is 1 then, ONNX's shape inference takes it for 0, and fails behind it.
    """
    from onnx import helper, inliner

    if model.functions:
        model = inliner.inline_local_functions(model)
    for node in inside(model.graph.node):
        if node.op_type == "STFT" and not any(attribute.name == "onesided" for attribute in node.attribute):
            node.attribute.append(helper.make_attribute("onesided", 1))
    return model


def inside(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes and those in the bodies of their control flow."""
    nodes = list(nodes)
    yield from nodes
    for body in all_bodies(nodes):
        yield from body.node


def all_bodies(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that nodes of control flow run, those within others too."""
    for node in nodes:
        for body in bodies(node):
            yield body
            yield from all_bodies(body.node)


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that a node of control flow runs; an empty one for each attribute that is none."""
    for attribute in node.attribute:
        yield from (attribute.g, *attribute.graphs)


def rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give tensors other names, everywhere in a graph and in the bodies of its control flow."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = names.get(sparse.values.name, sparse.values.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for body in bodies(node):
            rename(body, names)


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yield every tensor that a node reads, also those that the bodies of If and Loop take from outside."""
    yield from node.input
    for body in bodies(node):
        yield from (value.name for value in body.output)
        for inner in body.node:
            yield from reads(inner)


def needed(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """Return, in order, the nodes that the outputs depend on."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(name for name in reads(node) if name)  # an optional tensor left out has no name
            kept.append(node)
    return kept[::-1]


def drop_unused_weights(graph: onnx.GraphProto) -> None:
    """Remove the weights that nothing reads. The others stay where they are: they can be large."""
    used = {name for node in graph.node for name in reads(node)} | {value.name for value in graph.output}
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in used:
            del graph.initializer[index]


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put every node behind those whose outputs it reads, as ONNX demands, otherwise in the order they have.

    Raises:
        ValueError: The graph has a cycle.
    """
    maker = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    waits_for = [{maker[name] for name in reads(node) if name in maker} for node in graph.node]
    order: list[int] = []
    state = [0] * len(waits_for)  # 0 not seen, 1 on the way, 2 placed
    for start in range(len(waits_for)):
        path = [start]
        while path:
            index = path[-1]
            if state[index] == 2:
                path.pop()
                continue
            waiting = sorted(other for other in waits_for[index] if state[other] != 2)
            if state[index] == 1 and waiting:
                raise ValueError("the graph has a cycle")
            state[index] = 1
            if waiting:
                path.extend(waiting)
            else:
                state[index] = 2
                order.append(index)
                path.pop()
    nodes = [graph.node[index] for index in order]
    replace_nodes(graph, nodes)


def replace_nodes(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Give a graph other nodes, which may be some of its own."""
    import onnx

    kept = onnx.GraphProto()
    kept.node.extend(nodes)
    graph.ClearField("node")
    graph.node.extend(kept.node)


def producers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """Return the node that makes each tensor."""
    return {name: node for node in graph.node for name in node.output if name}


def consumers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Return the nodes that read each tensor."""
    found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in dict.fromkeys(reads(node)):
            if name:
                found[name].append(node)
    return found


def unshare_int8(graph: onnx.GraphProto) -> int:
    """Give every reader of an int8 constant a copy of its own, dequantised or not; return how many copies were made.

    Args:
        graph: It is changed, and so are the bodies of its control flow.
    """
    return _Unsharing({}, {}, itertools.count(1)).of(graph)


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Return initializers and the tensors of Constant nodes, by the names under which nodes read them."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                found[node.output[0]] = attribute.t
    return found


class _Unsharing:
    """Walks a graph and its bodies; constants and their makers are those that can be seen from there."""

    def __init__(
        self, constants: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto], numbers: Iterator[int]
    ) -> None:
        self._constants, self._makers = dict(constants), dict(makers)
        self._numbers = numbers  # of copies, so that no two in a model have one name
        self._copies: list[onnx.TensorProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._count = 0

    def of(self, graph: onnx.GraphProto) -> int:
        self._constants.update(_constants(graph))
        self._makers.update(producers(graph))
        taken: set[str] = set()
        deeper = 0
        for node in graph.node:
            for index, name in enumerate(node.input):
                if self._is_shared_kind(name):
                    if name in taken:
                        node.input[index] = self._copy(name)
                    taken.add(name)
            for body in bodies(node):
                deeper += _Unsharing(self._constants, self._makers, self._numbers).of(body)
            self._nodes.append(node)
        if self._count:
            graph.initializer.extend(self._copies)
            replace_nodes(graph, self._nodes)
        return self._count + deeper

    def _is_shared_kind(self, name: str) -> bool:
        from onnx import TensorProto

        if name in self._constants:
            return bool(self._constants[name].data_type == TensorProto.INT8)
        maker = self._makers.get(name)
        if maker is None or maker.op_type not in _PAIR:
            return False
        return maker.input[0] in self._constants or self._is_shared_kind(maker.input[0])

    def _copy(self, name: str) -> str:
        import onnx

        self._count += 1
        own = f"{name}/own{next(self._numbers)}"
        if name in self._constants:
            tensor = onnx.TensorProto()
            tensor.CopyFrom(self._constants[name])
            tensor.name = own
            self._copies.append(tensor)
            return own
        node = onnx.NodeProto()
        node.CopyFrom(self._makers[name])
        node.name = own
        for index, read in enumerate(node.input):
            if self._is_shared_kind(read):
                node.input[index] = self._copy(read)
        node.output[0] = own
        self._nodes.append(node)
        return own
