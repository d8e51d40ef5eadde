"""From an image file to a uint8 sample, the way the MLPerf Inference reference does it. Needs OpenCV."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sweep.errors import MissingDependencyError, Problem

PREPROCESSING = 1
"""To be raised when the same image begins to give other samples."""
CROP = 0.875
"""The part of the resized image's short side that the crop keeps."""

Sample = npt.NDArray[np.uint8]


class CorruptImageError(Exception):
    """An image that cannot be decoded; the message says why."""


def opencv() -> Any:
    """Return the module `cv2`.

    Raises:
        MissingDependencyError: It is not installed, or does not work with the NumPy that is.
    """
    try:
        import cv2
    except (ImportError, AttributeError) as error:  # AttributeError: a build for another major version of NumPy
        problem = Problem("opencv", None, f"cannot be imported ({error})", "pip install opencv-python-headless")
        raise MissingDependencyError(problem) from error
    return cv2


def read_samples(path: Path, interpolations: Iterable[str], side: int) -> dict[str, Sample]:
    """Decode an image once and return one sample [side, side, 3], RGB, per interpolation.

    As in the reference (vision/classification_and_detection, `pre_process_vgg` and `pre_process_mobilenet`): the short
    side is resized to int(side / 0.875), the long one to int of the same ratio, and the centre is cut out. Gray and
    CMYK images become RGB by OpenCV's conversion.

    Unlike the reference's plain `imread`, which turns an image whose EXIF tag says so, pixels are taken as stored: the
    networks were trained on images decoded without a look at EXIF.

    Raises:
        CorruptImageError: The file cannot be read, is cut off or is no image.
    """
    cv2 = opencv()
    image = _decode(cv2, path)
    height, width = image.shape[:2]
    short = int(side / CROP)
    size = (short, int(short * height / width)) if height > width else (int(short * width / height), short)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    methods = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}
    samples = {}
    for name in interpolations:
        try:
            resized = cv2.resize(image, size, interpolation=methods[name])
        except (cv2.error, MemoryError) as error:
            raise CorruptImageError(f"cannot be resized from {width}x{height} to {size[0]}x{size[1]}") from error
        samples[name] = np.ascontiguousarray(resized[top : top + side, left : left + side])
    return samples


def _decode(cv2: Any, path: Path) -> Sample:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorruptImageError(f"cannot be read: {error.strerror}") from error
    if not data:
        raise CorruptImageError("is empty")
    # Some OpenCV versions fill up a JPEG that is cut off with gray. A whole one has an end marker behind its last scan
    # (the one in an embedded thumbnail comes before it).
    if data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise CorruptImageError("is cut off: its JPEG data has no end")
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None:
            raise CorruptImageError("cannot be decoded as an image")
        rgb: Sample = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    except (cv2.error, MemoryError) as error:
        raise CorruptImageError(f"cannot be decoded: {' '.join(str(error).split())}") from error
    return rgb
