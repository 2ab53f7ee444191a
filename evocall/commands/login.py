"""`evocall login`."""

import sys
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from evocall.commands import options
from evocall.errors import AuthError, UsageError

if TYPE_CHECKING:
    from evocall.model import Credential, Profile
    from evocall.output import Screen
    from evocall.service import Identity

TYPED = "what was typed"
BASIC_UNUSABLE = {"not_signed_in", "login_page"}


def login(
    profile: options.ProfileOption = None,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="Address of the service; https://evovoice.io by default"),
    ] = None,
    username: Annotated[
        str | None, typer.Option("--username", "-u", metavar="USER", help="Name of the login, usually an email address")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input")
    ] = False,
    quiet: options.QuietOption = False,
) -> None:
    """Test a login against the service and store its password in the OS keyring.

    Asks for what is missing when there is a terminal.

    Examples:

      evocall login --username ops@example.com

      pass show evo | evocall login --profile production --username ops@example.com --password-stdin
    """
    from evocall import keychain, paths, profiles
    from evocall.model import Credential
    from evocall.output import Screen

    screen = Screen(quiet=quiet)
    path = paths.config_file()
    chosen = profiles.load(path).choose_or_new(profile, base_url=base_url, username=username)
    chosen = replace(chosen, username=chosen.username or _asked("Username", hide=False))
    password = _from_stdin() if password_stdin else _asked(f"Password of {chosen.username}", hide=True)
    identity, sign_in = _tested(chosen, Credential(str(chosen.username), password, TYPED))
    profiles.save_login(path, replace(chosen, sign_in=sign_in))
    backend = keychain.store(chosen, password)
    profiles.set_value(path, ("profiles", chosen.name, "keyring_backend"), backend)
    _report(screen, chosen, identity)


def _tested(profile: "Profile", credential: "Credential") -> tuple["Identity", str]:
    """Who the service says this is, and the way of signing in that works: Basic alone, else a session with cookies."""
    from evocall.model import BASIC, COOKIES

    try:
        return _identity(replace(profile, sign_in=BASIC), credential), BASIC
    except AuthError as error:
        if error.code not in BASIC_UNUSABLE:
            raise
    return _identity(replace(profile, sign_in=COOKIES), credential), COOKIES


def _identity(profile: "Profile", credential: "Credential") -> "Identity":
    from evocall.service import Service

    with closing(Service(profile, credential)) as service:
        return service.whoami()


def _report(screen: "Screen", profile: "Profile", identity: "Identity") -> None:
    screen.note(f"signed in to {profile.base_url} as {profile.username}; the password is in the keyring.")
    if identity.may_dial is False:
        roles = ", ".join(identity.roles or ()) or "none"
        screen.note(f"warning: this login may not dial: it has the roles {roles}, and Manager is needed.")
    if profile.password_command or profile.password_file:
        screen.note(
            f"warning: profile {profile.name!r} also has a password_command or password_file, which goes first."
        )
    screen.note(f"next: evocall dial +NUMBER --flow FLOW --profile {profile.name}")


def _asked(what: str, *, hide: bool) -> str:
    if not options.at_terminal():
        raise UsageError(
            f"{what} is missing, and there is no terminal to ask at.",
            hint="Give --username, and the password on standard input with --password-stdin.",
            code="no_terminal",
        )
    return str(typer.prompt(what, hide_input=hide, err=True))


def _from_stdin() -> str:
    if sys.stdin is None:
        raise UsageError("Standard input is closed, so there is no password on it.", code="no_password")
    try:
        password = sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError("The password on standard input is not UTF-8.", code="no_password") from None
    if not password:
        raise UsageError("Standard input has no password on its first line.", code="no_password")
    return password
