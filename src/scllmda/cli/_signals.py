"""Signals that end the process, as exceptions."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Signalled(SystemExit):
    """A signal asked the command to end."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(128 + number)


@contextmanager
def signals_raise() -> Iterator[None]:
    """Have signals that would end the process at once raise instead, so that what is being written is removed."""

    def end(number: int, _: FrameType | None) -> None:
        raise Signalled(number)

    # Handlers belong to the main thread. A signal that is ignored, as by nohup, or handled already stays so.
    is_main = threading.current_thread() is threading.main_thread()
    ours = [s for s in (signal.SIGTERM, signal.SIGHUP) if is_main and signal.getsignal(s) is signal.SIG_DFL]
    try:
        for number in ours:
            signal.signal(number, end)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
