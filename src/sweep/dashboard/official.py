"""Official results that ship with sweep: 177 of MLPerf Inference v0.5, v0.7 and v1.0."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from importlib import resources

from sweep.dashboard.benchmarks import bound_ns
from sweep.dashboard.points import DashboardPoint, Source

_FILE = "official_results.csv"
_NOTHING = ("", "N/A")


def official_points() -> tuple[DashboardPoint, ...]:
    """Return all of them, in the order of the file."""
    text = resources.files("sweep.dashboard").joinpath("data", _FILE).read_text(encoding="utf-8")
    return tuple(_point(row) for row in csv.DictReader(io.StringIO(text)))


def _point(row: Mapping[str, str]) -> DashboardPoint:
    metric, value = row["metric"], float(row["value"])
    streams = int(row["value"]) if metric == "samples_per_query" else None
    p99 = int(row["p99_query_latency_ns"]) if row["p99_query_latency_ns"] else None
    bound = bound_ns(row["benchmark"], row["scenario"], metric)
    # One is: its verdict is that of its round all the same.
    over = p99 is not None and bound is not None and p99 > bound
    return DashboardPoint(
        source=Source.OFFICIAL,
        round=row["round"],
        division=row["division"],
        submitter=row["submitter"],
        system_id=row["system_desc_id"],
        system=row["system_name"] or row["system_desc_id"],
        status=row["status"].lower(),
        accelerator="" if row["accelerator"] in _NOTHING else row["accelerator"],
        accelerators=int(row["accelerators_per_node"] or 0),
        processor=row["host_processor"],
        processors=int(row["host_processors_per_node"] or 0),
        software=row["framework"],
        benchmark=row["benchmark"],
        scenario=row["scenario"],
        metric=metric,
        value=value,
        verdict=row["result"],
        samples_per_query=streams,
        p99_ns=p99,
        bound_ns=bound,
        notes="published as VALID, with a p99 over the bound" if over else "",
    )
