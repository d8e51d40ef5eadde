"""What one command leaves in its own folder: what it was, which trials it asked for, and their table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweep.errors import unwritable
from sweep.paths import SweepPaths, write_json

if TYPE_CHECKING:
    from sweep.study.measure import Outcome


class Manifest:
    """The summary of one command, written when it begins and when it ends.

    Args:
        paths: Names the files.
        arguments: The command line.
        planned: Points of the whole sweep, or searches.
    """

    def __init__(self, paths: SweepPaths, arguments: Sequence[str], planned: int) -> None:
        self._paths = paths
        self._arguments = list(arguments)
        self._planned = planned
        self._started_at = _now()
        self.has_tables = False

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
            raise unwritable(self._paths.directory, error, "hydra.sweep.dir") from error


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
