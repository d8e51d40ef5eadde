"""From composed configurations to trial specs: the whole grid is checked before its first test starts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from sweep.config.fields import Fields
from sweep.config.hydra_app import Composed
from sweep.config.point import Point, PointBuilder
from sweep.errors import ConfigError, Problem, unwritable
from sweep.paths import OutputPaths, cache_dir, expanded, remove_leftovers
from sweep.trial.executor import Timeouts
from sweep.trial.gpu_meter import TelemetryOptions
from sweep.trial.idle import BusyLock, BusyOptions

_Built = TypeVar("_Built")

_VALUES_SHOWN = 5


@dataclass(frozen=True)
class Options:
    """What concerns the sweep as a whole.

    Attributes:
        outputs: Where records are kept.
        resume: Whether what is measured already is reused.
        timeouts: When a worker counts as hung.
        telemetry: What is asked of GPUs, and what becomes of tests that they disturbed.
        busy: What is done about other processes on the machine.
    """

    outputs: Path
    resume: bool
    timeouts: Timeouts
    telemetry: TelemetryOptions
    busy: BusyOptions


def build(points: Sequence[Composed]) -> tuple[list[Point], Options]:
    """Check every point and turn it into a trial.

    Raises:
        ConfigError: With all problems of all points, each once.
    """
    return build_each(points, lambda composed: PointBuilder(composed).point())


def build_each(points: Sequence[Composed], make: Callable[[Composed], _Built]) -> tuple[list[_Built], Options]:
    """Make something of every point, and read what concerns all of them.

    Args:
        points: At least one.
        make: Raises ConfigError with whatever is wrong with one point.

    Raises:
        ConfigError: With all problems of all points, each once.
    """
    built: list[_Built] = []
    options: list[Options] = []
    problems: list[Problem] = []
    for composed in points:
        try:
            built.append(make(composed))
            options.append(_options(composed))
        except ConfigError as error:
            problems += error.problems
    if not points:
        raise ConfigError(
            Problem("command line", None, "the grid is empty", "give each swept key, such as batch, at least one value")
        )
    if problems:
        raise ConfigError(_merged(problems))
    for name in (field.name for field in dataclasses.fields(Options)):
        if len({getattr(one, name) for one in options}) > 1:
            key = "timeout" if name == "timeouts" else name
            raise ConfigError(Problem(key, None, "cannot differ within one sweep", "give it one value"))
    return built, options[0]


def _merged(problems: Sequence[Problem]) -> list[Problem]:
    """Return one problem for all values of a field that have it."""
    alike: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        alike.setdefault((problem.field, problem.reason, problem.fix), []).append(problem)
    merged = []
    for group in alike.values():
        values = list(dict.fromkeys(str(problem.value) for problem in group))
        shown = ",".join(values[:_VALUES_SHOWN]) + (",..." if len(values) > _VALUES_SHOWN else "")
        merged.append(group[0] if len(values) == 1 else replace(group[0], value=shown))
    return merged


def _options(composed: Composed) -> Options:
    fields = Fields(composed.config)
    outputs = fields.text("outputs")
    resume = fields.truth("resume")
    groups = (
        ("timeout", "is a group of two settings", "write timeout.load_s=SECONDS or timeout.query_s=SECONDS"),
        ("telemetry", "is a group of settings", "write telemetry.enabled=false, or telemetry.reject=true"),
        ("busy", "is a group of settings", "write busy.wait_s=SECONDS, busy.reject=true or busy.lock=ignore"),
    )
    for group, reason, fix in groups:
        if not isinstance(fields.get(group), dict):
            raise ConfigError(Problem(group, fields.get(group), reason, fix))
    timeouts = Timeouts(fields.duration_s("timeout.load_s", 1e6), fields.duration_s("timeout.query_s", 1e6))
    telemetry = _telemetry(fields)
    busy = _busy(fields)
    if fields.problems:
        raise ConfigError(fields.problems)
    return Options(expanded(outputs, "outputs"), resume, timeouts, telemetry, busy)


def _telemetry(fields: Fields) -> TelemetryOptions:
    options = TelemetryOptions(
        enabled=fields.truth("telemetry.enabled"),
        interval_s=fields.whole("telemetry.interval_ms", 50, 60_000, 100) / 1e3,
        reject=fields.truth("telemetry.reject"),
        cooldown_s=fields.duration_s("telemetry.cooldown_s", 86_400),
        retries=fields.whole("telemetry.retries", 0, 100, 2),
    )
    if options.reject and fields.get("telemetry.enabled") is False:
        fix = "leave out telemetry.enabled=false, or telemetry.reject=true"
        fields.problems.append(Problem("telemetry.reject", True, "needs the telemetry that it judges by", fix))
    return options


def _busy(fields: Fields) -> BusyOptions:
    wait_s = fields.whole("busy.wait_s", 0, 86_400, -1)
    return BusyOptions(
        wait_s=None if wait_s < 0 else float(wait_s),
        reject=fields.truth("busy.reject"),
        retries=fields.whole("busy.retries", 0, 100, 2),
        lock=fields.member("busy.lock", BusyLock),
    )


def prepare_outputs(folder: Path) -> None:
    """Make the output folder, if need be, and remove what killed writes left in it and in the cache.

    Raises:
        ConfigError: It cannot be made or written, so that nothing could be kept.
    """
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    OutputPaths(folder).remove_leftovers()
    for inside, _, _ in os.walk(cache_dir()):
        remove_leftovers(Path(inside))
