"""What an archive brings: attempts and sweeps, each held against what its folder and its records say of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.environment import fingerprint_digest
from sweep.errors import RecordError
from sweep.paths import MANIFEST, RESULT, SPEC, OutputPaths
from sweep.results.archive_format import ArchivedFile, Index, is_attempt, refused, shown
from sweep.results.selection import MANIFEST_VERSION, read_manifest
from sweep.study import certificate_file
from sweep.study.certificate_file import read_certificate
from sweep.trial import result as trial_result
from sweep.trial.result import TrialResult
from sweep.trial.spec import TrialSpec

_JSON_BYTES = 64 * 2**20
_WRONG_DATA = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class ArchivedAttempt:
    """An attempt that lies in an archive.

    Attributes:
        folder: There: `trials/<trial>/<NNN>`.
        result: Its record.
        files: All of it.
    """

    folder: str
    result: TrialResult
    files: tuple[ArchivedFile, ...]

    @property
    def trial(self) -> str:
        """Name of the folder of its trial."""
        return self.folder.split("/")[1]

    @property
    def number(self) -> int:
        """Of the attempt, in the archive."""
        return int(self.folder.split("/")[2])


@dataclass(frozen=True)
class ArchivedSweep:
    """A sweep that lies in an archive. It names attempts by their folders there.

    Attributes:
        folder: There: `sweeps/<name>`.
        manifest: Its `sweep.json`.
        certificates: Of its searches, by file name.
        left_out: Names of files that this version cannot read.
    """

    folder: str
    manifest: Mapping[str, Any]
    certificates: Mapping[str, Mapping[str, Any]]
    left_out: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.split("/")[1]

    @property
    def attempts(self) -> set[str]:
        """Folders of all attempts that it names."""
        tests = (test["directory"] for data in self.certificates.values() for test in data["tests"])
        return {*self.manifest["trials"], *tests}


@dataclass(frozen=True)
class Content:
    """What can be taken out of an archive.

    Attributes:
        attempts: By trial and number.
        sweeps: By name.
        left_out: What a newer sweep has written, a line each.
    """

    attempts: tuple[ArchivedAttempt, ...]
    sweeps: tuple[ArchivedSweep, ...]
    left_out: tuple[str, ...]


class _MisfitError(Exception):
    """A file is not what its place says."""


class _NewerError(Exception):
    """A newer sweep has written a file."""


def read_content(archive: Path, index: Index, folder: Path) -> Content:
    """Read what was extracted from an archive, and check that all of it fits together.

    Args:
        archive: Its file, for messages.
        index: Its index.
        folder: Where its files lie; their digests are right.

    Raises:
        ConfigError: A record is damaged, lies in a folder that is not its own, or names what is not in the archive.
    """
    groups: dict[str, list[ArchivedFile]] = {}
    for line in index.files:
        groups.setdefault(line.folder, []).append(line)
    attempts: dict[str, ArchivedAttempt] = {}
    sweeps: list[ArchivedSweep] = []
    left_out: list[str] = []
    for one in sorted(groups, key=lambda one: (not is_attempt(one), one)):
        try:
            if is_attempt(one):
                attempts[one] = _attempt(one, groups[one], folder)
            else:
                sweeps.append(_sweep(one, groups[one], folder, groups.keys()))
        except _NewerError as newer:
            left_out.append(str(newer))
        except _MisfitError as misfit:
            member, _, reason = str(misfit).partition(": ")
            raise refused(archive, reason, member) from misfit
    left_out += [f"{one.folder}/{name}: written by a newer sweep" for one in sweeps for name in one.left_out]
    whole = [one for one in sweeps if one.attempts <= attempts.keys()]
    left_out += [f"{one.folder}: it names attempts that were left out" for one in sweeps if one not in whole]
    in_order = sorted(attempts.values(), key=lambda one: (one.trial, one.number))
    return Content(tuple(in_order), tuple(whole), tuple(left_out))


def _attempt(place: str, files: Sequence[ArchivedFile], folder: Path) -> ArchivedAttempt:
    names = {line.name for line in files}
    if RESULT not in names:
        raise _MisfitError(f"{place}: has no {RESULT}")
    member = f"{place}/{RESULT}"
    data = _json(folder, member, trial_result.SCHEMA_VERSION)
    try:
        result = TrialResult.from_json(data, member)
        own = OutputPaths(Path()).trial(result.spec.slug, result.spec_digest, result.environment_digest).name
        environment = fingerprint_digest(dict(result.environment))
    except (RecordError, *_WRONG_DATA) as error:
        raise _MisfitError(f"{member}: is a damaged record: {_last_part(error, member)}") from error
    if environment != result.environment_digest:
        raise _MisfitError(f"{member}: its environment has another digest than it says")
    if own != place.split("/")[1]:
        raise _MisfitError(f"{member}: belongs into the folder trials/{shown(own)}")
    if SPEC in names:
        _check_spec(folder, f"{place}/{SPEC}", result)
    return ArchivedAttempt(place, result, tuple(files))


def _check_spec(folder: Path, member: str, result: TrialResult) -> None:
    data = _json(folder, member)
    try:
        fits = TrialSpec.from_json(data).digest == result.spec_digest
    except _WRONG_DATA as error:
        raise _MisfitError(f"{member}: is a damaged spec") from error
    if not fits:
        raise _MisfitError(f"{member}: is not the spec of the record beside it")


def _sweep(place: str, files: Sequence[ArchivedFile], folder: Path, attempts: Iterable[str]) -> ArchivedSweep:
    names = [line.name for line in files]
    if MANIFEST not in names:
        raise _MisfitError(f"{place}: has no {MANIFEST}")
    member = f"{place}/{MANIFEST}"
    _json(folder, member, MANIFEST_VERSION)
    try:
        manifest = read_manifest(folder / member)
    except (RecordError, *_WRONG_DATA) as error:
        raise _MisfitError(f"{member}: is damaged") from error
    _check_references(member, manifest["trials"], attempts)
    certificates, left_out = {}, []
    for name in names:
        if name.endswith(".json") and name != MANIFEST:
            try:
                certificates[name] = _certificate(f"{place}/{name}", folder, attempts)
            except _NewerError:
                left_out.append(name)
    return ArchivedSweep(place, manifest, certificates, tuple(left_out))


def _certificate(member: str, folder: Path, attempts: Iterable[str]) -> Mapping[str, Any]:
    _json(folder, member, certificate_file.SCHEMA_VERSION)
    try:
        data = read_certificate(folder / member).data
    except (RecordError, *_WRONG_DATA) as error:
        raise _MisfitError(f"{member}: is a damaged certificate: {_last_part(error, str(folder / member))}") from error
    _check_references(member, [test["directory"] for test in data["tests"]], attempts)
    return data


def _check_references(member: str, named: Sequence[str], attempts: Iterable[str]) -> None:
    if strange := [one for one in named if one not in attempts or not is_attempt(one)]:
        raise _MisfitError(f"{member}: names an attempt that is not in the archive: {shown(strange[0])}")


def _json(folder: Path, member: str, version: int | None = None) -> Any:
    """Return the JSON of a file, if it can be read and written again, and is not newer than `version`."""
    path = folder / member
    if path.stat().st_size > _JSON_BYTES:
        raise _MisfitError(f"{member}: is larger than {_JSON_BYTES} bytes")
    try:
        data = json.loads(path.read_bytes())
        # No NaN or half a character.
        json.dumps(data, allow_nan=False, ensure_ascii=False).encode(errors="surrogateescape")
    except (ValueError, RecursionError) as error:
        raise _MisfitError(f"{member}: is damaged: not JSON") from error
    schema = data.get("schema_version") if isinstance(data, dict) else None
    if version is not None and type(schema) is int and schema > version:
        raise _NewerError(
            f"{member}: written by a newer sweep (schema {schema}, this one reads up to {version}); "
            "update sweep to read it"
        )
    return data


def _last_part(error: Exception, origin: str) -> str:
    text = str(error).removeprefix(f"{origin}: ")
    return shown(f"{text}" if isinstance(error, RecordError) else f"{type(error).__name__}: {text}")
