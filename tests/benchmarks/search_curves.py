"""What searchers cost and how right they are on simulated curves whose true answer is known.

One algorithm, one curve and one seed make a search; all algorithms get the same curves. What a search is counted by:

- queries: LoadGen's, of all its tests; beside bisection's, on the same curves;
- error: |answer - truth| / truth, where the answer is what that method would report; 100 % where there is no answer
  though some N is VALID, or an answer though none is;
- truly VALID: at most 1 % of the answer's queries are over the bound in truth; no answer is right where no N is VALID;
- certified: the certificate is exact, an interval, "none valid" or "all valid"; the others claim nothing;
- wrong: of all searches, those whose certificate claims something false: its answer is not truly VALID, an exact one
  is not the truth, an interval does not hold it, there is a VALID N or one above the largest that was allowed.
"""

from __future__ import annotations

import multiprocessing
import statistics
from collections import defaultdict
from dataclasses import dataclass

import curves
import numpy as np

from sweep.errors import MissingDependencyError
from sweep.search.base import Ask, Observation, Shown
from sweep.search.certificate import Status, certify
from sweep.search.registry import ALGORITHMS, make_searcher

SEEDS = {"boundary": 20, "bisection": 20, "grid": 4, "tpe": 20, "gp": 2}
"""Seeds a round and curve. A search of the grid takes a second and one of gp four, others a tenth or less."""
QUICK = {"boundary": 2, "bisection": 2, "tpe": 1}
"""The same when there is but one round, to see that all this runs."""
TRIALS, QUICK_TRIALS = 30, 5
"""Tests of tpe and gp."""
PROCESSES = 2
NOISE = "noise of a query 0", "noise of a query 1 %", "noise of a query 2 %"
RUN_NOISE = "queries without noise, whole tests differ by 1 %"
SETTINGS = {
    NOISE[0]: {"noise": 0.0},
    NOISE[1]: {"noise": 0.01},
    NOISE[2]: {"noise": 0.02},
    RUN_NOISE: {"noise": 0.0, "run_noise": 0.01},
}
_FAR = 1.2
"""Where the noise-free latency is so many times the bound, every query is over it, for all noise that occurs here."""
_CLAIMS = (Status.EXACT, Status.INTERVAL, Status.NONE_VALID, Status.ALL_VALID)


@dataclass(frozen=True)
class Task:
    """One search."""

    algorithm: str
    curve: str
    setting: str
    seed: int
    trials: int


@dataclass(frozen=True)
class Outcome:
    """What became of it."""

    task: Task
    tests: int
    queries: int
    error: float
    valid: bool
    exact: bool
    certified: bool
    wrong: bool


def run(task):
    """Run one search; its curve and noise depend on curve, setting and seed alone."""
    options = SETTINGS[task.setting]
    curve = curves.make(task.curve, seed=task.seed, **options)
    question = curves.question()
    searcher = make_searcher(task.algorithm, question, seed=task.seed, trials=task.trials)
    rng = np.random.default_rng([task.seed, sum(map(ord, task.curve)), list(SETTINGS).index(task.setting), 7])
    if task.algorithm == "grid":
        tell_all(searcher, curve, rng)
    else:
        while (ask := searcher.ask()) is not None:
            searcher.tell(curve.test(question, ask, rng))
    truth, answer = curve.truth(question.domain), searcher.answer()
    certificate = certify(searcher, is_complete=True)
    known = truth is not None and answer is not None
    return Outcome(
        task=task,
        tests=len(searcher.seen),
        queries=sum(one.query_count for one in searcher.seen),
        error=abs(answer - truth) / truth if known else float(answer is not truth),
        valid=truth is None if answer is None else curve.is_valid(answer),
        exact=answer == truth,
        certified=certificate.status in _CLAIMS,
        wrong=is_wrong(certificate, curve, truth, question.domain),
    )


