"""What a model is, before and after its file is found: pure data."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypedDict

from sweep.vocabulary import Weights


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of an engine.

    Attributes:
        name: Tensor name in the ONNX graph.
        dtype: NumPy dtype name (`uint8`, `float32`, `int64`, ...).
        shape: Shape of one sample, without the batch axis (which is always axis 0).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelConfig:
    """A model as the user asked for it: `conf/model/NAME.yaml` plus overrides. No file was touched yet.

    Attributes:
        name: `digits`, `resnet`, `mobilenet`, or the name of a model of the user's own.
        weights: `auto`, or one of the `Weights` values that this model offers.
        path: The user's ONNX file; None for the models that sweep knows.
        architecture: Key of a graph builder in `sweep.models.architectures`; None when there is none.
        reference_url: Where the reference ONNX file is published; None when there is none.
        reference_md5: Its known MD5 digest; None means trust on first use.
        input_name: Name of the image tensor inside the reference graph (float32, NCHW).
        scores_name: Name of the class scores tensor inside the reference graph, shape [N, classes].
        class_offset: Subtracted from the best class (1 where class 0 is "background").
        mean: Per-channel mean, in 0..255 units, that the graph subtracts from a uint8 sample.
        scale: Per-channel factor applied after the mean was subtracted.
        sample_shape: Shape of one uint8 sample, HWC.
        seed: Seed of synthetic weights.
    """

    name: str
    weights: str = "auto"
    path: str | None = None
    architecture: str | None = None
    reference_url: str | None = None
    reference_md5: str | None = None
    input_name: str | None = None
    scores_name: str | None = None
    class_offset: int = 0
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    sample_shape: tuple[int, ...] = ()
    seed: int = 0


class FileMarks(TypedDict):
    """What tells a file from every other; see `file_marks`."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


def file_marks(status: os.stat_result) -> FileMarks:
    """Return what tells a file from every other, and from itself before it was written again.

    Size and modification time do not: a program that copies can set the time. Nobody can set the time of the last
    change (`ctime`), and a file that took another's name has another inode.
    """
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
        "inode": status.st_ino,
        "device": status.st_dev,
    }


@dataclass(frozen=True)
class FileState:
    """A file as it was when its digest was taken.

    Attributes:
        path: The file.
        size: In bytes.
        mtime_ns: Modification time.
        ctime_ns: Time of the last change, of the contents or of what the file system knows about it.
        inode: Its number in its file system.
        device: The number of that.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, path: Path, status: os.stat_result) -> Self:
        """Return the state that `status` describes."""
        return cls(str(path), **file_marks(status))

    @property
    def changed(self) -> bool:
        """Whether it is no longer that file, or gone."""
        try:
            status = Path(self.path).stat()
        except OSError:
            return True
        return self != FileState.of(Path(self.path), status)


def changed_file(files: Sequence[FileState], digest: str) -> str | None:
    """Return the first of a model's files that is no longer what its digest was taken of; None where all are.

    One file alone may have been written again with the same contents, as a cache is by another process.

    Args:
        files: As they were.
        digest: `sha256:<hex>` of them.
    """
    changed = [file for file in files if file.changed]
    if not changed:
        return None
    if len(files) == 1:
        try:
            with Path(changed[0].path).open("rb") as file:
                if f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == digest:
                    return None
        except OSError:
            pass
    return changed[0].path


@dataclass(frozen=True)
class ResolvedModel:
    """A model whose file is on disk and ready for an engine.

    A model that classifies (`predicts_class`) has one uint8 NHWC input with the normalisation inside the
    graph, and one output `top1`: int32 [N], the class id, or -1 where the scores were not finite.

    Attributes:
        name: As in `ModelConfig`.
        weights: Where the weights really come from.
        path: The ONNX file to load.
        digest: `sha256:<hex>` over that file and any external data it refers to.
        inputs: The engine's inputs.
        outputs: The engine's outputs; a non-classifying model's are whatever its file declares.
        fixed_batch: The batch size that the file is frozen at, or None when its batch axis is dynamic.
        predicts_class: Whether accuracy mode can score it.
        number_format: What most of its weights are: `fp32`, `fp16`, `bf16`, `fp64` or `int8`.
        why: How `auto` was resolved, or what the file computes in where that is not what was asked for; for people,
            and empty when there is nothing to say.
        files: The files that `digest` covers, as they were when it was taken; no part of what the model is.
        calibration: What an int8 file of sweep's making was calibrated with (`Calibration.to_json`), else None.
        has_int8: Whether any of it is computed with int8.
        level: Highest level of graph optimisation at which ONNX Runtime loads a file of sweep's making on a CPU.
        notes: What a record must say of how the file was made.
    """

    name: str
    weights: Weights
    path: Path
    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    fixed_batch: int | None
    predicts_class: bool
    number_format: str = "fp32"
    why: str = ""
    files: tuple[FileState, ...] = field(default=(), compare=False)
    calibration: Mapping[str, Any] | None = None
    has_int8: bool = False
    level: str = "all"
    notes: tuple[str, ...] = ()
