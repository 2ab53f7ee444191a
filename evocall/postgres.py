"""The journal in PostgreSQL, for many hosts: one writer at a time in the whole database, by an advisory lock.

A process ID says nothing on another host. A process therefore shows that it is alive by a lease, a row that it renews
and that ends by the server's clock. A connection that breaks is made anew, within `PATIENCE`, and the work done again.
"""

import math
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from evocall import schema
from evocall.errors import JournalError
from evocall.patience import within
from evocall.places import SPELLING, WANTED, is_url, without_password
from evocall.transactions import Cursor, no_text

if TYPE_CHECKING:
    from evocall.common_pace import CommonPace

try:
    import psycopg
    from psycopg import conninfo
except ImportError as missing:
    raise JournalError(
        f"A journal in PostgreSQL needs the package psycopg, which cannot be loaded: {missing}.",
        hint="Install evocall with it: pip install 'evocall[postgres]'.",
        code="no_psycopg",
    ) from missing

PATIENCE = 10.0  # seconds in which a transaction is done, or given up
LONG = 3600.0  # seconds; millions of calls are not copied in ten
BRIEF = 2.0  # seconds for a server that was given up already, and for the goodbye
PAUSE = 0.2  # seconds between two attempts to connect again
LEASE, RENEWAL = 30_000, 10.0  # milliseconds that a lease lasts, seconds after which it is renewed
SURE = 25.0  # seconds after a renewal in which no clock may have ended the lease
CONNECT = {"application_name": "evocall", "connect_timeout": "4", "tcp_user_timeout": "10000"}
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
# What a first connection meets that is over in a moment: a restart, or more clients than the server takes.
PASSES = (
    "Connection refused|reset by peer|closed the connection unexpectedly|on that socket|starting up|shutting down|"
    "recovery mode|not yet accepting|administrator command|too many (?:clients|connections)|connection slots|"
    "no more connections"
)
HINTS = {
    "password": "PGPASSWORD, ~/.pgpass or a service file can give the password.",
    r'(?:role|database) "[^"]*" does not exist': "createuser makes a user, createdb a database.",
    "permission denied": "The journal's user must own its database, or may create tables in a schema of it.",
    "no schema": "CREATE SCHEMA makes the one that the URL's search_path names.",
    "unsupported startup parameter": "PgBouncer refuses ?options=; leave it out, and name the schema once in the "
    "database: ALTER ROLE evocall SET search_path = evocall.",
    "read-only": "That server follows another one; ?target_session_attrs=read-write finds the one to write to.",
    "root certificate|certificate verify failed": "PGSSLROOTCERT names the file with the authorities to trust, such as "
    "/etc/ssl/certs/ca-certificates.crt.",
    "lock timeout": "Another host keeps it locked; try again.",
    "refused|timeout|no answer": "Is PostgreSQL running there, and may this host reach it?",
    "resolve|translate host name|not known": "Is the name of its host right?",
}


