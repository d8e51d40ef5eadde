"""What lies in folders of results: records, sweeps and certificates, and by name whatever cannot be read."""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sweep.errors import ConfigError, Problem, RecordError
from sweep.paths import MANIFEST, RESULT, AttemptPaths, OutputPaths, SweepPaths
from sweep.results.filters import Filters
from sweep.search.base import Observation
from sweep.store.latencies import check_latencies
from sweep.store.records import StoredTrial, load_attempt, read_versioned
from sweep.study.certificate_file import SavedCertificate, SavedTest, read_certificate
from sweep.study.observe import observation
from sweep.study.search import SearchOutcome
from sweep.trial.spec import TrialSpec
from sweep.vocabulary import TestMode, TrialState

T = TypeVar("T")

MANIFEST_VERSION = 1
"""Of `sweep.json`. Newer is refused."""


@dataclass(frozen=True)
class SearchRecord:
    """A search as it lies on disk.

    Attributes:
        path: Its certificate's file.
        saved: What that says.
        tests: The records of its tests, in order; None for one that is gone or damaged.
    """

    path: Path
    saved: SavedCertificate
    tests: tuple[StoredTrial | None, ...]

    @property
    def environment(self) -> Mapping[str, Any] | None:
        """Fingerprint of machine and software; None when no record of its tests is left."""
        return next((test.result.environment for test in self.tests if test is not None), None)

    def outcome(self) -> SearchOutcome:
        """Return it as it was when it ended, with those of its tests whose records are left."""
        return self.saved.outcome(self.tests, self.path)

    def observations(self, wanted: Callable[[TrialSpec], bool] | None = None) -> list[Observation]:
        """Return what its tests tell a searcher, in order; those whose records are gone tell nothing.

        Args:
            wanted: Which of them by their specs; None for all.
        """
        pairs = zip(self.saved.tests, self.tests, strict=True)
        return [
            observation(said.ask, test.result, test.directory)
            for said, test in pairs
            if test is not None and (wanted is None or wanted(test.result.spec))
        ]


@dataclass(frozen=True)
class SweepRecord:
    """One command that ran tests.

    Attributes:
        paths: Its folder.
        arguments: Its command line.
        started_at: UTC, ISO 8601.
        finished_at: Likewise; None for one that was killed.
        planned: Points, or searches.
        done: Of these, how many were measured, or searched to some end, whatever is left of their records.
        tests: How many tests it names; likewise.
        trials: The records of its tests, in the order of its table; what cannot be read is left out.
        searches: Its searches.
        has_certificates: Whether it was a search, whatever filters let pass of it.
    """

    paths: SweepPaths
    arguments: tuple[str, ...]
    started_at: str
    finished_at: str | None
    planned: int
    done: int
    tests: int
    trials: tuple[StoredTrial, ...]
    searches: tuple[SearchRecord, ...]
    has_certificates: bool = False


@dataclass(frozen=True)
class Selection:
    """The results that a command works on.

    Attributes:
        trials: Every attempt once, by when it was started.
        sweeps: Commands, by when they were started; their trials and searches are those that the filters let pass.
        searches: Every search once, of these sweeps or named by its certificate's file.
        damaged: What cannot be read, each file once.
    """

    trials: tuple[StoredTrial, ...]
    sweeps: tuple[SweepRecord, ...]
    searches: tuple[SearchRecord, ...]
    damaged: tuple[RecordError, ...]


def select(
    places: Sequence[Path],
    filters: Filters | None = None,
    *,
    whole_searches: bool = False,
    with_latencies: bool = False,
) -> Selection:
    """Read what lies in some places.

    Args:
        places: Output folders, folders of sweeps, trials or attempts, or files of certificates and records.
        filters: What to keep.
        whole_searches: Whether to keep those searches alone of whose tests the filters let all pass: else two
            selections of different tests may hold the same searches.
        with_latencies: Whether a record whose latencies are damaged, or not its own, is damaged.

    Raises:
        ConfigError: A place does not exist or holds no results; every such place is named.
    """
    reader = _Reader(filters or Filters(), whole_searches, with_latencies)
    problems = [problem for place in places if (problem := reader.read(place)) is not None]
    if problems:
        raise ConfigError(problems)
    return reader.selection()


def missing_logs(stored: StoredTrial) -> tuple[str, ...]:
    """Return the names of LoadGen's logs that a record should have and that are gone."""
    paths = AttemptPaths(stored.directory)
    if stored.result.state is not TrialState.COMPLETE:
        return ()
    if stored.result.imported is not None:  # not all of them were kept
        return tuple(name for name in stored.result.imported.files if not (stored.directory / name).is_file())
    wanted = [paths.summary, paths.detail]
    if stored.result.spec.mode is TestMode.ACCURACY:
        wanted.append(paths.accuracy)
    return tuple(path.name for path in wanted if not path.is_file())


