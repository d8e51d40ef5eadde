"""Makes a store of ImageNet samples, in parallel; a run that was killed is continued by the next.

Each sample is marked when its bytes are written: with a key of what it was made from, and with their digest. A run
trusts a mark only if the key still fits and the bytes have that digest, so what a crash or a changed image leaves
behind is made again, and nothing else is. Running it on a complete store verifies, and repairs, that store. Samples
beyond those asked for are never thrown away unasked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweep.datasets.imagenet import (
    CHANNELS,
    DEFAULT_SIDE,
    DIGEST_BYTES,
    INTERPOLATIONS,
    Labels,
    Manifest,
    StoreFiles,
    read_fully,
    read_labels,
    read_manifest,
    store_digest,
)
from sweep.datasets.imagenet_images import PREPROCESSING, CorruptImageError, opencv, read_samples
from sweep.datasets.imagenet_sources import Source, find_sources
from sweep.errors import ConfigError, Problem, SweepError, choose
from sweep.paths import write_bytes, write_json

BATCH = 16
"""Images that a worker process takes at a time."""
SIDE_MAX = 4096


@dataclass(frozen=True)
class PreparedStore:
    """What `prepare_imagenet` made.

    Attributes:
        folder: Where it is.
        count: Samples per interpolation.
        digests: Per interpolation, the digest of its samples and the labels.
        reused: How many images were there already, in every interpolation.
        asked: How many images were asked for; fewer than `count` where a larger store was there, and left as it is.
    """

    folder: Path
    count: int
    digests: Mapping[str, str]
    reused: int
    asked: int


@dataclass(frozen=True)
class _Job:
    """What all batches share."""

    images: Path
    folder: Path
    side: int
    recipes: dict[str, str]

    @property
    def sample_bytes(self) -> int:
        return self.side * self.side * CHANNELS


@dataclass(frozen=True)
class _Outcome:
    """What became of a batch: how many of its images were there already, and which are corrupt and why."""

    reused: int
    corrupt: list[tuple[int, str]]


def prepare_imagenet(
    images: Path,
    labels: Path,
    out: Path,
    *,
    count: int | None = None,
    interpolations: Sequence[str] = INTERPOLATIONS,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    side: int = DEFAULT_SIDE,
    force: bool = False,
) -> PreparedStore:
    """Preprocess the images of a list into a store.

    Worker processes are spawned: a script that calls this needs the usual `if __name__ == "__main__"`.

    Args:
        images: Folder of the image files.
        labels: The list: `NAME LABEL` lines, names relative to `images`.
        out: The store's folder; made if it does not exist.
        count: Take the first so many of the list; None for all.
        interpolations: `area`, `linear` or both. Those that a complete store has already are brought up to date too.
        workers: Processes; None for one per usable CPU.
        progress: Called with (images done, images in all), from this thread.
        side: Height and width of a sample in pixels.
        force: Make the store what was asked for even where samples beyond that are lost.

    Raises:
        ConfigError: The list, the images or the options are wrong; names every image that cannot be decoded. Or the
            folder holds more samples than were asked for, of which these are not the first.
        MissingDependencyError: OpenCV is not installed.
        SweepError: The store cannot be written (what is done stays done), or another run is at work on it.
    """
    _check_options(count, interpolations, workers, side)
    version = str(opencv().__version__)
    sources = find_sources(images, labels, count)
    files = StoreFiles(out)
    with _writing(files), _locked(files):
        old = _old_manifest(files)
        names = [name for name in INTERPOLATIONS if name in interpolations or (old and name in old.digests)]
        job = _Job(images, out, side, {name: f"{PREPROCESSING} {version} {side} {name}" for name in names})
        classes = np.array([source.label for source in sources], dtype=np.int64)
        held = 0 if force else _held(files, old)
        larger = old if held > len(sources) else None
        if held > len(sources):
            if larger is None or not _begins_with(files, larger, job, sources, classes):
                raise _would_lose(files, old, held, len(sources), names)
        elif old is None or not _is_current(files, old, job, sources, classes):
            # First of all the manifest: from here to the end the store is not complete.
            files.manifest.unlink(missing_ok=True)
            for name in names:
                _reserve(files.samples(name), len(sources) * job.sample_bytes)
                _reserve(files.marks(name), len(sources) * 2 * DIGEST_BYTES)
        outcome = _run(job, sources, workers or len(os.sched_getaffinity(0)), progress or _ignore)
        if outcome.corrupt:
            fix = "replace it and run this again: what is done stays done"
            raise ConfigError(
                Problem(f"{labels}:{sources[index].line}", sources[index].name, reason, fix)
                for index, reason in sorted(outcome.corrupt)
            )
        manifest = larger or _complete(files, job, classes, version)
    return PreparedStore(out, manifest.count, manifest.digests, outcome.reused, len(sources))


def _check_options(count: int | None, interpolations: Sequence[str], workers: int | None, side: int) -> None:
    problems = [
        Problem("interpolation", name, "unknown interpolation", choose(name, INTERPOLATIONS))
        for name in interpolations
        if name not in INTERPOLATIONS
    ]
    if not interpolations:
        problems.append(Problem("interpolation", None, "none was given", choose("", INTERPOLATIONS)))
    if count is not None and count < 1:
        problems.append(Problem("count", count, "is not a number of images", "give 1 or more"))
    if workers is not None and workers < 1:
        problems.append(Problem("workers", workers, "is not a number of processes", "give 1 or more"))
    if not 1 <= side <= SIDE_MAX:
        problems.append(Problem("side", side, "is out of range", f"give 1 to {SIDE_MAX} pixels"))
    if problems:
        raise ConfigError(problems)


@contextlib.contextmanager
def _writing(files: StoreFiles) -> Iterator[None]:
    """Say what it means when the store cannot be written, here or in a worker."""
    try:
        files.folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        fix = "make room" if full else "make the folder writable, or name another one"
        raise SweepError(
            f"{error.filename or files.folder}: cannot be written: {error.strerror or error}; "
            f"{fix}, then run this again: what is done stays done"
        ) from error
    except BrokenProcessPool as error:
        raise SweepError(
            f"{files.folder}: a worker process ended unexpectedly, perhaps for lack of memory; "
            "run this again with fewer workers: what is done stays done"
        ) from error


@contextlib.contextmanager
def _locked(files: StoreFiles) -> Iterator[None]:
    """Hold the store alone; the lock goes with this process, however that ends."""
    descriptor = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SweepError(f"{files.folder}: another run is preparing images here; wait until it ends") from None
        yield
    finally:
        os.close(descriptor)


def _old_manifest(files: StoreFiles) -> Manifest | None:
    """Return the manifest of a complete store; a damaged one is none, for all that counts is marked elsewhere."""
    try:
        return read_manifest(files)
    except (ConfigError, FileNotFoundError):
        return None


def _held(files: StoreFiles, old: Manifest | None) -> int:
    """Return how many samples a store holds; where it is not complete, the place of the last one that was made."""
    if old is not None:
        return old.count
    held = 0
    for name in INTERPOLATIONS:
        with contextlib.suppress(FileNotFoundError):
            marks = files.read_marks(name, files.marks(name).stat().st_size // (2 * DIGEST_BYTES))
            held = max([held, *(np.flatnonzero(marks.any(axis=(1, 2))) + 1)[-1:].tolist()])
    return held


def _would_lose(files: StoreFiles, old: Manifest | None, held: int, asked: int, names: Sequence[str]) -> ConfigError:
    fix = "take another folder with --out DIR, or lose them with --force"
    if old is None:
        reason = f"preparing {held} images or more in {files.folder} was not finished"
        fix = f"continue it with as many, {fix}"
    elif missing := [name for name in names if name not in old.digests]:
        reason = f"{held} images are prepared in {files.folder}, but not with interpolation {' and '.join(missing)}"
        fix = f"prepare as many with it, {fix}"
    else:
        reason = f"{held} images are prepared in {files.folder}, and the first {asked} of them are not these"
    return ConfigError(Problem("count", asked, reason, fix))


def _is_current(files: StoreFiles, old: Manifest, job: _Job, sources: Sequence[Source], labels: Labels) -> bool:
    """Whether the store is what this run would make, as far as can be told without reading the samples."""
    return old.count == len(sources) and _begins_with(files, old, job, sources, labels)


def _begins_with(files: StoreFiles, old: Manifest, job: _Job, sources: Sequence[Source], labels: Labels) -> bool:
    """Whether the first samples of the store are what this run would make, likewise."""
    if old.side != job.side or set(old.digests) != set(job.recipes):
        return False
    try:
        if not np.array_equal(read_labels(files)[: len(labels)], labels):
            return False
        for name, recipe in job.recipes.items():
            marks = files.read_marks(name, old.count)
            if files.samples(name).stat().st_size != old.count * job.sample_bytes:
                return False
            if any(mark.tobytes() != source.key(recipe) for mark, source in zip(marks[:, 0], sources, strict=False)):
                return False
    except (OSError, ValueError, EOFError, MemoryError):
        return False
    return True


def _reserve(path: Path, size: int) -> None:
    """Give a file its size and its place on the disk, so that a disk too small is known before the work begins."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        before = os.fstat(descriptor).st_size
        os.ftruncate(descriptor, size)
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:  # those file systems promise nothing beforehand
                os.ftruncate(descriptor, min(before, size))
                raise
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} ({size} bytes are needed)", str(path)) from error
    finally:
        os.close(descriptor)


