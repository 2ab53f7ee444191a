"""`evocall flows`."""

from dataclasses import asdict
from typing import Annotated

import typer

from evocall.commands import options

HEADINGS = ("flow", "name", "account", "customer")


def flows(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="Only flows whose name contains this", show_default=False)
    ] = "",
    profile: options.ProfileOption = None,
    sandbox: options.SandboxOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """List the account's flows with their IDs.

    Examples:

      evocall flows --sandbox

      evocall flows alert --sandbox --json
    """
    from evocall import catalog, remembered
    from evocall.output import Screen, trace
    from evocall.target import target

    screen = Screen(as_json=json, quiet=quiet)
    with target(profile, sandbox=sandbox) as there, there.service(trace=trace if verbose else None) as service:
        found = sorted(catalog.flows(service, text, tell=screen.note), key=lambda flow: (flow.name.casefold(), flow.id))
    remembered.remember(there.profile, [flow.name for flow in found])
    if json:
        screen.document([asdict(flow) for flow in found])
    elif found:
        screen.table(HEADINGS, [(flow.id, flow.name, flow.account or "", flow.customer or "") for flow in found])
    else:
        screen.note(f"no flow has {text!r} in its name." if text else "the account has no flows.")
