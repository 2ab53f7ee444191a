"""Every call ever attempted, on disk before its first byte leaves.

A row is `sending` while a request may be on its way, `waiting` between two attempts, and then holds its outcome. When
the process that reserved a row is gone, `sending` counts as unknown and `waiting` as not placed. No secret and no
header is ever stored. `sqlite` keeps it in a file of this machine, `postgres` in a database that many hosts share.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from evocall.campaigns import Campaigns
from evocall.earlier import Key, earlier_calls, refuse_long
from evocall.errors import JournalError, OutcomeUnknown
from evocall.history import History, gone, highest
from evocall.model import Answer, Call, Earlier, Outcome, Plan, Record
from evocall.records import (
    COLUMNS,
    OPEN,
    SENDING,
    WAITING,
    call_id,
    milliseconds,
    of_answer,
    record,
)
from evocall.transactions import Cursor, Engine, Transactions

if TYPE_CHECKING:
    from evocall.pacing import Pace

ANSWERED = "UPDATE calls SET state = ?, http_status = ?, session_id = ?, response = ?, error = ?, duration_ms = ?"
RESOLVE = f"{ANSWERED} WHERE id = ? AND holder = ? AND (settled IS NULL OR ? = 'placed')"
DIED = OutcomeUnknown(
    "evocall ended while the request may have been on its way, so the call may have been placed.", code="died"
)


class Reserved(NamedTuple):
    """A row that this process may dial for, as long as the term of its sign of life has not ended."""

    id: int
    term: int = 0


class Journal:
    """One journal, open for as long as the `with` block lasts. Every method raises JournalError when it fails.

    `place` is a file, or the URL of a PostgreSQL database; `name` is how messages call it, `engine` keeps its rows.
    """

    def __init__(self, place: Path | str) -> None:
        self.engine = _engine(place)
        self.name = self.engine.name
        self._unrecorded: set[int] = set()
        self._never_sent: set[int] = set()  # reserved, if at all, when nobody heard of it any more
        self._forgotten: set[int] = set()  # ours, but lost with the commits of a server that failed
        self._transactions = Transactions(self.engine)
        self.history = History(self._transactions, self._bury_the_dead, self._forgotten)
        self.campaigns = Campaigns(self.engine, self._transactions, self.bury)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()

    def reserve(
        self,
        plan: Plan,
        decide: Callable[[Earlier], Call | None],
        *,
        key: Key,
        username: str | None,
        now: datetime,
        hold_back: timedelta,
    ) -> Reserved | Call | None:
        """In one transaction: let `decide` look at the earlier calls, then write the row that allows one dial.

        Returns the earlier call when `decide` found one that does instead, and None while another process is placing
        the call for the same key. What `decide` raises passes through, and nothing is written.
        """
        refuse_long(key.once)
        made: list[Reserved] = []

        def work(cursor: Cursor) -> Reserved | Call | None:
            if made and self._is_ours(cursor, made[-1]):  # the connection broke while it was being committed
                self.engine.show_life(cursor)
                return made[-1]
            self._bury_the_dead(cursor)
            earlier = earlier_calls(cursor, plan, key, now, hold_back)
            if earlier.in_flight:
                return None
            found = decide(earlier)
            if found is None:
                made.append(self._reserved(cursor, plan, key, username, now))
            return found or made[-1]

        return self._transactions.together(
            work, if_lost=lambda: self._never_sent.update(reserved.id for reserved in made)
        )

    def _reserved(self, cursor: Cursor, plan: Plan, key: Key, username: str | None, now: datetime) -> Reserved:
        holder = self.engine.show_life(cursor)
        reserved = Reserved(highest(cursor) + 1, self.engine.term)
        self._never_sent.discard(reserved.id)
        request = plan.request
        cursor.execute(
            "INSERT INTO calls (id, state, holder, profile, base_url, host, username, number, flow, caller_id, "
            "once_key, campaign, attempt, requested_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                reserved.id,
                SENDING,
                holder,
                plan.profile.name,
                plan.profile.base_url,
                plan.profile.host,
                username,
                request.number,
                request.flow_id,
                request.caller_id,
                key.once,
                key.campaign,
                1,
                milliseconds(now),
            ),
        )
        return reserved

    def _is_ours(self, cursor: Cursor, reserved: Reserved) -> bool:
        cursor.execute("SELECT 1 FROM calls WHERE id = ? AND holder = ?", (reserved.id, self.engine.holder))
        return cursor.fetchone() is not None

    def earlier(self, plan: Plan, *, key: Key, now: datetime, hold_back: timedelta) -> Earlier:
        """What `reserve` would let `decide` look at, without writing anything but the end of the dead."""
        refuse_long(key.once)

        def work(cursor: Cursor) -> Earlier:
            self._bury_the_dead(cursor)
            return earlier_calls(cursor, plan, key, now, hold_back)

        return self._transactions.together(work)

    def is_ours(self, reserved: Reserved) -> bool:
        """Whether nobody can have given up the row since it was reserved, or gone on with; asks no disk or server."""
        return self.engine.was_alive_since(reserved.term)

    def wait(self, reserved: Reserved, answer: Answer) -> None:
        """The last attempt provably placed no call, and another one follows later.

        Raises JournalError when somebody took the row for that of a dead process: then none must follow.
        """
        statement = f"{ANSWERED} WHERE id = ? AND holder = ? AND state IN (?, ?)"
        values = (WAITING, *of_answer(answer, None), reserved.id, self.engine.holder, SENDING, WAITING)
        self._go_on(reserved, statement, values)

    def resume(self, reserved: Reserved, attempt: int, now: datetime) -> Reserved:
        """Another attempt begins now. Raises JournalError when somebody took the row for that of a dead process."""
        statement = (
            "UPDATE calls SET state = ?, attempt = ?, requested_at = ? "
            "WHERE id = ? AND holder = ? AND (state = ? OR state = ? AND attempt = ?)"
        )
        values = (SENDING, attempt, milliseconds(now), reserved.id, self.engine.holder, WAITING, SENDING, attempt)
        return self._go_on(reserved, statement, values)

    def _go_on(self, reserved: Reserved, statement: str, values: Sequence[Any]) -> Reserved:
        """Change the row if it is still ours to dial for."""

        def work(cursor: Cursor) -> Reserved:
            cursor.execute(statement, values)
            if cursor.rowcount != 1:
                raise JournalError(f"The call {call_id(reserved.id)} has been given up by another process.")
            self.engine.show_life(cursor)
            return reserved._replace(term=self.engine.term)

        return self._transactions.together(work)

    def resolve(self, reserved: Reserved, answer: Answer, duration: timedelta) -> Record:
        """Write down what the call came to, and return it as it will be remembered.

        Raises JournalError when its row is gone; another host's call may then have its number.
        """
        values = self._resolution(reserved, answer, duration)

        def work(cursor: Cursor) -> Record:
            cursor.execute(RESOLVE, values)
            cursor.execute(
                f"SELECT {COLUMNS} FROM calls WHERE id = ? AND holder = ?",  # noqa: S608
                (reserved.id, self.engine.holder),
            )
            row = cursor.fetchone()
            if row is None:
                self._forgotten.add(reserved.id)
                raise gone(call_id(reserved.id))
            return record(row)

        try:
            return self._transactions.together(work)
        except BaseException:
            self._unrecorded.add(reserved.id)
            raise

    def resolve_soon(self, reserved: Reserved, answer: Answer, duration: timedelta) -> None:
        """As `resolve`, on disk only with the next transaction or `flush`; until then the call counts as unknown."""
        values = self._resolution(reserved, answer, duration)
        if_lost = partial(self._unrecorded.add, reserved.id)
        self._transactions.later(lambda cursor: cursor.execute(RESOLVE, values), if_lost)

    def _resolution(self, reserved: Reserved, answer: Answer, duration: timedelta) -> tuple[str | int | None, ...]:
        """The values of `RESOLVE`."""
        outcome = answer.outcome.value
        return (outcome, *of_answer(answer, duration), reserved.id, self.engine.holder, outcome)

    def try_out(self) -> timedelta:
        """Write what a call writes, and take it back; how far the journal's clock is ahead of ours."""

        def work(cursor: Cursor) -> None:
            holder = self.engine.show_life(cursor)
            cursor.execute("UPDATE schema_version SET version = version")
            number = highest(cursor) + 1
            cursor.execute("SAVEPOINT tried_out")
            cursor.execute(
                "INSERT INTO calls (id, state, holder, profile, base_url, host, number, flow, attempt, requested_at) "
                "VALUES (?, ?, ?, '', '', '', '', '', 1, 0)",
                (number, WAITING, holder),
            )
            cursor.execute("UPDATE calls SET state = ? WHERE id = ?", (Outcome.NOT_PLACED.value, number))
            cursor.execute("ROLLBACK TO SAVEPOINT tried_out")

        self._transactions.together(work)
        return self.engine.ahead()

    def pace(self, account: str, per_second: float) -> "Pace":
        """The pace that all who use this journal share when they dial for the account, in calls per second."""
        return self.engine.pace(account, per_second)

    @property
    def unrecorded(self) -> int:
        """How many calls of this process count as unknown only because what they came to could not be written."""
        return len(self._unrecorded)

    def flush(self) -> None:
        """Put on disk what `resolve_soon` has left, and what became of calls that could not be recorded."""
        self._transactions.together(self._give_up)

    def bury(self) -> None:
        """Settle the rows of processes that are gone: what was being sent may have rung, what waited was not sent."""
        self._transactions.together(self._bury_the_dead)

    def _give_up(self, cursor: Cursor) -> None:
        """Settle those of our own rows whose end we could not write down."""
        for numbers, outcome in ((self._unrecorded, Outcome.UNKNOWN), (self._never_sent, Outcome.NOT_PLACED)):
            for number in tuple(numbers):
                cursor.execute(
                    "UPDATE calls SET state = ? WHERE id = ? AND state = ? AND holder = ?",
                    (outcome.value, number, SENDING, self.engine.holder),
                )

    def _bury_the_dead(self, cursor: Cursor) -> None:
        self._give_up(cursor)
        cursor.execute(f"SELECT DISTINCT holder FROM calls WHERE state IN {OPEN}")  # noqa: S608
        for (holder,) in cursor.fetchall():
            if holder != self.engine.holder and not self.engine.is_alive(cursor, holder):
                cursor.execute(
                    "UPDATE calls SET state = ?, error = ? WHERE state = ? AND holder = ?",
                    (Outcome.UNKNOWN.value, json.dumps(DIED.document()), SENDING, holder),
                )
                cursor.execute(
                    "UPDATE calls SET state = ? WHERE state = ? AND holder = ?",
                    (Outcome.NOT_PLACED.value, WAITING, holder),
                )


def _engine(place: Path | str) -> Engine:
    if isinstance(place, Path):
        from evocall.sqlite import File

        return File(place)
    from evocall.postgres import Database

    return Database(place)
