"""Fits latency against N: a line first, then whatever the residuals ask for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

STEPS = (8, 16, 32, 64)
"""Tile sizes in which GPUs count samples."""

_FLOOR = 1e-4
"""Relative error that any median has, at least: of the clock, and of the curve's own form."""
_LOOSENESS = 0.02
"""How far, relative, a curve may be off a point whose latency is e times the bound: only the edge must fit."""


@dataclass(frozen=True)
class Curve:
    """A fitted curve.

    Attributes:
        name: `line`, `steps of 8`, `knee at 96`, `parabola`; `level` where none of them rises.
        at: Median latency in ns, by N.
        misfit: Weighted sum of squared residuals.
        points: How many points it was fitted to.
        parameters: How many parameters it has.
    """

    name: str
    at: Callable[[float], float]
    misfit: float
    points: int
    parameters: int

    @property
    def score(self) -> float:
        """Bayesian information criterion (Schwarz, Annals of Statistics 6, 1978): the lower the better."""
        return self.misfit + self.parameters * math.log(self.points)


def fit(n: Vector, centre: Vector, error: Vector, target: float) -> Curve | None:
    """Return the curve that explains median latencies best; None before there are two of them.

    Args:
        n: Samples per query, ascending.
        centre: Median latency of each, ns.
        error: Its relative standard error.
        target: The bound, ns: near it the curve must fit best.
    """
    if n.size < 2:
        return None
    error = np.sqrt(error**2 + (_LOOSENESS * np.log(centre / target)) ** 2 + _FLOOR**2)
    candidates = [_solve("line", n, centre, error, lambda x: [np.ones_like(x), x], 2)]
    if n.size > 2:
        candidates += [_solve(f"steps of {step}", n, centre, error, _tiles(step), 3) for step in STEPS]
    if n.size > 3:
        candidates.append(_solve("parabola", n, centre, error, lambda x: [np.ones_like(x), x, x * x], 3))
        candidates += [_solve(f"knee at {knot:g}", n, centre, error, _hinge(float(knot)), 4) for knot in n[1:-1]]
    known = [curve for curve in candidates if curve is not None]
    return min(known, key=lambda curve: curve.score, default=_level(centre, error))


_Columns = Callable[[Vector], list[Vector]]


def _tiles(step: int) -> _Columns:
    return lambda x: [np.ones_like(x), step * np.ceil(x / step)]


def _hinge(knot: float) -> _Columns:
    return lambda x: [np.ones_like(x), x, np.maximum(x - knot, 0.0)]


def _level(centre: Vector, error: Vector) -> Curve:
    """Return the curve of a latency that N does not change, as far as can be seen."""
    level = float(np.median(centre))
    misfit = float(np.square((level - centre) / (centre * error)).sum())
    return Curve("level", lambda _: level, misfit, centre.size, 1)


def _solve(name: str, n: Vector, centre: Vector, error: Vector, columns: _Columns, parameters: int) -> Curve | None:
    """Fit by least squares of relative residuals; None for a curve that falls, which no latency does for long."""
    design = np.stack(columns(n), axis=1)
    scale = centre * error
    solution, *_ = np.linalg.lstsq(design / scale[:, None], centre / scale, rcond=None)
    coefficients = [float(value) for value in solution]
    residuals = (design @ solution - centre) / scale

    def at(value: float) -> float:
        terms = columns(np.array([float(value)]))
        return sum(coefficient * float(term[0]) for coefficient, term in zip(coefficients, terms, strict=True))

    ends = [at(value) for value in np.linspace(float(n[0]), float(n[-1]), 9)]
    if np.diff(ends).min() < -1e-9 * centre.max() or ends[-1] <= ends[0]:
        return None
    return Curve(name, at, float(np.square(residuals).sum()), n.size, parameters)
