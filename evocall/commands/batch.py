"""`evocall batch`."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evocall.commands import options
from evocall.errors import EvocallError, Incomplete, Interrupted, UsageError

if TYPE_CHECKING:
    from evocall.campaign import Checked, Order, Reader, Tally
    from evocall.commands.target import Target
    from evocall.journal import Journal
    from evocall.output import Screen
    from evocall.rows import Row


OUTCOMES = ("placed", "already_placed", "not_placed", "unknown")


def batch(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV or JSON Lines, or -", show_default=False)],
    campaign: Annotated[
        str, typer.Option("--campaign", metavar="NAME", help="Name that the batch goes on under", show_default=False)
    ],
    flow: options.FlowOption = None,
    caller_id: options.CallerIdOption = None,
    region: options.RegionOption = None,
    profile: options.ProfileOption = None,
    sandbox: options.SandboxOption = False,
    pace: Annotated[
        float | None, typer.Option("--pace", metavar="CALLS", help="Calls per second; the profile's pace, or 1")
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, max=64, help="Most calls in flight at a time")
    ] = 64,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Dial at most N rows now")] = None,
    between: options.BetweenOption = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for rows outside their hours")] = False,
    allow: options.AllowOption = None,
    skip_invalid: Annotated[bool, typer.Option("--skip-invalid", help="Leave out bad rows")] = False,
    retry_unknown: Annotated[
        bool, typer.Option("--retry-unknown", help="Dial rows again whose call may have rung")
    ] = False,
    max_failures: Annotated[
        int, typer.Option("--max-failures", metavar="N", min=1, help="Stop after N calls not placed in a row")
    ] = 10,
    number_column: Annotated[
        str, typer.Option("--number-column", metavar="NAME", help="Column with the numbers")
    ] = "number",
    encoding: Annotated[
        str | None, typer.Option("--encoding", metavar="NAME", help="Encoding of the file; UTF-8 unless you say so")
    ] = None,
    results: Annotated[
        str | None, typer.Option("--results", metavar="FILE", help="Write what became of each row: .csv or .jsonl")
    ] = None,
    timeout: options.TimeoutOption = None,
    connect_timeout: options.ConnectTimeoutOption = None,
    dry_run: options.DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before dialling")] = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Place one call for each row of a CSV or JSON Lines file, paced, resumable.

    The same command run again goes on where it stopped; a row is rung at most once.

    Examples:

      evocall batch patients.csv --campaign spring --flow reminder --dry-run

      evocall batch patients.csv --campaign spring --flow reminder --sandbox --pace 50 --yes
    """
    from contextlib import closing
    from pathlib import Path

    from evocall import campaign as campaigns
    from evocall import paths, rows
    from evocall import results as result_file
    from evocall.commands.target import target
    from evocall.journal import Journal
    from evocall.model import Campaign
    from evocall.output import Screen
    from evocall.planning import Planner

    screen = Screen(as_json=json, quiet=quiet)
    if not (yes or dry_run or sys.stdin.isatty()):
        raise UsageError("There is no terminal to ask at before dialling.", hint="Add --yes, or --dry-run.")
    if pace is not None and not 0 < pace < float("inf"):
        raise UsageError(f"--pace is a number of calls per second above 0, not {pace:g}.")
    output_file = Path(results) if results else None
    if output_file:
        result_file.refuse_existing(output_file)
    with (
        closing(rows.opened(file, encoding=encoding, number_column=number_column)) as table,
        target(profile, sandbox=sandbox, timeout=timeout, connect_timeout=connect_timeout) as there,
    ):
        planner = Planner(there.profile, region=region, between=between, allow=allow or ())
        order = campaigns.Order(
            Campaign(campaign, there.profile.name, flow or there.profile.flow, caller_id or there.profile.caller_id),
            pace=pace or there.profile.pace,
            concurrency=concurrency,
            limit=limit,
            skip_invalid=skip_invalid,
            retry_unknown=retry_unknown,
            max_failures=max_failures,
            wait_for_hours=not no_wait,
        )
        journal_file = paths.journal_file(sandbox=sandbox)
        if dry_run and not journal_file.exists():
            _rehearse(screen, campaigns.Reader(table, planner, order, None), there)
            return
        with Journal(journal_file) as journal:
            _refuse_changed(journal, order)
            reader = campaigns.Reader(table, planner, order, journal)
            if dry_run:
                _rehearse(screen, reader, there)
                return
            checked = _checked(screen, reader, there)
            if not yes:
                typer.confirm("Dial?", abort=True, err=True)
            _dial(screen, there, reader, journal, checked, output_file)


