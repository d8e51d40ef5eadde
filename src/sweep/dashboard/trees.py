"""Results of submission trees as points: of any round, whoever submitted them, as far as their files say."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweep.dashboard.benchmarks import bound_ns
from sweep.dashboard.points import INTERACTIVE, DashboardPoint, Source
from sweep.dashboard.table import metric_key
from sweep.errors import ConfigError, Problem
from sweep.loadgen.logs import Detail, Summary
from sweep.loadgen.seeds import seeded_round
from sweep.paths import SUMMARY_LOG, in_words
from sweep.submission.tree import TreeResult, UnreadableError, folders, is_file, is_folder, read_tree
from sweep.vocabulary import Scenario, Verdict

_ROUND = re.compile(r"v\d{1,2}\.\d{1,2}")
_UNKNOWN_ROUND = "round not known"
_RUN = re.compile(r"run_\d{1,3}")
_FIVE_RUNS = ("v0.5", "v0.7", _UNKNOWN_ROUND)
"""Rounds in which Server had five runs, the least of which counts; not to know is no reason to take the best."""

_FOLDERS = {str(one).lower(): str(one) for one in (*Scenario, INTERACTIVE)}
_PERCENTILE = re.compile(r"(\d{1,2}(?:\.\d{1,3})?)th percentile latency")
_WITHOUT_OVERHEAD = "QPS w/o loadgen overhead"
_INFERRED_N = 8
"""Samples per query of a MultiStream result that is inferred (mlcommons/inference, `get_inferred_result`)."""

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
    if not any(map(_runs, tree.results)):
        wanted = f"SYSTEM/BENCHMARK/SCENARIO/performance/run_1/{SUMMARY_LOG}"
        raise ConfigError(Problem("--add", str(root), f"has no result: there is no results/{wanted}", "give another"))
    problems: list[str] = []
    points = []
    described: set[Path] = set()
    for result in tree.results:
        paths, runs, system = result.paths, _runs(result), result.system
        if not runs:
            if is_folder(paths.performance.parent):
                problems.append(f"{paths.performance / SUMMARY_LOG}: is missing")
            continue
        file = paths.of.system(paths.system)
        if isinstance(system, UnreadableError):
            problems += [f"{file}: {system}"] if file not in described else []
            system = {}
        described.add(file)
        try:
            points.append(_of_runs([_point(result, system, one) for one in _counted(result, runs)]))
        except UnreadableError as error:
            problems.append(f"{runs[0] / SUMMARY_LOG}: {error}")
    return TreePoints(root, tuple(points), tuple(map(in_words, problems)))


def _runs(result: TreeResult) -> list[Path]:
    """Return the folders of a result's runs, `run_1` first; what else lies there (`ranging`, `power`) is none."""
    runs = [run for run in folders(result.paths.performance.parent) if _RUN.fullmatch(run.name)]
    return sorted((run for run in runs if is_file(run / SUMMARY_LOG)), key=lambda run: int(run.name[4:]))


def _counted(result: TreeResult, runs: list[Path]) -> list[Summary]:
    """Return the runs that a result is made of: the first; all of Server in the rounds that asked for five."""
    first = result.summary_of(runs[0])
    is_one = first.scenario is not Scenario.SERVER or _round(first, result.paths.of.root) not in _FIVE_RUNS
    return [first, *(() if is_one else map(result.summary_of, runs[1:]))]


def _point(result: TreeResult, description: Mapping[str, Any], summary: Summary) -> DashboardPoint:
    """Return the result of one run.

    Raises:
        UnreadableError: It has none that belongs in its folder.
    """
    paths = result.paths
    scenario, ran = _FOLDERS.get(re.sub("[-_]", "", paths.scenario.lower()), paths.scenario), summary.scenario
    if ran is None or summary.loadgen_result is None:
        raise UnreadableError("is of no performance test with a result")
    is_own = scenario == ran or (scenario == INTERACTIVE and ran is Scenario.SERVER)
    found = _value(summary) if is_own else _inferred(result, summary, scenario)
    if found is None and not is_own:
        raise UnreadableError(f"is of {ran}, its folder of {in_words(paths.scenario)}, which does not follow from it")
    if found is None or not (math.isfinite(found[1]) and found[1] > 0):
        raise UnreadableError("is of no performance test with a result")
    metric, value = found
    bound = summary.target_latency_ns if metric == "samples_per_query" else None
    p99 = summary.latency.percentiles_ns.get("p99") if scenario == ran == Scenario.MULTI_STREAM else None
    is_slow = bound is not None and p99 is not None and p99 > bound
    accelerators = _count(description.get("accelerators_per_node"))
    nodes = max(1, _count(description.get("number_of_nodes")))
    multistream = _INFERRED_N if not is_own else summary.samples_per_query
    return DashboardPoint(
        source=Source.TREE,
        round=_round(summary, paths.of.root),
        division=paths.of.division,
        submitter=in_words(paths.of.submitter),
        system_id=in_words(paths.system),
        system=_text(description.get("system_name")) or in_words(paths.system),
        status=_text(description.get("status")).lower(),
        accelerator=_text(description.get("accelerator_model_name")) if accelerators else "",
        accelerators=accelerators * nodes,
        processor=_text(description.get("host_processor_model_name")),
        processors=_count(description.get("host_processors_per_node")) * nodes,
        software=_text(description.get("framework")),
        benchmark=in_words(paths.benchmark),
        scenario=str(scenario),
        metric=metric,
        value=value,
        verdict=str(Verdict.INVALID) if is_slow else summary.loadgen_result,
        samples_per_query=multistream if scenario == Scenario.MULTI_STREAM else None,
        p99_ns=p99,
        bound_ns=bound or bound_ns(paths.benchmark, str(scenario), metric),
        accuracy_percent=_accuracy(result),
        inferred_from="" if is_own else str(ran),
        link=in_words(paths.performance / SUMMARY_LOG),
        notes="its summary says VALID, but its p99 is over its bound"
        if is_slow and summary.loadgen_result == Verdict.VALID
        else "verdict as its summary says, not checked here",
    )


