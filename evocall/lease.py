"""A lock that dies with its process: how a later process knows that an earlier one is gone.

A process ID alone proves nothing, since IDs are reused and containers share them. Each holder therefore keeps an
exclusive lock on a file of its own; the kernel drops it when the process ends, however it ends.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakSet

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int, *, shared: bool, wait: bool) -> None:  # noqa: ARG001 - Windows has no shared region locks
        msvcrt.locking(file, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

    def _unlock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: int, *, shared: bool, wait: bool) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


class Lease:
    """The sign that this process is alive, taken on creation and given back by `release` or by the kernel."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.holder = os.urandom(8).hex()
        self._path = directory / self.holder
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        _lock(self._file, shared=False, wait=False)
        _held.add(self)

    def release(self) -> None:
        """Give the sign back; its calls are resolved."""
        _held.discard(self)
        os.close(self._file)
        self._path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Let go of the lock and leave the file: for a process that was forked, and shares the lock with its parent."""
        _held.discard(self)
        os.close(self._file)
        self._file = -1


_held: "WeakSet[Lease]" = WeakSet()


def _after_fork() -> None:
    for lease in tuple(_held):
        lease.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def is_alive(directory: Path, holder: str) -> bool:
    """Whether the process that took this lease still runs. What a dead one left behind is cleared away."""
    path = directory / holder
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two processes that look at once do not take each other for the holder.
        _lock(file, shared=True, wait=False)
    except (BlockingIOError, PermissionError):
        return True
    finally:
        os.close(file)
    path.unlink(missing_ok=True)
    return False


@contextlib.contextmanager
def locked(file: int) -> Iterator[None]:
    """Hold the lock on an open file, waiting for it as long as it takes."""
    _lock(file, shared=False, wait=True)
    try:
        yield
    finally:
        _unlock(file)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock on `path`, waiting for it as long as it takes."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with locked(file):
            yield
    finally:
        os.close(file)
