"""`evocall hangup`."""

from evocall.commands import options
from evocall.errors import NotFound


def hangup(
    call: options.CallArgument,
    profile: options.ProfileOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """End a running call.

    Exits with 5 when the service knows no such call, and with 6 when this login may not end one.

    Examples:

      evocall hangup 0001

      evocall hangup 6743a0b1c2d3e4f5a6b7c8d9 --json
    """
    from evocall import profiles, sessions
    from evocall.journal import Journal
    from evocall.model import Phase
    from evocall.output import Screen, trace
    from evocall.target import session_of, target_of
    from evocall.wording import SCHEMA

    screen = Screen(as_json=json, quiet=quiet)
    with Journal(profiles.journal_place(profile)) as journal:
        record = journal.history.find(call)
        with target_of(record, call, profile) as there, there.service(trace=trace if verbose else None) as service:
            session = session_of(record, call, service, journal)
            if session is None or not session.id:
                raise NotFound(f"The service shows no session for {call}.", hint="evocall show tells what is known.")
            over = session.phase is Phase.ENDED
            if not over:
                sessions.end(service, session.id)
    if json:
        screen.document(
            {
                "schema": SCHEMA,
                "call": record and record.call.id,
                "session_id": session.id,
                "ended_before": over,
                "error": None,
            }
        )
    screen.note(f"the call {call} had ended already." if over else f"the call {call} was ended.")
