"""A row of the journal as a record, and what of an answer goes into a row."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from evocall.errors import JournalError
from evocall.model import Answer, Call, Ending, Outcome, Phase, Record

LONGEST_RESPONSE = 64 * 1024  # characters of an answer that are kept
LONGEST_NAME = 500  # characters of a session ID
SENDING, WAITING = "sending", "waiting"
OPEN = f"('{SENDING}', '{WAITING}')"
COLUMNS = (
    "id, state, profile, base_url, username, number, flow, caller_id, once_key, campaign, attempt, requested_at, "
    "duration_ms, http_status, session_id, response, error, settled, ending"
)
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O or U to misread
LOOK_ALIKE = str.maketrans("ILO", "110")
MOST_CALLS = 32**8  # far from any journal; a session ID is longer
PAGE = 10_000  # rows read at a time


def newest_first(
    rows: Callable[[str, Sequence[Any]], Iterator[Any]],
    columns: str,
    conditions: Sequence[str] = (),
    values: Sequence[Any] = (),
    limit: int | None = None,
) -> Iterator[Any]:
    """Rows of calls, their ID in front, read some thousands at a time: millions take no more memory than those.

    `rows` runs a SELECT. The last page may have more of them than `limit` asks for.
    """
    where = " AND ".join((*conditions, "id < ?"))
    page = min(PAGE, limit or PAGE)
    select = f"SELECT {columns} FROM calls WHERE {where} ORDER BY id DESC LIMIT {page}"  # noqa: S608
    below, found = MOST_CALLS, page
    while found == page:
        found = 0
        for row in rows(select, (*values, below)):
            found, below = found + 1, row[0]
            yield row


def record(row: Sequence[Any]) -> Record:
    """The record of a row with `COLUMNS`. Raises JournalError for one that was damaged."""
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
        requested_at=moment(values["requested_at"]),
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


def of_answer(answer: Answer, duration: timedelta | None) -> tuple[str | int | None, ...]:
    """What is kept of an answer: `http_status, session_id, response, error, duration_ms`."""
    response = None if answer.response is None else json.dumps(answer.response)
    if response is not None and len(response) > LONGEST_RESPONSE:
        response = json.dumps(response[:LONGEST_RESPONSE])
    return (
        answer.status,
        storable(answer.session_id),
        response,
        json.dumps(answer.error.document()) if answer.error else None,
        None if duration is None else int(duration.total_seconds() * 1000),
    )


def storable(name: str | None) -> str | None:
    """The name with whatever no journal can hold made visible, or cut off."""
    return name and name.encode(errors="backslashreplace").decode().replace("\0", "\\0")[:LONGEST_NAME]


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


def milliseconds(moment: datetime) -> int:
    """A time as rows hold it: since 1970, in UTC."""
    return int(moment.timestamp() * 1000)


def moment(milliseconds: int) -> datetime:
    """The aware time that a row holds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _ending(text: str | None) -> Ending | None:
    if text is None:
        return None
    values = json.loads(text)
    return Ending(**{**values, "phase": Phase(values["phase"])})


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
