"""Finds the largest VALID N with few queries: fit, jump to the predicted edge, bracket it, prove both sides.

Short probes find where the edge is; full tests decide. After each test all is worked out anew from what was seen.

1. *Probe* until the bracket (largest N that looks VALID, smallest above it that does not) has closed, or is as narrow
   as the noise of a probe.
2. *Prove* an N VALID: the largest of which curve and spread promise that a full test will be conclusive, so that its
   verdict is no matter of luck. Then look for a larger one.
3. *Bound* it from above: by the next N where that can be told, else by the smallest one that can be shown INVALID.
4. *Look* at multiples of 8, 16 and 32 above, which accelerators favour: the first INVALID need not be the last VALID.
5. *Confirm* by another full test where whole tests differ by more than their queries explain.
"""

from __future__ import annotations

from sweep.search.base import Ask, Observation, Question
from sweep.search.boundary_state import BoundaryState
from sweep.search.searcher import Searcher


class BoundarySearcher(Searcher):
    """The default searcher; see the module."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self._state: BoundaryState | None = None
        self._rounds = 1

    def tell(self, observation: Observation) -> None:
        """Take in what a test showed."""
        super().tell(observation)
        self._state = None

    def ask(self) -> Ask | None:
        """Return the next test."""
        return self._now.ask()

    def answer(self) -> int | None:
        """Return the largest N that was shown VALID with the wanted confidence."""
        return self._now.good

    def bracket(self) -> tuple[int | None, int | None]:
        """Return the largest N that looks VALID and the smallest above it that does not."""
        return self._now.bracket

    def proven(self) -> tuple[int | None, int | None]:
        """Return the answer, and the smallest N above it that was shown not VALID."""
        return self._now.good, self._now.bad

    def confidence(self, n: int) -> float:
        """Return how surely N is VALID: by its counts, and by its distance from an edge that may be off."""
        return self._now.confidence(n)

    def remark(self) -> str:
        """Say how far whole tests differed, where they did."""
        doubt = self._now.doubt
        if not doubt:
            return ""
        return f"tests of one N differ by more than their queries explain: the edge is uncertain by {100 * doubt:.2g} %"

    @property
    def limit(self) -> str:
        """Return which number of tests ends it."""
        return self._now.limit

    def extend(self) -> bool:
        """Allow as many tests again."""
        self._rounds, self._state = self._rounds + 1, None
        return self.ask() is not None

    @property
    def _now(self) -> BoundaryState:
        if self._state is None:
            self._state = BoundaryState(self.question, self._seen, self._rounds)
        return self._state
