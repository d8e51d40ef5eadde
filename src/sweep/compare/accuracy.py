"""Accuracy as one side of a comparison."""

from __future__ import annotations

from sweep.compare.estimate import Estimate, Metric


def accuracy_estimate(good: int, total: int) -> Estimate:
    """Return the estimate of an accuracy, in percent.

    Both sides mostly classify the same samples. Which of them differed is not kept, so they are compared like different
    ones, which finds less than a paired test would and never more.

    Args:
        good: Samples that were classified right.
        total: All of them.

    Raises:
        ValueError: There are none, or more good ones than all.
    """
    if not 0 <= good <= total or total == 0:
        raise ValueError(f"no accuracy: {good} of {total}")
    percent = 100 * good / total
    return Estimate(Metric.ACCURACY, percent, percent, percent, tests=1, queries=total)
