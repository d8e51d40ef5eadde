"""How often comparisons cry wolf, and how often they find a drop of 5 %, on simulated noise.

Three sides make a comparison of max streams: two of one curve, whose noise alone differs, and one whose true answer is
5 % lower. Each is searched by the default searcher. What is counted:

- quiet: of the comparisons of identical sides, those that end in "no evidence";
- caught: of those with the drop, the ones that end in "worse";
- ten points: the same for the whole of ten points of different curves, of which none or one has dropped; the ten are
  drawn from all comparisons of a row, many times;
- unknown: a search has shown nothing, so that there is nothing to compare, which is no alarm and catches nothing.

Where sessions differ, each search is one session, and the noise is measured from so many repeats of another time.
"""

from __future__ import annotations

import math
import multiprocessing
from collections import defaultdict
from dataclasses import dataclass, field

import curves
import numpy as np

from sweep.compare.accuracy import accuracy_estimate
from sweep.compare.change import Change, Finding, change, judge
from sweep.compare.latency import TestLatencies, latency_estimate
from sweep.compare.max_streams import max_streams_estimate
from sweep.compare.noise import UNMEASURED, combine, measure_noise
from sweep.search.certificate import certify
from sweep.search.registry import make_searcher

PROCESSES = 2
SEEDS = 10
"""Comparisons of a curve in a round; five rounds of six curves make 300 a row."""
QUICK = (1, 4, 8)
"""The settings of a single round, which shows but that this runs."""
GROUPS = 2000
"""How often ten points are drawn."""
POINTS = 10
DROP = 0.95
LEAST = 60
"""The smallest answer of a curve without noise: with noise it is some streams less, and 5 % of few is hardly one."""
STEPS = {"staircase 8": 8, "staircase 32": 32}
CURVES = ("affine", "staircase 32", "knee", "cliff", "slow drift", "bent")
TESTS = 1440
LATENCY_ROUND = 100
"""Comparisons of p99 and of accuracy, a row and round."""


@dataclass(frozen=True)
class Setting:
    """A row of the table.

    Attributes:
        name: What is noisy.
        options: Of the curves.
        sessions: Relative standard deviation between sessions.
        searches: How many a side.
        repeats: From how many repeats the noise between sessions is known, a row each; 0 for not at all.
        curves: Which ones.
    """

    name: str
    options: dict = field(hash=False)
    sessions: float = 0.0
    searches: int = 1
    repeats: tuple[int, ...] = (0,)
    curves: tuple[str, ...] = CURVES


STRAIGHT = ("affine",)
SETTINGS = (
    *(Setting(f"queries {100 * noise:g} %", {"noise": noise}) for noise in (0.0, 0.01, 0.02)),
    *(Setting(f"whole tests {100 * noise:g} %", {"run_noise": noise}) for noise in (0.005, 0.01, 0.02, 0.03)),
    Setting("whole tests 3 %", {"run_noise": 0.03}, searches=2),
    *(
        Setting(f"sessions {100 * sd:g} %", {}, sd, searches, repeats, STRAIGHT)
        for sd, searches, repeats in ((0.01, 1, (0, 5, 20)), (0.01, 3, (20,)), (0.02, 1, (5, 20)), (0.02, 8, (20,)))
    ),
)


@dataclass(frozen=True)
class Task:
    """One comparison: of a curve with itself, and with one that has dropped."""

    setting: int
    curve: str
    seed: int


def make(task, *, dropped, scale=1.0):
    """Return the curve of a task, `scale` times as slow."""
    setting, step = SETTINGS[task.setting], STEPS.get(task.curve, 1)
    rng = np.random.default_rng([task.seed, sum(map(ord, task.curve))])
    # So many whole steps that 5 % of them are whole too.
    least = math.ceil(LEAST / 20 / step)
    answer = 20 * step * round(math.exp(rng.uniform(math.log(least), math.log(max(4000 / 20 / step, least)))))
    maker, more = curves.CURVES.get(task.curve) or curves.OTHERS[task.curve]
    centre = maker(round(DROP * answer) if dropped else answer, rng)
    return curves.Curve(task.curve, lambda n: scale * centre(n), **{**more, **setting.options})