def _refuse_changed(journal: "Journal", order: "Order") -> None:
    """Raise UsageError when the campaign's name already stands for something else."""
    now = order.campaign
    known = journal.campaign(now.name)
    if known is None or known == now:
        return
    differences = [
        f"{name} was {getattr(known, name) or 'none'} and is now {getattr(now, name) or 'none'}"
        for name in ("profile", "flow", "caller_id")
        if getattr(known, name) != getattr(now, name)
    ]
    raise UsageError(
        f"The campaign {now.name!r} was begun differently: {'; '.join(differences)}.",
        hint="Go on as it was begun, or give the new one another name.",
        code="campaign_changed",
    )


def _checked(screen: "Screen", reader: "Reader", there: "Target") -> "Checked":
    """Check all rows, say what was found, and refuse to go on with bad ones unless they are to be skipped."""
    from datetime import UTC, datetime

    from evocall import campaign as campaigns

    def complain(row: "Row", error: EvocallError) -> None:
        screen.problem(f"row {row.line}: {error}")

    found = campaigns.check(reader, complain, datetime.now(UTC))
    if found.bad and not reader.order.skip_invalid:
        error = UsageError(
            f"{found.bad} of {found.rows} rows of {reader.table.name} are bad; nothing was dialled.",
            hint="Mend them, or leave them out with --skip-invalid.",
            code="bad_rows",
        )
        error.summary = _summary(reader, found, campaigns.Tally(), datetime.now(UTC))
        raise error
    _summarise(screen, reader, there, found)
    return found


def _rehearse(screen: "Screen", reader: "Reader", there: "Target") -> None:
    """All of a batch but the dialling."""
    from datetime import UTC, datetime

    from evocall.campaign import Tally

    now = datetime.now(UTC)
    summary = _summary(reader, _checked(screen, reader, there), Tally(), now)
    if screen.as_json:
        screen.document(summary)


def _summarise(screen: "Screen", reader: "Reader", there: "Target", found: "Checked") -> None:
    """What is about to happen, before anybody is asked; on stderr, since it is not the result."""
    from datetime import datetime, timedelta
    from urllib.parse import urlsplit

    order = reader.order
    count = min(found.to_dial, order.limit or found.to_dial)
    duration = timedelta(seconds=round(count / order.pace))
    left_out = [
        (found.bad, "bad"),
        (found.denied, "on the deny list"),
        (found.duplicates, "duplicates"),
        (found.placed_before, "placed before"),
        (found.unknown_before, "perhaps placed before"),
    ]
    countries = ", ".join(f"{name} {number}" for name, number in found.countries.most_common(8))
    screen.preview(
        [
            ("campaign", order.campaign.name),
            ("rows", f"{found.rows} in {reader.table.name}"),
            ("left out", ", ".join(f"{number} {what}" for number, what in left_out if number) or "none"),
            ("to dial", f"{count}" + (f" of {found.to_dial}" if count < found.to_dial else "")),
            ("countries", countries or "none"),
            ("waiting", f"{found.waiting} outside their hours now" if found.waiting else "none"),
            ("account", f"{there.profile.name}  {there.profile.username} at {urlsplit(there.profile.base_url).netloc}"),
            ("flow", order.campaign.flow or "named by each row"),
            ("pace", f"{order.pace:g} calls per second"),
            ("ends", f"about {datetime.now().astimezone() + duration:%Y-%m-%d %H:%M} (in {duration})"),
        ]
    )