def _inferred(result: TreeResult, summary: Summary, scenario: str) -> tuple[str, float] | None:
    """Return the metric and the value that a scenario has by the test of another; None where the rules know none.

    As the official checkers count it: Offline follows from SingleStream (without LoadGen's own time between queries)
    and, since v2.0, from MultiStream; MultiStream of 8 samples then from the estimate of SingleStream's p99.
    """
    estimates, ran = summary.early_stopping_results.get("latency"), summary.scenario
    if scenario == Scenario.OFFLINE and ran is Scenario.SINGLE_STREAM:
        detail = result.performance_detail  # which has all digits, since v1.0
        exact = detail.results.get("result_qps_without_loadgen_overhead") if isinstance(detail, Detail) else None
        printed = (float(one.value) for one in summary.other_metrics if one.name == _WITHOUT_OVERHEAD)
        rate = float(exact) if isinstance(exact, int | float) else next(printed, None)
        return None if rate is None else ("samples_per_second", rate)
    if estimates is None:
        return None
    mean_ns, n = summary.query_latency.mean_ns, summary.samples_per_query
    if scenario == Scenario.OFFLINE and ran is Scenario.MULTI_STREAM and mean_ns and n:
        return "samples_per_second", n * 1e9 / mean_ns
    if scenario == Scenario.MULTI_STREAM and ran is Scenario.SINGLE_STREAM and "p99" in estimates.estimates_ns:
        return "p99_latency_ns", float(_INFERRED_N * estimates.estimates_ns["p99"])
    return None


def _value(summary: Summary) -> tuple[str, float] | None:
    """Return the metric of a scenario and its value.

    Since v2.0 both streams' is LoadGen's early-stopping estimate of the percentile that it reports; before that
    SingleStream's is p90 itself and MultiStream's how many samples a query has.
    """
    figure = summary.metric
    if figure is None:
        return None
    if summary.scenario in (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM):
        estimates = summary.early_stopping_results.get("latency")
        read = _PERCENTILE.match(figure.name) if figure.unit == "ns" else None
        if read is not None:
            name = f"p{float(read[1]):g}"
            value = figure.value if estimates is None else estimates.estimates_ns.get(name)
            return None if value is None else (f"{name}_latency_ns", float(value))
        is_count = summary.scenario is Scenario.MULTI_STREAM and figure.unit == "samples"
        return ("samples_per_query", float(figure.value)) if is_count else None
    if figure.unit == "ns":
        return None
    # Of language models the rounds publish tokens, where LoadGen counts both.
    rate = next((one for one in summary.other_metrics if one.unit == "tokens/s"), figure)
    return metric_key(rate.name), float(rate.value)


def _of_runs(points: list[DashboardPoint]) -> DashboardPoint:
    """Return what several runs of one result are worth: the least of them, and VALID when all are (rules of v0.5)."""
    if len(points) == 1:
        return points[0]
    worst = (max if points[0].metric.endswith("_ns") else min)(points, key=lambda point: point.value)
    verdict = Verdict.VALID if all(point.verdict == Verdict.VALID for point in points) else Verdict.INVALID
    return replace(worst, verdict=str(verdict), notes=f"the least of {len(points)} runs; {worst.notes}")


def _round(summary: Summary, root: Path) -> str:
    """Return the round whose seeds a test has, else that which a folder's name tells: `inference_results_v5.1`."""
    if (seeded := seeded_round(summary.settings)) is not None:
        return seeded
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
    return "" if text in ("N/A", "n/a") else in_words(text[:_TEXT_MAX])
