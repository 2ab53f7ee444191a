"""Transactions on the journal's file, shared among threads: whoever comes while one is being written joins the next."""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from evocall import schema
from evocall.errors import EvocallError, JournalError

Result = TypeVar("Result")


class Job(Generic[Result]):
    """Work waiting for a transaction. What it raises of ours it raises before it writes, so the others go on.

    `if_lost` is told when the work was done, but the transaction failed.
    """

    def __init__(self, work: Callable[[sqlite3.Cursor], Result], if_lost: Callable[[], None] | None = None) -> None:
        self._work = work
        self.if_lost = if_lost
        self._results: list[Result] = []
        self.error: EvocallError | None = None
        self.done = False

    def run(self, cursor: sqlite3.Cursor) -> None:
        """Do the work within a transaction that somebody has begun."""
        try:
            self._results.append(self._work(cursor))
        except EvocallError as error:
            self.error = error
        except UnicodeEncodeError as error:
            self.error = _no_text(error)

    def outcome(self) -> Result:
        """What the work returned, or raised."""
        if self.error is not None:
            raise self.error
        return self._results[0]


class Transactions:
    """One connection, one writer at a time. Every method raises JournalError when the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._jobs: deque[Job[Any]] = deque()
        with self.guarded():
            self._connection = schema.opened(path)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def later(self, work: Callable[[sqlite3.Cursor], Any], if_lost: Callable[[], None]) -> None:
        """Do the work in the next transaction, whoever makes it."""
        self._jobs.append(Job(work, if_lost))

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """What a SELECT finds, one by one."""
        with self.guarded():
            try:
                yield from self._connection.execute(statement, values)
            except UnicodeEncodeError as error:
                raise _no_text(error) from error

    def together(self, work: Callable[[sqlite3.Cursor], Result]) -> Result:
        """Do the work in one transaction, shared with whatever other threads are waiting: one fsync for all of them."""
        job = Job(work)
        self._jobs.append(job)
        with self._lock:
            if not job.done:
                self._commit()
        return job.outcome()

    def _commit(self) -> None:
        """Do all waiting jobs, from the first look to the last write, and commit them to disk."""
        jobs: list[Job[Any]] = []
        while self._jobs:
            jobs.append(self._jobs.popleft())
        try:
            with self.guarded():
                cursor = self._connection.cursor()
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    for job in jobs:
                        job.run(cursor)
                    self._connection.commit()
                except BaseException:
                    self._connection.rollback()
                    raise
        except BaseException as error:
            for job in jobs:
                job.error = _of_its_own(error)
                if job.if_lost is not None:
                    job.if_lost()
            if not isinstance(error, JournalError):
                raise
        finally:
            for job in jobs:
                job.done = True

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Within the block, what SQLite and the disk have to complain of becomes a JournalError."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise schema.trouble(self.path, error) from error


def _no_text(error: UnicodeEncodeError) -> JournalError:
    return JournalError(f"The journal holds only text, and {error.object!r} is none.", code="no_text")


def _of_its_own(error: BaseException) -> JournalError:
    """The error of a transaction for one of its jobs, which may add its call to it."""
    if isinstance(error, JournalError):
        return JournalError(error.message, hint=error.hint, code=error.code)
    return JournalError("The journal was interrupted.")
