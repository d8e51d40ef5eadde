"""Engines that were built before. One is used only if it is whole, and was made for exactly what is asked for.

`engines/KEY.engine` is the serialized engine; KEY is a digest of its identity: everything that decides what a builder
makes. `engines/KEY.engine.json` holds that identity in words, and the engine's digest. It is written last.

The folder has a limit. What was used least recently goes first, and never what a process has loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep import paths
from sweep.backends.trt.build import Built
from sweep.backends.trt.files import CheckedFile, InUse, locked, remove_unused
from sweep.backends.trt.messages import say
from sweep.errors import ConfigError, Problem
from sweep.models.cache import describe, unwritable

SCHEMA_VERSION = 1
"""Of the file beside an engine. History: 1, the first."""


LIMIT_GB = "SWEEP_ENGINE_CACHE_GB"
"""The variable that says how large the folder may become, in 10^9 bytes."""

_DEFAULT_GB = 20.0


def limit_bytes() -> int:
    """Return how large the folder of engines may become.

    Raises:
        ConfigError: The variable is no such number.
    """
    given = os.environ.get(LIMIT_GB) or str(_DEFAULT_GB)
    try:
        limit = int(float(given) * 1e9)
    except (ValueError, OverflowError):  # no number, nan, inf
        limit = -1
    if limit < 0:
        fix = f"set a number such as {_DEFAULT_GB:g}, or unset it"
        raise ConfigError(Problem(LIMIT_GB, given, "is no size in GB", fix))
    return limit


@dataclass(frozen=True)
class CachedEngine:
    """An engine, and where it came from.

    Attributes:
        data: The serialized engine.
        sha256: Hex digest of it.
        from_cache: Whether it lay there; False for one that was just built.
        build_s: How long building took, whenever that was.
        path: Its file.
        in_use: Keeps the file in the cache; None where it is gone already.
    """

    data: bytes
    sha256: str
    from_cache: bool
    build_s: float
    path: Path
    in_use: InUse | None = None


class EngineCache:
    """The engines in a cache folder, for any number of processes.

    Args:
        root: The cache folder; it is made when it is missing.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / "engines"

    def path(self, identity: Mapping[str, Any]) -> Path:
        """Return where the engine of an identity lies."""
        return self.folder / f"{describe(identity)}.engine"

    def kernels(self, identity: Mapping[str, Any]) -> CheckedFile:
        """Return where kernels are kept that the engine's flavour compiles when it runs."""
        return CheckedFile(self.path(identity).with_suffix(".kernels"))

    def find(self, identity: Mapping[str, Any]) -> CachedEngine | None:
        """Return the engine of an identity; None where it is missing, or not to be trusted, which is said on stderr."""
        path = self.path(identity)
        try:
            in_use = InUse(path)
            data, note = path.read_bytes(), _note(path).read_bytes()
        except FileNotFoundError:
            if path.exists():
                say(f"{path} is not used: {_note(path).name} is missing")
            return None
        except OSError as error:
            raise unwritable(self.folder, error) from error
        wrong = _wrong(data, note, identity)
        if wrong:
            say(f"{path} is not used: {wrong}")
            return None
        known = json.loads(note)
        return CachedEngine(data, known["sha256"], from_cache=True, build_s=known["build_s"], path=path, in_use=in_use)

    def get(self, identity: Mapping[str, Any], build: Callable[[], Built], refused: str = "") -> CachedEngine:
        """Return the engine of an identity, built where it is not there. Two processes never build the same one.

        Args:
            identity: What the engine depends on, as JSON data.
            build: Builds it.
            refused: Digest of an engine that cannot be loaded, and is to be built once more.

        Raises:
            ConfigError: The cache cannot be used.
            BackendError: As `build` raises it.
        """
        found = self.find(identity)
        if found is not None and found.sha256 != refused:
            return found
        with self._locked(identity):
            found = self.find(identity)
            if found is not None and found.sha256 != refused:
                return found
            return self._store(identity, build())

    @contextlib.contextmanager
    def _locked(self, identity: Mapping[str, Any]) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            lock = self.path(identity).with_suffix(".lock")
            try:
                stack.enter_context(locked(lock, "waiting for another process that builds the same engine"))
            except OSError as error:
                raise unwritable(self.folder, error) from error
            yield

    def _store(self, identity: Mapping[str, Any], built: Built) -> CachedEngine:
        path, sha256, build_s = self.path(identity), hashlib.sha256(built.data).hexdigest(), round(built.seconds, 3)
        note = {
            "schema_version": SCHEMA_VERSION,
            "sha256": sha256,
            "size": len(built.data),
            "build_s": build_s,
            "identity": dict(identity),
        }
        try:
            paths.write_bytes(path, built.data)
            paths.write_json(_note(path), note)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        in_use = None
        with contextlib.suppress(OSError):  # another process's limit may be smaller
            in_use = InUse(path)
        self.prune()
        return CachedEngine(built.data, sha256, from_cache=False, build_s=build_s, path=path, in_use=in_use)

    def usage(self) -> tuple[int, int]:
        """Return how many engines there are, and the bytes of all files of the folder."""
        files = _sizes(self.folder.glob("*"))
        return sum(path.suffix == ".engine" for path in files), sum(size for size, _ in files.values())

    def prune(self) -> None:
        """Remove engines until the folder is within its limit; those in use stay, whoever uses them.

        Raises:
            ConfigError: The limit is none.
        """
        (_, used), limit = self.usage(), limit_bytes()
        for path in sorted(engines := _sizes(self.folder.glob("*.engine")), key=lambda path: engines[path][1]):
            if used <= limit:
                return
            if freed := remove_unused(path, _note(path), path.with_suffix(".kernels")):
                used -= freed
                say(f"{path} was removed, as the one used least recently: the limit is {limit / 1e9:g} GB ({LIMIT_GB})")


