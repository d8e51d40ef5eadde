"""Which tests can share an engine: asked by the worker that has one, and by who orders the tests of a grid."""

from __future__ import annotations

from typing import Protocol

from sweep.backends.base import Backend
from sweep.trial.spec import TrialSpec


class Sizes(Protocol):
    """What an engine was made for."""

    @property
    def samples_per_query(self) -> int:
        """The largest query."""

    @property
    def engine_batch(self) -> int:
        """Samples of a launch."""


def engine_key(spec: TrialSpec) -> tuple[object, ...]:
    """Return what two tests must have in common to share an engine, sizes aside."""
    return spec.model.digest, spec.precision, spec.backend.name, tuple(sorted(spec.backend.options.items()))


def serves(backend: type[Backend], held: Sizes, wanted: Sizes) -> bool:
    """Return whether an engine that was made for one test does for another with the same key.

    One without shapes in its engine is made anew only for a larger N, or another split.
    """
    if not backend.reusable:
        return False
    if wanted.engine_batch != held.engine_batch and not (_is_whole(wanted) and _is_whole(held)):
        return False
    if held.samples_per_query == wanted.samples_per_query:
        return True
    return held.samples_per_query > wanted.samples_per_query and not backend.engine_depends_on_query


def _is_whole(sizes: Sizes) -> bool:
    return sizes.engine_batch >= sizes.samples_per_query
