"""Every call ever attempted from here, on disk before its first byte leaves.

One SQLite file in WAL mode with `synchronous=FULL`: a committed row survives a power cut. A row is `sending` while a
request may be on its way, `waiting` between two attempts, and then holds its outcome. When the process that reserved a
row is gone, `sending` counts as unknown and `waiting` as not placed. No secret and no header is ever stored.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

from evocall.errors import JournalError, OutcomeUnknown
from evocall.lease import Lease, is_alive
from evocall.model import Answer, Call, Campaign, Earlier, Ending, Outcome, Phase, Plan, Record
from evocall.transactions import Transactions

LONGEST_RESPONSE = 64 * 1024  # characters of an answer that are kept
SENDING, WAITING = "sending", "waiting"
OPEN = f"('{SENDING}', '{WAITING}')"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O or U to misread
LOOK_ALIKE = str.maketrans("ILO", "110")
MOST_CALLS = 32**8  # far from any journal; a session ID is longer
RESOLVE = (
    "UPDATE calls SET state = ?, http_status = ?, session_id = ?, response = ?, error = ?, duration_ms = ? WHERE id = ?"
)
DIED = OutcomeUnknown(
    "evocall ended while the request may have been on its way, so the call may have been placed.", code="died"
)
COLUMNS = (
    "id, state, profile, base_url, username, number, flow, caller_id, once_key, campaign, attempt, requested_at, "
    "duration_ms, http_status, session_id, response, error, settled, ending"
)


@dataclass(frozen=True)
class Filter:
    """Which calls of the history are wanted; None means all. Times are aware."""

    profile: str | None = None
    campaign: str | None = None
    number: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    limit: int | None = None


class Reserved(NamedTuple):
    """A row that this process may dial for."""

    id: int


class Key(NamedTuple):
    """What a call is once for: a key of `--once`, or a row of a campaign. Without `once` it is for nothing."""

    once: str | None = None
    campaign: str | None = None


class Journal:
    """One journal file, open for as long as the `with` block lasts. Every method raises JournalError when it fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._leases = path.parent / "running"
        self._lease: Lease | None = None
        self._unrecorded: set[int] = set()
        self._file = Transactions(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._lease is not None:
            self._lease.release()

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

        def work(cursor: sqlite3.Cursor) -> Reserved | Call | None:
            self._bury_the_dead(cursor)
            earlier = _earlier(cursor, plan, key, now, hold_back)
            if earlier.in_flight:
                return None
            return decide(earlier) or self._reserved(cursor, plan, key, username, now)

        return self._file.together(work)

    def _reserved(self, cursor: sqlite3.Cursor, plan: Plan, key: Key, username: str | None, now: datetime) -> Reserved:
        if self._lease is None:
            self._lease = Lease(self._leases)
        reserved = Reserved(_newest(cursor) + 1)
        request = plan.request
        cursor.execute(
            "INSERT INTO calls (id, state, holder, profile, base_url, host, username, number, flow, caller_id, "
            "once_key, campaign, attempt, requested_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                reserved.id,
                SENDING,
                self._lease.holder,
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
                _milliseconds(now),
            ),
        )
        return reserved

    def earlier(self, plan: Plan, *, key: Key, now: datetime, hold_back: timedelta) -> Earlier:
        """What `reserve` would let `decide` look at, without writing anything but the end of the dead."""

        def work(cursor: sqlite3.Cursor) -> Earlier:
            self._bury_the_dead(cursor)
            return _earlier(cursor, plan, key, now, hold_back)

        return self._file.together(work)

    def wait(self, reserved: Reserved, answer: Answer) -> None:
        """The last attempt provably placed no call, and another one follows later."""
        self._update(reserved, WAITING, answer, None)

    def resume(self, reserved: Reserved, attempt: int, now: datetime) -> None:
        """Another attempt begins now. Raises JournalError when somebody took the row for that of a dead process."""
        values = (SENDING, attempt, _milliseconds(now), reserved.id, WAITING)

        def work(cursor: sqlite3.Cursor) -> None:
            cursor.execute(
                "UPDATE calls SET state = ?, attempt = ?, requested_at = ? WHERE id = ? AND state = ?", values
            )
            if cursor.rowcount != 1:
                raise JournalError(f"The call {call_id(reserved.id)} has been given up by another process.")

        self._file.together(work)

    def resolve(self, reserved: Reserved, answer: Answer, duration: timedelta) -> Record:
        """Write down what the call came to, and return it as it will be remembered."""
        try:
            return self._update(reserved, answer.outcome.value, answer, duration)
        except JournalError:
            self._unrecorded.add(reserved.id)
            raise

    def resolve_soon(self, reserved: Reserved, answer: Answer, duration: timedelta) -> None:
        """As `resolve`, on disk only with the next transaction or `flush`; until then the call counts as unknown."""
        values = _outcome_values(reserved, answer.outcome.value, answer, duration)
        self._file.later(lambda cursor: cursor.execute(RESOLVE, values), lambda: self._unrecorded.add(reserved.id))

    def try_out(self) -> None:
        """Write, as for a call, what changes nothing."""

        def work(cursor: sqlite3.Cursor) -> None:
            if self._lease is None:
                self._lease = Lease(self._leases)
            cursor.execute("UPDATE schema_version SET version = version")

        self._file.together(work)

    def flush(self) -> None:
        """Put on disk what `resolve_soon` has left."""
        self._file.together(lambda _: None)

    def calls(self, wanted: Filter = Filter()) -> Iterator[Record]:
        """The calls that the filter lets through, newest first."""
        conditions: list[str] = []
        values: list[Any] = []
        for condition, value in (
            ("profile = ?", wanted.profile),
            ("campaign = ?", wanted.campaign),
            ("number = ?", wanted.number),
            ("state = ?", wanted.outcome and wanted.outcome.value if wanted.outcome is not Outcome.UNKNOWN else None),
            ("requested_at >= ?", wanted.since and _milliseconds(wanted.since)),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        if wanted.outcome is Outcome.UNKNOWN:
            conditions.append("state NOT IN ('placed', 'not_placed')")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        limit = "" if wanted.limit is None else f" LIMIT {int(wanted.limit)}"
        self._file.together(self._bury_the_dead)
        yield from map(_record, self._file.rows(f"SELECT {COLUMNS} FROM calls{where} ORDER BY id DESC{limit}", values))  # noqa: S608

    def find(self, name: str) -> Record | None:
        """The call with this short name, in any case, or with this session ID; None when there is none."""
        self._file.together(self._bury_the_dead)
        for condition, value in (("id = ?", call_number(name)), ("session_id = ?", _storable(name))):
            found = self._file.rows(f"SELECT {COLUMNS} FROM calls WHERE {condition} ORDER BY id DESC LIMIT 1", (value,))  # noqa: S608
            for row in found:
                return _record(row)
        return None

    def settle(self, name: str, session_id: str | None, how: str) -> Record:
        """The call whose outcome was unknown has been found: it is placed. `how` says what was found."""

        def work(cursor: sqlite3.Cursor) -> None:
            cursor.execute(
                "UPDATE calls SET state = ?, session_id = ?, settled = ?, error = NULL WHERE id = ? AND state = ?",
                (Outcome.PLACED.value, _storable(session_id), how, call_number(name), Outcome.UNKNOWN.value),
            )

        return self._changed(name, work)

    def follow(self, name: str, session_id: str | None, ending: Ending) -> Record:
        """Write down what was seen of a placed call: its session, when one was seen, and its ending."""

        def work(cursor: sqlite3.Cursor) -> None:
            cursor.execute(
                "UPDATE calls SET session_id = COALESCE(?, session_id), ending = ? WHERE id = ?",
                (_storable(session_id), json.dumps(asdict(ending)), call_number(name)),
            )

        return self._changed(name, work)

    def _changed(self, name: str, work: Callable[[sqlite3.Cursor], None]) -> Record:
        self._file.together(work)
        record = self.find(name)
        if record is None:
            raise JournalError(f"The call {name} is not in the journal any more.")
        return record

    def begin_campaign(self, campaign: Campaign, now: datetime) -> None:
        """Write down what the campaign's name stands for, unless there are calls of it already."""

        def work(cursor: sqlite3.Cursor) -> None:
            cursor.execute(
                "DELETE FROM campaigns WHERE name = ? AND NOT EXISTS (SELECT 1 FROM calls WHERE campaign = ?)",
                (campaign.name, campaign.name),
            )
            cursor.execute(
                "INSERT INTO campaigns (name, profile, flow, caller_id, begun_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (name) DO NOTHING",
                (campaign.name, campaign.profile, campaign.flow, campaign.caller_id, _milliseconds(now)),
            )

        self._file.together(work)

    def campaign(self, name: str) -> Campaign | None:
        """What the campaign of that name was begun as; None for one of which nothing was dialled yet."""
        found = self._file.rows(
            "SELECT name, profile, flow, caller_id FROM campaigns WHERE name = ? "
            "AND EXISTS (SELECT 1 FROM calls WHERE campaign = ?)",
            (name, name),
        )
        return next((Campaign(*row) for row in found), None)

    def campaign_keys(self, name: str) -> Iterator[tuple[str, Outcome]]:
        """The rows of a campaign that were placed, or may have been; millions are read one by one.

        Those that another process is placing are not among them: whoever reserves one waits for its outcome.
        """
        self._file.together(self._bury_the_dead)
        found = self._file.rows(
            "SELECT once_key, state FROM calls WHERE campaign = ? AND state IN (?, ?)",
            (name, Outcome.PLACED.value, Outcome.UNKNOWN.value),
        )
        for key, state in found:
            yield key, Outcome(state)

    def campaign_call(self, profile: str, key: Key) -> Record | None:
        """What became of a row: the call that was placed, else the newest attempt, None when there was none."""
        found = self._file.rows(
            f"SELECT {COLUMNS} FROM calls WHERE profile = ? AND once_key = ? AND COALESCE(campaign, '') = ? "  # noqa: S608
            "ORDER BY CASE state WHEN 'placed' THEN 0 WHEN 'not_placed' THEN 2 ELSE 1 END, id DESC LIMIT 1",
            (profile, key.once, key.campaign or ""),
        )
        return next(map(_record, found), None)

    def purge(self, before: datetime) -> int:
        """Delete the calls requested before that moment, their once-keys with them; returns how many."""

        def work(cursor: sqlite3.Cursor) -> int:
            self._bury_the_dead(cursor)
            cursor.execute("UPDATE purged SET newest = ?", (_newest(cursor),))
            cursor.execute(
                f"DELETE FROM calls WHERE requested_at < ? AND state NOT IN {OPEN}",  # noqa: S608
                (_milliseconds(before),),
            )
            return cursor.rowcount

        return self._file.together(work)

    def _update(self, reserved: Reserved, state: str, answer: Answer, duration: timedelta | None) -> Record:
        values = _outcome_values(reserved, state, answer, duration)

        def work(cursor: sqlite3.Cursor) -> Record:
            cursor.execute(RESOLVE, values)
            cursor.execute(f"SELECT {COLUMNS} FROM calls WHERE id = ?", (reserved.id,))  # noqa: S608
            return _record(cursor.fetchone())

        return self._file.together(work)

    def _bury_the_dead(self, cursor: sqlite3.Cursor) -> None:
        """Settle the rows of processes that are gone: what was being sent may have rung, what waited was not sent."""
        for number in tuple(self._unrecorded):
            cursor.execute(
                "UPDATE calls SET state = ? WHERE id = ? AND state = ?", (Outcome.UNKNOWN.value, number, SENDING)
            )
        cursor.execute(f"SELECT DISTINCT holder FROM calls WHERE state IN {OPEN}")  # noqa: S608
        for (holder,) in cursor.fetchall():
            if (self._lease is None or holder != self._lease.holder) and not is_alive(self._leases, holder):
                cursor.execute(
                    "UPDATE calls SET state = ?, error = ? WHERE state = ? AND holder = ?",
                    (Outcome.UNKNOWN.value, json.dumps(DIED.document()), SENDING, holder),
                )
                cursor.execute(
                    "UPDATE calls SET state = ? WHERE state = ? AND holder = ?",
                    (Outcome.NOT_PLACED.value, WAITING, holder),
                )


def _outcome_values(
    reserved: Reserved, state: str, answer: Answer, duration: timedelta | None
) -> tuple[str | int | None, ...]:
    """What `RESOLVE` writes."""
    response = None if answer.response is None else json.dumps(answer.response)
    if response is not None and len(response) > LONGEST_RESPONSE:
        response = json.dumps(response[:LONGEST_RESPONSE])
    return (
        state,
        answer.status,
        _storable(answer.session_id),
        response,
        json.dumps(answer.error.document()) if answer.error else None,
        None if duration is None else int(duration.total_seconds() * 1000),
        reserved.id,
    )


def _newest(cursor: sqlite3.Cursor) -> int:
    """The highest number that a call has ever had, so that no other call is ever called like it."""
    cursor.execute("SELECT COALESCE(MAX(id), 0) FROM calls")
    kept = int(cursor.fetchone()[0])
    cursor.execute("SELECT newest FROM purged")
    return max(kept, int(cursor.fetchone()[0]))


def _storable(name: str | None) -> str | None:
    """The name with whatever UTF-8 cannot hold made visible."""
    return name and name.encode(errors="backslashreplace").decode()


def _earlier(cursor: sqlite3.Cursor, plan: Plan, key: Key, now: datetime, hold_back: timedelta) -> Earlier:
    found: dict[str, Call] = {}
    if key.once is not None:
        cursor.execute(
            f"SELECT {COLUMNS} FROM calls WHERE profile = ? AND host = ? AND once_key = ? "  # noqa: S608
            "AND COALESCE(campaign, '') = ? AND state <> ? ORDER BY id",
            (plan.profile.name, plan.profile.host, key.once, key.campaign or "", Outcome.NOT_PLACED.value),
        )
        found = {row[1]: _record(row).call for row in cursor.fetchall()}
    else:
        cursor.execute(
            f"SELECT {COLUMNS} FROM calls WHERE number = ? AND requested_at > ? AND profile = ? AND host = ? "  # noqa: S608
            "AND (flow = ? OR ?) AND state IN (?, ?) ORDER BY id DESC LIMIT 1",
            (
                plan.number.e164,
                _milliseconds(now - hold_back),
                plan.profile.name,
                plan.profile.host,
                plan.flow.id,
                plan.flow.pending,  # in a rehearsal nobody knows which flow a name means
                Outcome.UNKNOWN.value,
                Outcome.PLACED.value,
            ),
        )
        row = cursor.fetchone()
        found = {row[1]: _record(row).call} if row and row[1] == Outcome.UNKNOWN else {}
    return Earlier(
        placed=found.get(Outcome.PLACED),
        in_flight=SENDING in found or WAITING in found,
        unknown=found.get(Outcome.UNKNOWN),
        today=_requested(cursor, plan, now, "profile = ?", plan.profile.name),
        today_to_number=_requested(cursor, plan, now, "number = ?", plan.number.e164),
    )


def _requested(cursor: sqlite3.Cursor, plan: Plan, now: datetime, condition: str, value: str) -> Sequence[datetime]:
    """When the calls of the last 24 hours were requested, unless the profile sets no cap and nobody will look."""
    guard = plan.profile.guard
    if guard.max_per_day is None and guard.max_per_number_per_day is None:
        return ()
    cursor.execute(
        f"SELECT requested_at FROM calls WHERE {condition} AND profile = ? AND host = ? "  # noqa: S608
        "AND requested_at > ? AND state <> ? ORDER BY requested_at",
        (
            value,
            plan.profile.name,
            plan.profile.host,
            _milliseconds(now - timedelta(hours=24)),
            Outcome.NOT_PLACED.value,
        ),
    )
    return [_moment(row[0]) for row in cursor.fetchall()]


def _record(row: Sequence[Any]) -> Record:
    try:
        return _read(row)
    except (ValueError, OverflowError) as error:
        raise JournalError("The journal has a damaged row.", hint="Move the journal away.") from error


def _read(row: Sequence[Any]) -> Record:
    values = dict(zip(COLUMNS.split(", "), row, strict=True))
    open_row = values["state"] in {SENDING, WAITING}
    call = Call(
        Outcome.UNKNOWN if open_row else Outcome(values["state"]),
        number=values["number"],
        flow=values["flow"],
        caller_id=values["caller_id"],
        profile=values["profile"],
        base_url=values["base_url"],
        requested_at=_moment(values["requested_at"]),
        http_status=values["http_status"],
        session_id=values["session_id"],
        response=_json(values["response"]),
        error=_json(values["error"]),
        id=call_id(values["id"]),
        settled=values["settled"],
        ending=_ending(values["ending"]),
    )
    return Record(
        call,
        values["username"],
        values["once_key"],
        values["campaign"],
        values["attempt"],
        values["duration_ms"],
        in_flight=open_row,
    )


def call_id(number: int) -> str:
    """The short name of a call, such as 7K3Q."""
    digits = ""
    while number:
        number, rest = divmod(number, 32)
        digits = ALPHABET[rest] + digits
    return digits.rjust(4, "0")


def call_number(name: str) -> int | None:
    """The row that a short name stands for; letters in any case, and I, L and O read as the digits they look like."""
    number = 0
    for letter in name.upper().translate(LOOK_ALIKE):
        if letter not in ALPHABET or number >= MOST_CALLS:
            return None
        number = number * 32 + ALPHABET.index(letter)
    return number or None


def _ending(text: str | None) -> Ending | None:
    if text is None:
        return None
    values = json.loads(text)
    return Ending(**{**values, "phase": Phase(values["phase"])})


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
