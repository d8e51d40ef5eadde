"""Sweeps and searches of MLPerf Inference tests, with verdicts that can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import pandas as pd

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(places: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = "outputs", *filters: str) -> pd.DataFrame:
    """Return measured results as a DataFrame: a row for each attempt at a trial, oldest first.

    The columns are those of `results.parquet`, with the same types, each of which can hold a missing value;
    `python -m sweep ls --columns` lists their names, types, units and meanings.

        import sweep
        frame = sweep.load("outputs", "model=resnet", "result=VALID", "latency_p99_ms<50")

    Args:
        places: A path or several: output folders, folders of sweeps, trials or attempts, files of certificates.
        filters: As on the command line: `KEY=VALUE`, `KEY=V1,V2` (any of them), `KEY!=VALUE`; `<`, `<=`, `>`, `>=` of
            numbers. All must hold.

    Returns:
        The frame. `frame.attrs["damaged"]` names what could not be read, a line each; when there is something, a
        `DamagedRecordsWarning` says so as well.

    Raises:
        sweep.errors.ConfigError: A place does not exist or holds no results, or a filter is wrong.
    """
    from sweep.results.load import load as load_results

    return load_results(places, filters, stacklevel=3)
