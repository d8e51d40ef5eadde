"""Results of submission trees as points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweep.dashboard.points import DashboardPoint
from sweep.errors import ConfigError, Problem


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
    """Read a submission tree of any round.

    Raises:
        ConfigError: It is none.
    """
    raise ConfigError(Problem("--add", str(root), "cannot be read yet"))
