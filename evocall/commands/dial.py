"""`evocall dial`."""

from typing import Annotated

import typer

from evocall.commands import options
from evocall.errors import UsageError


def dial(
    number: options.NumberArgument,
    flow: options.FlowOption = None,
    caller_id: options.CallerIdOption = None,
    region: options.RegionOption = None,
    profile: options.ProfileOption = None,
    sandbox: options.SandboxOption = False,
    once: Annotated[
        str | None, typer.Option("--once", metavar="KEY", help="At most one call for this key, ever, from this machine")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Dial although an earlier call may have rung, or a cap is reached")
    ] = False,
    between: options.BetweenOption = None,
    allow: options.AllowOption = None,
    timeout: options.TimeoutOption = None,
    connect_timeout: options.ConnectTimeoutOption = None,
    dry_run: options.DryRunOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Place one call and run a flow on it when it is answered.

    Examples:

      evocall dial +18145550100 --flow welcome --sandbox

      evocall dial '(814) 555-0100' --region US --flow alert --dry-run
    """
    from evocall import paths, placing, signals
    from evocall.commands.target import target
    from evocall.journal import Journal
    from evocall.output import Screen
    from evocall.planning import Planner

    screen = Screen(as_json=json, quiet=quiet)
    if once is not None and not once.strip():
        raise UsageError("--once was given an empty key.", hint="A variable in it may not be set.", code="empty_key")
    witness = placing.Witness()
    with signals.reported(witness.interrupted):
        with target(profile, sandbox=sandbox, timeout=timeout, connect_timeout=connect_timeout) as there:
            planner = Planner(there.profile, region=region, between=between, allow=allow or ())
            plan = planner.plan(number, flow=flow, caller_id=caller_id)
            terms = placing.Terms(once, again=again, username=there.profile.username)
            journal_file = paths.journal_file(sandbox=sandbox)
            if dry_run:
                call = placing.rehearse(plan, journal_file, terms)
            else:
                with there.service(verbose=verbose) as service, Journal(journal_file) as journal:
                    call = placing.place(plan, service, journal, terms, tell=screen.note, witness=witness)
        signals.ignore()
    screen.call(call, plan, there.profile.username)
