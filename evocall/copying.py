"""The calls and campaigns of one journal carried over into another one: all of them or none."""

from itertools import islice

from evocall.errors import UsageError
from evocall.journal import Journal
from evocall.records import OPEN, newest_first
from evocall.transactions import Cursor

CALLS = (
    "id, state, holder, profile, base_url, host, username, number, flow, caller_id, once_key, campaign, attempt, "
    "requested_at, duration_ms, http_status, session_id, response, error, settled, ending"
)
CAMPAIGNS = "name, profile, flow, caller_id, begun_at"
AT_A_TIME = 5_000  # rows


def copy(source: Journal, target: Journal) -> int:
    """How many calls were carried over; nobody can dial by either journal meanwhile.

    Raises UsageError when a call is being placed by the one, or when the other has calls.
    """
    copied = 0

    def read(cursor: Cursor) -> None:
        cursor.execute(f"SELECT COUNT(*) FROM calls WHERE state IN {OPEN}")  # noqa: S608
        if cursor.fetchone()[0]:
            raise UsageError(
                f"A call is being placed by the journal {source.name}.",
                hint="Try again when it is over.",
                code="in_flight",
            )
        target.engine.transaction(write, long=True)

    def write(cursor: Cursor) -> None:
        nonlocal copied
        cursor.execute("SELECT COUNT(*) FROM calls")
        [there] = cursor.fetchone()
        if copied and there == copied:  # the connection broke while all of it was being committed
            return
        if there:
            raise UsageError(
                f"The journal {target.name} has {there} calls already, and two journals do not go into one.",
                hint="Copy into an empty database or a new file.",
                code="journal_not_empty",
            )
        calls = newest_first(source.engine, CALLS)
        copied = 0
        while rows := list(islice(calls, AT_A_TIME)):
            cursor.executemany(_insert("calls", CALLS), rows)
            copied += len(rows)
        campaigns = source.engine.rows(f"SELECT {CAMPAIGNS} FROM campaigns")  # noqa: S608
        cursor.executemany(_insert("campaigns", CAMPAIGNS), list(campaigns))
        cursor.execute("UPDATE purged SET newest = ?", next(source.engine.rows("SELECT newest FROM purged")))

    source.bury()
    source.engine.transaction(read, long=True)
    return copied


def _insert(table: str, columns: str) -> str:
    values = ", ".join("?" for _ in columns.split(","))
    return f"INSERT INTO {table} ({columns}) VALUES ({values})"  # noqa: S608
