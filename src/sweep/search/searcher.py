"""What a searcher is: it is told what tests have shown and asks for the next one. It knows numbers, not processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from sweep.search.base import Ask, Observation, Question, Shown
from sweep.search.evidence import pools


class Searcher(ABC):
    """Asks for tests until the question is answered.

    What it asks next depends on nothing but what it was told, in order: told the same again, it asks the same, so a
    search resumes where it stopped. `tell` takes any test of the question, asked for or not.

    Args:
        question: What is to be found.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self._seen: list[Observation] = []

    @property
    def seen(self) -> Sequence[Observation]:
        """Everything told so far, in order."""
        return self._seen

    @abstractmethod
    def ask(self) -> Ask | None:
        """Return the next test; None when there is nothing left to ask. Asking twice changes nothing."""

    def tell(self, observation: Observation) -> None:
        """Take in what a test showed.

        Raises:
            ValueError: It is of an N outside the domain.
        """
        if observation.samples_per_query not in self.question.domain:
            raise ValueError(f"N={observation.samples_per_query} lies outside {self.question.domain}")
        self._seen.append(observation)

    @abstractmethod
    def answer(self) -> int | None:
        """Return the largest VALID N by this searcher's own lights, so far; None when there is none."""

    def proven(self) -> tuple[int | None, int | None]:
        """Return the largest N shown VALID with the wanted confidence, and the smallest above it shown not VALID.

        Either is None where there is none. A searcher may ask for more than the counts of N alone.
        """
        by_n = pools(self.question, self._seen)
        good = max((n for n, pool in by_n.items() if pool.is_good), default=None)
        return good, min((n for n, pool in by_n.items() if pool.is_bad and n > (good or 0)), default=None)

    def confidence(self, n: int) -> float:
        """Return how surely N, which was tested, is VALID: by its counts, and by whatever else the searcher knows."""
        return pools(self.question, self._seen)[n].p_valid

    def remark(self) -> str:
        """Return what is to be known about the answer beside its counts, in one line; often nothing."""
        (good, bad), domain = self.proven(), self.question.domain
        is_proven = good == domain.high or (bad is not None and (good is not None or bad == domain.low))
        return "" if is_proven or not self._seen or self.ask() is not None else f"ended by {self.limit}"

    @property
    def limit(self) -> str:
        """The limit of its own that ends it, where nothing is left to ask and the answer is not proven."""
        return "one full test of each N; search.algorithm=boundary tests again what is not sure"

    def extend(self) -> bool:
        """Allow as many tests again, and say whether there is something to ask now: so a search goes on from a limit.

        False for one that has no such limit.
        """
        return False

    def bracket(self) -> tuple[int | None, int | None]:
        """Return the largest N that looks VALID and, above it, the smallest that does not; None where unknown."""
        valid = self.answer()
        above = [
            one.samples_per_query
            for one in self._seen
            if one.shown is not Shown.VALID and (valid is None or one.samples_per_query > valid)
        ]
        return valid, min(above, default=None)
