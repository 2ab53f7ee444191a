"""Sessions and live calls as the service shows them, and ending one.

Pages: op=ListSessions, op=GetActiveCalls, op=EndSession. Much is not documented: what is missing, or is a word that we
do not know, is None here, and nothing is concluded from it.
"""

import math
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from evocall import listing
from evocall.answers import as_list, as_text
from evocall.errors import Forbidden, NotFound, Unavailable
from evocall.listing import Reader
from evocall.model import Phase

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)  # the zone of startDate and endDate is not documented
ARCHIVED_AFTER = timedelta(days=10)  # the vendor's tool says about 15 days
MOST_PAGES = 1000  # of a list; whoever pages on beyond them does so for ever
CALL_SID = re.compile(r"CA[0-9a-f]{32}")  # Twilio's name of a call, which is no session ID
MICROSOFT_DATE = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")  # milliseconds since 1970, ServiceStack's JSON
CALL_STATES = {
    "ringing": Phase.RINGING,
    "connected": Phase.CONNECTED,
    "hold": Phase.CONNECTED,
    "passive": Phase.CONNECTED,
}
TWILIO_STATES = {
    "queued": Phase.RINGING,
    "initiated": Phase.RINGING,
    "ringing": Phase.RINGING,
    "inprogress": Phase.CONNECTED,
    "completed": Phase.ENDED,
    "busy": Phase.ENDED,
    "noanswer": Phase.ENDED,
    "canceled": Phase.ENDED,
    "failed": Phase.ENDED,
}


class Entry(NamedTuple):
    """A line of a session's log; aware UTC time, None when it could not be read."""

    at: datetime | None
    message: str


class Session(NamedTuple):
    """What is understood of a SessionInfo; `raw` is all of it. Times are aware UTC.

    `running` says that the service calls it not ended, whatever else it says. `id` is empty when it is not told.
    """

    id: str
    number: str | None
    caller_id: str | None
    flow: str | None
    incoming: bool
    began: datetime | None
    completed: datetime | None
    phase: Phase | None
    running: bool
    outcome: str | None
    answered_by: str | None
    call_sid: str | None
    account: str | None
    log: tuple[Entry, ...]
    raw: Mapping[str, Any]


class LiveCall(NamedTuple):
    """What is understood of a CallInfo: a call that rings or talks at this moment."""

    sid: str | None
    number: str | None
    began: datetime | None
    phase: Phase | None
    machine: bool


