"""`evocall batch`."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evocall.commands import options
from evocall.errors import EvocallError, Interrupted, NotFound, UsageError

if TYPE_CHECKING:
    from evocall.journal import Journal
    from evocall.model import Campaign, Flow, Record
    from evocall.output import Screen
    from evocall.reading import Checked, Order, Reader
    from evocall.rows import Row
    from evocall.service import Service
    from evocall.target import Target


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
        bool, typer.Option("--retry-unknown", help="Ask about calls that may have rung; dial those not found again")
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
    import gc
    from contextlib import ExitStack, closing
    from pathlib import Path

    from evocall import places, rows
    from evocall import results as result_file
    from evocall.journal import Journal
    from evocall.model import Campaign
    from evocall.output import Screen
    from evocall.planning import Planner
    from evocall.reading import Order, Reader
    from evocall.settings import FASTEST, SLOWEST
    from evocall.target import target

    gc.enable()
    screen = Screen(as_json=json, quiet=quiet)
    if not (yes or dry_run or options.at_terminal()):
        raise UsageError("There is no terminal to ask at before dialling.", hint="Add --yes, or --dry-run.")
    if not campaign.strip():
        raise UsageError("--campaign was given an empty name.", hint="A variable in it may not be set.")
    if pace is not None and not SLOWEST <= pace <= FASTEST:
        raise UsageError(f"--pace is a number of calls per second from {SLOWEST:g} to {FASTEST:g}, not {pace:g}.")
    output_file = Path(results) if results else None
    if output_file:
        result_file.refuse_existing(output_file)
    with (
        closing(rows.opened(file, encoding=encoding, number_column=number_column)) as table,
        target(profile, sandbox=sandbox, timeout=timeout, connect_timeout=connect_timeout) as there,
        ExitStack() as stack,
    ):
        service = cache(lambda: stack.enter_context(there.service()))
        planner = Planner(
            there.profile,
            region=region,
            between=between,
            allow=allow or (),
            look_up=(lambda named: named) if dry_run else _asking(service, screen),
        )
        chosen = planner.flow(flow) if flow or there.profile.flow else None
        order = Order(
            Campaign(
                campaign,
                there.profile.host,
                there.profile.name,
                chosen.written if chosen else None,
                caller_id or there.profile.caller_id,
            ),
            flow=chosen,
            pace=pace or there.profile.pace,
            concurrency=concurrency,
            limit=limit,
            skip_invalid=skip_invalid,
            retry_unknown=retry_unknown,
            max_failures=max_failures,
            wait_for_hours=not no_wait,
        )
        place = places.of(there.profile, sandbox=sandbox)
        if dry_run and not places.exists(place):
            _rehearse(screen, Reader(table, planner, order, None), there)
            return
        with Journal(place) as journal:
            if chosen is not None and chosen.pending:
                order = _as_begun(journal, order, screen)
            _refuse_changed(journal.campaigns.named(campaign, there.profile.host), order.campaign)
            reader = Reader(table, planner, order, journal)
            if retry_unknown:
                _allow_again(reader, journal, None if dry_run else service(), screen)
            if dry_run:
                _rehearse(screen, reader, there)
                return
            checked = _checked(screen, reader, there)
            if not (yes or typer.confirm("Dial?", err=True)):
                raise Interrupted("not confirmed: nothing was dialled.")
            _dial(screen, there, reader, journal, checked, output_file)


def _asking(service: "Callable[[], Service]", screen: "Screen") -> "Callable[[Flow], Flow]":
    """Asks the service for the IDs of flows that are named, once for each, also for those that are not found."""
    from evocall import catalog

    @cache
    def asked(flow: "Flow") -> "Flow | EvocallError":
        try:
            return catalog.resolved(flow, service(), tell=screen.note)
        except (NotFound, UsageError) as error:
            return error

    def look_up(flow: "Flow") -> "Flow":
        found = asked(flow) if flow.pending else flow
        if isinstance(found, EvocallError):
            raise found
        return found

    return look_up


def _allow_again(reader: "Reader", journal: "Journal", service: "Service | None", screen: "Screen") -> None:
    """Let unknown rows be dialled again: those that the service, when asked, did not know, and all in a rehearsal."""
    from evocall.history import Filter
    from evocall.model import Outcome

    campaign = reader.order.campaign
    found = journal.history.calls(Filter(campaign=campaign.name, host=campaign.host, outcome=Outcome.UNKNOWN))
    unknown = [record for record in found if not record.in_flight]  # or another process is placing it now
    if service is not None:
        unknown = _not_found(unknown, journal, service, screen)
        reader.refresh()
    reader.again = {record.once_key or "": record.call.id for record in reversed(unknown)}  # the newest of a row


def _not_found(records: "list[Record]", journal: "Journal", service: "Service", screen: "Screen") -> "list[Record]":
    """Settle what can be settled of these unknown calls; those of rows of which no call was found."""
    from evocall import settling

    not_found, ambiguous = [], set()
    settled = 0
    for record in records:
        finding = settling.look(record, service, journal)
        if finding.verdict is settling.Verdict.PLACED:
            settling.settle(record, finding, journal)
            settled += 1
        elif finding.verdict is settling.Verdict.AMBIGUOUS:
            ambiguous.add(record.once_key)
        else:
            not_found.append(record)
    if settled or ambiguous:
        screen.note(f"of the unknown calls {settled} had been placed, and {len(ambiguous)} may have been.")
    return [record for record in not_found if record.once_key not in ambiguous]


def _as_begun(journal: "Journal", order: "Order", screen: "Screen") -> "Order":
    """For a rehearsal, which does not ask what a flow's name means: what it meant when the campaign was begun."""
    known = journal.campaigns.named(order.campaign.name, order.campaign.host)
    if known is None:
        return order
    screen.note(f"a rehearsal does not look up {order.campaign.flow!r}; the campaign was begun with {known.flow}.")
    return replace(order, campaign=replace(order.campaign, flow=known.flow))


