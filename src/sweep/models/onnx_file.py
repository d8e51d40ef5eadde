"""Reading ONNX files that may be anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


class NotOnnxError(ValueError):
    """The bytes are no ONNX model.

    Attributes:
        hint: What they look like instead and what to do, for the fix of an error.
    """

    def __init__(self, hint: str) -> None:
        super().__init__("is not an ONNX file, or it is damaged")
        self.hint = hint


def parse_onnx(data: bytes) -> onnx.ModelProto:
    """Return the model that a file holds; weights in other files stay there.

    Operators are not checked: which ones exist is for the engine to say, as it may have its own.

    Raises:
        NotOnnxError: It holds none.
    """
    import onnx

    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except Exception as error:  # of a class that is protobuf's, which is onnx's dependency and not ours
        raise NotOnnxError(_what_it_is(data)) from error
    # Other files can pass for a protobuf. In a cut-off one the operator sets are gone: they are written last.
    if not model.ir_version or not model.opset_import or not model.graph.output:
        raise NotOnnxError(_what_it_is(data))
    return model


def _what_it_is(data: bytes) -> str:
    head = data[:200].lstrip().lower()
    if head.startswith((b"<!doctype", b"<html")):
        return "it looks like a web page: download the file itself"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer: run `git lfs pull`"
    if head.startswith(b"pk\x03\x04"):
        return "it is a zip archive or a PyTorch file: export the model to ONNX"
    return "copy or export it again"
