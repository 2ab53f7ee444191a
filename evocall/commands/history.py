"""`evocall history`."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from evocall.commands import options
from evocall.errors import UsageError

if TYPE_CHECKING:
    from evocall.model import Outcome, Record

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
KEPT = timedelta(days=1)
MOST = 1_000_000_000  # calls; more than a journal will ever hold
HEADINGS = ("call", "when", "outcome", "number", "flow", "profile", "session", "why")
CSV_COLUMNS = (
    "call",
    "requested_at",
    "outcome",
    "number",
    "flow",
    "caller_id",
    "profile",
    "base_url",
    "username",
    "once_key",
    "campaign",
    "attempt",
    "duration_ms",
    "http_status",
    "session_id",
    "error",
)

app = typer.Typer(name="history")


@app.callback(invoke_without_command=True)
def history(
    ctx: typer.Context,
    campaign: Annotated[
        str | None, typer.Option("--campaign", metavar="NAME", help="Only calls of this campaign")
    ] = None,
    number: Annotated[str | None, typer.Option("--number", metavar="NUMBER", help="Only calls to this number")] = None,
    outcome: Annotated[
        str | None, typer.Option("--outcome", metavar="OUTCOME", help="Only placed, not_placed or unknown calls")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Only calls since then: 2026-11-23, an ISO time, 90m, 24h, 7d"),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=MOST, help="At most this many")] = 50,
    region: options.RegionOption = None,
    profile: options.ProfileOption = None,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Show the rehearsals made with --sandbox instead")] = False,
    json: options.JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV")] = False,
) -> None:
    """Show the calls in the journal, newest first: those of --profile, or EVOCALL_PROFILE, if there is one, else all.

    Examples:

      evocall history --since 24h

      evocall history --outcome unknown --json
    """
    if ctx.invoked_subcommand is not None:
        return
    from evocall import phone, profiles
    from evocall.history import Filter
    from evocall.journal import Journal
    from evocall.output import Screen
    from evocall.wording import call_document

    wanted = Filter(
        profile=None if sandbox else profile,
        campaign=campaign,
        number=phone.read(number, region=region).e164 if number is not None else None,
        outcome=_outcome(outcome) if outcome is not None else None,
        since=_moment(since) if since is not None else None,
        limit=limit,
    )
    with Journal(profiles.journal_place(profile, sandbox=sandbox)) as journal:
        records = list(journal.history.calls(wanted))
    screen = Screen(as_json=json)
    if json:
        screen.document([call_document(record.call) for record in records])
    elif csv:
        screen.text(_csv(records))
    elif records:
        screen.table(HEADINGS, [_row(record) for record in records], spare=("session", "flow", "profile"))
    else:
        screen.note("no calls yet." if wanted == Filter(limit=limit) else "no such calls.")


@app.command()
def purge(
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="AGE", help="Age of the calls to delete, such as 90d", show_default=False),
    ],
    profile: options.ProfileOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Delete old calls from the journal, for data retention; their once-keys may then be used again.

    Those whose outcome is unknown are deleted too. The calls of the last 24 hours always stay. With --profile, or
    EVOCALL_PROFILE, only that profile's calls go.

    Examples:

      evocall history purge --older-than 90d

      evocall history purge --older-than 52w --quiet
    """
    from evocall import profiles
    from evocall.journal import Journal
    from evocall.output import Screen

    age = _age(older_than)
    if age < KEPT:
        raise UsageError(
            f"--older-than is at least 1d, not {older_than}: caps and hold-backs need the calls of the last 24 hours."
        )
    with Journal(profiles.journal_place(profile)) as journal:
        deleted = journal.history.purge(datetime.now(UTC) - age, profile)
    Screen(quiet=quiet).note(f"{deleted} calls deleted.")


def _outcome(text: str) -> "Outcome":
    from evocall.model import Outcome

    recorded = (Outcome.PLACED, Outcome.NOT_PLACED, Outcome.UNKNOWN)
    if text not in recorded:
        raise UsageError(f"{text!r} is not an outcome.", hint=f"The outcomes: {', '.join(recorded)}.")
    return Outcome(text)


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,5})([mhdw])", text)
    if match is None:
        raise UsageError(f"{text!r} is not an age.", hint="Write 90m, 24h, 7d or 12w.")
    return int(match[1]) * UNITS[match[2]]


def _moment(text: str) -> datetime:
    """An age before now, or an ISO 8601 date or time, in local time unless it says otherwise."""
    if re.fullmatch(r"\d{1,5}[mhdw]", text):
        return datetime.now(UTC) - _age(text)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a moment.", hint="Write 2026-11-23, 2026-11-23T08:00, 90m, 24h or 7d."
        ) from None


def _row(record: "Record") -> tuple[str, ...]:
    from evocall.wording import local

    call = record.call
    why = call.error["message"] if call.error else ""
    outcome = call.outcome.replace("_", " ")
    cells = (call.id, local(call.requested_at), outcome, call.number, call.flow, call.profile, call.session_id, why)
    return tuple(cell or "" for cell in cells)


def _csv(records: list["Record"]) -> str:
    """Lines in the quoting of RFC 4180 with a heading; times are UTC."""
    import csv
    import io

    from evocall.wording import call_document

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for record in records:
        call = call_document(record.call)
        error = record.call.error["code"] if record.call.error else None
        values = {**call, **vars(record), "error": error, "call": record.call.id}
        writer.writerow(["" if values[column] is None else values[column] for column in CSV_COLUMNS])
    return buffer.getvalue()
