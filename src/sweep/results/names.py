"""Names of results as `ls` prints them and `show` takes them: of attempts, sweeps and searches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import ConfigError, Problem, closest
from sweep.paths import OutputPaths, SweepPaths, real
from sweep.results.selection import select

_SHOWN = 8


@dataclass(frozen=True)
class Named:
    """Something that can be shown.

    Attributes:
        name: As `ls` prints it, without the attempt.
        path: A trial's folder, a sweep's folder, or the file of a certificate.
        keys: What else it is called by, as a whole or by how that begins.
    """

    name: str
    path: Path
    keys: tuple[str, ...] = ()


def attempt_name(directory: Path) -> str:
    """Return the name of an attempt: its trial's folder and its number."""
    return f"{directory.parent.name}/{directory.name}"


def short_name(directory: Path) -> str:
    """Return the same without model, precision, backend and N: digests of spec and environment, and the number."""
    return f"{_digests(directory.parent.name)}/{directory.name}"


def find_named(word: str, places: Sequence[Path]) -> Path:
    """Return what a word means: a path, a name, or the beginning of one name only.

    Args:
        word: A path of an attempt, a trial, a sweep or a certificate; a name of one as `ls` prints it, whole, short or
            cut off; or the beginning of a spec's digest. A number of an attempt may follow the name of a trial.
        places: Where names are looked up; output folders, or parts of them.

    Returns:
        A trial's folder, an attempt's, a sweep's, or a certificate's file.

    Raises:
        ConfigError: It means nothing, or several things.
    """
    if not word:
        raise ConfigError(Problem("TRIAL", word, "is no name", "see python -m sweep ls"))
    if os.path.exists(word):  # noqa: PTH110  (of a name that is too long for a path, pathlib makes an error)
        return Path(word)
    name, slash, attempt = word.rstrip("/").rpartition("/")
    name, attempt = (name, attempt) if slash and attempt.isdecimal() else (word.rstrip("/"), "")
    known = [one for place in places for one in _known(place)]
    found = _unique([one for one in known if name in (one.name, *one.keys)])
    found = found or _unique([one for one in known if any(_begins(key, name) for key in (one.name, *one.keys))])
    if len(found) > 1:
        names = [one.name for one in found]
        # The same name in two places: only their paths tell them apart.
        shown = names if len(set(names)) == len(names) else [str(one.path) for one in found]
        more = f", and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        raise ConfigError(
            Problem(word, None, f"means {len(found)} results", f"choose one of: {', '.join(shown[:_SHOWN])}{more}")
        )
    if not found:
        names = [one.name for one in known]
        near = closest(name, [*names, *(key for one in known for key in one.keys)], most=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        where = ", ".join(map(str, places))
        raise ConfigError(Problem(word, None, f"no such result in {where}", f"{hint}see python -m sweep ls"))
    path = found[0].path
    if not attempt:
        return path
    if not (path / attempt).is_dir():
        there = ", ".join(paths.directory.name for _, paths in OutputPaths(path.parent.parent).attempts(path))
        raise ConfigError(Problem(word, None, "no such attempt", f"there are: {there or 'none'}"))
    return path / attempt


def _known(place: Path) -> list[Named]:
    try:
        return list(_named(place))
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise ConfigError(Problem(str(place), None, reason, "give another folder")) from error


def _named(place: Path) -> Iterator[Named]:
    """Yield what has a name in a place, without reading its records."""
    paths = OutputPaths(place)
    if not (paths.trials.is_dir() or paths.sweeps.is_dir()):
        selection = select([place])
        for trial in dict.fromkeys(one.directory.parent for one in selection.trials):
            yield Named(trial.name, trial, (_digests(trial.name),))
        for sweep in selection.sweeps:
            yield Named(sweep.paths.directory.name, sweep.paths.directory)
        for search in selection.searches:
            yield Named(search.path.stem, search.path)
        return
    for trial in paths.all_trials():
        yield Named(trial.name, trial, (_digests(trial.name),))
    for folder in paths.all_sweeps():
        yield Named(folder.name, folder)
        try:
            certificates = SweepPaths(folder).certificates()
        except OSError:
            continue  # such as a link that leads to itself, which `ls --damaged` names
        for path in certificates:
            # A study that was resumed has a certificate in each of its sweeps.
            yield Named(path.stem, path, (f"{folder.name}/{path.stem}",))


def _digests(trial: str) -> str:
    """Return the end of a trial's folder name: 12 digits of its spec's digest, 6 of its environment's."""
    return "-".join(trial.split("-")[-2:])


def _begins(key: str, word: str) -> bool:
    """Return whether a key begins with a word; a word may also be a whole digest, of which the key has 12 digits."""
    digest = key.partition("-")[0]
    return bool(word) and (key.startswith(word) or (len(digest) == 12 and len(word) > 12 and word.startswith(digest)))


def _unique(found: Sequence[Named]) -> list[Named]:
    return list({real(one.path): one for one in found}.values())