def output_root(place: Path) -> Path:
    """Return the output folder that a place is or belongs to."""
    paths = OutputPaths(place)
    if paths.trials.is_dir() or paths.sweeps.is_dir():
        return place
    return place.parent if place.name in (paths.trials.name, paths.sweeps.name) else _root_of(place)


class _Reader:
    """Reads places: each file once, by whichever path it is found."""

    def __init__(self, filters: Filters, whole_searches: bool, with_latencies: bool) -> None:
        self._filters = filters
        self._whole_searches = whole_searches
        self._with_latencies = with_latencies
        self._attempts: dict[Hashable, StoredTrial | None] = {}
        self._wanted: dict[int, StoredTrial] = {}
        self._searches: dict[Hashable, SearchRecord | None] = {}
        self._sweeps: dict[Hashable, SweepRecord | None] = {}
        self._damaged: dict[Path, RecordError] = {}

    def selection(self) -> Selection:
        trials = sorted(self._wanted.values(), key=lambda one: (one.result.timing.started_at, str(one.directory)))
        sweeps = [sweep for sweep in self._sweeps.values() if sweep is not None]
        searches = tuple(search for search in self._searches.values() if search is not None)
        sweeps.sort(key=lambda one: (one.started_at, str(one.paths.directory)))
        return Selection(tuple(trials), tuple(sweeps), searches, tuple(self._damaged.values()))

    def read(self, place: Path) -> Problem | None:
        """Read a place; return the problem where it holds nothing of ours."""
        fix = "give an output folder, or one of its parts; python -m sweep model=digits makes the first results"
        try:
            if not place.exists():
                return Problem(str(place), None, "does not exist", fix)
            is_ours = self._read(place)
        except OSError as error:
            return Problem(str(place), None, f"cannot be read: {error.strerror or error}", "give another folder")
        if not is_ours:
            return Problem(str(place), None, "holds no results of sweep", fix)
        return None

    def _read(self, place: Path) -> bool:
        folder = place.parent if place.name in (RESULT, MANIFEST) else place
        paths = OutputPaths(folder)
        if place.is_file() and folder is place:
            self._search(place, OutputPaths(_root_of(place)))
        elif paths.trials.is_dir() or paths.sweeps.is_dir():
            self._trials(paths)
            self._all_sweeps(paths)
        elif folder.name in (paths.trials.name, paths.sweeps.name):
            outputs = OutputPaths(folder.parent)
            (self._trials if folder.name == paths.trials.name else self._all_sweeps)(outputs)
        elif os.path.lexists(folder / MANIFEST):
            self._sweep(folder, OutputPaths(_root_of(folder)))
        elif os.path.lexists(folder / RESULT):
            self._want([self._attempt(AttemptPaths(folder))])
        elif attempts := paths.attempts(folder):
            self._want([self._attempt(one) for _, one in attempts])
        else:
            return False
        return True

    def _trials(self, paths: OutputPaths) -> None:
        """Read all attempts; without the garbage collector, which would walk all that were read again and again."""
        was_on = gc.isenabled()
        gc.disable()
        try:
            self._all_attempts(paths)
        finally:
            if was_on:
                gc.enable()

    def _all_attempts(self, paths: OutputPaths) -> None:
        for trial in self._listed(paths.trials, paths.all_trials):
            for _, attempt in self._listed(trial, functools.partial(paths.attempts, trial)):
                self._want([self._attempt(attempt)])

    def _all_sweeps(self, paths: OutputPaths) -> None:
        for folder in self._listed(paths.sweeps, paths.all_sweeps):
            if os.path.lexists(folder / MANIFEST):
                self._sweep(folder, paths)
            else:  # what it was is not known; its searches are
                left = SweepPaths(folder)
                found = list(self._searches_of(left, paths))
                if (found or left.csv.exists()) and not folder.is_symlink():
                    gone = f"{left.manifest}: is gone, so that the command is not known"
                    self._blame(left.manifest, RecordError(gone))

    def _listed(self, folder: Path, entries: Callable[[], list[T]]) -> list[T]:
        """Return what is in a folder; nothing, and a word on it, where that cannot be known."""
        try:
            return entries()
        except OSError as error:
            self._blame(folder, RecordError(f"{folder}: cannot be read: {error.strerror or error}"))
            return []

    def _want(self, found: Iterable[StoredTrial | None]) -> tuple[StoredTrial, ...]:
        """Keep what the filters let pass; return that."""
        wanted = [one for one in found if one is not None and self._filters.match(one)]
        self._wanted.update({id(one): one for one in wanted})
        return tuple(wanted)

    def _attempt(self, paths: AttemptPaths) -> StoredTrial | None:
        """Return the record of an attempt, read once; None for one that is unfinished or damaged."""
        key = _identity(paths.directory)
        if key not in self._attempts:
            try:
                self._attempts[key] = stored = load_attempt(paths)
                if stored is not None and self._with_latencies:
                    check_latencies(stored.result, stored.directory)
            except RecordError as error:
                self._attempts[key] = None
                self._blame(paths.result, error)
        return self._attempts[key]

    def _sweep(self, folder: Path, outputs: OutputPaths) -> None:
        paths, key = SweepPaths(folder), _identity(folder)
        if key in self._sweeps:
            return
        self._sweeps[key] = None
        searches = tuple(self._searches_of(paths, outputs))
        try:
            manifest = read_manifest(paths.manifest)
        except RecordError as error:
            self._blame(paths.manifest, error)
            return
        trials = [self._find(Path(text), outputs, paths.manifest) for text in manifest["trials"]]
        self._sweeps[key] = SweepRecord(
            paths=paths,
            arguments=tuple(manifest["arguments"]),
            started_at=manifest["started_at"],
            finished_at=manifest["finished_at"],
            planned=manifest["planned"],
            done=len(self._listed(folder, paths.certificates)) or len(manifest["trials"]),
            tests=len(manifest["trials"]),
            trials=self._want(trials),
            searches=searches,
            has_certificates=bool(self._listed(folder, paths.certificates)),
        )

    def _searches_of(self, paths: SweepPaths, outputs: OutputPaths) -> Iterator[SearchRecord]:
        for path in self._listed(paths.directory, paths.certificates):
            search = self._search(path, outputs)
            if search is not None:
                yield search

    def _search(self, path: Path, outputs: OutputPaths) -> SearchRecord | None:
        """Return a search that the filters let pass, from the file of its certificate."""
        key = _identity(path)
        if key not in self._searches:
            self._searches[key] = self._read_search(path, outputs)
        return self._searches[key]

    def _read_search(self, path: Path, outputs: OutputPaths) -> SearchRecord | None:
        try:
            saved = read_certificate(path)
        except RecordError as error:
            self._blame(path, error)
            return None
        tests = tuple(self._test(test, outputs, path) for test in saved.tests)
        found = [test for test in tests if test is not None]
        if not self._filters.match_search(saved.plan.spec, found[0] if found else None):
            return None
        if self._whole_searches and not all(map(self._filters.match, found)):
            return None
        self._want(tests)
        return SearchRecord(path, saved, tests)

    def _test(self, test: SavedTest, outputs: OutputPaths, origin: Path) -> StoredTrial | None:
        stored = self._find(Path(test.directory), outputs, origin)
        if stored is None or test.is_of(stored):
            return stored
        gone = f"{stored.directory}: is another record than the one that {origin} names, which is gone"
        self._blame(origin / stored.directory.name, RecordError(gone))
        return None

    def _find(self, recorded: Path, outputs: OutputPaths, origin: Path) -> StoredTrial | None:
        """Return the record that a sweep names: beside it, since output folders are moved, else where it was."""
        beside = outputs.trials / recorded.parent.name / recorded.name
        paths = next((AttemptPaths(one) for one in (beside, recorded) if os.path.lexists(one / RESULT)), None)
        if paths is None:
            self._blame(beside, RecordError(f"{beside}: the record is gone; {origin} names it"))
            return None
        return self._attempt(paths)

    def _blame(self, path: Path, error: RecordError) -> None:
        self._damaged.setdefault(path, error)


def _identity(path: Path) -> Hashable:
    """Return what a file or folder is the same by, whichever path leads to it."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # a loop, say, in a folder that is found by several paths
        return (path.name, _identity(path.parent)) if path.name else str(path)
    return found.st_dev, found.st_ino


def _root_of(place: Path) -> Path:
    """Return the output folder that a sweep's folder or file belongs to: the nearest above it that holds trials."""
    above = place.absolute().parents
    return next((one for one in above if OutputPaths(one).trials.is_dir()), above[0])


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the `sweep.json` of a command; its fields have the right types.

    Raises:
        RecordError: It cannot be read, is damaged, or is from a newer sweep; the message names the file.
    """
    data = read_versioned(path, MANIFEST_VERSION, "the manifest of a sweep")
    texts = {"arguments": list, "started_at": str, "planned": int, "trials": list}
    wrong = [name for name, kind in texts.items() if not isinstance(data.get(name), kind)]
    wrong += [name for name in ("arguments", "trials") if name not in wrong and not _all_text(data[name])]
    if wrong or not isinstance(data.get("finished_at"), str | None):
        raise RecordError(f"{path}: damaged manifest: {', '.join(wrong) or 'finished_at'}")
    return data


def _all_text(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
