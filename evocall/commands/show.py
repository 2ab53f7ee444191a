"""`evocall show`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from evocall.commands import options
from evocall.errors import EvocallError, NotFound

if TYPE_CHECKING:
    from evocall.model import Record
    from evocall.sessions import Session
    from evocall.wording import Line


def show(
    call: options.CallArgument,
    profile: options.ProfileOption = None,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Show a rehearsal made with --sandbox")] = False,
    json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Show one call: the local record beside the service's session and its log.

    Examples:

      evocall show 0001

      evocall show 0001 --json
    """
    from evocall import profiles
    from evocall.journal import Journal
    from evocall.output import Screen, trace
    from evocall.target import session_of, target_of

    screen = Screen(as_json=json)
    with Journal(profiles.journal_place(profile, sandbox=sandbox)) as journal:
        record = journal.history.find(call)
        if record is not None and not json:
            screen.lines(_local(record))
        session = None
        if not sandbox:
            try:
                with (
                    target_of(record, call, profile) as there,
                    there.service(trace=trace if verbose else None) as service,
                ):
                    session = session_of(record, call, service, journal)
            except EvocallError as error:
                error.call = record.call if record else None
                raise
        if record is None and session is None:
            raise NotFound(
                f"Neither the journal nor the service knows a call {call}.", hint="evocall history lists them."
            )
    if json:
        screen.document(_document(record, session))
    elif session is not None:
        screen.lines(_remote(session))
    else:
        gone = "that is all: the sandbox of a rehearsal ends with its command."
        screen.note(gone if sandbox else "the service shows no session for it.")


def _local(record: "Record") -> "list[Line]":
    """What the journal knows."""
    from evocall.wording import account, ending_lines, utc

    call = record.call
    lines = [
        (call.outcome.replace("_", " "), call.number or ""),
        ("call", call.id or ""),
        ("flow", call.flow or ""),
        ("from", call.caller_id or "picked by the service"),
        account(call.profile, record.username, call.base_url),
        ("requested", utc(call.requested_at) if call.requested_at else "not known"),
        ("status", str(call.http_status or "no answer")),
    ]
    if record.once_key is not None:
        lines.append(("key", record.once_key))
    if record.campaign is not None:
        lines.append(("campaign", record.campaign))
    if call.error is not None:
        lines.append(("why", str(call.error.get("message"))))
    if call.settled is not None:
        lines.append(("settled", call.settled))
    return lines + (ending_lines(call.ending) if call.ending else [])


def _remote(session: "Session") -> "list[Line]":
    """What the service shows."""
    from evocall.wording import log_lines, utc

    lines = [("session", session.id), ("state", session.phase or "not told")]
    for label, value in (
        ("to", session.number),
        ("shown as", session.caller_id),
        ("began", session.began and utc(session.began)),
        ("ended", session.completed and utc(session.completed)),
        ("outcome", session.outcome),
        ("answered by", session.answered_by),
    ):
        if value:
            lines.append((label, value))
    return lines + log_lines([(entry.at, entry.message) for entry in session.log])


def _document(record: "Record | None", session: "Session | None") -> dict[str, Any]:
    from evocall.model import Call, Outcome
    from evocall.wording import call_document

    call = record.call if record else Call(Outcome.PLACED, session_id=session.id if session else None)
    return {**call_document(call), "session": session and dict(session.raw)}
