"""The earlier calls that decide about a new one: those with its key, those just made, those of the day."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from evocall.errors import UsageError
from evocall.model import Call, Campaign, Earlier, Outcome, Plan
from evocall.records import COLUMNS, SENDING, WAITING, milliseconds, moment, record
from evocall.transactions import Cursor

LONGEST_KEY = 1000  # bytes
MEANING = "name, host, profile, flow, caller_id"


class Key(NamedTuple):
    """What a call is once for: a key of `--once`, or a row of a campaign. Without `once` it is for nothing."""

    once: str | None = None
    campaign: str | None = None


def earlier_calls(cursor: Cursor, plan: Plan, key: Key, now: datetime, hold_back: timedelta) -> Earlier:
    """What the journal knows of them at this moment, within a transaction."""
    found: dict[str, Call] = {}
    if key.once is not None:
        cursor.execute(
            f"SELECT {COLUMNS} FROM calls WHERE profile = ? AND host = ? AND once_key = ? "  # noqa: S608
            "AND COALESCE(campaign, '') = ? AND state <> ? ORDER BY id",
            (plan.profile.name, plan.profile.host, key.once, key.campaign or "", Outcome.NOT_PLACED.value),
        )
        found = {row[1]: record(row).call for row in cursor.fetchall()}
    else:
        cursor.execute(
            f"SELECT {COLUMNS} FROM calls WHERE number = ? AND requested_at > ? AND profile = ? AND host = ? "  # noqa: S608
            "AND (LOWER(flow) = LOWER(?) OR ?) AND state IN (?, ?) ORDER BY id DESC LIMIT 1",
            (
                plan.number.e164,
                milliseconds(now - hold_back),
                plan.profile.name,
                plan.profile.host,
                plan.flow.id,
                plan.flow.pending,  # in a rehearsal nobody knows which flow a name means
                Outcome.UNKNOWN.value,
                Outcome.PLACED.value,
            ),
        )
        row = cursor.fetchone()
        found = {row[1]: record(row).call} if row and row[1] == Outcome.UNKNOWN else {}
    return Earlier(
        placed=found.get(Outcome.PLACED),
        in_flight=SENDING in found or WAITING in found,
        unknown=found.get(Outcome.UNKNOWN),
        today=_requested(cursor, plan, now, "profile = ?", plan.profile.name),
        today_to_number=_requested(cursor, plan, now, "number = ?", plan.number.e164),
        campaign=None if key.campaign is None else _begun(cursor, key.campaign, plan.profile.host),
    )


def _begun(cursor: Cursor, name: str, host: str) -> Campaign | None:
    """What the campaign of that name was begun as at that host."""
    cursor.execute(f"SELECT {MEANING} FROM campaigns WHERE name = ? AND host = ?", (name, host))  # noqa: S608
    row = cursor.fetchone()
    return row and Campaign(*row)


def _requested(cursor: Cursor, plan: Plan, now: datetime, condition: str, value: str) -> Sequence[datetime]:
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
            milliseconds(now - timedelta(hours=24)),
            Outcome.NOT_PLACED.value,
        ),
    )
    return [moment(row[0]) for row in cursor.fetchall()]


def refuse_long(key: str | None) -> None:
    """Raise UsageError for a key that an index cannot hold."""
    length = len((key or "").encode(errors="surrogatepass"))
    if length > LONGEST_KEY:
        raise UsageError(
            f"{(key or '')[:40]!r}… has {length} bytes, and a key or a campaign's name has at most {LONGEST_KEY}.",
            code="long_key",
        )
