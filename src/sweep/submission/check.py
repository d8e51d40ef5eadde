"""Holds a submission tree against the rules of its round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sweep.errors import ConfigError, Problem
from sweep.submission import checks_accuracy, checks_files, checks_performance, checks_tree
from sweep.submission.findings import Check, Finding, Found, OfResult, Severity, Subject
from sweep.submission.rounds import ROUNDS, Round
from sweep.submission.tree import Tree, read_tree

OF_RESULTS: tuple[tuple[Check, OfResult], ...] = (
    *checks_files.CHECKS,
    *checks_performance.CHECKS,
    *checks_accuracy.CHECKS,
)
"""Everything that is checked of each result."""

ALL_CHECKS: tuple[Check, ...] = (
    *(check for check, _ in checks_tree.OF_TREES),
    *(check for check, _ in checks_tree.OF_SUBMITTERS),
    *(check for check, _ in OF_RESULTS),
)
"""Every check there is, in the order in which they are made."""


@dataclass(frozen=True)
class Checked:
    """What checks have found.

    Attributes:
        tree: The tree.
        rules: The round it was held against.
        guessed: Whether that was taken from the seeds of its tests.
        findings: By place, in order.
    """

    tree: Tree
    rules: Round
    guessed: bool
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Return how many findings are of a severity."""
        return sum(1 for one in self.findings if one.found.severity is severity)


def check_tree(root: Path, round_name: str | None = None, division: str | None = None) -> Checked:
    """Check a tree.

    Args:
        root: The folder that holds `closed` or `open`.
        round_name: The round; None for the one whose random seeds most of its tests were drawn with.
        division: The one to check; None for both.

    Raises:
        ConfigError: It is no submission, or its round can be told from nothing.
    """
    tree = read_tree(root, division)
    rules = ROUNDS[_round_of(tree) if round_name is None else round_name]
    return Checked(tree, rules, round_name is None, tuple(_findings(tree, rules)))


def _round_of(tree: Tree) -> str:
    seen = Counter(one.seeds_of for one in tree.results if one.seeds_of in ROUNDS)
    if not seen:
        reason = "cannot be told from the random seeds of its tests"
        raise ConfigError(Problem("--round", None, reason, f"choose one of: {', '.join(ROUNDS)}"))
    name, _ = seen.most_common(1)[0]
    return str(name)


def _findings(tree: Tree, rules: Round) -> Iterator[Finding]:
    for check, of_tree in checks_tree.OF_TREES:
        yield from (_finding(check, str(tree.root), found, rules) for found in of_tree(tree, rules))
    for submitter in tree.submitters:
        for check, of_submitter in checks_tree.OF_SUBMITTERS:
            yield from (_finding(check, submitter.name, one, rules) for one in of_submitter(submitter, rules, tree))
    for result in tree.results:
        subject = Subject(result, rules, result.benchmark(rules))
        for check, of_result in OF_RESULTS:
            yield from (_finding(check, result.name, found, rules) for found in of_result(subject))


def _finding(check: Check, place: str, found: Found, rules: Round) -> Finding:
    """Return a finding, as a warning where the official checker of the round lets it pass."""
    if found.severity is Severity.ERROR and check.name in rules.lenient:
        found = replace(found, severity=Severity.WARNING)
    return Finding(check, place, found)
