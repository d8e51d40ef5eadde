"""Brings an archive's results into an output folder: checked before anything lands, nothing overwritten, nothing half.

Every attempt and every sweep appears by the rename of a complete folder, onto an empty one that was made a moment
before: making it is how a running sweep claims its own (`Store.begin`), so the two never meet.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sweep.errors import ConfigError, Problem, unwritable
from sweep.paths import MANIFEST, STAGING_PREFIX, OutputPaths, SweepPaths, write_json
from sweep.results.archive_format import MAX_BYTES, ArchivedFile
from sweep.results.archive_reading import Archive, Progress, open_archive
from sweep.results.archive_records import ArchivedAttempt, ArchivedSweep, Content, read_content
from sweep.store.records import StoredTrial
from sweep.store.table import write_tables

_FIELD = "--outputs"
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)


@dataclass(frozen=True)
class Unpacked:
    """What became of an archive.

    Attributes:
        attempts: How many are new here.
        attempts_here: How many were here already.
        renumbered: New ones that have another number than in the archive, where that was taken.
        sweeps: How many are new here.
        sweeps_here: How many were here already.
        renamed: New ones that have another name, where that was taken: `old -> new`.
        left_out: What this version cannot read, a line each.
    """

    attempts: int
    attempts_here: int
    renumbered: int
    sweeps: int
    sweeps_here: int
    renamed: tuple[str, ...]
    left_out: tuple[str, ...]


def unpack(archive: Path, outputs: Path, max_bytes: int = MAX_BYTES, progress: Progress | None = None) -> Unpacked:
    """Merge an archive into an output folder; doing it again changes nothing.

    Args:
        archive: Made by `pack`, or by anybody.
        outputs: The output folder; made when needed. A sweep may be running there.
        max_bytes: What the archive may hold, unpacked.
        progress: Is told how many bytes of how many are checked.

    Raises:
        ConfigError: The archive is damaged or hostile, or the folder cannot be written. Nothing was changed then, but
            for a folder that became unwritable half-way: what has landed there is whole, and the same call goes on.
    """
    outputs = outputs.expanduser().absolute()
    with open_archive(archive, max_bytes) as opened:
        _check_space(opened, outputs)
        with _staging(outputs) as staging:
            opened.extract(staging, progress)
            content = read_content(archive, opened.index, staging)
            with _alone(outputs):
                return _merge(content, staging, OutputPaths(outputs))


def _check_space(archive: Archive, outputs: Path) -> None:
    try:
        there = next(one for one in (outputs, *outputs.parents) if one.exists())
    except OSError as error:  # a name that is too long
        raise unwritable(outputs, error, _FIELD) from error
    if not there.is_dir():
        raise ConfigError(Problem(_FIELD, outputs, "is no folder", "choose another folder"))
    if (free := shutil.disk_usage(there).free) < archive.total_bytes:
        reason = f"has {free} bytes left, and the archive holds {archive.total_bytes}"
        raise ConfigError(Problem(_FIELD, outputs, reason, "free some space, or choose another folder"))


@contextmanager
def _staging(outputs: Path) -> Iterator[Path]:
    """Lend a folder on the file system of the outputs; afterwards it is gone, and so is what had to be made for it."""
    made = [one for one in (outputs, *outputs.parents) if not one.exists()]
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=outputs, prefix=STAGING_PREFIX))
    except OSError as error:
        raise unwritable(outputs, error, _FIELD) from error
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        with suppress(OSError):  # not empty: something landed
            for one in made:
                one.rmdir()


@contextmanager
def _alone(outputs: Path) -> Iterator[None]:
    """Keep other unpackings out: two of one archive would each find the other's attempts missing.

    A file system that cannot lock a folder (NFS) lets both in, and then an attempt may be there twice.
    """
    descriptor = os.open(outputs, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _merge(content: Content, staging: Path, outputs: OutputPaths) -> Unpacked:
    try:
        places = {one.folder: _place_attempt(one, staging, outputs) for one in content.attempts}
        trials = {one.folder: StoredTrial(one.result, places[one.folder][0]) for one in content.attempts}
        names = {one.name: _place_sweep(one, staging, outputs, trials) for one in content.sweeps}
    except OSError as error:
        if error.errno == errno.EXDEV:
            reason = "has trials or sweeps on another file system"
            raise ConfigError(Problem(_FIELD, outputs.root, reason, "choose another folder")) from error
        raise unwritable(outputs.root, error, _FIELD) from error
    new = [one for one in content.attempts if places[one.folder][1]]
    landed = {name: place for name, (place, is_new) in names.items() if is_new}
    return Unpacked(
        attempts=len(new),
        attempts_here=len(places) - len(new),
        renumbered=sum(int(places[one.folder][0].name) != one.number for one in new),
        sweeps=len(landed),
        sweeps_here=len(names) - len(landed),
        renamed=tuple(f"{name} -> {place.name}" for name, place in landed.items() if place.name != name),
        left_out=content.left_out,
    )


def _place_attempt(attempt: ArchivedAttempt, staging: Path, outputs: OutputPaths) -> tuple[Path, bool]:
    """Return where an attempt lies from now on, and whether it is new there."""
    trial = outputs.trials / attempt.trial
    taken = outputs.attempts(trial)
    for _, paths in taken:
        if _holds(paths.directory, attempt.files):
            return paths.directory, False
    number = attempt.number
    if number in dict(taken):
        number = 1 + max(dict(taken))
    trial.mkdir(parents=True, exist_ok=True)
    while not _land(staging / attempt.folder, outputs.attempt(trial, number).directory):
        number += 1
    return outputs.attempt(trial, number).directory, True


def _place_sweep(
    sweep: ArchivedSweep, staging: Path, outputs: OutputPaths, trials: Mapping[str, StoredTrial]
) -> tuple[Path, bool]:
    """Return where a sweep lies from now on, and whether it is new there."""
    outputs.sweeps.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        target = outputs.sweeps / (sweep.name if number == 1 else f"{sweep.name}-{number}")
        files = _rewritten(sweep, target, trials)
        if not os.path.lexists(target):
            if _land(staging / sweep.folder, target, partial(_write_sweep, sweep, files, staging, trials)):
                return target, True
        elif all(_same_sweep(target / name, data) for name, data in files.items()):
            return target, False
        number += 1


def _land(staged: Path, target: Path, prepare: Callable[[], None] | None = None) -> bool:
    """Move a folder to a place that nobody has; False where somebody took it.

    Args:
        staged: On the same file system.
        target: Below a folder that is there.
        prepare: Completes what is staged, once the place is ours.
    """
    try:
        target.mkdir()
    except FileExistsError:
        return False
    try:
        if prepare is not None:
            prepare()
        staged.rename(target)  # onto our own empty folder
    except BaseException as error:
        with suppress(OSError):  # no longer empty
            target.rmdir()
        if isinstance(error, OSError) and error.errno in _TAKEN:
            return False
        raise
    return True


def _rewritten(sweep: ArchivedSweep, target: Path, trials: Mapping[str, StoredTrial]) -> dict[str, dict[str, Any]]:
    """Return a sweep's JSON files, by name, with the places that its attempts have here."""

    def here(folder: str) -> str:
        return str(trials[folder].directory)

    files = {MANIFEST: {**sweep.manifest, "trials": [here(one) for one in sweep.manifest["trials"]]}}
    for name, data in sweep.certificates.items():
        tests = [{**test, "directory": here(test["directory"])} for test in data["tests"]]
        files[name] = {**data, "tests": tests, "directory": str(target)}
    return files


