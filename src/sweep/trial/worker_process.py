"""The parent's handle on one worker process."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from typing import Any, Self

from sweep.gpus import VISIBLE, Gpu
from sweep.paths import own_python
from sweep.trial.messages import RunRequest
from sweep.trial.query_log import QueryLogReader

_LAST_WORDS_BYTES = 4000
_EXIT_S = 5.0
"""How long a worker that has closed its events may take to end."""

_alive: set[int] = set()


def worker_pids() -> frozenset[int]:
    """Return the workers of this process, whichever executor owns them, but for those that were waited for."""
    return frozenset(_alive.copy())


def gpu_environment(gpu: Gpu | None) -> dict[str, str]:
    """Return the environment of a worker: with a GPU, that one alone, which is device 0 to it.

    CUDA reads these when it starts. By its identity, a GPU is the same one whatever order CUDA counts in.

    Args:
        gpu: What its tests run on; None for the CPU.
    """
    own = {} if gpu is None else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", VISIBLE: gpu.uuid}
    return {**os.environ, **own}


class WorkerProcess:
    """A running worker: requests go in, events come out, and it can be killed at any time.

    It runs in a session of its own, so that Ctrl-C reaches the parent alone.

    Args:
        gpu: The one GPU that it sees; None for tests on the CPU.
    """

    def __init__(self, gpu: Gpu | None = None) -> None:
        with ExitStack() as undo:
            self.query_log = QueryLogReader()
            undo.callback(self.query_log.close)
            self._startup_log = undo.enter_context(tempfile.TemporaryFile())
            requests_read, self._requests = os.pipe()
            undo.callback(os.close, self._requests)
            self._events, events_write = os.pipe()
            undo.callback(os.close, self._events)
            try:
                self._process = self._start(requests_read, events_write, gpu)
            finally:
                os.close(requests_read)
                os.close(events_write)
            undo.pop_all()
        _alive.add(self.pid)
        os.set_blocking(self._events, False)
        os.set_blocking(self._requests, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._events, selectors.EVENT_READ)
        self._unsent = b""
        self._partial = b""
        self.ended = False

    def _start(self, requests: int, events: int, gpu: Gpu | None) -> subprocess.Popen[bytes]:
        descriptors = (requests, events, self.query_log.descriptor)
        command = own_python("sweep.trial.worker")
        for flag, descriptor in zip(("--requests", "--events", "--query-log"), descriptors, strict=True):
            command += [flag, str(descriptor)]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._startup_log,
            stderr=self._startup_log,
            pass_fds=descriptors,
            env=gpu_environment(gpu),
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def send(self, request: RunRequest) -> None:
        """Hand over one request; the latencies of the last one are forgotten.

        Never waits: what the pipe has no room for is sent by `events`, so that a worker that reads nothing is hung, and
        not its parent.
        """
        self.query_log.reset()
        self._unsent = (request.to_json() + "\n").encode()
        self._send_more()

    def _send_more(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._requests, self._unsent) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsent = b""
            self.ended = True

    def events(self, timeout_s: float) -> list[dict[str, Any]]:
        """Return the events that arrived, waiting at most `timeout_s` for the first; sets `ended` when it is gone."""
        self._send_more()
        if not self._selector.select(timeout_s):
            return []
        try:
            data = os.read(self._events, 1 << 16)
        except BlockingIOError:
            return []
        if not data:
            self.ended = True
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [json.loads(line) for line in lines if line]

    def how_it_ended(self) -> str:
        """Return the exit of an ended worker for people."""
        try:
            code = self._process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return "worker closed its events and did not exit; it was killed"
        if code >= 0:
            return f"worker exited with code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = " (by somebody, or by the kernel because memory ran out)" if -code == signal.SIGKILL else ""
        return f"worker was ended by {name}{hint}"

    def startup_words(self) -> str:
        """Return the end of what the worker printed outside of any trial."""
        size = os.fstat(self._startup_log.fileno()).st_size
        return os.pread(self._startup_log.fileno(), _LAST_WORDS_BYTES, max(0, size - _LAST_WORDS_BYTES)).decode(
            errors="replace"
        )

    def close(self) -> None:
        """End the worker at once and release everything."""
        if self._process.poll() is None:
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # one that a driver holds does not die: it is left behind
            self._process.wait(_EXIT_S)
        _alive.discard(self.pid)  # not before it was waited for: until then its work is in nobody's books but its own
        self._selector.close()
        os.close(self._requests)
        os.close(self._events)
        self._startup_log.close()
        self.query_log.close()
