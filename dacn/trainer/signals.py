"""Stopping between two steps when asked to."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """While active, the first Ctrl-C or SIGTERM is noted instead of raised; the second one stops at once.

    Args:
        shared: other processes train along. The one that started them answers a Ctrl-C, which reaches them all, with a
            SIGTERM to each: no second wish of the user's.

    Attributes:
        signal: number of the signal that arrived, or None.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self.shared = shared
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if self.shared:
            signal.signal(number, self._before.pop(number))
        else:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
