"""Hydra sweeper that composes a whole grid before anything runs, and then hands it over in one piece."""

from __future__ import annotations

import copy
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, OverrideType
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sweep.errors import ConfigError, Problem

# `params` are sweep overrides from a configuration file (`batch: "28,29"`); the command line wins over them.
# A plain mapping: Hydra executes plugin modules unregistered, which dataclasses do not survive.
ConfigStore.instance().store(
    group="hydra/sweeper",
    name="grid",
    node={"_target_": "hydra_plugins.sweep_grid.GridSweeper", "params": {}},
    provider="sweep",
)


class GridSweeper(Sweeper):
    """Expands `a=1,2 b=range(3)` into the product, composes every point, and calls the task's `grid` with all of them.

    Trials run in sweep's own worker processes, so Hydra's launchers have nothing to launch.
    """

    def __init__(self, params: dict[str, str] | None = None) -> None:
        self._params = dict(params or {})
        self._task: Any = None
        self._loader: ConfigLoader | None = None
        self._config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives a sweeper."""
        self._loader = hydra_context.config_loader
        self._task = task_function
        self._config = config

    def sweep(self, arguments: list[str]) -> Any:
        """Compose the whole grid and hand it to the task.

        Args:
            arguments: Overrides of the command line, both sides of `-m`.
        """
        if self._loader is None or self._config is None:
            raise RuntimeError("setup() comes before sweep()")
        loader, config = self._loader, self._config
        HydraConfig.instance().set_config(config)  # what `${hydra:...}` refers to
        parser = OverridesParser.create(config_loader=loader)
        given = parser.parse_overrides(arguments)
        keys = [override.key_or_group for override in given]
        for override in given:
            if override.is_sweep_override() and keys.count(override.key_or_group) > 1:
                twice = " ".join(
                    str(other.input_line) for other in given if other.key_or_group == override.key_or_group
                )
                reason = "is given more than once, with several values"
                raise ConfigError(Problem(override.key_or_group, None, reason, f"choose one of: {twice}"))
            if override.key_or_group == "sweeps" and override.is_sweep_override():
                name = str(override.input_line).partition("=")[2]
                reason = "each has a grid of its own"  # in `params`, which are read once
                raise ConfigError(Problem("sweeps", name, reason, "run them one after the other"))
        own = [f"{key}={value}" for key, value in self._params.items() if key not in keys]
        overrides = [*parser.parse_overrides(own), *given]
        values = [list(_values(override, loader)) for override in overrides]
        for override, found in zip(overrides, values, strict=True):
            if not found:
                key, _, given_value = str(override.input_line).partition("=")
                fix = "range(FIRST,END) stops before END; glob(...) chooses among the choices of a group"
                raise ConfigError(Problem(key, given_value, "stands for no value at all", fix))
        points = [list(point) for point in itertools.product(*values)]
        if len(points) >= _MANY:
            sys.stderr.write(f"composing and checking {len(points)} points\n")
        varied = {o.key_or_group for o in overrides if o.is_sweep_override()}
        composer = _Composer(loader, config)
        composed = [(composer.compose(parser.parse_overrides(point), point), point) for point in points]
        return self._task.grid(config, composed, sorted(varied))


_MANY = 1000
"""Points that take seconds to compose."""

_HYDRAS_OWN = "${hydra."


class _Composer:
    """Composes the points of a grid: from the files for each choice of groups, by setting values for the rest.

    Hydra reads and merges all files anew for each point, which takes it a tenth of a second.

    Args:
        loader: Hydra's.
        master: The configuration of the multirun.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        self._groups = frozenset(loader.list_groups(""))
        self._bases: dict[tuple[str, ...], DictConfig | None] = {}
        self._started = False

    def compose(self, overrides: Sequence[Override], lines: list[str]) -> DictConfig:
        """Return the configuration of one point; the first has Hydra's own part too.

        Args:
            overrides: Of that point.
            lines: The same as text.
        """
        values = [override for override in overrides if self._only_sets_a_value(override)]
        rest = tuple(str(override.input_line) for override in overrides if override not in values)
        if not self._started:
            self._started = True
            return self._loader.load_sweep_config(self._master, lines)
        if rest not in self._bases:
            self._bases[rest] = self._base(rest)
        if (base := self._bases[rest]) is not None and not any(_HYDRAS_OWN in line for line in lines):
            point = copy.deepcopy(base)
            try:
                for override in values:
                    OmegaConf.update(point, override.key_or_group, override.value(), merge=True)
            except OmegaConfBaseException:
                pass  # Hydra says what is wrong, below
            else:
                return point
        return self._loader.load_sweep_config(self._master, lines)

    def _base(self, lines: Sequence[str]) -> DictConfig | None:
        """Return what points with these choices share; None where values refer to Hydra's own part of each point."""
        whole = self._loader.load_sweep_config(self._master, list(lines))
        base = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])
        return None if _HYDRAS_OWN in OmegaConf.to_yaml(base) else base

    def _only_sets_a_value(self, override: Override) -> bool:
        key = override.key_or_group
        return (
            override.type is OverrideType.CHANGE
            and override.package is None
            and key not in self._groups
            and "/" not in key
            and not key.startswith("hydra.")
        )


def _values(override: Override, loader: ConfigLoader) -> Iterator[str]:
    """Yield one plain override string per value of a sweep."""
    if not override.is_sweep_override():
        yield override.input_line or ""
        return
    key = override.get_key_element()
    values: Iterable[str]
    value = override.value()
    if isinstance(value, Glob):
        values = value.filter(loader.get_group_options(override.key_or_group))
    else:
        values = override.sweep_string_iterator()
    for one in values:
        yield f"{key}={one}"
