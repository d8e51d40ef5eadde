"""Reads the tree of a submission as it lies there, whoever made it: any file may be missing, damaged or hostile."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sweep.errors import ConfigError, LogError, Problem
from sweep.loadgen.logs import Detail, Summary, parse_detail, parse_summary
from sweep.loadgen.seeds import seeded_round
from sweep.paths import ACCURACY_LOG, DETAIL_LOG, SUMMARY_LOG, real
from sweep.submission.layout import ACCURACY_TXT, ResultPaths, SubmitterPaths
from sweep.submission.rounds import DIVISIONS, Round

JSON_MAX = 4 << 20
"""Bytes that a description may have."""

LOG_MAX = 256 << 20
"""Bytes that a log may have; those of accuracy tests have megabytes."""

T = TypeVar("T")


class UnreadableError(ValueError):
    """A file of a tree cannot be read; the message is a clause: `is missing`."""


@dataclass(frozen=True)
class TreeResult:
    """One result of a tree; its files are read when they are asked for.

    Attributes:
        paths: Its place.
        submitter: What all results of its submitter in that division share.
    """

    paths: ResultPaths
    submitter: TreeSubmitter

    @property
    def name(self) -> str:
        """Its place below the root, as people say it."""
        of = self.paths.of
        return f"{of.division}/{of.submitter}/{self.paths.system}/{self.paths.benchmark}/{self.paths.scenario}"

    @cached_property
    def performance(self) -> Summary | UnreadableError:
        """Summary of the performance test."""
        return _tried(lambda: self.summary_of(self.paths.performance))

    @cached_property
    def performance_detail(self) -> Detail | UnreadableError:
        """Its detail log."""
        return self._log(self.paths.performance / DETAIL_LOG, parse_detail)

    @cached_property
    def accuracy(self) -> Summary | UnreadableError:
        """Summary of the accuracy test."""
        return self._log(self.paths.accuracy / SUMMARY_LOG, parse_summary)

    @cached_property
    def accuracy_detail(self) -> Detail | UnreadableError:
        """Its detail log."""
        return self._log(self.paths.accuracy / DETAIL_LOG, parse_detail)

    @cached_property
    def accuracy_log(self) -> bytes | UnreadableError:
        """Its log of answers, shortened or whole."""
        return _tried(lambda: read_file(self.paths.accuracy / ACCURACY_LOG, LOG_MAX, self.paths.of.root))

    @cached_property
    def accuracy_text(self) -> str | UnreadableError:
        """What accuracy.txt says."""
        path = self.paths.accuracy / ACCURACY_TXT
        return _tried(lambda: _text(read_file(path, JSON_MAX, self.paths.of.root)).replace("\r\n", "\n"))

    @cached_property
    def system(self) -> Mapping[str, Any] | UnreadableError:
        """Description of its system."""
        return _tried(lambda: read_json_object(self.paths.of.system(self.paths.system), self.paths.of.root))

    def measurements(self, rules: Round) -> Path | UnreadableError:
        """Return the measurements file, found as the official checker finds it.

        Before v6.0 that is the first file, by name, that begins with the system's name and ends in `.json`.
        """
        folder = self.paths.measurements(rules)
        if rules.flat:
            return self.paths.measurements_file(rules, "")
        names = [path.name for path in entries(folder) if is_file(path)]
        name = next((one for one in names if one.startswith(self.paths.system) and one.endswith(".json")), None)
        return UnreadableError("is missing") if name is None else folder / name

    def benchmark(self, rules: Round) -> str | None:
        """Return the benchmark that it is of; None for none."""
        mapping = self.submitter.mapping
        known = (
            mapping if isinstance(mapping, Mapping) and rules.has_mapping and self.paths.of.division == "open" else {}
        )
        return rules.benchmark_of(self.paths.benchmark, {str(key): str(value) for key, value in known.items()})

    def summary_of(self, run: Path) -> Summary:
        """Return the summary of one of its runs, by the run's folder.

        Raises:
            UnreadableError: It cannot be read.
        """
        found = self._log(run / SUMMARY_LOG, parse_summary)
        if isinstance(found, UnreadableError):
            raise found
        return found

    def _log(self, path: Path, parse: Callable[[Path], T]) -> T | UnreadableError:
        def read() -> T:
            read_file(path, LOG_MAX, self.paths.of.root)
            try:
                return parse(path)
            except LogError as error:
                raise UnreadableError(str(error).replace(str(path), "").lstrip(": ")) from error

        return _tried(read)

    @property
    def seeds_of(self) -> str | None:
        """The round whose random seeds the performance test was drawn with; None where that is none, or not known."""
        return seeded_round(self.performance.settings) if isinstance(self.performance, Summary) else None


@dataclass(frozen=True)
class TreeSubmitter:
    """What one submitter has in one division.

    Attributes:
        paths: Its place.
    """

    paths: SubmitterPaths

    @property
    def name(self) -> str:
        """Its place below the root, as people say it."""
        return f"{self.paths.division}/{self.paths.submitter}"

    @cached_property
    def mapping(self) -> Mapping[str, Any] | UnreadableError:
        """Which benchmarks models of other names stand for; empty without a file."""
        if not os.path.lexists(self.paths.model_mapping):
            return {}
        return _tried(lambda: read_json_object(self.paths.model_mapping, self.paths.root))


@dataclass(frozen=True)
class Tree:
    """A submission tree.

    Attributes:
        root: Its root.
        submitters: All of them, by division and name.
        results: All of them, by place.
    """

    root: Path
    submitters: tuple[TreeSubmitter, ...]
    results: tuple[TreeResult, ...] = field(default=())


def read_tree(root: Path, division: str | None = None, field_name: str = "DIR") -> Tree:
    """Return what lies in a tree, unread.

    Args:
        root: The folder that holds `closed` or `open`.
        division: The one to look at; None for both.
        field_name: What the command line calls it.

    Raises:
        ConfigError: There is no such folder, or no submission in it.
    """
    if not os.path.isdir(root):  # noqa: PTH112  (of a name that is too long for a path, pathlib makes an error)
        reason = "is no folder" if os.path.lexists(root) else "does not exist"
        raise ConfigError(Problem(field_name, str(root), reason, "give the root of a submission"))
    submitters = [
        TreeSubmitter(SubmitterPaths(root, name, folder.name))
        for name in DIVISIONS
        if division in (None, name)
        for folder in folders(root / name)
    ]
    if not submitters:
        wanted = f"{division or '|'.join(DIVISIONS)}/SUBMITTER/results"
        above = next((one.parent for one in (root.absolute(), *root.absolute().parents) if one.name in DIVISIONS), None)
        fix = f"give the folder that holds {division or ' or '.join(DIVISIONS)}{f': {above}' if above else ''}"
        raise ConfigError(Problem(field_name, str(root), f"is no submission tree: there is no {wanted} in it", fix))
    return Tree(root, tuple(submitters), tuple(result for one in submitters for result in _results(one)))


def _results(submitter: TreeSubmitter) -> Iterator[TreeResult]:
    for system in folders(submitter.paths.results):
        for benchmark in folders(system):
            for scenario in folders(benchmark):
                yield TreeResult(ResultPaths(submitter.paths, system.name, benchmark.name, scenario.name), submitter)


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, by name; nothing where it cannot be read."""
    try:
        return sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError:
        return []


