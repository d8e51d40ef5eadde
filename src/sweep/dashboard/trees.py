"""Results of submission trees as points: of any round, whoever submitted them, as far as their files say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweep.dashboard.benchmarks import bound_ns
from sweep.dashboard.points import DashboardPoint, Source
from sweep.errors import ConfigError, LogError, Problem
from sweep.loadgen.logs import Summary, parse_summary
from sweep.paths import SUMMARY_LOG
from sweep.submission.layout import ACCURACY_TXT, ResultPaths, SubmitterPaths
from sweep.submission.rounds import DIVISIONS
from sweep.vocabulary import Scenario, Verdict

_ROUND = re.compile(r"v\d{1,2}\.\d{1,2}")
_UNKNOWN_ROUND = "round not known"
_ACCURACY = re.compile(r"(?:accuracy|mAP|BLEU)\s*[=:]\s*(\d{1,3}(?:\.\d{1,12})?)\s*%")
_TEXT_MAX = 200
"""Characters of a description that are taken over."""

_JSON_MAX = 1 << 20
"""Bytes that a system's description may have."""


@dataclass(frozen=True)
class TreePoints:
    """What a submission tree gives.

    Attributes:
        root: The tree, as it was named.
        points: Its performance results.
        problems: What of it could not be read, a line each.
    """

    root: Path
    points: tuple[DashboardPoint, ...]
    problems: tuple[str, ...]


def tree_points(root: Path) -> TreePoints:
    """Read the performance results of a submission tree.

    Their round is that in the name of the tree's folder, or of one above it; nothing in a tree tells it.

    Raises:
        ConfigError: It is no submission tree.
    """
    problems: list[str] = []
    try:
        found = list(_results(root))
    except OSError as error:
        raise ConfigError(
            Problem("--add", str(root), f"cannot be read: {error.strerror or error}", "give another folder")
        ) from error
    if not found:
        wanted = f"{'|'.join(DIVISIONS)}/SUBMITTER/results/SYSTEM/BENCHMARK/SCENARIO/performance/run_1/{SUMMARY_LOG}"
        reason = "does not exist" if not root.exists() else f"is no submission tree: there is no {wanted}"
        raise ConfigError(Problem("--add", str(root), reason, f"give the folder that holds {' or '.join(DIVISIONS)}"))
    systems: dict[Path, Mapping[str, Any]] = {}
    points = []
    for paths, runs in found:
        file = paths.of.system(paths.system)
        if file not in systems:
            systems[file] = _description(file, problems)
        try:
            summaries = [parse_summary(run / SUMMARY_LOG) for run in runs]
        except LogError as error:
            problems.append(str(error))
            continue
        made = [_point(root, paths, systems[file], summary) for summary in summaries]
        whole = [one for one in made if one is not None and math.isfinite(one.value) and one.value > 0]
        if len(whole) < len(made):
            problems.append(f"{runs[0] / SUMMARY_LOG}: is of no performance test with a result")
            continue
        points.append(_of_runs(whole))
    return TreePoints(root, tuple(points), tuple(map(printable, problems)))


def _results(root: Path) -> Iterator[tuple[ResultPaths, list[Path]]]:
    """Yield each result of a tree with the folders of its runs, by name."""
    for division in DIVISIONS:
        for submitter in _folders(root / division):
            of = SubmitterPaths(root, division, submitter.name)
            for system in _folders(of.results):
                for benchmark in _folders(system):
                    for scenario in _folders(benchmark):
                        paths = ResultPaths(of, system.name, benchmark.name, scenario.name)
                        runs = [run for run in _folders(paths.performance.parent) if (run / SUMMARY_LOG).is_file()]
                        if runs:
                            yield paths, runs


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _description(file: Path, problems: list[str]) -> Mapping[str, Any]:
    """Return a system's description; nothing, and a word on it, where it cannot be read."""
    wrong = ""
    found: Any = None
    try:
        if file.stat().st_size > _JSON_MAX:
            wrong = f"is larger than {_JSON_MAX} bytes"
        else:
            found = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        wrong = f"cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError) as error:
        wrong = f"is no JSON: {error}"
    if isinstance(found, dict):
        return found
    problems.append(f"{file}: {wrong or 'is no JSON object'}")
    return {}


