"""Reads LoadGen's accuracy log and scores a classifier by it."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sweep.errors import LogError
from sweep.loadgen.logtext import foreign, read_text, shown

_CLASS_ID = struct.Struct("<f")
# Submissions keep the first and last 4,096 bytes of the log, with this between them.
_SHORTENED = re.compile(r"(?m)^[ \t]*\.\.\.[ \t\r]*$")


class Response(NamedTuple):
    """One response in an accuracy log.

    Attributes:
        seq_id: Number of the sample in the test.
        qsl_idx: Number of the sample in the library.
        data: What the system under test answered.
    """

    seq_id: int
    qsl_idx: int
    data: bytes


@dataclass(frozen=True)
class Accuracy:
    """How many samples were classified right; or the mean average precision (mAP) of an imported test of detection.

    Attributes:
        good: Samples whose class is the label; None for mAP, which counts none.
        total: All samples; None where it is not known, of mAP.
        accuracy: Their share, or mAP, in percent.
    """

    good: int | None
    total: int | None
    accuracy: float

    @property
    def metric(self) -> str:
        """What it is: `accuracy` or `mAP`."""
        return "mAP" if self.good is None else "accuracy"

    def __str__(self) -> str:
        counts = "".join(
            f", {name}={value}" for name in ("good", "total") if (value := getattr(self, name)) is not None
        )
        return f"{self.metric}={self.accuracy:.3f}%{counts}"


def read_accuracy_log(path: Path | str) -> list[Response]:
    """Return the responses of an accuracy log, in the order in which LoadGen wrote them.

    Args:
        path: `mlperf_log_accuracy.json`. A performance test leaves one without responses, which gives an empty list.

    Raises:
        LogError: The file is missing, empty, cut off, shortened for a submission, or not an accuracy log.
    """
    text = read_text(path)
    if not text.lstrip().startswith("["):
        raise foreign(path, "a LoadGen accuracy log", text)
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LogError(f"{path}: {_what_is_wrong(text, error)}") from None
    return [_response(path, number, entry) for number, entry in enumerate(entries)]


def score_top1(path: Path | str, labels: Sequence[int]) -> Accuracy:
    """Score an accuracy log of one float32 class id per sample.

    As in the reference scoring of MLPerf, the first response for a sample counts: MultiStream repeats samples to fill
    its last query.

    Args:
        path: `mlperf_log_accuracy.json`.
        labels: The right class of every sample of the library, by its index there.

    Raises:
        LogError: The log cannot be read, lacks samples, has samples beyond the labels, or answers that are no class id.
        ValueError: There are no labels.
    """
    total = len(labels)
    if total == 0:
        raise ValueError("no labels to score against")
    classes: dict[int, int] = {}
    for response in read_accuracy_log(path):
        if not 0 <= response.qsl_idx < total:
            index = shown(response.qsl_idx)
            raise LogError(f"{path}: sample {index} is outside the dataset of {total} samples")
        if response.qsl_idx not in classes:
            classes[response.qsl_idx] = _class_id(path, response)
    if len(classes) < total:
        absent = [index for index in range(total) if index not in classes]
        some = ", ".join(map(str, absent[:5])) + (", ..." if len(absent) > 5 else "")
        raise LogError(f"{path}: no response for {len(absent)} of {total} samples ({some})")
    good = sum(1 for index, label in enumerate(labels) if classes[index] == label)
    return Accuracy(good, total, 100 * good / total)


def _response(path: Path | str, number: int, entry: Any) -> Response:
    try:
        seq_id, qsl_idx, data = entry["seq_id"], entry["qsl_idx"], bytes.fromhex(entry["data"])
    except (KeyError, TypeError, ValueError):
        raise LogError(f"{path}: entry {number} is not a response (seq_id, qsl_idx and data in hex)") from None
    if type(seq_id) is not int or type(qsl_idx) is not int:
        raise LogError(f"{path}: entry {number} has a seq_id or qsl_idx that is not a whole number")
    return Response(seq_id, qsl_idx, data)


def _class_id(path: Path | str, response: Response) -> int:
    if len(response.data) != _CLASS_ID.size:
        size = len(response.data)
        raise LogError(f"{path}: the response for sample {response.qsl_idx} has {size} bytes, not one float32 class id")
    (value,) = _CLASS_ID.unpack(response.data)
    if not math.isfinite(value) or value != int(value):
        raise LogError(f"{path}: the response for sample {response.qsl_idx} is {value:g}, not a class id")
    return int(value)


def _what_is_wrong(text: str, error: Exception) -> str:
    if _SHORTENED.search(text):
        return "shortened for a submission (its middle is left out); score the log that LoadGen wrote"
    if not text.rstrip().endswith("]"):
        return "cut off: LoadGen did not finish it, or it was copied in part"
    where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
    return f"not valid JSON{where}; the log is damaged"
