"""Results of submission trees as points: of any round, whoever submitted them, as far as their files say."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweep.dashboard.benchmarks import bound_ns
from sweep.dashboard.points import DashboardPoint, Source
from sweep.errors import ConfigError, Problem
from sweep.loadgen.logs import Summary
from sweep.paths import SUMMARY_LOG
from sweep.submission.tree import TreeResult, UnreadableError, folders, read_tree, round_of_seeds
from sweep.vocabulary import Scenario, Verdict

_ROUND = re.compile(r"v\d{1,2}\.\d{1,2}")
_UNKNOWN_ROUND = "round not known"
_ACCURACY = re.compile(r"(?:accuracy|mAP|BLEU)\s*[=:]\s*(\d{1,3}(?:\.\d{1,12})?)\s*%")
_TEXT_MAX = 200
"""Characters of a description that are taken over."""


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

    Their round is the one whose random seeds a test was drawn with; where logs do not tell, that in the name of the
    tree's folder, or of one above it.

    Raises:
        ConfigError: It is no submission tree.
    """
    tree = read_tree(root, field_name="--add")
    found = [(one, runs) for one in tree.results if (runs := _runs(one))]
    if not found:
        wanted = f"SYSTEM/BENCHMARK/SCENARIO/performance/run_1/{SUMMARY_LOG}"
        raise ConfigError(Problem("--add", str(root), f"has no result: there is no results/{wanted}", "give another"))
    problems: list[str] = []
    points = []
    described: set[Path] = set()
    for result, runs in found:
        paths, system = result.paths, result.system
        file = paths.of.system(paths.system)
        if isinstance(system, UnreadableError):
            problems += [f"{file}: {system}"] if file not in described else []
            system = {}
        described.add(file)
        try:
            summaries = [result.summary_of(run) for run in runs]
        except UnreadableError as error:
            problems.append(f"{runs[0] / SUMMARY_LOG}: {error}")
            continue
        if any(not _is_of(summary, paths.scenario) for summary in summaries):
            ran = summaries[0].scenario_text or "no scenario"
            problems.append(f"{runs[0] / SUMMARY_LOG}: is of {ran}, its folder of {paths.scenario}")
            continue
        made = [_point(result, system, summary) for summary in summaries]
        whole = [one for one in made if one is not None and math.isfinite(one.value) and one.value > 0]
        if len(whole) < len(made):
            problems.append(f"{runs[0] / SUMMARY_LOG}: is of no performance test with a result")
            continue
        points.append(_of_runs(whole))
    return TreePoints(root, tuple(points), tuple(map(printable, problems)))


def _is_of(summary: Summary, folder: str) -> bool:
    """Return whether a test is of its folder's scenario; Interactive is a kind of Server."""
    wanted = "server" if folder.lower() == "interactive" else folder.lower().replace("-", "").replace("_", "")
    return summary.scenario is None or summary.scenario.lower() == wanted


def _runs(result: TreeResult) -> list[Path]:
    """Return the folders of a result's runs, by name."""
    return [run for run in folders(result.paths.performance.parent) if (run / SUMMARY_LOG).is_file()]


def _point(result: TreeResult, description: Mapping[str, Any], summary: Summary) -> DashboardPoint | None:
    """Return the result of one run; None where its summary has none."""
    paths = result.paths
    scenario = summary.scenario
    found = _value(summary)
    if scenario is None or summary.loadgen_result is None or found is None:
        return None
    metric, value = found
    bound = summary.target_latency_ns if metric == "samples_per_query" else None
    latencies = summary.query_latency.percentiles_ns or summary.sample_latency.percentiles_ns
    p99 = latencies.get("p99") if scenario is Scenario.MULTI_STREAM else None
    is_slow = bound is not None and p99 is not None and p99 > bound
    accelerators = _count(description.get("accelerators_per_node"))
    nodes = max(1, _count(description.get("number_of_nodes")))
    return DashboardPoint(
        source=Source.TREE,
        round=round_of_seeds(summary) or _round_of(paths.of.root),
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
        verdict=str(Verdict.INVALID) if is_slow else summary.loadgen_result,
        samples_per_query=summary.samples_per_query if scenario is Scenario.MULTI_STREAM else None,
        p99_ns=p99,
        bound_ns=bound or bound_ns(paths.benchmark, str(scenario), metric),
        accuracy_percent=_accuracy(result),
        link=printable(paths.performance / SUMMARY_LOG),
        notes="its summary says VALID, but its p99 is over its bound"
        if is_slow and summary.loadgen_result == Verdict.VALID
        else "verdict as its summary says, not checked here",
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


def _accuracy(result: TreeResult) -> float | None:
    """Return the accuracy in percent that a submission says of itself; None where it says none."""
    text = result.accuracy_text
    match = None if isinstance(text, UnreadableError) else _ACCURACY.search(text)
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