def _point(root: Path, paths: ResultPaths, description: Mapping[str, Any], summary: Summary) -> DashboardPoint | None:
    """Return the result of one run; None where its summary has none."""
    scenario = summary.scenario
    found = _value(summary)
    if scenario is None or summary.loadgen_result is None or found is None:
        return None
    metric, value = found
    latencies = summary.query_latency.percentiles_ns or summary.sample_latency.percentiles_ns
    accelerators = _count(description.get("accelerators_per_node"))
    nodes = max(1, _count(description.get("number_of_nodes")))
    return DashboardPoint(
        source=Source.TREE,
        round=_round_of(root),
        division=paths.of.division,
        submitter=printable(paths.of.submitter),
        system_id=printable(paths.system),
        system=_text(description.get("system_name")) or printable(paths.system),
        status=_text(description.get("status")).lower(),
        accelerator=_text(description.get("accelerator_model_name")) if accelerators else "",
        accelerators=accelerators * nodes,
        processor=_text(description.get("host_processor_model_name")),
        processors=_count(description.get("host_processors_per_node")) * nodes,
        software=_text(description.get("framework")),
        benchmark=printable(paths.benchmark),
        scenario=str(scenario),
        metric=metric,
        value=value,
        verdict=summary.loadgen_result,
        samples_per_query=summary.samples_per_query if scenario is Scenario.MULTI_STREAM else None,
        p99_ns=latencies.get("p99") if scenario is Scenario.MULTI_STREAM else None,
        bound_ns=summary.target_latency_ns
        if metric == "samples_per_query" and summary.target_latency_ns
        else bound_ns(paths.benchmark, str(scenario), metric),
        accuracy_percent=_accuracy(paths.accuracy / ACCURACY_TXT),
        link=printable(paths.performance / SUMMARY_LOG),
        notes="verdict as its summary says, not checked here",
    )


def _value(summary: Summary) -> tuple[str, float] | None:
    """Return the metric of a scenario and its value.

    Since v2.0 both streams' is LoadGen's early-stopping estimate, of p90 for SingleStream and of p99 for MultiStream;
    before that SingleStream's is p90 itself and MultiStream's how many samples a query has.
    """
    estimates = summary.early_stopping_results.get("latency")
    figure = summary.metric
    if summary.scenario in (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM):
        name = "p90" if summary.scenario is Scenario.SINGLE_STREAM else "p99"
        if estimates is not None and name in estimates.estimates_ns:
            return f"{name}_latency_ns", float(estimates.estimates_ns[name])
        if figure is not None and figure.unit == "ns" and estimates is None:
            return (f"{name}_latency_ns", float(figure.value)) if figure.name.startswith(name[1:]) else None
    if figure is None or figure.unit == "ns":
        return None
    if summary.scenario is Scenario.MULTI_STREAM:
        return ("samples_per_query", float(figure.value)) if figure.unit == "samples" else None
    return re.sub(r"[^a-z0-9]+", "_", figure.name.lower()).strip("_"), float(figure.value)


def _of_runs(points: list[DashboardPoint]) -> DashboardPoint:
    """Return what several runs of one result are worth: the least of them, and VALID when all are (rules of v0.5)."""
    if len(points) == 1:
        return points[0]
    worst = (max if points[0].metric.endswith("_ns") else min)(points, key=lambda point: point.value)
    verdict = Verdict.VALID if all(point.verdict == Verdict.VALID for point in points) else Verdict.INVALID
    return replace(worst, verdict=str(verdict), notes=f"the least of {len(points)} runs; {worst.notes}")


def _round_of(root: Path) -> str:
    """Return the round that a folder's name tells: `inference_results_v5.1`."""
    absolute = root.absolute()
    names = [absolute.name, *(parent.name for parent in absolute.parents)]
    return next((match[0] for name in names if (match := _ROUND.search(name))), _UNKNOWN_ROUND)


def _accuracy(file: Path) -> float | None:
    """Return the accuracy in percent that a submission says of itself; None where it says none."""
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            match = _ACCURACY.search(lines.read(_JSON_MAX))
    except OSError:
        return None
    return float(match[1]) if match else None


def _count(value: object) -> int:
    """Return a whole number, which submitters write as one or as text; 0 for anything else."""
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0


def _text(value: object) -> str:
    text = " ".join(str(value if value is not None else "").split())
    return "" if text in ("N/A", "n/a") else printable(text[:_TEXT_MAX])


def printable(name: object) -> str:
    """Return a name that can be written whatever bytes it has, as names of files may."""
    return str(name).encode("utf-8", "backslashreplace").decode()
