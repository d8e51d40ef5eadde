"""What one command leaves in its own folder: what it was, which trials it asked for, and their table."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweep.errors import ConfigError, Problem, unwritable
from sweep.paths import SweepPaths, write_json
from sweep.search.database import without_password

if TYPE_CHECKING:
    from sweep.config.hydra_app import Composition
    from sweep.study.measure import Outcome


class Manifest:
    """The summary of one command, written when it begins and when it ends.

    Args:
        composition: What the command composed to; says which folder that is.
        arguments: The command line, which is kept without passwords.
        planned: Points of the whole sweep, or searches.

    Raises:
        ConfigError: The folder holds something that is not this command's.
    """

    def __init__(self, composition: Composition, arguments: Sequence[str], planned: int) -> None:
        self._paths = SweepPaths(composition.directory)
        self._key = composition.folder_key
        self._arguments = [_without_secrets(argument) for argument in arguments]
        self._planned = planned
        self._started_at = _now()
        self.has_tables = False
        self._check_folder()

    def _check_folder(self) -> None:
        """Refuse a folder with files in it: they would be overwritten, or taken for results.

        The same command goes on in its own.
        """
        folder = self._paths.directory
        try:
            if not os.path.lexists(folder) or not os.listdir(folder):  # noqa: PTH208  (a name may be too long for pathlib)
                return
            before = json.loads(self._paths.manifest.read_bytes())
        except (FileNotFoundError, ValueError):
            before = None
        except OSError as error:
            raise unwritable(folder, error, self._key) from error
        if not isinstance(before, dict) or before.get("arguments") != self._arguments:
            reason = "is a folder that holds other files already"
            raise ConfigError(Problem(self._key, folder, reason, "give one that is empty or not there yet"))

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Write what is known; with outcomes, their tables too.

        Raises:
            ConfigError: The folder cannot be written.
        """
        from sweep.store.table import write_tables

        manifest = {
            "schema_version": 1,
            "arguments": self._arguments,
            "started_at": self._started_at,
            "finished_at": _now() if outcomes else None,
            "planned": self._planned,
            "trials": [str(outcome.stored.directory) for outcome in outcomes],
        }
        try:
            write_json(self._paths.manifest, manifest)
            if outcomes:
                write_tables([outcome.stored for outcome in outcomes], self._paths)
                self.has_tables = True
        except OSError as error:
            raise unwritable(self._paths.directory, error, self._key) from error


def _without_secrets(argument: str) -> str:
    """Return an argument as it may be kept: what is between `://` and `@` is nobody's business."""
    key, equals, value = argument.partition("=")
    if key.lstrip("+").endswith("search.storage"):
        return f"{key}{equals}{without_password(value)}"
    return re.sub(r"://[^/@\s]*@", "://***@", without_password(argument)) if "://" in argument else argument


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