class Limited:
    """A service that is read for so many pages and seconds in all, and no longer, whatever it goes on to offer.

    `seconds` is None when only the pages have a limit. Reading on beyond either raises Unavailable.
    """

    def __init__(self, service: Reader, seconds: float | None = None) -> None:
        self._service, self._seconds = service, math.inf if seconds is None else seconds
        self._until = time.monotonic() + self._seconds
        self._pages = 0

    @property
    def ahead(self) -> timedelta | None:
        """By how much the service's clock is before ours, where it tells."""
        ahead: timedelta | None = getattr(self._service, "ahead", None)
        return ahead

    def read(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, patience: float | None = None
    ) -> dict[str, Any]:
        """As the service itself."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise Unavailable(
                f"The list {path} was not read to its end within {self._seconds:g} seconds.",
                hint="It is too long, or the service too slow: try again later.",
                code="timeout",
            )
        if self._pages >= MOST_PAGES:
            raise Unavailable(
                f"The list {path} has more than {MOST_PAGES:,} pages, and perhaps no end.",
                hint="Is base_url right? Evo Voice's lists end, and heed what they are asked for.",
                code="endless_list",
            )
        self._pages += 1
        limits = [limit for limit in (left, patience) if limit is not None and limit != math.inf]
        return self._service.read(method, path, params=params, patience=min(limits, default=None))


def by_id(service: Reader, session_id: str, *, archive: bool = False, patience: float | None = None) -> Session | None:
    """The session with its log, which only lists carry; None when the service does not show it (yet).

    `patience` is a limit, in seconds, for all pages together.
    """
    params = {"specificIds": session_id, **_in(archive)}
    found = listing.items(Limited(service, patience), "/sessions", params)
    return next((session for session in map(_session, found) if session.id == session_id), None)


def to_number(
    service: Reader, e164: str, day: date, *, archive: bool = False, patience: float | None = None
) -> list[Session]:
    """The sessions with this number as callee, of that day and its neighbours, oldest first.

    `patience` is a limit, in seconds, for all pages together.
    """
    params = {
        "to": digits(e164),
        "startDate": (day - DAY).isoformat(),
        "endDate": (day + DAY).isoformat(),
        **_in(archive),
    }
    found = map(_session, listing.items(Limited(service, patience), "/sessions", params))
    ours = [session for session in found if digits(session.number) == digits(e164) and not session.incoming]
    return sorted(ours, key=lambda session: session.began or datetime.max.replace(tzinfo=UTC))


def live(service: Reader, account: str | None = None, *, patience: float | None = None) -> Iterator[LiveCall]:
    """The calls that ring or talk now."""
    params = {"accountId": account} if account else {}
    answer = service.read("GET", "/calls/active", params=params, patience=patience)
    for call in as_list(answer.get("calls")):
        if isinstance(call, dict):
            yield LiveCall(
                as_text(call.get("sid")),
                as_text(call.get("to")),
                moment(call.get("dateCreated")),
                TWILIO_STATES.get(_word(call.get("status"))),
                _word(call.get("answeredBy")).startswith("machine"),
            )


def end(service: Reader, session_id: str) -> None:
    """Hang up. Raises NotFound for a session that the service does not know, Forbidden when the role may not."""
    try:
        service.read("DELETE", f"/sessions/{session_id}")
    except NotFound as error:
        if error.code != "not_found":
            raise
        raise NotFound(
            f"The service knows no running session {session_id}.", hint=f"evocall show {session_id} looks for it."
        ) from error
    except Forbidden as error:
        if error.code != "forbidden":
            raise
        error.message = "The service does not let this login end a call (403)."
        error.hint = (
            "Ending one takes the role User, which a Manager may not have: ask an administrator for it, "
            "or hang up in Evo Voice's own console."
        )
        raise


def moment(value: Any) -> datetime | None:
    r"""A time as ServiceStack writes it, `\/Date(ms)\/` or ISO 8601 (UTC when it names no zone); else None."""
    text = as_text(value) or ""
    try:
        if match := MICROSOFT_DATE.fullmatch(text):
            read = EPOCH + timedelta(milliseconds=int(match[1]))
        else:
            read = datetime.fromisoformat(text)
            read = (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return read if read.year > 1 else None  # as .NET writes a time that was never set


def digits(address: str | None) -> str:
    """The digits of a telephone address, `sip:` user parts included."""
    return re.sub(r"\D", "", (address or "").partition("@")[0])


def _session(item: Mapping[str, Any]) -> Session:
    direction = _word(item.get("direction"))
    return Session(
        id=str(item.get("id") or ""),
        number=as_text(item.get("toAddress")) or as_text(item.get("destination")),
        caller_id=as_text(item.get("fromAddress")),
        flow=as_text(item.get("flowId")),
        incoming=direction.startswith("in"),
        began=moment(item.get("dateCreated")),
        completed=moment(item.get("dateCompleted")),
        phase=_phase(item),
        running=item.get("ended") is False,
        outcome=as_text(item.get("outcome")),
        answered_by=as_text(item.get("answeredByName")),
        call_sid=as_text(item.get("callSid")),
        account=as_text(item.get("accountId")),
        log=tuple(
            Entry(moment(entry.get("date")), str(entry.get("message") or ""))
            for entry in as_list(item.get("log"))
            if isinstance(entry, dict)
        ),
        raw=item,
    )


def _phase(item: Mapping[str, Any]) -> Phase | None:
    """`ended` decides; without it a time of completion or an outcome does."""
    ended = item.get("ended")
    if ended is True or (ended is not False and (moment(item.get("dateCompleted")) or as_text(item.get("outcome")))):
        return Phase.ENDED
    return CALL_STATES.get(_word(item.get("callState")))


def _word(value: Any) -> str:
    """A name as it is compared: letters only, lower case."""
    return re.sub(r"[^a-z]", "", (as_text(value) or "").lower())


def _in(archive: bool) -> dict[str, str]:  # noqa: FBT001
    return {"searchArchive": "true"} if archive else {}
