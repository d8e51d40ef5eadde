"""What goes into an archive, and under which names: attempts by what they measured, sweeps with all their attempts."""

from __future__ import annotations

import filecmp
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.environment import fingerprint_digest
from sweep.paths import MANIFEST, RESULT, SPEC, OutputPaths, json_text
from sweep.results.archive_format import name_problem, sweep_name
from sweep.results.selection import SearchRecord, Selection, SweepRecord, missing_logs, read_manifest
from sweep.store.records import StoredTrial


@dataclass(frozen=True)
class Entry:
    """One file of an archive.

    Attributes:
        path: In the archive.
        source: The file; for what names other files, its bytes, with their places in the archive.
    """

    path: str
    source: Path | bytes


@dataclass(frozen=True)
class Plan:
    """What an archive will hold.

    Attributes:
        entries: By path.
        attempts: How many.
        sweeps: How many.
        notes: What is left out, or missing, and why: a line each.
    """

    entries: tuple[Entry, ...]
    attempts: int
    sweeps: int
    notes: tuple[str, ...]


def make_plan(selection: Selection) -> Plan:
    """Return what an archive of a selection will hold; files are looked at, not read.

    An attempt goes with all its files; a sweep goes when all of its attempts and searches are selected. Records, and
    sweeps that name them, are told apart where two output folders use one name for two things.

    Args:
        selection: From one output folder or several.
    """
    planner = _Planner()
    for stored in sorted(selection.trials, key=_place):
        planner.add_attempt(stored)
    for sweep in selection.sweeps:
        planner.add_sweep(sweep)
    folders = {sweep.paths.directory.resolve() for sweep in selection.sweeps}
    for search in selection.searches:
        if search.path.parent.resolve() not in folders:
            planner.notes.append(f"{search.path}: left out: a certificate goes with the folder of its sweep")
    entries = tuple(sorted(planner.entries, key=lambda entry: entry.path))
    damaged = {str(error).partition(": ")[0] for error in selection.damaged}  # each is named there
    notes = tuple(note for note in planner.notes if note.partition(": ")[0] not in damaged)
    return Plan(entries, len(set(planner.places.values())), len(planner.sweeps), notes)


class _Planner:
    """Gathers entries."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.places: dict[Path, str] = {}
        """Folders of attempts, and where they lie in the archive."""
        self.sweeps: list[str] = []
        self.notes: list[str] = []
        self._sources: dict[str, Path] = {}
        self._told: set[str] = set()

    def add_attempt(self, stored: StoredTrial) -> None:
        result, directory = stored.result, stored.directory
        if fingerprint_digest(dict(result.environment)) != result.environment_digest:
            self.notes.append(f"{directory}: left out: its environment has another digest than its record says")
            return
        own = OutputPaths(Path()).trial(result.spec.slug, result.spec_digest, result.environment_digest).name
        number = int(directory.name) if directory.name.isdecimal() else 1
        place = f"trials/{own}/{number:03d}"
        if reason := name_problem(f"{place}/{RESULT}"):
            self.notes.append(f"{directory}: left out: {reason}")
            return
        if link := next((one for one in (directory, directory.parent) if one.is_symlink()), None):
            self.notes.append(f"{link}: left out: links are not followed")
            return
        while place in self._sources and not _is_same(self._sources[place], directory):
            number += 1
            place = f"trials/{own}/{number:03d}"
        if place not in self._sources:
            files, notes = _files(directory, place)
            self.notes += notes
            if f"{place}/{RESULT}" not in {entry.path for entry in files}:
                return  # it is a link, as the notes say
            missing = [*missing_logs(stored), *([] if (directory / SPEC).is_file() else [SPEC])]
            self.notes += [f"{directory}: packed without {', '.join(missing)}, which is gone"] if missing else []
            self.entries += files
            self._sources[place] = directory
        self.places[directory.resolve()] = place

    def add_sweep(self, sweep: SweepRecord) -> None:
        folder = sweep.paths.directory
        manifest = read_manifest(sweep.paths.manifest)
        trials = [self.places.get(one.directory.resolve()) for one in sweep.trials]
        searches = {search.path.name: search for search in sweep.searches}
        tests = [None if one is None else self.places.get(one.directory.resolve()) for one in _tests(sweep)]
        wanted = [place for place in (*trials, *tests) if place is not None]
        if not wanted and manifest["trials"]:
            return  # none of it is selected
        if sweep.finished_at is None:
            self.notes.append(f"{folder}: left out: the sweep is unfinished")
            return
        if len(trials) != len(manifest["trials"]) or None in (*trials, *tests):
            self.notes.append(f"{folder}: left out: not all of its attempts are packed ({len(set(wanted))} are)")
            return
        told = {MANIFEST: {**manifest, "trials": trials}} | {file: self._tested(one) for file, one in searches.items()}
        if (text := folder.name + json_text(told)) in self._told:
            return  # the same lies in another output folder
        self._told.add(text)
        name = f"sweeps/{sweep_name(folder.name, (one.partition('/')[2] for one in self.sweeps))}"
        files, notes = _files(folder, name)
        self.notes += notes
        for entry in files:
            file = entry.path.rpartition("/")[2]
            if file in told:
                data = told[file] if file == MANIFEST else {**told[file], "directory": name}
                self.entries.append(Entry(entry.path, json_text(data).encode()))
            elif file.endswith(".json"):
                self.notes.append(f"{folder / file}: left out: it is damaged, or not selected")
            else:
                self.entries.append(entry)
        self.sweeps.append(name)

    def _tested(self, search: SearchRecord) -> dict[str, Any]:
        """Return a certificate that names its tests by their places in the archive, and no place of its own."""
        places = [self.places[test.directory.resolve()] for test in search.tests if test is not None]
        asked = search.saved.data["tests"]
        tests = [{**test, "directory": place} for test, place in zip(asked, places, strict=True)]
        return {**search.saved.data, "tests": tests, "directory": ""}


def _tests(sweep: SweepRecord) -> Iterator[StoredTrial | None]:
    for search in sweep.searches:
        yield from search.tests


def _files(folder: Path, place: str) -> tuple[list[Entry], list[str]]:
    """Return the files of a folder that go along, and a line on each that does not."""
    entries: list[Entry] = []
    notes: list[str] = []
    with os.scandir(folder) as found:
        for one in sorted(found, key=lambda one: one.name):
            kind = stat.S_IFMT(one.stat(follow_symlinks=False).st_mode)
            reason = "links are not followed" if kind == stat.S_IFLNK else "it is no plain file"
            if kind == stat.S_IFREG:
                reason = name_problem(f"{place}/{one.name}").replace("is none", "it is none", 1)
            if reason:
                notes.append(f"{one.path}: left out: {reason}")
            else:
                entries.append(Entry(f"{place}/{one.name}", Path(one.path)))
    return entries, notes


def _place(stored: StoredTrial) -> tuple[str, int]:
    """Return what orders attempts so that all of the first of several output folders keep their numbers."""
    folder = stored.directory
    return str(folder.parent), int(folder.name) if folder.name.isdecimal() else 0


def _is_same(one: Path, other: Path) -> bool:
    """Return whether two attempts are one, which lies in two output folders."""
    names = [sorted(entry.name for entry in folder.iterdir()) for folder in (one, other)]
    return names[0] == names[1] and not any(filecmp.cmpfiles(one, other, names[0], shallow=False)[1:])