def _write_sweep(
    sweep: ArchivedSweep, files: Mapping[str, dict[str, Any]], staging: Path, trials: Mapping[str, StoredTrial]
) -> None:
    """Complete a staged sweep: its JSON names places here, and its tables are made of the records."""
    paths = SweepPaths(staging / sweep.folder)
    for name in sweep.left_out:
        (paths.directory / name).unlink(missing_ok=True)
    for name, data in files.items():
        write_json(paths.directory / name, data)
    named = [trials[one] for one in sweep.manifest["trials"]]
    if named:
        write_tables(named, paths)
    else:
        for table in (paths.csv, paths.parquet):
            table.unlink(missing_ok=True)


def _same_sweep(path: Path, data: dict[str, Any]) -> bool:
    """Return whether a file says what it would say here: of the same attempts, wherever its folder once was."""
    try:
        there = json.loads(path.read_bytes())
        return isinstance(there, dict) and _by_attempt(there) == _by_attempt(data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False  # what lies there is none of ours


def _by_attempt(data: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest or a certificate with its attempts by trial and number, and without its own place."""
    plain = {key: value for key, value in data.items() if key != "directory"}
    if "trials" in plain:
        plain["trials"] = [Path(one).parts[-2:] for one in plain["trials"]]
    if "tests" in plain:
        plain["tests"] = [{**test, "directory": Path(test["directory"]).parts[-2:]} for test in plain["tests"]]
    return plain


def _holds(directory: Path, files: tuple[ArchivedFile, ...]) -> bool:
    """Return whether a folder has everything that an attempt in the archive would bring."""
    return all(_is_same(directory / line.name, line) for line in files)


def _is_same(path: Path, line: ArchivedFile) -> bool:
    try:
        if path.stat().st_size != line.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == line.sha256
    except OSError:
        return False
