"""What TensorRT says while it works: its own words are the only reason it gives for a failure."""

from __future__ import annotations

import re
import sys
from collections import deque
from typing import Any

from sweep.errors import BackendError, EngineOutOfMemoryError

_KEPT = 50
_SHOWN = 3
_LONGEST = 400
_NOISE = re.compile(r"checkMacros\.cpp::catchCudaError|ModelImporter\.cpp:14\d")
"""Repeats an error that was already told, or heads a listing."""

_OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemory|cudaErrorMemoryAllocation|cudaError 2\b|bad_alloc", re.IGNORECASE
)
"""TensorRT returns nothing and logs one of these."""

_SHORT_OF_MEMORY = re.compile(
    r"insufficient (device |gpu )?(memory|workspace)|memory is insufficient|enough (free )?(gpu |device )?memory",
    re.IGNORECASE,
)
"""What a builder warns of when it leaves out kernels that it has no room to try."""

_NO_KERNEL = re.compile(r"Could not find any implementation", re.IGNORECASE)
"""The error of a builder that has none left. Any other has a cause of its own, whatever was warned of before."""


class Messages:
    """Collects warnings and errors, the newest last, and shows each on stderr once."""

    def __init__(self) -> None:
        self._logger: Any = None
        self.errors: deque[str] = deque(maxlen=_KEPT)
        self.warnings: deque[str] = deque(maxlen=_KEPT)
        self._short_of_memory = False  # whether a warning since `clear` says so

    def logger(self, module: Any) -> Any:
        """Return the one logger, made of a TensorRT module at the first call."""
        if self._logger is not None:
            return self._logger
        worst = int(module.ILogger.Severity.ERROR)
        warning = int(module.ILogger.Severity.WARNING)

        class Logger(module.ILogger):  # type: ignore[misc]  # the module is known only now
            def __init__(self, messages: Messages) -> None:
                module.ILogger.__init__(self)
                self.messages = messages

            def log(self, severity: Any, text: str) -> None:
                if int(severity) <= warning:
                    self.messages.add(text, error=int(severity) <= worst)

        self._logger = Logger(self)
        return self._logger

    def add(self, text: str, *, error: bool) -> None:
        """Keep a message, unless it is the same as the one before."""
        line = one_line(text)
        kept = self.errors if error else self.warnings
        self._short_of_memory |= bool(_SHORT_OF_MEMORY.search(line) or _OUT_OF_MEMORY.search(line)) and not error
        if not line or (kept and kept[-1] == line):
            return
        kept.append(line)
        say(f"TensorRT {'error' if error else 'warning'}: {line}")

    def clear(self) -> None:
        """Forget the errors: what comes next is about something else."""
        self.errors.clear()
        self._short_of_memory = False

    def reason(self, otherwise: str = "it gave no reason") -> str:
        """Return the first errors since `clear`, in one line."""
        errors = [line for line in self.errors if not _NOISE.search(line)] or list(self.errors)
        return "; ".join(list(dict.fromkeys(errors))[:_SHOWN]) or otherwise

    def create(self, module: Any, kind: str, what: str) -> Any:
        """Return a new object of a TensorRT module, and forget earlier errors.

        TensorRT's own plug-ins are made known first, where the flavour has any: a network or an engine may use them.
        Where CUDA does not start, some versions give an object that crashes the process when it is touched; all that
        tells it is an error in the log.

        Args:
            module: The module.
            kind: `Builder` or `Runtime`.
            what: How messages name the flavour.

        Raises:
            BackendError: It cannot be made.
        """
        if hasattr(module, "init_libnvinfer_plugins"):
            module.init_libnvinfer_plugins(self.logger(module), "")
        self.clear()
        try:
            made = getattr(module, kind)(self.logger(module))
        except Exception as error:
            raise BackendError(f"{what} does not start: {self.reason(one_line(str(error)))}") from error
        if self.errors:
            kind_of_error = EngineOutOfMemoryError if self.out_of_memory else BackendError
            raise kind_of_error(f"{what} does not start: {self.reason()}")
        return made

    @property
    def out_of_memory(self) -> bool:
        """Whether what was said since `clear` is that memory ran out."""
        if any(_OUT_OF_MEMORY.search(line) or _SHORT_OF_MEMORY.search(line) for line in self.errors):
            return True
        return self._short_of_memory and (not self.errors or any(_NO_KERNEL.search(line) for line in self.errors))


def one_line(text: str, longest: int = _LONGEST) -> str:
    """Return text as one line of at most `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def say(line: str) -> None:
    """Write a line to stderr, which is the worker's log."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
