"""A connection to a PostgreSQL server: reached with patience, made anew when it is lost, and cut when it is late.

What psycopg, libpq and the server complain of becomes a JournalError that says what to do.
"""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from evocall.errors import JournalError
from evocall.patience import within

try:
    import psycopg
    from psycopg import conninfo
except ImportError as missing:
    raise JournalError(
        f"A journal in PostgreSQL needs the package psycopg, which cannot be loaded: {missing}.",
        hint="Install evocall with it: pip install 'evocall[postgres]'.",
        code="no_psycopg",
    ) from missing

PATIENCE = 10.0  # seconds in which something is done, or given up
LONG = 3600.0  # seconds; millions of calls are not copied in ten
BRIEF = 2.0  # seconds for a server that was given up already, and for the goodbye
PAUSE = 0.2  # seconds between two attempts to connect again
CONNECT = {"application_name": "evocall", "connect_timeout": "4", "tcp_user_timeout": "10000"}
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
    "read-only": "Does that server follow another one? ?target_session_attrs=read-write finds the one to write to. Or "
    "is its database set to be read only?",
    "root certificate|certificate verify failed": "PGSSLROOTCERT names the file with the authorities to trust, such as "
    "/etc/ssl/certs/ca-certificates.crt.",
    "lock timeout": "Another host keeps it locked; try again.",
    "refused|timeout|no answer": "Is PostgreSQL running there, and may this host reach it?",
    "resolve|translate host name|not known": "Is the name of its host right?",
}
NoSuchTable = psycopg.errors.UndefinedTable
IDLE = psycopg.pq.TransactionStatus.IDLE


class Connection:
    """The connection of a process, whose threads take turns in `do`, `repeat` and `close`.

    `name` is how messages call the journal. Raises JournalError when the server is not reached before the deadline.
    Deadlines are moments of the monotonic clock.
    """

    def __init__(self, url: str, name: str, deadline: float) -> None:
        self._name = name
        self._given_up = False
        self._lock = threading.RLock()
        self._closing = threading.Event()
        with self.guarded():
            self._options = {**CONNECT, **_options(url, name)}
            self._current = self._reached(deadline)

    def close(self, goodbye: Callable[[], None]) -> None:
        """Say goodbye, if that is quickly done, and end the connection."""
        self._closing.set()
        if not self._lock.acquire(timeout=BRIEF):
            self._cut()  # the thread that still waits for an answer then ends by itself
            return
        try:
            with suppress(psycopg.Error):
                with self.cut_at(time.monotonic() + BRIEF):
                    goodbye()
                self._current.close()
        finally:
            self._lock.release()

    @property
    def encoding(self) -> str | None:
        """How the database keeps text, as the server calls it."""
        return self._current.info.parameter_status("server_encoding")

    def cursor(self) -> psycopg.Cursor[Any]:
        """A cursor over the connection of the moment. It raises psycopg's errors, which `do` must see."""
        return self._current.cursor()

    def do(self, act: Callable[[], None], *, long: bool = False) -> None:
        """Do it, and once more over a new connection each time that one is lost, until the patience is at an end.

        That of a `long` act lasts an hour, but a new connection is not waited for so long. A transaction that it
        leaves open by raising is rolled back.
        """
        begun = time.monotonic()
        with self._lock, self.guarded():
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

    def repeat(self, act: Callable[[], None], pause: float) -> None:
        """Do it after each pause of so many seconds, but not after `close`. A JournalError does not end it."""
        while not self._closing.wait(pause):
            with self._lock, suppress(JournalError):
                if not self._closing.is_set():
                    act()

    @contextmanager
    def cut_at(self, deadline: float) -> Iterator[None]:
        """End the connection when the deadline passes within the block, so that nobody waits for ever."""
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Within the block, what PostgreSQL and libpq have to complain of becomes a JournalError."""
        try:
            yield
        except psycopg.Error as error:
            text = " ".join(str(error).split()).rstrip(".?")
            raise JournalError(
                f"The journal {self._name} cannot be used: {text}. Without it nothing is dialled.",
                hint=next((hint for mark, hint in HINTS.items() if re.search(mark, text)), None),
            ) from error

    def _cut(self) -> None:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._current.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def _attempt(self, act: Callable[[], None], deadline: float) -> None:
        if self._current.info.transaction_status != IDLE:  # it is closed, or Ctrl-C has left it in the middle
            self._current.close()
            self._current = self._connected(min(deadline, time.monotonic() + PATIENCE))
        with self.cut_at(deadline):
            try:
                act()
            except BaseException:
                if not self._current.closed:
                    with suppress(psycopg.Error):
                        self._current.execute("ROLLBACK")
                raise

    def _is_lost(self, error: psycopg.Error) -> bool:
        """Whether the connection is gone, or the server is on its way down or up."""
        gone = self._current.closed or (error.sqlstate or "").startswith(("57P", "08"))
        if gone:
            self._current.close()
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


def _options(url: str, name: str) -> dict[str, Any]:
    """What the URL says, for libpq, whose own complaints would quote it with the password."""
    try:
        return {**conninfo.conninfo_to_dict(url), "client_encoding": "utf8"}
    except (psycopg.Error, UnicodeError):
        raise JournalError(
            f"The journal {name} cannot be used: its URL has a part that libpq does not know.",
            hint="PostgreSQL's manual lists the parameters: 34.1.2. Parameter Key Words.",
        ) from None
