"""Chooses the settings that a joint search tries, by Optuna's TPE over what the earlier ones have shown."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.search.quiet import load_optuna

Space = tuple[tuple[str, tuple[Any, ...]], ...]


@dataclass(frozen=True)
class Tried:
    """A setting and what it has shown.

    Attributes:
        setting: Key to value.
        score: The largest N, or for a dropped one the N at which it would about meet the bound.
    """

    setting: Mapping[str, Any]
    score: float


def next_setting(space: Space, tried: Sequence[Tried], seed: int) -> dict[str, Any] | None:
    """Return the next setting to try; None when all were. It depends on nothing but what was tried.

    Args:
        space: Keys with their values.
        tried: Earlier settings, in order.
        seed: Of the sampler.
    """
    known = {_key(one.setting) for one in tried}
    if not tried:
        return {key: values[0] for key, values in space}
    optuna = load_optuna()
    categorical = optuna.distributions.CategoricalDistribution  # takes few types: values go in as JSON
    choices = {key: categorical(tuple(map(json.dumps, values))) for key, values in space}
    sampler = optuna.samplers.TPESampler(seed=(seed + len(tried)) % 2**32, n_startup_trials=4, multivariate=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for one in tried:
        params = {key: json.dumps(one.setting[key]) for key, _ in space}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=choices, value=one.score))
    for _ in range(16):
        drawn = study.ask(choices)
        setting = {key: json.loads(value) for key, value in drawn.params.items()}
        if _key(setting) not in known:
            return setting
        study.tell(drawn, state=optuna.trial.TrialState.FAIL)
    return next((setting for setting in _all(space) if _key(setting) not in known), None)


def _all(space: Space) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*(values for _, values in space)):
        yield dict(zip((key for key, _ in space), values, strict=True))


def _key(setting: Mapping[str, Any]) -> str:
    return json.dumps(setting, sort_keys=True)
