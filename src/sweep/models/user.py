"""An ONNX file of the user's own: what it takes and gives, read from the file without loading its weights.

The file is used where it lies. Its digest covers the external data it refers to.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep import paths
from sweep.errors import ConfigError, Problem
from sweep.models.base import FileState, ModelConfig, ResolvedModel, TensorSpec
from sweep.models.cache import Stamp, describe, take_stamp, unwritable
from sweep.models.number_format import has_int8, number_format
from sweep.models.onnx_file import NotOnnxError, parse_onnx
from sweep.vocabulary import Weights

if TYPE_CHECKING:
    import onnx

FIELD = "model.path"
UNKNOWN = -1
"""Stands in an output's shape for an extent that only running the model tells."""

_DTYPES = (
    *("float16", "float32", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
_EXPORT = "export the model again"

_NO_BATCH = re.compile(
    r"(?i)^(?!.*batch)(.*[^a-z])?([tl]|seq(uence)?s?|times?(steps?)?|steps?|frames?|len(gth)?s?|tokens?|words?|chars?|"
    r"seq_?len(gth)?|sequence_?length|height|width|channels?|points?|boxes|nodes|edges)([^a-z].*)?$"
)
"""What exporters call an axis that is not the batch."""


def user_model(config: ModelConfig, cache: Path) -> ResolvedModel:
    """Return what the file at `config.path` is.

    Axis 0 of every input is the batch axis. Where it is symbolic, or not given, any batch can be run; where it is a
    number, that batch alone. Every other axis of an input must be a number.

    Args:
        config: Has the path.
        cache: Where digests are kept, so that a large file is read once.

    Raises:
        ConfigError: The file is not there, is not ONNX, or asks for what LoadGen cannot give.
    """
    if config.path is None:
        raise ConfigError(Problem(FIELD, None, "is not set", "give an ONNX file: model=onnx model.path=FILE"))
    path = paths.expanded(config.path, FIELD)
    model = _parse(path)
    data_files = _external_files(model, path)
    inputs, batch = _inputs(model.graph, path)
    outputs = _outputs(model.graph, batch, path)
    digest, files = _digest(path, data_files, cache)
    return ResolvedModel(
        name=config.name,
        weights=Weights.USER,
        path=path,
        digest=digest,
        inputs=inputs,
        outputs=outputs,
        fixed_batch=batch,
        predicts_class=False,
        number_format=number_format(model),
        files=files,
        has_int8=has_int8(model),
    )


def _problem(path: Path, reason: str, fix: str = "") -> ConfigError:
    return ConfigError(Problem(FIELD, path, reason, fix))


def _parse(path: Path) -> onnx.ModelProto:
    """Read the graph; weights in other files stay there."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise _problem(path, "is a folder", "give the ONNX file in it")
        if not stat.S_ISREG(kind):
            raise _problem(path, "is not a file")
        data = path.read_bytes()
    except FileNotFoundError:
        raise _problem(path, "no such file") from None
    except (OSError, ValueError) as error:  # a ValueError is a null byte in the name
        raise _problem(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not data:
        raise _problem(path, "is empty")

    try:
        return parse_onnx(data, path.name)
    except NotOnnxError as error:
        raise _problem(path, str(error), error.hint) from None


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield every constant tensor of a graph and of the bodies of its control flow."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for body in (attribute.g, *attribute.graphs):
                yield from _tensors(body)


def _external_files(model: onnx.ModelProto, path: Path) -> list[Path]:
    """Return the files of external data, relative to the model's folder, after checking that they are all there."""
    from onnx import TensorProto

    extents: dict[str, int] = {}
    tensors = [*_tensors(model.graph)]
    for function in model.functions:
        tensors += _node_tensors(function.node)
    for tensor in tensors:
        if tensor.data_location == TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            location = entries.get("location", "")
            try:
                end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
            except ValueError:
                raise _problem(path, f"says nonsense about the external data of {tensor.name}", _EXPORT) from None
            extents[location] = max(extents.get(location, 0), end)
    for location, size in extents.items():
        if not location or Path(location).is_absolute() or ".." in Path(location).parts:
            raise _problem(path, f"refers to external data outside its folder: {location!r}", _EXPORT)
        file = path.parent / location
        if not file.is_file():
            raise _problem(path, f"its weights are in {location}, which is not there", f"put {location} beside it")
        if (found := file.stat().st_size) < size:
            reason = f"its weights are in {location}, which is cut off: {found} of {size} bytes"
            raise _problem(path, reason, f"copy {location} again")
    return [Path(location) for location in sorted(extents)]


def _inputs(graph: onnx.GraphProto, path: Path) -> tuple[tuple[TensorSpec, ...], int | None]:
    """Return the inputs and the batch size that they are frozen at."""
    weights = {tensor.name for tensor in graph.initializer}
    weights |= {tensor.values.name for tensor in graph.sparse_initializer}
    values = [value for value in graph.input if value.name not in weights]  # before IR 4 weights were inputs too
    if not values:
        raise _problem(path, "the model has no inputs", _EXPORT)
    specs, batches = [], {}
    for value in values:
        what = f"input {value.name}"
        dims = _dims(value, what, path)
        if not dims:
            fix = f"{_EXPORT} with the batch as axis 0 of every input"
            raise _problem(path, f"{what} has no batch axis, or its shape is not in the file", fix)
        if _NO_BATCH.search(dims[0].dim_param):
            fix = f"{_EXPORT} with the batch as axis 0; if it is the batch, call it batch"
            raise _problem(path, f"{what}: axis 0 is called {dims[0].dim_param}, which is no batch", fix)
        for axis, dim in enumerate(dims[1:], start=1):
            if dim.dim_value <= 0:
                name = f"called {dim.dim_param}" if dim.dim_param else "of unknown size"
                fix = f"{_EXPORT} with a fixed size there; only axis 0, the batch, may be free"
                raise _problem(path, f"{what}: axis {axis} is {name}", fix)
        shape = tuple(int(dim.dim_value) for dim in dims[1:])
        specs.append(TensorSpec(value.name, _dtype(value, what, path), shape))
        batches[value.name] = max(int(dims[0].dim_value), 0) or None  # some exporters write -1 or 0 for "free"
    if len(set(batches.values())) > 1:
        found = ", ".join(f"{name} {batch or 'free'}" for name, batch in batches.items())
        fix = f"{_EXPORT} with one batch size, or a free one, on all inputs"
        raise _problem(path, f"the batch axes of its inputs differ: {found}", fix)
    return tuple(specs), next(iter(batches.values()))


def _outputs(graph: onnx.GraphProto, batch: int | None, path: Path) -> tuple[TensorSpec, ...]:
    """Return the outputs as declared; LoadGen needs one answer per sample, so axis 0 must be the batch."""
    specs = []
    for value in graph.output:
        what = f"output {value.name}"
        dtype = _dtype(value, what, path)
        dims = _dims(value, what, path)
        if dims is None:
            specs.append(TensorSpec(value.name, dtype, (UNKNOWN,)))
            continue
        rows = max(int(dims[0].dim_value), 0) if dims else 0
        if not dims or (rows and rows != batch):
            found = f"axis 0 is {rows}" if dims else "it is one number"
            wanted = "the batch, which is free" if batch is None else f"the batch of {batch}"
            fix = f"{_EXPORT} with one answer per sample, or without this output"
            raise _problem(path, f"{what} has no batch axis: {found}, not {wanted}", fix)
        if batch != 1 and not rows and (counted := _counts_results(graph, value.name)):
            axis = f"axis 0, {dims[0].dim_param}," if dims[0].dim_param else "axis 0"
            fix = f"{_EXPORT} frozen at batch 1, where all rows are one sample's answer, or without this output"
            raise _problem(path, f"{what} has no batch axis: {axis} is how much {counted} finds in the data", fix)
        shape = tuple(int(dim.dim_value) if dim.dim_value > 0 else UNKNOWN for dim in dims[1:])
        specs.append(TensorSpec(value.name, dtype, shape))
    return tuple(specs)


_KEEPS_ROWS = frozenset({"Identity", "Cast", "Slice", "Sigmoid", "Relu", "Softmax", "Mul"})


def _counts_results(graph: onnx.GraphProto, name: str) -> str | None:
    """Return the operator that decides by what is in the data how many rows a tensor has; None where none is known."""
    makers = {output: node for node in graph.node for output in node.output}
    while (node := makers.get(name)) is not None:
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), None)
        transposed = makers.get(node.input[0]) if node.op_type == "Transpose" else None
        if transposed is not None and transposed.op_type == "NonZero":
            return "NonZero"
        if node.op_type in {"NonMaxSuppression", "Unique"} or (node.op_type == "Compress" and axis in {None, 0}):
            return str(node.op_type)
        if node.op_type == "GatherND" or (node.op_type == "Gather" and not axis):
            name = node.input[1]
        elif node.op_type in _KEEPS_ROWS or node.op_type == "Compress":
            name = node.input[0]
        else:
            return None
    return None


