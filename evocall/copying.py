"""The calls and campaigns of one journal carried over into another one: all of them or none."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from evocall.errors import UsageError
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

    Raises UsageError when a call is being placed by the one, or when the other has calls.
    """
    copied = 0

    def read(reading: Cursor) -> None:
        reading.execute(f"SELECT COUNT(*) FROM calls WHERE state IN {OPEN}")  # noqa: S608
        if reading.fetchone()[0]:
            raise UsageError(
                f"A call is being placed by the journal {source.name}.",
                hint="Try again when it is over.",
                code="in_flight",
            )

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
        [newest] = next(rows("SELECT newest FROM purged"))
        writing.execute("UPDATE purged SET newest = ? WHERE newest < ?", (newest, newest))

    source.bury()
    source.engine.transaction(read, long=True)
    return copied


def _insert(table: str, columns: str) -> str:
    values = ", ".join("?" for _ in columns.split(","))
    return f"INSERT INTO {table} ({columns}) VALUES ({values})"  # noqa: S608
