"""Reads mlperf.conf and user.conf as LoadGen does: `TestSettings::FromConfig` of `test_settings_internal.cc`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sweep.vocabulary import Scenario

_WHOLE = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|\d+)")
_REAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")

_KEYS: Mapping[str, tuple[str, float]] = {
    "min_duration": ("min_duration_ms", 1),
    "max_duration": ("max_duration_ms", 1),
    "min_query_count": ("min_query_count", 1),
    "max_query_count": ("max_query_count", 1),
    "performance_sample_count_override": ("performance_sample_count", 1),
    "samples_per_query": ("samples_per_query", 1),
    "target_latency": ("target_latency_ns", 1_000_000),
    "target_latency_percentile": ("target_latency_percentile", 0.01),
}
"""Keys, by the names that LoadGen's detail log has for them, and what their values are multiplied by."""

_OF_SOME = {
    "samples_per_query": (Scenario.MULTI_STREAM,),
    "target_latency": (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM, Scenario.SERVER),
    "target_latency_percentile": (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM, Scenario.SERVER),
}
"""Scenarios for which LoadGen looks such a key up; the others it does for all."""


@dataclass(frozen=True)
class Conf:
    """One file.

    Attributes:
        values: By key (`gnmt.Server.target_latency`), as written; of a repeated key the last.
        bad_line: The first line that LoadGen cannot read, from 1: it then takes nothing of the file. None without one.
    """

    values: Mapping[str, str]
    bad_line: int | None = None

    @property
    def models(self) -> frozenset[str]:
        """Models that have settings of their own."""
        return frozenset(key.rsplit(".", 2)[0] for key in self.values if key.count(".") >= 2) - {"*"}

    def lookup(self, model: str, scenario: str, key: str) -> str | None:
        """Return what holds for a model in a scenario; a wildcard of the model goes before one of the scenario."""
        ways = (f"{model}.{scenario}", f"*.{scenario}", f"{model}.*", "*.*")
        return next((self.values[name] for way in ways if (name := f"{way}.{key}") in self.values), None)


def parse_conf(text: str) -> Conf:
    """Read the text of a file: `key = value` with blanks around the sign, `#` and a blank begin a comment."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words or words[0] == "#":
            continue
        key, sign, *found = (*words, "=") if len(words) == 1 else words
        if sign == "#":
            continue
        if sign != "=" or not all(_WHOLE.fullmatch(one) or _REAL.fullmatch(one) for one in found):
            return Conf({}, number)
        if found:
            values[key] = found[-1]
    return Conf(values)


def settings_of(confs: Iterable[Conf], model: str, scenario: Scenario) -> dict[str, float]:
    """Return what LoadGen takes from files, in its detail log's names and units; of two files the later has its way."""
    found: dict[str, float] = {}
    for conf in confs:
        for key, (name, factor) in _KEYS.items():
            text = conf.lookup(model, str(scenario), key) if scenario in _OF_SOME.get(key, (scenario,)) else None
            if text is not None:
                found[name] = _number(text) * factor if factor < 1 else round(_number(text) * factor)
    return found


def _number(text: str) -> float:
    return int(text, 16 if "x" in text.lower() else 10) if _WHOLE.fullmatch(text) else float(text)
