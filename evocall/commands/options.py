"""The options and arguments that several commands share: one spelling, one help text, one variable each.

And whether there is somebody to ask for what they do not say.
"""

import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evocall.model import Profile

PLAIN = re.compile(r"[\w.@+:/][\w.@+:/-]*")


def at_terminal() -> bool:
    """Whether standard input is a terminal; a closed one is none."""
    return sys.stdin is not None and sys.stdin.isatty()


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    """The names that begin like that, for TAB. Shells evaluate what they are offered, so only plain words are."""
    return sorted(name for name in names if name.startswith(incomplete) and PLAIN.fullmatch(name))


def profile_names(incomplete: str) -> list[str]:
    """The profiles whose names begin like that, for TAB."""
    from evocall import paths, profiles
    from evocall.errors import EvocallError

    try:
        return _offered(profiles.load(paths.config_file()).profiles, incomplete)
    except EvocallError:
        return []


def _chosen(ctx: typer.Context) -> "Profile | None":
    """The profile that is meant, None when none can be read."""
    from evocall import paths, profiles
    from evocall.errors import EvocallError

    try:
        return profiles.load(paths.config_file()).choose(ctx.params.get("profile"))
    except EvocallError:
        return None


def _flows(ctx: typer.Context, incomplete: str) -> list[str]:
    from evocall import remembered

    profile = _chosen(ctx)
    return _offered({*profile.flows, *remembered.recalled(profile)}, incomplete) if profile else []


def _contacts(ctx: typer.Context, incomplete: str) -> list[str]:
    profile = _chosen(ctx)
    return _offered(profile.contacts, incomplete) if profile else []


def _classes(incomplete: str) -> list[str]:
    from evocall.model import GUARDED

    return [kind for kind in GUARDED if kind.startswith(incomplete)]


NumbersArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="NUMBER...",
        help="E.164, tel: URI, national format with --region, or a contact's name; several for --until-answered.",
        autocompletion=_contacts,
        show_default=False,
    ),
]
CallArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The call's local ID, or the ID of its session", show_default=False)
]
FlowOption = Annotated[
    str | None,
    typer.Option(
        "--flow",
        "-f",
        metavar="FLOW",
        envvar="EVOCALL_FLOW",
        help="Flow to run when the call is answered: an ID, an alias of the profile, or a name",
        autocompletion=_flows,
    ),
]
CallerIdOption = Annotated[
    str | None,
    typer.Option(
        "--caller-id",
        metavar="NUMBER",
        envvar="EVOCALL_CALLER_ID",
        help="Number to show to the callee; the account must own it",
    ),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="CC",
        envvar="EVOCALL_REGION",
        help="Country whose national format a number without + is in, such as US",
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        metavar="NAME",
        envvar="EVOCALL_PROFILE",
        help="Profile to use",
        autocompletion=profile_names,
    ),
]
SandboxOption = Annotated[
    bool,
    typer.Option("--sandbox", help="Run against a local server that rings nobody; needs no account"),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="CLASS",
        help="Number class that is refused by default: premium, shared-cost, satellite, personal, unverified",
        autocompletion=_classes,
    ),
]
BetweenOption = Annotated[
    str | None,
    typer.Option("--between", metavar="HH:MM-HH:MM", help="Only when it is between these hours where the callee is"),
]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", metavar="SECONDS", help="Wait this long for the service's answer")
]
ConnectTimeoutOption = Annotated[
    float | None, typer.Option("--connect-timeout", metavar="SECONDS", help="Wait this long for a connection")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Check everything, show what would be sent, send nothing")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show request and response, without secrets")]
