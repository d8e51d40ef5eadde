"""Simulated tests of latency curves whose true answer is known: what searchers are measured and tested on.

A query of N samples takes `centre(N) * (1 + noise * z)`, three times that for an outlier, growing by `drift` from query
to query; a whole test may be slower or faster by `run_noise`. Tests are stopped as `sweep.trial.abort` stops them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sweep.search.base import Ask, Domain, Observation, Question, Shown
from sweep.trial.abort import _ALTERNATIVES, SIGNIFICANCE

SCREENING = 1440
OUTLIER_FACTOR = 3.0


@dataclass
class Curve:
    """A latency curve with its noise.

    Attributes:
        name: For tables.
        centre: Noise-free latency of a query in ms, by N.
        target_ms: The bound.
        noise: Relative standard deviation of a query.
        outlier_rate: Share of queries that take three times as long.
        drift: Relative growth of latency per query of a test.
        run_noise: Relative standard deviation of whole tests.
        memory: The largest N that fits; None when all do.
    """

    name: str
    centre: Callable[[int], float]
    target_ms: float = 50.0
    noise: float = 0.0
    outlier_rate: float = 0.0
    drift: float = 0.0
    run_noise: float = 0.0
    memory: int | None = None
    _rates: dict[int, float] = field(default_factory=dict, repr=False)

    def over_rate(self, n: int) -> float:
        """Return the true share of queries over the bound in a screening test."""
        if n not in self._rates:
            drift = 1 + self.drift * np.arange(SCREENING)
            ordinary = self._tail(self.target_ms / (self.centre(n) * drift))
            slow = self._tail(self.target_ms / (self.centre(n) * drift * OUTLIER_FACTOR))
            self._rates[n] = float(np.mean((1 - self.outlier_rate) * ordinary + self.outlier_rate * slow))
        return self._rates[n]

    def _tail(self, ratio):
        if self.noise == 0:
            return (ratio < 1).astype(float)
        z = (ratio - 1) / self.noise / math.sqrt(2)
        return 0.5 * np.array([math.erfc(min(max(value, -30), 30)) for value in z])

    def is_valid(self, n: int) -> bool:
        """Say whether N is truly VALID: at most 1 % of its queries are over the bound."""
        return (self.memory is None or n <= self.memory) and self.over_rate(n) <= 0.01

    def truth(self, domain: Domain) -> int | None:
        """Return the largest truly VALID N; None when there is none."""
        if self.name == "dips":
            return max(
                (n for n in range(domain.low, domain.high + 1) if self.centre(n) < 60 and self.is_valid(n)),
                default=None,
            )
        low, high = domain.low, domain.high + 1
        if not self.is_valid(low):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.is_valid(middle) else (low, middle)
        return low

    def test(self, question: Question, ask: Ask, rng: np.random.Generator) -> Observation:
        """Simulate one test."""
        n, planned = ask.samples_per_query, ask.query_count or question.full_query_count
        if self.memory is not None and n > self.memory:
            return Observation(n, ask.query_count is None, Shown.OUT_OF_MEMORY, np.zeros(0, np.int64), 0, 0)
        factor = 1 + self.noise * rng.standard_normal(planned)
        factor *= np.where(rng.random(planned) < self.outlier_rate, OUTLIER_FACTOR, 1.0)
        factor *= (1 + self.drift * np.arange(planned)) * (1 + self.run_noise * rng.standard_normal())
        latencies = (self.centre(n) * 1e6 * factor.clip(0)).astype(np.int64)
        over = latencies > question.target_latency_ns
        stop = None
        if ask.query_count is None:  # short tests run to their end
            stop = stopped_at(over, question.over_latency_allowed(planned), question.allowed_rate)
        if stop is not None:
            latencies, over = latencies[:stop], over[:stop]
        count = int(over.sum())
        valid = stop is None and count <= question.over_latency_allowed(planned)
        shown = Shown.VALID if valid else Shown.INVALID
        return Observation(n, ask.query_count is None, shown, latencies, count, latencies.size)


def stopped_at(over, allowed: int, rate: float) -> int | None:
    """Return after how many queries the abort rules stop a test; None when they do not."""
    if not over.any():
        return None
    counts = over.cumsum()
    certain = np.searchsorted(counts, allowed + 1) + 1 if counts[-1] > allowed else None
    rates = np.array([alternative for alternative in _ALTERNATIVES if alternative > rate])
    steps = np.where(over[:, None], np.log(rates / rate), np.log((1 - rates) / (1 - rate)))
    evidence = np.logaddexp.reduce(steps.cumsum(axis=0), axis=1) - math.log(rates.size)
    rejected = evidence >= -math.log(SIGNIFICANCE)
    confident = int(rejected.argmax()) + 1 if rejected.any() else None
    return min((int(stop) for stop in (certain, confident) if stop is not None), default=None)


def affine(answer: int, rng: np.random.Generator, target_ms: float = 50.0) -> Callable[[int], float]:
    """Return a line that crosses the bound just above `answer`."""
    base = rng.uniform(0.01, 0.4) * target_ms
    slope = (target_ms - base) / (answer + rng.uniform(0.05, 0.95))
    return lambda n: base + slope * n


def staircase(step: int) -> Callable[[int, np.random.Generator], Callable[[int], float]]:
    """Return a maker of curves on which N counts as the next multiple of `step`."""

    def make(answer: int, rng: np.random.Generator, target_ms: float = 50.0) -> Callable[[int], float]:
        tiles = max(answer // step, 1)
        line = affine(tiles, rng, target_ms)
        return lambda n: line(math.ceil(n / step))

    return make


def knee(answer: int, rng: np.random.Generator, target_ms: float = 50.0) -> Callable[[int], float]:
    """Return two lines; the second is several times as steep, and crosses the bound."""
    knot = answer * rng.uniform(0.3, 0.9)
    steeper = rng.uniform(2, 8)
    base = rng.uniform(0.01, 0.3) * target_ms
    end = answer + rng.uniform(0.05, 0.95)
    slope = (target_ms - base) / (knot + steeper * (end - knot))
    return lambda n: base + slope * (n + (steeper - 1) * max(n - knot, 0.0))


def cliff(answer: int, rng: np.random.Generator, target_ms: float = 50.0) -> Callable[[int], float]:
    """Return a flat line that jumps far over the bound above `answer`, as where a cache overflows."""
    line = affine(2 * answer + 2, rng, target_ms)
    jump = rng.uniform(2, 4)
    return lambda n: line(n) * (1.0 if n <= answer else jump * 1.2)


CURVES: dict[str, tuple[Callable, dict]] = {
    "affine": (affine, {}),
    "staircase 8": (staircase(8), {}),
    "staircase 32": (staircase(32), {}),
    "knee": (knee, {}),
    "cliff": (cliff, {}),
    "5 % outliers": (affine, {"outlier_rate": 0.05}),
    "slow drift": (affine, {"drift": 1e-5}),
}


def bent(answer: int, rng: np.random.Generator, target_ms: float = 50.0) -> Callable[[int], float]:
    """Return a curve that bends upward all along, as where a cache fills."""
    base, power, end = rng.uniform(0.01, 0.3) * target_ms, rng.uniform(1.2, 2.0), answer + rng.uniform(0.05, 0.95)
    return lambda n: base + (target_ms - base) * (n / end) ** power


def flattening(answer: int, rng: np.random.Generator, target_ms: float = 50.0) -> Callable[[int], float]:
    """Return a curve that bends downward: larger queries are more efficient."""
    power, end = rng.uniform(0.5, 0.9), answer + rng.uniform(0.05, 0.95)
    return lambda n: target_ms * (n / end) ** power


def dips(answer: int, rng: np.random.Generator, target_ms: float = 50.0) -> Callable[[int], float]:
    """Return a line on which multiples of 8, 16 and 32 are faster than their neighbours; it does not always rise."""
    line = affine(answer, rng, target_ms)
    depth = rng.uniform(0.01, 0.1)
    return lambda n: line(n) * (1 - depth * sum(n % multiple == 0 for multiple in (8, 16, 32)) / 3)


OTHERS: dict[str, tuple[Callable, dict]] = {
    "bent": (bent, {}),
    "flattening": (flattening, {}),
    "run to run 1 %": (affine, {"run_noise": 0.01}),
    "run to run 3 %": (affine, {"run_noise": 0.03}),
    "1 % outliers": (affine, {"outlier_rate": 0.01}),
    "0.5 % outliers": (affine, {"outlier_rate": 0.005}),
    "dips": (dips, {}),
}
"""Beyond the list that searches are tuned on."""


def make(name: str, noise: float, seed: int, **more) -> Curve:
    """Return one curve; the answer of its noise-free centre is drawn from 1 to 4000, evenly in its logarithm."""
    # A name's hash differs from process to process.
    rng = np.random.default_rng([seed, sum(map(ord, name)), round(noise * 1000)])
    answer = round(math.exp(rng.uniform(0, math.log(4000))))
    maker, options = {**CURVES, **OTHERS}[name]
    return Curve(name, maker(answer, rng), noise=noise, **{**options, **more})


def question(high: int = 8192, confidence: float = 0.99) -> Question:
    """Return the question that is asked of every curve."""
    return Question(Domain(1, high), 50_000_000, 99.0, SCREENING, confidence)
