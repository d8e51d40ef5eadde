"""From an ONNX file to a TensorRT network, with every reason why it cannot be one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.backends.trt.flavours import Library
from sweep.backends.trt.messages import Messages, one_line
from sweep.errors import BackendError

_SHOWN = 20
_DAMAGED = "MODEL_DESERIALIZE_FAILED"
_UNSUPPORTED = ("UNSUPPORTED_NODE", "UNSUPPORTED_GRAPH")
_NO_IMPORTER = "Plugin not found"
"""What the parser says of an operator that it does not know: it then looks for a plug-in of that name."""


@dataclass(frozen=True)
class Parsed:
    """A network and what must outlive it.

    Attributes:
        library: The flavour that it belongs to.
        builder: TensorRT's builder.
        network: The network.
        parser: It holds the weights, and TensorRT's Python objects do not keep one another.
    """

    library: Library
    builder: Any
    network: Any
    parser: Any


def parse(library: Library, path: Path) -> Parsed:
    """Read an ONNX file, with external data beside it, into a strongly typed network.

    Raises:
        BackendError: It is not ONNX, or has what TensorRT's parser does not take; one line for each problem.
    """
    module, messages = library.module, library.messages
    builder = messages.create(module, "Builder", library.title)
    network = builder.create_network(_network_flags(module))
    parser = module.OnnxParser(network, messages.logger(module))
    if not parser.parse_from_file(str(path)) or parser.num_errors:
        problems = list(_problems(parser, messages))
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise BackendError("\n".join([f"{library.title} cannot take {path}:", *problems[:_SHOWN], *more]))
    if not network.num_outputs:
        raise BackendError(f"{library.title} cannot take {path}: it has no outputs; it is empty, or cut off")
    return Parsed(library, builder, network, parser)


def _network_flags(module: Any) -> int:
    """Return the flag of strongly typed networks: the file's types are computed in, and TensorRT chooses no other."""
    flag = getattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _problems(parser: Any, messages: Messages) -> Iterator[str]:
    """Yield a line for each of the parser's errors."""
    if not parser.num_errors:
        yield messages.reason()
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        code, what = error.code().name, one_line(error.desc())
        if code == _DAMAGED:
            yield "it is damaged, or not an ONNX file"
            continue
        if error.node() < 0:
            yield _without_node(what, messages)
            continue
        known = _NO_IMPORTER not in what
        if known and code in _UNSUPPORTED and what == "false":  # an assertion, whose text says nothing
            known = False
        name = error.node_name() or f"number {error.node()}"
        yield f"node {name}, operator {error.node_operator()}: {what if known else 'the parser has no such operator'}"


def _without_node(what: str, messages: Messages) -> str:
    """Return an error of the whole file, with the log's lines that name the cause: a missing file, say."""
    causes = [line for line in messages.errors if "ModelImporter.cpp" not in line and what not in line]
    return "; ".join([*dict.fromkeys(causes), what])
