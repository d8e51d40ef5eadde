"""Imports entries of CK's `experiment` module: every run of every point becomes a stored trial."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sweep.errors import ConfigError, Problem, RecordError, unwritable
from sweep.imports.ck_entry import Entry, PointFile, entries_of
from sweep.imports.ck_json import RefusedError, load_object, plain
from sweep.imports.ck_record import SOURCE, Record, make_record
from sweep.imports.tree import Tree, UnreadableError, open_tree
from sweep.paths import AttemptPaths, OutputPaths, write_bytes
from sweep.store.records import Attempt, Store, StoredTrial, load_attempt

_PART = ("features", "choices")


@dataclass
class Import:
    """What became of an import.

    Attributes:
        stored: The new records.
        known: Runs that are here already, a line each.
        notes: What a user should know, a line each.
        problems: What was left out, and why, a line each.
        entries: How many entries there were.
    """

    stored: list[StoredTrial] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    entries: int = 0


def import_ck(places: Sequence[Path], outputs: Path, say: Callable[[StoredTrial], None] | None = None) -> Import:
    """Import all entries in some folders and zips.

    What cannot be imported is named, and the rest is imported. A run that is in the output folder already, of the same
    entry and point and with the same content, is passed over.

    Args:
        places: Folders and zips; of one entry, or of a repository of several.
        outputs: The output folder.
        say: Called with each new record.

    Raises:
        ConfigError: A place cannot be read, or is a damaged or hostile zip, in which case nothing of any place is
            imported; or it holds no entry at all, or the output folder cannot be written.
    """
    problems: list[Problem] = []
    for place in places:  # all of them are looked at before the first record is written
        try:
            with open_tree(place) as tree:
                if next(entries_of(tree), None) is None:
                    fix = "give a folder or a zip with files named ckp-<uid>.0001.json"
                    problems.append(Problem(plain(place), None, "holds no entry of CK", fix))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    importer = _Importer(outputs, say or _say_nothing)
    for place in places:
        with open_tree(place) as tree:
            for entry in entries_of(tree):
                importer.add_entry(tree, entry)
    return importer.done


def _say_nothing(stored: StoredTrial) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class _Origin:
    """Files of an entry that are kept beside a record, byte by byte.

    Attributes:
        point: The point's.
        pipeline: The entry's; None where there is none.
    """

    point: bytes
    pipeline: bytes | None


class _Importer:
    """Imports entries one after the other."""

    def __init__(self, outputs: Path, say: Callable[[StoredTrial], None]) -> None:
        self.done = Import()
        self._store = Store(outputs)
        self._say = say
        self._imported_at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        self._known = _known(OutputPaths(outputs))

    def add_entry(self, tree: Tree, entry: Entry) -> None:
        self.done.entries += 1
        self.done.notes += entry.notes
        self.done.problems += entry.problems
        for point in entry.points:
            where = f"{entry.name}: {point.path.rpartition('/')[2]}"
            try:
                self._add_point(tree, entry, point, where)
            except (RefusedError, UnreadableError) as error:
                self.done.problems.append(f"{where}: {error}")

    def _add_point(self, tree: Tree, entry: Entry, point: PointFile, where: str) -> None:
        origin = _Origin(tree.read(point.path), entry.pipeline_bytes)
        data = load_object(origin.point)
        items = data.get("characteristics_list")
        if not isinstance(items, list) or not items:
            raise RefusedError("has no characteristics_list, so nothing that was measured")
        data = {**data, **_parts(tree, point, data)}
        for number, item in enumerate(items, start=1):
            name = f"{point.uid}.{point.number:04d}" + (f"/{number}" if number > 1 else "")
            this = where if len(items) == 1 else f"{where}, item {number} of {len(items)}"
            try:
                record = make_record(entry, data, item, name, self._imported_at)
            except RefusedError as error:
                self.done.problems.append(f"{this}: {error}")
                continue
            self._add_record(record, origin, this)

    def _add_record(self, record: Record, origin: _Origin, where: str) -> None:
        imported = record.result.imported
        key = ("", "") if imported is None else (imported.entry, imported.point)
        others = self._known.get(key, [])
        if same := next((one for one in others if _is_same(one, origin)), None):
            self.done.known.append(f"{where}: is here already: {same}")
            return
        if others:
            self.done.notes.append(f"{where}: was imported before with other content, which stays: {others[-1]}")
        stored = self._write(record, origin)
        self._known.setdefault(key, []).append(stored.directory)
        self.done.stored.append(stored)
        self._say(stored)

    def _write(self, record: Record, origin: _Origin) -> StoredTrial:
        """Write a record and its files; the record comes last, and what is left of a failure is taken away."""
        attempt = self._store.begin(record.result.spec, record.result.environment_digest)
        try:
            try:
                _write_files(attempt.paths, record.files, origin)
            except OSError as error:
                raise unwritable(attempt.paths.directory, error, "--outputs") from error
            return self._store.finish(attempt, replace(record.result, attempt=attempt.number))
        except BaseException:
            _remove(attempt)
            raise


def _write_files(paths: AttemptPaths, files: Mapping[str, bytes], origin: _Origin) -> None:
    for name, data in files.items():
        write_bytes(paths.directory / name, data)
    write_bytes(paths.ck_point, origin.point)
    if origin.pipeline is not None:
        write_bytes(paths.ck_pipeline, origin.pipeline)


def _remove(attempt: Attempt) -> None:
    folder = attempt.paths.directory
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.rmdir()
    except OSError:  # other attempts are in it
        return


def _parts(tree: Tree, point: PointFile, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the point's own file lacks and its extract has."""
    if all(isinstance(data.get(part), dict) for part in _PART):
        return {}
    path = f"{point.path.rpartition('/')[0]}/ckp-{point.uid}.features.json".lstrip("/")
    if path not in tree.paths:
        return {}
    extract = load_object(tree.read(path))
    return {part: extract[part] for part in _PART if part in extract and not isinstance(data.get(part), dict)}


def _known(paths: OutputPaths) -> dict[tuple[str, str], list[Path]]:
    """Return the folders of all records that were imported before, by entry and point."""
    found: dict[tuple[str, str], list[Path]] = {}
    try:
        for directory in _imported(paths):
            found.setdefault(directory[0], []).append(directory[1])
    except OSError as error:
        raise unwritable(paths.root, error, "--outputs") from error
    return found


def _imported(paths: OutputPaths) -> Iterator[tuple[tuple[str, str], Path]]:
    for attempt in paths.all_attempts():
        if not attempt.ck_point.is_file():
            continue
        try:
            stored = load_attempt(attempt)
        except RecordError:  # `ls --damaged` names it
            continue
        if stored is not None and (imported := stored.result.imported) is not None and imported.source == SOURCE:
            yield (imported.entry, imported.point), stored.directory


def _is_same(directory: Path, origin: _Origin) -> bool:
    """Return whether a record was made of the same files; how they are laid out as JSON does not matter."""
    paths = AttemptPaths(directory)
    return _same_json(paths.ck_point, origin.point) and _same_json(paths.ck_pipeline, origin.pipeline)


def _same_json(path: Path, data: bytes | None) -> bool:
    try:
        kept = path.read_bytes()
    except OSError:
        return data is None
    if data is None:
        return False
    try:
        return kept == data or load_object(kept) == load_object(data)
    except RefusedError:
        return False
