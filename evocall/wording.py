"""The words of receipts, endings and errors, and the JSON form of a call. Nothing is printed here."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from evocall.clocks import local_times
from evocall.errors import EvocallError
from evocall.model import SANDBOX, Call, Ending, Flow, Number, Outcome, Phase, Plan

SCHEMA = 1
LONGEST_NUMBER = 60
NOT_TOLD = "the service does not tell whether somebody answered"
Line = tuple[str, str]


def call_document(call: Call) -> dict[str, Any]:
    """The JSON form of a call, as `dial`, `history` and `show` give it."""
    return {
        "schema": SCHEMA,
        "outcome": call.outcome,
        "call": call.id,
        "number": call.number,
        "flow": call.flow,
        "caller_id": call.caller_id,
        "profile": call.profile,
        "base_url": call.base_url,
        "requested_at": call.requested_at and utc(call.requested_at),
        "http_status": call.http_status,
        "session_id": call.session_id,
        "response": call.response,
        "error": call.error,
        "settled": call.settled,
        "ending": call.ending and asdict(call.ending),
    }


def utc(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local(moment: datetime | None) -> str:
    """Date and time by the clock of this machine, to the second; empty when the moment is not known."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""


def receipt(call: Call, plan: Plan, username: str | None) -> list[Line]:
    """The lines of a receipt: outcome and number, flow, caller ID, account, session."""
    lines = [
        (call.outcome.replace("_", " "), f"{plan.number.international}   {place_and_time(plan.number)}"),
        ("flow", flow_text(plan.flow)),
        ("from", plan.caller.international if plan.caller else "picked by the service"),
        account(plan.profile.name, username, plan.profile.netloc),
    ]
    if call.session_id or call.id:
        option = " --sandbox" if call.profile == SANDBOX else ""
        look = f"   evocall show {call.id}{option}" if call.id else ""
        lines.append(("session", f"{call.session_id or 'not told by the service'}{look}"))
    if call.settled:
        lines.append(("settled", f"the answer did not tell, but {call.settled}"))
    if call.outcome is Outcome.ALREADY_PLACED and call.requested_at:
        lines.append(("placed at", f"{utc(call.requested_at)}; nothing was dialled now"))
        if call.number != plan.number.e164 or (call.flow != plan.flow.id and not plan.flow.pending):
            lines.append(("attention", f"the key was used for {call.number} with flow {call.flow}, not for this call"))
    if call.outcome is Outcome.DRY_RUN:
        lines.append(("request", f"POST {plan.profile.base_url}/sessions/outgoing {json.dumps(plan.request.body)}"))
    return lines


def account(profile: str | None, username: str | None, address: str | None) -> Line:
    """The line that tells whose call it is: profile, username, and where the service is."""
    return "account", f"{profile}  {username or 'no login'} at {address}"


def flow_text(flow: Flow) -> str:
    """The flow's alias or name, if it has one, and its ID."""
    return f"{flow.alias}  {flow.id}" if flow.alias else flow.id


def ending_lines(ending: Ending) -> list[Line]:
    """How a call ended, or where it was at the last look: phase, what is known of an answer, duration."""
    if ending.phase is not Phase.ENDED:
        return [(ending.phase, f"for {duration(ending.seconds)} so far")]
    said = f"   the service says: {ending.outcome}" if ending.outcome else ""
    answered = {
        True: "answered by a machine" if ending.machine else "answered",
        False: "not answered",
        None: NOT_TOLD,
    }[ending.answered]
    return [("ended", f"{answered}, lasted {duration(ending.seconds)}{said}")]


def how(ending: Ending | None) -> str:
    """How a call ended, for the end of a sentence."""
    if ending is None or ending.phase is not Phase.ENDED:
        return "its end was not seen"
    said = f" ({ending.outcome})" if ending.outcome else ""
    if ending.answered is None:
        return f"ended, and {NOT_TOLD}{said}"
    if not ending.answered:
        return f"ended without an answer{said}"
    return f"answered by {'a machine' if ending.machine else 'somebody'}{said}"


def log_lines(log: Sequence[tuple[datetime | None, str]]) -> list[Line]:
    """A session's log, in UTC."""
    lines = [f"{at:%H:%M:%S}Z  {message}" if at else message for at, message in log]
    return [("log" if n == 0 else "", line) for n, line in enumerate(lines)]


def duration(seconds: float | None) -> str:
    """Minutes and seconds, as a telephone shows them."""
    return "an unknown time" if seconds is None else f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


def place_and_time(number: Number, now: datetime | None = None) -> str:
    """Country and local time of a number: `US, 04:12 there (New York)`, or the span over several zones."""
    where = number.country or f"+{number.international[1:].split(' ')[0]}, no country"
    times = local_times(number, now or datetime.now(UTC))
    if not times:
        return f"{where}, local time not known"
    first, last = min(times), max(times)
    if f"{first:%H:%M}" == f"{last:%H:%M}":
        city = number.zones[0].rpartition("/")[2].replace("_", " ")
        return f"{where}, {first:%H:%M} there ({city if len(number.zones) == 1 else f'{len(number.zones)} zones'})"
    return f"{where}, {first:%H:%M} to {last:%H:%M} there ({len(number.zones)} zones)"


def clean(text: str) -> str:
    """The text with every character that could move a cursor or reorder a line made visible."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text.replace("\n", " "))


def failure_lines(error: EvocallError) -> list[Line]:
    """What stands below an error's first line: the number, the service's words, fields, the hint."""
    lines = []
    if error.call is not None and error.call.number and error.call.number not in str(error):
        number = error.call.number
        lines.append(("  number", number if len(number) <= LONGEST_NUMBER else number[:LONGEST_NUMBER] + "…"))
    if error.said:
        lines.append(("  what it said", error.said))
    lines += [(f"  {entry.field}", entry.message) for entry in error.fields]
    if error.hint:
        lines.append(("hint:", error.hint))
    return lines