class Database:
    """The engine of one database; see `transactions.Engine`."""

    def __init__(self, url: str) -> None:
        if not is_url(url):
            raise JournalError(f"The journal is not named by {WANTED}.", hint=SPELLING)
        self.name = without_password(url)
        self.holder: str | None = None
        self.term = 0
        self._given_up = False
        self._shown_at: float | None = None
        self._sure_until = math.inf  # there is no lease yet that could end
        self._lock = threading.RLock()
        self._closing = threading.Event()
        with self._guarded():
            self._options = {**CONNECT, **_options(url, self.name)}
            deadline = time.monotonic() + PATIENCE
            self._connection = self._reached(deadline)
            try:
                self._prepare(deadline)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Give the lease back, if that is quickly done, since it ends by itself, and end the connection."""
        self._closing.set()
        if not self._lock.acquire(timeout=BRIEF):
            self._cut()  # the thread that still waits for an answer then ends by itself
            return
        try:
            with suppress(psycopg.Error):
                if self.holder is not None:
                    with self._cut_at(time.monotonic() + BRIEF):
                        self._connection.execute("DELETE FROM leases WHERE holder = %s", (self.holder,))
                self._connection.close()
        finally:
            self._lock.release()

    def transaction(self, work: Callable[[Cursor], object], *, long: bool = False) -> None:
        """All of the work committed, or none of it as far as can be known.

        That of a `long` one may last an hour, but nobody waits so long for the lock, or for what a commit waits for.
        """

        def command(text: str) -> None:
            with self._cut_at(time.monotonic() + PATIENCE) if long else nullcontext():
                self._connection.execute(text)

        def alone() -> None:
            self._shown_at = None
            command(BEGIN)
            work(_Cursor(self._connection.cursor()))
            command("COMMIT")
            if self._shown_at is not None:
                self._sure_until = self._shown_at + SURE

        self._do(alone, long=long)

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """What a SELECT finds, all of it at once."""
        found: list[Any] = []

        def select() -> None:
            cursor = _Cursor(self._connection.cursor())
            cursor.execute(statement, values)
            found[:] = cursor.fetchall()

        self._do(select)
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
        while not self._closing.wait(RENEWAL):
            with self._lock, suppress(JournalError):
                if not self._closing.is_set():
                    self.transaction(self.show_life)

    def _do(self, act: Callable[[], None], *, long: bool = False) -> None:
        """Do it, and once more over a new connection each time that one is lost, until the patience is at an end."""
        begun = time.monotonic()
        with self._lock, self._guarded():
            deadline = until = begun + (LONG if long else PATIENCE)
            if self._given_up:
                deadline = until = time.monotonic() + min(BRIEF, PATIENCE)
            while True:
                try:
                    self._attempt(act, deadline)
                except psycopg.Error as error:
                    if not self._is_lost(error):
                        raise
                    until = min(until, time.monotonic() + PATIENCE)
                    if self._closing.is_set() or time.monotonic() + PAUSE > until:
                        self._given_up = True
                        raise psycopg.OperationalError(f"no answer within {PATIENCE:g} seconds ({error})") from error
                    time.sleep(PAUSE)
                else:
                    self._given_up = False
                    return

    def _attempt(self, act: Callable[[], None], deadline: float) -> None:
        if self._connection.closed:
            self._connection = self._connected(min(deadline, time.monotonic() + PATIENCE))
        with self._cut_at(deadline):
            try:
                act()
            except BaseException:
                if not self._connection.closed:
                    with suppress(psycopg.Error):
                        self._connection.execute("ROLLBACK")
                raise

    def _is_lost(self, error: psycopg.Error) -> bool:
        """Whether the connection is gone, or the server is on its way down or up."""
        gone = self._connection.closed or (error.sqlstate or "").startswith(("57P", "08"))
        if gone:
            self._connection.close()
        return gone

    def _reached(self, deadline: float) -> psycopg.Connection[Any]:
        """The first connection; what passes is waited for, but no wrong name or password."""
        reason: psycopg.OperationalError | None = None
        while True:
            try:
                return self._connected(deadline)
            except psycopg.OperationalError as error:
                cut = time.monotonic() >= deadline
                if not (cut and reason):  # a last attempt that had no time left says nothing
                    reason = error
                if cut or not re.search(PASSES, str(error)) or time.monotonic() + PAUSE > deadline:
                    raise reason from None
                time.sleep(PAUSE)

    def _connected(self, deadline: float) -> psycopg.Connection[Any]:
        """A connection before the deadline, whatever names, networks and servers do meanwhile."""
        late = threading.Event()

        def connect() -> psycopg.Connection[Any]:
            connection = psycopg.connect(**self._options, autocommit=True, prepare_threshold=None)
            if late.is_set():
                connection.close()
            return connection

        try:
            return within(max(0.0, deadline - time.monotonic()), connect)
        except TimeoutError:
            raise psycopg.OperationalError("connection timeout") from None
        except Exception as error:
            raise psycopg.OperationalError(str(error)) from error
        finally:
            late.set()

    @contextmanager
    def _cut_at(self, deadline: float) -> Iterator[None]:
        """End the connection when the deadline passes within the block, so that nobody waits for ever."""
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def _prepare(self, deadline: float) -> None:
        """See that the database can hold a journal, and make or bring up to date its tables."""
        encoding = self._connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise JournalError(
                f"The database of the journal {self.name} holds {encoding}, and a journal needs UTF8.",
                hint="createdb --encoding=UTF8 --template=template0 makes another one.",
            )
        with self._cut_at(deadline):
            version = self._version()
        if version != schema.VERSION:
            self.transaction(self._migrate, long=version > 0)

    def _version(self) -> int:
        """The version of the tables; 0 where there are none."""
        try:
            row = self._connection.execute("SELECT version FROM schema_version").fetchone()
        except psycopg.errors.UndefinedTable:
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

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Within the block, what PostgreSQL and libpq have to complain of becomes a JournalError."""
        try:
            yield
        except psycopg.Error as error:
            text = " ".join(str(error).split()).rstrip(".?")
            raise JournalError(
                f"The journal {self.name} cannot be used: {text}. Without it nothing is dialled.",
                hint=next((hint for mark, hint in HINTS.items() if re.search(mark, text)), None),
            ) from error


def _clock() -> float:
    """Seconds that go on while the machine sleeps, as the server's do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _options(url: str, name: str) -> dict[str, Any]:
    """What the URL says, for libpq, whose own complaints would quote it with the password."""
    try:
        return {**conninfo.conninfo_to_dict(url), "client_encoding": "utf8"}
    except (psycopg.Error, UnicodeError):
        raise JournalError(
            f"The journal {name} cannot be used: its URL has a part that libpq does not know.",
            hint="PostgreSQL's manual lists the parameters: 34.1.2. Parameter Key Words.",
        ) from None


class _Cursor:
    """A cursor that takes `?` for a value, as SQLite does."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor
        self.fetchone, self.fetchall = cursor.fetchone, cursor.fetchall

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
