"""Every place that sweep reads or writes, and the one way a file is written."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from sweep.errors import ConfigError, Problem

PACKAGE = Path(__file__).resolve().parent

SUMMARY_LOG = "mlperf_log_summary.txt"
DETAIL_LOG = "mlperf_log_detail.txt"
ACCURACY_LOG = "mlperf_log_accuracy.json"
RESULT = "result.json"
SPEC = "spec.json"
MANIFEST = "sweep.json"
_TRACE_LOG = "mlperf_log_trace.json"
STAGING_PREFIX = ".unpack-"
"""Of the folder in an output folder where an archive is unpacked before its parts are moved to their places."""
_TEMPORARY = ".tmp"
_LOCK_PREFIX = "sweep-gpu-"
_SURROGATES = re.compile("[\ud800-\udfff]")
"""As which Python holds the bytes of file names that are no UTF-8; JSON can say them, UTF-8 cannot."""
_OF_SWEEPS = (".csv", ".json", ".parquet", ".png")
"""How the files end that a command leaves in its folder."""


_PROGRAM = """\
import importlib.util, sys
spec = importlib.util.spec_from_file_location("sweep", {init!r}, submodule_search_locations=[{package!r}])
sys.modules["sweep"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["sweep"])
from {module} import main
main()
"""


def own_python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `main()` of a module of this sweep, whichever others are installed.

    Nothing in the working directory may stand in for it, or for a module that it needs.
    """
    program = _PROGRAM.format(init=str(PACKAGE / "__init__.py"), package=str(PACKAGE), module=module)
    return [sys.executable, "-P", "-c", program, *arguments]


def conf_dir() -> Path:
    """Return the Hydra tree: the checkout's `conf/` when this is one, else the copy inside the package."""
    checkout = PACKAGE.parent.parent / "conf"
    return checkout if (checkout / "config.yaml").is_file() else PACKAGE / "conf"


def cache_dir() -> Path:
    """Return where downloaded and generated files live.

    `$SWEEP_CACHE`, else `$XDG_CACHE_HOME/sweep`, else `~/.cache/sweep`.
    """
    if own := os.environ.get("SWEEP_CACHE"):
        return expanded(own, "SWEEP_CACHE")
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "SWEEP_CACHE") / "sweep"


def real(path: Path) -> Path:
    """Return a path without links, as far as they lead anywhere: `Path.resolve` fails on one that leads to itself."""
    return Path(os.path.realpath(path))


def expanded(path: str, field: str) -> Path:
    """Return a path that somebody typed, absolute, with `~` for the home of a user.

    Args:
        path: What was typed.
        field: The key, or the variable, that it was typed for.

    Raises:
        ConfigError: There is no such user, or no home.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        name = Path(path).parts[0][1:]
        reason = f"there is no user {name}" if name else "this user has no home folder"
        raise ConfigError(
            Problem(field, path, reason, f"give a path without ~, such as {field}=/absolute/path")
        ) from None


def in_words(path: Path | str) -> str:
    r"""Return a path as text, for tables: bytes that are no UTF-8 become `\udcXX`."""
    return to_utf8(str(path)).decode()


def to_utf8(text: str) -> bytes:
    r"""Return text as UTF-8, in which bytes of names that are none become `\udcXX`."""
    return text.encode(errors="backslashreplace")


@contextmanager
def in_utf8(path: Path) -> Iterator[str]:
    """Yield a name in UTF-8 for a file or folder, for libraries that take no other; it holds inside of the context."""
    if not _SURROGATES.search(str(path)):
        yield str(path)
        return
    inner = path.is_dir() or _SURROGATES.search(path.name) is not None
    descriptor = os.open(path if inner else path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{descriptor}" + ("" if inner else f"/{path.name}")
    finally:
        os.close(descriptor)


def lock_dir() -> Path:
    """Return where processes that test on one machine meet, whoever they belong to: `$SWEEP_LOCKS`, else `/tmp`.

    Not the user's or the session's own temporary folder (`$TMPDIR`, `$XDG_RUNTIME_DIR`): it must be the same for all.
    Containers that share a machine know of each other only when they are given one folder.
    """
    return Path(os.environ.get("SWEEP_LOCKS") or "/tmp").absolute()  # noqa: S108  (see above)


def gpu_lock(uuid: str) -> Path:
    """Return the file whose lock is held while a GPU is under test."""
    return lock_dir() / f"{_LOCK_PREFIX}{uuid.replace('/', '_')}.lock"


def cpu_lock() -> Path:
    """Return the file whose lock is held while the CPU is under test."""
    return lock_dir() / "sweep-cpu.lock"


def gpu_locks() -> list[Path]:
    """Return the files of all GPUs that were ever under test here."""
    try:
        return sorted(lock_dir().glob(f"{_LOCK_PREFIX}*.lock"))
    except OSError:
        return []


def read_bytes(path: Path) -> bytes:
    """Read a file that anybody may have put there; a pipe of its name is not waited for.

    Raises:
        OSError: It cannot be read, or is no regular file.
        ValueError: No file can have that name.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        return file.read()


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Write a whole file or none of it: a temporary file beside it, to be filled, is synced, then renamed over it.

    It is locked until then, which tells it from those of writes that were killed; those of the same file are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, f".{path.name}.")
    handle, temporary = _locked_temporary(path)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _locked_temporary(path: Path) -> tuple[int, str]:
    while True:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_TEMPORARY)
        with suppress(OSError):  # a file system without locks, where nothing is removed either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, temporary
        os.close(handle)  # another process took it for a leftover before it was locked


