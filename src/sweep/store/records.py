"""Trials on disk: one folder per attempt, found again by content, never half-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from sweep.errors import RecordError, unwritable
from sweep.paths import AttemptPaths, OutputPaths, read_bytes, write_json
from sweep.store.latencies import check_latencies
from sweep.trial.result import TrialResult
from sweep.trial.spec import TrialSpec
from sweep.trial.verdict import JUDGE_VERSION
from sweep.vocabulary import TrialState


@dataclass(frozen=True)
class StoredTrial:
    """A record and where it lies."""

    result: TrialResult
    directory: Path


@dataclass(frozen=True)
class Attempt:
    """A folder for a trial that is about to be measured."""

    number: int
    paths: AttemptPaths


class Store:
    """The trials under one output folder. Several processes may use it at once.

    Args:
        root: The output folder; made when needed.
        say: Told once of each record that is passed over since it is damaged, in a line.
    """

    def __init__(self, root: Path, say: Callable[[str], None] | None = None) -> None:
        self._paths = OutputPaths(root)
        self._say = say
        self._damaged: set[str] = set()

    def begin(self, spec: TrialSpec, environment_digest: str) -> Attempt:
        """Make the folder of a new attempt and write the spec into it.

        Raises:
            ConfigError: The output folder cannot be written.
        """
        trial = self._trial(spec, environment_digest)
        try:
            trial.mkdir(parents=True, exist_ok=True)
            number = 1 + max((number for number, _ in self._paths.attempts(trial)), default=0)
            while True:
                paths = self._paths.attempt(trial, number)
                try:
                    paths.directory.mkdir()  # fails when another process took the number
                    break
                except FileExistsError:
                    number += 1
            write_json(paths.spec, spec.to_json())
        except OSError as error:
            raise unwritable(self._paths.root, error) from error
        return Attempt(number, paths)

    def finish(self, attempt: Attempt, result: TrialResult) -> StoredTrial:
        """Write the record; from here on the trial is measured.

        Raises:
            ConfigError: The output folder cannot be written any more.
        """
        try:
            write_json(attempt.paths.result, result.to_json())
        except OSError as error:
            raise unwritable(self._paths.root, error) from error
        return StoredTrial(result, attempt.paths.directory)

    def find(
        self, spec: TrialSpec, environment_digest: str, wanted: Callable[[TrialResult], bool] | None = None
    ) -> StoredTrial | None:
        """Return the newest COMPLETE attempt at this very trial in this very environment, judged as it would be now.

        Damaged records are passed over: the trial is measured again and its remains stay.

        Args:
            spec: Of the trial.
            environment_digest: Of this machine and its software.
            wanted: Whether a record will do; None takes any.
        """
        complete = [one for one in self.attempts(spec, environment_digest) if one.result.state is TrialState.COMPLETE]
        return next((one for one in reversed(complete) if wanted is None or wanted(one.result)), None)

    def attempts(self, spec: TrialSpec, environment_digest: str) -> list[StoredTrial]:
        """Return every finished attempt at this very trial, COMPLETE or FAILED, oldest first; damaged ones left out.

        So are imported ones: what another tool has measured never stands for a measurement.
        """
        found = []
        for _, paths in self._paths.attempts(self._trial(spec, environment_digest)):
            try:
                stored = load_attempt(paths)
                if stored is None or stored.result.imported is not None:
                    continue
                check_latencies(stored.result, stored.directory)
            except RecordError as error:
                self._pass_over(str(error))
                continue
            key = (stored.result.spec_digest, stored.result.environment_digest, stored.result.judge_version)
            if key == (spec.digest, environment_digest, JUDGE_VERSION):
                found.append(stored)
        return found

    def tested(self, spec: TrialSpec) -> list[int]:
        """Return the N for which a trial like this one, by the names of the folders, was begun; ascending."""
        like = spec.slug.removesuffix(str(spec.samples_per_query))
        ends = (one.name.removeprefix(like) for one in self._paths.all_trials() if one.name.startswith(like))
        return sorted({int(end.partition("-")[0]) for end in ends if end.partition("-")[0].isdecimal()})

    def _pass_over(self, damage: str) -> None:
        if self._say is not None and damage not in self._damaged:
            self._damaged.add(damage)
            self._say(f"note: {damage}; that record is passed over")

    def _trial(self, spec: TrialSpec, environment_digest: str) -> Path:
        return self._paths.trial(spec.slug, spec.digest, environment_digest)


def load_attempt(paths: AttemptPaths) -> StoredTrial | None:
    """Read one attempt's record; None when the attempt was not finished.

    Raises:
        RecordError: The record is damaged or from a newer sweep; the message names the file.
    """
    path = paths.result
    try:
        data = read_json(path)
    except FileNotFoundError:
        return None
    return StoredTrial(TrialResult.from_json(data, str(path)), paths.directory)


def read_json(path: Path) -> Any:
    """Read a file that sweep wrote: JSON by the letter, which has no NaN and no infinity.

    Raises:
        FileNotFoundError: There is none.
        RecordError: It cannot be read, or is no JSON; the message names the file.
    """
    try:
        return _DECODER.decode(read_bytes(path).decode())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: damaged: not text in UTF-8") from error
    except json.JSONDecodeError as error:
        raise RecordError(f"{path}: damaged: not JSON from line {error.lineno}, column {error.colno} on") from error
    except ValueError as error:
        raise RecordError(f"{path}: damaged: {error}") from error
    except RecursionError as error:
        raise RecordError(f"{path}: damaged: nested too deep") from error


def read_versioned(path: Path, newest: int, kind: str) -> dict[str, Any]:
    """Read a file of sweep's own that says in which version of its format it is.

    Args:
        path: The file.
        newest: Version that this sweep reads.
        kind: What it should be, with its article: `a certificate`.

    Raises:
        RecordError: It cannot be read, is something else, or was written by a newer sweep; the message names the file.
    """
    try:
        data = read_json(path)
    except FileNotFoundError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if not isinstance(version, int):
        raise RecordError(f"{path}: not {kind}")
    if version > newest:
        schemas = f"schema {version}, this one reads up to {newest}"
        raise RecordError(f"{path}: written by a newer sweep ({schemas}); update sweep to read it")
    return dict(data)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