def is_wrong(certificate, curve, truth, domain):
    """Say whether a certificate claims what is not true."""
    answer = certificate.max_streams
    match certificate.status:
        case Status.EXACT:
            return answer != truth
        case Status.INTERVAL:
            last = domain.high if certificate.first_invalid is None else certificate.first_invalid - domain.step
            return not curve.is_valid(answer) or not answer <= truth <= last
        case Status.NONE_VALID:
            return truth is not None
        case Status.ALL_VALID:
            return not curve.is_valid(domain.high)
    return False


def tell_all(searcher, curve, rng):
    """Tell the grid's searcher a test of every N in ascending order, as it asks for them.

    Its own `ask` goes through all that it was told, which takes minutes for 8192 N. Far over the bound it is enough to
    draw the queries up to the stop.
    """
    question = searcher.question
    for n in range(question.domain.low, question.domain.high + 1):
        far = curve.centre(n) > _FAR * curve.target_ms
        searcher.tell(curve.test(question, Ask(n, None, ""), rng) if not far else over_at_once(curve, question, n, rng))


def over_at_once(curve, question, n, rng):
    """Return a full test of an N all of whose queries are over the bound."""
    short = curve.test(question, Ask(n, 16, ""), rng)
    over = short.latencies_ns > question.target_latency_ns
    stop = curves.stopped_at(over, question.over_latency_allowed(question.full_query_count), question.allowed_rate)
    if stop is None:
        raise RuntimeError(f"{curve.name}: N={n} is not as far over the bound as was thought")
    return Observation(n, True, Shown.INVALID, short.latencies_ns[:stop], stop, stop)


def check_grid():
    """Show that `tell_all` does what the searcher would ask for, on a small domain without noise."""
    for name in curves.CURVES:
        curve, question = curves.make(name, 0.0, 3), curves.question(200)
        asked, told = (make_searcher("grid", question) for _ in range(2))
        while (ask := asked.ask()) is not None:
            asked.tell(curve.test(question, ask, np.random.default_rng(ask.samples_per_query)))
        tell_all(told, curve, np.random.default_rng(0))
        seen = [[(one.samples_per_query, one.shown) for one in searcher.seen] for searcher in (asked, told)]
        if seen[0] != seen[1] or asked.answer() != told.answer() or told.ask() is not None:
            raise RuntimeError(f"{name}: the grid asks for something else")
        counts = [[one.query_count for one in searcher.seen] for searcher in (asked, told)]
        if curve.outlier_rate == 0 and counts[0] != counts[1]:  # outliers are drawn
            raise RuntimeError(f"{name}: a test of the grid stops elsewhere")


def measure(rounds):
    """Run all searches; give the tables' lines."""
    quick = rounds == 1
    seeds = QUICK if quick else {name: count * rounds for name, count in SEEDS.items()}
    trials = QUICK_TRIALS if quick else TRIALS
    if not quick:
        check_grid()
    for name in tuple(seeds):
        try:
            make_searcher(name, curves.question())
        except MissingDependencyError:
            yield f"{name}: torch is not installed"
            del seeds[name]
    if quick:
        yield f"One round only shows that this runs: a seed or two, tpe with {QUICK_TRIALS} tests, no grid, no gp."
    yield "Seeds a curve: " + ", ".join(f"{name} {count}" for name, count in seeds.items())
    yield "Aims of boundary, by curve. Without noise: all exact, a third of bisection's queries at most. At 1 %: 98 %"
    yield "truly VALID, an error of 1 %, less than 5760 queries. Always: 1 % of certificates wrong, at most."
    tasks = [
        Task(algorithm, curve, setting, seed, trials)
        for setting in SETTINGS
        for algorithm in ALGORITHMS
        for curve in curves.CURVES
        for seed in range(seeds.get(algorithm, 0))
    ]
    others = [
        Task("boundary", curve, setting, seed, trials)
        for setting in NOISE[:2]
        for curve in curves.OTHERS
        for seed in range(seeds["boundary"])
    ]
    # Processes of their own: none inherits a state that another run has left.
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        outcomes = pool.map(run, tasks, chunksize=5)
        beyond = pool.map(run, others, chunksize=5)
    for setting in SETTINGS:
        yield from pooled(setting, [one for one in outcomes if one.task.setting == setting])
    yield from by_curve("by curve: boundary / bisection", outcomes, two=True)
    yield from by_curve("curves that boundary was not tuned on", beyond, two=False)


