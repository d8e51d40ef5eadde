"""Classical bisection: exact and short where tests have no noise, and for comparison where they have."""

from __future__ import annotations

from sweep.search.base import Ask
from sweep.search.searcher import Searcher
from sweep.search.told import settled


class BisectionSearcher(Searcher):
    """Halves the domain with full tests until a VALID N and one that is not are neighbours.

    It takes each verdict for the truth and "VALID below, INVALID above" for granted.
    """

    def ask(self) -> Ask | None:
        """Return a full test of the middle of what is left."""
        below, above = self._walk()
        if above - below == 1:
            return None
        last = len(self.question.domain)
        left = f"{self._member(below + 1)}..{self._member(above - 1)}"
        why = f"middle of {left}" if (below, above) != (-1, last) else f"middle of the range {left}"
        return Ask(self._member((below + above) // 2), None, why)

    def answer(self) -> int | None:
        """Return the largest N that was VALID on the path."""
        below, _ = self._walk()
        return self._member(below) if below >= 0 else None

    def _walk(self) -> tuple[int, int]:
        """Follow the path as far as it is known; positions in the domain of its VALID and its not VALID end."""
        verdicts = settled(self.seen)
        below, above = -1, len(self.question.domain)
        while above - below > 1:
            middle = (below + above) // 2
            valid = verdicts.get(self._member(middle))
            if valid is None:
                break
            below, above = (middle, above) if valid else (below, middle)
        return below, above

    def _member(self, position: int) -> int:
        domain = self.question.domain
        return domain.low + position * domain.step
