"""Results as a DataFrame, for notebooks and scripts."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.errors import ConfigError, Problem
from sweep.results.filters import parse_filters
from sweep.results.selection import select
from sweep.store.table import to_frame

if TYPE_CHECKING:
    import pandas as pd

DAMAGED = "damaged"
"""Key of a frame's `attrs`: what could not be read, a line each."""


class DamagedRecordsWarning(UserWarning):
    """Some records could not be read, and are not in the frame."""


def load(
    places: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], filters: Iterable[str], stacklevel: int = 2
) -> pd.DataFrame:
    """Do what `sweep.load` says.

    Args:
        places: One path, or several.
        filters: As on the command line.
        stacklevel: Whose line a warning points at: 2 for the caller's.
    """
    several = (places,) if isinstance(places, str | os.PathLike) else places
    paths = [Path(place) for place in several]
    if not paths:
        raise ConfigError(Problem("places", None, "are none", "give at least one folder of results"))
    selection = select(paths, parse_filters(list(filters)))
    frame = to_frame(selection.trials)
    damaged = [str(error) for error in selection.damaged]
    frame.attrs[DAMAGED] = damaged
    if damaged:
        what = "1 record" if len(damaged) == 1 else f"{len(damaged)} records"
        lines = "\n  ".join([f"{what} cannot be read:", *damaged])
        warnings.warn(lines, DamagedRecordsWarning, stacklevel=stacklevel)
    return frame