def _refuse_changed(known: "Campaign | None", now: "Campaign") -> None:
    """Raise UsageError when the campaign's name already stands for something else."""
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

    from evocall import reading, report
    from evocall.campaign import Tally

    found = reading.check(reader, partial(_complain, screen), datetime.now(UTC))
    if found.bad and not reader.order.skip_invalid:
        error = UsageError(
            f"{found.bad} of {found.rows} rows of {reader.table.name} are bad; nothing was dialled.",
            hint="Mend them, or leave them out with --skip-invalid.",
            code="bad_rows",
        )
        error.summary = report.summary(reader, found, Tally(), datetime.now(UTC))
        raise error
    screen.preview(report.preview(reader, there.profile, found))
    return found


def _complain(screen: "Screen", row: "Row", error: EvocallError) -> None:
    screen.problem(f"row {row.line}: {error}")


def _rehearse(screen: "Screen", reader: "Reader", there: "Target") -> None:
    """All of a batch but the dialling."""
    from datetime import UTC, datetime

    from evocall import report
    from evocall.campaign import Tally
    from evocall.output import refuse_loss

    now = datetime.now(UTC)
    summary = report.summary(reader, _checked(screen, reader, there), Tally(), now)
    if screen.as_json:
        screen.document(summary)
    refuse_loss()


def _dial(
    screen: "Screen",
    there: "Target",
    reader: "Reader",
    journal: "Journal",
    checked: "Checked",
    output_file: Any,
) -> None:
    from datetime import UTC, datetime

    from evocall import reading, report, results, signals
    from evocall.campaign import Run
    from evocall.service import Service

    credential = there.credential()
    began = datetime.now(UTC)
    _refuse_changed(journal.campaigns.begin(reader.order.campaign, began), reader.order.campaign)
    pace = journal.pace(there.profile.name, reader.order.pace)
    with screen.progress(report.calls_now(reader, checked)) as progress:
        run = Run(
            reader,
            journal,
            pace,
            lambda: Service(there.profile, credential),
            repeated=checked.repeated,
            username=there.profile.username,
            tell=progress.note,
            complain=partial(_complain, screen),
            told=checked.left_out,
            changed=lambda tally: progress.show(tally.outcomes, tally.waiting),
        )
        with signals.stopping(run.stop) as stopped:
            tally = run.run()
    pace.close()
    summary = report.summary(reader, checked, tally, began)
    if not screen.as_json:
        screen.table(("outcome", "calls"), report.table(tally))
    error = report.ending(reader, checked, tally, interrupted=stopped.is_set())
    if output_file:
        try:
            results.write(output_file, reader.table, lambda row: reading.outcome_of(reader, journal, row))
        except EvocallError as trouble:
            screen.problem(f"there are no results: {trouble}")
            error = error or report.without_results(reader)
    if error is not None:
        error.summary = summary
        raise error
    if screen.as_json:
        screen.document(summary)