def side(task, number, rng, *, dropped):
    """Search one side, as often as its setting says; return its estimate."""
    setting, estimates = SETTINGS[task.setting], []
    for repeat in range(setting.searches):
        curve = make(task, dropped=dropped, scale=1 + setting.sessions * rng.standard_normal())
        question, noise = curves.question(), np.random.default_rng([task.seed, task.setting, number, repeat])
        searcher = make_searcher("boundary", question)
        while (ask := searcher.ask()) is not None:
            searcher.tell(curve.test(question, ask, noise))
        estimates.append(max_streams_estimate(certify(searcher, is_complete=True), question, searcher.seen))
    return combine(estimates)


def run(task):
    """Return, for each number of repeats, the change between identical sides and that with the drop."""
    setting, rng = SETTINGS[task.setting], np.random.default_rng([task.seed, task.setting, sum(map(ord, task.curve))])
    before, same, after = (side(task, number, rng, dropped=number == 2) for number in range(3))
    pairs = []
    for repeats in setting.repeats:
        noise = measure_noise([np.exp(setting.sessions * rng.standard_normal(repeats))]) if repeats else UNMEASURED
        pairs.append((change(before, same, noise), change(before, after, noise)))
    return pairs


def measure(rounds):
    """Run all comparisons; give the tables' lines."""
    quick = rounds == 1
    yield from max_streams(1 if quick else SEEDS * rounds, quick=quick)
    yield from latency(5 if quick else LATENCY_ROUND * rounds)
    yield from accuracy(20 if quick else 10 * LATENCY_ROUND * rounds)


def max_streams(seeds, *, quick):
    """Give the table of max streams: a row a setting, and the worst curve of it."""
    yield f"**Max streams, N of {LEAST} to 4000**"
    yield ""
    yield (
        "| what differs | searches a side | sessions known from | comparisons | quiet, % | worst curve, % "
        "| of ten points, % | 5 % drop caught, % | worst curve, % | of ten points, % | unknown, % |"
    )
    yield "|---" * 11 + "|"
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        for number in QUICK if quick else range(len(SETTINGS)):
            yield from rows(pool, number, seeds, quick=quick)


def rows(pool, number, seeds, *, quick):
    """Run the comparisons of one setting; give its rows."""
    setting = SETTINGS[number]
    names = setting.curves[:1] if quick else setting.curves
    count = 1 if quick else seeds * len(CURVES) // len(names)
    tasks = [Task(number, name, seed) for name in names for seed in range(count)]
    outcomes = pool.map(run, tasks, chunksize=1 if quick else 10)
    for place, repeats in enumerate(setting.repeats):
        by_curve = defaultdict(list)
        for task, pairs in zip(tasks, outcomes, strict=True):
            by_curve[task.curve].append(pairs[place])
        known = f"{repeats} repeats" if repeats else "nothing"
        yield f"| {setting.name} | {setting.searches} | {known} {row(by_curve)}"


def row(by_curve):
    """Give the counts of one row."""
    pairs = [pair for cell in by_curve.values() for pair in cell]
    quiet = [share(is_quiet([same]) for same, _ in cell) for cell in (pairs, *by_curve.values())]
    caught = [share(after.finding is Finding.WORSE for _, after in cell) for cell in (pairs, *by_curve.values())]
    together = ten_points(pairs)
    unknown = share(one.finding is Finding.UNKNOWN for pair in pairs for one in pair)
    return (
        f"| {len(pairs)} | {quiet[0]:.1f} | {min(quiet):.1f} | {together[0]:.1f} "
        f"| {caught[0]:.1f} | {min(caught):.1f} | {together[1]:.1f} | {unknown:.1f} |"
    )


def ten_points(pairs):
    """Return how often ten points together are quiet, and how often the one that dropped is caught, in percent."""
    rng, quiet, caught = np.random.default_rng(0), [], []
    for _ in range(GROUPS):
        places = rng.integers(0, len(pairs), POINTS)
        quiet.append(is_quiet(judge([pairs[place][0] for place in places])))
        dropped = [pairs[place][0] for place in places[1:]] + [pairs[places[0]][1]]
        caught.append(judge(dropped)[-1].finding is Finding.WORSE)
    return share(quiet), share(caught)


def is_quiet(changes: list[Change]) -> bool:
    """Say whether a comparison found nothing; one that is unknown in part has found nothing there."""
    return not any(one.finding in (Finding.BETTER, Finding.WORSE) for one in changes)


