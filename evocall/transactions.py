"""Transactions on a journal, shared among threads: whoever comes while one is being written joins the next."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from evocall.errors import EvocallError, JournalError

if TYPE_CHECKING:
    from evocall.pacing import Pace

Result = TypeVar("Result")


class Cursor(Protocol):
    """What a work speaks to, in SQL that every engine knows, with `?` for a value."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""
        ...

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> object:
        """Run one statement."""
        ...

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]], /) -> object:
        """Run one statement for each of these rows of values."""
        ...

    def fetchone(self) -> Any:
        """The next row that it found, None after the last one."""
        ...

    def fetchall(self) -> list[Any]:
        """The rows that it found."""
        ...


class Engine(Protocol):
    """Where a journal is kept. Every method raises JournalError when it cannot be used.

    `name` is how messages call it, and `holder` this process's sign of life, None before it takes one. `term` counts
    how often that has ended, as far as one can know, and was taken anew.
    """

    name: str
    term: int

    @property
    def holder(self) -> str | None:
        """The sign of life that this process has taken."""
        ...

    def transaction(self, work: Callable[[Cursor], object], *, long: bool = False) -> None:
        """Do the work alone, from its first look to its last write, and return once it is on disk.

        It is done again when the connection broke, and so must find out by itself what an earlier run has left. A
        `long` one may keep others waiting.
        """
        ...

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """What a SELECT finds. Raises UnicodeEncodeError for a value that is no text."""
        ...

    def show_life(self, cursor: Cursor) -> str:
        """Take the sign of life, or renew it; its name."""
        ...

    def is_alive(self, cursor: Cursor, holder: str) -> bool:
        """Whether the process that took that sign of life still runs, as far as one can know."""
        ...

    def was_alive_since(self, term: int) -> bool:
        """Whether nobody can have taken this process for dead in that term; asks nobody, and so takes no time."""
        ...

    def where(self) -> tuple[str, str]:
        """What its transactions lock, and which of the journals that share the lock it is."""
        ...

    def ahead(self) -> timedelta:
        """How far the clock of leases and pace is ahead of ours."""
        ...

    def pace(self, account: str, per_second: float) -> "Pace":
        """The pace that all processes share which use this journal for the account."""
        ...

    def close(self) -> None:
        """Let go of the journal, and give the sign of life back."""
        ...


class Job(Generic[Result]):
    """Work waiting for a transaction. What it raises of ours it raises before it writes, so the others go on.

    `if_lost` is told when the work was done, but the transaction failed.
    """

    def __init__(self, work: Callable[[Cursor], Result], if_lost: Callable[[], None] | None = None) -> None:
        self._work = work
        self.if_lost = if_lost
        self._results: list[Result] = []
        self.error: EvocallError | None = None
        self.done = False

    def run(self, cursor: Cursor) -> None:
        """Do the work within a transaction that somebody has begun."""
        self.error = None
        try:
            self._results = [self._work(cursor)]
        except EvocallError as error:
            self.error = error
        except UnicodeEncodeError as error:
            self.error = no_text(error.object)

    def outcome(self) -> Result:
        """What the work returned, or raised."""
        if self.error is not None:
            raise self.error
        return self._results[0]


class Transactions:
    """One writer at a time. Every method raises JournalError when the engine cannot be used."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._jobs: deque[Job[Any]] = deque()

    def later(self, work: Callable[[Cursor], Any], if_lost: Callable[[], None]) -> None:
        """Do the work in the next transaction, whoever makes it."""
        self._jobs.append(Job(work, if_lost))

    def together(self, work: Callable[[Cursor], Result], if_lost: Callable[[], None] | None = None) -> Result:
        """Do the work in one transaction, shared with whatever other threads are waiting: one fsync for all of them.

        `if_lost` is told before anybody's next transaction.
        """
        job = Job(work, if_lost)
        self._jobs.append(job)
        with self._lock:
            if not job.done:
                self._commit()
        return job.outcome()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """What a SELECT finds."""
        try:
            return self._engine.rows(statement, values)
        except UnicodeEncodeError as error:
            raise no_text(error.object) from error

    def _commit(self) -> None:
        """Do all waiting jobs, from the first look to the last write, and commit them to disk."""
        jobs: list[Job[Any]] = []
        while self._jobs:
            jobs.append(self._jobs.popleft())

        def work(cursor: Cursor) -> None:
            for job in jobs:
                job.run(cursor)

        try:
            self._engine.transaction(work)
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


def no_text(value: str) -> JournalError:
    """The error for what a journal cannot hold."""
    return JournalError(f"The journal holds only text, and {value!r} is none.", code="no_text")


def _of_its_own(error: BaseException) -> JournalError:
    """The error of a transaction for one of its jobs, which may add its call to it."""
    if isinstance(error, JournalError):
        return JournalError(error.message, hint=error.hint, code=error.code)
    return JournalError("The journal was interrupted.")
