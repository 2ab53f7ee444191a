"""Calls per second: one pace for all evocall processes of a profile that share a journal.

The carrier behind the service starts about one call a second per account and silently queues the rest, so going faster
means that phones ring late, perhaps at night. The moment from which the next call may start is kept, here in a small
file beside the journal.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from evocall.lease import locked

MARGIN = 1.01  # slots lie a little further apart than asked, so that no jitter puts one call too many into a second
LONGEST_HOLD = 24 * 3600.0  # seconds
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Pace(Protocol):
    """A queue of start moments, shared by all who dial for an account. Its methods may raise JournalError."""

    def take(self) -> float:
        """The moment, on the monotonic clock, at which the next call may start; it is taken from all others."""
        ...

    def hold(self, seconds: float) -> None:
        """Let nobody start for that long: the service has asked for it."""
        ...

    def held(self) -> bool:
        """Whether somebody has asked all to hold, and that time is not over; slots taken before are then void."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class FilePace:
    """A queue of start moments on the monotonic clock, `per_second` of them each second, shared through a file."""

    def __init__(self, path: Path, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._interval = MARGIN / per_second
        self._clock = clock
        self._boot = _boot(clock)
        self._threads = threading.Lock()

    def take(self) -> float:
        """The next start moment."""
        with self._shared() as (now, free, held):
            start = max(now, free)
            self._write(start + self._interval, held)
        return start

    def hold(self, seconds: float) -> None:
        """Move all start moments behind that time."""
        with self._shared() as (now, free, held):
            until = now + min(seconds, LONGEST_HOLD)
            self._write(max(free, until), max(held, until))

    def held(self) -> bool:
        """Whether that time is not over."""
        with self._shared() as (now, _, held):
            return held > now

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    @contextmanager
    def _shared(self) -> Iterator[tuple[float, float, float]]:
        """Now, the next free moment, and the end of the hold, while nobody else may change them."""
        with self._threads, locked(self._file):
            now = self._clock()
            boot, free, held, *_ = [*os.pread(self._file, 200, 0).decode("ascii", "replace").split(" "), "", "", ""]
            # After a restart of the machine its monotonic clock begins anew; what else cannot be is damage.
            known = boot == self._boot
            yield now, _moment(free, now) if known else now, _moment(held, now) if known else now

    def _write(self, free: float, held: float) -> None:
        text = f"{self._boot} {free!r} {held!r}".encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))


def _moment(text: str, now: float) -> float:
    try:
        moment = float(text)
    except ValueError:
        return now
    return moment if moment <= now + LONGEST_HOLD else now


def _boot(clock: Callable[[], float]) -> str:
    """A name for the time since the machine started."""
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return f"{time.time() - clock():.0f}"[:-1]