def _dial(
    screen: "Screen",
    there: "Target",
    reader: "Reader",
    journal: "Journal",
    checked: "Checked",
    output_file: Any,
) -> None:
    from datetime import UTC, datetime

    from evocall import campaign as campaigns
    from evocall import pacing, paths, results, signals
    from evocall.service import Service

    credential = there.credential()
    began = datetime.now(UTC)
    journal.begin_campaign(reader.order.campaign, began)
    _refuse_changed(journal, reader.order)
    pace = pacing.Pace(paths.pace_file(there.profile.name), reader.order.pace)
    with screen.progress(checked.to_dial) as progress:
        run = campaigns.Run(
            reader,
            journal,
            pace,
            lambda: Service(there.profile, credential),
            repeated=checked.repeated,
            username=there.profile.username,
            tell=progress.note,
            changed=lambda tally: progress.show(tally.outcomes, tally.waiting),
        )
        with signals.stopping(run.stop) as stopped:
            tally = run.run()
    pace.close()
    if output_file:
        results.write(output_file, reader.table, lambda row: campaigns.outcome_of(reader, journal, row))
    error = _error(reader, checked, tally, interrupted=stopped.is_set())
    _report(screen, reader, checked, tally, began, error)
    if error is not None:
        raise error


def _error(reader: "Reader", checked: "Checked", tally: "Tally", *, interrupted: bool) -> EvocallError | None:
    """How the run ended, as an error; None when every row of the file has been placed."""
    again = f"The same command goes on: evocall batch {reader.table.name} --campaign {reader.order.campaign.name} …"
    if interrupted:
        return Interrupted("interrupted; the calls in flight were finished and recorded.", hint=again)
    if tally.stopped is not None:
        error = tally.stopped
        error.message = f"The campaign was stopped: {error.message}"
        error.hint = f"{error.hint or ''} {again}".strip()
        error.call = None
        return error
    placed = checked.placed_before + tally.outcomes["placed"] + tally.outcomes["already_placed"]
    wanted = checked.rows - checked.duplicates
    if placed == wanted:
        return None
    return Incomplete(f"{wanted - placed} of {wanted} rows have not been placed.", hint=again)


def _summary(reader: "Reader", checked: "Checked", tally: "Tally", began: Any) -> dict[str, Any]:
    """The one JSON object of a batch; times are UTC, the rate is in calls per second."""
    from datetime import UTC, datetime

    from evocall.output import SCHEMA, utc

    ended = datetime.now(UTC)
    seconds = max((ended - began).total_seconds(), 0.001)
    return {
        "schema": SCHEMA,
        "campaign": reader.order.campaign.name,
        "started": utc(began),
        "finished": utc(ended),
        "rows": checked.rows,
        "bad": checked.bad,
        "denied": checked.denied,
        "duplicates": checked.duplicates,
        "placed_before": checked.placed_before,
        "unknown_before": checked.unknown_before,
        "to_dial": checked.to_dial,
        "waiting": tally.waiting,
        "outcomes": {name: tally.outcomes[name] for name in OUTCOMES},
        "errors": dict(tally.errors),
        "rate": round(sum(tally.outcomes.values()) / seconds, 3),
        "error": None,
    }


def _report(
    screen: "Screen",
    reader: "Reader",
    checked: "Checked",
    tally: "Tally",
    began: Any,
    error: EvocallError | None,
) -> None:
    """After: a table by outcome; with --json one object with the same numbers."""
    summary = _summary(reader, checked, tally, began)
    if error is not None:
        error.summary = summary
    if screen.as_json:
        if error is None:
            screen.document(summary)
        return
    rows = [(name.replace("_", " "), str(number)) for name, number in summary["outcomes"].items() if number]
    rows += [(f"  {code}", str(number)) for code, number in tally.errors.most_common()]
    rows += [("waiting", str(tally.waiting))] if tally.waiting else []
    screen.table(("outcome", "calls"), rows or [("nothing dialled", "0")])