def _dims(value: onnx.ValueInfoProto, what: str, path: Path) -> list[Any] | None:
    """Return the axes of a tensor; None when its rank is not in the file."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        named = (kind or "unknown_type").removesuffix("_type").replace("_", " ")
        fix = f"{_EXPORT} with plain tensors only"
        raise _problem(path, f"{what} is of kind {named}, not a tensor", fix)
    tensor = value.type.tensor_type
    return list(tensor.shape.dim) if tensor.HasField("shape") else None


def _dtype(value: onnx.ValueInfoProto, what: str, path: Path) -> str:
    from onnx import TensorProto

    names = {getattr(TensorProto, _PROTO_NAMES.get(dtype, dtype.upper())): dtype for dtype in _DTYPES}
    code = value.type.tensor_type.elem_type
    if value.type.HasField("tensor_type") and code not in names:
        found = TensorProto.DataType.Name(code).lower() if code in TensorProto.DataType.values() else f"type {code}"
        fix = f"{_EXPORT} with one of: {', '.join(sorted(_DTYPES))}"
        raise _problem(path, f"{what} holds {found}, which samples cannot", fix)
    return names.get(code, "")


_PROTO_NAMES = {"float32": "FLOAT", "float64": "DOUBLE"}


def _digest(path: Path, data_files: list[Path], cache: Path) -> tuple[str, tuple[FileState, ...]]:
    """Return `sha256:<hex>` over the file, or over the digests of it and its external data, and what was hashed.

    What was hashed before is kept in the cache with what tells that they changed, as these files can be huge.
    """
    memo = cache / "models" / "digests" / f"{describe(str(path))}.json"
    known = _read_memo(memo)
    digests: dict[str, str] = {}
    states: list[FileState] = []
    stamps: dict[str, Stamp] = {}
    for name, file in [("", path), *((str(relative), path.parent / relative) for relative in data_files)]:
        stamp = known.get(name)
        if stamp is None or not stamp.fits(file):
            try:
                stamp = take_stamp(file)
            except OSError as error:
                raise _problem(path, f"{file} cannot be read: {error.strerror or error}") from error
        digests[name], stamps[name] = stamp.sha256, stamp
        states.append(FileState(str(file), **stamp.marks))
    if stamps != known:
        try:
            paths.write_json(memo, {name: vars(stamp) for name, stamp in stamps.items()})
        except OSError as error:
            raise unwritable(memo.parent, error) from error
    if not data_files:
        return f"sha256:{digests['']}", tuple(states)
    listing = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}", tuple(states)


def _read_memo(memo: Path) -> dict[str, Stamp]:
    try:
        return {name: Stamp(**stamp) for name, stamp in json.loads(memo.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
