"""Which sessions the service shows: not too new, not archived, and let through by the filters of the list."""

from collections.abc import Callable
from datetime import UTC, date, datetime

from evocall.sandbox.calls import Call, Calls
from evocall.sandbox.fields import Fields
from evocall.sandbox.inventory import COMPANY_ID, endpoint_id
from evocall.sandbox.paging import among
from evocall.sandbox.sessions import session_info

Reshape = Callable[[dict[str, object]], dict[str, object]]


class Sessions:
    """The calls as sessions, which appear and are archived some seconds after the call was placed."""

    def __init__(self, calls: Calls, *, shown_after: float, archive_after: float, reshape: Reshape | None) -> None:
        self._calls = calls
        self._shown_after = shown_after
        self._archive_after = archive_after
        self._reshape = reshape

    def info(self, call: Call, now: float, *, with_log: bool) -> dict[str, object]:
        """SessionInfo, in the shape that was asked for."""
        info = session_info(call, now, with_log=with_log)
        return self._reshape(info) if self._reshape else info

    def find(self, session_id: str, now: float) -> Call | None:
        """The call with this session ID, while its session can be read alone."""
        call = self._calls.find(session_id)
        return call if call and self._shown(call, now, archived=False) else None

    def matching(self, fields: Fields, now: float) -> list[Call]:
        """The calls that GET /sessions lists, newest first: live ones or, with `searchArchive`, archived ones."""
        archived = fields.get("searcharchive", "").lower() == "true"
        shown = [call for call in list(self._calls.placed) if self._shown(call, now, archived=archived)]
        return _filtered(shown[::-1], fields, now)

    def _shown(self, call: Call, now: float, *, archived: bool) -> bool:
        age = now - call.placed_at
        return age >= self._shown_after and (age >= self._archive_after) is archived


def _filtered(calls: list[Call], fields: Fields, now: float) -> list[Call]:
    # No call here has a parent, so whoever names one finds nothing.
    if fields.get("parentsessionid") or not among(fields, "accountids", COMPANY_ID):
        return []
    to, sender, text = fields.get("to", ""), fields.get("from", ""), fields.get("log", "")
    first, last = _day(fields.get("startdate"), date.min), _day(fields.get("enddate"), date.max)
    return [
        call
        for call in calls
        if to in call.number
        and sender in call.caller_id
        and first <= datetime.fromtimestamp(call.placed_at, UTC).date() <= last
        and among(fields, "customerids", call.flow.customer_id)
        and among(fields, "endpointids", endpoint_id(call.caller_id))
        and (not text or _says(call, text, now))
    ]


def _says(call: Call, text: str, now: float) -> bool:
    return any(text.lower() in step.message.lower() for step in call.log(now))


def _day(text: str | None, default: date) -> date:
    try:
        return date.fromisoformat(text[:10]) if text else default
    except ValueError:
        return default
