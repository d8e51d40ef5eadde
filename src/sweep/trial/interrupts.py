"""Ctrl-C stops a running test at once, and waits while a finished one is on its way to the disk.

So do SIGTERM and SIGHUP, with which `timeout`, a scheduler or a closed terminal ends a program.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptGate:
    """A context in which Ctrl-C raises KeyboardInterrupt while the gate is open, and otherwise when it opens or ends.

    The gate is closed when the context begins. A second Ctrl-C does not wait: whatever the first waits for may be hung.
    Outside the main thread, which Python never tells of Ctrl-C, and where Ctrl-C is ignored (`nohup`), it does nothing.
    """

    def __init__(self) -> None:
        self._is_open = False
        self._arrived = False
        self._before: dict[signal.Signals, Any] = {}
        self.signal = signal.SIGINT
        """What interrupted last."""

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                # None: a handler that was not installed from Python, and cannot be put back.
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if error is None:
            self._raise_if_arrived()

    def open(self) -> None:
        """Let Ctrl-C through from here on.

        Raises:
            KeyboardInterrupt: One arrived while the gate was closed.
        """
        self._is_open = True
        self._raise_if_arrived()

    def close(self) -> None:
        """Let Ctrl-C wait from here on."""
        self._is_open = False

    def check(self) -> None:
        """Raise what has arrived, if the gate is open; to be called now and then where no signal can do it."""

    def sleep(self, seconds: float) -> None:
        """Wait; where the gate is open, what arrives meanwhile ends that at once.

        Raises:
            KeyboardInterrupt: It did.
        """
        time.sleep(seconds)

    @property
    def has_arrived(self) -> bool:
        """Whether one waits for the gate to open."""
        return self._arrived

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal = signal.Signals(number)
        second, self._arrived = self._arrived, True
        if self._is_open or second:
            self._raise_if_arrived()

    def _raise_if_arrived(self) -> None:
        if self._arrived:
            self._arrived = False  # it is told once
            raise KeyboardInterrupt


class LaneGate(InterruptGate):
    """The gate of a thread of its own: no signal reaches it, so it is told to stop, and looks whether it was.

    Args:
        stop: Set when the thread is to stop.
    """

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def open(self) -> None:
        """Let a stop through from here on.

        Raises:
            KeyboardInterrupt: It was told to stop while the gate was closed.
        """
        self._is_open = True
        self.check()

    def check(self) -> None:
        """Raise a stop that was told, if the gate is open.

        Raises:
            KeyboardInterrupt: It was.
        """
        if self._is_open and self._stop.is_set():
            raise KeyboardInterrupt

    def sleep(self, seconds: float) -> None:
        """Wait; where the gate is open, a stop that is told meanwhile ends that at once.

        Raises:
            KeyboardInterrupt: It was.
        """
        if self._is_open:
            self._stop.wait(seconds)
            self.check()
        else:
            super().sleep(seconds)

    @property
    def has_arrived(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()
