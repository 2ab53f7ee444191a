"""The journal in PostgreSQL, for many hosts: one writer at a time in the whole database, by an advisory lock.

A process ID says nothing on another host. A process therefore shows that it is alive by a lease, a row that it renews
and that ends by the server's clock. When the connection breaks, the work is done again over a new one.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from evocall import postgres_connection, schema
from evocall.errors import JournalError
from evocall.places import SPELLING, WANTED, is_url, without_password
from evocall.postgres_connection import Connection, NoSuchTable
from evocall.transactions import Cursor, no_text

if TYPE_CHECKING:
    from evocall.common_pace import CommonPace

LEASE, RENEWAL = 30_000, 10.0  # milliseconds that a lease lasts, seconds after which it is renewed
SURE = 25.0  # seconds after a renewal in which no clock may have ended the lease
# A host that vanishes in the middle of a transaction must not keep the lock from the others, and a server that is told
# not to wait for its disk must not forget a call.
BEGIN = """
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL idle_in_transaction_session_timeout = '8s';
    SET LOCAL lock_timeout = '8s';
    SET LOCAL statement_timeout = 0;
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
    SELECT pg_advisory_xact_lock(7310873265411)
"""
NOW = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT"
TABLES = (
    "CREATE TABLE IF NOT EXISTS leases (holder TEXT PRIMARY KEY, ends_at BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS paces (account TEXT PRIMARY KEY, free_at BIGINT NOT NULL, held_until BIGINT NOT NULL)",
)


class Database:
    """The engine of one database; see `transactions.Engine`."""

    def __init__(self, url: str) -> None:
        if not is_url(url):
            raise JournalError(f"The journal is not named by {WANTED}.", hint=SPELLING)
        self.name = without_password(url)
        self.holder: str | None = None
        self.term = 0
        self._shown_at: float | None = None
        self._sure_until = math.inf  # there is no lease yet that could end
        deadline = time.monotonic() + postgres_connection.PATIENCE
        self._connection = Connection(url, self.name, deadline)
        try:
            with self._connection.guarded():
                self._prepare(deadline)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the lease back, if that is quickly done, since it ends by itself, and end the connection."""
        self._connection.close(self._give_back)

    def transaction(self, work: Callable[[Cursor], object], *, long: bool = False) -> None:
        """All of the work committed, or none of it as far as can be known.

        That of a `long` one may last an hour, but nobody waits so long for the lock, or for what a commit waits for.
        """

        def command(text: str) -> None:
            with self._connection.cut_at(time.monotonic() + postgres_connection.PATIENCE) if long else nullcontext():
                self._connection.cursor().execute(text)

        def alone() -> None:
            self._shown_at = None
            command(BEGIN)
            work(_Cursor(self._connection))
            command("COMMIT")
            if self._shown_at is not None:
                self._sure_until = self._shown_at + SURE

        self._connection.do(alone, long=long)

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """What a SELECT finds, all of it at once."""
        found: list[Any] = []

        def select() -> None:
            cursor = _Cursor(self._connection)
            cursor.execute(statement, values)
            found[:] = cursor.fetchall()

        self._connection.do(select)
        return iter(found)

    def show_life(self, cursor: Cursor) -> str:
        """A lease in the database, renewed from now on until the end of this process."""
        if self.holder is None:
            cursor.execute(f"DELETE FROM leases WHERE ends_at < {NOW}")  # noqa: S608
            self.holder = os.urandom(8).hex()
            threading.Thread(target=self._keep_alive, daemon=True).start()
        self._shown_at = _clock()
        if self._shown_at >= self._sure_until:
            self.term += 1
        cursor.execute(
            f"INSERT INTO leases (holder, ends_at) VALUES (?, {NOW} + ?) "  # noqa: S608
            "ON CONFLICT (holder) DO UPDATE SET ends_at = EXCLUDED.ends_at",
            (self.holder, LEASE),
        )
        return self.holder

    def is_alive(self, cursor: Cursor, holder: str) -> bool:
        """Whether that lease has not ended."""
        cursor.execute(f"SELECT 1 FROM leases WHERE holder = ? AND ends_at >= {NOW}", (holder,))  # noqa: S608
        return cursor.fetchone() is not None

    def was_alive_since(self, term: int) -> bool:
        """Whether the lease was always renewed before it could end, by a clock of this machine."""
        return _clock() < self._sure_until and self.term == term  # a new term begins before it is known how long

    def pace(self, account: str, per_second: float) -> "CommonPace":
        """Through a row of the database."""
        from evocall.common_pace import CommonPace

        return CommonPace(self, account, per_second)

    def where(self) -> tuple[str, str]:
        """The database, whatever names its server has, and the schema in it."""
        begun_at = "EXTRACT(EPOCH FROM pg_postmaster_start_time())"
        select = f"SELECT current_database(), {begun_at}::TEXT, current_schema()"
        [[database, begun, schema_name]] = self.rows(select)
        return f"{database} {begun}", schema_name

    def ahead(self) -> timedelta:
        """How far the server's clock is ahead of this host's."""
        [[now]] = self.rows(f"SELECT {NOW}")
        return timedelta(milliseconds=now - round(time.time() * 1000))

    def _keep_alive(self) -> None:
        self._connection.repeat(lambda: self.transaction(self.show_life), RENEWAL)

    def _give_back(self) -> None:
        if self.holder is not None:
            self._connection.cursor().execute("DELETE FROM leases WHERE holder = %s", (self.holder,))

    def _prepare(self, deadline: float) -> None:
        """See that the database can hold a journal, and make or bring up to date its tables."""
        encoding = self._connection.encoding
        if encoding != "UTF8":
            raise JournalError(
                f"The database of the journal {self.name} holds {encoding}, and a journal needs UTF8.",
                hint="createdb --encoding=UTF8 --template=template0 makes another one.",
            )
        with self._connection.cut_at(deadline):
            version = self._version()
        if version != schema.VERSION:
            self.transaction(self._migrate, long=version > 0)

    def _version(self) -> int:
        """The version of the tables; 0 where there are none."""
        try:
            row = self._connection.cursor().execute("SELECT version FROM schema_version").fetchone()
        except NoSuchTable:
            return 0
        if row is not None and not isinstance(row[0], int):
            raise JournalError(
                f"The journal {self.name} cannot be used: its table schema_version is another program's.",
                hint="Give the journal a database of its own, or a schema: ?options=-csearch_path%3Devocall.",
            )
        return row[0] if row else 0

    def _migrate(self, cursor: Cursor) -> None:
        cursor.execute("SELECT to_regclass('schema_version')")
        version = self._version() if cursor.fetchone()[0] else 0
        for statement in (*TABLES, *schema.steps_from(version, self.name)):
            cursor.execute(statement)


def _clock() -> float:
    """Seconds that go on while the machine sleeps, as the server's do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class _Cursor:
    """A cursor that takes `?` for a value, as SQLite does."""

    def __init__(self, connection: Connection) -> None:
        self._cursor = connection.cursor()
        self.fetchone, self.fetchall = self._cursor.fetchone, self._cursor.fetchall

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""
        return self._cursor.rowcount

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Run one statement. Raises JournalError for a value that PostgreSQL cannot hold."""
        _refuse_nul(values)
        self._cursor.execute(_for_libpq(statement), values or None)

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run it for each of these rows. Raises JournalError as `execute` does."""
        for values in rows:
            _refuse_nul(values)
        self._cursor.executemany(_for_libpq(statement), rows)


def _refuse_nul(values: Sequence[Any]) -> None:
    for value in values:
        if isinstance(value, str) and "\0" in value:
            raise no_text(value)


def _for_libpq(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()