def _run(job: _Job, sources: Sequence[Source], workers: int, progress: Callable[[int, int], None]) -> _Outcome:
    total = len(sources)
    done, reused = 0, 0
    corrupt: list[tuple[int, str]] = []
    progress(0, total)
    batches = [range(begin, min(begin + BATCH, total)) for begin in range(0, total, BATCH)]
    pool = ProcessPoolExecutor(
        min(workers, len(batches)),
        mp_context=multiprocessing.get_context("spawn"),  # a fork would copy whatever locks and threads the caller has
        initializer=_start_worker,
    )
    try:
        futures = {
            pool.submit(_prepare_batch, job, [(index, sources[index]) for index in batch]): len(batch)
            for batch in batches
        }
        for future in as_completed(futures):
            outcome = future.result()
            reused += outcome.reused
            corrupt += outcome.corrupt
            done += futures[future]
            progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)
    return _Outcome(reused, corrupt)


def _start_worker() -> None:
    """Make a worker end with its parent, leave Ctrl-C to it, and keep the decoders' complaints from the terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def end_with_parent() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=end_with_parent, daemon=True).start()
    opencv().setNumThreads(1)  # there is a process per CPU already
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)


def _prepare_batch(job: _Job, batch: Sequence[tuple[int, Source]]) -> _Outcome:
    files = StoreFiles(job.folder)
    reused = 0
    corrupt = []
    with contextlib.ExitStack() as stack:
        descriptors = {}
        for name in job.recipes:
            for path in (files.samples(name), files.marks(name)):
                descriptors[path] = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                stack.callback(os.close, descriptors[path])
        for index, source in batch:
            todo = []
            for name, recipe in job.recipes.items():
                sink = _Sink(descriptors[files.samples(name)], descriptors[files.marks(name)], job.sample_bytes)
                if not sink.has(index, source.key(recipe)):
                    todo.append((name, recipe, sink))
            if not todo:
                reused += 1
                continue
            try:
                samples = read_samples(job.images / source.name, [name for name, _, _ in todo], job.side)
            except CorruptImageError as error:
                corrupt.append((index, str(error)))
                continue
            for name, recipe, sink in todo:
                sink.put(index, source.key(recipe), samples[name].tobytes())
    return _Outcome(reused, corrupt)


@dataclass(frozen=True)
class _Sink:
    """The two files of one interpolation, open."""

    samples: int
    marks: int
    sample_bytes: int

    def has(self, index: int, key: bytes) -> bool:
        """Whether the sample made from `key` is there, whole."""
        mark = os.pread(self.marks, 2 * DIGEST_BYTES, index * 2 * DIGEST_BYTES)
        if mark[:DIGEST_BYTES] != key:
            return False
        row = np.zeros(self.sample_bytes, dtype=np.uint8)
        read_fully(self.samples, row, index * self.sample_bytes)
        return hashlib.sha256(row.data).digest() == mark[DIGEST_BYTES:]

    def put(self, index: int, key: bytes, sample: bytes) -> None:
        _write_fully(self.samples, sample, index * self.sample_bytes)
        mark = key + hashlib.sha256(sample).digest()
        _write_fully(self.marks, mark, index * 2 * DIGEST_BYTES)


def _write_fully(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


def _complete(files: StoreFiles, job: _Job, labels: Labels, version: str) -> Manifest:
    """Bring everything to the disk, then write the manifest."""
    digests = {}
    for name in job.recipes:
        for path in (files.samples(name), files.marks(name)):
            _sync(path)
        digests[name] = store_digest(job.side, files.read_marks(name, len(labels)), labels)
    buffer = io.BytesIO()
    np.save(buffer, labels)
    write_bytes(files.labels, buffer.getvalue())
    manifest = Manifest(len(labels), job.side, digests, version, PREPROCESSING)
    write_json(files.manifest, manifest.to_json())
    return manifest


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ignore(done: int, total: int) -> None:
    """Report progress to nobody."""
    del done, total
