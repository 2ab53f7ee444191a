"""The journal as a file of this machine: SQLite in WAL mode, each commit on disk before it counts.

`synchronous=FULL` lets what is committed survive a power cut. Processes show that they are
alive by locks on files beside it, and share their pace through another one.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from evocall import schema
from evocall.errors import JournalError
from evocall.lease import Lease, exclusive, is_alive
from evocall.transactions import Cursor

if TYPE_CHECKING:
    from evocall.pacing import FilePace

BUSY_SECONDS = 30.0
FULL = "Make room on the disk."
READ_ONLY = "The directory must be writable; EVOCALL_HOME can name another one."
DAMAGED = "Move it away (mv {path} {path}.damaged); its once-keys are then forgotten."
HINTS = {
    "full": FULL,
    "No space": FULL,
    "quota": FULL,
    "disk I/O": FULL,
    "readonly": READ_ONLY,
    "Read-only": READ_ONLY,
    "Permission": READ_ONLY,
    "unable to open": READ_ONLY,
    "malformed": DAMAGED,
    "not a database": DAMAGED,
    "Is a directory": DAMAGED,
    "empty": DAMAGED,
    "locked": "Another process keeps it locked; try again.",
    "Not a directory": "EVOCALL_HOME must be a directory.",
    "File exists": "EVOCALL_HOME must be a directory.",
}


class File:
    """The engine of one file; see `transactions.Engine`."""

    term = 0

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.path = path
        self._lock = threading.RLock()
        self._lease: Lease | None = None
        self._leases = path.parent / "running"
        with self._guarded():
            self._connection = _opened(path)

    @property
    def holder(self) -> str | None:
        """The name of the lease of this process, None before it has one."""
        return self._lease.holder if self._lease else None

    def close(self) -> None:
        """Let go of the file and of the lease; all is on disk, so what cannot be closed does no harm."""
        with contextlib.suppress(OSError, sqlite3.Error):
            self._connection.close()
            if self._lease is not None:
                self._lease.release()

    def transaction(self, work: Callable[[Cursor], object], *, long: bool = False) -> None:  # noqa: ARG002 - it never gives up
        """All of the work on disk, or none of it."""
        with self._lock, self._guarded():
            self._connection.rollback()  # what was left open by an interruption that came while it was rolled back
            cursor = self._connection.cursor()
            try:
                cursor.execute("BEGIN IMMEDIATE")
                work(cursor)
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """What a SELECT finds."""
        with self._lock, self._guarded():
            return iter(self._connection.execute(statement, values).fetchall())

    def show_life(self, _: Cursor) -> str:
        """A lease that the kernel ends with this process."""
        if self._lease is None:
            self._lease = Lease(self._leases)
        return self._lease.holder

    def is_alive(self, _: Cursor, holder: str) -> bool:
        """Whether the kernel still keeps that lease."""
        return is_alive(self._leases, holder)

    def was_alive_since(self, _: int) -> bool:
        """The kernel keeps the lease, however long the process stands still."""
        return True

    def where(self) -> tuple[str, str]:
        """The file, whatever path names it."""
        with self._guarded():
            file = self.path.stat()
        return f"{file.st_dev} {file.st_ino}", ""

    def ahead(self) -> timedelta:
        """The clock is this machine's."""
        return timedelta()

    def pace(self, account: str, per_second: float) -> "FilePace":
        """Through a file beside this one."""
        from evocall.pacing import FilePace

        return FilePace(self.path.parent / "pace" / quote(account, safe=""), per_second)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Within the block, what SQLite and the disk have to complain of becomes a JournalError."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise _trouble(self.path, error) from error


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to the journal, made if need be, for its owner only. Raises sqlite3.Error or OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the file that it finds. One that exists must not be opened here:
    # closing it would drop the locks (POSIX) of every other connection of this process.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if file.exists() and file.stat().st_mode & 0o077:
            file.chmod(0o600)
    if path.stat().st_size == 0 and path.with_name(f"{path.name}-wal").exists():
        raise sqlite3.DatabaseError("it is empty, although there are changes to it beside it")
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        if _version(connection) != schema.VERSION:
            with exclusive(path.with_name("journal.lock")):
                connection.execute("PRAGMA journal_mode = WAL")
                _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone()
    if not known:
        return 0
    row = connection.execute("SELECT version FROM schema_version").fetchone()
    if row is None or not isinstance(row[0], int):
        raise sqlite3.DatabaseError("its schema_version is another program's, so it is not a database of evocall's")
    return row[0]


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this version's schema, all steps or none."""
    statements = schema.steps_from(_version(connection), str(path))
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            connection.execute(statement)
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _trouble(path: Path, error: Exception) -> JournalError:
    """What to do depends on what is wrong; in every case nothing is dialled."""
    text = str(error)
    hint = next((hint for mark, hint in HINTS.items() if mark in text), None)
    return JournalError(
        f"The journal {path} cannot be used: {text}. Without it nothing is dialled.",
        hint=hint and hint.format(path=path),
    )