def folders(parent: Path) -> list[Path]:
    """Return the folders in a folder, by name; links are none, and lead to none."""
    return [] if is_link(parent) else [path for path in entries(parent) if is_folder(path) and not is_link(path)]


def is_folder(path: Path) -> bool:
    """Return whether it is a folder, as far as one may look."""
    return os.path.isdir(path)  # noqa: PTH112  (which raises nothing, for want of permission or a name too long)


def is_file(path: Path) -> bool:
    """Return whether it is a file, as far as one may look."""
    return os.path.isfile(path)  # noqa: PTH113  (likewise)


def is_link(path: Path) -> bool:
    """Return whether it is a link, as far as one may look."""
    return os.path.islink(path)  # noqa: PTH114  (likewise)


def read_file(path: Path, limit: int, root: Path) -> bytes:
    """Return what a file of a tree holds.

    Args:
        path: The file.
        limit: Bytes that it may have.
        root: The tree's root: no link below that is followed out of it.

    Raises:
        UnreadableError: It is missing, a link or no file, too large, or cannot be read.
    """
    parts = path.relative_to(root).parts
    try:
        inside = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
        if any(one.is_symlink() for one in inside) and not real(path).is_relative_to(real(root)):
            raise UnreadableError("is a link, or lies behind one, which is not followed")
        if not path.exists():
            raise UnreadableError("is missing")
        if not path.is_file():
            raise UnreadableError("is no file")
        if (size := path.stat().st_size) > limit:
            raise UnreadableError(f"has {size} bytes, more than the {limit} that are read")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error


def read_json_object(path: Path, root: Path) -> Mapping[str, Any]:
    """Return the JSON object that a file of a tree holds.

    Raises:
        UnreadableError: It holds none.
    """
    try:
        found = json.loads(read_file(path, JSON_MAX, root).decode())  # UTF-8 by the letter, as other readers take it
    except UnreadableError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"is no JSON: {' '.join(str(error).split())[:100]}") from error
    if not isinstance(found, dict):
        raise UnreadableError("is no JSON object")
    return found


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError("is no text in UTF-8") from error


def _tried(read: Callable[[], T]) -> T | UnreadableError:
    try:
        return read()
    except UnreadableError as error:
        return error
