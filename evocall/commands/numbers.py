"""`evocall numbers`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from evocall.commands import options

if TYPE_CHECKING:
    from evocall.catalog import PhoneNumber

HEADINGS = ("number", "name", "flow", "account", "caller ID")


def numbers(
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="Only numbers with this in their digits or name", show_default=False),
    ] = "",
    profile: options.ProfileOption = None,
    sandbox: options.SandboxOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """List the account's phone numbers, usable as caller ID.

    Examples:

      evocall numbers --sandbox

      evocall numbers 555 --sandbox --json
    """
    from evocall import catalog
    from evocall.output import Screen, trace
    from evocall.target import target

    screen = Screen(as_json=json, quiet=quiet)
    with target(profile, sandbox=sandbox) as there, there.service(trace=trace if verbose else None) as service:
        found = sorted(catalog.numbers(service, text, tell=screen.note), key=lambda owned: owned.number)
    if json:
        screen.document([asdict(owned) for owned in found])
    elif found:
        screen.table(HEADINGS, [_row(owned) for owned in found])
    else:
        screen.note(f"no number has {text!r} in it." if text else "the account has no phone numbers.")


def _row(owned: "PhoneNumber") -> tuple[str, ...]:
    usable = "no: virtual, not bought" if owned.virtual else "yes"
    return (owned.number, owned.name or "", owned.flow or "", owned.account or "", usable)
