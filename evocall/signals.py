"""Ctrl-C and SIGTERM: what they end, and what is said about it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from evocall.errors import Interrupted


def ignore() -> None:
    """From now on nothing is interrupted: the outcome is known, and only has to be said."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def reported(what: Callable[[], Interrupted]) -> Iterator[None]:
    """Within the block an interruption becomes the error that says what is known at that moment."""
    try:
        yield
    except KeyboardInterrupt:
        ignore()
        raise what() from None


@contextmanager
def stopping(stop: threading.Event) -> Iterator[threading.Event]:
    """A first signal sets `stop`, a second raises KeyboardInterrupt. Yields an event that says whether one has come.

    Neither ends an exchange that is under way.
    """
    came = threading.Event()

    def first(_number: int, _frame: Any) -> None:
        came.set()
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)

    bell = signal.set_wakeup_fd(-1)  # whoever hears it would cut the exchanges that are to be finished
    before = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        for number, handler in before.items():
            signal.signal(number, handler)