def remove_leftovers(folder: Path, prefix: str = ".") -> None:
    """Remove the temporary files that killed writes left in a folder; never one that is being written."""
    try:
        with os.scandir(folder) as entries:
            names = [one.path for one in entries if one.name.startswith(prefix) and one.name.endswith(_TEMPORARY)]
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            handle = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name)  # noqa: PTH108
            finally:
                os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file or none of it."""
    with new_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write text as `to_utf8` gives it, atomically."""
    write_bytes(path, to_utf8(text))


def json_text(value: Any) -> str:
    """Return JSON for people and programs: sorted keys, indented, no NaN."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    return _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and programs, atomically."""
    write_text(path, json_text(value))


class AttemptPaths:
    """File names of one attempt at a trial.

    Args:
        directory: The attempt's own folder.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def spec(self) -> Path:
        """What was to be measured; written before the test."""
        return self.directory / SPEC

    @property
    def result(self) -> Path:
        """The record; written last, so its presence means that the attempt is finished."""
        return self.directory / RESULT

    @property
    def summary(self) -> Path:
        """LoadGen's summary."""
        return self.directory / SUMMARY_LOG

    @property
    def detail(self) -> Path:
        """LoadGen's detail log."""
        return self.directory / DETAIL_LOG

    @property
    def accuracy(self) -> Path:
        """LoadGen's log of answers."""
        return self.directory / ACCURACY_LOG

    @property
    def trace(self) -> Path:
        """LoadGen's trace of events, of a trial that another tool measured."""
        return self.directory / _TRACE_LOG

    @property
    def loadgen_logs(self) -> tuple[Path, ...]:
        """All that LoadGen may write."""
        return tuple(self.directory / name for name in (SUMMARY_LOG, DETAIL_LOG, ACCURACY_LOG, _TRACE_LOG))

    @property
    def user_conf(self) -> Path:
        """LoadGen's settings, as used."""
        return self.directory / "user.conf"

    @property
    def mlperf_conf(self) -> Path:
        """The settings below those, of a trial that another tool measured."""
        return self.directory / "mlperf.conf"

    @property
    def ck_point(self) -> Path:
        """The point that a trial was imported from, byte by byte."""
        return self.directory / "ck_point.json"

    @property
    def ck_pipeline(self) -> Path:
        """The pipeline of its entry, likewise."""
        return self.directory / "ck_pipeline.json"

    @property
    def latencies(self) -> Path:
        """Query latencies as the system under test saw them: int64 [queries], ns."""
        return self.directory / "latencies_ns.npy"

    @property
    def device_times(self) -> Path:
        """How long the device worked on each query: int64 [queries], ns, 0 where it is not known."""
        return self.directory / "device_ns.npy"

    @property
    def telemetry(self) -> Path:
        """What the GPU reported while the test ran, one row a reading."""
        return self.directory / "telemetry.csv"

    @property
    def worker_log(self) -> Path:
        """What the worker and its libraries printed."""
        return self.directory / "worker.log"


