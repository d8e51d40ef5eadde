"""Checks of a submission tree and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from sweep.submission.rounds import Benchmark, Round
from sweep.submission.tree import Tree, TreeResult, TreeSubmitter


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """The result would not be accepted."""
    WARNING = "warning"
    """A reviewer will ask."""
    NOT_CHECKED = "not checked"
    """Sweep cannot tell."""


@dataclass(frozen=True)
class Found:
    """What one check has to say.

    Attributes:
        what: What is wrong, in a clause that begins with the file or field.
        severity: How much it matters.
    """

    what: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True)
class Check:
    """One rule.

    Attributes:
        name: Its short name.
        demands: What it demands, in a sentence.
        why: Why that matters, and where the rule is from.
    """

    name: str
    demands: str
    why: str


@dataclass(frozen=True)
class Finding:
    """What a check has found at one place.

    Attributes:
        check: The check.
        place: Of what: a result, a submitter, or the tree.
        found: What it says.
    """

    check: Check
    place: str
    found: Found


@dataclass(frozen=True)
class Subject:
    """A result under the rules of a round.

    Attributes:
        result: The result.
        rules: The round.
        benchmark_name: Benchmark that it is of; None for none.
    """

    result: TreeResult
    rules: Round
    benchmark_name: str | None

    @property
    def closed(self) -> bool:
        """Whether it is in `closed`."""
        return self.result.paths.of.division == "closed"

    @property
    def benchmark(self) -> Benchmark | None:
        """What the benchmark demands; None where there is none."""
        return None if self.benchmark_name is None else self.rules.benchmarks[self.benchmark_name]


OfResult = Callable[[Subject], Iterator[Found]]
OfSubmitter = Callable[[TreeSubmitter, Round, Tree], Iterator[Found]]
OfTree = Callable[[Tree, Round], Iterator[Found]]
