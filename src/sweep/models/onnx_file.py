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

    def __init__(self, what: str, fix: str) -> None:
        super().__init__("is not an ONNX file, or it is damaged")
        self.hint = f"it looks like {what}: {fix}" if what else fix


def parse_onnx(data: bytes, name: str = "") -> onnx.ModelProto:
    """Return the model that a file holds; weights in other files stay there.

    Operators are not checked: which ones exist is for the engine to say, as it may have its own.

    Args:
        data: The file.
        name: Of the file, for what to say of it where its bytes tell nothing.

    Raises:
        NotOnnxError: It holds none.
    """
    import onnx

    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except Exception as error:  # of a class that is protobuf's, which is onnx's dependency and not ours
        raise NotOnnxError(*_what_it_is(data, name)) from error
    # Other files can pass for a protobuf. In a cut-off one the operator sets are gone: they are written last.
    if not model.ir_version or not model.opset_import or not model.graph.output:
        raise NotOnnxError(*_what_it_is(data, name))
    return model


_EXPORT = "export the model to ONNX from the framework it is of"
_MADE_OF = "give the ONNX file that it was made of"
_TF2ONNX = "convert it to ONNX, for example with tf2onnx"
_ENGINE = ("a TensorRT engine", "give the ONNX file, and the engine as backend=tensorrt backend.engine=FILE")

_BEGINNINGS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"<!doctype", "a web page", "download the file itself"),
    (0, b"<html", "a web page", "download the file itself"),
    (0, b"version https://git-lfs", "a Git LFS pointer", "run `git lfs pull`"),
    (0, b"\x1f\x8b", "a file compressed with gzip", "unpack it with gunzip"),
    (0, b"BZh", "a file compressed with bzip2", "unpack it with bunzip2"),
    (0, b"\xfd7zXZ\0", "a file compressed with xz", "unpack it with unxz"),
    (0, b"\x28\xb5\x2f\xfd", "a file compressed with zstd", "unpack it with unzstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-zip archive", "unpack it"),
    (257, b"ustar", "a tar archive", "unpack it"),
    (0, b"PK\x03\x04", "a zip archive or a PyTorch file", f"unpack it, or {_EXPORT}"),
    (4, b"TFL3", "a TensorFlow Lite model", f"{_TF2ONNX} --tflite"),
    (4, b"ORTM", "a model in ONNX Runtime's own format (.ort)", _MADE_OF),
    (0, b"ftrt", *_ENGINE),
    (0, b"ptrt", *_ENGINE),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes them", _TF2ONNX),
    (0, b"\x80\x02", "a Python pickle, such as an old PyTorch file", _EXPORT),
    (0, b"\x80\x04", "a Python pickle", _EXPORT),
    (0, b"<?xml", "an XML file, such as OpenVINO's", _MADE_OF),
    (0, b"<net ", "an OpenVINO model", _MADE_OF),
    (8, b'{"', "a file of weights alone (safetensors)", _EXPORT),
    (0, b"GGUF", "a file of llama.cpp (GGUF)", _EXPORT),
    (0, b"\x93NUMPY", "a NumPy array", "give the model's ONNX file"),
)
"""How files begin that people take for ONNX ones: where, with what, what it is, what to do."""

_ENDINGS = {
    ".gz": ("a file compressed with gzip", "unpack it with gunzip"),
    ".tflite": ("a TensorFlow Lite model", f"{_TF2ONNX} --tflite"),
    ".ort": ("a model in ONNX Runtime's own format", _MADE_OF),
    ".pb": ("a TensorFlow graph", _TF2ONNX),
    **dict.fromkeys((".h5", ".keras"), ("a Keras model", _TF2ONNX)),
    **dict.fromkeys((".pt", ".pth", ".ckpt"), ("a PyTorch file", _EXPORT)),
    **dict.fromkeys((".xml", ".bin"), ("a file of OpenVINO's", _MADE_OF)),
    **dict.fromkeys((".engine", ".plan", ".trt"), _ENGINE),
}
"""The same by the end of a name, where the bytes say nothing."""


def _what_it_is(data: bytes, name: str) -> tuple[str, str]:
    """Return what a file that is no ONNX model looks like, empty where nothing tells, and what to do."""
    head = data[:300]
    text = head.lstrip().lower()
    for start, sign, what, fix in _BEGINNINGS:
        if head[start : start + len(sign)] == sign or (not start and text.startswith(sign)):
            return what, fix
    return _ENDINGS.get(name[name.rfind(".") :].lower(), ("", "copy or export it again"))
