"""Backends by name. Built-ins and third parties register alike: an entry point in group `sweep.backends`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from sweep.backends.base import Availability, Backend
from sweep.errors import ConfigError, MissingDependencyError, Problem, choose

GROUP = "sweep.backends"
AUTO_ORDER = ("tensorrt", "onnxruntime_cuda", "onnxruntime")
"""What `backend=auto` tries, best first."""


@functools.cache
def _entry_points() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def backend_names() -> tuple[str, ...]:
    """Return the names of all registered backends, sorted."""
    return tuple(sorted(_entry_points()))


def backend_class(name: str) -> type[Backend]:
    """Return a backend's class, importing only its module.

    Raises:
        ConfigError: No backend has that name.
        MissingDependencyError: What is registered cannot be imported, or is no backend.
    """
    point = _entry_points().get(name)
    if point is None:
        raise ConfigError(Problem("backend", name, "unknown backend", choose(name, ("auto", *backend_names()))))
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:  # it may be anybody's module, and raise anything
        reason = " ".join(f"cannot be imported ({type(error).__name__}: {error})".split())
        raise MissingDependencyError(Problem("backend", name, reason, f"mend or remove {point.value}")) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Backend)):
        raise MissingDependencyError(Problem("backend", name, "is not a backend", f"mend or remove {point.value}"))
    return loaded


def available_backend(name: str) -> type[Backend]:
    """Return the class of a backend that this machine can run; `auto` takes the best of them.

    Raises:
        ConfigError: No backend has that name.
        MissingDependencyError: This machine cannot run it; the fix says what to install.
    """
    candidates = AUTO_ORDER if name == "auto" else (name,)
    reason = Availability(available=False, detail="there is none")
    for candidate in candidates:
        backend = backend_class(candidate)
        reason = backend.availability()
        if reason.available and (name != "auto" or backend.suits_auto()):
            return backend
    # Of `auto` the last, the embedded default, is the one to mend: it needs the least.
    raise MissingDependencyError(Problem("backend", name, reason.detail, reason.fix))
