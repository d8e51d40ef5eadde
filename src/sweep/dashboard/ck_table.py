"""The table of the Collective Knowledge dashboard of 2020, for whoever still has tools for it: written, never read."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sweep.dashboard.benchmarks import compared_as
from sweep.dashboard.points import DashboardPoint, Source
from sweep.vocabulary import Scenario, Verdict

if TYPE_CHECKING:
    import pandas as pd

INDEX = ("ID", "Division", "Category", "Submitter", "System", "Benchmark")
"""Columns that are the index too."""

_TEXTS = (
    *("Division", "Category", "Submitter", "Accelerator #", "System", "Software", "Benchmark", "ID", "Processor"),
    *("Processor #", "Accelerator", "FF_M", "FF_D", "FF_S", "FF_E", "Details", "Code", "Notes", "Task", "Scenario"),
)
_COUNTS = ("Accelerator #", "Processor #")
_TASKS = {"resnet": "IC2", "mobilenet": "IC1", "ssd-small": "OD1", "ssd-large": "OD2", "gnmt": "NMT"}
_ORDER = ("IC1", "IC2", "OD1", "OD2", "NMT")
_TASK_NAMES = {"IC": "image classification", "OD": "object detection", "NM": "machine translation"}
_SCENARIOS = {
    (Scenario.SINGLE_STREAM, "p90_latency_ns"): ("SS", 1e6),
    (Scenario.MULTI_STREAM, "samples_per_query"): ("MS", 1.0),
    (Scenario.SERVER, "scheduled_samples_per_second"): ("S", 1.0),
    (Scenario.OFFLINE, "samples_per_second"): ("O", 1.0),
}
"""By scenario and metric: the end of the column's name, and what a value is divided by."""

FIGURES = tuple(f"{what}_{task}_{name}" for what in "PA" for task in _ORDER for name in ("SS", "MS", "S", "O"))
"""The forty columns of figures."""

COLUMNS = (*_TEXTS, *FIGURES)
"""All sixty, in order."""

_PROTOCOL = 2
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can say: the same points make the same file at any time."""


def ck_zip(points: Sequence[DashboardPoint], name: str) -> tuple[bytes, int]:
    """Return the table, pickled, in a zip, and how many rows it has.

    Args:
        points: Those of VALID results whose benchmark, scenario and metric the table has a column for are in it.
        name: Of the zip, without its suffix: its one member is `NAME.pickle`.
    """
    frame = ck_frame(points)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(f"{name}.pickle", _LONG_AGO)
        member.compress_type = zipfile.ZIP_DEFLATED
        member.external_attr = 0o644 << 16
        archive.writestr(member, pickle.dumps(frame, protocol=_PROTOCOL))
    return file.getvalue(), len(frame)


def ck_frame(points: Sequence[DashboardPoint]) -> pd.DataFrame:
    """Return the table: a row per result, sixty columns, six of them the index as well."""
    import pandas as pd

    kept = [point for point in points if _figure_of(point) is not None and point.verdict == Verdict.VALID]
    rows = [_row(point, name) for point, name in zip(kept, _identifiers(kept), strict=True)]
    columns: dict[str, pd.Series[Any]] = {}
    for column in COLUMNS:
        dtype: Any = "float32" if column in FIGURES else "int64" if column in _COUNTS else "object"
        columns[column] = pd.Series([row.get(column) for row in rows], dtype=dtype)
    return pd.DataFrame(columns).set_index(list(INDEX), drop=False)


def _figure_of(point: DashboardPoint) -> tuple[str, str, float] | None:
    """Return the task, the scenario's short name and the divisor of a point; None for what the table has no column."""
    task = _TASKS.get(compared_as(point.benchmark))
    scenario = next((found for (name, metric), found in _SCENARIOS.items() if (name, metric) == _what(point)), None)
    return None if task is None or scenario is None else (task, *scenario)


def _what(point: DashboardPoint) -> tuple[str, str]:
    return point.scenario, point.metric


def _identifiers(points: Sequence[DashboardPoint]) -> list[str]:
    """Return a name for each row; those that would have the same are numbered."""
    names = [
        "/".join(
            part
            for part in (
                *(point.round, point.division, point.submitter, point.system_id or point.system, point.benchmark),
                *(point.precision, point.run_class, point.scenario),
            )
            if part
        )
        for point in points
    ]
    seen: Counter[str] = Counter()
    made = []
    for name in names:
        seen[name] += 1
        made.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return made


def _row(point: DashboardPoint, identifier: str) -> dict[str, Any]:
    found = _figure_of(point)
    if found is None:
        raise ValueError(f"no column of the table: {point.benchmark} {point.scenario} {point.metric}")
    task, scenario, divisor = found
    figures: dict[str, Any] = {f"P_{task}_{scenario}": point.value / divisor}
    if point.accuracy_percent is not None:
        figures[f"A_{task}_{scenario}"] = point.accuracy_percent
    inferred = f"inferred from {point.inferred_from}" if point.inferred_from else ""
    doubts = [
        inferred,
        point.doubt,
        f"{point.run_class} run, not official" if point.run_class and not point.is_full else "",
    ]
    notes = point.notes.split("; ")
    return {
        "Division": point.division,
        "Category": point.status,
        "Submitter": point.submitter,
        "Accelerator #": point.accelerators,
        "System": point.system,
        "Software": point.software,
        "Benchmark": point.benchmark,
        "ID": identifier,
        "Processor": point.processor,
        "Processor #": point.processors,
        "Accelerator": point.accelerator,
        **dict.fromkeys(("FF_M", "FF_D", "FF_S", "FF_E"), ""),
        "Details": "" if point.source is Source.OFFICIAL else f"{point.source}: {point.link}",
        "Code": "",
        "Notes": "; ".join(dict.fromkeys(part for part in (*doubts, *notes) if part)),
        "Task": _TASK_NAMES[task[:2]],
        "Scenario": point.scenario,
        **figures,
    }