class OutputPaths:
    """Every file name under the output folder.

    Args:
        root: The output folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def trials(self) -> Path:
        """Folder of all trials, whichever sweep asked for them."""
        return self.root / "trials"

    @property
    def sweeps(self) -> Path:
        """Folder of what each command left behind, unless it was told another place."""
        return self.root / "sweeps"

    @property
    def studies(self) -> Path:
        """Optuna's journal of all searches."""
        return self.root / "studies.log"

    def all_sweeps(self) -> list[Path]:
        """Return the folders of all commands, by name, which begins with the time.

        Raises:
            OSError: Their folder is there and cannot be read.
        """
        return _folders(self.sweeps)

    def remove_leftovers(self) -> None:
        """Remove the temporary files of writes that were killed, and of nothing else, wherever they lie in it."""
        remove_leftovers(self.root)
        with suppress(OSError):
            for sweep in self.all_sweeps():
                remove_leftovers(sweep)
        with suppress(OSError):
            for trial in self.all_trials():
                with suppress(OSError):  # one that cannot be read keeps nothing of the others
                    for _, attempt in self.attempts(trial):
                        remove_leftovers(attempt.directory)

    def report(self, kind: str, part: str = "") -> Path:
        """A report on what lies here, or on a part of it; `kind` is its format."""
        return self.root / (f"report-{part}.{kind}" if part else f"report.{kind}")

    def trial(self, slug: str, spec_digest: str, environment_digest: str) -> Path:
        """Folder of one trial in one environment; it holds one folder per attempt."""
        return self.trials / f"{slug}-{spec_digest[:12]}-{environment_digest[:6]}"

    def attempt(self, trial: Path, number: int) -> AttemptPaths:
        """Folder of one attempt."""
        return AttemptPaths(trial / f"{number:03d}")

    def attempts(self, trial: Path) -> list[tuple[int, AttemptPaths]]:
        """All attempts at a trial, oldest first.

        Raises:
            OSError: Its folder is there and cannot be read.
        """
        try:
            with os.scandir(trial) as entries:
                names = [entry.name for entry in entries if entry.name.isdecimal() and _is_folder(entry)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(((int(name), AttemptPaths(trial / name)) for name in names), key=lambda pair: pair[0])

    def all_trials(self) -> list[Path]:
        """Return the folders of all trials, by name.

        Raises:
            OSError: Their folder is there and cannot be read.
        """
        return _folders(self.trials)

    def all_attempts(self) -> Iterator[AttemptPaths]:
        """Yield all attempts at all trials, by their folders' names.

        Raises:
            OSError: A folder is there and cannot be read.
        """
        for trial in self.all_trials():
            for _, paths in self.attempts(trial):
                yield paths


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether it is a folder, or something that may be one: whoever opens it can say what is wrong with it."""
    try:
        return entry.is_dir()
    except OSError:
        return True


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [parent / name for name in sorted(entry.name for entry in entries if _is_folder(entry))]
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_of_results(path: Path) -> bool:
    """Return whether a file is a part of results, or would be taken for one: in a folder that sweep has filled.

    These are the trials and sweeps of an output folder, the folder of a sweep wherever that was put, as far as names of
    its files go, and Optuna's journal.
    """
    real = Path(os.path.realpath(path))
    beside = OutputPaths(real.parent)
    if real == beside.studies:
        return os.path.exists(real)  # noqa: PTH110  (of a name that is too long for a path, pathlib makes an error)
    if os.path.exists(real.parent / MANIFEST) and real.suffix in _OF_SWEEPS:  # noqa: PTH110
        return True
    return any(_holds_results(folder) for folder in real.parents)


def _holds_results(folder: Path) -> bool:
    """Return whether a folder is that of all trials, or of all sweeps, and has one."""
    paths = OutputPaths(folder.parent)
    try:
        if folder == paths.trials:
            return any(one.spec.exists() or one.result.exists() for one in paths.all_attempts())
        return folder == paths.sweeps and any(SweepPaths(one).manifest.exists() for one in paths.all_sweeps())
    except OSError:
        return False  # nor can anything be written there


class SweepPaths:
    """File names of the summary that one command leaves behind.

    Args:
        directory: The command's own folder.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def manifest(self) -> Path:
        """Which trials belong to this sweep, and the command that asked for them."""
        return self.directory / MANIFEST

    @property
    def csv(self) -> Path:
        """The table of results for people and spreadsheets."""
        return self.directory / "results.csv"

    @property
    def parquet(self) -> Path:
        """The same table, typed."""
        return self.directory / "results.parquet"

    def certificate(self, study: str) -> Path:
        """What a search has shown."""
        return self.directory / f"{study}.json"

    def certificates(self) -> list[Path]:
        """Every file that should be a certificate, by name.

        Raises:
            OSError: The folder cannot be read.
        """
        with os.scandir(self.directory) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(".json") and entry.name != MANIFEST)
        return [self.directory / name for name in names]

    def plot(self, study: str) -> Path:
        """Latency against N, as a picture."""
        return self.directory / f"{study}.png"

    @property
    def searches_csv(self) -> Path:
        """The table of several searches: a row for each."""
        return self.directory / "searches.csv"
