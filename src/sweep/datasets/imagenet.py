"""Prepared ImageNet validation images: a folder of raw uint8 samples, and the dataset that reads it.

A store holds, once per interpolation, all samples one after the other in one file. It is complete when it has a
manifest, which is written last. `sweep.datasets.imagenet_prepare` makes stores.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sweep.datasets.base import Array, Dataset, DatasetConfig, describe, unread_seed
from sweep.errors import ConfigError, Problem, SweepError, choose
from sweep.models.base import TensorSpec

INTERPOLATIONS = ("area", "linear")
"""How images can be resized, the preferred first: MLPerf's resnet wants `area`, its mobilenet `linear`."""
DEFAULT_SIDE = 224
CHANNELS = 3
DIGEST_BYTES = 32

SCHEMA_VERSION = 1
"""Of the manifest. 1: the first."""

Labels = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint8]
"""[count, 2, 32]: per sample the SHA-256 of what it was made from, and of its bytes. Zeros: not made yet."""


class StoreFiles:
    """Every file name in a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = folder / "manifest.json"
        self.labels = folder / "labels.npy"
        self.lock = folder / ".lock"

    def samples(self, interpolation: str) -> Path:
        """Return the file of raw samples, uint8 [count, side, side, 3]."""
        return self.folder / f"samples-{interpolation}.u8"

    def marks(self, interpolation: str) -> Path:
        """Return the file of `Marks`."""
        return self.folder / f"samples-{interpolation}.sha256"

    def read_marks(self, interpolation: str, count: int) -> Marks:
        """Return the marks, zeros where the file ends early."""
        marks = np.zeros((count, 2, DIGEST_BYTES), dtype=np.uint8)
        with self.marks(interpolation).open("rb") as file:
            file.readinto(marks.reshape(-1).data)
        return marks


@dataclass(frozen=True)
class Manifest:
    """What a complete store holds.

    Attributes:
        count: Samples per interpolation.
        side: Height and width of a sample in pixels.
        digests: Per interpolation, the digest of its samples and the labels.
        opencv: Version of the OpenCV that decoded and resized.
        preprocessing: Version of our part of the preprocessing.
        schema_version: Version of this record.
    """

    count: int
    side: int
    digests: Mapping[str, str]
    opencv: str
    preprocessing: int
    schema_version: int = SCHEMA_VERSION

    @property
    def sample_bytes(self) -> int:
        """Size of one sample."""
        return self.side * self.side * CHANNELS

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {**vars(self), "digests": dict(self.digests)}


def default_store(cache: Path) -> Path:
    """Return the folder of prepared ImageNet where the user names none."""
    return cache / "datasets" / "imagenet"


def store_path(config: DatasetConfig, cache: Path) -> Path:
    """Return the folder that `config` means."""
    return default_store(cache) if config.path is None else Path(config.path).expanduser()


def prepare_command(config: DatasetConfig) -> str:
    """Return what the user has to type to fill the folder that `config` means."""
    out = "" if config.path is None else f" --out {shlex.quote(config.path)}"
    return f"python -m sweep dataset imagenet --images FOLDER --labels val_map.txt{out}"


def fits_imagenet(inputs: tuple[TensorSpec, ...], side: int = DEFAULT_SIDE) -> bool:
    """Whether a model takes such images: one uint8 input [side, side, 3]."""
    return len(inputs) == 1 and inputs[0].dtype == "uint8" and inputs[0].shape == (side, side, CHANNELS)


def has_store(folder: Path, interpolation: str | None) -> bool:
    """Whether there is a complete store with that interpolation (any, if None); a damaged store counts."""
    files = StoreFiles(folder)
    try:
        if not files.manifest.is_file():
            return False
    except OSError:  # a folder that this user may not look into
        return False
    try:
        return interpolation is None or interpolation in read_manifest(files).digests
    except ConfigError:
        return True


def read_manifest(files: StoreFiles) -> Manifest:
    """Return a store's manifest.

    Raises:
        ConfigError: It is damaged, or was written by a newer sweep.
        FileNotFoundError: There is none.
    """
    try:
        data = json.loads(files.manifest.read_text(encoding="utf-8"))
        version = data["schema_version"]
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise ConfigError(
                Problem(
                    "dataset.path",
                    files.folder,
                    f"was prepared by a newer sweep (schema {version}; this one knows {SCHEMA_VERSION})",
                    "update sweep, or prepare the images in another folder",
                )
            )
        return Manifest(
            count=int(data["count"]),
            side=int(data["side"]),
            digests={str(key): str(value) for key, value in data["digests"].items()},
            opencv=str(data["opencv"]),
            preprocessing=int(data["preprocessing"]),
        )
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _damaged(files, f"{files.manifest.name} cannot be read ({type(error).__name__}: {error})") from error


def store_digest(side: int, marks: Marks, labels: Labels) -> str:
    """Return `sha256:<hex>` over the samples (by their own digests), their size and the labels."""
    digest = hashlib.sha256(f"imagenet side {side} count {len(labels)}\n".encode())
    digest.update(np.ascontiguousarray(marks[:, 1]).tobytes())
    digest.update(labels.astype("<i8").tobytes())
    return f"sha256:{digest.hexdigest()}"


class ImagenetDataset(Dataset):
    """The first `count` samples of one interpolation of a store.

    Samples are read straight into the caller's array. A memory map would do the same work, but its pages would count
    as this process's memory a second time. Each sample is checked against its digest as it is read.
    """

    def __init__(self, path: Path, side: int, marks: Marks, labels: Labels, inputs: tuple[TensorSpec, ...]) -> None:
        super().__init__(
            name="imagenet",
            digest=store_digest(side, marks, labels),
            count=len(labels),
            inputs=inputs,
            labels=labels,
        )
        self._path = path
        self._digests = np.ascontiguousarray(marks[:, 1])

    def _read(self, indices: list[int], out: Mapping[str, Array]) -> None:
        rows = out[self.inputs[0].name].reshape(len(indices), -1)
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                for row, index in zip(rows, indices, strict=True):
                    self._read_sample(descriptor, index, row)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SweepError(f"{self._path}: {error.strerror or error}") from error

    def _read_sample(self, descriptor: int, index: int, row: Array) -> None:
        read_fully(descriptor, row, index * row.nbytes)
        if hashlib.sha256(row.data).digest() != self._digests[index].tobytes():
            raise SweepError(f"{self._path}: sample {index} changed since it was prepared; prepare the images again")


def read_fully(descriptor: int, row: Array, offset: int) -> None:
    """Fill a contiguous uint8 vector from a file; where the file ends early, the rest stays as it was."""
    view = row.data
    while len(view) and (got := os.preadv(descriptor, [view], offset)):
        view = view[got:]
        offset += got


def open_imagenet(config: DatasetConfig, inputs: tuple[TensorSpec, ...], cache: Path) -> Dataset:
    """Open a prepared store.

    Raises:
        ConfigError: There is none, it is unfinished or damaged, or it does not have what was asked for.
    """
    files = StoreFiles(store_path(config, cache))
    command = prepare_command(config)
    try:
        manifest = read_manifest(files)
    except FileNotFoundError:
        begun = any(files.samples(name).exists() for name in INTERPOLATIONS)
        reason = f"preparing the images in {files.folder} was not finished" if begun else f"no images in {files.folder}"
        fix = f"{'continue it' if begun else 'prepare them'}: {command}"
        raise ConfigError(Problem("dataset", "imagenet", reason, fix)) from None

    interpolation = config.interpolation
    if interpolation is None:
        interpolation = next((name for name in INTERPOLATIONS if name in manifest.digests), "")
    problems = unread_seed(config, "prepared images")
    if not fits_imagenet(inputs, manifest.side):
        shape = [manifest.side, manifest.side, CHANNELS]
        takes = describe(inputs)
        problems.append(
            Problem(
                "dataset", "imagenet", f"its samples are uint8{shape} but the model takes {takes}", "use dataset=auto"
            )
        )
    if interpolation not in manifest.digests:
        fix = f"{choose(interpolation, manifest.digests)}; or prepare it: {command} --interpolation {interpolation}"
        problems.append(Problem("dataset.interpolation", interpolation, f"is not prepared in {files.folder}", fix))
    if config.count is not None and config.count > manifest.count:
        fix = f"give at most {manifest.count}; or prepare more: {command} --count {config.count}"
        problems.append(
            Problem("dataset.count", config.count, f"{manifest.count} images are prepared in {files.folder}", fix)
        )
    if problems:
        raise ConfigError(problems)
    marks, labels = _checked(files, manifest, interpolation)
    count = manifest.count if config.count is None else config.count
    return ImagenetDataset(files.samples(interpolation), manifest.side, marks[:count], labels[:count], inputs)


def _checked(files: StoreFiles, manifest: Manifest, interpolation: str) -> tuple[Marks, Labels]:
    """Return marks and labels of a store in which everything but the samples' bytes is as the manifest says."""
    try:
        labels = read_labels(files)
        marks = files.read_marks(interpolation, manifest.count)
        size = files.samples(interpolation).stat().st_size
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise _damaged(files, str(error)) from error
    expected = manifest.count * manifest.sample_bytes
    if size != expected:
        raise _damaged(files, f"{files.samples(interpolation).name} has {size} bytes instead of {expected}")
    if (
        labels.shape != (manifest.count,)
        or store_digest(manifest.side, marks, labels) != manifest.digests[interpolation]
    ):
        raise _damaged(files, "the manifest does not belong to the labels and samples beside it")
    return marks, labels


def read_labels(files: StoreFiles) -> Labels:
    """Return a store's class ids, [count].

    Raises:
        FileNotFoundError: There is none.
        ValueError: They are none. NumPy evaluates a file's header, and stumbles in many ways over one that is damaged.
    """
    try:
        labels: Labels = np.load(files.labels, allow_pickle=False)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{files.labels.name} cannot be read ({type(error).__name__}: {error})") from error
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"{files.labels.name} holds no labels")
    return labels


def _damaged(files: StoreFiles, detail: str) -> ConfigError:
    fix = f"prepare the images again: {prepare_command(DatasetConfig(path=str(files.folder)))}"
    return ConfigError(Problem("dataset.path", files.folder, f"is damaged: {detail}", fix))
