"""Small changes to ONNX graphs that several conversions need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yield every tensor that a node reads, also those that the bodies of If and Loop take from outside."""
    yield from node.input
    for attribute in node.attribute:
        for body in [attribute.g, *attribute.graphs]:
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
