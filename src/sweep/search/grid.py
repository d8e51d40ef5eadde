"""Every N once: the slowest search, the one that assumes nothing, and the one that a plot of all N needs."""

from __future__ import annotations

from sweep.search.base import Ask
from sweep.search.searcher import Searcher
from sweep.search.told import largest_valid, settled


class GridSearcher(Searcher):
    """Asks for a full test of every member of the domain, in ascending order.

    Its answer is the largest N that was ever VALID, which noise makes too large: each N near the bound gets a chance.
    """

    def ask(self) -> Ask | None:
        """Return a full test of the smallest N that has none."""
        domain = self.question.domain
        verdicts = settled(self.seen)
        for position, n in enumerate(range(domain.low, domain.high + 1, domain.step)):
            if n not in verdicts:
                return Ask(n, None, f"point {position + 1} of {len(domain)}")
        return None

    def answer(self) -> int | None:
        """Return the largest N that was VALID."""
        return largest_valid(settled(self.seen))
