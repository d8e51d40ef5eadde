"""Where Optuna holds every study: what was asked and measured, for resuming and for its dashboard."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from sweep.errors import ConfigError, Problem
from sweep.search.base import Domain
from sweep.search.database import is_storage_error, open_database, unusable, without_password
from sweep.search.journal import StudyLock, open_journal
from sweep.search.quiet import load_optuna

SCHEMA = 1
"""Of the attributes that sweep gives to studies and trials. 1: the first."""

Space = Mapping[str, Domain | tuple[Any, ...]] | Mapping[str, tuple[Any, ...]]
"""Per parameter, the values that the study may give it. An integer may be left out."""

_SCHEMA_KEY = "sweep_schema"
_IDENTITY_KEY = "identity"
_PROCESS_KEY = "process"
_STARTS_OVER_KEY = "starts_over"
_RENAME = "choose another name with study=NAME"
_ANY_INT = 2**31 - 1


@dataclass(frozen=True)
class StudyTrial:
    """A finished trial of a study.

    Attributes:
        number: From 0, in the order in which they were begun.
        state: Optuna's: COMPLETE, PRUNED or FAIL.
        params: What was asked for.
        value: The objective; None when there is none.
        attributes: What sweep noted about it.
    """

    number: int
    state: str
    params: Mapping[str, Any]
    value: float | None
    attributes: Mapping[str, Any]


class Study:
    """One study, to be run by one process at a time; made by `StudyBook.study`.

    Attributes:
        name: Unique in its storage.
        existed: Whether it was there before.
    """

    def __init__(
        self, book: StudyBook, name: str, study_id: int, existed: bool, lock: StudyLock | None, left: dict[int, Any]
    ) -> None:
        self.name = name
        self.existed = existed
        self._book = book
        self._id = study_id
        self._lock = lock
        self._left = left  # what killed processes were running: number to parameters
        self._starts_over = bool(self.attributes().get(_STARTS_OVER_KEY))

    def trials(self) -> list[StudyTrial]:
        """Return the finished trials in the order in which they were begun, failed ones too."""
        with self._book.told() as storage:
            found = storage.get_all_trials(self._id)
        return [
            StudyTrial(one.number, one.state.name, dict(one.params), one.value, dict(one.user_attrs))
            for one in found
            if one.state.is_finished()
        ]

    def begin(self, params: Mapping[str, Any], space: Space | None = None) -> int:
        """Add a running trial and return its number; one that a killed process has left is gone on with.

        Its record may have been written before the process could end the trial, so it is not given up.

        Args:
            params: What is asked for, by name.
            space: What each of them may be, the same for all trials of the study.

        Raises:
            ValueError: A parameter that is no integer has no space.
        """
        if (number := next((one for one, left in self._left.items() if left == params), None)) is not None:
            del self._left[number]
            return number
        optuna = load_optuna()
        trial = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=dict(params),
            distributions={name: _distribution(name, value, space or {}) for name, value in params.items()},
            user_attrs={_PROCESS_KEY: _this_process()},
        )
        with self._book.told() as storage:
            return int(storage.get_trial_number_from_id(storage.create_new_trial(self._id, template_trial=trial)))

    def finish(
        self, number: int, value: float | None, attributes: Mapping[str, Any], constraint: float | None = None
    ) -> None:
        """End a trial that was measured.

        Args:
            number: Of the trial.
            value: Its objective; None counts as 0, since Optuna knows no COMPLETE trial without.
            attributes: What to note about it, as JSON.
            constraint: By how much the bound was exceeded; 0 or less when it was not.
        """
        self._end(number, "COMPLETE", value or 0.0, attributes, constraint)

    def prune(self, number: int, value: float | None, attributes: Mapping[str, Any]) -> None:
        """End a trial that was given up because it could not win."""
        self._end(number, "PRUNED", value, attributes)

    def fail(self, number: int, attributes: Mapping[str, Any]) -> None:
        """End a trial that could not be measured."""
        self._end(number, "FAIL", None, attributes)

    @property
    def starts_over(self) -> bool:
        """Whether it was begun with resume=false, so that records of other searches are none of its own."""
        return self._starts_over

    def entered(self) -> set[str]:
        """Return the records, by folder, of its finished trials."""
        return {str(trial.attributes["record"]) for trial in self.trials() if "record" in trial.attributes}

    def set(self, key: str, value: Any) -> None:
        """Note something about the whole study, as JSON."""
        with self._book.told() as storage:
            storage.set_study_user_attr(self._id, key, _plain(value))

    def attributes(self) -> dict[str, Any]:
        """Return what was noted about the whole study."""
        with self._book.told() as storage:
            return dict(storage.get_study_user_attrs(self._id))

    def close(self) -> None:
        """Let other processes run the study; trials that nobody has gone on with become FAIL."""
        with suppress(ConfigError):  # they are found again when the study is opened
            while self._left:
                self._end(self._left.popitem()[0], "FAIL", None, {"stale": True})
        if self._lock is not None:
            self._lock.release()

    def _end(
        self, number: int, state: str, value: float | None, notes: Mapping[str, Any], constraint: float | None = None
    ) -> None:
        optuna = load_optuna()
        states = optuna.trial.TrialState
        # Without a lock, another process may have ended what a killed one had left.
        with self._book.told() as storage, suppress(optuna.exceptions.UpdateFinishedTrialError):
            trial = storage.get_trial_id_from_study_id_trial_number(self._id, number)
            for key, note in notes.items():
                storage.set_trial_user_attr(trial, key, _plain(note))
            if constraint is not None:
                # The list is Optuna's older form: its samplers read both, its dashboard this one alone.
                storage.set_trial_system_attr(trial, "constraints", [float(constraint)])
            storage.set_trial_state_values(trial, states[state], None if value is None else [float(value)])


class StudyBook:
    """All studies of one storage.

    Args:
        storage: Optuna's.
        location: The file or URL, as it may be shown.
        journal: The file, when it is one.
    """

    def __init__(self, storage: Any, location: str, journal: Path | None) -> None:
        self.location = location
        self._storage = storage
        self._journal = journal

    @contextmanager
    def told(self) -> Iterator[Any]:
        """Lend the storage, and turn its failures into one line for the user."""
        try:
            yield self._storage
        except Exception as error:
            if not is_storage_error(error):
                raise
            raise unusable(self.location, error) from error

    def names(self) -> list[str]:
        """Return the names of all studies that sweep made."""
        with self.told() as storage:
            return sorted(one.study_name for one in storage.get_all_studies() if _SCHEMA_KEY in one.user_attrs)

    def study(self, name: str, identity: Mapping[str, Any], resume: bool) -> Study:
        """Make a study, or open it again with what killed processes were running, for `Study.begin` to go on with.

        Args:
            name: Letters, digits, dots, dashes and underscores, 200 at most.
            identity: What all its trials have in common, as JSON. A study with another identity is another study.
            resume: Whether it may exist.

        Raises:
            ConfigError: It exists and may not, is not the same, is not sweep's, or is being run by another process.
        """
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", name):
            raise _refused(name, "is no name for a study", "give 1 to 200 letters, digits, dots, dashes, underscores")
        wanted = _plain(dict(identity))
        study_id, existed = self._find_or_make(name)
        if existed:
            existed = self._check(name, study_id, wanted)
        if existed and not resume:
            raise _refused(name, "exists", "resume=false starts over, which needs another name: study=NAME")
        lock, left = self._claim(name, study_id)
        if not existed:
            with self.told() as storage:
                storage.set_study_user_attr(study_id, _IDENTITY_KEY, wanted)
                if not resume:
                    storage.set_study_user_attr(study_id, _STARTS_OVER_KEY, True)
                storage.set_study_user_attr(study_id, _SCHEMA_KEY, SCHEMA)  # last: from here on it is sweep's
        return Study(self, name, study_id, existed, lock, left)

    def _find_or_make(self, name: str) -> tuple[int, bool]:
        optuna = load_optuna()
        with self.told() as storage:
            try:
                return int(storage.get_study_id_from_name(name)), True
            except KeyError:
                pass
            try:
                directions = [optuna.study.StudyDirection.MAXIMIZE]
                return int(storage.create_new_study(directions, study_name=name)), False
            except optuna.exceptions.DuplicatedStudyError:  # another process was faster
                return int(storage.get_study_id_from_name(name)), True

    def _check(self, name: str, study_id: int, wanted: dict[str, Any]) -> bool:
        """Refuse a study that is not the wanted one; False for one that was made a moment ago and is still blank."""
        with self.told() as storage:
            found = storage.get_study_user_attrs(study_id)
            blank = not set(found) - {_IDENTITY_KEY, _STARTS_OVER_KEY} and not storage.get_all_trials(study_id)
            is_ours = [one.name for one in storage.get_study_directions(study_id)] == ["MAXIMIZE"]
        schema = found.get(_SCHEMA_KEY)
        if schema is None and blank and is_ours:
            return False
        identity = found.get(_IDENTITY_KEY)
        if not isinstance(schema, int) or not isinstance(identity, dict) or not is_ours:
            raise _refused(name, f"was not made by sweep, in {self.location}", _RENAME)
        if schema > SCHEMA:
            raise _refused(name, f"was made by a newer sweep (schema {schema}, known here: {SCHEMA})", "update sweep")
        if differing := [key for key in sorted(identity | wanted) if identity.get(key) != wanted.get(key)]:
            pairs = [f"{key}: {_brief(identity.get(key))} there, {_brief(wanted.get(key))} here" for key in differing]
            more = f"; and {len(pairs) - 4} more" if len(pairs) > 4 else ""
            raise _refused(name, f"is of something else ({'; '.join(pairs[:4])}{more})", _RENAME)
        return True

    def _claim(self, name: str, study_id: int) -> tuple[StudyLock | None, dict[int, Any]]:
        """Make sure that no other process runs the study; return what killed ones were running, by number."""
        lock = StudyLock(self._journal, name) if self._journal is not None else None
        holder = None
        if lock is not None:
            with self.told():
                holder = lock.acquire()
        if holder is not None and holder != os.getpid():
            raise _refused(name, f"is being run by process {holder or 'unknown'}", f"wait for it, or {_RENAME}")
        optuna = load_optuna()
        with self.told() as storage:
            left = storage.get_all_trials(study_id, states=(optuna.trial.TrialState.RUNNING,))
            for trial in left:
                # The lock knows better than the number of a process, which says nothing in another container.
                owner = None if lock is not None else _alive(trial.user_attrs.get(_PROCESS_KEY))
                if owner is not None:
                    raise _refused(name, f"is being run by {owner}", f"wait for it, or {_RENAME}")
            for trial in left:
                with suppress(optuna.exceptions.UpdateFinishedTrialError):  # ended by one that found it as well
                    storage.set_trial_user_attr(trial._trial_id, _PROCESS_KEY, _this_process())  # noqa: SLF001 Optuna gives no other way
        return lock, {trial.number: dict(trial.params) for trial in left}


def open_studies(storage: str | None, journal: Path) -> StudyBook:
    """Open the place where studies are kept.

    Args:
        storage: URL of a database; None for the journal.
        journal: File to keep studies in; made when needed, with its folder.

    Raises:
        ConfigError: Nothing can be kept there, or what lies there is no storage of Optuna's, which is left as it is.
        MissingDependencyError: The driver of the database is not installed.
    """
    if storage is None:
        return StudyBook(open_journal(journal), str(journal), journal)
    return StudyBook(open_database(storage), without_password(storage), None)


def _distribution(name: str, value: Any, space: Space) -> Any:
    distributions = load_optuna().distributions
    values = space.get(name)
    if isinstance(values, Domain):
        return distributions.IntDistribution(values.low, values.high, step=values.step)
    if values is not None:
        return distributions.CategoricalDistribution(values)
    if isinstance(value, int) and not isinstance(value, bool):
        # Always the same one, whatever the value: the dashboard plots what all trials have in common.
        return distributions.IntDistribution(0, max(value, _ANY_INT))
    raise ValueError(f"parameter {name}={value!r} needs a space")


def _this_process() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": psutil.Process().create_time()}


def _alive(process: Any) -> str | None:
    """Return how to name the process if it may still run; None for this one and for one that is gone."""
    if not isinstance(process, dict) or not isinstance(pid := process.get("pid"), int):
        return None
    if (host := process.get("host")) != socket.gethostname():
        return f"process {pid} on {host}, or was when that ended"
    if pid == os.getpid():
        return None
    try:
        found = psutil.Process(pid)
        same = abs(found.create_time() - float(process.get("started") or 0)) < 2
        return f"process {pid}" if same and found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _plain(value: Any) -> Any:
    """Return a value as it comes back from JSON; NaN, which the dashboard could not show, is refused."""
    return json.loads(json.dumps(value, allow_nan=False))


def _brief(value: Any) -> str:
    text = " ".join((value if isinstance(value, str) else json.dumps(value)).split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refused(name: str, reason: str, fix: str) -> ConfigError:
    return ConfigError(Problem("study", name, reason, fix))
