"""The parent's handle on one worker process."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from typing import Any, Self

from sweep.trial.messages import RunRequest
from sweep.trial.query_log import QueryLogReader

_LAST_WORDS_BYTES = 4000


class WorkerProcess:
    """A running worker: requests go in, events come out, and it can be killed at any time.

    It runs in a session of its own, so that Ctrl-C reaches the parent alone.
    """

    def __init__(self) -> None:
        self.query_log = QueryLogReader()
        self._startup_log = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `close`)
        requests_read, self._requests = os.pipe()
        self._events, events_write = os.pipe()
        descriptors = (requests_read, events_write, self.query_log.descriptor)
        command = [sys.executable, "-m", "sweep.trial.worker"]
        for flag, descriptor in zip(("--requests", "--events", "--query-log"), descriptors, strict=True):
            command += [flag, str(descriptor)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._startup_log,
            stderr=self._startup_log,
            pass_fds=descriptors,
            start_new_session=True,
        )
        os.close(requests_read)
        os.close(events_write)
        os.set_blocking(self._events, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._events, selectors.EVENT_READ)
        self._partial = b""
        self.ended = False

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
        """Hand over one request; the latencies of the last one are forgotten."""
        self.query_log.reset()
        data = (request.to_json() + "\n").encode()
        try:
            while data:
                data = data[os.write(self._requests, data) :]
        except BrokenPipeError:
            self.ended = True

    def events(self, timeout_s: float) -> list[dict[str, Any]]:
        """Return the events that arrived, waiting at most `timeout_s` for the first; sets `ended` when it is gone."""
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
        code = self._process.wait()
        if code >= 0:
            return f"worker exited with code {code}"
        name = signal.Signals(-code).name
        hint = " (the kernel does that when memory runs out)" if -code == signal.SIGKILL else ""
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
        self._process.wait()
        self._selector.close()
        os.close(self._requests)
        os.close(self._events)
        self._startup_log.close()
        self.query_log.close()
