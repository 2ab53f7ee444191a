"""The calls of a journal as they are looked at afterwards: listed, found, settled, followed and deleted."""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from evocall.errors import JournalError
from evocall.model import Ending, Outcome, Record
from evocall.records import COLUMNS, OPEN, call_number, milliseconds, newest_first, record, storable
from evocall.transactions import Cursor, Transactions


@dataclass(frozen=True)
class Filter:
    """Which calls of the history are wanted; None means all. Times are aware."""

    profile: str | None = None
    campaign: str | None = None
    host: str | None = None
    number: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    limit: int | None = None


class History:
    """The history of one journal. Every method raises JournalError when it fails.

    `bury` settles what processes have left that are gone, and `forgotten` are calls of ours whose rows are lost.
    """

    def __init__(self, transactions: Transactions, bury: Callable[[Cursor], None], forgotten: Collection[int]) -> None:
        self._transactions, self._bury, self._forgotten = transactions, bury, forgotten

    def calls(self, wanted: Filter = Filter()) -> Iterator[Record]:
        """The calls that the filter lets through, newest first."""
        conditions: list[str] = []
        values: list[Any] = []
        for condition, value in (
            ("profile = ?", wanted.profile),
            ("campaign = ?", wanted.campaign),
            ("host = ?", wanted.host),
            ("number = ?", wanted.number),
            ("state = ?", wanted.outcome and wanted.outcome.value if wanted.outcome is not Outcome.UNKNOWN else None),
            ("requested_at >= ?", wanted.since and milliseconds(wanted.since)),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        if wanted.outcome is Outcome.UNKNOWN:
            conditions.append("state NOT IN ('placed', 'not_placed')")
        self._transactions.together(self._bury)
        found = newest_first(self._transactions.rows, COLUMNS, conditions, values, wanted.limit)
        yield from map(record, islice(found, wanted.limit))

    def find(self, name: str) -> Record | None:
        """The call with this short name, in any case, or with this session ID; None when there is none.

        Raises JournalError for a call of ours whose row is gone, since another one may be called like it.
        """
        self._refuse_forgotten(name)
        self._transactions.together(self._bury)
        for condition, value in (("id = ?", call_number(name)), ("session_id = ?", storable(name))):
            for row in newest_first(self._transactions.rows, COLUMNS, (condition,), (value,), 1):
                return record(row)
        return None

    def settle(self, name: str, session_id: str | None, how: str) -> Record:
        """The call whose outcome was unknown has been found: it is placed. `how` says what was found."""

        def work(cursor: Cursor) -> None:
            cursor.execute(
                "UPDATE calls SET state = ?, session_id = ?, settled = ?, error = NULL WHERE id = ? AND state = ?",
                (Outcome.PLACED.value, storable(session_id), how, call_number(name), Outcome.UNKNOWN.value),
            )

        return self._changed(name, work)

    def follow(self, name: str, session_id: str | None, ending: Ending) -> Record:
        """Write down what was seen of a placed call: its session, when one was seen, and its ending."""

        def work(cursor: Cursor) -> None:
            cursor.execute(
                "UPDATE calls SET session_id = COALESCE(?, session_id), ending = ? WHERE id = ?",
                (storable(session_id), json.dumps(asdict(ending)), call_number(name)),
            )

        return self._changed(name, work)

    def _changed(self, name: str, work: Callable[[Cursor], None]) -> Record:
        self._refuse_forgotten(name)
        self._transactions.together(work)
        record = self.find(name)
        if record is None:
            raise gone(name)
        return record

    def _refuse_forgotten(self, name: str) -> None:
        if call_number(name) in self._forgotten:
            raise gone(name)

    def newest(self) -> int:
        """The number of the newest call; those that begin from now on have higher ones."""
        return self._transactions.together(highest)

    def purge(self, before: datetime, profile: str | None = None) -> int:
        """Delete the calls requested before that moment, their once-keys with them; returns how many.

        With a profile, only those that were placed by it.
        """
        deleted = 0

        def work(cursor: Cursor) -> int:
            nonlocal deleted
            self._bury(cursor)
            cursor.execute("UPDATE purged SET newest = ?", (highest(cursor),))
            cursor.execute(
                f"DELETE FROM calls WHERE requested_at < ? AND profile = COALESCE(?, profile) AND state NOT IN {OPEN}",  # noqa: S608
                (milliseconds(before), profile),
            )
            deleted = max(deleted, cursor.rowcount)  # done again because the commit's answer was lost, it finds none
            return deleted

        return self._transactions.together(work)


def highest(cursor: Cursor) -> int:
    """The highest number that a call has ever had, so that no other call is ever called like it."""
    cursor.execute("SELECT COALESCE(MAX(id), 0) FROM calls")
    kept = int(cursor.fetchone()[0])
    return max(kept, newest_purged(cursor))


def newest_purged(cursor: Cursor) -> int:
    """The highest number that a call had which was deleted, 0 before there was one. Raises JournalError without it."""
    cursor.execute("SELECT newest FROM purged")
    row = cursor.fetchone()
    if row is None:
        raise JournalError(
            "The journal's table purged is empty, so it is not known which names calls have had.",
            hint="INSERT INTO purged (newest) VALUES (0) mends it.",
            code="damaged",
        )
    return int(row[0])


def gone(name: str) -> JournalError:
    """The error for a call whose row was there once."""
    return JournalError(f"The call {name} is not in the journal any more.")
