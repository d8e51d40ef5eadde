"""In which order the tests of a grid are run, so that few engines are built: what is measured is the same in any."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.backends.base import Backend
from sweep.backends.registry import backend_class
from sweep.trial.engine_reuse import engine_key, serves
from sweep.trial.spec import TrialSpec


def engine_order(specs: Sequence[TrialSpec]) -> list[int]:
    """Return the numbers of the specs in the order to run them: as they are, if no engine is saved by another.

    Tests that share an engine follow each other. On a GPU, where an engine takes from seconds to many minutes, the
    larger N comes first where its engine serves the smaller as well; on the CPU it takes about a tenth of a second, and
    rows in order are worth more.
    """
    numbers = list(range(len(specs)))
    groups: dict[tuple[object, ...], list[int]] = {}
    for number in numbers:
        groups.setdefault(engine_key(specs[number]), []).append(number)
    grouped = [number for group in groups.values() for number in _sorted(group, specs)]
    return grouped if engines_made([specs[number] for number in grouped]) < engines_made(specs) else numbers


def engines_made(specs: Sequence[TrialSpec]) -> int:
    """Return how many engines one worker makes for tests in this order, none of which ends it."""
    made = 0
    held: TrialSpec | None = None
    for spec in specs:
        if held is None or engine_key(held) != engine_key(spec) or not serves(_backend(spec), held, spec):
            made += 1
            held = spec
    return made


def _sorted(group: Sequence[int], specs: Sequence[TrialSpec]) -> list[int]:
    """Return the tests of one engine key in an order that saves engines."""
    backend = _backend(specs[group[0]])
    splits: dict[object, list[int]] = {}
    for number in group:
        spec = specs[number]
        split = None if spec.engine_batch >= spec.samples_per_query else spec.engine_batch
        shape = spec.samples_per_query if backend.engine_depends_on_query else None
        splits.setdefault((split, shape), []).append(number)
    descends = backend.uses_gpu and backend.reusable and not backend.engine_depends_on_query
    return [
        number
        for alike in splits.values()
        for number in (sorted(alike, key=lambda n: -specs[n].samples_per_query) if descends else alike)
    ]


def _backend(spec: TrialSpec) -> type[Backend]:
    return backend_class(spec.backend.name)