class Timings:
    """Kernel times that `tensorrt` measured on one GPU, shared by all its builds there.

    Args:
        root: The cache folder.
        flavour: Name of the flavour.
        version: Its version; times of another do not fit.
        gpu: Name of the GPU and its compute capability.
    """

    def __init__(self, root: Path, flavour: str, version: str, gpu: str) -> None:
        name = "".join(letter if letter.isalnum() or letter == "." else "-" for letter in f"{flavour}-{version}-{gpu}")
        self.file = CheckedFile(root / "engines" / f"{name}.timings")
        self._read = b""

    def read(self) -> bytes:
        """Return what was kept; empty when there is nothing."""
        self._read = self.file.read()
        return self._read

    def merge(self, config: Any) -> None:
        """Keep what a build has measured, with what other builds have kept meanwhile."""
        measured = config.get_timing_cache()
        if measured is None:
            return

        def add(kept: bytes) -> bytes:
            if kept in {b"", self._read}:
                return bytes(measured.serialize())
            both = config.create_timing_cache(kept)
            if both is None or not both.combine(measured, False):
                return bytes(measured.serialize())
            return bytes(both.serialize())

        self.file.update(add)


def _sizes(paths: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Return the size of each file, in bytes, and when it was used, in ns; what has gone meanwhile is left out."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            state = path.stat()
            found[path] = state.st_size, state.st_mtime_ns
    return found


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _wrong(data: bytes, note: bytes, identity: Mapping[str, Any]) -> str:
    """Return why an engine is not the one that is wanted; empty where it is."""
    try:
        known = json.loads(note)
        version, sha256, size = known["schema_version"], known["sha256"], known["size"]
        theirs, _ = known["identity"], float(known["build_s"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return "what is known about it is damaged"
    checks = (
        (version == SCHEMA_VERSION, f"it was stored by another sweep (version {version}, not {SCHEMA_VERSION})"),
        (theirs == json.loads(json.dumps(identity)), "it was built for something else"),
        (len(data) == size, f"it is {len(data)} bytes, not {size}"),
        (hashlib.sha256(data).hexdigest() == sha256, "it is damaged: its digest is another"),
    )
    return next((wrong for holds, wrong in checks if not holds), "")
