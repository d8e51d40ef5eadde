"""What parent and worker say to each other: one JSON object a line, nothing else crosses between them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sweep.datasets.base import DatasetConfig
from sweep.models.base import FileState
from sweep.trial.spec import TrialSpec


@dataclass(frozen=True)
class TrialFiles:
    """Where this machine keeps what a spec names by digest; no part of a trial's identity.

    Attributes:
        model_path: The ONNX file; None for a backend that runs no model.
        dataset: How to open the dataset.
        cache: The cache folder.
        model_files: What the model's digest covers, where it may change on disk.
        model_notes: What a record must say of how the file was made.
    """

    model_path: str | None
    dataset: DatasetConfig
    cache: str
    model_files: tuple[FileState, ...] = ()
    model_notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunRequest:
    """Parent to worker: measure this.

    Attributes:
        spec: What to measure.
        files: Where its parts lie.
        directory: The trial's own folder: LoadGen's logs, user.conf and the worker's log go there.
        expected_latency_max_ns: The most that LoadGen is told to expect, whatever the warm-up shows; None for no limit.
    """

    spec: TrialSpec
    files: TrialFiles
    directory: str
    expected_latency_max_ns: int | None = None

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps({**vars(self), "spec": self.spec.to_json(), "files": asdict(self.files)})

    @classmethod
    def from_json(cls, line: str) -> RunRequest:
        """Rebuild a request from `to_json`."""
        data = json.loads(line)
        files = data["files"]
        return cls(
            spec=TrialSpec.from_json(data["spec"]),
            files=TrialFiles(
                files["model_path"],
                DatasetConfig(**files["dataset"]),
                files["cache"],
                tuple(FileState(**state) for state in files["model_files"]),
                tuple(files["model_notes"]),
            ),
            directory=data["directory"],
            expected_latency_max_ns=data["expected_latency_max_ns"],
        )


@dataclass(frozen=True)
class Warmup:
    """The untimed queries before a test.

    Attributes:
        query_count: How many there were.
        steady: Whether latency had settled when they ended.
        median_latency_ns: Of the newer half of them.
        min_latency_ns: The fastest.
        duration_ns: How long they took together.
    """

    query_count: int
    steady: bool
    median_latency_ns: int
    min_latency_ns: int
    duration_ns: int


def event(name: str, /, **fields: Any) -> str:
    """Return a worker's message, with its fields.

    `phase`, as each begins; `warming`, after the first warm-up query and now and then after more; `warm`, when the test
    begins; and last `done` or `fault`.
    """
    return json.dumps({"event": name, **fields})


def warmup_from(message: Mapping[str, Any]) -> Warmup:
    """Read the `warm` message."""
    return Warmup(**{key: message[key] for key in Warmup.__dataclass_fields__})