def share(answers):
    """Return in how many percent something is so."""
    return 100 * float(np.mean(list(answers)))


def correlated(rng, count, keep):
    """Return noise of standard deviation 1 each of which keeps a share of the one before."""
    values = math.sqrt(1 - keep**2) * rng.standard_normal(count)
    values[0] = rng.standard_normal()
    for place in range(1, count):
        values[place] += keep * values[place - 1]
    return values


def bursts(rng, count, rate, length):
    """Return factors of 1.3 at most, in bursts of `length` queries on average, over a share `rate` of queries."""
    inside = np.zeros(count, bool)
    for start in np.flatnonzero(rng.random(count) < rate / length):
        inside[start : start + rng.geometric(1 / length)] = True
    return np.where(inside, 1 + 0.3 * rng.random(count), 1.0)


NOISES = {
    "independent, 1 %": lambda rng, n: 1 + 0.01 * rng.standard_normal(n),
    "independent, 2 %": lambda rng, n: 1 + 0.02 * rng.standard_normal(n),
    "heavy tail (Student's t, 3)": lambda rng, n: 1 + 0.02 * rng.standard_t(3, n).clip(-20, 20),
    "AR(1) 0.5, 2 %": lambda rng, n: 1 + 0.02 * correlated(rng, n, 0.5),
    "AR(1) 0.9, 2 %": lambda rng, n: 1 + 0.02 * correlated(rng, n, 0.9),
    "AR(1) 0.99, 2 %": lambda rng, n: 1 + 0.02 * correlated(rng, n, 0.99),
    "1 % in bursts of 10": lambda rng, n: (1 + 0.01 * rng.standard_normal(n)) * bursts(rng, n, 0.01, 10),
    "2 % in bursts of 50": lambda rng, n: (1 + 0.01 * rng.standard_normal(n)) * bursts(rng, n, 0.02, 50),
    "5 % in bursts of 20": lambda rng, n: (1 + 0.01 * rng.standard_normal(n)) * bursts(rng, n, 0.05, 20),
    "drift of 3 % over the test": lambda rng, n: (1 + 0.01 * rng.standard_normal(n)) * (1 + 0.03 * np.arange(n) / n),
}


def latency(count):
    """Give the table of p99: one test of 1440 queries a side."""
    yield ""
    yield f"**p99 at equal N, one test of {TESTS} queries a side**"
    yield ""
    yield "| latencies | comparisons | quiet, % | 5 % longer caught, % | standard error, % |"
    yield "|---|---|---|---|---|"
    for number, (name, noise) in enumerate(NOISES.items()):
        rng, quiet, caught, errors = np.random.default_rng(number), [], [], []
        for _ in range(count):
            before, same, longer = (
                latency_estimate([TestLatencies((factor * 4e7 * noise(rng, TESTS)).astype(np.int64))])
                for factor in (1, 1, 1.05)
            )
            quiet.append(is_quiet([change(before, same)]))
            caught.append(change(before, longer).finding is Finding.WORSE)
            errors.append(max(before.error_below, before.error_above))
        yield f"| {name} | {count} | {share(quiet):.1f} | {share(caught):.1f} | {100 * np.median(errors):.2f} |"


def accuracy(count):
    """Give the table of accuracy, of samples that are drawn anew on each side: the same ones differ less."""
    yield ""
    yield "**Accuracy, independent samples**"
    yield ""
    yield "| samples | accuracy, % | drop, % of it | comparisons | quiet, % | drop caught, % |"
    yield "|---|---|---|---|---|---|"
    for number, (total, rate, drop) in enumerate(((500, 0.97, 0.05), (500, 0.97, 0.01), (50000, 0.7646, 0.01))):
        rng, quiet, caught = np.random.default_rng(number), [], []
        for _ in range(count):
            before, same = (accuracy_estimate(int(rng.binomial(total, rate)), total) for _ in range(2))
            after = accuracy_estimate(int(rng.binomial(total, rate * (1 - drop))), total)
            quiet.append(is_quiet([change(before, same)]))
            caught.append(change(before, after).finding is Finding.WORSE)
        yield (f"| {total} | {100 * rate:g} | {100 * drop:g} | {count} | {share(quiet):.1f} | {share(caught):.1f} |")