def pooled(setting, outcomes):
    """Give the table of one setting: all curves together, by algorithm."""
    yield ""
    yield f"**{setting[0].upper()}{setting[1:]}**"
    yield ""
    yield (
        "| all curves | searches | tests | queries (95 % within) | of bisection's, % | error, % | truly VALID, % "
        "| exact, % | certified, % | wrong, % |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for algorithm in ALGORITHMS:
        some = [one for one in outcomes if one.task.algorithm == algorithm]
        if some:
            yield (
                f"| {algorithm} | {len(some)} | {mean(some, 'tests'):.1f} | {mean(some, 'queries'):.0f} "
                f"({percentile(some):.0f}) | {100 * ratio(some, outcomes):.0f} | {100 * mean(some, 'error'):.2f} "
                f"| {share(some, 'valid')} | {share(some, 'exact')} | {share(some, 'certified')} "
                f"| {share(some, 'wrong')} |"
            )


def by_curve(title, outcomes, *, two):
    """Give the table by curve and setting, of boundary and, with `two`, of bisection."""
    yield ""
    yield f"**{title[0].upper()}{title[1:]}**"
    yield ""
    heads = "queries (95 % within)", "of bisection's, %", "error, %", "truly VALID, %", "exact, %", "certified, %"
    columns = [head for head in (*heads, "wrong, %", "aims missed") if two or not head.startswith("of ")]
    yield f"| curve | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    cells = defaultdict(list)
    for one in outcomes:
        cells[one.task.setting, one.task.curve, one.task.algorithm].append(one)
    for setting, curve in dict.fromkeys((setting, curve) for setting, curve, _ in cells):
        some = cells[setting, curve, "boundary"]
        other = cells[setting, curve, "bisection"]
        both = [cell for cell in (some, other) if cell]
        values = [" / ".join(f"{mean(cell, 'queries'):.0f} ({percentile(cell):.0f})" for cell in both)]
        values += [f"{100 * ratio(some, other):.0f}"] if two else []
        values.append(" / ".join(f"{100 * mean(cell, 'error'):.2f}" for cell in both))
        for name in ("valid", "exact", "certified", "wrong"):
            values.append(" / ".join(share(cell, name) for cell in both))
        values.append(", ".join(missed(setting, some, other)))
        yield f"| {curve}, {setting} | {' | '.join(values)} |"


def missed(setting, some, bisection):
    """Return which aims one curve's searches miss; `measure` says what they are."""
    aims = {"wrong": mean(some, "wrong") <= 0.01}
    if setting == NOISE[0]:
        aims["exact"] = mean(some, "exact") == 1
        aims["queries"] = not bisection or ratio(some, bisection) <= 1 / 3
    if setting == NOISE[1]:
        aims["VALID"] = mean(some, "valid") >= 0.98
        aims["error"] = mean(some, "error") <= 0.01
        aims["queries"] = mean(some, "queries") < 4 * curves.SCREENING
    return [name for name, met in aims.items() if not met]


def mean(outcomes, name):
    """Return the mean of one count."""
    return statistics.fmean(getattr(one, name) for one in outcomes)


def share(outcomes, name):
    """Return in how many percent something is so."""
    return f"{100 * mean(outcomes, name):.1f}".removesuffix(".0")


def percentile(outcomes):
    """Return the 95th percentile of queries."""
    return float(np.quantile([one.queries for one in outcomes], 0.95))


def ratio(some, others):
    """Return mean queries over those of bisection on the same curves."""
    bisection = {
        (one.task.curve, one.task.setting, one.task.seed): one.queries
        for one in others
        if one.task.algorithm == "bisection"
    }
    pairs = [(one.queries, bisection[one.task.curve, one.task.setting, one.task.seed]) for one in some]
    return sum(queries for queries, _ in pairs) / sum(queries for _, queries in pairs)
