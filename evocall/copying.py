"""The calls and campaigns of one journal carried over into another one: all of them or none."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from evocall.errors import UsageError
from evocall.history import newest_purged
from evocall.journal import Journal
from evocall.records import OPEN, newest_first
from evocall.transactions import Cursor

CALLS = (
    "id, state, holder, profile, base_url, host, username, number, flow, caller_id, once_key, campaign, attempt, "
    "requested_at, duration_ms, http_status, session_id, response, error, settled, ending"
)
CAMPAIGNS = "name, host, profile, flow, caller_id, begun_at"
AT_A_TIME = 5_000  # rows


def copy(source: Journal, target: Journal) -> int:
    """How many calls were carried over; nobody can dial by either journal meanwhile.

    Raises UsageError when a call is being placed by the one, when the other has calls, or when both are in
    one database.
    """
    copied = newest = 0

    def read(reading: Cursor) -> None:
        nonlocal newest
        reading.execute(f"SELECT COUNT(*) FROM calls WHERE state IN {OPEN}")  # noqa: S608
        if reading.fetchone()[0]:
            raise UsageError(
                f"A call is being placed by the journal {source.name}.",
                hint="Try again when it is over.",
                code="in_flight",
            )

        newest = newest_purged(reading)

        def rows(select: str, values: Sequence[Any] = ()) -> Iterator[Any]:
            reading.execute(select, values)
            return iter(reading.fetchall())

        target.engine.transaction(lambda writing: write(writing, rows), long=True)

    def write(writing: Cursor, rows: Callable[..., Iterator[Any]]) -> None:
        nonlocal copied
        writing.execute("SELECT COUNT(*) FROM calls")
        [there] = writing.fetchone()
        if copied and there == copied:  # the connection broke while all of it was being committed
            return
        if there:
            raise UsageError(
                f"The journal {target.name} has {there} calls already, and two journals do not go into one.",
                hint="Copy into an empty database or a new file.",
                code="journal_not_empty",
            )
        calls = newest_first(rows, CALLS)
        copied = 0
        while page := list(islice(calls, AT_A_TIME)):
            writing.executemany(_insert("calls", CALLS), page)
            copied += len(page)
        writing.execute("DELETE FROM campaigns")  # begun there, but without a call
        writing.executemany(_insert("campaigns", CAMPAIGNS), list(rows(f"SELECT {CAMPAIGNS} FROM campaigns")))  # noqa: S608
        writing.execute("UPDATE purged SET newest = ? WHERE newest < ?", (newest, newest))

    _refuse_one_lock(source, target)
    source.bury()
    source.engine.transaction(read, long=True)
    return copied


def _refuse_one_lock(source: Journal, target: Journal) -> None:
    """A transaction on the one is open while the other is written, and would wait for itself."""
    lock, one = source.engine.where()
    other_lock, other = target.engine.where()
    if (lock, one) == (other_lock, other):
        raise UsageError(f"{source.name} and {target.name} are one journal.", code="same_journal")
    if lock == other_lock:
        raise UsageError(
            "Both journals are in one database, where only one transaction runs at a time.",
            hint="Copy into a new file first, and from that file into the other schema.",
            code="same_database",
        )


def _insert(table: str, columns: str) -> str:
    values = ", ".join("?" for _ in columns.split(","))
    return f"INSERT INTO {table} ({columns}) VALUES ({values})"  # noqa: S608
